import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.calibration.calibrate import calibrate_measures
from atmodist.calibration.other_weeks import Blocks, for_other_weeks
from atmodist.calibration.pair_measures import PairMeasures
from atmodist.metric.lag_curve import LagCurve

STEPS_A_DAY, MAX_LABEL, STEP_HOURS = 8, 4, 3.0


def liveliness(rng, num_days, memory, spread=0.1):
    """Log of how lively each day is: an autoregressive series of unit steps of a day."""
    result = np.empty(num_days)
    result[0] = spread * rng.normal()
    for day in range(1, num_days):
        result[day] = memory * result[day - 1]
        result[day] += spread * np.sqrt(1 - memory**2) * rng.normal()
    return result


def made_pairs(rng, offsets, noise=0.05):
    """(step, hours, distance): d = √lag, livelier or calmer by the day."""
    steps = len(offsets) * STEPS_A_DAY
    step, label = np.tile(np.arange(steps), MAX_LABEL), np.repeat(np.arange(MAX_LABEL) + 1, steps)
    x = np.log(label) / 2 + offsets[step // STEPS_A_DAY] + noise * rng.normal(size=len(step))
    return step, label * STEP_HOURS, np.exp(x)


def made_curve(step, hours, distance):
    blocks = Blocks.of(step, STEP_HOURS, hours.max())
    return for_other_weeks(LagCurve.of(distance, hours), distance, hours, blocks)


def held(curve, hours, distance):
    """Share of pairs whose lag lies in the band of hours; the largest lag left out."""
    _, low, high = curve.hours(distance)
    inner = hours < curve.lag_hours[-1]
    return ((low <= hours) & (hours <= high))[inner].mean()


def mean_coverage(num_days, memory, repeats=60):
    shares = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        pairs = made_pairs(rng, liveliness(rng, num_days, memory))
        _, hours, distance = made_pairs(rng, 0.1 * rng.normal(size=20))  # days far apart
        curve = made_curve(*pairs)
        shares.append(
            [
                held(LagCurve.of(pairs[2], pairs[1]), hours, distance),
                held(curve, hours, distance),
            ]
        )
    return np.mean(shares, axis=0)


@pytest.mark.parametrize(("num_days", "memory"), [(8, 0.0), (30, 0.0), (12, 0.7)])
def test_the_band_holds_two_thirds_of_the_pairs_of_other_weeks(num_days, memory):
    plain, wide = mean_coverage(num_days, memory)
    assert 0.6 < wide < 0.8
    assert plain < wide - 0.02


def test_the_band_of_a_few_days_held_fewer_than_it_claimed():
    plain, wide = mean_coverage(4, 0.7)
    assert plain < 0.5
    assert wide > plain + 0.1


def test_days_that_are_alike_widen_nothing():
    rng = np.random.default_rng(0)
    curve = made_curve(*made_pairs(rng, np.zeros(40)))
    assert_allclose(curve.low, curve.quantile16, rtol=0.01)
    assert_allclose(curve.high, curve.quantile84, rtol=0.01)


def test_the_width_is_that_of_the_formula():
    # Without noise and memory: the band is t σ √(1 + 1/n) about the median.
    from scipy.stats import t

    offsets = np.array([0.1, -0.1, 0.1, -0.1, 0.1, -0.1])
    step, hours, distance = made_pairs(np.random.default_rng(0), offsets, noise=0.0)
    curve = made_curve(step, hours, distance)
    width = t.ppf(0.84, 5) * np.std(offsets, ddof=1) * np.sqrt(1 + 1 / 6)
    assert_allclose(curve.high, np.maximum(curve.median * np.exp(width), curve.quantile84))
    assert width > 0.1  # wider than the days themselves: the band is that of the formula
    assert_allclose(curve.low, curve.median * np.exp(-width))


def test_blocks_are_days_or_the_largest_lag():
    step = np.arange(4 * 8 + 3)
    days = Blocks.of(step, 3.0, 24.0)
    assert np.bincount(days.block).tolist() == [8, 8, 8, 11]  # the rest joins the last whole one
    assert (days.num_blocks, days.days) == (4, 5)
    assert np.bincount(Blocks.of(step, 3.0, 48.0).block).tolist() == [16, 19]
    assert Blocks.of(None, 3.0, 24.0).num_blocks == 0


@pytest.mark.parametrize("num_days", [1, 2])
def test_too_few_days_leave_the_curve_as_it_was(num_days):
    rng = np.random.default_rng(0)
    curve = made_curve(*made_pairs(rng, np.zeros(num_days)))
    assert curve.low is None
    assert curve.high is None


def test_equal_fields_and_undated_pairs_leave_the_curve_as_it_was():
    rng = np.random.default_rng(0)
    step, hours, distance = made_pairs(rng, np.zeros(6))
    unknown = Blocks.of(None, STEP_HOURS, hours.max())
    assert for_other_weeks(LagCurve.of(distance, hours), distance, hours, unknown).low is None
    distance[0] = 0.0
    assert made_curve(step, hours, distance).low is None


def measures(num_days, dated=True):
    rng = np.random.default_rng(1)
    step, hours, distance = made_pairs(rng, liveliness(rng, num_days, 0.0))
    return PairMeasures(
        step_seconds=10_800,
        label=np.round(hours / STEP_HOURS).astype(int),
        step=step,
        content={"stage1": distance**2},
        pixel={"l2": distance**2},
        latitude=np.zeros(len(step)),
        dated=dated,
    )


@pytest.mark.parametrize(
    ("num_days", "dated", "note"),
    [
        (12, True, "one pair in three lies outside, as estimated from 12 days"),
        (2, True, "calibrated on 2 days: hours of other weeks may be further off"),
        (12, False, "of the days of the calibration; hours of other weeks may be further off"),
    ],
)
def test_a_calibration_says_what_its_band_is_worth(tmp_path, num_days, dated, note):
    from atmodist.metric.calibration import Calibration

    made = calibrate_measures(measures(num_days, dated))
    made.save(tmp_path / "calibration.json")
    loaded = Calibration.load(tmp_path / "calibration.json")
    assert loaded.as_dict() == made.as_dict()
    assert note in loaded.band_note("stage1")
    assert note in loaded.table()
    known = (num_days, dated) == (12, True)
    assert (loaded.curve("stage1").low is not None) == known


@pytest.mark.slow
def test_two_months_of_era5_hold_for_the_third(sample_data):
    import xarray as xr

    (path,) = (sample_data / "mwyau__PyStormTracker-Data").glob("*.zarr")
    with xr.open_zarr(path) as store:
        vorticity = store["vo"].isel(pressure_level=0).values
        rows = np.cos(np.radians(store["latitude"].values))
    weights = (rows / rows.sum())[:, None] / vorticity.shape[-1]

    def pairs(fields):
        parts = []
        for label in range(1, 9):
            squares = np.square(fields[label:] - fields[:-label], dtype=np.float64)
            distance = np.sqrt((squares * weights).sum(axis=(1, 2)))
            parts.append((np.arange(len(distance)), np.full(len(distance), 6.0 * label), distance))
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def covered(known, other):
        step, hours, distance = pairs(known)
        blocks = Blocks.of(step, 6.0, 48.0)
        curve = for_other_weeks(LagCurve.of(distance, hours), distance, hours, blocks)
        _, hours, distance = pairs(other)
        return held(curve, hours, distance)

    assert 0.6 < covered(vorticity[:248], vorticity[248:]) < 0.8  # December, January; February
    assert 0.6 < covered(vorticity[:40], vorticity[60:]) < 0.8  # ten days; the rest of the winter
