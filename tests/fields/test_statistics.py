"""Statistics in one pass, compared with several passes over the whole archive in float64."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields import statistics as module
from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.statistics import FieldMoments, compute_statistics
from atmodist.fields.time_axis import TimeAxis

CHANNELS = (DIVERGENCE, VORTICITY)
DAY = 86_400
ROUNDING = 1e-12  # float64 sums of float32 values, with room for their number
BINNING = 2e-5  # (1.6 %)² / 12, of the spread: values of one bin differ from their mean


class FakeArchive:
    """Holds fields (channel, time, latitude, longitude) in memory, and counts reads."""

    def __init__(self, data: np.ndarray, grid: Grid | None = None):
        self.data, self.shape = data, data.shape
        self.grid = grid or make_grid("driscoll-healy", data.shape[2], data.shape[3])
        self.channels = CHANNELS[: len(data)]
        self.time = TimeAxis(np.arange(data.shape[1]) * DAY)
        self.path = SimpleNamespace(name="fake.h5")
        self.reads: list[int] = []

    def read(self, step, out=None):
        self.reads.append(step)
        field = self.data[:, step].copy()
        if out is None:
            return field
        out[...] = field
        return out

    def fingerprint(self):
        return "sha256:0"


def storms(steps=5, rows=16, columns=32, seed=0) -> np.ndarray:
    """Heavy-tailed fields whose spread depends on latitude and time, so that weights matter."""
    rng = np.random.default_rng(seed)
    data = rng.standard_t(5, (2, steps, rows, columns)) * np.linspace(1, 5, rows)[:, None]
    data *= np.linspace(1, 2, steps)[:, None, None]
    return ((data + np.linspace(-2, 1, rows)[:, None]) * 1e-5).astype(np.float32)


def two_passes(archive, steps=None, alpha=0.2):
    """Mean, std, log_mean, log_std by definition, in float64 (long double for the sums)."""
    data = archive.data if steps is None else archive.data[:, steps]
    data = data.astype(np.longdouble)
    weights = archive.grid.area_weights

    def mean(values):
        return (values * weights).sum((-2, -1)).mean(-1)

    def expand(values):
        return values[:, None, None, None]

    mu = mean(data)
    sigma = np.sqrt(mean((data - expand(mu)) ** 2))
    z = (data - expand(mu)) / expand(sigma)
    y = np.sign(z) * np.log1p(alpha * np.abs(z))
    log_mu = mean(y)
    log_sigma = np.sqrt(mean((y - expand(log_mu)) ** 2))
    return tuple(values.astype(np.float64) for values in (mu, sigma, log_mu, log_sigma))


@pytest.mark.parametrize("kind", ["driscoll-healy", "gauss", "regular", "cell-centred"])
def test_agrees_with_two_passes(kind):
    archive = FakeArchive(storms(), make_grid(kind, 16, 32))
    statistics = compute_statistics(archive)
    ours = statistics.normalization
    mean, std, log_mean, log_std = two_passes(archive)
    assert_allclose(ours.mean, mean, rtol=0, atol=ROUNDING * std.max())
    assert_allclose(ours.std, std, rtol=ROUNDING)
    assert_allclose(ours.log_mean, log_mean, rtol=0, atol=BINNING * log_std.max())
    assert_allclose(ours.log_std, log_std, rtol=BINNING)
    assert_array_equal(statistics.minimum, archive.data.min((1, 2, 3)))
    assert_array_equal(statistics.maximum, archive.data.max((1, 2, 3)))
    assert (statistics.num_steps, statistics.num_values) == (5, 5 * 16 * 32)


def test_is_known_in_closed_form():
    # sin(latitude) has mean 0 and mean square 1/3 over the sphere; at step t it is t + 1 times it,
    # so the variance is (1 + 4 + 9) / 9. A driscoll-healy grid integrates it exactly.
    grid = make_grid("driscoll-healy", 32)
    wave = np.sin(np.deg2rad(grid.latitude))[:, None] * np.ones(64)
    data = np.stack([[(t + 1) * wave for t in range(3)]]).astype(np.float32)
    ours = compute_statistics(FakeArchive(data, grid)).normalization
    assert ours.mean[0] == pytest.approx(0, abs=1e-8)  # float32 values
    assert ours.std[0] == pytest.approx(np.sqrt(14 / 9), rel=1e-7)


def test_normalised_fields_have_mean_zero_and_spread_one():
    archive = FakeArchive(storms(seed=3))
    ours = compute_statistics(archive).normalization
    fields = ours(np.moveaxis(archive.data, 0, -1).astype(np.float64))
    weights = archive.grid.area_weights[..., None] / archive.shape[1]
    mean = (fields * weights).sum((0, 1, 2))
    assert_allclose(mean, 0, atol=BINNING)
    assert_allclose((fields**2 * weights).sum((0, 1, 2)), 1, rtol=2 * BINNING)


def test_every_field_is_read_once():
    archive = FakeArchive(storms(steps=70))
    compute_statistics(archive, range(3, 68))
    assert sorted(archive.reads) == list(range(3, 68))


def test_a_mean_far_from_zero_costs_no_digits():
    # Geopotential-like: the mean is 1e4 standard deviations away from zero.
    data = (50_000 + 5 * np.random.default_rng(1).standard_normal((1, 6, 16, 32))).astype("f4")
    archive = FakeArchive(data)
    ours = compute_statistics(archive).normalization
    mean, std, log_mean, log_std = two_passes(archive)
    assert_allclose(ours.mean, mean, rtol=1e-14)
    assert_allclose(ours.std, std, rtol=1e-7)  # 1e-16 (mean / std)², with room
    assert_allclose(ours.log_mean, log_mean, rtol=0, atol=BINNING * log_std.max())
    assert_allclose(ours.log_std, log_std, rtol=BINNING)


def test_a_drift_that_leaves_the_first_field_behind_is_followed():
    data = storms(steps=40) + (np.arange(40) * 1e-4).astype("f4")[:, None, None]
    archive = FakeArchive(data)
    ours = compute_statistics(archive).normalization
    mean, std, log_mean, log_std = two_passes(archive)
    assert_allclose(ours.mean, mean, rtol=ROUNDING)
    assert_allclose(ours.std, std, rtol=ROUNDING)
    assert_allclose(ours.log_mean, log_mean, rtol=0, atol=1e-3 * log_std.max())
    assert_allclose(ours.log_std, log_std, rtol=1e-3)


def test_counting_a_part_of_the_values_keeps_the_error_it_states(monkeypatch):
    archive = FakeArchive(storms(steps=80, rows=64, columns=128))
    monkeypatch.setattr(module, "WHOLE_HISTOGRAM", 0)
    ours = compute_statistics(archive).normalization
    mean, std, log_mean, log_std = two_passes(archive)
    assert_allclose(ours.mean, mean, rtol=0, atol=ROUNDING * std.max())  # counted in full
    assert_allclose(ours.std, std, rtol=ROUNDING)
    error = 4 / np.sqrt(80 * 64 * 128 / module.HISTOGRAM_STRIDE)  # four standard errors
    assert np.all(np.abs(ours.log_mean - log_mean) < error * log_std)
    assert np.all(np.abs(ours.log_std - log_std) < error * log_std)
    assert np.any(ours.log_mean != log_mean)


def test_the_part_that_is_counted_moves_from_step_to_step(monkeypatch):
    # One value in 31 of rows of 62 is always the same two columns, were it not to move.
    monkeypatch.setattr(module, "WHOLE_HISTOGRAM", 0)
    columns = np.random.default_rng(0).standard_normal(62).astype("f4")
    archive = FakeArchive(np.broadcast_to(columns, (1, 31, 8, 62)))
    ours = compute_statistics(archive).normalization
    _, _, log_mean, log_std = two_passes(archive)
    assert_allclose(ours.log_mean, log_mean, rtol=0, atol=BINNING * log_std.max())
    assert_allclose(ours.log_std, log_std, rtol=BINNING)


def test_few_different_values_are_counted_exactly():
    data = np.random.default_rng(0).choice([0.0, 0.3, 1.0], (1, 3, 16, 32)).astype("f4")
    archive = FakeArchive(data)
    ours = compute_statistics(archive).normalization
    _, _, log_mean, log_std = two_passes(archive)
    # Exact but for the subtraction of the first field's mean in float32.
    assert_allclose(ours.log_mean, log_mean, rtol=0, atol=1e-7 * log_std[0])
    assert_allclose(ours.log_std, log_std, rtol=1e-7)


@given(integers(1, 6))
def test_merged_parts_are_the_whole(cut):
    data = storms(steps=7)
    weights = make_grid("driscoll-healy", 16).area_weights[:, 0]
    origin = np.zeros(2, np.float32)

    def moments(steps):
        parts = [FieldMoments(data[:, t], weights, origin=origin) for t in steps]
        for part in parts[1:]:
            parts[0].merge(part)
        return parts[0]

    whole, part = moments(range(7)), moments(range(cut))
    part.merge(moments(range(cut, 7)))
    assert part.num_steps == whole.num_steps == 7
    for name in ("mean", "variance", "minimum", "maximum"):
        assert_allclose(getattr(part, name), getattr(whole, name), rtol=1e-12, atol=1e-20)
    assert_allclose(part.log_moments(0.2), whole.log_moments(0.2), rtol=1e-9, atol=1e-12)


def test_number_of_threads_changes_no_bit(monkeypatch):
    archive = FakeArchive(storms(steps=50))
    one_field_after_the_other = []
    for threads in (1, 4):
        monkeypatch.setattr(module.os, "cpu_count", lambda threads=threads: threads)
        one_field_after_the_other.append(compute_statistics(archive).normalization.identity)
    assert len(set(one_field_after_the_other)) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("step", [0, 33])
def test_missing_values_name_time_channel_and_number(value, step):
    data = storms(steps=40)
    data[1, step, 2, 3:6] = value
    day = np.datetime64("1970-01-01") + step
    with pytest.raises(ValueError, match=rf"3 of 512 values of vorticity at {day}T00:00:00"):
        compute_statistics(FakeArchive(data))


def test_infinities_of_both_signs_do_not_cancel():
    data = storms()
    data[0, 1, 2, 3:5] = np.inf, -np.inf
    with pytest.raises(ValueError, match="2 of 512 values of divergence"):
        compute_statistics(FakeArchive(data))


def test_a_constant_channel_is_refused():
    data = storms()
    data[1] = 1e-5
    with pytest.raises(ValueError, match="vorticity has the same value everywhere"):
        compute_statistics(FakeArchive(data))


def test_no_steps_and_a_wrong_alpha_are_refused():
    with pytest.raises(ValueError, match="at least one step"):
        compute_statistics(FakeArchive(storms()), [])
    with pytest.raises(ValueError, match="`alpha` must be positive"):
        compute_statistics(FakeArchive(storms()), alpha=-1.0)


@pytest.fixture
def written(tmp_path):
    data, grid = storms(steps=10), make_grid("driscoll-healy", 16)
    path = tmp_path / "archive.h5"
    with ArchiveWriter(path, channels=CHANNELS, grid=grid) as writer:
        for step in range(10):
            writer.append(step * DAY, data[:, step])
    return path, data


def test_only_the_period_counts_and_is_recorded(written):
    path, data = written
    with Archive(path) as archive:
        steps = archive.time.select("1970-01-03", "1970-01-06")
        ours = compute_statistics(archive, steps).normalization
    mean, std, _, _ = two_passes(FakeArchive(data), slice(2, 6))
    assert_allclose(ours.mean, mean, rtol=0, atol=ROUNDING * std.max())
    assert_allclose(ours.std, std, rtol=ROUNDING)
    assert (ours.channels, ours.units) == (("divergence", "vorticity"), ("s-1", "s-1"))
    assert ours.source["archive"] == "archive.h5"
    assert ours.source["fingerprint"].startswith("sha256:")
    assert ours.source["start"] == "1970-01-03T00:00:00"
    assert ours.source["end"] == "1970-01-06T00:00:00"
    assert ours.source["num_steps"] == 4


def test_one_step_is_enough_and_summary_shows_units(written):
    with Archive(written[0]) as archive:
        text = compute_statistics(archive, [4]).summary()
    assert "vorticity (s-1)" in text
    assert len(text.splitlines()) == 3
