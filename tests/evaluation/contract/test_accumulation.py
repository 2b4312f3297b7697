import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import make_grid
from evaluation.contract.accumulation import StepAccumulator, StepSeries, checked_options
from evaluation.numerics.setting import GLOBE, Setting

SETTING = Setting(
    grid=make_grid("gauss", 8), channels=(DIVERGENCE, VORTICITY), regions={GLOBE: None}
)


def filled(steps, values):
    made = StepAccumulator(SETTING)
    for step in steps:
        made.add(step, {"a b": values[step]}, {"first": values[step, 0]})
    return made


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(3.0, 1.0, (6, 4))


def test_mean_spread_and_series_are_those_over_time(values):
    found = filled(range(6), values)
    assert_allclose(found.mean("a b"), values.mean(axis=0))
    assert_allclose(found.spread("a b"), values.std(axis=0))
    assert_array_equal(found.series("first"), values[:, 0])
    assert_array_equal(found.seconds, np.arange(6))


@pytest.mark.parametrize("cut", [0, 2, 6])
def test_parts_merge_and_come_back_from_arrays(values, cut):
    whole, found = filled(range(6), values), filled(range(cut), values)
    later = filled(range(cut, 6), values)
    restored = StepAccumulator(SETTING)
    restored.restore(later.arrays())
    found.merge(restored)
    for name, array in whole.arrays().items():
        assert_allclose(found.arrays()[name], array, rtol=1e-14)


def test_spread_of_constants_is_zero_in_spite_of_rounding():
    found = StepAccumulator(SETTING)
    for step in range(3):
        found.add(step, {"x": np.array([0.1, 1e9 + 0.3])}, {})
    assert np.isfinite(found.spread("x")).all()


def test_unknown_options_are_named():
    setting = Setting(
        grid=SETTING.grid, channels=SETTING.channels, regions={GLOBE: None}, options={"b": 3}
    )
    assert checked_options(setting, {"a": 1, "b": 2}, "this") == {"a": 1, "b": 3}
    with pytest.raises(ValueError, match="this has no option 'b'; it has a"):
        checked_options(setting, {"a": 1}, "this")


def test_a_series_comes_back_from_parts_and_from_disk():
    values = np.arange(12.0).reshape(3, 2, 1, 2)  # (time, name, region, channel)
    parts = [StepSeries(("a", "b"), SETTING) for _ in range(2)]
    for step in range(3):
        parts[step // 2].append(10 * step, values[step])
    parts[0].merge(parts[1])
    again = StepSeries(("a", "b"), SETTING)
    again.restore(parts[0].arrays())
    assert_array_equal(again.values("b"), values[:, 1])
    assert list(again.dataset().time) == [0, 10, 20]
    assert StepSeries(("a",), SETTING).values("a").shape == (0, 1, 2)
    with pytest.raises(ValueError, match=r"shape \(2, 1, 2\); got \(2, 2\)"):
        again.append(0, values[0, :, 0])
