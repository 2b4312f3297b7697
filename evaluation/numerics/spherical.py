"""Spherical harmonics of fields on global grids: coefficients, power per degree, and back.

A field is f(θ, λ) = Σ_lm a_lm Y_lm(θ, λ) with orthonormal Y_lm and the Condon-Shortley phase. Only
m ≥ 0 is kept, order outside and degree inside (as healpy, ducc0 and GRIB do), since fields are
real: a_l,-m = (-1)^m conj(a_lm). The power of degree l,
    S_l = (|a_l0|² + 2 Σ_m>0 |a_lm|²) / 4π,
sums to the mean of f² over the area of the sphere, for fields that the grid resolves.

All kinds of global grids are transformed to the largest degree they determine (`Grid.
max_truncation`; 639 for 1280 x 2560 rows of Driscoll and Healy, 719 for 721 x 1440 with both
poles). ducc0 does it where it is installed (extra `fast`), on all threads, or as many as the
environment variable DUCC0_NUM_THREADS says; else pyshtools, to the same digits but about twenty
times slower. pyshtools knows grids of Driscoll and Healy, and of Gauss with 2n-1 columns; others
are first interpolated to those trigonometrically, along meridians continued across the poles,
which is exact.
"""

from functools import cache
from types import ModuleType

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.constants import EARTH_RADIUS

_GEOMETRY = {"regular": "CC", "cell-centred": "F1", "driscoll-healy": "DH", "gauss": "GL"}


def analysis(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Spherical-harmonic coefficients of fields on a global grid.

    Args:
        field: (..., latitude, longitude), in units u. float32 is transformed as such, with errors
            of about 1e-7 of the largest coefficients; everything else in double precision.
        grid: Where the points lie.

    Returns:
        (..., mode) complex, in u; see the module for their order.

    Raises:
        ValueError: If the grid is regional, or the field has another shape than it.
    """
    field = _checked(field, grid)
    lmax = grid.max_truncation
    transform = _analysis_ducc0 if _ducc0() else _analysis_pyshtools
    flat = field.reshape(-1, *grid.shape)
    modal = np.stack([transform(np.ascontiguousarray(f), grid, lmax) for f in flat])
    if grid.longitude[0] != 0.0:
        modal = modal * _turn(grid, lmax).astype(modal.dtype)
    return modal.reshape(*field.shape[:-2], -1)


def synthesis(modal: np.ndarray, grid: Grid) -> np.ndarray:
    """Fields on a global grid: the inverse of `analysis` for fields that the grid resolves.

    Args:
        modal: (..., mode) complex, up to any degree that the grid resolves.
        grid: Where the points lie.

    Returns:
        (..., latitude, longitude), float32 for complex64 and else float64.

    Raises:
        ValueError: If the grid is regional or too coarse for the degrees.
    """
    _require_global(grid)
    modal = np.asarray(modal)
    lmax = truncation_of(modal)
    if lmax > grid.max_truncation:
        raise ValueError(
            f"{grid} resolves degrees to {grid.max_truncation}; the coefficients reach {lmax}"
        )
    if grid.longitude[0] != 0.0:
        modal = modal * np.conj(_turn(grid, lmax)).astype(modal.dtype)
    transform = _synthesis_ducc0 if _ducc0() else _synthesis_pyshtools
    flat = modal.reshape(-1, modal.shape[-1])
    field = np.stack([transform(np.ascontiguousarray(m), grid, lmax) for m in flat])
    return field.reshape(*modal.shape[:-1], *grid.shape)


def power_per_degree(modal: np.ndarray) -> np.ndarray:
    """S_l = (|a_l0|² + 2 Σ_m>0 |a_lm|²) / 4π; summed over l it is the area mean of f².

    Args:
        modal: (..., mode) complex, in u.

    Returns:
        (..., degree) for l = 0 to the truncation, in u², float64.
    """
    modal = np.asarray(modal)
    lmax = truncation_of(modal)
    squares = np.square(modal.real, dtype=np.float64) + np.square(modal.imag, dtype=np.float64)
    squares[..., lmax + 1 :] *= 2.0
    flat = squares.reshape(-1, squares.shape[-1])
    degree = degrees(lmax)
    power = np.stack([np.bincount(degree, row, lmax + 1) for row in flat]) / (4 * np.pi)
    return power.reshape(*modal.shape[:-1], lmax + 1)


def random_modal(power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coefficients of an isotropic Gaussian random field that has exactly the given power.

    Args:
        power: S_l of l = 0, 1, ...; shape (degree,).
        rng: Where the draws come from.

    Returns:
        (mode,) complex128.
    """
    power = np.asarray(power, dtype=np.float64)
    lmax = len(power) - 1
    draws = rng.normal(size=(2, (lmax + 1) * (lmax + 2) // 2))
    modal = draws[0] + 1j * draws[1]
    modal[: lmax + 1] = modal[: lmax + 1].real * np.sqrt(2)
    return modal * np.sqrt(power / power_per_degree(modal))[degrees(lmax)]


def wavelength(degree: np.ndarray, radius: float = EARTH_RADIUS) -> np.ndarray:
    """2πa/√(l(l+1)) in the unit of `radius`: what degree l > 0 looks like locally (Jeans)."""
    degree = np.asarray(degree, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return 2 * np.pi * radius / np.sqrt(degree * (degree + 1.0))


@cache
def degrees(truncation: int) -> np.ndarray:
    """Degree l of each mode. Shape (mode,)."""
    degree = np.concatenate([np.arange(m, truncation + 1) for m in range(truncation + 1)])
    degree.flags.writeable = False
    return degree


@cache
def orders(truncation: int) -> np.ndarray:
    """Order m of each mode. Shape (mode,)."""
    order = np.repeat(np.arange(truncation + 1), np.arange(truncation + 1, 0, -1))
    order.flags.writeable = False
    return order


def truncation_of(modal: np.ndarray) -> int:
    """Largest degree of coefficients, from their number (l+1)(l+2)/2."""
    num = modal.shape[-1]
    lmax = round((np.sqrt(8 * num + 1) - 3) / 2)
    if (lmax + 1) * (lmax + 2) // 2 != num:
        raise ValueError(f"coefficients number (l+1)(l+2)/2 for some degree l; got {num}")
    return lmax


def _checked(field: np.ndarray, grid: Grid) -> np.ndarray:
    _require_global(grid)
    field = np.asarray(field)
    if field.shape[-2:] != grid.shape:
        raise ValueError(f"a field on {grid} must end in {grid.shape}; got shape {field.shape}")
    return field if field.dtype == np.float32 else field.astype(np.float64, copy=False)


def _require_global(grid: Grid) -> None:
    if not grid.is_global:
        raise ValueError(f"spherical harmonics need a global grid; this one is {grid}")


def _turn(grid: Grid, lmax: int) -> np.ndarray:
    """exp(-imλ₀): transforms count longitudes from the first column."""
    turn: np.ndarray = np.exp(-1j * np.radians(grid.longitude[0]) * orders(lmax))
    return turn


@cache
def _ducc0() -> ModuleType | None:
    """ducc0, or None where it is not installed: its licence, the GPL, keeps it optional."""
    try:
        import ducc0
    except ImportError:
        return None
    module: ModuleType = ducc0
    return module


def _shtools() -> ModuleType:
    """Fortran's own transforms: pyshtools would hand over to ducc0 where that is installed."""
    from pyshtools.backends import backend_module

    module: ModuleType = backend_module("shtools")
    return module


def _analysis_ducc0(field: np.ndarray, grid: Grid, lmax: int) -> np.ndarray:
    ducc0 = _ducc0()
    assert ducc0 is not None  # noqa: S101 - for the type checker
    modal: np.ndarray = ducc0.sht.analysis_2d(
        map=field[None], spin=0, lmax=lmax, geometry=_GEOMETRY[grid.kind], nthreads=0
    )[0]
    return modal


def _synthesis_ducc0(modal: np.ndarray, grid: Grid, lmax: int) -> np.ndarray:
    ducc0 = _ducc0()
    assert ducc0 is not None  # noqa: S101 - for the type checker
    rows, columns = grid.shape
    field: np.ndarray = ducc0.sht.synthesis_2d(
        alm=modal[None],
        spin=0,
        lmax=lmax,
        geometry=_GEOMETRY[grid.kind],
        ntheta=rows,
        nphi=columns,
        nthreads=0,
    )[0]
    return field


def _analysis_pyshtools(field: np.ndarray, grid: Grid, lmax: int) -> np.ndarray:
    expand = _shtools()

    zonal = np.fft.rfft(field.astype(np.float64), axis=-1, norm="forward")[:, : lmax + 1]
    if grid.kind == "gauss":
        rows = grid.shape[0]
        zeros, weights = _gauss_rule(rows)
        cilm = expand.SHExpandGLQ(_nodal(zonal, 2 * rows - 1), weights, zeros, lmax_calc=lmax)
    else:
        dense = zonal if grid.kind == "driscoll-healy" else _refined(zonal, grid)
        cilm = expand.SHExpandDH(_nodal(dense, 2 * len(dense)), sampling=2, lmax_calc=lmax)
    modal = np.concatenate([cilm[0, m:, m] - 1j * cilm[1, m:, m] for m in range(lmax + 1)])
    single = field.dtype == np.float32
    return (modal * _from_pyshtools(lmax)).astype(np.complex64 if single else np.complex128)


def _synthesis_pyshtools(modal: np.ndarray, grid: Grid, lmax: int) -> np.ndarray:
    expand = _shtools()

    scaled = modal.astype(np.complex128) / _from_pyshtools(lmax)
    largest = {"gauss": grid.shape[0] - 1, "driscoll-healy": grid.shape[0] // 2 - 1}.get(
        grid.kind, _intervals(grid) - 1
    )
    cilm = np.zeros((2, largest + 1, largest + 1))
    start = 0
    for m in range(lmax + 1):
        values = scaled[start : start + lmax + 1 - m]
        cilm[0, m : lmax + 1, m], cilm[1, m : lmax + 1, m] = values.real, -values.imag
        start += lmax + 1 - m
    if grid.kind == "gauss":
        dense = expand.MakeGridGLQ(cilm, _gauss_rule(grid.shape[0])[0])
    else:
        dense = expand.MakeGridDH(cilm, sampling=2, extend=grid.kind == "regular")
        dense = dense[:, :-1] if grid.kind == "regular" else dense
        dense = {"regular": dense[::2], "cell-centred": dense[1::2]}.get(grid.kind, dense)
    zonal = np.fft.rfft(dense, axis=-1, norm="forward")[:, : lmax + 1]
    return _nodal(zonal, grid.shape[1]).astype(
        np.float32 if modal.dtype == np.complex64 else np.float64
    )


def _from_pyshtools(lmax: int) -> np.ndarray:
    """From C_lm - i S_lm, 4π-normalised and without the Condon-Shortley phase."""
    order = orders(lmax)
    scale = np.sqrt(4 * np.pi) * np.where(order == 0, 1.0, np.sqrt(0.5))
    return np.where(order % 2, -scale, scale)


def _nodal(zonal: np.ndarray, num_columns: int) -> np.ndarray:
    """Values at any number of longitudes; the grid resolves all the orders given."""
    return np.fft.irfft(zonal, num_columns, axis=-1, norm="forward")


def _intervals(grid: Grid) -> int:
    return grid.shape[0] - 1 if grid.kind == "regular" else grid.shape[0]


def _refined(zonal: np.ndarray, grid: Grid) -> np.ndarray:
    """Interpolates each order from n intervals to rows jπ/2n, j = 0 to 2n - 1.

    Beyond the pole a meridian continues on the other side: F_m(-θ) = (-1)^m F_m(θ), a function of
    period 2π, whose Fourier series in θ ends at the truncation, below n.
    """
    n = _intervals(grid)
    sign = (-1.0) ** np.arange(zonal.shape[1])
    regular = grid.kind == "regular"
    around = np.concatenate([zonal, sign * (zonal[-2:0:-1] if regular else zonal[::-1])])
    series = np.fft.fft(around, axis=0, norm="forward")
    k = np.fft.fftfreq(2 * n, 1 / (2 * n))[:, None]
    if not regular:
        series *= np.exp(-0.5j * np.pi * k / n)  # the first row lies half an interval from the pole
    series[n] = 0.0
    padded = np.zeros((4 * n, zonal.shape[1]), complex)
    padded[:n], padded[-n:] = series[:n], series[n:]
    refined: np.ndarray = np.fft.ifft(padded, axis=0, norm="forward")[: 2 * n]
    return refined


@cache
def _gauss_rule(rows: int) -> tuple[np.ndarray, np.ndarray]:
    expand = _shtools()

    zeros, weights = expand.SHGLQ(rows - 1)
    return zeros, weights
