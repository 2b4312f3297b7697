"""How good an ensemble is as a probability: CRPS, spread against skill, ranks.

With the M members x_i, sorted x_(1) ≤ ... ≤ x_(M), and the reference y at a point,

    CRPS      = 1/M Σ_i |x_i - y| - 1/(2 M²)       Σ_i Σ_j |x_i - x_j|,
    fair CRPS = 1/M Σ_i |x_i - y| - 1/(2 M (M-1)) Σ_i Σ_j |x_i - x_j|     (Ferro, 2014),

where ½ Σ_i Σ_j |x_i - x_j| = Σ_i (2i - M - 1) x_(i). The first is ∫ (F(x) - 1[x ≥ y])² dx for the
step function F of the members, and the absolute error for one member; the second is, on average,
what an endless ensemble of such members would have, so that ensembles of different sizes compare.
One member has no fair CRPS (NaN).

    spread² = (1 + 1/M) ⟨1/(M-1) Σ_i (x_i - x̄)²⟩,    skill² = ⟨(x̄ - y)²⟩

are equal on average where the reference is one more draw like the members (Fortin et al., 2014).
Members are the first axis of arrays, or the dimension "member".
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.fields.labelled import is_labelled
from evaluation.scores.reduction import SPACE, Axis, area_means, reduced

MEMBER = "member"


def crps(
    members: Any, reference: Any, *, fair: bool = False, reduce: Sequence[Axis] = SPACE,
    grid: Grid | None = None, weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Continuous ranked probability score, lower is better; see the module.

    Args:
        members: (member, ...), in units u; see `scores.reduction`.
        reference: (...).
        fair: Whether to correct for the number of members.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        u, of the axes that are kept.
    """

    def at_points(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        ordered = np.sort(np.asarray(values), axis=0).astype(np.float64)
        return crps_of_ordered(ordered, np.asarray(truth))[int(fair)]

    points = _over_members(at_points, members, reference)
    return reduced(
        area_means, points, reduce=reduce, grid=grid, weights=weights, skipna=skipna,
        units=lambda u: u, long_name="fair CRPS" if fair else "CRPS",
    )  # fmt: skip


def spread(
    members: Any, *, reduce: Sequence[Axis] = SPACE, grid: Grid | None = None,
    weights: np.ndarray | None = None, skipna: bool = False,
) -> Any:  # fmt: skip
    """Spread of the members, as large as the RMSE of their mean where they are reliable.

        √((1 + 1/M) ⟨1/(M-1) Σ_i (x_i - x̄)²⟩)

    Args:
        members: (member, ...), in units u; see `scores.reduction`. Two at least.
        reduce: Axes that go; see `scores.reduction`, also for what follows.
        grid: Of arrays.
        weights: Of the latitudes; by default those of the grid.
        skipna: Whether missing values are left out; by default they are refused.

    Returns:
        u, of the axes that are kept.
    """
    count = members.sizes[MEMBER] if is_labelled(members) else len(members)
    if count < 2:
        raise ValueError(f"a spread needs two members at least; got {count}")
    points = _over_members(member_variance, members)
    return reduced(
        lambda rows, of: spread_of_variance(area_means(rows, of), count), points, reduce=reduce,
        grid=grid, weights=weights, skipna=skipna, units=lambda u: u, long_name="spread",
    )  # fmt: skip


def member_variance(members: np.ndarray) -> np.ndarray:
    """1/(M-1) Σ_i (x_i - x̄)² of (member, ...), in float64; NaN for one member."""
    if len(members) < 2:
        return np.full(members.shape[1:], np.nan)
    return np.asarray(np.asarray(members, dtype=np.float64).var(axis=0, ddof=1))


def spread_of_variance(variance: np.ndarray, count: int) -> np.ndarray:
    """√((1 + 1/M) variance), for a mean variance of M members."""
    return np.asarray(np.sqrt((1 + 1 / max(count, 1)) * variance))


def crps_of_ordered(ordered: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CRPS and fair CRPS, each (...), of members (member, ...) in ascending order."""
    count = len(ordered)
    error = np.abs(ordered - reference).mean(axis=0)
    factors = 2.0 * np.arange(1, count + 1) - count - 1
    apart = np.tensordot(factors, ordered, axes=1) / count
    fair = error - apart / (count - 1) if count > 1 else np.full_like(error, np.nan)
    return error - apart / count, fair


def ranks(members: np.ndarray, reference: np.ndarray, lots: np.ndarray) -> np.ndarray:
    """How many members lie below the reference, where those equal to it lie below by lot.

    Args:
        members: (member, ...).
        reference: (...).
        lots: Uniform in 0 ≤ x < 1, (...).

    Returns:
        (...), integers from 0 to the number of members.
    """
    below = (members < reference).sum(axis=0)
    equal = (members == reference).sum(axis=0)
    return below + (lots * (equal + 1)).astype(np.int64)


def spread_skill(variance: np.ndarray, squared_error: np.ndarray, count: int) -> np.ndarray:
    """Spread over skill; see the module.

    Args:
        variance: Mean unbiased variance of the members, u².
        squared_error: Mean squared error of their mean, u².
        count: Number of members.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((1 + 1 / count) * variance / squared_error)


def _over_members(formula: Callable[..., np.ndarray], members: Any, *others: Any) -> Any:
    """At each point, whatever lies before it."""
    if not is_labelled(members):
        return formula(np.asarray(members), *others)
    import xarray as xr

    if MEMBER not in members.dims:
        raise ValueError(
            f"there is no dimension {MEMBER!r}; there are {tuple(map(str, members.dims))}"
        )
    found = xr.apply_ufunc(
        lambda values, *rest: formula(np.moveaxis(values, -1, 0), *rest),
        members,
        *others,
        input_core_dims=[[MEMBER], *([[]] * len(others))],
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,
    )
    return found
