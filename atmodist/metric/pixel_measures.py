"""Measures of two fields pixel by pixel, of each pair on its own: l1, l2, PSNR and SSIM.

Fields are (pair, latitude, longitude, channel). Means over space are weighted with `row_weights`
(pair, latitude), which sum to one for each pair.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

PixelMeasure = Literal["l1", "l2", "l2_normalized", "psnr", "ssim"]
PIXEL_MEASURES: tuple[PixelMeasure, ...] = get_args(PixelMeasure)

SSIM_SIGMA = 1.5  # grid points; with the rest as Wang et al. (2004) have them
SSIM_RADIUS = 5  # grid points: a window of 11 x 11
SSIM_K1, SSIM_K2 = 0.01, 0.03


def l1(a: np.ndarray, b: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
    """⟨|a - b|⟩ of each pair; fields (pair, latitude, longitude, channel)."""
    return row_mean(np.abs(a - b), row_weights)


def l2(a: np.ndarray, b: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
    """⟨(a - b)²⟩ of each pair; fields (pair, latitude, longitude, channel)."""
    return row_mean((a - b) ** 2, row_weights)


def psnr(a: np.ndarray, b: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each pair, in dB; larger for more similar fields.

    PSNR = 10 log10(L² / ⟨(a - b)²⟩) for each channel, then the mean over channels. L is the range
    of the values of that channel in both fields of the pair together. Equal fields have +∞.
    """
    ranges = _data_range(a, b)
    errors = np.stack(
        [row_mean((a[..., c] - b[..., c])[..., None] ** 2, row_weights) for c in _channels(a)], 1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(errors > 0, ranges**2 / errors, np.inf)
        return np.asarray(10 * np.log10(ratios).mean(axis=1))


def ssim(a: np.ndarray, b: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
    """Structural similarity of each pair (Wang et al., 2004), dimensionless; 1 for equal fields.

    With means μ, variances σ² and the covariance σ_ab in a Gaussian window (σ = 1.5 grid points,
    11 x 11, weights that sum to one, hence no n/(n-1)),

        SSIM = (2 μ_a μ_b + C1) (2 σ_ab + C2) / ((μ_a² + μ_b² + C1) (σ_a² + σ_b² + C2)),

    with C1 = (0.01 L)², C2 = (0.03 L)² and L as for `psnr`; the mean over the places where the
    whole window lies inside the patch, then over channels.
    """
    similarity = ssim_map(a, b, _data_range(a, b))
    weights = row_weights[:, SSIM_RADIUS:-SSIM_RADIUS]
    return row_mean(similarity, weights / weights.sum(axis=1, keepdims=True))


def ssim_map(a: np.ndarray, b: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """SSIM of each place where the whole window lies inside the patch; see `ssim`.

    Args:
        a: (pair, latitude, longitude, channel).
        b: The same.
        ranges: L of each pair and channel; where it is not positive, one is taken, which any other
            would equal for constant and equal fields. Shape (pair, channel).

    Returns:
        (pair, latitude - 10, longitude - 10, channel), float64.
    """
    from scipy.ndimage import gaussian_filter

    if min(a.shape[1:3]) <= 2 * SSIM_RADIUS:
        raise ValueError(
            f"SSIM needs patches of more than {2 * SSIM_RADIUS} x {2 * SSIM_RADIUS} grid points; "
            f"got {a.shape[1]} x {a.shape[2]}"
        )
    inner = slice(SSIM_RADIUS, -SSIM_RADIUS)

    def smooth(x: np.ndarray) -> np.ndarray:
        smoothed = gaussian_filter(x, SSIM_SIGMA, radius=SSIM_RADIUS, axes=(1, 2))
        return np.asarray(smoothed[:, inner, inner])

    a, b = a.astype(np.float64), b.astype(np.float64)
    ranges = np.where(ranges > 0, ranges, 1.0)[:, None, None, :]
    c1, c2 = (SSIM_K1 * ranges) ** 2, (SSIM_K2 * ranges) ** 2
    mean_a, mean_b = smooth(a), smooth(b)
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance = smooth(a * b) - product
    variances = smooth(a * a + b * b) - squares  # of both, added
    similarity = (2 * product + c1) * (2 * covariance + c2)
    similarity /= (squares + c1) * (variances + c2)
    return np.asarray(similarity)


PIXEL: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "l1": l1,
    "l2": l2,
    "l2_normalized": l2,
    "psnr": psnr,
    "ssim": ssim,
}


def row_mean(values: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
    """Mean of (pair, row, ..., channel) with weights of rows that sum to one; float64."""
    rows = values.mean(axis=tuple(range(2, values.ndim)), dtype=np.float64)
    return np.asarray((rows * row_weights).sum(axis=1))


def _channels(a: np.ndarray) -> range:
    return range(a.shape[-1])


def _data_range(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Largest minus smallest value of both fields; (pair, channel)."""
    space = (1, 2)
    highest = np.maximum(a.max(axis=space), b.max(axis=space)).astype(np.float64)
    return np.asarray(highest - np.minimum(a.min(axis=space), b.min(axis=space)))
