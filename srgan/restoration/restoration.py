"""What generators and interpolations share: from coarse arrays and labelled fields to fine ones."""

import warnings
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from atmodist.fields.archive import check_finite
from atmodist.fields.channels import Channel
from atmodist.fields.grid import Grid
from atmodist.fields.normalization import Normalization
from srgan.restoration.degradation import Alignment, coarsen
from srgan.restoration.geometry import Refinement
from srgan.restoration.poles import polar_rows, scalars, with_one_value


class Restoration(ABC):
    """Makes fine fields of coarse ones, in physical units.

    Fields are NumPy arrays (..., channel, latitude, longitude) with their `grid`; or xarray objects
    with dimensions for latitude, longitude and channel, or a variable for each channel. These keep
    their coordinates, may run from south to north, and stay lazy if they are chunked.

    Attributes:
        name: What to call it.
        factor: Fine points per coarse cell, along each axis.
        channels: Names of the channels in order; None where any will do.
        units: Units of the channels; empty where unknown.
        alignment: How coarse grids must lie to fine ones; None where either will do.
        is_stochastic: Whether its output depends on a seed.
        keeps_means: Whether its block means are the coarse field.
        is_paired: Whether it was trained with coarse fields of another archive, not block means.
        averaged_with: The normalisation of fields whose block means are what it was trained with;
            None where means are taken in physical units.
        identity: Digest of the files it was loaded from; empty if there are none.
    """

    name: str
    factor: int
    channels: tuple[str, ...] | None
    units: tuple[str, ...]
    alignment: Alignment | None
    is_stochastic: bool = False
    keeps_means: bool = False
    is_paired: bool = False
    averaged_with: Normalization | None = None
    identity: str = ""

    def __call__(
        self, low: Any, *, grid: Grid | None = None, high_grid: Grid | None = None, seed: int = 0,
        member: int = 0,
    ) -> Any:  # fmt: skip
        """Refines one or many fields.

        Args:
            low: Coarse fields; see the class.
            grid: The coarse grid of arrays; xarray objects have their own.
            high_grid: The fine grid that is wanted; by default the one that covers the same cells.
            seed: Of the noise of a stochastic generator. Each field of a series gets other noise.
            member: Which member of an ensemble; each has noise of its own.

        Returns:
            The same with f times the latitudes and longitudes, or those of `high_grid`; float32.

        Raises:
            ValueError: If channels, units or grids do not fit, or values are missing.
        """
        if type(low).__module__.split(".")[0] == "xarray":
            from srgan.restoration.labelled import refined

            if grid is not None:
                raise ValueError("`grid` is for arrays; xarray objects have coordinates")
            return refined(self, low, high_grid, seed, member)
        if grid is None:
            raise ValueError("arrays need the `grid` they are on")
        refinement = self.refinement(grid, high_grid)
        return self._series(np.asarray(low), refinement, seed, member)

    def refinement(self, grid: Grid, high_grid: Grid | None = None) -> Refinement:
        """The grids; warns if the coarse one is not what a generator was trained for."""
        if (concern := self.concern(grid)) is not None:
            warnings.warn(concern, UserWarning, stacklevel=3)
        return Refinement.of(grid, self.factor, self.alignment, high_grid)

    def field(
        self, low: np.ndarray, refinement: Refinement, *, seed: int = 0, member: int = 0,
        step: int = 0, where: str = "the field",
    ) -> np.ndarray:  # fmt: skip
        """Refines one field.

        Args:
            low: (channel, latitude, longitude), in physical units.
            refinement: The grids.
            seed: Where the noise of a stochastic generator begins. It depends on seed, member and
                step, and on nothing else.
            member: Of the ensemble.
            step: Of the series.
            where: What the field is called in errors.

        Returns:
            (channel, latitude, longitude) on the fine grid, in physical units, float32.
        """
        low = np.asarray(low, np.float32)
        expected = None if self.channels is None else len(self.channels)
        if (
            low.ndim != 3
            or low.shape[1:] != refinement.low.shape
            or expected not in (None, len(low))
        ):
            channels = "channel" if expected is None else expected
            raise ValueError(
                f"a field must be ({channels}, {refinement.low.shape[0]}, "
                f"{refinement.low.shape[1]}), as the channels {self.channels} and the grid; got "
                f"shape {low.shape}"
            )
        if not np.isfinite(low).all():
            names = self.channels or tuple(f"channel {i}" for i in range(len(low)))
            check_finite(low, [Channel(name) for name in names], "this time", where)
        high = self._refined(low, refinement, (seed, member, step))
        self._give_poles_one_value(high, low, refinement)
        return high

    def degraded(self, high: np.ndarray, grid: Grid) -> np.ndarray:
        """Block means of a fine field, as those it was trained with.

        Args:
            high: (channel, latitude, longitude), in physical units.
            grid: The fine grid.

        Returns:
            (channel, latitude, longitude) on the coarse grid, in physical units.
        """
        areas = grid.band_areas if self.averaged_with is None else None
        return self.physical(coarsen(self.averaged(high), self.factor, areas))

    def averaged(self, field: np.ndarray) -> np.ndarray:
        """A field (channel, latitude, longitude) in what its block means are taken in."""
        normalization = self.averaged_with
        if normalization is None:
            return field
        return normalization(field, axis=0)

    def physical(self, averaged: np.ndarray) -> np.ndarray:
        """Undoes `averaged`."""
        normalization = self.averaged_with
        if normalization is None:
            return averaged
        return normalization.inverse(averaged, axis=0)

    def concern(self, grid: Grid) -> str | None:
        """What speaks against using it on a coarse grid, if anything."""
        return None

    @abstractmethod
    def _refined(
        self, low: np.ndarray, refinement: Refinement, key: tuple[int, int, int]
    ) -> np.ndarray:
        """Refines a field whose shape and values have been checked."""

    def _give_poles_one_value(
        self, high: np.ndarray, low: np.ndarray, refinement: Refinement
    ) -> None:
        """Changes a fine field in place; see `poles`."""
        f, grid = self.factor, refinement.high
        chosen = scalars(self.channels, len(high))
        for row in polar_rows(grid):
            first = row // f * f
            rows = slice(first, min(first + f, grid.shape[0]))
            weights = grid.band_areas[rows]
            if self.averaged_with is not None:
                weights = np.ones_like(weights)
            coarse = self.averaged(low[:, row // f : row // f + 1])[chosen, 0]
            block = self.averaged(high[:, rows])
            block[chosen] = with_one_value(
                block[chosen], row - first, weights, coarse if self.keeps_means else None, f
            )
            high[:, rows] = self.physical(block)

    def _series(
        self, low: np.ndarray, refinement: Refinement, seed: int, member: int
    ) -> np.ndarray:
        if low.ndim < 3:
            raise ValueError(
                f"fields must be (..., channel, latitude, longitude); got shape {low.shape}"
            )
        out = np.empty((*low.shape[:-2], *refinement.high.shape), np.float32)
        for step, index in enumerate(np.ndindex(*low.shape[:-3])):
            out[index] = self.field(low[index], refinement, seed=seed, member=member, step=step)
        return out
