import numpy as np
import pytest
import tensorflow as tf

from srgan.losses.combination import make_content_loss
from srgan.losses.consistency import ConsistencyPenalty
from srgan.losses.spectral import SpectralLoss
from srgan.restoration.degradation import coarsen
from srgan.training.losses import ADVERSARIAL, PRETRAINING, Losses
from srgan.training.validation import PatchScores, bicubic
from tests.srgan.training.sources import NORMALIZATION


def scores(generated, high, factor=2, content="mae=2"):
    losses = Losses(pretraining=make_content_loss("mse"), content=make_content_loss(content))
    measured = PatchScores(losses, ConsistencyPenalty(factor=factor, normalization=None))
    low = np.moveaxis(coarsen(np.moveaxis(high, -1, 1), factor, np.ones(high.shape[1])), 1, -1)
    weights = np.ones(high.shape[:2])
    batches = [
        tuple(tf.constant(array[part], tf.float32) for array in (low, high, weights, generated))
        for part in (slice(0, 3), slice(3, None))  # of unequal sizes
    ]
    given = [({"low": a}, {"high": b, "row_weights": w}, c.numpy()) for a, b, w, c in batches]
    return {name: measured.of(given, name) for name in (PRETRAINING, ADVERSARIAL)}


def fields(seed=0, size=5, extent=16):
    return np.random.default_rng(seed).standard_normal((size, extent, extent, 2))


def test_a_perfect_generator_has_no_error():
    high = fields()
    found = scores(high, high)[ADVERSARIAL]
    for name in ("loss", "mse", "mae", "log_spectral_distance"):
        assert found[name] == 0
    assert found["consistency"] == pytest.approx(0, abs=1e-6)
    assert found["correlation"] == pytest.approx(1, abs=1e-5)
    assert found["small_scale_power"] == pytest.approx(1)


def test_half_of_a_field_has_a_quarter_of_its_power():
    high = fields()
    found = scores(0.5 * high, high)[ADVERSARIAL]
    assert found["correlation"] == pytest.approx(1, abs=1e-5)
    assert found["small_scale_power"] == pytest.approx(0.25, rel=1e-5)
    assert found["log_spectral_distance"] == pytest.approx(10 * np.log10(4), rel=1e-4)
    assert found["mse"] == pytest.approx(np.mean(high**2) / 4, rel=1e-5)


def test_the_loss_is_that_of_the_phase_and_batches_count_by_their_size():
    high, generated = fields(0), fields(1)
    found = scores(generated, high)
    mse, mae = np.mean((high - generated) ** 2), np.mean(np.abs(high - generated))
    assert found[PRETRAINING]["loss"] == pytest.approx(mse, rel=1e-5)
    assert found[ADVERSARIAL]["loss"] == pytest.approx(2 * mae, rel=1e-5)
    assert list(found[PRETRAINING])[:3] == ["loss", "mse", "mae"]


def test_smooth_fields_lack_small_scales():
    high = fields()
    smooth = np.repeat(np.repeat(high[:, ::4, ::4], 4, axis=1), 4, axis=2)
    smooth = sum(np.roll(smooth, (i, j), (1, 2)) for i in range(4) for j in range(4)) / 16
    assert scores(smooth, high)[ADVERSARIAL]["small_scale_power"] < 0.1


def waves(*amplitudes, extent=16):
    """Waves along longitude, by their number; of both channels and of five patches."""
    x = 2 * np.pi * np.arange(extent) / extent
    wave = sum(a * np.cos(number * x) for number, a in amplitudes)
    return np.broadcast_to(wave[:, None], (5, extent, extent, 2)).copy()


def test_small_scales_begin_beyond_the_nyquist_wavenumber_of_the_coarse_grid():
    # 16 points hold 8 coarse cells of factor 2, and these waves up to 4; the window smears by one.
    true = waves((3, 1.0), (6, 1.0))
    for generated, expected in (
        (waves((3, 0.5), (6, 1.0)), 1.0),
        (waves((3, 1.0), (6, 0.5)), 0.25),
    ):
        found = scores(generated, true)[ADVERSARIAL]["small_scale_power"]
        assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("factor", "first"), [(2, 5), (4, 3)])
def test_small_scale_power_is_the_ratio_of_all_wavenumbers_beyond(factor, first):
    true, generated = fields(0), fields(1) * np.linspace(0.2, 2, 16)[:, None]
    numbers = np.arange(1, 9)  # of 16 points
    power = [SpectralLoss().power(tf.constant(x)).numpy().mean(0) for x in (generated, true)]
    beyond = [p[:, numbers >= first].sum(-1) for p in power]
    found = scores(generated, true, factor)[ADVERSARIAL]["small_scale_power"]
    assert found == pytest.approx(np.mean(beyond[0] / beyond[1]), rel=1e-4)


def test_no_patches_are_no_evaluation():
    losses = Losses(pretraining=make_content_loss("mse"), content=make_content_loss("mse"))
    measured = PatchScores(losses, ConsistencyPenalty(factor=2, normalization=None))
    with pytest.raises(ValueError, match="no patches to evaluate on"):
        measured.of([], PRETRAINING)


@pytest.mark.parametrize("alignment", ["centred", "shared"])
@pytest.mark.parametrize("factor", [2, 3])
def test_bicubic_interpolation_keeps_planes_where_it_has_neighbours(alignment, factor):
    fine = np.arange(8 * factor)
    plane = 2e-6 * fine[:, None] - 1e-6 * fine  # s⁻¹
    high = np.stack([plane, -plane], axis=-1)[None]
    if alignment == "shared":
        low = high[:, ::factor, ::factor]
    else:
        low = np.moveaxis(coarsen(np.moveaxis(high, -1, 1), factor, np.ones(len(fine))), 1, -1)
    found = bicubic(NORMALIZATION(low), factor, alignment, NORMALIZATION)
    assert found.shape == high.shape
    inner = (slice(None), slice(2 * factor, -2 * factor), slice(2 * factor, -2 * factor))
    np.testing.assert_allclose(NORMALIZATION.inverse(found)[inner], high[inner], atol=1e-10)
