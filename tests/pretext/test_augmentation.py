import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.pretext.augmentation import (
    PSEUDO_SCALARS,
    SCALARS,
    mirror_north_south,
    random_symmetries,
    require_known_symmetries,
    reverse_time,
)
from tests.pretext.sources import CHANNELS, normalization


def physical_fields(count=3):
    rng = np.random.default_rng(5)
    return rng.standard_normal((count, 6, 8, 2)) * [1e-5, 2e-5] + [1e-6, 5e-6]


@pytest.mark.parametrize("mean", [(0.0, 0.0), (1e-6, 5e-6)])  # with and without a mean flow
def test_mirroring_normalised_fields_is_mirroring_physical_ones(mean):
    scheme, fields = normalization(mean=mean), physical_fields()
    expected = fields[:, ::-1].copy()
    expected[..., 1] *= -1.0  # vorticity is a pseudo-scalar, divergence is not
    mirrored = mirror_north_south(scheme(fields), CHANNELS, scheme)
    assert_allclose(mirrored, scheme(expected), rtol=1e-9, atol=1e-9)


def test_without_normalisation_only_the_sign_changes():
    fields = physical_fields()
    mirrored = np.asarray(mirror_north_south(fields, CHANNELS))
    assert_array_equal(mirrored[..., 0], fields[:, ::-1, :, 0])
    assert_array_equal(mirrored[..., 1], -fields[:, ::-1, :, 1])
    scalars = mirror_north_south(fields, ("temperature", "divergence"))
    assert_array_equal(scalars, fields[:, ::-1])


@pytest.mark.parametrize("name", ["vorticity", "northward_wind", "potential_vorticity"])
def test_a_single_channel_is_mirrored_by_its_name(name):
    fields = physical_fields()[..., :1]
    assert_array_equal(mirror_north_south(fields, (name,)), -fields[:, ::-1])


def test_the_kind_of_an_unknown_channel_is_not_guessed():
    with pytest.raises(ValueError, match=r"whether channel0 changes sign .*--mirror false"):
        mirror_north_south(physical_fields(), ("channel0", "vorticity"))
    for options in ({"mirror": True, "reverse": False}, {"mirror": False, "reverse": True}):
        with pytest.raises(ValueError, match="--mirror false --reverse false"):
            require_known_symmetries(("channel0",), **options)
    require_known_symmetries(("channel0",), mirror=False, reverse=False)
    assert not SCALARS & PSEUDO_SCALARS


def test_a_northward_wind_is_mirrored_but_not_reversed():
    require_known_symmetries(("eastward_wind", "northward_wind"), mirror=True, reverse=False)
    require_known_symmetries(("eastward_wind",), mirror=True, reverse=True)
    with pytest.raises(ValueError, match=r"sign of northward_wind.*--reverse false"):
        require_known_symmetries(("eastward_wind", "northward_wind"), mirror=False, reverse=True)


@pytest.mark.parametrize("mean", [(0.0, 0.0), (0.0, 5e-6)])
def test_mirroring_twice_gives_the_fields_again(mean):
    scheme = normalization(mean=mean)
    fields = scheme(physical_fields().astype(np.float32))
    twice = mirror_north_south(mirror_north_south(fields, CHANNELS, scheme), CHANNELS, scheme)
    assert_allclose(twice, fields, atol=1e-5)  # float32: values up to 5, a few roundings


def test_half_of_the_pairs_are_mirrored_and_both_fields_alike():
    pairs = np.random.default_rng(0).standard_normal((400, 2, 4, 4, 2)).astype(np.float32)
    scheme = normalization()

    def mirror(pairs):
        return mirror_north_south(pairs, CHANNELS, scheme)

    augmented = np.asarray(random_symmetries([mirror], seed=1, epoch=0)(0, pairs))
    mirrored = np.asarray(mirror(pairs))
    untouched = (augmented == pairs).all(axis=(2, 3, 4))
    turned = (augmented == mirrored).all(axis=(2, 3, 4))
    assert_array_equal(untouched, ~turned)
    assert_array_equal(turned[:, 0], turned[:, 1])
    assert 150 < turned[:, 0].sum() < 250  # 200 ± 5 standard deviations


def test_the_choice_is_a_function_of_seed_epoch_and_batch():
    pairs = np.random.default_rng(0).standard_normal((64, 2, 2, 2, 2)).astype(np.float32)

    def augmented(seed, epoch, batch):
        return np.asarray(random_symmetries([reverse_time], seed=seed, epoch=epoch)(batch, pairs))

    assert_array_equal(augmented(1, 2, 3), augmented(1, 2, 3))
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert (augmented(1, 2, 3) != augmented(*other)).any()


def test_reversed_time_keeps_a_drift_and_exchanges_the_fields():
    first = np.random.default_rng(0).standard_normal((1, 4, 8, 2)).astype(np.float32)
    pairs = np.stack([first, np.roll(first, 3, axis=2)], axis=1)  # drifts three columns east
    reversed_pairs = np.asarray(reverse_time(pairs))
    assert_array_equal(np.roll(reversed_pairs[:, 0], 3, axis=2), reversed_pairs[:, 1])
    assert_array_equal(reversed_pairs[:, 0], pairs[:, 1][:, :, ::-1])
    assert_array_equal(reverse_time(reversed_pairs), pairs)


def test_two_symmetries_are_drawn_independently():
    pairs = np.random.default_rng(0).standard_normal((400, 2, 4, 4, 2)).astype(np.float32)
    augment = random_symmetries([lambda x: -x, reverse_time], seed=0, epoch=0)
    augmented = np.asarray(augment(0, pairs))
    variants = [pairs, -pairs, pairs[:, ::-1, :, ::-1], -pairs[:, ::-1, :, ::-1]]
    counts = [(augmented == variant).all(axis=(1, 2, 3, 4)).sum() for variant in variants]
    assert sum(counts) == 400
    assert min(counts) > 55  # 100 ± 5 standard deviations


def test_the_slope_at_the_mean_is_right():
    """At x = μ a mirrored vorticity is that of -μ: dy'/dy = -1 / (1 + 2α μ/σ)."""
    import tensorflow as tf

    scheme = normalization(mean=(0.0, 4e-6))
    fields = tf.zeros((1, 2, 2, 2)) - (scheme.log_mean / scheme.log_std).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(fields)
        mirrored = mirror_north_south(fields, CHANNELS, scheme)
    slope = tape.gradient(mirrored, fields).numpy()
    expected = [1.0, -1 / (1 + scheme.alpha * 2 * 4e-6 / 2e-5)]
    assert_allclose(slope, np.broadcast_to(expected, slope.shape), rtol=1e-5)
