from dataclasses import dataclass
from typing import Literal

import pytest

from atmodist.files.checks import FRACTION, MOMENTUM, NOT_NEGATIVE, POSITIVE, check_settings, whole

RANGES = {
    "count": whole(1),
    "least": whole(0),
    "speed": POSITIVE,
    "age": NOT_NEGATIVE,
    "share": FRACTION,
    "momentum": MOMENTUM,
}


@dataclass
class Settings:
    count: int = 1
    least: int | None = None
    speed: float = 1
    age: float = 0.0
    share: float = 0.5
    momentum: float = 0.0
    kind: Literal["red", "blue"] = "red"
    other: Literal["red", "blue"] | None = None
    flag: bool = True
    perhaps: bool | None = None
    name: str = "n"
    anything: tuple[float, float] = (0, 0)


def test_right_settings_pass():
    check_settings(Settings(), RANGES)
    check_settings(Settings(least=0, speed=2, perhaps=False, other="blue"), RANGES)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"count": 0}, "`count` must be a positive integer; got count=0."),
        ({"count": 1.0}, "`count` must be a positive integer; got count=1.0."),
        ({"count": True}, "`count` must be a positive integer; got count=True."),
        ({"count": None}, "`count` must be a positive integer; got count=None."),
        ({"least": -1}, "`least` must be an integer of at least 0; got least=-1."),
        ({"speed": 0}, "`speed` must be a positive number; got speed=0."),
        ({"speed": float("inf")}, "`speed` must be a positive number; got speed=inf."),
        ({"age": float("nan")}, "`age` must be a number of at least 0; got age=nan."),
        ({"share": 1.0}, "`share` must be between 0 and 1; got share=1.0."),
        ({"momentum": 1}, "`momentum` must be at least 0 and below 1; got momentum=1."),
        ({"speed": "fast"}, "`speed` must be a positive number; got speed='fast'."),
        ({"kind": "green"}, "`kind` must be one of red, blue; got kind='green'."),
        ({"kind": None}, "`kind` must be one of red, blue; got kind=None."),
        ({"other": "green"}, "`other` must be one of red, blue; got other='green'."),
        ({"flag": 1}, "`flag` must be true or false; got flag=1."),
        ({"flag": None}, "`flag` must be true or false; got flag=None."),
        ({"perhaps": "no"}, "`perhaps` must be true or false; got perhaps='no'."),
        ({"name": 3}, "`name` must be text; got name=3."),
    ],
)
def test_wrong_ones_are_named_with_their_value(setting, message):
    with pytest.raises(ValueError) as info:
        check_settings(Settings(**setting), RANGES)
    assert str(info.value) == message
