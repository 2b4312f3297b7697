import sys
from importlib.metadata import EntryPoint

import pytest

from atmodist.files import discovery
from atmodist.files.discovery import Registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two entries and a helper, which may be imported for this test only."""
    folder = tmp_path / "instruments"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "wind_vane.py").write_text("INSTRUMENT = 'turns'\n")
    (folder / "barometer.py").write_text("INSTRUMENT = 'falls'\n")
    (folder / "_rust.py").write_text("raise ImportError('helpers are no entries')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "instruments"]:
        del sys.modules[name]


def registry(**options):
    return Registry("instruments", "INSTRUMENT", what="instrument", kind=str, **options)


def test_modules_are_found_by_name_and_imported_when_asked_for(package):
    found = registry()
    assert list(found) == ["barometer", "wind_vane"]
    assert len(found) == 2
    assert "barometer" in found
    assert "_rust" not in found
    assert "instruments.barometer" not in sys.modules
    assert found["wind_vane"] == "turns"
    assert "instruments.barometer" not in sys.modules
    assert dict(found) == {"barometer": "falls", "wind_vane": "turns"}


def test_users_may_type_hyphens(package):
    found = registry(hyphens=True)
    assert list(found) == ["barometer", "wind-vane"]
    assert found.find("wind-vane") == "turns"


def test_a_new_file_is_found_without_being_listed(package):
    found = registry()
    (package / "anemometer.py").write_text("INSTRUMENT = 'spins'\n")
    assert list(found) == ["anemometer", "barometer", "wind_vane"]
    assert found["anemometer"] == "spins"


def test_names_are_a_type(package):
    assert registry().literal.__args__ == ("barometer", "wind_vane")


def test_an_unknown_name_is_told_what_there_is(package):
    with pytest.raises(ValueError, match="no instrument 'sextant'; there are barometer, wind_vane"):
        registry().find("sextant")
    with pytest.raises(KeyError, match="sextant"):
        registry()["sextant"]


def test_a_module_without_an_entry_is_named(package):
    (package / "sextant.py").touch()
    with pytest.raises(TypeError, match=r"instruments\.sextant defines no INSTRUMENT"):
        registry()["sextant"]


def test_an_entry_of_another_kind_is_named(package):
    (package / "sextant.py").write_text("INSTRUMENT = 3\n")
    with pytest.raises(TypeError, match=r"instruments\.sextant\.INSTRUMENT must be a str; got 3"):
        registry()["sextant"]


def test_other_distributions_offer_modules_as_entry_points(package, tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("INSTRUMENT = 'floats'\n")
    points = {"buoy": EntryPoint("buoy", "theirs", "instruments")}
    monkeypatch.setattr(discovery, "_offered", lambda name: points)
    assert list(registry()) == ["barometer", "buoy", "wind_vane"]
    assert registry()["buoy"] == "floats"
    del sys.modules["theirs"]
