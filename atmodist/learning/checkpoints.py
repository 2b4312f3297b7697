"""Checkpoints of a training run: whole or not there, and enough to go on exactly.

An epoch leaves `<output>/checkpoints/epoch-0003/` with `pretext.keras` (the network as evaluated),
`training.npz` (weights, average, optimiser) and `state.json` (epoch, step, schedule, history,
configuration); `<output>/best.json` names the best epoch by evaluation loss.
"""

import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.outputs import atomic_path, read_json, remove, write_json

NETWORK = "pretext.keras"
ARRAYS = "training.npz"
STATE = "state.json"


def folder(output: Path) -> Path:
    """Where the checkpoints of a run are."""
    return output / "checkpoints"


def path(output: Path, epoch: int) -> Path:
    """Where the checkpoint of an epoch (from 1) is."""
    return folder(output) / f"epoch-{epoch:04d}"


def epochs(output: Path) -> list[int]:
    """Epochs that have a checkpoint, in order."""
    found = (re.fullmatch(r"epoch-(\d{4,})", item.name) for item in folder(output).glob("epoch-*"))
    return sorted(int(match[1]) for match in found if match)


def save(
    output: Path, epoch: int, *, network: Any, arrays: dict[str, np.ndarray], state: dict[str, Any]
) -> None:
    """Writes a checkpoint beside its place and renames it."""
    with atomic_path(path(output, epoch)) as temporary:
        temporary.mkdir(parents=True)
        network.save(temporary / NETWORK)
        np.savez(temporary / ARRAYS, **arrays)  # type: ignore[arg-type]
        write_json(temporary / STATE, state)


def load_state(output: Path, epoch: int, *, required: Iterable[str] = ()) -> dict[str, Any]:
    """Reads where a run was, without its arrays; without one `required` name it is damaged."""
    try:
        state = read_json(path(output, epoch) / STATE)
    except (ValueError, OSError) as error:
        raise damaged(output, epoch, error) from error
    missing = [name for name in required if not isinstance(state, dict) or name not in state]
    if missing or not isinstance(state, dict):
        raise damaged(output, epoch, f"{STATE} lacks {', '.join(missing) or 'everything'}")
    return state


def load_arrays(output: Path, epoch: int) -> dict[str, np.ndarray]:
    """Reads the arrays of a checkpoint."""
    try:
        with np.load(path(output, epoch) / ARRAYS, allow_pickle=False) as archive:
            return dict(archive)
    except (ValueError, OSError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise damaged(output, epoch, f"{ARRAYS}: {error}") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise damaged(output, epoch, f"{ARRAYS}: {error}") from error


def damaged(output: Path, epoch: int, reason: object) -> ValueError:
    """The error that says so of a checkpoint, and what to do."""
    return ValueError(
        f"checkpoint {path(output, epoch)} is damaged ({reason}); remove it to go on from the one "
        "before."
    )


def prune(output: Path, *, keep: int, besides: Iterable[int]) -> None:
    """Removes all checkpoints but the latest `keep` and those of the epochs `besides`."""
    for epoch in set(epochs(output)[:-keep]) - set(besides):
        remove(path(output, epoch))


def remove_leftovers(output: Path) -> None:
    """Removes what a killed run left half-written."""
    for item in folder(output).glob(".epoch-*"):
        remove(item)
