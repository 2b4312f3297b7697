"""Spectra of fields on the sphere, and what is read off them.

S_l is the power of degree l (`numerics.spherical`), which sums to the area mean of f².
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.fields.labelled import axis_dimension, is_labelled
from atmodist.fields.orientation import Orientation
from atmodist.files.constants import EARTH_RADIUS
from evaluation.contract.units_text import squared_units
from evaluation.numerics import spectra
from evaluation.numerics.spherical import analysis, power_per_degree, wavelength
from evaluation.scores.reduction import SPACE, Axis, of_planes

DEGREE = "degree"


def power_spectrum(field: Any, *, grid: Grid | None = None, mean: Sequence[Axis] = ()) -> Any:
    """Power of each degree of spherical harmonics.

        S_l = (|a_l0|² + 2 Σ_m>0 |a_lm|²) / 4π,    Σ_l S_l = ⟨f²⟩

    Args:
        field: (..., latitude, longitude) on a global grid, in units u, or an xarray object; see
            `scores.reduction`. Missing values are refused.
        grid: Of arrays.
        mean: Other axes over which to take the mean, such as ("time",).

    Returns:
        (..., degree) in u², from degree 0 to the largest that the grid resolves.
    """
    return of_planes(
        lambda fields, points: power_per_degree(analysis(fields, points)), field, grid=grid,
        labels=_degrees(field, grid), mean=mean, units=squared_units, long_name="power per degree",
    )  # fmt: skip


def energy_spectrum(
    vorticity: Any, divergence: Any, *, grid: Grid | None = None, radius: float = EARTH_RADIUS,
    mean: Sequence[Axis] = (),
) -> Any:  # fmt: skip
    """Kinetic energy of each degree of spherical harmonics, without making the wind.

        E_l = a² / (2 l(l+1)) (S_l(ζ) + S_l(δ)),    Σ_l E_l = ⟨(u² + v²) / 2⟩

    since ζ = ∇²ψ and δ = ∇²χ, and -l(l+1)/a² is the eigenvalue of ∇² (Lambert, 1984); zero for l=0.

    Args:
        vorticity: ζ (..., latitude, longitude) in s⁻¹ on a global grid, or an xarray object.
        divergence: δ, alike.
        grid: Of arrays.
        radius: a, in m.
        mean: Other axes over which to take the mean, such as ("time",).

    Returns:
        (..., degree) in m² s⁻².
    """

    def formula(zeta: np.ndarray, delta: np.ndarray, points: Grid) -> np.ndarray:
        rotational, divergent = (
            energy_per_degree(power_per_degree(analysis(x, points)), radius) for x in (zeta, delta)
        )
        return rotational + divergent

    return of_planes(
        formula, vorticity, divergence, grid=grid, labels=_degrees(vorticity, grid), mean=mean,
        units=lambda u: "m2 s-2", long_name="kinetic energy per degree",
    )  # fmt: skip


def effective_resolution(
    spectrum: Any, reference: Any, *, threshold: float = 0.5, radius: float = EARTH_RADIUS
) -> Any:
    """Wavelength from which on a spectrum has lost its power, as `phire-eval` tells it.

    The first wavelength 2πa/√(l(l+1)) (Jeans), from long to short, at which spectrum / reference,
    smoothed by a running median over nine degrees, falls below the threshold; the finest one if it
    never does. (Skamarock, 2004, judges by departures from a slope; a reference needs none.)

    Args:
        spectrum: S_l or E_l, (..., degree) from degree 0, or with a dimension "degree".
        reference: Of the same shape.
        threshold: Share of the reference's power below which a scale counts as lost.
        radius: a, in m.

    Returns:
        (...), in km.
    """

    def formula(own: np.ndarray, aim: np.ndarray) -> np.ndarray:
        scale = wavelength(np.arange(1, own.shape[-1]), radius / 1000)
        return resolved_wavelength(own[..., 1:], aim[..., 1:], scale, threshold)

    return _along_degrees(formula, spectrum, reference, {"units": "km"})


def level_difference(spectrum: Any, reference: Any) -> Any:
    """Root mean square over degrees l > 0 of 10 log10(S_l / S_l of the reference), in dB.

    Lost and invented power count alike, at all scales, and 60 dB at most. Zero for equal spectra.

    Args:
        spectrum: (..., degree) from degree 0, or with a dimension "degree".
        reference: Of the same shape.
    """

    def formula(own: np.ndarray, aim: np.ndarray) -> np.ndarray:
        return spectra.level_difference(own[..., 1:], aim[..., 1:])

    return _along_degrees(formula, spectrum, reference, {"units": "dB"})


def resolved_wavelength(
    power: np.ndarray,
    reference: np.ndarray,
    scale: np.ndarray,
    threshold: float,
    width: int = spectra.MEDIAN_WIDTH,
) -> np.ndarray:
    """Wavelength at which the ratio of two spectra falls below a threshold; see the module.

    Args:
        power: (..., scale), from large to small scales.
        reference: The same.
        scale: Wavelengths, (scale,). Between them, it is interpolated in the wavenumber, of which
            ratios are smooth functions.
        threshold: What counts as lost.
        width: Of the running median.

    Returns:
        (...), in the unit of `scale`.
    """
    ratio = spectra.ratio_of(power, reference)
    return 1 / spectra.effective_resolution(ratio, 1 / scale, threshold, width)


def energy_per_degree(power: np.ndarray, radius: float = EARTH_RADIUS) -> np.ndarray:
    """E_l = a² / (2 l(l+1)) S_l of vorticity, or of divergence; zero for l = 0.

    Summed over l and both, it is the area mean of (u² + v²) / 2.

    Args:
        power: S_l in s⁻², (..., degree) from l = 0.
        radius: a, in m.

    Returns:
        (..., degree) in m² s⁻².
    """
    degree = np.arange(power.shape[-1], dtype=np.float64)
    factor = radius**2 / (2 * np.maximum(degree * (degree + 1), 1.0))
    factor[0] = 0.0
    return power * factor


def _along_degrees(formula: Any, spectrum: Any, reference: Any, attributes: dict[str, str]) -> Any:
    if not is_labelled(spectrum):
        own, aim = np.asarray(spectrum, np.float64), np.asarray(reference, np.float64)
        if own.shape[-1:] != aim.shape[-1:] or own.ndim < 1:
            raise ValueError(f"spectra must have the same degrees; got {own.shape}, {aim.shape}")
        return formula(own, aim)
    import xarray as xr

    found = xr.apply_ufunc(
        formula,
        spectrum,
        reference,
        input_core_dims=[[DEGREE], [DEGREE]],
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return found.assign_attrs(attributes)


def _degrees(field: Any, grid: Grid | None) -> dict[str, np.ndarray]:
    if is_labelled(field):
        first = next(iter(field.values())) if hasattr(field, "data_vars") else field
        rows, columns = (first[axis_dimension(first, axis)].values for axis in SPACE)
        grid = Orientation(rows, columns).grid
    if grid is None:
        raise ValueError("arrays need the `grid` they are on")
    if not grid.is_global:
        raise ValueError(f"spherical harmonics need a global grid; this one is {grid}")
    return {DEGREE: np.arange(grid.max_truncation + 1)}
