import numpy as np
import pytest
import xarray as xr

from evaluation.numerics.setting import REFERENCE
from evaluation.report.tables import gaps_of, number_table, rows, summary_rows, summary_table


def dataset(better="lower", **values):
    """A series for each candidate; (time,) each."""
    names = list(values)
    attributes = {"long_name": "error", "units": "s-1", "better": better}
    return xr.Dataset(
        {"error": (("candidate", "time"), np.array(list(values.values())), attributes)},
        coords={"candidate": names},
    )


def noise(mean, seed):
    return mean + 0.1 * np.random.default_rng(seed).standard_normal(60)


def best(*args, **kwargs):
    (row,) = rows(dataset(*args, **kwargs))
    return row.best


def test_the_best_is_named_only_where_it_is_sure():
    assert best(a=noise(1.0, 0), b=noise(2.0, 1)) == "a"
    assert best(a=noise(1.0, 0), b=noise(1.0, 1)) is None
    assert best(a=noise(1.0, 0)) is None  # better than whom?


def test_the_best_must_beat_every_other_one():
    assert best(a=noise(1.0, 0), b=noise(1.0, 1), c=noise(9.0, 2)) is None
    assert best(a=noise(1.0, 0), b=noise(2.0, 1), c=noise(9.0, 2)) == "a"


def test_equal_candidates_have_no_best():
    same = noise(1.0, 0)
    assert best(a=same, b=same) is None


def test_which_direction_is_better():
    values = {"a": noise(1.0, 0), "b": noise(2.0, 1), REFERENCE: noise(1.9, 2)}
    assert best("higher", **values) == "b"
    assert best("reference", **values) == "b"
    assert best("", **values) is None


def test_closer_to_the_reference_means_at_each_time():
    wave = np.tile([1.0, -1.0], 30)  # whose mean is the reference's, and which never is near it
    near = noise(0.1, 0)
    (row,) = rows(dataset("reference", **{REFERENCE: 0 * near, "wave": wave, "near": near}))
    assert abs(row.values["wave"]) < abs(row.values["near"])
    assert row.best == "near"


def test_infinite_numbers_are_shown_and_count():
    perfect, lost = np.full(60, np.inf), np.full(60, -np.inf)
    gap = {"a": (-np.inf, -np.inf, -np.inf)}
    (row,) = rows(
        dataset("higher", a=noise(30.0, 0), perfect=perfect, lost=lost),
        gaps={("error", "", ""): gap},
    )
    assert row.best == "perfect"
    made = number_table([row], ["a", "perfect", "lost"], swatch={}, gaps=True)
    assert "<b>∞</b>" in made
    assert ">−∞<" in made
    assert ">Δ −∞<" in made
    assert best("higher", a=noise(30.0, 0), lost=lost) == "a"
    assert best("higher", perfect=perfect, twin=perfect) is None


def test_the_reference_wins_nothing():
    assert best("lower", **{REFERENCE: noise(0, 0), "a": noise(1, 1), "b": noise(2, 2)}) == "a"


def test_without_the_reference_nobody_is_closer_to_it():
    assert best("reference", a=noise(1.0, 0), b=noise(2.0, 1)) is None


def test_means_leave_out_gaps_and_pooled_numbers_have_no_best():
    data = dataset(a=np.array([1.0, np.nan, 3.0]), b=np.full(3, np.nan))
    (row,) = rows(data)
    assert row.values["a"] == 2.0
    assert np.isnan(row.values["b"])
    (row,) = rows(data.mean("time", keep_attrs=True))
    assert row.best is None


def test_regions_and_channels_may_be_there_or_not():
    axes = ("channel", "region", "candidate")
    data = xr.Dataset(
        {"x": (axes, np.arange(8.0).reshape(2, 2, 2))},
        coords={"channel": ["u", "v"], "region": ["globe", "tropics"], "candidate": ["a", "b"]},
    )
    found = rows(data)
    assert [(r.region, r.channel, r.values["b"]) for r in found] == [
        ("globe", "u", 1.0),
        ("globe", "v", 5.0),
        ("tropics", "u", 3.0),
        ("tropics", "v", 7.0),
    ]
    assert [row.region for row in summary_rows(found)] == ["globe", "globe"]


def test_spectra_and_words_are_no_numbers():
    data = xr.Dataset(
        {
            "spectrum": (("candidate", "degree"), np.ones((2, 3))),
            "word": (("candidate",), np.array(["x", "y"])),
        },
        coords={"candidate": ["a", "b"]},
    )
    assert rows(data) == []


def test_statistics_may_mark_their_main_numbers():
    data = dataset(a=noise(1, 0), b=noise(2, 1))
    data["second"] = data["error"].assign_attrs(main=1)
    assert [row.variable for row in rows(data) if row.main] == ["second"]


def test_a_row_carries_its_unit_and_common_power():
    data = dataset(a=np.full(5, 3.4187e-5), b=np.full(5, 4e-7))
    made = number_table(rows(data), ["a", "b"], swatch={})
    assert "error <small>10⁻⁵ s⁻¹ ↓</small>" in made
    assert ">3.419<" in made
    assert ">0.040<" in made


def test_differences_have_the_power_of_their_row():
    recorded = [
        {"variable": "error", "candidate": "b", "baseline_difference": 1e-5,
         "baseline_low": -2e-6, "baseline_high": 2.2e-5},
        {"variable": "error", "candidate": "a"},
    ]  # fmt: skip
    data = dataset(a=np.full(5, 3e-5), b=np.full(5, 4e-5))
    made = number_table(rows(data, gaps=gaps_of(recorded)), ["a", "b"], swatch={}, gaps=True)
    assert "Δ +1.000 [−0.200, 2.200]" in made
    assert made.count("Δ") == 1


def several(**attributes):
    """Two channels of one number."""
    attributes = {"long_name": "error of all", "units": "m", "better": "lower"} | attributes
    return xr.Dataset(
        {"error": (("candidate", "channel"), np.array([[1.0, 2.0], [3.0, 4.0]]), attributes)},
        coords={"candidate": ["a", "b"], "channel": ["eastward_wind", "vorticity"]},
    )


def test_the_summary_begins_with_what_says_most_and_names_each_number_once():
    first = rows(several(main=2, short_name="second"))
    first += rows(several(short_name="unmarked"))
    first += rows(several(main=1, short_name="first"))
    made = summary_table(first, ["a", "b"], swatch={})
    assert made.index("first") < made.index("second") < made.index("unmarked")
    for label in ("first", "second", "unmarked"):
        assert made.count(label) == 1
    assert made.count("eastward wind") == 3
    assert "error of all" not in made


def test_a_summary_of_one_channel_needs_no_headings():
    made = summary_table(rows(several(main=1).isel(channel=[1])), ["a", "b"], swatch={})
    assert made.count("<tr") == 2  # names of the candidates, and numbers
    assert "vorticity" not in made


def test_channels_with_units_of_their_own_say_so():
    data = several(main=1, short_name="error")
    data["error"] = data["error"] * xr.DataArray([1e-9, 1.0], dims="channel")
    data["error"].attrs = several(main=1, short_name="error")["error"].attrs
    made = summary_table(rows(data), ["a", "b"], swatch={})
    assert "eastward wind <small>10⁻⁹ m</small>" in made
    assert "vorticity <small>m</small>" in made


def test_numbers_of_no_region_stand_with_the_whole_grid():
    data = several()
    data["local"] = data["error"].expand_dims(region=["globe", "my_region"])
    made = number_table(rows(data), ["a", "b"], swatch={})
    assert made.count("whole grid") == 1
    assert "my region" in made
    assert made.index("whole grid") < made.index("my region")


def test_lower_bounds_are_marked():
    data = dataset(a=np.full(5, 7.0), b=np.full(5, 24.0))
    data["error"].attrs["at_least"] = "beyond"
    data["beyond"] = (("candidate", "time"), np.array([[0.0] * 5, [0.0, 1.0, 1.0, 0.0, 0.0]]))
    made = number_table(rows(data)[:1], ["a", "b"], swatch={})
    assert ">≥ 24" in made
    assert made.count("≥") == 1


def test_who_lacks_a_number_has_a_dash():
    made = number_table(rows(dataset(a=noise(1, 0), b=np.full(60, np.nan))), ["a", "b"], swatch={})
    assert made.count('<td class="number">–</td>') == 1


@pytest.mark.parametrize("name", ["<i>", '"&'])
def test_names_are_escaped(name):
    made = number_table(rows(dataset(**{name: noise(1, 0)})), [name], swatch={})
    assert name not in made
