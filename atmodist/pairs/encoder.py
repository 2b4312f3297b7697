"""What a pair is made of: two patches of one place, cut out of two steps and normalised."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atmodist.fields.archive import Archive, check_finite
from atmodist.fields.normalization import Normalization
from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.pairs.pair_format import encode_pair
from atmodist.records.example import Buffer
from atmodist.records.patch_places import corners, cut
from atmodist.records.streaming import Fields, StepWork


@dataclass(frozen=True)
class PairRecipe:
    """Pairs of one archive, up to the largest label apart."""

    config: PairSamplerConfig
    normalization: Normalization

    @property
    def archives(self) -> tuple[str, ...]:
        """The one archive."""
        return (self.config.archive,)

    @property
    def lag(self) -> int:
        """The largest label."""
        return self.config.max_temporal_distance

    def encoder(self, archives: Sequence[Archive]) -> "PairEncoder":
        """Makes the encoder of a process."""
        return PairEncoder(self, archives[0])


class PairEncoder:
    """Cuts, normalises and encodes pairs; holds the patches until they are written."""

    def __init__(self, recipe: PairRecipe, archive: Archive):
        self._config, self._normalization = recipe.config, recipe.normalization
        self._archive = archive
        self._patches = np.empty((2, *recipe.config.patch_shape, archive.shape[0]), np.float32)

    def encode(self, work: StepWork, k: int, fields: Fields) -> Sequence[Buffer]:
        """The framed record of pair `k` of a step."""
        label, row, column = (int(work.draws[name][k]) for name in ("label", "row", "column"))
        for patch, step in zip(self._patches, (work.step, work.step + label), strict=True):
            for part, columns in cut(fields[step][0], row, column, patch.shape):
                self._normalization(part, out=patch[:, columns])
            check_patch(patch, fields[step][0], self._archive, step)
        shape = self._config.patch_shape
        latitudes, longitudes = corners(self._archive.grid, row, column, shape)
        return encode_pair(
            self._patches[0],
            self._patches[1],
            index=int(work.index[k]),
            label=label,
            max_label=self._config.max_temporal_distance,
            latitudes=latitudes,
            longitudes=longitudes,
            time=int(self._archive.time.seconds[work.step]),
            step=work.step,
        )


def check_patch(patch: np.ndarray, field: np.ndarray, archive: Archive, step: int) -> None:
    """Refuses a normalised patch with missing values, and says whether the archive is to blame.

    Args:
        patch: (latitude, longitude, channel), normalised.
        field: The field it was cut out of, (channel, latitude, longitude).
        archive: Where that comes from.
        step: Its time index there.
    """
    if np.isfinite(patch.sum(dtype=np.float64)):
        return
    time = archive.time.isoformat(step)
    check_finite(field, archive.channels, time, archive.path)
    raise ValueError(
        f"{archive.path}: the normalisation makes infinite numbers of the values at {time}; it "
        "does not belong to this archive"
    )
