"""What a record is made of: a patch of high resolution, and what is known of it at low resolution.

The low resolution is made from the patch, or cut out of an archive of its own. Both are normalised
alike. A patch begins at any row and column; where there are two archives, at multiples of the
factor, so that coarse cells lie on it as they do on the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atmodist.fields.archive import Archive
from atmodist.fields.normalization import Normalization
from atmodist.pairs.encoder import check_patch
from atmodist.records.example import Buffer
from atmodist.records.patch_places import corners, cut
from atmodist.records.streaming import Fields, StepWork
from srgan.restoration.degradation import coarsen
from srgan.samples.format import encode_patch
from srgan.samples.record_set import LowResolution


@dataclass(frozen=True)
class PatchRecipe:
    """Patches of one archive, or of two.

    Attributes:
        archives: The high resolution; then the low one if there is an archive of it.
        patch_shape: Rows and columns of the high resolution.
        factor: Fine points per coarse cell, in each direction.
        degradation: How the low resolution is made.
        normalization: Of both.
    """

    archives: tuple[str, ...]
    patch_shape: tuple[int, int]
    factor: int
    degradation: LowResolution
    normalization: Normalization

    @property
    def lag(self) -> int:
        """A record needs the fields of its own step only."""
        return 0

    def encoder(self, archives: Sequence[Archive]) -> "PatchEncoder":
        """Makes the encoder of a process."""
        return PatchEncoder(self, archives)


class PatchEncoder:
    """Cuts, coarsens, normalises and encodes patches; holds them until they are written."""

    def __init__(self, recipe: PatchRecipe, archives: Sequence[Archive]):
        self._recipe, self._archives = recipe, archives
        self._row_areas = archives[0].grid.band_areas
        channels = archives[0].shape[0]
        low_shape = [-(-size // recipe.factor) for size in recipe.patch_shape]
        self._high = np.empty((*recipe.patch_shape, channels), np.float32)
        self._low = np.empty((*low_shape, channels), np.float32)

    def encode(self, work: StepWork, k: int, fields: Fields) -> Sequence[Buffer]:
        """The framed record of patch `k` of a step."""
        high, step = self._archives[0], work.step
        row, column = int(work.draws["row"][k]), int(work.draws["column"][k])
        self._cut(fields[step][0], row, column, self._high)
        check_patch(self._high, fields[step][0], high, step)
        if self._recipe.degradation == "archive":
            factor = self._recipe.factor
            self._cut(fields[step][1], row // factor, column // factor, self._low)
            check_patch(self._low, fields[step][1], self._archives[1], step)
        else:
            self._degrade(fields[step][0], row, column)
        latitudes, longitudes = corners(high.grid, row, column, self._recipe.patch_shape)
        return encode_patch(
            self._low,
            self._high,
            index=int(work.index[k]),
            time=int(high.time.seconds[step]),
            step=step,
            row=row,
            column=column,
            latitudes=latitudes,
            longitudes=longitudes,
        )

    def _cut(self, field: np.ndarray, row: int, column: int, patch: np.ndarray) -> None:
        for part, columns in cut(field, row, column, patch.shape):
            self._recipe.normalization(part, out=patch[:, columns])

    def _degrade(self, field: np.ndarray, row: int, column: int) -> None:
        factor, shape = self._recipe.factor, self._recipe.patch_shape
        if self._recipe.degradation == "normalized":
            low = coarsen(np.moveaxis(self._high, -1, 0), factor)
            self._low[...] = np.moveaxis(low, 0, -1)
            return
        parts = [part for part, _ in cut(field, row, column, shape)]
        patch = np.moveaxis(parts[0] if len(parts) == 1 else np.concatenate(parts, 1), -1, 0)
        low = coarsen(patch, factor, self._row_areas[row : row + shape[0]])
        self._recipe.normalization(np.moveaxis(low, 0, -1), out=self._low)
