"""Spectra of windows of a latitude-longitude grid, and what is read off spectra of any kind.

A window is cut into tiles that overlap by half (Welch 1967), each small enough to be flat: its
longitudes are as far apart as at its middle latitude. From each tile a plane fitted by least
squares is subtracted; it is tapered, Fourier-transformed, and its power |F|² summed over rings of
equal total wavenumber |k| = √(k_x² + k_y²) in cycles per km; tiles are averaged by their area.
With tapers scaled to a mean square of one, the sum over all rings is the mean square of the tapered
tiles (Parseval), hence on average the variance of what is left after the planes are gone. Since
modes do not fall into rings in proportion to their areas, the power per wavenumber is not that sum
over the width of a ring, but 2πk times the mean power of the modes in it per area of wavenumbers.
A taper mixes neighbouring rings, the n-th of which comes out (1 + 3.5/n²) times too high if the
spectrum falls like k⁻³: 10 % in the sixth, 4 % in the tenth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from atmodist.files.constants import EARTH_RADIUS

Taper = Literal["hann", "tukey", "none"]

LARGEST_DIFFERENCE = 60.0  # dB; beyond, a spectrum has simply lost everything, or made it up
MEDIAN_WIDTH = 9  # degrees; odd
# Shares of a mean square. A step of 16 bits over a range of 22 standard deviations σ is 3.4e-4 σ,
# and leaves a twelfth of its square; rounding to float32 leaves at most 2⁻²⁴ of each value.
PACKING = 1e-8
ROUNDING = 2.0**-48 / 3


@dataclass(frozen=True, kw_only=True)
class _Tiles:
    """Tiles of the same rows, hence of the same shape.

    Attributes:
        rows, columns: Points of each tile: (row,) and (tile, column).
        ring: Ring of each mode of the real transform, flattened.
        multiplicity: 2 for modes that stand for ±k, else 1; flattened.
        wavenumber: Of each mode, cycles per km; flattened.
        cell: Area of wavenumbers that a mode stands for, km⁻².
        taper: (row, column), of mean square 1.
        area: Share of all tiles.
    """

    rows: np.ndarray
    columns: np.ndarray
    ring: np.ndarray
    multiplicity: np.ndarray
    wavenumber: np.ndarray
    cell: float
    taper: np.ndarray
    area: float


class WindowedSpectrum:
    """Power per wavenumber of fields on a window of a grid.

    Args:
        latitude: Of the rows, in degrees, evenly spaced. Shape (latitude,).
        longitude: Of the columns, west to east, in degrees, evenly spaced; may pass 360 or start
            again from 0. Shape (longitude,).
        side: Of the tiles, in km; smaller windows are one tile.
        taper: "hann", "tukey" (a quarter of each side at either end is tapered), or "none".
        radius: Of the sphere, m.

    Attributes:
        wavenumber: Mean of the modes in each ring, cycles per km. Shape (ring,).
        ring_width: Cycles per km.
        spacing: Of the points, the wider one of both directions, km.

    Raises:
        ValueError: If the window has less than 8 points to a side, or the taper is unknown.
    """

    def __init__(
        self,
        latitude: np.ndarray,
        longitude: np.ndarray,
        *,
        side: float = 2000.0,
        taper: Taper = "hann",
        radius: float = EARTH_RADIUS,
    ):
        shape = len(latitude), len(longitude)
        if min(shape) < 8:
            raise ValueError(f"a spectrum needs a window of at least 8 x 8 points; got {shape}")
        self.shape = shape
        self._degree = np.pi * radius / 180e3  # km per degree of a great circle
        north = abs(latitude[-1] - latitude[0]) / (shape[0] - 1) * self._degree
        step = (longitude[1] - longitude[0]) % 360.0 * self._degree
        num_rows = min(shape[0], max(8, round(side / north)))
        strips = []
        for top in _starts(shape[0], num_rows):
            rows = np.arange(top, top + num_rows)
            east = step * np.cos(np.radians(latitude[rows].mean()))
            num_columns = min(shape[1], max(8, round(side / east)))
            starts = _starts(shape[1], num_columns)
            strips.append((rows, starts[:, None] + np.arange(num_columns), east))
        self.spacing = max(north, *(east for *_, east in strips))
        longest = max(num_rows * north, *(c.shape[1] * east for _, c, east in strips))
        self.ring_width = 1.0 / min(side, longest)
        total = sum(c.size * east for _, c, east in strips)
        self._strips = [
            _Tiles(
                rows=rows,
                columns=columns,
                taper=np.outer(_taper(len(rows), taper), _taper(columns.shape[1], taper)),
                area=columns.size * east / total,
                **self._modes(len(rows), columns.shape[1], north, east),
            )
            for rows, columns, east in strips
        ]
        self._num_rings = 1 + max(int(strip.ring.max()) for strip in self._strips)
        self._count_modes()

    def _modes(self, rows: int, columns: int, north: float, east: float) -> dict[str, Any]:
        k_y, k_x = np.fft.fftfreq(rows, north)[:, None], np.fft.rfftfreq(columns, east)
        wavenumber = np.hypot(k_y, k_x)
        twice = np.full(wavenumber.shape, 2.0)
        twice[:, 0] = 1.0
        if columns % 2 == 0:
            twice[:, -1] = 1.0
        return {
            "ring": np.rint(wavenumber / self.ring_width).astype(np.int64).ravel(),
            "multiplicity": twice.ravel(),
            "wavenumber": wavenumber.ravel(),
            "cell": 1 / (rows * north * columns * east),
        }

    def _count_modes(self) -> None:
        counts, sums, self._area = np.zeros((3, self._num_rings))
        for strip in self._strips:
            count = self._by_ring(strip, np.ones(len(strip.ring)))
            counts += strip.area * count
            sums += strip.area * self._by_ring(strip, strip.wavenumber)
            self._area += strip.area * strip.cell * count
        middle = self.ring_width * np.arange(self._num_rings)
        self.wavenumber = np.where(counts > 0, sums / np.where(counts > 0, counts, 1), middle)

    def _by_ring(self, strip: _Tiles, values: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.bincount(
            strip.ring, values * strip.multiplicity, minlength=self._num_rings
        )
        return found

    @cached_property
    def num_resolved(self) -> int:
        """Rings 1 to this one are complete: they end at the Nyquist wavenumber of the grid."""
        return int(0.5 / self.spacing / self.ring_width - 0.5)

    @property
    def modes(self) -> np.ndarray:
        """Number of modes in each ring, up to a common factor. Shape (ring,)."""
        return self._area

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """Power per ring.

        Args:
            field: (..., latitude, longitude) on the window, in units u.

        Returns:
            (..., ring) in u²; beyond `num_resolved` rings are incomplete, being the corners of a
            rectangle of wavenumbers.
        """
        if field.shape[-2:] != self.shape:
            raise ValueError(f"the field must end in {self.shape}; got shape {field.shape}")
        flat = field.reshape(-1, *self.shape)
        power = np.zeros((len(flat), self._num_rings))
        for strip in self._strips:
            for i, values in enumerate(flat):
                power[i] += strip.area * self._strip_power(values, strip)
        return power.reshape(*field.shape[:-2], self._num_rings)

    def _strip_power(self, field: np.ndarray, strip: _Tiles) -> np.ndarray:
        from scipy.fft import rfft2

        tiles = np.moveaxis(field[strip.rows][:, strip.columns], 1, 0)  # (tile, row, column)
        modal = rfft2(detrended(tiles) * strip.taper.astype(tiles.dtype), norm="forward")
        squares = (modal.real**2 + modal.imag**2).mean(axis=0, dtype=np.float64).ravel()
        return self._by_ring(strip, squares)

    def density(self, power: np.ndarray) -> np.ndarray:
        """Power per wavenumber of a field on the plane, from power per ring.

        Args:
            power: (..., ring), what the call returned or its mean over fields.

        Returns:
            (..., ring), in u² km; the integral over wavenumbers is the variance.
        """
        return power * (2 * np.pi * self.wavenumber / np.where(self._area > 0, self._area, np.inf))


def detrended(field: np.ndarray) -> np.ndarray:
    """What is left when the plane fitted by least squares is subtracted; (..., y, x)."""
    y, x = (
        (np.arange(n) - (n - 1) / 2) / np.sqrt(n * (n**2 - 1) / 12) for n in field.shape[-2:]
    )  # zero mean, unit sum of squares; orthogonal to each other on the rectangle
    y, x = y.astype(field.dtype), x.astype(field.dtype)
    left = field - field.mean(axis=(-2, -1), keepdims=True)
    slope_y = left.mean(axis=-1) @ y
    slope_x = left.mean(axis=-2) @ x
    left -= slope_y[..., None, None] * y[:, None]
    left -= slope_x[..., None, None] * x
    return left


def effective_resolution(
    ratio: np.ndarray, scale: np.ndarray, threshold: float = 0.5, width: int = MEDIAN_WIDTH
) -> np.ndarray:
    """Where the ratio of a spectrum to its reference first falls below a threshold.

    A running median over `width` values comes first: it passes over single noisy degrees, leaves
    monotone ratios as they are but for the first ones, and keeps the place of a sharp cut. Before
    the largest scale, whose few coefficients are the noisiest, ratios are mirrored, so that it does
    not decide alone. The crossing is interpolated linearly.

    Args:
        ratio: (..., degree), from large to small scales.
        scale: Of the ratios, for instance their degrees; shape (degree,).
        threshold: What counts as lost.
        width: Of the running median; odd.

    Returns:
        (...); the last value of `scale` where the ratio never falls below the threshold.
    """
    from scipy.ndimage import median_filter

    ratio = np.asarray(ratio, dtype=np.float64)
    half = min(width, ratio.shape[-1]) // 2
    padded = np.concatenate([ratio[..., half:0:-1], ratio], axis=-1)
    axes = (1,) * (ratio.ndim - 1)
    smooth = median_filter(padded, size=(*axes, 2 * half + 1), mode="nearest")[..., half:]
    below = smooth < threshold
    first = np.where(below.any(axis=-1), below.argmax(axis=-1), len(scale) - 1)
    before = np.maximum(first - 1, 0)
    low, high = (np.take_along_axis(smooth, i[..., None], -1)[..., 0] for i in (first, before))
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(below.any(axis=-1) & (high > low), (high - threshold) / (high - low), 1.0)
    return np.asarray(scale[before] + np.clip(part, 0.0, 1.0) * (scale[first] - scale[before]))


def above_precision(
    spectra: Sequence[np.ndarray], reference: np.ndarray, modes: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Spectra that are nowhere below what the precision of the data allows to tell.

    Values in files are rounded, to float32 or to 16 bits over the range of a field. That is white
    noise, which gives each mode the same power: together PACKING of the variance of the reference,
    and ROUNDING of its mean square. What lies below is raised to it, and so counts as nothing.

    Args:
        spectra: To be raised; (..., scale) each, without the mean.
        reference: Whose precision it is, (..., scale), with the mean first.
        modes: How many modes each scale has, the mean first; shape (scale,).
    """
    variance = reference[..., 1:].sum(axis=-1, keepdims=True)
    noise = PACKING * variance + ROUNDING * (variance + reference[..., :1])
    floor = noise * (modes[1:] / modes.sum())
    return tuple(np.maximum(spectrum, floor[..., : spectrum.shape[-1]]) for spectrum in spectra)


def ratio_of(spectrum: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Spectrum over reference; one where both vanish, infinite where only the reference does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = spectrum / reference
    return np.where((spectrum == 0) & (reference == 0), 1.0, ratio)


def level_difference(spectrum: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Root mean square over the last axis of 10 log10(spectrum / reference), in dB.

    Lost and invented power count alike, at all scales, and 60 dB at most. Zero for equal spectra.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10 * np.log10(spectrum / reference)
    level = np.where(spectrum == reference, 0.0, level)
    level = np.clip(level, -LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
    return np.asarray(np.sqrt(np.mean(level**2, axis=-1)))


def small_scale_level(spectrum: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """10 log10(Σ spectrum / Σ reference) over the upper half of degrees or wavenumbers, in dB.

    Zero for equal spectra; -3 where half the power of small scales is lost, +3 where it is doubled;
    60 dB at most, either way.
    """
    half = spectrum.shape[-1] // 2
    own, other = spectrum[..., half:].sum(axis=-1), reference[..., half:].sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where(own == other, 0.0, 10 * np.log10(own / other))
    return np.clip(level, -LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)


def slope(spectrum: np.ndarray, scale: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Exponent n of the power law c scaleⁿ fitted to log spectra by least squares.

    Args:
        spectrum: (..., degree).
        scale: Degrees or wavenumbers; shape (degree,).
        bounds: First and last of those that are fitted.
    """
    inside = (scale >= bounds[0]) & (scale <= bounds[1]) & (scale > 0)
    if inside.sum() < 2:
        raise ValueError(f"no spectrum between {bounds[0]:g} and {bounds[1]:g} to fit a slope to")
    x = np.log(scale[inside])
    x = x - x.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(spectrum[..., inside]) @ x / (x @ x))


def _starts(total: int, size: int) -> np.ndarray:
    """First points of tiles that overlap by half at least and cover everything."""
    if total <= size:
        return np.zeros(1, dtype=int)
    num = 1 + int(np.ceil((total - size) / (size / 2)))
    return np.rint(np.linspace(0, total - size, num)).astype(int)


def _taper(num: int, kind: Taper) -> np.ndarray:
    x = (np.arange(num) + 0.5) / num
    if kind == "hann":
        taper = np.sin(np.pi * x) ** 2
    elif kind == "tukey":
        taper = np.sin(np.pi / 2 * np.clip(4 * np.minimum(x, 1 - x), 0, 1)) ** 2
    elif kind == "none":
        taper = np.ones(num)
    else:
        raise ValueError(f"`taper` must be 'hann', 'tukey' or 'none'; got {kind!r}")
    return np.asarray(taper / np.sqrt(np.mean(taper**2)))
