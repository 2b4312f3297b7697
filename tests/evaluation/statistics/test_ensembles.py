import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import make_grid
from evaluation.contract.statistic import Sample
from evaluation.numerics.setting import GLOBE, Region, Setting
from evaluation.statistics.ensembles import STATISTIC, spread_skill

GRID = make_grid("gauss", 32)
SETTING = Setting(
    grid=GRID,
    channels=(DIVERGENCE, VORTICITY),
    regions={GLOBE: None, "tropics": Region(south=-20, north=20, west=-180, east=180)},
)


def accumulated(members, references, first=0, its=SETTING):
    """Members (time, member, channel, latitude, longitude)."""
    sums = STATISTIC.accumulator(its)
    for step, (m, r) in enumerate(zip(members, references, strict=True)):
        sums.update(
            Sample(
                setting=its,
                candidate=m.mean(axis=0),
                reference=r,
                seconds=3600 * (first + step),
                members=m,
            )
        )
    return sums


def drawn(count=5, steps=2, spread=1.0, seed=0):
    """An ensemble whose members and reference are draws from one distribution if spread is 1."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(steps, 1, 2, *GRID.shape))
    members = middle + spread * rng.normal(size=(steps, count, 2, *GRID.shape))
    return members.astype(np.float32), (middle[:, 0] + rng.normal(size=middle[:, 0].shape)).astype(
        np.float32
    )


def test_crps_of_one_member_is_the_absolute_error():
    members, reference = drawn(count=1)
    result = accumulated(members, reference).result()
    errors = np.abs(members[:, 0].astype(float) - reference)
    assert_allclose(result.crps[:, 0], (errors * GRID.area_weights).sum((-2, -1)), rtol=1e-12)
    assert np.isnan(result.fair_crps).all()
    assert np.isnan(result.spread_skill).all()


@pytest.mark.parametrize("count", [2, 5, 20])
def test_reliable_ensembles_have_ratio_one_and_flat_ranks(count):
    result = accumulated(*drawn(count, steps=4)).result()
    assert_allclose(result.spread_skill.sel(region=GLOBE), 1.0, atol=0.03)  # 8192 points
    histogram = result.rank_histogram.sel(region=GLOBE)
    assert_allclose(histogram * (count + 1), 1.0, atol=0.25)
    assert_allclose(result.rank_histogram.sum("rank"), 1.0, rtol=1e-12)


def test_spread_halves_with_the_members_and_ranks_become_a_bowl():
    result = accumulated(*drawn(10, spread=0.5)).result()
    reliable = accumulated(*drawn(10)).result()
    histogram = result.rank_histogram.sel(region=GLOBE, channel="vorticity").values
    assert (result.spread_skill < 0.6).all()
    assert histogram[0] > 2 * histogram[5]
    assert (result.rank_deviation > reliable.rank_deviation).all()
    assert (result.fair_crps.mean("time") > reliable.fair_crps.mean("time")).all()


def test_ratio_uses_the_unbiased_variance_with_the_correction_for_members():
    members, reference = drawn(3, steps=1)
    result = accumulated(members, reference).result().isel(region=0)
    variance = (members[0].astype(float).var(axis=0, ddof=1) * GRID.area_weights).sum((-2, -1))
    error = (members[0].astype(float).mean(axis=0) - reference[0]) ** 2
    error = (error * GRID.area_weights).sum((-2, -1))
    assert_allclose(result.spread_skill, np.sqrt(4 / 3 * variance / error), rtol=1e-9)
    assert_allclose(spread_skill(3.0, 4.0, 3), 1.0)
    assert_allclose(result.spread / result.skill, result.spread_skill.values[None], rtol=1e-12)


def test_ties_are_flat_and_depend_on_the_seed_alone():
    members, reference = np.zeros((1, 4, 2, *GRID.shape)), np.zeros((1, 2, *GRID.shape))
    first, again = (accumulated(members, reference).result() for _ in range(2))
    other = Setting(grid=GRID, channels=SETTING.channels, regions=SETTING.regions, seed=1)
    assert_allclose(first.rank_histogram[0] * 5, 1.0, atol=0.15)
    assert first.identical(again)
    assert not first.identical(accumulated(members, reference, its=other).result())


def test_perfect_members_have_no_error():
    _, reference = drawn()
    result = accumulated(np.stack([reference] * 3, axis=1), reference).result()
    for name in ("crps", "fair_crps", "skill", "spread"):
        assert_allclose(result[name], 0.0, atol=1e-7)


def test_parts_merge_and_come_back_from_disk():
    members, reference = drawn(steps=4)
    whole = accumulated(members, reference).result()
    restored = STATISTIC.accumulator(SETTING)
    restored.merge(accumulated(members[:1], reference[:1]))
    restored.restore(restored.arrays())
    restored.merge(accumulated(members[1:], reference[1:], first=1))
    found = restored.result()
    for name in whole:
        assert_allclose(found[name], whole[name], rtol=1e-12)


def test_another_number_of_members_is_refused():
    sums = accumulated(*drawn(3))
    with pytest.raises(ValueError, match="3 members before; now there are 4"):
        sums.merge(accumulated(*drawn(4)))


@pytest.mark.parametrize("spread", [0.3, 4.0])  # too sure, and not sure enough
def test_spread_and_skill_are_both_within_the_limits(spread):
    import xarray as xr

    result = accumulated(*drawn(4, steps=3, spread=spread)).result()
    joined = xr.concat([result], xr.Variable("candidate", ["four"]))
    pictures = {picture.name: picture for picture in STATISTIC.draw(joined)}
    axes = pictures["crps_vorticity"].figure.axes[1]
    low, high = axes.get_ylim()
    assert low == 0
    drawn_values = np.concatenate([line.get_ydata() for line in axes.lines])
    assert len(axes.lines) == 2
    assert drawn_values.max() < high


def test_pictures_are_drawn():
    import xarray as xr

    results = [accumulated(*drawn(n, steps=3)).result() for n in (4, 7)]
    joined = xr.concat(results, xr.Variable("candidate", ["four", "seven"]), join="outer")
    names = [picture.name for picture in STATISTIC.draw(joined)]
    assert names == [f"{k}_{c}" for c in ("divergence", "vorticity") for k in ("crps", "ranks")]


def test_ranks_are_how_many_members_lie_below_the_reference():
    members, reference = drawn(count=4)
    below = accumulated(members - np.float32(100), reference).result()
    assert_allclose(below.rank_histogram.sel(rank=4), 1.0, rtol=1e-12)
    above = accumulated(members + np.float32(100), reference).result()
    assert_allclose(above.rank_histogram.sel(rank=0), 1.0, rtol=1e-12)
