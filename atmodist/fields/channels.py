"""Channels: names, units and standard names of the variables that networks and archives hold."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """One variable of an archive.

    Attributes:
        name: What we call it, for instance "vorticity".
        units: Its units, for instance "s-1".
        standard_name: Its CF standard name; empty if it has none.
    """

    name: str
    units: str = ""
    standard_name: str = ""


DIVERGENCE = Channel("divergence", "s-1", "divergence_of_wind")


VORTICITY = Channel("vorticity", "s-1", "atmosphere_relative_vorticity")


DEFAULT_CHANNELS = ("divergence", "vorticity")  # where nothing names them, in this order


KNOWN_CHANNELS = {channel.name: channel for channel in (DIVERGENCE, VORTICITY)}


def named_channels(names: Sequence[str], units: Sequence[str] = ()) -> tuple[Channel, ...]:
    """Channels by name, with standard names where they are known.

    Args:
        names: Of the channels.
        units: Of the channels; by default they are not known.
    """
    given = zip(names, units or ("",) * len(names), strict=True)
    return tuple(
        Channel(name, unit, KNOWN_CHANNELS[name].standard_name if name in KNOWN_CHANNELS else "")
        for name, unit in given
    )
