import hashlib

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2, chi2_contingency

from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.time_axis import TimeAxis
from atmodist.pairs.configuration import PairSamplerConfig
from atmodist.pairs.plan import base_steps, plan_pairs
from atmodist.records.patch_places import row_probabilities, split_steps

GRID = make_grid("regular", 19)  # every 10 degrees, both poles
REGIONAL = Grid(np.arange(60.0, 29.0, -1.0), np.arange(-10.0, 31.0))
# Seeds are fixed: these are bounds that a right sampler stays within, not chances of failing.
ALPHA = 1e-3

# Differences between times, in steps: mostly 1, now and then a hole.
holes = st.lists(st.sampled_from([1, 1, 1, 1, 2, 7]), min_size=3, max_size=60)


def time_with(differences):
    return TimeAxis(3600 * np.concatenate([[0], np.cumsum(differences)]))


def config(**changes):
    defaults = {"patch_shape": (4, 6), "patches_per_step": 50, "max_temporal_distance": 6}
    return PairSamplerConfig(archive="a.h5", **{**defaults, **changes})


def plan(num_steps=100, grid=GRID, **changes):
    time = TimeAxis(3600 * np.arange(num_steps))
    return plan_pairs(time, grid, range(num_steps), split="train", config=config(**changes))


def is_plausible(observed, expected):
    """Whether counts agree with their expectation by Pearson's test."""
    observed, expected = np.asarray(observed), np.asarray(expected)
    assert_allclose(observed.sum(), expected.sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    return statistic < chi2.isf(ALPHA, len(expected) - 1)


@given(holes, st.integers(1, 5), st.sampled_from([0.0, 0.2, 0.5]))
def test_every_label_stays_in_its_segment_and_its_split(differences, lag, fraction):
    time = time_with(differences)
    for name, steps in split_steps(time, evaluation_fraction=fraction, gap=lag).items():
        # The definition: times are exactly label steps apart, whatever segments() may say.
        expected = [
            t
            for t in steps
            if all(
                t + k in steps and time.seconds[t + k] - time.seconds[t] == k * time.step
                for k in range(1, lag + 1)
            )
        ]
        if expected:
            assert_array_equal(base_steps(time, steps, lag, name), expected)
        else:
            with pytest.raises(ValueError, match=f"the {name} split has no pairs"):
                base_steps(time, steps, lag, name)


@given(holes, st.integers(1, 9), st.floats(0.05, 0.95))
def test_splits_are_apart_by_the_gap_in_time_and_share_nothing(differences, gap, fraction):
    time = time_with(differences)
    splits = split_steps(time, evaluation_fraction=fraction, gap=gap)
    train, evaluation = splits["train"], splits["evaluation"]
    assert train.start == 0
    assert evaluation.stop == len(time)
    boundary = (1 - fraction) * time.seconds[-1]
    assert time.seconds[train[-1]] <= boundary
    assert train.stop == len(time) or time.seconds[train.stop] > boundary
    if len(evaluation):
        assert evaluation.start >= train.stop
        assert time.seconds[evaluation[0]] - time.seconds[train[-1]] >= gap * time.step
        # No step is wasted: one step earlier would be too near.
        before = time.seconds[evaluation[0] - 1]
        assert before - time.seconds[train[-1]] < gap * time.step


def test_without_evaluation_all_is_for_training():
    time = TimeAxis(np.arange(5))
    assert split_steps(time, evaluation_fraction=0, gap=2) == {"train": range(5)}


def test_labels_are_uniform_and_say_nothing_about_the_step():
    pairs = plan(num_steps=206, patches_per_step=60)
    counts = np.bincount(pairs.label, minlength=7)
    assert counts[0] == 0
    assert is_plausible(counts[1:], np.full(6, len(pairs) / 6))
    table = np.zeros((200, 6))
    np.add.at(table, (pairs.step, pairs.label - 1), 1)
    assert chi2_contingency(table).pvalue > ALPHA
    assert (table[[0, -1]] > 0).all()  # also at both ends of the segment


def test_label_row_and_column_are_independent():
    pairs = plan(num_steps=400)
    draws = np.array([pairs.label, pairs.row, pairs.column])
    correlation = np.corrcoef(draws)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 4 / np.sqrt(len(pairs))


@pytest.mark.parametrize("num_rows", [1, 2, 5, 8])
def test_centres_of_patches_are_uniform_in_area(num_rows):
    pairs = plan(num_steps=300, patch_shape=(num_rows, 3), patches_per_step=100)
    spacing = 10.0
    starts = np.arange(19 - num_rows + 1)
    centre = 90.0 - spacing * (starts + (num_rows - 1) / 2)
    # The area between half a row north of the centre and half a row south; a pole row has half.
    edges = np.clip([centre + spacing / 2, centre - spacing / 2], -90, 90)
    area = -np.diff(np.sin(np.radians(edges)), axis=0)[0]
    expected = area / area.sum() * len(pairs)
    assert is_plausible(np.bincount(pairs.row, minlength=len(starts)), expected)


def test_sine_of_latitude_is_uniform_where_any_row_can_be_the_centre():
    pairs = plan(num_steps=200, grid=make_grid("regular", 181), patch_shape=(1, 1))
    sines = np.sin(np.radians(90.0 - pairs.row))
    counts = np.histogram(sines, np.linspace(-1, 1, 11))[0]
    # Rows are discrete, so a bin may be off by a row, 0.017 at most, of its width of 0.2.
    assert_allclose(counts / len(pairs), 0.1, rtol=0.1 + 4 / np.sqrt(len(pairs) / 10))
    assert abs(sines.mean()) < 4 * np.sqrt(1 / 3 / len(pairs))


def test_the_reference_draws_rows_alike():
    pairs = plan(num_steps=300, position_sampling="row")
    assert is_plausible(np.bincount(pairs.row, minlength=16), np.full(16, len(pairs) / 16))


@pytest.mark.parametrize("kind", ["regular", "cell-centred", "driscoll-healy", "gauss"])
@pytest.mark.parametrize("num_rows", [1, 2, 3, 20])
def test_row_probabilities_are_a_distribution_on_every_grid(kind, num_rows):
    grid = make_grid(kind, 20)
    rows = row_probabilities(grid, num_rows, (-90, 90), "area")
    assert rows.shape == (20 - num_rows + 1,)
    assert rows.min() > 0
    assert_allclose(rows.sum(), 1, rtol=1e-12)  # rounding


@given(st.floats(-90, 85), st.floats(1, 100), st.integers(1, 12), st.sampled_from(["area", "row"]))
def test_the_whole_patch_lies_in_the_latitude_range(south, extent, num_rows, sampling):
    north = min(south + extent, 90.0)
    grid = make_grid("regular", 91)
    inside = (grid.latitude >= south) & (grid.latitude <= north)
    expected = [inside[row : row + num_rows].all() for row in range(91 - num_rows + 1)]
    # Limits within rounding of a row are a matter of taste.
    assume(np.abs(np.subtract.outer(grid.latitude, [south, north])).min() > 1e-4)
    if not any(expected):
        with pytest.raises(ValueError, match="leaves no room for patches"):
            row_probabilities(grid, num_rows, (south, north), sampling)
    else:
        rows = row_probabilities(grid, num_rows, (south, north), sampling)
        assert_array_equal(rows > 0, expected)


def test_a_limit_of_the_range_includes_a_row_that_was_rounded_to_float32():
    grid = Grid(np.float32([89.9, 89.8, 89.7, 89.6]), np.arange(4))
    assert grid.latitude[0] > 89.9
    assert_array_equal(row_probabilities(grid, 3, (89.7, 89.9), "row"), [1, 0])


def test_columns_are_uniform_all_around_a_periodic_grid():
    pairs = plan(num_steps=300)
    assert is_plausible(np.bincount(pairs.column, minlength=36), np.full(36, len(pairs) / 36))


def test_columns_of_a_regional_grid_do_not_wrap():
    pairs = plan(num_steps=300, grid=REGIONAL)
    counts = np.bincount(pairs.column)
    assert len(counts) == 41 - 6 + 1
    assert is_plausible(counts, np.full(36, len(pairs) / 36))


def test_positions_shuffle_all_steps():
    pairs = plan(num_steps=300)
    assert_array_equal(np.sort(pairs.position), np.arange(len(pairs)))
    correlation = np.corrcoef(pairs.position, pairs.step)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(pairs))


def test_the_plan_is_a_function_of_the_seed():
    first, again, other = plan(seed=5), plan(seed=5), plan(seed=6)
    for name in ("step", "label", "row", "column", "position"):
        assert_array_equal(getattr(first, name), getattr(again, name))
    for name in ("label", "row", "column", "position"):
        assert (getattr(first, name) != getattr(other, name)).mean() > 0.5


def test_draws_of_a_step_do_not_depend_on_the_others():
    short, long = plan(num_steps=50), plan(num_steps=80)
    for name in ("step", "label", "row", "column"):
        assert_array_equal(getattr(short, name), getattr(long, name)[: len(short)])


def test_plans_of_earlier_releases_are_drawn_again():
    # The same records can be made again from the same archive: draws are part of the format.
    drawn = plan(40, seed=5)
    arrays = (drawn.step, drawn.label, drawn.row, drawn.column, drawn.position)
    content = b"".join(array.astype("<i8").tobytes() for array in arrays)
    assert hashlib.sha256(content).hexdigest()[:16] == "fa588b660dc9b95d"


def test_splits_are_shuffled_differently():
    time = TimeAxis(np.arange(40))
    train, evaluation = (
        plan_pairs(time, GRID, range(40), split=split, config=config())
        for split in ("train", "evaluation")
    )
    assert (train.position != evaluation.position).mean() > 0.9


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"patch_shape": (20, 6)}, "of 20 rows do not fit a grid of 19 rows; .* --patch_shape"),
        ({"patch_shape": (4, 37)}, "37 columns do not fit a grid of 36 columns; .* --patch_shape"),
        (
            {"latitude_range": (0.0, 25.0)},
            r"latitude_range 0\.\.25 leaves no room for patches of 4 rows \(30 degrees\) on a grid "
            r"from 90 to -90",
        ),
        (
            {"max_temporal_distance": 10},
            "longest run of steps without a hole has 10 steps, and labels up to 10 need at least "
            "11; lower max_temporal_distance",
        ),
    ],
)
def test_what_does_not_fit_is_said(changes, text):
    with pytest.raises(ValueError, match=text):
        plan(num_steps=10, **changes)


def test_patches_as_large_as_the_grid_fit():
    pairs = plan(patch_shape=(19, 36))
    assert set(pairs.row) == {0}
    assert set(pairs.column) == set(range(36))
