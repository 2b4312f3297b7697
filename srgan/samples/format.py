"""The record of a patch at two resolutions: its features, how they are encoded, and how decoded.

The first eight features are those of the reference implementation (`data_LR` of shape
(h_LR, w_LR, c), `data_HR` alike), so that either can read the other's files; the others are ours
and say where and when the patch lies. Both patches are float32 and normalised alike.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from atmodist.records.example import (
    PATCH_DTYPE,
    Buffer,
    FeatureType,
    decode_example,
    decode_patch,
    encode_example,
    frame,
    framed_size,
)

REFERENCE_FEATURES: Mapping[str, FeatureType] = {
    "index": "int64",
    "data_LR": "bytes",
    "h_LR": "int64",
    "w_LR": "int64",
    "data_HR": "bytes",
    "h_HR": "int64",
    "w_HR": "int64",
    "c": "int64",
}
PATCH_FEATURES: Mapping[str, FeatureType] = {
    **REFERENCE_FEATURES,
    "time": "int64",  # seconds since 1970-01-01
    "step": "int64",  # time index in the archive
    "row": "int64",  # first row of the HR patch
    "column": "int64",  # first column of the HR patch, which may wrap around
    "lat_start": "float32",  # degrees north, of the first row of the HR patch
    "long_start": "float32",  # degrees east, of its first column
    "lat_end": "float32",  # of its last row
    "long_end": "float32",  # of its last column
}
_VARYING = ("index", "time", "step", "row", "column")
_WHAT = "a patch of two resolutions"


def encode_patch(
    low: np.ndarray,
    high: np.ndarray,
    *,
    index: int,
    time: int,
    step: int,
    row: int,
    column: int,
    latitudes: tuple[float, float],
    longitudes: tuple[float, float],
) -> list[Buffer]:
    """Returns the framed record of a patch as buffers to be written one after the other.

    Args:
        low: (h, w, C) float32, normalised.
        high: (H, W, C) float32, normalised; copied only if it is not contiguous.
        index: The number of the patch.
        time: Seconds since 1970-01-01.
        step: Time index in the archive.
        row: First row of `high` in the archive.
        column: First column of `high` in the archive.
        latitudes: Of the first and the last row of `high`, degrees north.
        longitudes: Of its first and last column, degrees east.
    """
    for name, patch in (("low", low), ("high", high)):
        if patch.dtype != np.float32 or patch.ndim != 3 or patch.shape[-1] != high.shape[-1]:
            raise ValueError(
                f"`{name}` must be float32 of shape (latitude, longitude, channel), with the "
                f"channels of the other; got {patch.dtype} of shape {patch.shape}"
            )
    features: dict[str, int | float | Buffer] = {
        **_sizes(low.shape, high.shape),
        "data_LR": np.ascontiguousarray(low, PATCH_DTYPE),
        "data_HR": np.ascontiguousarray(high, PATCH_DTYPE),
        "index": int(index),
        "time": int(time),
        "step": int(step),
        "row": int(row),
        "column": int(column),
        "lat_start": float(latitudes[0]),
        "long_start": float(longitudes[0]),
        "lat_end": float(latitudes[1]),
        "long_end": float(longitudes[1]),
    }
    return frame(encode_example(features))


def framed_patch_size(
    low_shape: tuple[int, int, int],
    high_shape: tuple[int, int, int],
    **varying: np.ndarray | int,
) -> np.ndarray:
    """Returns the length in bytes of the frames that `encode_patch` makes, int64.

    Args:
        low_shape: (h, w, C).
        high_shape: (H, W, C).
        **varying: index, time, step, row, column; integers or arrays that broadcast.
    """
    if set(varying) != set(_VARYING):
        raise TypeError(f"expected the sizes of {', '.join(_VARYING)}; got {', '.join(varying)}")
    common: dict[str, int | float | Buffer] = {
        **_sizes(low_shape, high_shape),
        **{name: 0.0 for name, kind in PATCH_FEATURES.items() if kind == "float32"},
        "data_LR": np.empty(low_shape, PATCH_DTYPE),
        "data_HR": np.empty(high_shape, PATCH_DTYPE),
    }
    return framed_size(common, varying)


def decode_patches(payload: bytes) -> dict[str, Any]:
    """Returns the features of a record, both patches as read-only float32 arrays.

    Records of the reference implementation have its eight features only.
    """
    features = decode_example(payload, REFERENCE_FEATURES, _WHAT)
    for side in ("LR", "HR"):
        shape = (features[f"h_{side}"], features[f"w_{side}"], features["c"])
        features[f"data_{side}"] = decode_patch(f"data_{side}", features[f"data_{side}"], shape)
    return features


def _sizes(low_shape: tuple[int, ...], high_shape: tuple[int, ...]) -> dict[str, int]:
    return {
        "h_LR": low_shape[0],
        "w_LR": low_shape[1],
        "h_HR": high_shape[0],
        "w_HR": high_shape[1],
        "c": high_shape[2],
    }
