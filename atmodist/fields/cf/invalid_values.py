"""Which values of a variable are none, by everything that files use to say so.

CF and NetCDF know `_FillValue`, `missing_value` (one or many), `valid_min`, `valid_max` and
`valid_range`, and default fill values by type for what was never written. xarray masks the first
two where types agree to the bit; here single precision is allowed for, and the rest is added. What
is found applies to unpacked values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# netcdf.h; there are none for single bytes, of which all may be valid
_DEFAULTS = {
    "f4": (9.969209968386869e36,), "f8": (9.969209968386869e36,),
    "i2": (-32767.0,), "i4": (-2147483647.0,), "i8": (-9223372036854775806.0,),
    "u2": (65535.0,), "u4": (4294967295.0,), "u8": (18446744073709551614.0,),
}  # fmt: skip
_ROUNDING = 1e-6  # relative; marks and values may have been in single precision


@dataclass(frozen=True, eq=False)
class InvalidValues:
    """What is no value.

    Attributes:
        marks: Intervals around values that stand for none. Shape (mark, 2).
        smallest: Of valid values.
        largest: Of valid values.
    """

    marks: np.ndarray
    smallest: float = -np.inf
    largest: float = np.inf

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values with NaN where there is none; as they came where all are."""
        bad = np.zeros(values.shape, bool)
        for low, high in self.marks:
            bad |= (values >= low) & (values <= high)
        if self.smallest > -np.inf:
            bad |= values < self.smallest
        if self.largest < np.inf:
            bad |= values > self.largest
        if not bad.any():
            return values
        kind = values.dtype if np.issubdtype(values.dtype, np.floating) else np.dtype(np.float64)
        return np.where(bad, np.nan, values).astype(kind, copy=False)


def invalid_values(
    attributes: Mapping[Any, Any], encoding: Mapping[str, Any], dtype: np.dtype
) -> InvalidValues:
    """Reads what a variable says of its values.

    Args:
        attributes: Of the variable.
        encoding: What xarray took from them in decoding: how values were packed and marked.
        dtype: Of its values as they are.
    """
    stored = np.dtype(encoding.get("dtype") or dtype)
    scale = _number(encoding.get("scale_factor"), 1.0)
    offset = _number(encoding.get("add_offset"), 0.0)
    is_packed = "scale_factor" in encoding or "add_offset" in encoding
    known = {**attributes, **encoding}
    of_netcdf = not {"compressors", "compressor"} & set(encoding)  # Zarr has marks of its own
    marks = [m for key in ("_FillValue", "missing_value") for m in _numbers(known.get(key))]
    if stored.kind == "f" or (known.get("_FillValue") is None and of_netcdf):
        marks += _DEFAULTS.get(f"{stored.kind}{stored.itemsize}", ())
    intervals = [_around(mark * scale + offset, mark, scale, stored) for mark in marks]
    smallest, largest = _range(attributes, stored, scale, offset, is_packed, encoding)
    return InvalidValues(np.reshape(intervals, (-1, 2)), smallest, largest)


def _around(value: float, mark: float, scale: float, stored: np.dtype) -> tuple[float, float]:
    width = abs(value) * _ROUNDING
    if stored.kind in "iu":
        width = max(0.25 * abs(scale), min(width, 0.5 * abs(scale)))
    return value - width, value + width


def _range(
    attributes: Mapping[Any, Any],
    stored: np.dtype,
    scale: float,
    offset: float,
    is_packed: bool,
    encoding: Mapping[str, Any],
) -> tuple[float, float]:
    """Bounds of valid values, unpacked and widened by rounding."""
    limits = [-np.inf, np.inf]
    pair = attributes.get("valid_range")
    given = list(np.ravel(pair)) if pair is not None and np.size(pair) == 2 else [None, None]
    for place, key in enumerate(("valid_min", "valid_max")):
        value = attributes.get(key) if given[place] is None else given[place]
        if value is None or not _numbers(value):
            continue
        number = _numbers(_unsigned(value, encoding))[0]
        # Packed bounds are in packed units, unless they have the type of unpacked values (NUG).
        kind = np.asarray(value).dtype.kind
        if is_packed and not (kind == "f" and stored.kind in "iu"):
            number = number * scale + offset
            place = place if scale > 0 else 1 - place
        limits[place] = number
    low, high = limits
    if not low <= high:
        return -np.inf, np.inf
    slack = 0.5 * abs(scale) if is_packed and stored.kind in "iu" else 0.0
    return (
        low - max(slack, abs(low) * _ROUNDING) if np.isfinite(low) else low,
        high + max(slack, abs(high) * _ROUNDING) if np.isfinite(high) else high,
    )


def _unsigned(value: Any, encoding: Mapping[str, Any]) -> Any:
    array = np.asarray(value)
    if str(encoding.get("_Unsigned", "")).lower() == "true" and array.dtype.kind == "i":
        return array.view(array.dtype.str.replace("i", "u"))
    return value


def _number(value: Any, default: float) -> float:
    numbers = _numbers(value)
    return numbers[0] if numbers else default


def _numbers(value: Any) -> list[float]:
    """Numbers of an attribute, texts too; none where it holds none."""
    if value is None:
        return []
    found = []
    for one in np.ravel(np.asarray(value)):
        try:
            number = float(one.decode() if isinstance(one, bytes) else one)
        except (TypeError, ValueError):
            continue
        if not np.isnan(number):
            found.append(number)
    return found
