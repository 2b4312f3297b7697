import csv

import numpy as np
from numpy.testing import assert_allclose

from atmodist.calibration.calibrate import calibrate_measures
from atmodist.calibration.comparison import (
    compare,
    draw_comparison,
    lag_table,
    oriented,
)
from atmodist.calibration.pair_measures import PairMeasures
from atmodist.calibration.ranking import spearman


def made_measures(num_steps=20, per_step=40, noise=0.3, shared=0.0, seed=0):
    """The learned loss follows the lag closely, l2 less so, with noise of each base time."""
    rng = np.random.default_rng(seed)
    step = np.repeat(np.arange(num_steps), per_step)
    label = rng.integers(1, 9, len(step))
    common = shared * rng.standard_normal(num_steps)[step]

    def loss(spread):
        return np.exp(np.log(label) + spread * rng.standard_normal(len(step)) + common)

    return PairMeasures(
        step_seconds=10_800,
        label=label,
        step=step,
        content={"stage1": loss(noise)},
        pixel={"l2": loss(4 * noise), "psnr": -loss(noise), "ssim": 1 - loss(noise) / 100},
        latitude=np.zeros(len(step)),
    )


def test_all_measures_grow_with_the_difference():
    measures = made_measures()
    learned = calibrate_measures(measures)
    for name, values in oriented(measures, learned).items():
        assert spearman(values, measures.label) > 0.3, name


def test_the_table_over_lag_is_that_of_the_pairs():
    hours = np.array([3.0, 3.0, 6.0, 6.0, 6.0, 9.0])
    values = np.array([1.0, 3.0, 2.0, 4.0, 6.0, 10.0])
    first, second, third = lag_table({"l2": values}, hours)
    assert (first.lag_hours, first.num_pairs, first.mean, first.std) == (3.0, 2, 2.0, 1.0)
    assert (second.num_pairs, second.mean, second.median) == (3, 4.0, 4.0)
    assert_allclose([first.scaled_mean, second.scaled_mean, third.scaled_mean], [0, 0.25, 1])


def test_tables_and_figures_are_written(tmp_path):
    measures = made_measures()
    comparison = compare(measures, calibrate_measures(measures))
    assert comparison.measures == ("stage1", "l2", "-psnr (dB)", "1 - ssim")
    over_lag, ranks = comparison.save(tmp_path)
    with over_lag.open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 4 * 8
    assert float(table[0]["lag_hours"]) == 3.0
    with ranks.open() as file:
        table = list(csv.DictReader(file))
    assert {row["statistic"] for row in table} == {"spearman", "kendall"}
    assert float(table[0]["correlation"]) == comparison.ranks[0].correlation
    paths = draw_comparison(comparison, tmp_path / "comparison")
    assert all(path.stat().st_size > 1000 for path in paths)
    assert len(comparison.summary().splitlines()) == 1 + 2 * 4


def test_too_few_base_times_for_an_interval_are_said_to_be(tmp_path):
    measures = made_measures(num_steps=1)
    comparison = compare(measures, calibrate_measures(measures))
    text = comparison.summary()
    assert "nan" not in text
    assert "[—]" in text
    assert text.endswith(
        "No intervals: 1 values in time cannot show their memory; at least 16 can (1 base times)."
    )
    _, ranks = comparison.save(tmp_path)
    with ranks.open() as file:
        assert {row["low"] for row in csv.DictReader(file)} == {""}
    draw_comparison(comparison, tmp_path / "comparison")


def test_equal_fields_have_an_infinite_psnr_and_a_figure_all_the_same(tmp_path):
    measures = made_measures()
    measures.pixel["psnr"][measures.label == 1] = np.inf
    comparison = compare(measures, calibrate_measures(measures))
    first = next(row for row in comparison.over_lag if row.measure == "-psnr (dB)")
    assert first.mean == -np.inf
    draw_comparison(comparison, tmp_path / "comparison")
    ranks = {(r.measure, r.statistic): r.correlation for r in comparison.ranks}
    assert np.isfinite(ranks["-psnr (dB)", "spearman"])
