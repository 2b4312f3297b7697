"""States and runs that the tests of the primitive equations share."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from dynamics.integrators import SIL3
from dynamics.spectral.primitive_equations import PrimitiveEquations


def compiled(function: Callable) -> Callable:
    """`function` of nested structures of tensors, compiled where the backend can."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        return tensorflow.function(function)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


class Runner:
    """Integrates equations by SIL3, compiled once for all step sizes.

    Args:
        equations: To integrate.
        filters: Applied to the state after each step.
    """

    def __init__(self, equations: PrimitiveEquations, *filters: Callable):
        def advance(state: Any, step: Any) -> Any:
            state = SIL3(equations, state, step)
            for apply in filters:
                state = apply(state)
            return state

        self._advance = compiled(advance)
        self._constant = equations.sphere.constant

    def __call__(self, state: Any, step: float, times: int) -> Any:
        """The state so many steps (of `step` seconds) later."""
        step = self._constant(step)
        for _ in range(times):
            state = self._advance(state, step)
        return state


def random_state(
    equations: PrimitiveEquations, *, seed: int = 0, lead: tuple[int, ...] = ()
) -> Any:
    """A smooth state of about the size of weather: 20 m/s, 5 K, 20 hPa; degrees to two thirds."""
    sphere, rng = equations.sphere, np.random.default_rng(seed)
    num_levels = len(equations.levels)

    def draw(size: float, levels: int = num_levels) -> Any:
        drawn = rng.standard_normal((*lead, levels, *sphere.mask.shape)) * sphere.mask
        drawn *= sphere.degrees <= 2 * sphere.truncation / 3
        drawn[..., 0, 0, 0] = 0.0
        return sphere.constant(size * drawn / np.sqrt((drawn**2).sum((-3, -2, -1), keepdims=True)))

    return {
        "vorticity": draw(3e-5),
        "divergence": draw(3e-6),
        "temperature": draw(5.0),
        "log_surface_pressure": draw(0.02, 1),
    }


def mountain(sphere: Any, height: float = 2000.0) -> np.ndarray:
    """Geopotential of a smooth mountain in the northern hemisphere, (latitude, longitude)."""
    latitude = np.radians(sphere.latitude)[:, None]
    longitude = np.radians(sphere.longitude)
    cosine = np.sin(0.7) * np.sin(latitude) + np.cos(0.7) * np.cos(latitude) * np.cos(longitude - 2)
    return 9.81 * height * np.exp(3 * (cosine - 1))


def largest(value: Any) -> float:
    """The largest modulus in an array."""
    return float(np.max(np.abs(ops.convert_to_numpy(value))))
