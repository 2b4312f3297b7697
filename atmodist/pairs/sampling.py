"""Draws pairs of patches from an archive and writes them, shuffled, as TFRecord shards."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from atmodist.fields.archive import Archive
from atmodist.fields.normalization import Normalization
from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.pairs.encoder import PairRecipe
from atmodist.pairs.pair_format import framed_pair_size
from atmodist.pairs.pair_records import PairRecords
from atmodist.pairs.plan import PairPlan, plan_pairs
from atmodist.records.making import make_records
from atmodist.records.patch_places import PatchPlan, split_steps
from atmodist.records.recipe import Making


class PairMaking(Making):
    """Pairs of patches, to be told how far apart in time they are."""

    noun: ClassVar[str] = "pair"
    plural: ClassVar[str] = "pairs"
    records_class = PairRecords
    method: ClassVar[int] = 1
    config: PairSamplerConfig

    def steps(self) -> Mapping[str, range]:
        """Training and evaluation share no field, even of second patches."""
        return split_steps(
            self.archive.time,
            evaluation_fraction=self.config.evaluation_fraction,
            gap=self.config.gap or self.config.max_temporal_distance,
        )

    def plan(self, split: str, steps: range) -> PairPlan:
        """Draws all pairs of a split."""
        return plan_pairs(
            self.archive.time, self.archive.grid, steps, split=split, config=self.config
        )

    def sizes(self, plan: PatchPlan) -> np.ndarray:
        """Bytes of the frame of each pair."""
        return framed_pair_size(
            (*self.config.patch_shape, self.archive.shape[0]),
            max_label=self.config.max_temporal_distance,
            index=np.arange(len(plan)),
            label=plan.draws(slice(None))["label"],
            time=self.archive.time.seconds[plan.step],
            step=plan.step,
        )

    def recipe(self, normalization: Normalization) -> PairRecipe:
        """What pairs are made of."""
        return PairRecipe(self.config, normalization)

    def facts(self) -> dict[str, Any]:
        """The largest label."""
        return {"max_label": self.config.max_temporal_distance}

    def closing_lines(self, folder: Path) -> str:
        """What to run next."""
        return f"Next: rplearn-train {folder}"


def write_pairs(config: PairSamplerConfig) -> str:
    """Draws and writes all pairs.

    Returns:
        A summary of what was made and what to run next.

    Raises:
        ValueError: If the archive, the patches, the latitudes or the split do not fit each other,
            if fields have missing values, or if the target holds other records.
        OSError: If the output cannot be written, or does not fit the disk.
    """
    with Archive(config.archive) as archive:
        return make_records(PairMaking(config, archive))
