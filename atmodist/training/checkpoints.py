"""Checkpoints of a training run: whole or not there, and enough to go on exactly.

An epoch leaves `<output>/checkpoints/epoch-0003/` with `pretext.keras` (the network as evaluated;
or `generator.keras`), `training.npz` (weights, average, optimiser) and `state.json` (epoch, step,
schedule, history, configuration); `<output>/best.json` names the best epoch by evaluation loss.

Within an epoch there is at most one more, `epoch-0004-step-00000120/`: 120 steps into epoch 4. It
has no `pretext.keras`, for it is to go on from and not to be judged.
"""

import math
import re
import time
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.files.outputs import atomic_path, read_json, remove, write_json

NETWORK = "pretext.keras"
ARRAYS = "training.npz"
STATE = "state.json"
LOCK = ".lock"  # in the folder of the run, held while it is written


def folder(output: Path) -> Path:
    """Where the checkpoints of a run are."""
    return output / "checkpoints"


def path(output: Path, epoch: int, step: int | None = None) -> Path:
    """Where the checkpoint after an epoch (from 1) is, or after some steps of it."""
    return folder(output) / (f"epoch-{epoch:04d}" + ("" if step is None else f"-step-{step:08d}"))


def epochs(output: Path) -> list[int]:
    """Epochs that have a checkpoint, in order."""
    found = (re.fullmatch(r"epoch-(\d{4,})", item.name) for item in folder(output).glob("epoch-*"))
    return sorted(int(match[1]) for match in found if match)


def within(output: Path) -> list[tuple[int, int]]:
    """Checkpoints within epochs, as (epoch, step), in order."""
    found = (
        re.fullmatch(r"epoch-(\d{4,})-step-(\d{8,})", item.name)
        for item in folder(output).glob("epoch-*-step-*")
    )
    return sorted((int(match[1]), int(match[2])) for match in found if match)


def latest(output: Path, num_epochs: float = math.inf) -> tuple[int, int | None] | None:
    """Where a run of so many epochs goes on: (epoch, step), or (epoch, None) after an epoch."""
    done = epochs(output)
    last = done[-1] if done else 0
    inside = [(epoch, step) for epoch, step in within(output) if last < epoch <= num_epochs]
    if inside:
        return inside[-1]
    return (last, None) if done else None


def save(
    output: Path,
    epoch: int,
    step: int | None = None,
    *,
    network: Any = None,
    network_name: str = NETWORK,
    arrays: dict[str, np.ndarray],
    state: dict[str, Any],
) -> None:
    """Writes a checkpoint beside its place and renames it; removes those within epochs."""
    outdated = within(output)
    with atomic_path(path(output, epoch, step)) as temporary:
        temporary.mkdir(parents=True)
        if network is not None:
            network.save(temporary / network_name)
        np.savez(temporary / ARRAYS, allow_pickle=False, **arrays)
        write_json(temporary / STATE, state)
    for place in outdated:
        if place != (epoch, step):
            remove(path(output, *place))


def load_state(
    output: Path, epoch: int, step: int | None = None, *, required: Iterable[str] = ()
) -> dict[str, Any]:
    """Reads where a run was, without its arrays; without one `required` name it is damaged."""
    try:
        state = read_json(path(output, epoch, step) / STATE)
    except (ValueError, OSError) as error:
        raise damaged(output, epoch, step, error) from error
    missing = [name for name in required if not isinstance(state, dict) or name not in state]
    if missing or not isinstance(state, dict):
        raise damaged(output, epoch, step, f"{STATE} lacks {', '.join(missing) or 'everything'}")
    return state


def load_arrays(output: Path, epoch: int, step: int | None = None) -> dict[str, np.ndarray]:
    """Reads the arrays of a checkpoint."""
    try:
        with np.load(path(output, epoch, step) / ARRAYS, allow_pickle=False) as archive:
            return dict(archive)
    except (ValueError, OSError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise damaged(output, epoch, step, f"{ARRAYS}: {error}") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise damaged(output, epoch, step, f"{ARRAYS}: {error}") from error


def damaged(output: Path, epoch: int, step: int | None, reason: object) -> ValueError:
    """The error that says so of a checkpoint, and what to do."""
    return ValueError(
        f"checkpoint {path(output, epoch, step)} is damaged ({reason}); remove it to go on from "
        "the one before."
    )


def prune(output: Path, *, keep: int, besides: Iterable[int]) -> None:
    """Removes all checkpoints but the latest `keep` and those of the epochs `besides`."""
    for epoch in set(epochs(output)[:-keep]) - set(besides):
        remove(path(output, epoch))


def remove_leftovers(output: Path) -> None:
    """Removes what a killed run left half-written."""
    for item in folder(output).glob(".epoch-*"):
        remove(item)


class Clock:
    """Tells when the next checkpoint within an epoch is due.

    Args:
        minutes: Between two; None for never.
    """

    def __init__(self, minutes: float | None):
        self._minutes = minutes
        self.start()

    def start(self) -> None:
        """Counts from now: a checkpoint was written."""
        self._started = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time."""
        if self._minutes is None:
            return False
        return time.monotonic() - self._started >= 60.0 * self._minutes
