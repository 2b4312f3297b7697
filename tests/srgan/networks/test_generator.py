import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.training.saving import load_network, save_network
from srgan.networks.generator import generator, receptive_radius
from tests.backends import needs
from tests.metric.encoders import made_normalization


def made_inputs(shape=(5, 6), factor=4, *, batch=2, channels=2, static=0, noise=0, seed=0):
    rng = np.random.default_rng(seed)
    h, w = shape
    inputs = {"low": rng.normal(size=(batch, h, w, channels))}
    if static:
        inputs["static"] = rng.normal(size=(batch, h * factor, w * factor, static))
    if noise:
        inputs["noise"] = rng.normal(size=(batch, h, w, noise))
    return {name: value.astype(np.float32) for name, value in inputs.items()}


def small(factors=(2, 2), **options):
    return generator(factors=factors, **{"filters": 4, "blocks": 2, **options})


def test_the_reference_network_has_its_number_of_parameters():
    network = generator()
    assert network.count_params() == 1_534_850
    assert network.output.shape == (None, None, None, 2)


@pytest.mark.parametrize("factors", [(2,), (3,), (5,), (2, 2), (2, 5), (5, 2)])
def test_any_extent_grows_by_the_factor(factors):
    network, factor = small(factors), int(np.prod(factors))
    for shape in ((4, 7), (9, 3)):
        found = network(made_inputs(shape))
        assert found.shape == (2, shape[0] * factor, shape[1] * factor, 2)


def test_a_number_stands_for_its_prime_factors():
    assert small(10).count_params() == small((2, 5)).count_params()


def test_a_step_by_p_has_p_squared_times_the_filters():
    def parameters(factors):
        return small(factors).count_params()

    step = 3 * 3 * 4 * 4 + 4
    assert parameters((2, 5)) - parameters((2,)) == 25 * step
    assert parameters((2, 2)) - parameters((2,)) == 4 * step


def test_fresh_networks_make_no_checkerboard_of_a_constant():
    found = np.asarray(small(blocks=1)({"low": np.full((1, 32, 32, 2), 1.5, np.float32)}))
    inner = found[:, 48:80, 48:80]  # away from the zeros of the padding
    assert np.abs(inner).max() > 1e-3
    assert_allclose(inner, np.broadcast_to(inner[:, :1, :1], inner.shape), rtol=1e-5)


def test_fresh_networks_keep_the_order_of_magnitude():
    found = np.asarray(generator()(made_inputs((16, 16), batch=1)))
    assert 0.05 < found.std() < 1


@pytest.mark.parametrize(
    ("factors", "blocks", "radius"),
    # 4 + 2·blocks + 1 + 1 coarse cells, then what is seen on finer grids, rounded outwards
    [((2,), 1, 10), ((2, 2), 2, 12), ((3,), 1, 10), ((2, 5), 1, 9)],
)
def test_the_receptive_radius_is_how_far_a_change_is_seen(factors, blocks, radius):
    network, factor = small(factors, blocks=blocks, filters=2), int(np.prod(factors))
    assert receptive_radius(network) == radius
    size = 2 * radius + 7
    low = made_inputs((size, size), batch=1)["low"]
    middle = size // 2
    changed = low.copy()
    changed[:, middle, middle] += 30.0
    difference = np.abs(np.asarray(network({"low": changed})) - np.asarray(network({"low": low})))
    seen = difference.max((0, 3)).reshape(size, factor, size, factor).max((1, 3)) > 0
    for axis in (0, 1):
        (cells,) = np.nonzero(seen.any(axis=axis))
        assert (cells[0], cells[-1]) == (middle - radius, middle + radius)


def test_the_reference_network_sees_forty_cells():
    assert receptive_radius(generator()) == 40  # 4 + 32 + 1 + 1, and 2 on the finer grids


def test_other_networks_have_no_receptive_radius():
    inputs = keras.Input((4, 4, 1))
    with pytest.raises(ValueError, match="is no generator"):
        receptive_radius(keras.Model(inputs, keras.layers.Conv2D(1, 3)(inputs)))


def test_static_fields_and_noise_are_used_where_they_are():
    network = small((2,), num_static=1, noise_channels=3, blocks=1)
    assert sorted(network.input) == ["low", "noise", "static"]
    inputs = made_inputs((30, 30), 2, batch=1, static=1, noise=3)
    before = np.asarray(network(inputs))
    for name, finer in (("static", 2), ("noise", 1)):
        changed = {**inputs, name: inputs[name].copy()}
        changed[name][0, 14 * finer, 15 * finer] += 10.0
        rows, columns = np.nonzero(np.abs(np.asarray(network(changed)) - before).max((0, 3)))
        assert abs(rows.mean() / 2 - 14) < 1
        assert abs(columns.mean() / 2 - 15) < 1


def test_projected_output_has_the_means_of_the_coarse_field():
    normalization = made_normalization()
    network = small(projection=normalization)
    inputs = made_inputs((5, 6))
    weights = np.cos(np.radians(np.linspace(85, 50, 20))) * np.ones((2, 1))
    found = np.asarray(network({**inputs, "row_weights": weights}), np.float64)
    field = normalization.inverse(found).reshape(2, 5, 4, 6, 4, 2)
    w = weights.reshape(2, 5, 4, 1, 1, 1)
    means = (w * field).sum((2, 4)) / (4 * w.sum((2, 4)))
    low = normalization.inverse(inputs["low"].astype(np.float64))
    assert np.all(np.abs(means - low) < 1e-5 * normalization.std)
    assert receptive_radius(network) == receptive_radius(small())


def test_saved_generators_load_in_safe_mode(tmp_path):
    made = small(
        (2, 3), num_static=2, noise_channels=1, projection=made_normalization(), num_channels=2
    )
    save_network(made, tmp_path / "generator.keras")
    loaded = load_network(tmp_path / "generator.keras")
    inputs = made_inputs((4, 3), 6, static=2, noise=1)
    inputs["row_weights"] = np.ones((2, 24), np.float32)
    assert_array_equal(loaded(inputs), made(inputs))
    assert receptive_radius(loaded) == receptive_radius(made)
    assert loaded.get_layer("projection").normalization.identity == made_normalization().identity


def test_output_is_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for projection in (None, made_normalization()):
            network = small(projection=projection)
            inputs = made_inputs()
            if projection is not None:
                inputs["row_weights"] = np.ones((2, 20), np.float32)
            assert keras.backend.standardize_dtype(network(inputs).dtype) == "float32"
        assert network.get_layer("middle_conv").compute_dtype == "bfloat16"
        low = made_normalization().inverse(inputs["low"].astype(np.float64))
        field = made_normalization().inverse(np.asarray(network(inputs), np.float64))
        means = field.reshape(2, 5, 4, 6, 4, 2).mean((2, 4))
        assert np.all(np.abs(means - low) < 1e-5 * made_normalization().std)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": (4,)}, "a list of primes such as"),
        ({"factors": ()}, "a list of primes such as"),
        ({"blocks": 0}, "`blocks` must be a whole number from 1 up; got 0"),
        ({"num_static": -1}, "`num_static` must be a whole number from 0 up"),
        ({"projection": "physical"}, "must be a Normalization or 'normalized'"),
        ({"projection": made_normalization(("a", "b", "c"))}, "the generator has 2"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        generator(**options)


RUN = """
import sys
import keras
import numpy as np
import srgan.networks.layers  # registers them
from atmodist.training.saving import load_network

folder, backend = sys.argv[1:]
assert keras.backend.backend() == backend
inputs = dict(np.load(f"{folder}/inputs.npz"))
found = load_network(f"{folder}/generator.keras").predict_on_batch(inputs)
np.save(f"{folder}/{backend}.npy", found)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_saved_generators_give_the_same_under_every_backend(backend, tmp_path):
    needs(backend)
    network = small((2, 3), num_static=1, noise_channels=1, projection=made_normalization())
    save_network(network, tmp_path / "generator.keras")
    inputs = made_inputs((4, 5), 6, static=1, noise=1)
    inputs["row_weights"] = np.linspace(1, 2, 48, dtype=np.float32).reshape(2, 24)
    np.savez(tmp_path / "inputs.npz", **inputs)
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    environment["CUDA_VISIBLE_DEVICES"] = ""  # accelerators may round more coarsely
    arguments = [sys.executable, "-c", RUN, str(tmp_path), backend]
    result = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    expected = np.asarray(network(inputs))
    found = np.load(tmp_path / f"{backend}.npy")
    assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
