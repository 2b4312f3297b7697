"""Spherical-harmonic transforms and operators: differentiable, and the same under every backend.

A field on the sphere with triangular truncation T is

    f(λ, φ) = Σ_m Σ_l P̄_lm(sin φ) (C_lm cos mλ + S_lm sin mλ),   0 ≤ m ≤ l ≤ T,

where the mean of (P̄_lm cos mλ)² over the sphere is one ("4π-normalised", no Condon-Shortley
phase; as in pyshtools). Hence C_00 is the mean of f, and the sum of all C² + S² the mean of f².

Conventions:
    nodal fields are (..., latitude, longitude), latitudes from north to south on a Gauss-Legendre
        grid, longitudes eastward from 0;
    modal fields are real, (..., 2, order, degree): part 0 is C, part 1 is S. Entries with
        degree < order and S of order 0 are zero (`mask`). The degree is last, so that a function
        of degree multiplies by broadcasting.

Everything is linear algebra with constant matrices (a Fourier transform along longitude, and for
each order a Legendre transform along latitude), so that derivatives come from the backend.
Latitudes φ and -φ share their Legendre functions up to a sign, which halves the work. Products are
written as `einsum`: Keras' `matmul` rounds float64 to float32 under PyTorch.
"""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from atmodist.files.constants import EARTH_RADIUS

Tensor = Any  # of the backend of Keras
# Truncation from which a fast Fourier transform beats a product with the matrix of sines and
# cosines; measured with TensorFlow and JAX on two cores, both with XLA.
FAST_FOURIER_FROM = 64


def gauss_legendre(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes sin φ from north to south and weights that sum to 2, of an even number of latitudes.

    Newton's method from the known asymptotic nodes; symmetric to the last bit. NumPy's and SciPy's
    weights are some 20 times less accurate at 256 latitudes.
    """
    x = np.cos(np.pi * (np.arange(num // 2) + 0.75) / (num + 0.5))
    for _ in range(6):
        before, value = np.ones_like(x), x
        for degree in range(2, num + 1):
            new = ((2 * degree - 1) * x * value - (degree - 1) * before) / degree
            before, value = value, new
        slope = num * (before - x * value) / ((1 - x) * (1 + x))
        x = x - value / slope
    weights = 2 / ((1 - x) * (1 + x) * slope**2)
    return np.concatenate([x, -x[::-1]]), np.concatenate([weights, weights[::-1]])


def legendre_functions(truncation: int, sin_latitude: np.ndarray) -> np.ndarray:
    """Associated Legendre functions P̄_lm with the normalisation of this module, in float64.

    The recurrence in degree, (P̄_lm ε_lm) = sin φ P̄_(l-1)m - ε_(l-1)m P̄_(l-2)m, is stable upward.
    Underflow of the first terms near the poles does no harm below truncations of about 1900.

    Args:
        truncation: Largest degree and order, T.
        sin_latitude: (latitude,).

    Returns:
        (order, latitude, degree), 0 to T; zero where degree < order.
    """
    size = truncation + 1
    cos_latitude = np.sqrt((1.0 - sin_latitude) * (1.0 + sin_latitude))
    epsilon = recurrence_coefficients(size, size)
    values = np.zeros((size, len(sin_latitude), size))
    values[0, :, 0] = 1.0
    for m in range(1, size):
        ratio = np.sqrt((2 * m + 1) / (2 * m)) if m > 1 else np.sqrt(3.0)
        values[m, :, m] = ratio * cos_latitude * values[m - 1, :, m - 1]
    for degree in range(1, size):
        new = sin_latitude * values[:degree, :, degree - 1]
        if degree > 1:
            new -= epsilon[:degree, degree - 1, None] * values[:degree, :, degree - 2]
        values[:degree, :, degree] = new / epsilon[:degree, degree, None]
    return values


def recurrence_coefficients(num_orders: int, num_degrees: int) -> np.ndarray:
    """ε_lm = √((l² - m²) / (4 l² - 1)), of shape (order, degree); zero where l ≤ m."""
    m, degree = np.arange(num_orders)[:, None], np.arange(num_degrees)[None, :]
    return np.sqrt(np.maximum(degree**2 - m**2, 0) / np.abs(4 * degree**2 - 1.0))


def default_num_latitudes(truncation: int, grid: Literal["quadratic", "linear"]) -> int:
    """Rows of the smallest even grid whose 2 J longitudes have no prime factor above 5.

    On a "quadratic" grid (T42: 64 x 128) products of two fields are analysed without aliasing; a
    "linear" one (TL63: 64 x 128) resolves single fields only.
    """
    rows = truncation + 1 if grid == "linear" else (3 * truncation + 2) // 2
    while rows % 2 or not _is_smooth(rows):
        rows += 1
    return rows


def _is_smooth(number: int) -> bool:
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number == 1


class SphericalHarmonics:
    """Transforms between a Gauss-Legendre grid and spherical harmonics, and what acts on them.

    Leading axes (time, level, members) are arbitrary, and the same in what comes out.

    Args:
        truncation: T, the largest degree and order; for example 42.
        num_latitudes: Rows J of the grid, even, with 2 J columns; or "quadratic" (products of two
            fields are alias-free), or "linear".
        radius: Of the sphere, m.
        dtype: "float32" or "float64", of all that is computed.

    Attributes:
        latitude: (latitude,) degrees north, from north to south.
        longitude: (longitude,) degrees east from 0.
        sin_latitude: (latitude,).
        cos_latitude: (latitude,).
        weights: (latitude,) Gauss weights; they sum to 2.
        orders: (order,) 0 to T.
        degrees: (degree,) 0 to T.
        mask: (2, order, degree) True where a coefficient may be other than zero.
        laplacian_eigenvalues: (degree,) -l (l + 1) / radius², m⁻².
    """

    def __init__(
        self,
        truncation: int,
        *,
        num_latitudes: int | Literal["quadratic", "linear"] = "quadratic",
        radius: float = EARTH_RADIUS,
        dtype: str = "float32",
    ):
        if not isinstance(truncation, int) or truncation < 1:
            raise ValueError(f"`truncation` must be a positive integer; got {truncation!r}.")
        if num_latitudes in ("quadratic", "linear"):
            num_latitudes = default_num_latitudes(truncation, num_latitudes)
        if not isinstance(num_latitudes, int) or num_latitudes % 2:
            raise ValueError(
                "`num_latitudes` must be even, 'quadratic' or 'linear'; "
                f"got num_latitudes={num_latitudes!r}."
            )
        if num_latitudes <= truncation:
            raise ValueError(
                f"{num_latitudes} latitudes cannot resolve truncation {truncation}; "
                f"`num_latitudes` must be at least {truncation + 1}."
            )
        if dtype not in ("float32", "float64"):
            raise ValueError(f"`dtype` must be 'float32' or 'float64'; got dtype={dtype!r}.")
        self.truncation = truncation
        self.num_latitudes = num_latitudes
        self.num_longitudes = 2 * num_latitudes
        self.radius = radius
        self.dtype = dtype
        self.sin_latitude, self.weights = gauss_legendre(num_latitudes)
        self.cos_latitude = np.sqrt((1.0 - self.sin_latitude) * (1.0 + self.sin_latitude))
        self.latitude = np.degrees(np.arcsin(self.sin_latitude))
        self.longitude = np.arange(self.num_longitudes) * (360.0 / self.num_longitudes)
        self.orders = np.arange(truncation + 1)
        self.degrees = np.arange(truncation + 1)
        self.mask = np.broadcast_to(
            self.degrees >= self.orders[:, None], (2, truncation + 1, truncation + 1)
        ).copy()
        self.mask[1, 0] = False
        self.laplacian_eigenvalues = -self.degrees * (self.degrees + 1.0) / radius**2
        self._make_tables()

    @property
    def nodal_shape(self) -> tuple[int, int]:
        """(latitude, longitude)."""
        return self.num_latitudes, self.num_longitudes

    @property
    def modal_shape(self) -> tuple[int, int, int]:
        """(2, order, degree)."""
        return 2, self.truncation + 1, self.truncation + 1

    def constant(self, values: Any) -> Tensor:
        """`values` as a tensor of our dtype."""
        tensor = ops.convert_to_tensor(np.asarray(values, self.dtype))
        if keras.backend.standardize_dtype(tensor.dtype) != self.dtype:
            raise ValueError(
                f"The backend made {tensor.dtype} of {self.dtype}; under JAX, set JAX_ENABLE_X64=1."
            )
        return tensor

    # ------------------------------------------------------------------------------ transforms

    def to_modal(self, nodal: Tensor) -> Tensor:
        """Coefficients of a field on the grid; exact if the field is band-limited.

        Args:
            nodal: (..., latitude, longitude).

        Returns:
            (..., 2, order, degree).
        """
        return self._analyse(self._tensor(nodal), self._weights)[..., :-1]

    def to_nodal(self, modal: Tensor) -> Tensor:
        """The field on the grid, (..., latitude, longitude), of coefficients."""
        return self._synthesise(_pad_last(self._tensor(modal), 0, 1), None)

    # ------------------------------------------------------------------------ modal operators

    def laplacian(self, modal: Tensor) -> Tensor:
        """∇²f, in units of f per m²."""
        return self._tensor(modal) * self._eigenvalues

    def inverse_laplacian(self, modal: Tensor) -> Tensor:
        """The g with ∇²g = f and mean zero; the mean of f is left out. In units of f times m²."""
        return self._tensor(modal) * self._inverse_eigenvalues

    def derivative_longitude(self, modal: Tensor) -> Tensor:
        """∂f/∂λ, per radian."""
        # d/dλ (C cos mλ + S sin mλ) = m S cos mλ - m C sin mλ
        return ops.flip(self._tensor(modal), axis=-3) * self._signed_orders

    # ------------------------------------------------------------------------- vector operators

    def gradient(self, modal: Tensor) -> tuple[Tensor, Tensor]:
        """Eastward and northward component of ∇f on the grid, in units of f per m."""
        modal = self._tensor(modal)
        east = _pad_last(self.derivative_longitude(modal), 0, 1)
        both = ops.stack([east, self._derivative_latitude(modal)])
        nodal = self._synthesise(both, self._inverse_radius_cos)
        return nodal[0], nodal[1]

    def winds(self, vorticity: Tensor, divergence: Tensor) -> tuple[Tensor, Tensor]:
        """Eastward and northward wind, m s⁻¹, on the grid, of a vorticity and divergence in s⁻¹.

        With ∇²ψ = ζ and ∇²χ = δ the wind is ∇χ + k x ∇ψ. Means of ζ and δ, which no wind has, are
        left out.
        """
        psi, chi = self.inverse_laplacian(vorticity), self.inverse_laplacian(divergence)
        potentials = ops.stack([chi, psi])
        east = _pad_last(self.derivative_longitude(potentials), 0, 1)
        north = self._derivative_latitude(potentials)
        both = ops.stack([east[0] - north[1], east[1] + north[0]])
        nodal = self._synthesise(both, self._inverse_radius_cos)
        return nodal[0], nodal[1]

    def vorticity_divergence(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Modal k·∇x(u, v) and ∇·(u, v), in units of u per m, of a vector field on the grid.

        (u, v) may be a wind or a flux. Derivatives act on the harmonics (integration by parts), so
        that none is taken on the grid and neither result has a mean.
        """
        both = ops.stack([self._tensor(u), self._tensor(v)])
        modal = self._analyse(both, self._weights_over_radius_cos)
        east = self.derivative_longitude(modal[..., :-1])
        north = self._adjoint_derivative_latitude(modal)
        return east[1] - north[0], east[0] + north[1]

    def divergence(self, u: Tensor, v: Tensor) -> Tensor:
        """Modal ∇·(u, v) alone; see `vorticity_divergence`."""
        both = ops.stack([self._tensor(u), self._tensor(v)])
        modal = self._analyse(both, self._weights_over_radius_cos)
        north = self._adjoint_derivative_latitude(modal[1])
        return self.derivative_longitude(modal[0, ..., :-1]) + north

    def mean(self, nodal: Tensor) -> Tensor:
        """Area mean over the sphere of a field on the grid."""
        # not `ops.mean`, which rounds float64 to float32 under PyTorch
        return ops.sum(ops.sum(self._tensor(nodal), axis=-1) * self._mean_weights, axis=-1)

    # --------------------------------------------------------------------------------- insides

    def _tensor(self, values: Any) -> Tensor:
        return ops.convert_to_tensor(values, self.dtype)

    def _derivative_latitude(self, modal: Tensor) -> Tensor:
        """The modal cos φ ∂f/∂φ, for degrees 0 to T + 1."""
        lower = _pad_last(modal, 1, 0) * self._from_lower
        return lower + _pad_last(modal[..., 1:], 0, 2) * self._from_higher

    def _adjoint_derivative_latitude(self, modal: Tensor) -> Tensor:
        """Minus the transpose of `_derivative_latitude`; degrees 0 to T + 1 become 0 to T."""
        # of degree l: -(l + 1) ε_l f_(l-1) + l ε_(l+1) f_(l+1)
        higher = modal[..., 1:] * self._to_higher
        return higher + _pad_last(modal[..., :-2], 1, 0) * self._to_lower

    def _analyse(self, nodal: Tensor, latitude_factor: Tensor) -> Tensor:
        """Coefficients of degrees 0 to T + 1 of a field times `latitude_factor`, a column."""
        half = self.num_latitudes // 2
        waves = self._fourier_analysis(nodal * latitude_factor)
        north, south = waves[..., :half, :, :], ops.flip(waves[..., half:, :, :], axis=-3)
        south = south * self._parity
        even = ops.einsum("...jpm,mjl->...pml", north + south, self._even)
        odd = ops.einsum("...jpm,mjl->...pml", north - south, self._odd)
        both = ops.stack([even, odd], axis=-1)
        return ops.reshape(both, (*both.shape[:-2], -1))[..., : self.truncation + 2]

    def _synthesise(self, modal: Tensor, latitude_factor: Tensor | None) -> Tensor:
        """The field of coefficients of degrees 0 to T + 1, times `latitude_factor`."""
        if self.truncation % 2:  # an odd number of degrees; pairs are wanted
            modal = _pad_last(modal, 0, 1)
        even = ops.einsum("...pml,mjl->...jpm", modal[..., 0::2], self._even)
        odd = ops.einsum("...pml,mjl->...jpm", modal[..., 1::2], self._odd)
        south = ops.flip((even - odd) * self._parity, axis=-3)
        waves = ops.concatenate([even + odd, south], axis=-3)
        nodal = self._fourier_synthesis(waves)
        return nodal if latitude_factor is None else nodal * latitude_factor

    def _fourier_analysis(self, nodal: Tensor) -> Tensor:
        """(..., longitude) -> (..., 2, order): means of f cos mλ and f sin mλ."""
        if not self._fast_fourier:
            waves = ops.einsum("...i,ik->...k", nodal, self._fourier)
            return ops.reshape(waves, (*waves.shape[:-1], 2, self.truncation + 1))
        real, imaginary = ops.rfft(nodal)
        size = self.truncation + 1
        waves = ops.stack([real[..., :size], -imaginary[..., :size]], axis=-2)
        return waves * (1 / self.num_longitudes)

    def _fourier_synthesis(self, waves: Tensor) -> Tensor:
        """(..., 2, order) -> (..., longitude): the sum of C cos mλ + S sin mλ."""
        if not self._fast_fourier:
            waves = ops.reshape(waves, (*waves.shape[:-2], 2 * (self.truncation + 1)))
            return ops.einsum("...k,ki->...i", waves, self._inverse_fourier)
        waves = _pad_last(waves * self._fourier_scale, 0, self.num_latitudes - self.truncation)
        return ops.irfft((waves[..., 0, :], waves[..., 1, :]), fft_length=self.num_longitudes)

    def _make_tables(self) -> None:
        T, half = self.truncation, self.num_latitudes // 2
        legendre = legendre_functions(T + 1, self.sin_latitude[:half])[:-1]
        if len(self.degrees) % 2 == 0:
            legendre = np.pad(legendre, ((0, 0), (0, 0), (0, 1)))
        self._even = self.constant(legendre[..., 0::2])  # even degrees: parity of the order
        self._odd = self.constant(legendre[..., 1::2])
        self._parity = self.constant((-1.0) ** self.orders)

        self._fast_fourier = T >= FAST_FOURIER_FROM
        scale = np.where(self.orders > 0, self.num_longitudes / 2, self.num_longitudes)
        self._fourier_scale = self.constant(np.stack([scale, -scale]))
        # multiples of a full turn are removed while they are integers, for the last digits
        turns = np.outer(np.arange(self.num_longitudes), self.orders) % self.num_longitudes
        angle = 2 * np.pi * turns / self.num_longitudes
        waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)
        self._fourier = self.constant(waves / self.num_longitudes)
        self._inverse_fourier = self.constant(waves.T)

        column = self.weights[:, None] / 2
        cos_latitude = self.cos_latitude[:, None]
        self._mean_weights = self.constant(column[:, 0] / self.num_longitudes)
        self._weights = self.constant(column)
        self._weights_over_radius_cos = self.constant(column / (self.radius * cos_latitude))
        self._inverse_radius_cos = self.constant(1 / (self.radius * cos_latitude))

        self._eigenvalues = self.constant(self.laplacian_eigenvalues)
        inverse = np.concatenate([[0.0], 1 / self.laplacian_eigenvalues[1:]])
        self._inverse_eigenvalues = self.constant(inverse)
        orders = self.orders[:, None]
        self._signed_orders = self.constant(np.stack([orders, -orders]))

        # (1 - x²) dP_l/dx = (l + 1) ε_l P_(l-1) - l ε_(l+1) P_(l+1), with x = sin φ
        epsilon = recurrence_coefficients(T + 1, T + 3)
        degree = np.arange(T + 3)
        inside = degree[: T + 2] >= orders
        self._from_lower = self.constant(-(degree[:-1] - 1) * epsilon[:, :-1] * inside)
        self._from_higher = self.constant((degree[:-1] + 2) * epsilon[:, 1:] * inside)
        self._to_lower = self.constant((-(degree + 1) * epsilon)[:, : T + 1])
        self._to_higher = self.constant((degree[:-2] * epsilon[:, 1:-1]) * self.mask[0])


def _pad_last(modal: Tensor, before: int, after: int) -> Tensor:
    """Zeros before and after the last axis."""
    # not `ops.pad`, which counts its calls in a name, so that PyTorch compiles each step anew
    zeros = [ops.zeros((*modal.shape[:-1], num), modal.dtype) for num in (before, after)]
    return ops.concatenate([zeros[0], modal, zeros[1]], axis=-1)
