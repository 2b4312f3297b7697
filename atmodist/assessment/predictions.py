"""What a network answers for every pair of a split, kept on disk so that tables can be redone.

Labels are zero-based: class k is a temporal distance of k + 1 archive time steps. Pairs drawn from
one base time share their weather; whatever needs independent samples looks at base times.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from atmodist.files.outputs import atomic_path
from atmodist.pairs.pair_records import PairRecords
from atmodist.pairs.places import PLACE
from atmodist.pairs.reading import read_pairs
from atmodist.records.reading import naming_damage

# (batch, 2, latitude, longitude, channel) normalised -> logits (batch, class)
Predictor = Callable[[np.ndarray], np.ndarray]

UNKNOWN = -1  # step and time of records of the reference implementation, which lack them


@dataclass(frozen=True, kw_only=True)
class JudgedPairs:
    """Where and when pairs are, without their fields.

    Attributes:
        label: Zero-based temporal distance. Shape (pair,).
        step: Archive step of the first field; its number in the split where unknown. Shape (pair,).
        time: Seconds since 1970-01-01 of the first field; -1 where unknown. Shape (pair,).
        north: Latitude of the first row, degrees north. Shape (pair,).
        south: Latitude of the last row. Shape (pair,).
        west: Longitude of the first column, degrees east. Shape (pair,).
        east: Longitude of the last column. Shape (pair,).
    """

    label: np.ndarray
    step: np.ndarray
    time: np.ndarray
    north: np.ndarray
    south: np.ndarray
    west: np.ndarray
    east: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def latitude(self) -> np.ndarray:
        """Degrees north of the centres."""
        return (self.north + self.south) / 2

    @property
    def longitude(self) -> np.ndarray:
        """Degrees east of the centres, 0 to 360."""
        width = np.mod(self.east - self.west, 360.0)
        return np.mod(self.west + width / 2, 360.0)

    @property
    def is_dated(self) -> bool:
        """Whether the times are known."""
        return bool(np.any(self.time != UNKNOWN))

    def take(self, chosen: np.ndarray | slice) -> "JudgedPairs":
        """The pairs of these numbers, of this mask or of this slice."""
        return JudgedPairs(
            **{entry.name: getattr(self, entry.name)[chosen] for entry in fields(JudgedPairs)}
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All attributes, by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(JudgedPairs)}


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Answers of a network.

    Attributes:
        logits: Shape (pair, class), float32.
        pairs: Of what.
    """

    logits: np.ndarray
    pairs: JudgedPairs

    @property
    def guess(self) -> np.ndarray:
        """The likeliest class. Shape (pair,)."""
        return np.asarray(self.logits.argmax(axis=1))


def log_probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Returns log softmax(logits / temperature) over the last axis, float64."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True)))


def predict_split(
    predict: Predictor, records: PairRecords, split: str, *, num_classes: int, batch_size: int
) -> Predictions:
    """Streams a split through a network once."""
    logits: list[np.ndarray] = []
    parts: list[JudgedPairs] = []
    for patches, pairs in stream_pairs(
        records, split, num_classes=num_classes, batch_size=batch_size, desc="predicting"
    ):
        logits.append(np.asarray(predict(patches), np.float32))
        parts.append(pairs)
    return Predictions(logits=np.concatenate(logits), pairs=join(parts))


def stream_pairs(
    records: PairRecords, split: str, *, num_classes: int, batch_size: int, desc: str
) -> Any:
    """Yields (patches (batch, 2, latitude, longitude, channel), `JudgedPairs`), by file."""
    extras = [name for name in (*PLACE, "time", "step") if name in records.features]
    batches = read_pairs(
        records,
        split,
        batch_size=batch_size,
        shuffle=False,
        max_label=num_classes,
        extras=extras,
    )
    start = 0
    with naming_damage(records, split):
        for patches, label, known in tqdm(batches, desc=desc, leave=False, disable=None):
            values = {name: np.asarray(value) for name, value in known.items()}
            label = np.asarray(label)
            numbers = np.arange(start, start + len(label))
            start += len(label)
            yield (
                np.asarray(patches),
                JudgedPairs(
                    label=label,
                    step=values.get("step", numbers),
                    time=values.get("time", np.full(len(label), UNKNOWN)),
                    north=values["lat_start"].astype(np.float64),
                    south=values["lat_end"].astype(np.float64),
                    west=values["long_start"].astype(np.float64),
                    east=values["long_end"].astype(np.float64),
                ),
            )
    if not start:
        raise ValueError(f"the split {split!r} of {records.folder} holds no pairs.")


def join(parts: list[JudgedPairs]) -> JudgedPairs:
    """Puts pairs one after the other."""
    return JudgedPairs(
        **{
            entry.name: np.concatenate([getattr(part, entry.name) for part in parts])
            for entry in fields(JudgedPairs)
        }
    )


def save_arrays(path: Path, identity: str, **arrays: np.ndarray) -> None:
    """Writes arrays with the identity of what they were computed from, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, identity=np.array(identity), **arrays)


def load_arrays(path: Path, identity: str) -> dict[str, np.ndarray] | None:
    """Reads what `save_arrays` wrote; None if it is not there, unreadable, or of something else."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return arrays if str(arrays.pop("identity", "")) == identity else None


def save_predictions(path: Path, identity: str, predictions: Predictions) -> None:
    """Keeps predictions for the next time."""
    save_arrays(path, identity, logits=predictions.logits, **predictions.pairs.arrays())


def load_predictions(path: Path, identity: str) -> Predictions | None:
    """Reads what `save_predictions` wrote; None if there is nothing that may be used."""
    arrays = load_arrays(path, identity)
    if arrays is None:
        return None
    return Predictions(logits=arrays.pop("logits"), pairs=JudgedPairs(**arrays))
