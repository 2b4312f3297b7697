"""Linear probes: what about the weather can be read from features by a straight line.

A probe is a ridge regression from features x to a target y, y ≈ w·x + b, judged on times that it
has not seen. Neighbouring times are alike, so that a random split would only test interpolation:
folds are contiguous blocks of time, and times near a block are left out of its training too. The
penalty is chosen within the training times alone, in the same way. The score is

    R² = 1 - Σ (y - ŷ)² / Σ (y - ȳ_train)²,

which is 1 for a perfect probe, 0 for one that says the mean of the training times, and may be
negative.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS

PENALTIES = tuple(10.0**k for k in range(-4, 7))
NUM_BLOCKS = 5
JET_BAND = (20.0, 80.0)  # degrees from the equator

_SECONDS_PER_DAY = 86_400
_DAYS_PER_YEAR = 365.2425


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeResult:
    """How well a target could be read.

    Attributes:
        r2: R² over all blocks together, dimensionless.
        block_r2: 1 - (mean squared error of a block) / (that of the training mean over all blocks);
            their mean, weighted with the lengths of the blocks, is `r2`. Shape (block,).
        prediction: Out-of-sample prediction of each time, in the units of the target. (time,)
        penalties: The chosen penalty of each block, dimensionless. Shape (block,).
    """

    r2: float
    block_r2: np.ndarray
    prediction: np.ndarray
    penalties: np.ndarray

    @property
    def spread(self) -> float:
        """Standard deviation of R² over the blocks."""
        return float(self.block_r2.std(ddof=1))

    def __str__(self) -> str:
        low, high = self.block_r2.min(), self.block_r2.max()
        return f"R² {self.r2:.3f} ± {self.spread:.3f} ({low:.3f} to {high:.3f} over blocks of time)"


def linear_probe(
    features: np.ndarray,
    target: np.ndarray,
    *,
    num_blocks: int = NUM_BLOCKS,
    gap: int = 0,
    penalties: Sequence[float] = PENALTIES,
) -> ProbeResult:
    """Ridge regression, cross-validated over blocks of time.

    Features are standardised with the training times; the penalty λ multiplies n Σ w², with n the
    number of training times, so that it does not depend on the length of the series.

    Args:
        features: (time, feature), in time order.
        target: (time,), finite.
        num_blocks: Contiguous blocks of time, each predicted from the others.
        gap: Times left out of training on either side of a block; at least as many as the weather
            remembers.
        penalties: λ to choose from, positive.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, the target is constant in the
            training times, or there are too few times.
    """
    x, y = _checked(features, target)
    if num_blocks < 2 or gap < 0:
        raise ValueError(f"`num_blocks` must be >= 2 and `gap` >= 0; got {num_blocks} and {gap}")
    if not len(penalties) or min(penalties) <= 0:
        raise ValueError(f"`penalties` must be positive; got {list(penalties)}")
    prediction, baseline = np.empty_like(y), np.empty_like(y)
    folds = list(time_blocks(len(y), num_blocks, gap))
    chosen = []
    for test, train in folds:
        if len(train) < 2 * num_blocks:
            raise ValueError(
                f"{len(y)} times are too few for {num_blocks} blocks with a gap of {gap}"
            )
        penalty = _best_penalty(x[train], y[train], num_blocks, gap, penalties)
        chosen.append(penalty)
        prediction[test] = _ridge(x[train], y[train], x[test], [penalty])[0]
        baseline[test] = y[train].mean()
    null = ((y - baseline) ** 2).mean()
    if null == 0:
        raise ValueError("the target is constant: there is nothing to be read")
    errors = np.array([((y - prediction)[test] ** 2).mean() for test, _ in folds])
    return ProbeResult(
        r2=float(1 - ((y - prediction) ** 2).mean() / null),
        block_r2=1 - errors / null,
        prediction=prediction,
        penalties=np.array(chosen),
    )


def time_blocks(
    num_times: int, num_blocks: int, gap: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Contiguous blocks of times, each with the times to train on: all others beyond the gap."""
    if num_times < num_blocks:
        raise ValueError(f"{num_times} times cannot make {num_blocks} blocks")
    edges = np.linspace(0, num_times, num_blocks + 1).round().astype(int)
    times = np.arange(num_times)
    return [
        (times[first:last], times[(times < first - gap) | (times >= last + gap)])
        for first, last in itertools.pairwise(edges)
    ]


def day_of_year(seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Season as a point on a circle.

    Args:
        seconds: Since 1970-01-01, in the standard calendar. Shape (time,).

    Returns:
        sin and cos of 2π d / 365.2425, with d the days since the year began; dimensionless.
    """
    times = np.asarray(seconds).astype("datetime64[s]")
    since = (times - times.astype("datetime64[Y]").astype("datetime64[s]")).astype(np.int64)
    angle = 2 * np.pi * since / _SECONDS_PER_DAY / _DAYS_PER_YEAR
    return np.sin(angle), np.cos(angle)


def mean_magnitude(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Area-weighted mean of |field|, for instance of divergence, in its units.

    Args:
        field: (..., latitude, longitude).
        grid: Its grid.
    """
    return np.asarray((np.abs(field) * grid.area_weights).sum(axis=(-2, -1)))


def zonal_mean_wind(vorticity: np.ndarray, grid: Grid) -> np.ndarray:
    """Zonal-mean eastward wind, which the zonal-mean vorticity determines.

    From [ζ] = -1/(a cos φ) ∂([u] cos φ)/∂φ and no wind at the poles, with the trapezoidal rule:

        [u] cos φ = a ∫ from φ to 90° N of [ζ] cos φ' dφ'.

    Args:
        vorticity: (..., latitude, longitude), in s⁻¹.
        grid: A global grid.

    Returns:
        (..., latitude), in m s⁻¹; zero at the poles themselves.
    """
    if not grid.is_global:
        raise ValueError("the zonal-mean wind follows from vorticity on a global grid only")
    phi = np.radians(np.concatenate([[90.0], grid.latitude]))
    zeta = np.asarray(vorticity, np.float64).mean(axis=-1)
    zeta = np.concatenate([zeta[..., :1], zeta], axis=-1)
    integrand = zeta * np.cos(phi)
    parts = (integrand[..., 1:] + integrand[..., :-1]) / 2 * -np.diff(phi)
    cosine = np.cos(phi[1:])
    at_pole = cosine < 1e-6
    wind = EARTH_RADIUS * np.cumsum(parts, axis=-1) / np.where(at_pole, 1.0, cosine)
    return np.where(at_pole, 0.0, wind)


def jet_latitude(
    vorticity: np.ndarray, grid: Grid, *, hemisphere: int = 1, band: tuple[float, float] = JET_BAND
) -> np.ndarray:
    """Latitude of the strongest zonal-mean westerlies, a parabola giving the fraction of a row.

    Args:
        vorticity: (..., latitude, longitude), in s⁻¹.
        grid: A global grid.
        hemisphere: 1 for the northern one, -1 for the southern one.
        band: Degrees from the equator to look between.

    Returns:
        (...), in degrees north.
    """
    if hemisphere not in (1, -1):
        raise ValueError(f"`hemisphere` must be 1 or -1; got {hemisphere}")
    poleward = hemisphere * grid.latitude
    rows = np.flatnonzero((poleward >= band[0]) & (poleward <= band[1]))
    if len(rows) < 3:
        raise ValueError(f"three rows at least must lie between {band} degrees; got {len(rows)}")
    wind = zonal_mean_wind(vorticity, grid)[..., rows]
    top = wind.argmax(axis=-1)
    middle = top.clip(1, len(rows) - 2)
    before, at, after = (
        np.take_along_axis(wind, (middle + k)[..., None], axis=-1)[..., 0] for k in (-1, 0, 1)
    )
    curvature = before - 2 * at + after
    peaked = (top == middle) & (curvature < 0)
    offset = np.where(peaked, (before - after) / (2 * np.where(peaked, curvature, 1.0)), 0.0)
    place = np.where(peaked, middle + offset, top)
    return np.asarray(np.interp(place, np.arange(len(rows)), grid.latitude[rows]))


def _best_penalty(
    x: np.ndarray, y: np.ndarray, num_blocks: int, gap: int, penalties: Sequence[float]
) -> float:
    """The penalty with the smallest squared error in a cross-validation within the training."""
    errors = np.zeros(len(penalties))
    for test, train in time_blocks(len(y), num_blocks, gap):
        if len(train) > 1:
            predictions = _ridge(x[train], y[train], x[test], penalties)
            errors += ((predictions - y[test]) ** 2).sum(axis=1)
    return float(penalties[int(errors.argmin())])


def _ridge(x: np.ndarray, y: np.ndarray, at: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
    """Predictions (penalty, time) at `at`, by one singular value decomposition for all penalties.

    Features that do not vary in the training times are left out.
    """
    mean, std = x.mean(axis=0), x.std(axis=0)
    varies = std > 1e-12 * np.maximum(np.abs(mean), 1e-30)
    scaled, target = ((values[:, varies] - mean[varies]) / std[varies] for values in (x, at))
    left, singular, right = np.linalg.svd(scaled, full_matrices=False)
    along = left.T @ (y - y.mean())
    there = target @ right.T
    shrunk = [singular / (singular**2 + penalty * len(y)) * along for penalty in penalties]
    return np.stack([there @ coefficients + y.mean() for coefficients in shrunk])


def _checked(features: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(features, np.float64), np.asarray(target, np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(
            "`features` must be (time, feature) and `target` (time,); "
            f"got shapes {x.shape} and {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("`features` and `target` must be finite")
    return x, y
