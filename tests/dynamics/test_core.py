"""Adding a case or a core is adding a file, and nobody above a core knows its method."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import dynamics.cases
import dynamics.cores
from atmodist.fields.archive import Archive
from dynamics.cases import CASES
from dynamics.cores import CORES
from dynamics.simulation.archive import SimulatedArchive
from dynamics.simulation.configuration import SimulateConfig
from dynamics.simulation.simulation import Simulation, largest_wind

ROOT = Path(__file__).parents[2]

NEW_CASE = '''
"""Solid-body rotation of an isothermal atmosphere over a round hill at the north pole."""

import numpy as np

from dynamics.case import Case
from dynamics.constants import PhysicalConstants

AIR = PhysicalConstants()


def start(latitude, longitude, sigma):
    return {
        "eastward_wind": 10.0 * np.cos(latitude),
        "northward_wind": 0.0,
        "temperature": 280.0,
        "surface_pressure": 1e5 - 1000.0 * np.sin(latitude) ** 2,
    }


CASE = Case(
    summary="solid-body rotation",
    equations="primitive",
    constants=AIR,
    start=start,
    orography=lambda latitude, longitude: 500.0 * np.sin(latitude) ** 8,
)
'''

NEW_CORE = '''
"""Stands still on a regular grid."""

import numpy as np

from atmodist.fields.field_set import FieldSet, Levels, Variable
from atmodist.fields.grid import make_grid


class FrozenCore:
    largest_courant_number = 1.0

    def __init__(self, case, *, resolution, num_levels, step):
        self.case, self.step = case, step
        self.grid = make_grid("regular", resolution + 2)
        sigma = (np.arange(num_levels) + 0.5) / num_levels
        self.levels = Levels(sigma, "sigma") if case.has_levels else None

    @staticmethod
    def longest_step(resolution):
        return 1000.0

    def start(self, *, spun_up=False):
        angles = np.radians(self.grid.latitude)[:, None], np.radians(self.grid.longitude)
        sigma = () if self.levels is None else (self.levels.values[:, None, None],)
        shape = (*(len(s) for s in sigma), *self.grid.shape)
        fields = self.case.start(*angles, *sigma)
        return {name: np.array(np.broadcast_to(x, shape), "f4") for name, x in fields.items()}

    def perturbed(self, state, *, seed, member, amplitude):
        return {name: value + np.float32(amplitude * member) for name, value in state.items()}

    def advance(self, state, num_steps):
        return {**state, "eastward_wind": state["eastward_wind"] + np.float32(num_steps)}

    def observe(self, state):
        state = {**state, "vorticity": 0 * state["eastward_wind"]}
        state["divergence"] = state["eastward_wind"] * np.float32(1e-6)
        dims = ("level", "latitude", "longitude") if self.levels else ("latitude", "longitude")
        fields = {name: Variable(x, dims, "", "", self.levels) for name, x in state.items()}
        return FieldSet(fields, self.grid)

    def courant_number(self, wind_speed):
        return wind_speed / 1000.0


CORE = FrozenCore
'''


def added(package, name, text, folder, monkeypatch):
    (folder / package.__name__).mkdir()
    (folder / package.__name__ / f"{name}.py").write_text(text, "utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder / package.__name__)])
    monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)


@pytest.fixture
def new_case(tmp_path, monkeypatch):
    added(dynamics.cases, "solid_rotation", NEW_CASE, tmp_path, monkeypatch)


@pytest.fixture
def new_core(tmp_path, monkeypatch):
    added(dynamics.cores, "frozen", NEW_CORE, tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """Few steps at a tiny truncation take less time than their compilation."""
    monkeypatch.setattr("dynamics.compilation.compiled", lambda function: function)


def test_a_case_in_a_new_file_runs_on_the_core_that_is_there(new_case):
    assert "solid-rotation" in CASES
    simulation = Simulation("solid-rotation", truncation=10, num_levels=3, step=1800.0)
    seen = simulation.observe(simulation.start())
    latitude = np.radians(simulation.core.grid.latitude)
    assert_allclose(seen["eastward_wind"].values.mean(axis=(0, 2)), 10 * np.cos(latitude), 1e-4)
    assert_allclose(seen["temperature"].values, 280.0, rtol=1e-6)
    pressure = 1e5 - 1000.0 * np.sin(latitude) ** 2
    assert_allclose(seen["surface_pressure"].values.mean(axis=1), pressure, rtol=1e-6)
    later = simulation.observe(simulation.advance(simulation.start(), 2))
    # the fixer keeps the mean of the start: 1000 hPa less a third of 10 hPa
    weights = simulation.core.grid.area_weights
    for fields in (seen, later):
        mean = (fields["surface_pressure"].values * weights).sum()
        assert mean == pytest.approx(1e5 - 1000.0 / 3, rel=1e-6)


def test_a_core_in_a_new_file_runs_the_cases_that_are_there(new_core):
    assert list(CORES) == ["frozen", "spectral"]
    simulation = Simulation("baroclinic-wave", truncation=9, num_levels=4, step=60.0, core="frozen")
    seen = simulation.observe(simulation.advance(simulation.start(), 3))
    assert simulation.core.grid.kind == "regular"
    assert_allclose(largest_wind(seen), largest_wind(simulation.observe(simulation.start())) + 3)


def test_the_command_makes_archives_by_any_core(new_core, tmp_path):
    config = SimulateConfig(
        output=str(tmp_path / "a.h5"), case="held-suarez", core="frozen", truncation=9, levels=4,
        days=0.5, spun_up=False, level=0.4,
    )  # fmt: skip
    simulation = Simulation("held-suarez", truncation=9, num_levels=4, step=3600.0, core="frozen")
    SimulatedArchive(config, simulation, 0).make()
    with Archive(config.output) as archive:
        assert archive.grid.kind == "regular"
        # a step adds 1 m/s, six are an interval
        found = [archive.read(step)[0].mean() for step in range(3)]
    assert_allclose(np.diff(found), 6e-6, rtol=1e-3)


def test_other_cores_make_other_archives_and_the_first_keeps_the_identity_of_old_ones(new_core):
    simulation = Simulation("mountain", truncation=10, num_levels=0, step=3600.0, core="frozen")

    def settings(core):
        config = SimulateConfig(output="a.h5", case="mountain", core=core)
        return SimulatedArchive(config, simulation, 0)._settings()

    assert settings("frozen")["core"] == "frozen"
    assert "core" not in settings("spectral")


def test_every_case_says_what_a_core_needs():
    latitude, longitude = np.radians([[60.0], [0.0], [-30.0]]), np.radians([0.0, 90.0])
    for name, case in CASES.items():
        sigma = (np.array([0.2, 0.9])[:, None, None],) if case.has_levels else ()
        fields = case.start(latitude, longitude, *sigma)
        needed = {"eastward_wind", "northward_wind"}
        needed |= {"temperature", "surface_pressure"} if case.has_levels else {"height"}
        assert needed <= set(fields), name
        shape = (2, 3, 2) if case.has_levels else (3, 2)
        for values in fields.values():
            assert np.isfinite(np.broadcast_to(values, shape)).all(), name


def test_nothing_above_a_core_speaks_of_spherical_harmonics():
    above = ["core.py", "case.py", *(f"simulation/{n}.py" for n in ("simulation", "archive"))]
    for name in above:
        text = (ROOT / "dynamics" / name).read_text("utf-8")
        imports = re.findall(r"^(?:from|import) (\S+)", text, re.MULTILINE)
        assert not [module for module in imports if "spectral" in module or "keras" in module], name


def test_the_state_is_left_as_it_is():
    simulation = Simulation("steady-flow", truncation=10, num_levels=0, step=1800.0)
    state = simulation.start()
    before = {name: value.copy() for name, value in state.items()}
    simulation.observe(state)
    simulation.advance(state, 1)
    simulation.perturbed(state, seed=0, member=1, amplitude=1.0)
    for name, value in state.items():
        assert_array_equal(value, before[name])
