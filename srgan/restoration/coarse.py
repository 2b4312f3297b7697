"""Where a restoration begins: coarse fields that are read, or block means of fine ones."""

from dataclasses import dataclass

import numpy as np

from atmodist.fields.grid import Grid
from srgan.restoration.degradation import coarse_grid
from srgan.restoration.geometry import Refinement
from srgan.restoration.restoration import Restoration


@dataclass(frozen=True)
class CoarseFields:
    """Coarse fields, however they come to be, and what will refine them.

    Attributes:
        restoration: What will refine them.
        refinement: The grids.
        are_means: Whether what is read is fine, and averaged over blocks first.
        concerns: What speaks against it; users should know.
    """

    restoration: Restoration
    refinement: Refinement
    are_means: bool
    concerns: tuple[str, ...] = ()

    @classmethod
    def read(cls, restoration: Restoration, grid: Grid, high: Grid | None = None) -> "CoarseFields":
        """They are read, on `grid`; `high` is the fine grid that is wanted, if any.

        Raises:
            ValueError: If the grids do not fit to each other.
        """
        refinement = Refinement.of(grid, restoration.factor, restoration.alignment, high)
        concern = restoration.concern(grid)
        return cls(restoration, refinement, False, () if concern is None else (concern,))

    @classmethod
    def means(cls, restoration: Restoration, grid: Grid, instead: str) -> "CoarseFields":
        """They are block means of what is read on `grid`, which they are restored to.

        Raises:
            ValueError: If there are no blocks, or the restoration was trained with something else;
                then it says what to do `instead`.
        """
        if restoration.is_paired:
            raise ValueError(
                f"{restoration.name} was trained with pairs of archives, not with block means: "
                f"{instead}"
            )
        low = coarse_grid(grid, restoration.factor)
        found = cls.read(restoration, low, grid)
        return cls(restoration, found.refinement, True, found.concerns)

    def of(self, field: np.ndarray) -> np.ndarray:
        """The coarse field of one that was read; both (channel, latitude, longitude)."""
        if not self.are_means:
            return field
        return self.restoration.degraded(field, self.refinement.high)
