from dataclasses import dataclass, field, fields

import pytest

from atmodist.files.options import PLACE, Options, merged, own, places, refuse_foreign


@dataclass(frozen=True, kw_only=True)
class Engine(Options):
    fuel: str | None = None
    tank: str | None = field(default=None, metadata=PLACE)

    def __post_init__(self):
        if self.fuel == "water":
            raise ValueError("`fuel` must burn")


@dataclass(frozen=True, kw_only=True)
class Hybrid(Engine):
    battery: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sail(Options):
    area: float = 1.0


KINDS = {"motor": Engine, "hybrid": Hybrid, "sail": Sail, "oars": Options}


@dataclass(frozen=True, kw_only=True)
class Boat(merged(KINDS.values())):
    name: str = "boat"


def refuse(boat, *used):
    refuse_foreign(
        boat, KINDS, used, owners=lambda names: f"boats with {' or '.join(names)}", given="x"
    )


def test_a_configuration_has_the_settings_of_all_entries():
    assert {f.name for f in fields(Boat)} == {"fuel", "tank", "battery", "area", "name"}
    boat = Boat(fuel="wood", battery=2.0)
    assert own(Hybrid, boat) == Hybrid(fuel="wood", battery=2.0)
    assert own(Options, boat) == Options()


def test_those_of_the_entry_in_use_are_checked_and_others_refused():
    with pytest.raises(ValueError, match="`fuel` must burn"):
        own(Engine, Boat(fuel="water"))
    refuse(Boat(fuel="wood", area=1.0), "motor")
    refuse(Boat(fuel="wood", area=2.0), "motor", "sail")
    with pytest.raises(ValueError, match=r"`area` is for boats with sail; got area=2.0 with x\."):
        refuse(Boat(area=2.0), "motor")
    with pytest.raises(ValueError, match="`fuel` is for boats with motor or hybrid; got fuel="):
        refuse(Boat(fuel="wood"), "oars")


def test_one_name_cannot_mean_two_settings():
    @dataclass(frozen=True, kw_only=True)
    class Kite(Options):
        area: float = 5.0

    with pytest.raises(TypeError, match="both have the setting 'area'"):
        merged([Sail, Kite])


def test_places_are_told_from_other_settings():
    assert places(KINDS.values()) == ["tank"]
