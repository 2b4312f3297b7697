"""Numbers and units as people read them: m² s⁻², 3.42 instead of 3.4187e-05 under "10⁻⁵ s⁻¹".

Numbers of one row or one colour bar share a power of ten, which stands with the unit; their digits
are as many as the largest of them needs.
"""

import math
import re
from collections.abc import Iterable

from evaluation.numerics.setting import Setting

DIGITS = 4  # significant ones
_UP = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_GROUP = re.compile(r"\(((?:[A-Za-z°%]+(?:\*\*|\^)?(?:-?\d+)?\s*)+)\)(?:\*\*|\^)(-?\d+)")
_POWER = re.compile(r"(?<=[A-Za-z°])(?:\*\*|\^)?(-?\d+)")


def pretty_units(units: str) -> str:
    """CF units as they are printed: "m2 s-2" and "m**2 s**-2" are m² s⁻²; "1" is nothing."""
    units = units.strip()
    if units in ("1", ""):
        return ""
    if units in ("%", "percent"):
        return "%"
    units = _GROUP.sub(_multiplied, units)
    return _POWER.sub(lambda found: found[1].translate(_UP), units)


def _multiplied(found: re.Match[str]) -> str:
    """(s-1 km-1)^2 is s-2 km-2."""
    factors = []
    for factor in found[1].split():
        name, power = re.fullmatch(r"([^\d-]*?)(?:\*\*|\^)?(-?\d+)?", factor).groups()  # type: ignore[union-attr]
        power = int(power or 1) * int(found[2])
        factors.append(name if power == 1 else f"{name}{power}")
    return " ".join(factors)


def power_of_ten(values: Iterable[float]) -> int:
    """The power of ten that makes the largest of `values` easy to read; 0 for 0.01 to 99999."""
    finite = [abs(v) for v in map(float, values) if math.isfinite(v) and v != 0]
    if not finite or 0.01 <= max(finite) < 100_000:
        return 0
    return math.floor(math.log10(max(finite)))


def scaled_units(units: str, power: int) -> str:
    """The unit of numbers that were divided by 10 to a power, for example "10⁻⁵ s⁻¹"."""
    scale = f"10{str(power).translate(_UP)}" if power else ""
    return " ".join(part for part in (scale, pretty_units(units)) if part)


def labelled(name: str, units: str, power: int = 0) -> str:
    """A name with its unit in brackets, if it has one."""
    text = scaled_units(units, power)
    return f"{name} ({text})" if text else name


def decimals(values: Iterable[float], digits: int = DIGITS) -> int:
    """Digits behind the point that give the largest of `values` that many significant ones."""
    finite = [abs(v) for v in map(float, values) if math.isfinite(v) and v != 0]
    if not finite:
        return 1
    return max(0, digits - 1 - math.floor(math.log10(max(finite))))


def number(value: float, places: int) -> str:
    """A number with so many decimals; with two significant digits where that would lose them."""
    value = float(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    text = f"{value:.{places}f}"
    if 0 < abs(value) < 0.95 * 10.0 ** (1 - places) and places:
        text = _scientific(value)
    return text.replace("-", "−")


def _scientific(value: float) -> str:
    if abs(value) >= 1e-4:
        return f"{value:.2g}"
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa}·10{str(int(power)).translate(_UP)}"


def words(name: str) -> str:
    """A name of a channel, region or number as people read it: without underscores."""
    return str(name).replace("_", " ")


def units_of(setting: Setting) -> str:
    """Units that all channels share, joined by commas where they differ."""
    return ", ".join(dict.fromkeys(channel.units or "1" for channel in setting.channels))


def squared_units(units: str) -> str:
    """CF units of the square: "m2 s-2" for "m s-1"."""
    return _to_power(units, 2)


def inverse_units(units: str) -> str:
    """CF units of one over it: "s" for "s-1"."""
    return _to_power(units, -1)


def _to_power(units: str, power: int) -> str:
    def term(text: str) -> str:
        found = re.fullmatch(r"([^\W\d_]+?)(?:\*\*|\^)?(-?\d+)?", text)
        if not found:
            return text if text == "1" else f"({text}){power}"
        exponent = int(found[2] or 1) * power
        return found[1] + (str(exponent) if exponent != 1 else "")

    return ", ".join(" ".join(map(term, part.split())) for part in units.split(", "))
