"""What a variable is by its standard name and cell methods, where its name alone would mislead.

A variable `u` may be the velocity of sea water, and a standard deviation over a month is no wind.
"""

import re
from collections.abc import Mapping
from typing import Any

from atmodist.fields.cf.describe import standard_name, text

# Words that a standard name must hold, and those that make it something else.
_OTHER_WINDS = (
    r"stress|shear|tendency|flux|product|square|gust|sea_water|sea_ice|wave|current|drift"
)
_OTHER_CURLS = r"potential|absolute|moisture|water|ocean|sea_|tendency|flux|product|square"
_WORDS = {
    "eastward_wind": (r"wind|velocity", _OTHER_WINDS),
    "northward_wind": (r"wind|velocity", _OTHER_WINDS),
    "vorticity": (r"vorticity", _OTHER_CURLS),
    "divergence": (r"divergence", _OTHER_CURLS),
}
_MODIFIERS = re.compile(r"_(standard_error|detection_minimum|number_of_observations|status_flag)$")
_METHOD = re.compile(r"\w+:\s+(\w+)")
# CF's methods (appendix E) of which the result is no wind; of a mean or median it still is.
_STATISTICS = (
    "standard_deviation", "variance", "range", "sum", "sum_of_squares", "maximum", "minimum",
    "maximum_absolute_value", "minimum_absolute_value", "mean_absolute_value", "mode",
    "mean_of_upper_decile", "root_mean_square",
)  # fmt: skip


def contradiction(quantity: str, attributes: Mapping[Any, Any]) -> str:
    """Why a variable is not a quantity, by what it says of itself; empty where it may be.

    Args:
        quantity: "eastward_wind", "northward_wind", "vorticity" or "divergence"; of others only
            statistics are told.
        attributes: Of the variable.
    """
    standard = standard_name(attributes)
    if standard:
        needed, other = _WORDS.get(quantity, ("", ""))
        if _MODIFIERS.search(standard):
            return f"standard_name {standard}"
        if needed and (not re.search(needed, standard) or re.search(other, standard)):
            return f"standard_name {standard}"
    methods = _METHOD.findall(text(attributes, "cell_methods"))
    return next((f"a {m.replace('_', ' ')}" for m in methods if m in _STATISTICS), "")
