"""Values that no atmosphere has: a wind of 327 m/s is a mark for missing that nobody declared.

Bounds are wide: the strongest winds that were measured at any height below the mesopause are about
200 m s⁻¹, and vorticity reaches 1 s⁻¹ only within tornadoes, which no grid of a model resolves.
Units decide whether a bound applies.
"""

from collections.abc import Sequence

import numpy as np

from atmodist.fields.channels import Channel
from atmodist.fields.labelled import canonical_units

LARGEST_WIND = 250.0  # m s⁻¹
LARGEST_VORTICITY = 1.0  # s⁻¹; of divergence as well
_BOUNDS = {
    "eastward_wind": (LARGEST_WIND, "m s-1"),
    "northward_wind": (LARGEST_WIND, "m s-1"),
    "vorticity": (LARGEST_VORTICITY, "s-1"),
    "divergence": (LARGEST_VORTICITY, "s-1"),
    "atmosphere_relative_vorticity": (LARGEST_VORTICITY, "s-1"),
    "divergence_of_wind": (LARGEST_VORTICITY, "s-1"),
}


def require_plausible(
    field: np.ndarray, channels: Sequence[Channel], time: str, where: object
) -> None:
    """Refuses fields with values that no atmosphere has.

    Args:
        field: (channel, latitude, longitude); NaN passes.
        channels: What they are.
        time: For the message.
        where: The file, for the message.

    Raises:
        ValueError: Says how many and which.
    """
    for channel, values in zip(channels, field, strict=True):
        known = channel.name if channel.name in _BOUNDS else channel.standard_name
        bound, units = _BOUNDS.get(known, (np.inf, ""))
        if canonical_units(channel.units) != canonical_units(units) or not np.isfinite(bound):
            continue
        bad = np.abs(values) > bound
        if bad.any():
            largest = float(np.abs(values[bad]).max())
            raise ValueError(
                f"{where}: {int(bad.sum())} of {values.size} values of {channel.name} at {time} "
                f"are beyond {bound:g} {units}, up to {largest:.3g}: marks for missing values that "
                "the file does not declare, or other units? Correct the file, or give "
                "--unusual_values true to take them as they are"
            )
