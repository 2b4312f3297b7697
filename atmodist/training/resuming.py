"""May a run go on? Only with the settings, the records and the normalisation it was started with.

A checkpoint says what its run was made of. Settings, shapes and the content of the records and of
the encoder behind a content loss are compared; where these lie does not matter. Each refusal names
both sides.
"""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from atmodist.fields.normalization import Normalization
from atmodist.files.outputs import plain_config


def check_same_settings(
    before: dict[str, Any], config: Any, output: Path, *, free: Collection[str]
) -> None:
    """Raises `ValueError` if settings of a run have changed, but for those that are `free`."""
    now = plain_config(dataclasses.asdict(config))
    changed = [
        f"{name}={before.get(name)!r} (now {value!r})"
        for name, value in now.items()
        if name not in free and before.get(name) != value
    ]
    if changed:
        raise ValueError(
            f"the run in {output} was started with {', '.join(changed)}; give the same settings "
            "to go on with it, or another --output."
        )


def check_same_provenance(before: dict[str, str], now: dict[str, str], output: Path) -> None:
    """Raises `ValueError` if a loss of a run would be made from something else.

    Args:
        before: Identity of what each learned loss was made from when the run was started, by name.
        now: What it is now.
        output: The folder of the run.
    """
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    if changed:
        raise ValueError(
            f"the {', '.join(changed)} loss of the run in {output} was made with another encoder, "
            "or another calibration of it, than the settings name now; give that one to go on, or "
            "choose another --output."
        )


def check_same_normalization(
    identity: str | None, now: Normalization | None, ours: str, run: Path
) -> None:
    """Raises `ValueError` if a run would go on with fields normalised in another way.

    Args:
        identity: Of the normalisation that the run was started with, None if there was none.
        now: What fields are normalised with now.
        ours: What to call them, for instance "the records in pairs/".
        run: The folder of the run; its `normalization.json` tells more, if it is there.
    """
    theirs = f"the network in {run}"
    own = None if now is None else now.identity
    saved = run / "normalization.json"
    if now is not None and identity is not None and saved.is_file():
        now.require_same(Normalization.load(saved), ours=ours, theirs=theirs)
    if own != identity:
        raise ValueError(
            f"{theirs} was trained with {_called(identity)}, {ours} come with "
            f"{_called(own)}; restore the normalization.json of the records, or "
            "choose another --output."
        )


def _called(identity: str | None) -> str:
    return "no normalisation" if identity is None else f"normalisation {identity}"
