"""Records of pairs of patches: what they have in common, and how a folder of them is opened."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from atmodist.pairs.pair_format import PAIR_FEATURES, decode_pair
from atmodist.pairs.places import is_of_reference
from atmodist.records.record_set import BARE_SPLIT, SIDECAR, RecordSet, records_folder
from atmodist.records.shard import Shard, positive

__all__ = ["BARE_SPLIT", "SIDECAR", "PairRecords", "Shard", "open_records", "records_folder"]


@dataclass(frozen=True, kw_only=True)
class PairRecords(RecordSet):
    """Records of pairs of patches.

    Attributes:
        max_label: The largest temporal distance, in archive time steps.
    """

    kind: ClassVar[str] = "pairs"
    command: ClassVar[str] = "rplearn-data"
    task: ClassVar[str] = "rplearn"
    description: ClassVar[str] = (
        "Pairs of atmospheric fields; `label` is how many time steps they are apart."
    )
    feature_types = PAIR_FEATURES

    max_label: int
    features: tuple[str, ...] = tuple(PAIR_FEATURES)

    @property
    def is_of_reference(self) -> bool:
        """Whether the reference implementation wrote them; then they have no times."""
        return is_of_reference(self.features)

    def step_seconds(self, given: int | None = None) -> int | None:
        """Length of a time step of the archive, that is of label 1; None if nobody knows.

        Args:
            given: What somebody says who may know; for records that do not say it themselves.

        Raises:
            ValueError: If they do say it, and it is another.
        """
        own = self.metadata.get("step_seconds")
        if isinstance(own, bool) or not isinstance(own, int) or own <= 0:
            return given
        if given not in (None, own):
            raise ValueError(
                f"a time step of the records in {self.folder} is {own / 3600:g} h, not "
                f"{given / 3600:g} h"
            )
        return own

    @classmethod
    def decode(cls, payload: bytes) -> dict[str, Any]:
        """The features of a pair; see `decode_pair`."""
        return decode_pair(payload)

    def check(self, record: dict[str, Any]) -> None:
        """Checks shape and label of a pair."""
        if record["patch1"].shape != self.shape:
            raise ValueError(f"its shape is {record['patch1'].shape}, that of the set {self.shape}")
        if not 1 <= record["label"] <= self.max_label:
            raise ValueError(f"its label is {record['label']}, not in 1 to {self.max_label}")

    @classmethod
    def common_facts(cls, record: dict[str, Any]) -> dict[str, Any]:
        """Shape and largest label, which each pair knows."""
        rows, columns, channels = record["patch1"].shape
        return {
            "max_label": record["T_max"],
            "patch_shape": (rows, columns),
            "num_channels": channels,
        }

    @classmethod
    def checked_content(cls, content: dict[str, Any]) -> dict[str, Any]:
        """The largest label."""
        return {"max_label": positive("max_label", content["max_label"])}

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Both patches have one shape."""
        return {"patch1": self.shape, "patch2": self.shape}


def step_seconds(step_hours: float) -> int:
    """A time step in seconds; raises `ValueError` unless it is a positive, whole number of them."""
    seconds = step_hours * 3600
    if not (seconds > 0 and math.isfinite(seconds) and abs(seconds - round(seconds)) < 1e-6):
        raise ValueError(
            f"`step_hours` must be a positive number of hours, in whole seconds; got {step_hours}"
        )
    return round(seconds)


def open_records(source: str | Path | Iterable[str | Path]) -> PairRecords:
    """Opens a folder made by `rplearn-data`, or bare TFRecord files of pairs.

    Args:
        source: A folder with `records.json`; or a folder of `*.tfrecords` files, one such file, or
            several, as the reference implementation writes them. `rplearn_train*.tfrecords` are
            the split "train", `rplearn_eval*.tfrecords` are "evaluation",
            `<dataset>-<split>.tfrecord-00000-of-00004` say it themselves; others form "all".
    """
    return PairRecords.open(source)
