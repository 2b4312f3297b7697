"""Vorticity and divergence of a wind, by spherical harmonics or by finite differences.

On the sphere of radius a, with latitude φ and longitude λ,
    ζ = (∂v/∂λ - ∂(u cosφ)/∂φ) / (a cosφ),    δ = (∂u/∂λ + ∂(v cosφ)/∂φ) / (a cosφ).
Global grids are transformed: the wind is analysed in vector spherical harmonics up to a truncation,
where both derivatives are exact, and the poles are points like all others. Regional grids are
differenced, to second order. Conventions: winds in m s⁻¹, results in s⁻¹, fields are
(latitude, longitude), rows from north to south.
"""

from types import ModuleType
from typing import Literal

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS

Method = Literal["auto", "harmonics", "differences"]

POLE = 90.0 - 1e-6  # degrees; rows beyond are pole points, where 1/cosφ has no meaning
_GEOMETRY = {"regular": "CC", "cell-centred": "F1", "driscoll-healy": "DH", "gauss": "GL"}


def vorticity_divergence(
    eastward_wind: np.ndarray,
    northward_wind: np.ndarray,
    grid: Grid,
    *,
    radius: float = EARTH_RADIUS,
    truncation: int | None = None,
    method: Method = "auto",
    nthreads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Relative vorticity and divergence of a wind.

    Args:
        eastward_wind: u in m s⁻¹. Shape (latitude, longitude), that of the grid.
        northward_wind: v in m s⁻¹. Same shape.
        grid: Where the points lie.
        radius: Of the sphere, in metres.
        truncation: Largest degree l kept; by default the largest that the grid resolves exactly.
        method: "harmonics" (global grids only), "differences" (any grid), or "auto": harmonics
            wherever the grid is global.
        nthreads: Threads of the harmonic transform; results do not depend on it.

    Returns:
        Vorticity and divergence in s⁻¹, of the shape and floating type of `eastward_wind`.

    Raises:
        ValueError: If shapes differ from the grid's, the truncation is beyond what it resolves, or
            the method cannot be used on it.
        ImportError: If harmonics are needed and ducc0 is not installed.
    """
    u, v = np.asarray(eastward_wind), np.asarray(northward_wind)
    if u.shape != grid.shape or v.shape != grid.shape:
        raise ValueError(
            f"winds must have the shape of the grid, {grid.shape}; got eastward_wind {u.shape} "
            f"and northward_wind {v.shape}"
        )
    dtype = u.dtype if np.issubdtype(u.dtype, np.floating) else np.dtype(np.float64)
    u, v = u.astype(np.float64), v.astype(np.float64)
    if method == "differences" or (method == "auto" and not grid.is_global):
        if truncation is not None:
            raise ValueError(
                "`truncation` needs spherical harmonics, hence a global grid; "
                f"this one is {grid}, and is differenced"
            )
        vorticity, divergence = _by_differences(u, v, grid, radius)
    elif method in ("auto", "harmonics"):
        vorticity, divergence = _by_harmonics(u, v, grid, radius, truncation, nthreads)
    else:
        raise ValueError(
            f"`method` must be 'auto', 'harmonics' or 'differences'; got method={method!r}"
        )
    return vorticity.astype(dtype, copy=False), divergence.astype(dtype, copy=False)


def _by_harmonics(
    u: np.ndarray, v: np.ndarray, grid: Grid, radius: float, truncation: int | None, nthreads: int
) -> tuple[np.ndarray, np.ndarray]:
    """V = ∇χ + r̂ × ∇ψ: its spin-1 coefficients, times -√(l(l+1))/a, are those of δ and ζ.

    In ducc0 components point southwards and eastwards; its E slot is the gradient, its B slot the
    rotated gradient.
    """
    if not grid.is_global:
        raise ValueError(f"spherical harmonics need a global grid; this one is {grid}")
    largest = grid.max_truncation
    lmax = largest if truncation is None else truncation
    if not 1 <= lmax <= largest:
        raise ValueError(f"`truncation` must lie in 1..{largest} on {grid}; got {truncation}")
    sht = import_ducc0().sht
    rows, columns = grid.shape
    # Where the first column lies does not matter: the sphere looks alike from every meridian.
    options = {"lmax": lmax, "nthreads": nthreads, "geometry": _GEOMETRY[grid.kind]}
    modal = sht.analysis_2d(map=np.stack([-v, u]), spin=1, **options)
    modal *= -np.sqrt(degree_of_modes(lmax) * (degree_of_modes(lmax) + 1.0)) / radius
    nodal = [
        sht.synthesis_2d(alm=modal[i : i + 1], spin=0, ntheta=rows, nphi=columns, **options)[0]
        for i in (1, 0)
    ]
    return nodal[0], nodal[1]


def degree_of_modes(truncation: int) -> np.ndarray:
    """Degree l of each coefficient in ducc0's order: order m outside, l = m..truncation inside."""
    return np.concatenate([np.arange(m, truncation + 1) for m in range(truncation + 1)])


def import_ducc0() -> ModuleType:
    """Returns ducc0, or says how to install it: it is optional, since its licence is the GPL."""
    try:
        import ducc0
    except ImportError as error:
        raise ImportError(
            "vorticity and divergence of global winds need ducc0, an optional package under the "
            "GPL: pip install 'atmodist[fast]'"
        ) from error
    module: ModuleType = ducc0
    return module


def _by_differences(
    u: np.ndarray, v: np.ndarray, grid: Grid, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    if min(grid.shape) < 3:
        raise ValueError(f"finite differences need at least 3 x 3 points; the grid is {grid}")
    cos = np.cos(np.radians(grid.latitude))[:, None]
    poles = np.abs(grid.latitude) > POLE
    if poles.any() and not grid.is_periodic:
        raise ValueError(
            f"a pole cannot be differenced unless the grid goes around it; leave its row out "
            f"(grid {grid})"
        )
    scale = radius * np.where(poles[:, None], 1.0, cos)
    vorticity = (_by_longitude(v, grid) - _by_latitude(u * cos, grid)) / scale
    divergence = (_by_longitude(u, grid) + _by_latitude(v * cos, grid)) / scale
    for row in np.flatnonzero(poles):
        vorticity[row], divergence[row] = _at_pole(u, v, grid, radius, int(row))
    return vorticity, divergence


def _by_longitude(field: np.ndarray, grid: Grid) -> np.ndarray:
    """∂/∂λ, per radian; across the last column into the first where the grid is periodic."""
    longitude = np.radians(grid.longitude)
    if not grid.is_periodic:
        return np.gradient(field, longitude, axis=-1, edge_order=2)
    turn = 2 * np.pi
    padded = np.concatenate([field[:, -1:], field, field[:, :1]], axis=-1)
    around = np.concatenate([longitude[-1:] - turn, longitude, longitude[:1] + turn])
    return np.gradient(padded, around, axis=-1)[:, 1:-1]


def _by_latitude(field: np.ndarray, grid: Grid) -> np.ndarray:
    """∂/∂φ, per radian; one-sided in the first and last row."""
    return np.gradient(field, np.radians(grid.latitude), axis=-2, edge_order=2)


def _at_pole(
    u: np.ndarray, v: np.ndarray, grid: Grid, radius: float, row: int
) -> tuple[float, float]:
    """Means over the polar cap: circulation and outflow on its rim, the next row, by its area."""
    rim, sign = (1, 1.0) if row == 0 else (row - 1, -1.0)
    phi = np.radians(abs(grid.latitude[rim]))
    scale = sign * np.cos(phi) / (radius * (1.0 - np.sin(phi)))
    return float(scale * u[rim].mean()), float(-scale * v[rim].mean())
