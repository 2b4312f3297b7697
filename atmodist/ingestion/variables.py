"""The variables that files may hold: what they are called, and in which units they come.

One entry of `VARIABLES` is all there is to a variable: by it files are searched, the flag that
names it in unusual files exists, and `--variables NAME` makes an archive of it as it is given.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from atmodist.fields.channels import Channel

# `{0}` is u or v.
_WIND_NAMES = (
    r"{0}|{0}a|{0}wnd|{0}grd|{0}wind|{0}_wind|wind_{0}|{0}_?component_of_wind|{0}_velocity|"
    r"{0}[-_]component_of_wind_\w+|{0}_?(?P<h1>10|100|200)(m|_mod|n)?|(?P<h2>10|100|200){0}|"
    r"(?P<h3>10|100|200)m_{0}_component_of_wind|(?P<surface>{0}as)"
)


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable.

    Attributes:
        words: What it is, in words.
        names: Its names in files, a regular expression in lower case. Groups h1, h2 and h3 are
            heights in metres; a group `surface` stands for 10 m.
        standard_names: In CF; the first one is written to archives.
        units: As archives have them.
        spellings: Other ways to write them, in lower case and without spaces.
    """

    words: str
    names: str
    standard_names: tuple[str, ...]
    units: str
    spellings: tuple[str, ...] = ()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """`names`, compiled."""
        return re.compile(self.names)


_SPEEDS = ("m/s", "mps")
_RATES = ("1/s", "/s")

VARIABLES = {
    "eastward_wind": Variable(
        words="eastward wind",
        names=_WIND_NAMES.format("u"),
        standard_names=("eastward_wind",),
        units="m s-1",
        spellings=_SPEEDS,
    ),
    "northward_wind": Variable(
        words="northward wind",
        names=_WIND_NAMES.format("v"),
        standard_names=("northward_wind",),
        units="m s-1",
        spellings=_SPEEDS,
    ),
    "vorticity": Variable(
        words="relative vorticity",
        names=r"vo|vor|vort|vorticity|rv|relv|(atmosphere_)?relative_vorticity",
        standard_names=("atmosphere_relative_vorticity", "atmosphere_upward_relative_vorticity"),
        units="s-1",
        spellings=_RATES,
    ),
    "divergence": Variable(
        words="divergence",
        names=r"d|dv|div|divg|divergence|divergence_of_wind|relative_divergence",
        standard_names=("divergence_of_wind",),
        units="s-1",
        spellings=_RATES,
    ),
}
MOTION = tuple(VARIABLES)  # what vorticity and divergence are made from, or are themselves


def channel(name: str) -> Channel:
    """What an archive calls a variable."""
    variable = VARIABLES[name]
    return Channel(name, variable.units, variable.standard_names[0])
