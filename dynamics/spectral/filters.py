"""Filters by degree: what is done to a state after a step, to take away its smallest scales.

A filter is a function of the state, for `integrators.with_filters`. Degree 0 is never changed,
hence neither mass nor other means.
"""

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np

from dynamics.spectral.spherical_harmonics import SphericalHarmonics

State = Any  # a nested structure of modal tensors


class DegreeFilter:
    """Multiplies coefficients by a function of their degree.

    Args:
        sphere: Whose modal arrays are filtered.
        factor: (degree,), dimensionless.
        names: Keys of a dictionary state to which the filter is confined. None: all leaves.
    """

    def __init__(
        self, sphere: SphericalHarmonics, factor: np.ndarray, names: Collection[str] | None = None
    ):
        if np.shape(factor) != sphere.degrees.shape:
            raise ValueError(
                f"`factor` must have one value for each degree, shape {sphere.degrees.shape}; "
                f"got shape {np.shape(factor)}."
            )
        self.factor = np.asarray(factor, float)
        self.names = names
        self._factor = sphere.constant(factor)

    def __call__(self, state: State) -> State:
        """The filtered state."""
        if self.names is None:
            return keras.tree.map_structure(self._apply, state)
        if not isinstance(state, Mapping):
            raise TypeError(f"A filter of {self.names} needs a dictionary; got {type(state)}.")
        missing = set(self.names) - set(state)
        if missing:
            raise ValueError(f"The state has no {sorted(missing)}, only {sorted(state)}.")
        return {
            name: keras.tree.map_structure(self._apply, value) if name in self.names else value
            for name, value in state.items()
        }

    def _apply(self, modal: Any) -> Any:
        return modal * self._factor


def hyperdiffusion(
    sphere: SphericalHarmonics,
    step: float,
    *,
    time_scale: float,
    order: int = 4,
    names: Collection[str] | None = None,
) -> DegreeFilter:
    """Hyperdiffusion ∂x/∂t = -(-1)^(n/2) ν ∇ⁿ x over a step, solved implicitly.

    The factor is 1 / (1 + (step / time_scale) (l (l + 1) / (T (T + 1)))^(n/2)).

    Args:
        sphere: Whose modal arrays are filtered.
        step: Of the integrator, s.
        time_scale: In which the largest degree falls by e (for short steps), s.
        order: n, even; 2 is diffusion.
        names: Keys of the state that are diffused. None: all.
    """
    if order < 2 or order % 2:
        raise ValueError(f"`order` must be even and positive; got order={order}.")
    if not time_scale > 0:
        raise ValueError(f"`time_scale` must be positive seconds; got time_scale={time_scale}.")
    relative = sphere.laplacian_eigenvalues / sphere.laplacian_eigenvalues[-1]
    return DegreeFilter(sphere, 1 / (1 + step / time_scale * relative ** (order // 2)), names)


def exponential_filter(
    sphere: SphericalHarmonics,
    step: float,
    *,
    time_scale: float,
    order: int = 18,
    cutoff: float = 0.0,
    names: Collection[str] | None = None,
) -> DegreeFilter:
    """The factor exp(-(step / time_scale) ((l/T - c) / (1 - c))ⁿ) where l/T > c, else 1.

    Args:
        sphere: Whose modal arrays are filtered.
        step: Of the integrator, s.
        time_scale: In which the largest degree falls by e, s.
        order: n; the larger, the fewer degrees are touched.
        cutoff: c, from 0 to 1.
        names: Keys of the state that are filtered. None: all.
    """
    if not 0 <= cutoff < 1:
        raise ValueError(f"`cutoff` must be from 0 to below 1; got cutoff={cutoff}.")
    if not time_scale > 0:
        raise ValueError(f"`time_scale` must be positive seconds; got time_scale={time_scale}.")
    relative = np.maximum(sphere.degrees / sphere.truncation - cutoff, 0.0) / (1.0 - cutoff)
    return DegreeFilter(sphere, np.exp(-step / time_scale * relative**order), names)
