"""The record of a pair of patches: its features, how they are encoded, and how decoded.

Feature names and types are the reference implementation's, plus `time` and `step`, so that either
can read the other's files; what its places mean, `atmodist.pairs.places` tells. Patches are
(latitude, longitude, channel), of shape (H, W, C).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from atmodist.pairs.places import is_of_reference, places
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
    "label": "int64",  # temporal distance in archive time steps, from 1
    "T_max": "int64",  # the largest label
    "H": "int64",
    "W": "int64",
    "C": "int64",
    "patch1": "bytes",
    "patch2": "bytes",
    "lat_start": "float32",  # degrees north, of the first row
    "long_start": "float32",  # degrees east, of the first column
    "lat_end": "float32",  # of the last row
    "long_end": "float32",  # of the last column
}
PAIR_FEATURES: Mapping[str, FeatureType] = {
    **REFERENCE_FEATURES,
    "time": "int64",  # seconds since 1970-01-01 of patch1
    "step": "int64",  # time index of patch1 in the archive
}


def encode_pair(
    patch1: np.ndarray,
    patch2: np.ndarray,
    *,
    index: int,
    label: int,
    max_label: int,
    latitudes: tuple[float, float],
    longitudes: tuple[float, float],
    time: int,
    step: int,
) -> list[Buffer]:
    """Returns the framed record of a pair as buffers to be written one after the other.

    `os.pwritev(file, buffers, offset)` writes it without copying the patches. The patches must not
    change until then. The total length is `framed_pair_size`.

    Args:
        patch1: (H, W, C) float32; copied only if it is not contiguous.
        patch2: As `patch1`, `label` archive time steps later.
        index: The number of the pair.
        label: Temporal distance in archive time steps, 1 to `max_label`.
        max_label: The largest label of the records.
        latitudes: Of the first and the last row, degrees north.
        longitudes: Of the first and the last column, degrees east.
        time: Seconds since 1970-01-01 of `patch1`.
        step: Time index of `patch1` in the archive.
    """
    _check_patches(patch1, patch2)
    if not 1 <= label <= max_label:
        raise ValueError(f"`label` must be 1 to max_label={max_label}; got label={label}.")
    height, width, channels = patch1.shape
    features = {
        "index": int(index),
        "label": int(label),
        "T_max": int(max_label),
        "H": height,
        "W": width,
        "C": channels,
        "patch1": np.ascontiguousarray(patch1, PATCH_DTYPE),
        "patch2": np.ascontiguousarray(patch2, PATCH_DTYPE),
        "lat_start": float(latitudes[0]),
        "long_start": float(longitudes[0]),
        "lat_end": float(latitudes[1]),
        "long_end": float(longitudes[1]),
        "time": int(time),
        "step": int(step),
    }
    return frame(encode_example(features))


def framed_pair_size(
    patch_shape: tuple[int, int, int],
    *,
    max_label: int,
    index: np.ndarray | int,
    label: np.ndarray | int,
    time: np.ndarray | int,
    step: np.ndarray | int,
) -> np.ndarray:
    """Returns the length in bytes of the frames that `encode_pair` makes, int64.

    Scalars or integer arrays that broadcast against each other; shape (H, W, C) of the patches.
    """
    patch = np.empty(patch_shape, PATCH_DTYPE)
    common: dict[str, int | float | Buffer] = {
        **dict(zip("HWC", patch_shape, strict=True)),
        **dict.fromkeys(("patch1", "patch2"), patch),
        **{name: 0.0 for name, kind in PAIR_FEATURES.items() if kind == "float32"},
        "T_max": int(max_label),
    }
    return framed_size(common, {"index": index, "label": label, "time": time, "step": step})


def decode_pair(payload: bytes) -> dict[str, Any]:
    """Returns the features of a pair, the patches as read-only (H, W, C) float32 arrays.

    Records of the reference implementation lack `time` and `step`; their places are turned into
    ours. Sizes are checked before use.
    """
    features = decode_example(payload, REFERENCE_FEATURES, "a pair of patches")
    shape = (features["H"], features["W"], features["C"])
    for name in ("patch1", "patch2"):
        features[name] = decode_patch(name, features[name], shape)
    if is_of_reference(features):
        features |= places(features, shape[:2])
    return features


def _check_patches(patch1: np.ndarray, patch2: np.ndarray) -> None:
    for name, patch in (("patch1", patch1), ("patch2", patch2)):
        if patch.dtype != np.float32 or patch.ndim != 3:
            raise ValueError(
                f"`{name}` must be float32 of shape (latitude, longitude, channel); "
                f"got {patch.dtype} of shape {patch.shape}."
            )
    if patch1.shape != patch2.shape:
        raise ValueError(
            f"both patches must have one shape; got {patch1.shape} and {patch2.shape}."
        )
