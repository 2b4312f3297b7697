import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields import synthetic
from atmodist.fields.archive import Archive
from atmodist.fields.grid import make_grid
from atmodist.fields.synthetic import (
    DIVERGENCE_STD,
    VORTICITY_STD,
    generate_archive,
    synthetic_fields,
)

GRID = make_grid("gauss", 24)
SMALL = {"num_steps": 6, "num_rows": 12, "truncation": 8}


@pytest.fixture(scope="module")
def fields():
    """Independent fields: so far apart that nothing is remembered. (step, channel, lat, lon)."""
    return np.stack(list(synthetic_fields(GRID, 400, step_seconds=10**9, truncation=20)))


def test_fields_have_the_strength_of_the_lower_troposphere(fields):
    mean_square = (fields.astype(np.float64) ** 2 * GRID.area_weights).sum((-2, -1)).mean(0)
    # About 200 free coefficients in each of 400 fields.
    assert_allclose(np.sqrt(mean_square), [DIVERGENCE_STD, VORTICITY_STD], rtol=0.01)


def test_variance_is_the_same_at_every_latitude_and_longitude(fields):
    std = np.array([DIVERGENCE_STD, VORTICITY_STD])[:, None, None]
    variance = ((fields / std) ** 2).mean(0)
    # A circle has fewer independent points near a pole: one at least, in each of 400 fields.
    assert_allclose(variance.mean(2), 1, atol=4 * np.sqrt(2 / 400))
    assert_allclose(variance.mean(1), 1, atol=4 * np.sqrt(2 / 400 / 5))


def test_the_mean_over_the_sphere_is_zero(fields):
    # No part of degree 0: vorticity and divergence are derivatives. Rounding of float32.
    mean = (fields.astype(np.float64) * GRID.area_weights).sum((-2, -1))
    assert np.abs(mean).max() < 1e-6 * VORTICITY_STD


def test_no_degree_beyond_the_truncation():
    (field,) = synthetic_fields(GRID, 1, truncation=5)
    waves = np.abs(np.fft.rfft(field, axis=-1, norm="forward")) / VORTICITY_STD
    assert waves[..., 1:6].max() > 1e-2
    assert waves[..., 6:].max() < 1e-6  # rounding of float32


def test_memory_fades_with_lag_and_faster_at_small_scales():
    fields = np.stack(list(synthetic_fields(GRID, 200, step_seconds=3600, truncation=20)))
    correlations = [correlation(fields, lag) for lag in (1, 3, 6, 12, 24)]
    assert np.all(np.diff(correlations) < 0)
    assert correlations[0] > 0.9
    assert correlations[-1] < 0.5


def correlation(fields, lag):
    return np.corrcoef(fields[:-lag].ravel(), fields[lag:].ravel())[0, 1]


@pytest.mark.parametrize("degree", [3, 20])  # of the large scales, and of those that forget fast
def test_a_part_of_one_degree_drifts_and_fades_as_the_formula_says(monkeypatch, degree):
    monkeypatch.setattr(synthetic, "_amplitude", lambda degrees: 1.0 * (degrees == degree))
    step, order, num_steps = 28_800, 2, 3000
    made = synthetic_fields(GRID, num_steps, step_seconds=step, truncation=degree)
    waves = np.array([np.fft.rfft(field[1, 5])[order] for field in made])  # on one circle
    ratio = (waves[1:] * waves[:-1].conj()).sum() / (np.abs(waves[:-1]) ** 2).sum()
    memory = 36 * 3600 * min(1, (8 / degree) ** (2 / 3))
    drift = 15.0 / 6_371_229.0 - 2 * 7.292e-5 / (degree * (degree + 1))  # rad s⁻¹
    expected = np.exp(-step / memory - 1j * order * drift * step)
    # The estimate of an autoregression has a standard error of √((1 - ρ²) / N).
    assert abs(ratio - expected) < 4 * np.sqrt((1 - abs(expected) ** 2) / num_steps)


def test_fields_depend_on_the_seed_alone():
    first, again, other = (
        np.stack(list(synthetic_fields(GRID, 3, seed=seed, truncation=10))) for seed in (1, 1, 2)
    )
    assert_array_equal(first, again)
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0.2
    assert first.dtype == np.float32
    assert first.shape == (3, 2, 24, 48)


def test_a_longer_series_begins_with_the_shorter():
    short = np.stack(list(synthetic_fields(GRID, 2, truncation=10)))
    long = np.stack(list(synthetic_fields(GRID, 5, truncation=10)))
    assert_array_equal(long[:2], short)


def test_an_archive_is_the_same_bytes_again(tmp_path):
    paths = [generate_archive(tmp_path / name, **SMALL, seed=4).path for name in ("a.h5", "b.h5")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Archive(paths[0]) as archive:
        assert archive.grid.kind == "gauss"
        assert [channel.name for channel in archive.channels] == ["divergence", "vorticity"]
        assert "not an atmosphere" in archive.attributes["source"]
        fields = synthetic_fields(archive.grid, 6, seed=4, truncation=8)
        for step, field in enumerate(fields):
            assert_array_equal(archive.read(step), field)


@pytest.mark.parametrize("num_written", [1, 4])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch, num_written):
    class KilledError(Exception):
        pass

    def killed(*arguments, **keywords):
        fields = real(*arguments, **keywords)
        for _ in range(num_written):
            yield next(fields)
        raise KilledError

    real = synthetic.synthetic_fields
    with monkeypatch.context() as context:
        context.setattr(synthetic, "synthetic_fields", killed)
        with pytest.raises(KilledError):
            generate_archive(tmp_path / "a.h5", **SMALL)
    assert not (tmp_path / "a.h5").exists()
    generate_archive(tmp_path / "a.h5", **SMALL)
    generate_archive(tmp_path / "once.h5", **SMALL)
    with Archive(tmp_path / "a.h5") as resumed, Archive(tmp_path / "once.h5") as once:
        assert_array_equal(resumed.time.seconds, once.time.seconds)
        for step in range(6):
            assert_array_equal(resumed.read(step), once.read(step))


def test_it_starts_when_asked(tmp_path):
    generate_archive(tmp_path / "a.h5", **SMALL, start=86_400, step_seconds=600)
    with Archive(tmp_path / "a.h5") as archive:
        assert archive.time.isoformat(1) == "1970-01-02T00:10:00"
