"""Field sets drawn by hypothesis, and when two are the same."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from atmodist.fields.field_set import AXES, FieldSet, ForecastTimes, Levels, Variable
from atmodist.fields.grid import Grid, make_grid
from atmodist.fields.time_axis import TimeAxis

GRIDS = (
    make_grid("cell-centred", 3),
    make_grid("gauss", 4),
    make_grid("regular", 3),
    Grid(np.array([55.0, 54.75, 54.5]), np.array([-10.0, -9.75])),
)
NAMES = ("temperature", "vorticity", "u", "surface_pressure", "sst")


@st.composite
def levels(draw: Any, kind: str) -> Levels:
    values = {
        "pressure": st.sampled_from([1, 10, 50, 100, 250, 500, 700, 850, 925, 1000]),
        "model_level": st.integers(1, 137),
        "sigma": st.integers(1, 999),
    }[kind]
    drawn = np.array(sorted(draw(st.sets(values, min_size=1, max_size=4))), float)
    return Levels(drawn / 1000 if kind == "sigma" else drawn, kind)


@st.composite
def times(draw: Any) -> TimeAxis | ForecastTimes:
    steps = draw(st.lists(st.integers(1, 100), min_size=1, max_size=4))
    start, hours = draw(st.integers(-200_000, 500_000)) * 3600, 3600 * np.cumsum(steps)
    calendar = draw(st.sampled_from(["standard", "noleap", "360_day"]))
    kind = draw(st.sampled_from(["valid", "leads", "fixed lead"]))
    if kind == "valid":
        return TimeAxis(start + hours, calendar)
    if kind == "leads":
        return ForecastTimes(start, hours, calendar)
    return ForecastTimes(start + hours, 3600 * steps[0], calendar)


@st.composite
def field_sets(draw: Any, *, members: bool = True, static: bool = True) -> FieldSet:
    grid = draw(st.sampled_from(GRIDS))
    when = draw(times())
    kind = draw(st.sampled_from(["pressure", "model_level", "sigma"]))
    numbers = tuple(draw(st.sets(st.integers(0, 20), max_size=3))) if members else ()
    rng = np.random.default_rng(draw(st.integers(0, 100)))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    variables = {}
    for place, name in enumerate(names):
        own = draw(levels(kind)) if draw(st.booleans()) else None
        # the first has all axes, so that nothing of the set is said of no variable
        dims = [a for a in AXES[:2] if place == 0 or not static or draw(st.booleans())]
        dims = [d for d in dims if d != "member" or numbers] + (["level"] if own else [])
        sizes = {"member": len(numbers), "time": len(when), "level": len(own) if own else 0}
        shape = (*(sizes[d] for d in dims), *grid.shape)
        values = rng.normal(size=shape).astype(draw(st.sampled_from(["f4", "f8"])))
        units, standard_name = draw(
            st.sampled_from([("", ""), ("K", "air_temperature"), ("m s-1", "")])
        )
        variables[name] = Variable(values, (*dims, *AXES[-2:]), units, standard_name, own)
    return FieldSet(variables, grid, when, numbers)


def assert_same(found: FieldSet, expected: FieldSet) -> None:
    assert set(found) == set(expected)  # Zarr keeps no order
    for name, variable in expected.variables.items():
        other = found[name]
        for part in ("dims", "units", "standard_name"):
            assert getattr(other, part) == getattr(variable, part), (name, part)
        np.testing.assert_array_equal(np.asarray(other.values), variable.values, err_msg=name)
        assert np.asarray(other.values).dtype == variable.values.dtype, name
        if variable.levels is None:
            assert other.levels is None, name
        else:
            assert other.levels.matches(variable.levels), name
    assert found.members == expected.members
    np.testing.assert_allclose(found.grid.latitude, expected.grid.latitude, atol=1e-9)
    turned = (found.grid.longitude - expected.grid.longitude + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(turned, 0.0, atol=1e-9)  # the same meridians, whatever their branch
    assert type(found.times) is type(expected.times)
    if expected.time is not None:
        assert found.time.calendar == expected.time.calendar
        np.testing.assert_array_equal(found.time.seconds, expected.time.seconds)
    if isinstance(expected.times, ForecastTimes):
        np.testing.assert_array_equal(found.times.lead_time, expected.times.lead_time)
        np.testing.assert_array_equal(found.times.init_time, expected.times.init_time)
