import numpy as np
from numpy.testing import assert_allclose

from atmodist.fields.intervals import Interval
from tools import coverage


def test_series_have_the_memory_and_the_variance_they_are_called_by():
    rng = np.random.default_rng(0)
    lags = np.arange(1, 6)
    for kind, expected in (
        (coverage.red_noise, np.exp(-lags / 3)),
        (coverage.half_white, np.exp(-lags / 3) / 2),
        (coverage.overlapping, 1 - lags / 6),
    ):
        series = kind(rng, 2, 100_000, 3)
        assert series.shape == (2, 100_000)
        found = [np.mean(series[:, k:] * series[:, :-k]) for k in lags]
        assert_allclose(series.var(), 1, atol=0.04)
        assert_allclose(found, expected, atol=0.04)
    assert_allclose(coverage.red_noise(rng, 20_000, 2, 3)[:, 0].var(), 1, atol=0.05)  # stationary


def test_a_cell_tells_coverage_width_and_how_many_have_an_interval():
    def interval(low, high):
        reason = None if low is not None else "short"
        return Interval(
            value=0, low=low, high=high, p_value=None, effective=1.0, num=9, reason=reason
        )

    found = [interval(-1.0, 1.0), interval(1.0, 3.0), interval(-2.0, 2.0), interval(None, None)]
    assert coverage.told(found, 0.0, ideal=4.0) == "0.67 (0.5×; 75 %)"
    assert coverage.told(found[:2], 2.0, ideal=1.0) == "0.50 (2.0×)"
    assert coverage.told(found[3:], 0.0, ideal=1.0) == "none"
