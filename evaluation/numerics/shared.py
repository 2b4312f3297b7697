"""What several statistics need of a field: made once for each sample, by `Sample.shared`."""

import numpy as np

from evaluation.numerics.gradients import gradient_magnitude
from evaluation.numerics.setting import Setting


def coefficients(field: np.ndarray, setting: Setting) -> np.ndarray:
    """Spherical-harmonic coefficients, (channel, mode); see `spherical.analysis`."""
    from evaluation.numerics.spherical import analysis

    return analysis(field, setting.grid)


def slopes(field: np.ndarray, setting: Setting) -> np.ndarray:
    """|∇f| in the cells of the grid, per km; see `gradients.gradient_magnitude`."""
    return gradient_magnitude(field, setting.grid, setting.radius)
