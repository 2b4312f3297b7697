"""Transforms against closed forms, pyshtools and ducc0, and as linear maps with adjoints."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dynamics.spectral.spherical_harmonics import (
    SphericalHarmonics,
    default_num_latitudes,
    gauss_legendre,
    legendre_functions,
)

RADIUS = 6.37122e6


@pytest.fixture(scope="module")
def sphere():
    return SphericalHarmonics(21, radius=RADIUS, dtype="float64")


def random_modal(sphere, *lead, seed=0):
    modal = np.random.default_rng(seed).standard_normal((*lead, *sphere.modal_shape))
    return modal * sphere.mask


def angles(sphere):
    return np.radians(sphere.longitude), np.radians(sphere.latitude)[:, None]


@pytest.mark.parametrize(
    ("truncation", "grid", "shape"),
    [
        (21, "quadratic", (32, 64)),
        (42, "quadratic", (64, 128)),
        (85, "quadratic", (128, 256)),
        (106, "quadratic", (160, 320)),
        (170, "quadratic", (256, 512)),
        (63, "linear", (64, 128)),
    ],
)
def test_grids_are_the_usual_ones(truncation, grid, shape):
    rows = default_num_latitudes(truncation, grid)
    assert (rows, 2 * rows) == shape


@pytest.mark.parametrize("num", [2, 32, 64, 256])
def test_gauss_legendre_integrates_polynomials(num):
    x, weights = gauss_legendre(num)
    assert (np.diff(x) < 0).all()
    degrees = np.arange(0, 2 * num, 2)
    moments = (weights[:, None] * x[:, None] ** degrees).sum(axis=0)
    assert_allclose(moments, 2 / (degrees + 1), rtol=0, atol=1e-14)
    assert_allclose(x, np.polynomial.legendre.leggauss(num)[0][::-1], rtol=0, atol=1e-14)


def test_legendre_functions_are_orthonormal_at_large_truncations():
    x, weights = gauss_legendre(512)
    values = legendre_functions(300, x)
    for m in (0, 1, 150, 299):
        products = np.einsum("jl,j,jk->lk", values[m, :, m:], weights / 2, values[m, :, m:])
        expected = np.eye(301 - m) * (1 if m == 0 else 2)
        assert_allclose(products, expected, rtol=0, atol=1e-12)


# 21 multiplies with matrices, 85 takes fast Fourier transforms; 22 and 63 have other parities.
@pytest.mark.parametrize(
    ("truncation", "grid"), [(21, "quadratic"), (22, 24), (63, "linear"), (85, "quadratic")]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_band_limited_fields_come_back(truncation, grid, dtype):
    sphere = SphericalHarmonics(truncation, num_latitudes=grid, dtype=dtype)
    modal = random_modal(sphere, 2, 3).astype(dtype)
    nodal = sphere.to_nodal(modal)
    assert nodal.shape == (2, 3, *sphere.nodal_shape)
    tolerance = 2e-13 if dtype == "float64" else 1e-5
    assert_allclose(sphere.to_modal(nodal), modal, rtol=0, atol=tolerance)


@pytest.mark.slow
def test_t170_is_exact_to_rounding():
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        sphere = SphericalHarmonics(170, dtype=dtype)
        modal = random_modal(sphere).astype(dtype)
        found = sphere.to_modal(sphere.to_nodal(modal))
        assert_allclose(found, modal, rtol=0, atol=tolerance)


@pytest.mark.parametrize("truncation", [21, 64])
def test_coefficients_are_those_of_pyshtools(truncation):
    import pyshtools

    sphere = SphericalHarmonics(truncation, dtype="float64")
    modal = random_modal(sphere)
    coefficients = pyshtools.SHCoeffs.from_array(
        np.swapaxes(modal, -1, -2), normalization="4pi", csphase=1
    )
    rows, columns = slice(0, None, 13), slice(0, None, 17)
    latitude, longitude = sphere.latitude[rows], sphere.longitude[columns]
    points = np.meshgrid(latitude, longitude, indexing="ij")
    expected = coefficients.expand(lat=points[0].ravel(), lon=points[1].ravel())
    found = np.asarray(sphere.to_nodal(modal))[rows, columns]
    assert_allclose(found.ravel(), expected, rtol=0, atol=1e-10)  # pyshtools' own rounding


@pytest.mark.parametrize("truncation", [31, 85])
def test_transforms_and_winds_are_those_of_ducc0(truncation):
    ducc0 = pytest.importorskip("ducc0")
    sphere = SphericalHarmonics(truncation, radius=RADIUS, dtype="float64")
    rows, columns = sphere.nodal_shape
    degree = np.concatenate([np.arange(m, truncation + 1) for m in range(truncation + 1)])
    order = np.concatenate([np.full(truncation + 1 - m, m) for m in range(truncation + 1)])

    def packed(modal):  # orthonormal, with Condon-Shortley phase, positive orders
        factor = np.sqrt(4 * np.pi) * (-1.0) ** order * np.where(order > 0, np.sqrt(0.5), 1.0)
        return factor * (modal[0, order, degree] - 1j * modal[1, order, degree])

    options = {"lmax": truncation, "ntheta": rows, "nphi": columns, "geometry": "GL"}
    modal = random_modal(sphere, 2)
    expected = ducc0.sht.synthesis_2d(alm=packed(modal[0])[None], spin=0, **options)[0]
    # near the poles the functions depend steeply on sin φ, which is a rounded number
    tolerance = 1e-14 * truncation * np.abs(expected).max()
    assert_allclose(sphere.to_nodal(modal[0]), expected, rtol=0, atol=tolerance)

    scale = np.where(degree > 0, RADIUS / np.sqrt(np.maximum(degree * (degree + 1.0), 1.0)), 0.0)
    slots = np.stack([-packed(modal[1]) * scale, -packed(modal[0]) * scale])
    southward, eastward = ducc0.sht.synthesis_2d(alm=slots, spin=1, **options)
    u, v = sphere.winds(modal[0], modal[1])
    tolerance = 1e-13 * np.abs(eastward).max() * truncation
    assert_allclose(u, eastward, rtol=0, atol=tolerance)
    assert_allclose(v, -southward, rtol=0, atol=tolerance)


def test_squares_sum_to_the_mean_square(sphere):
    modal = random_modal(sphere)
    nodal = np.asarray(sphere.to_nodal(modal))
    assert_allclose(sphere.mean(nodal**2), (modal**2).sum(), rtol=1e-13)
    assert_allclose(sphere.mean(nodal), modal[0, 0, 0], rtol=0, atol=1e-13)


def test_harmonics_are_eigenfunctions_of_the_laplacian(sphere):
    longitude, latitude = angles(sphere)
    # degree 3, order 2: a closed form of the associated Legendre function
    field = np.sin(latitude) * np.cos(latitude) ** 2 * np.cos(2 * longitude + 0.3)
    modal = sphere.to_modal(field)
    found = sphere.to_nodal(sphere.laplacian(modal))
    assert_allclose(found, -12 / RADIUS**2 * field, rtol=0, atol=1e-12 * 12 / RADIUS**2)
    assert_allclose(sphere.inverse_laplacian(sphere.laplacian(modal)), modal, rtol=0, atol=1e-15)


def test_inverse_laplacian_leaves_the_mean_out(sphere):
    modal = random_modal(sphere)
    found = np.asarray(sphere.laplacian(sphere.inverse_laplacian(modal)))
    assert found[0, 0, 0] == 0
    modal[0, 0, 0] = 0
    assert_allclose(found, modal, rtol=1e-14)


def test_gradient_has_a_closed_form(sphere):
    longitude, latitude = angles(sphere)
    field = np.sin(latitude) * np.cos(latitude) * np.sin(longitude)
    east, north = sphere.gradient(sphere.to_modal(field))
    expected_east = np.sin(latitude) * np.cos(longitude) / RADIUS
    expected_north = np.cos(2 * latitude) * np.sin(longitude) / RADIUS
    assert_allclose(east, expected_east, rtol=0, atol=1e-13 / RADIUS)
    assert_allclose(north, expected_north, rtol=0, atol=1e-13 / RADIUS)


def test_divergence_of_the_gradient_is_the_laplacian_and_its_curl_vanishes(sphere):
    modal = random_modal(sphere)
    expected = np.asarray(sphere.laplacian(modal))
    curl, divergence = sphere.vorticity_divergence(*sphere.gradient(modal))
    tolerance = 1e-13 * np.abs(expected).max()
    assert_allclose(divergence, expected, rtol=0, atol=tolerance)
    assert_allclose(curl, 0 * expected, rtol=0, atol=tolerance)


def test_derivative_in_longitude_has_a_closed_form(sphere):
    longitude, latitude = angles(sphere)
    field = np.cos(latitude) ** 3 * np.sin(3 * longitude)
    found = sphere.to_nodal(sphere.derivative_longitude(sphere.to_modal(field)))
    expected = 3 * np.cos(latitude) ** 3 * np.cos(3 * longitude)
    assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("tilt", [0.0, 0.4, np.pi / 2])  # a tilted axis reaches the poles and m = 1
def test_solid_body_rotation_has_known_vorticity_and_no_divergence(sphere, tilt):
    longitude, latitude = angles(sphere)
    speed = 20.0
    u = speed * (
        np.cos(latitude) * np.cos(tilt) + np.sin(latitude) * np.cos(longitude) * np.sin(tilt)
    )
    v = -speed * np.sin(longitude) * np.sin(tilt) + 0 * latitude
    scale = 2 * speed / RADIUS
    expected = scale * (
        np.sin(latitude) * np.cos(tilt) - np.cos(latitude) * np.cos(longitude) * np.sin(tilt)
    )
    vorticity, divergence = sphere.vorticity_divergence(u, v)
    assert_allclose(sphere.to_nodal(vorticity), expected, rtol=0, atol=1e-13 * scale)
    assert_allclose(sphere.to_nodal(divergence), 0 * expected, rtol=0, atol=1e-13 * scale)
    back = sphere.winds(vorticity, divergence)
    assert_allclose(back, (u, v), rtol=0, atol=1e-12 * speed)


@pytest.mark.parametrize("grid", ["quadratic", "linear"])
def test_winds_keep_all_of_vorticity_and_divergence_but_their_means(grid):
    sphere = SphericalHarmonics(21, num_latitudes=grid, radius=RADIUS, dtype="float64")
    vorticity, divergence = random_modal(sphere, 2, 3)
    u, v = sphere.winds(vorticity, divergence)
    found = np.asarray(sphere.vorticity_divergence(u, v))
    alone = np.asarray(sphere.divergence(u, v))
    vorticity[..., 0, 0, 0] = divergence[..., 0, 0, 0] = 0
    assert_allclose(found, (vorticity, divergence), rtol=0, atol=1e-13)
    assert_allclose(alone, divergence, rtol=0, atol=1e-13)
    assert (found[..., 0, 0, 0] == 0).all()  # mass is conserved to the last bit
    assert (found[..., ~sphere.mask] == 0).all()


def test_products_on_the_quadratic_grid_have_no_aliases(sphere):
    fine = SphericalHarmonics(21, num_latitudes=96, dtype="float64")
    modal = random_modal(sphere, 2)
    expected = fine.to_modal(fine.to_nodal(modal[0]) * fine.to_nodal(modal[1]))
    found = sphere.to_modal(sphere.to_nodal(modal[0]) * sphere.to_nodal(modal[1]))
    assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_automatic_derivatives_are_adjoints(seed):
    import tensorflow as tf

    sphere = SphericalHarmonics(8, radius=1.0, dtype="float64")
    rng = np.random.default_rng(seed)
    maps = [
        (sphere.to_modal, [sphere.nodal_shape], [sphere.modal_shape]),
        (sphere.to_nodal, [sphere.modal_shape], [sphere.nodal_shape]),
        (sphere.winds, [sphere.modal_shape] * 2, [sphere.nodal_shape] * 2),
        (sphere.vorticity_divergence, [sphere.nodal_shape] * 2, [sphere.modal_shape] * 2),
        (sphere.gradient, [sphere.modal_shape], [sphere.nodal_shape] * 2),
    ]
    for linear, from_shapes, to_shapes in maps:
        x = [tf.constant(rng.standard_normal(shape)) for shape in from_shapes]
        y = [tf.constant(rng.standard_normal(shape)) for shape in to_shapes]
        with tf.GradientTape() as tape:
            tape.watch(x)
            image = linear(*x)
            image = list(image) if isinstance(image, tuple) else [image]
            product = sum(tf.reduce_sum(a * b) for a, b in zip(image, y, strict=True))
        adjoint = tape.gradient(product, x)  # A'y, since the map is linear
        found = sum(tf.reduce_sum(a * b) for a, b in zip(adjoint, x, strict=True))
        assert_allclose(found, product, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("truncation", [21, 64])
def test_transforms_compile_and_stay_the_same(truncation, xla):
    import tensorflow as tf

    sphere = SphericalHarmonics(truncation)
    modal = tf.constant(random_modal(sphere, 2), tf.float32)
    expected = sphere.to_modal(sphere.to_nodal(modal))
    found = tf.function(lambda x: sphere.to_modal(sphere.to_nodal(x)), jit_compile=xla)(modal)
    assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truncation": 0}, "positive integer"),
        ({"truncation": 42, "num_latitudes": 33}, "must be even"),
        ({"truncation": 42, "num_latitudes": 40}, "cannot resolve truncation 42"),
        ({"truncation": 42, "num_latitudes": "cubic"}, "'quadratic' or 'linear'"),
        ({"truncation": 42, "dtype": "float16"}, "'float32' or 'float64'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SphericalHarmonics(**arguments)
