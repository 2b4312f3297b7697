"""Where a pair lies: degrees north and east of its first and last row and column.

The reference implementation writes other numbers under the names of ours. With a patch from row r
and column c of a grid of H x W,

    lat_start = 180 r / H,  lat_end = 180 (r + rows) / H,    from the north pole southwards,
    long_start = 360 c / W, long_end = 360 (c + columns) / W,

colatitudes, and ends one past the last row and column. Its records are told by what they lack: a
`time`, which ours always have. Whoever reads places, reads them through here.
"""

from collections.abc import Collection, Mapping
from typing import Any

PLACE = ("lat_start", "lat_end", "long_start", "long_end")


def is_of_reference(features: Collection[str]) -> bool:
    """Whether records with these features were written by the reference implementation."""
    return "time" not in features


def places(features: Mapping[str, Any], shape: tuple[int, int]) -> dict[str, Any]:
    """Turns the places of the reference implementation's records into ours.

    Args:
        features: `PLACE` as its records have it; numbers, arrays or tensors.
        shape: (latitude, longitude) points of the patches.

    Returns:
        `PLACE`, degrees north and degrees east, of the first and the last row and column.
    """
    north, south, west, east = (features[name] for name in PLACE)
    rows, columns = shape
    return {
        "lat_start": 90.0 - north,
        "lat_end": 90.0 - (south - (south - north) / rows),
        "long_start": west,
        "long_end": east - (east - west) / columns,
    }
