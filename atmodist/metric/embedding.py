"""Features of every field of an archive, streamed to an HDF5 file.

What the encoder makes of each whole field is kept either pooled (for each stage the area-weighted
mean and standard deviation over space of each feature, a short vector for each time) or as full
feature maps. xarray opens the result: time is that of the archive, and maps have the latitudes and
longitudes of the middles of the blocks of grid points that a feature stands for.

The file appears only when it is complete. One field is in memory at a time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from atmodist.fields.archive import COUNT_UNITS, Archive, check_finite
from atmodist.fields.grid import Grid
from atmodist.fields.hdf5_output import Hdf5Output
from atmodist.fields.time_axis import EPOCH_UNITS, NO_CALENDAR
from atmodist.metric.features import StageFeatures
from atmodist.outputs import atomic_path

Content = Literal["pooled", "maps"]
POOLED = ("mean", "std")
FORMAT_VERSION = 1


def embed_archive(
    archive: Archive,
    features: StageFeatures,
    output: str | Path,
    *,
    stages: Sequence[str] | None = None,
    content: Content = "pooled",
    steps: range | None = None,
    attributes: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> Path:
    """Writes the features of the fields of an archive.

    Datasets, float32 and dimensionless: `stage1_mean` and `stage1_std` (time, stage1_feature) if
    pooled, or `stage1` (time, stage1_latitude, stage1_longitude, stage1_feature).

    Args:
        archive: Whose fields; its channels must be those of the encoder, in the same order.
        features: Encoder and normalisation.
        output: The file to make; one that exists is replaced once the new one is complete.
        stages: Which stages; all by default.
        content: "pooled" or "maps".
        steps: Which steps of the archive; all by default.
        attributes: Attributes of the file, for instance where the encoder comes from.
        progress: Whether to show a bar (on a terminal).

    Returns:
        `output`.
    """
    if content not in ("pooled", "maps"):
        raise ValueError(f"`content` must be 'pooled' or 'maps'; got {content!r}")
    _require_channels(archive, features)
    chosen = _chosen_stages(features, stages)
    steps = range(archive.shape[1]) if steps is None else steps
    if not len(steps) or min(steps) < 0 or max(steps) >= archive.shape[1]:
        raise ValueError(f"`steps` must lie in 0..{archive.shape[1] - 1}; got {steps}")
    with atomic_path(output) as temporary:
        target = Hdf5Output(temporary, name=output)
        try:
            for row, step in enumerate(
                tqdm(steps, "embed", unit="field", disable=None if progress else True)
            ):
                field = archive.read(step)
                check_finite(field, archive.channels, archive.time.isoformat(step), archive.path)
                maps = features.field(field, archive.grid, chosen)
                entries = maps if content == "maps" else pooled(maps, features, archive.grid)
                with target.access() as file:
                    if row == 0:
                        _create(file, archive, features, steps, maps, entries, attributes or {})
                    for name, values in entries.items():
                        file[name][row] = values
        finally:
            target.close()
    return Path(output)


def pooled(
    maps: Mapping[str, np.ndarray], features: StageFeatures, grid: Grid
) -> dict[str, np.ndarray]:
    """Area-weighted mean and standard deviation of each feature.

    Args:
        maps: (latitude, longitude, feature) by stage, from `StageFeatures.field`.
        features: What made them.
        grid: The grid of the field.

    Returns:
        `{stage}_mean` and `{stage}_std`, each (feature,).
    """
    result = {}
    for stage, values in maps.items():
        weights = features.cell_weights(stage, grid)
        x = values.astype(np.float64)
        mean = np.tensordot(weights, x, axes=2)
        variance = np.tensordot(weights, (x - mean) ** 2, axes=2)
        result[f"{stage}_mean"] = mean
        # Quadrature weights of a pole may be a hair below zero.
        result[f"{stage}_std"] = np.sqrt(np.maximum(variance, 0.0))
    return result


def read_embedding(path: str | Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Reads pooled features, all stages side by side, for instance for `probes`.

    Returns:
        Features (time, feature), seconds since 1970-01-01 (time,), and their calendar.
    """
    import h5py

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no embedding {path}; `atmodist embed` makes one")
    with h5py.File(path, "r") as file:
        names = [f"{s}_{part}" for s in file.attrs.get("stages", ()) for part in POOLED]
        if not names or any(name not in file for name in names):
            raise ValueError(
                f"{path} holds no pooled features; `atmodist embed --content pooled` makes them"
            )
        values = np.concatenate([file[name][...] for name in names], axis=1)
        calendar = file["time"].attrs.get("calendar", NO_CALENDAR)
        return values, file["time"][...], str(calendar)


def _create(
    file: Any,
    archive: Archive,
    features: StageFeatures,
    steps: range,
    maps: Mapping[str, np.ndarray],
    entries: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
) -> None:
    """Writes coordinates and attributes, and creates the datasets for all steps."""
    file.attrs.update(
        {
            "Conventions": "CF-1.8",
            "atmodist_embedding": FORMAT_VERSION,
            "stages": list(maps),
            "normalization": features.normalization.identity,
            "archive": archive.path.name,
            **attributes,
        }
    )
    scales = {"time": _time(file, archive, steps)}
    for stage, values in maps.items():
        scales[f"{stage}_feature"] = _scale(file, f"{stage}_feature", np.arange(values.shape[-1]))
    for name, values in entries.items():
        data = file.create_dataset(
            name,
            (len(steps), *values.shape),
            np.float32,
            chunks=(1, *values.shape) if values.ndim > 1 else None,
        )
        stage = name if name in maps else name.rsplit("_", 1)[0]
        dims = ["time", f"{stage}_feature"]
        if values.ndim == 3:
            dims[1:1] = _places(file, stage, features.stride(stage), archive.grid)
        for axis, dim in enumerate(dims):
            data.dims[axis].attach_scale(file[dim])
        data.attrs.update({"units": "1", "stride": features.stride(stage)})


def _time(file: Any, archive: Archive, steps: range) -> Any:
    time = _scale(file, "time", archive.time.seconds[list(steps)].astype(np.int64))
    if archive.time.calendar == NO_CALENDAR:
        time.attrs.update({"long_name": "step number", "units": COUNT_UNITS})
    else:
        time.attrs.update(
            {"standard_name": "time", "units": EPOCH_UNITS, "calendar": archive.time.calendar}
        )
    return time


def _places(file: Any, stage: str, stride: int, grid: Grid) -> list[str]:
    """Coordinates of the middles of blocks of stride x stride points, or what is left of them."""
    names = []
    for axis, values, units in (
        ("latitude", grid.latitude, "degrees_north"),
        ("longitude", grid.longitude, "degrees_east"),
    ):
        blocks = [values[i : i + stride] for i in range(0, len(values), stride)]
        middle = np.array([(block[0] + block[-1]) / 2 for block in blocks])
        scale = _scale(file, f"{stage}_{axis}", middle)
        scale.attrs.update({"standard_name": axis, "units": units})
        names.append(f"{stage}_{axis}")
    return names


def _scale(file: Any, name: str, values: np.ndarray) -> Any:
    dataset = file.create_dataset(name, data=values)
    dataset.make_scale(name)
    return dataset


def _chosen_stages(features: StageFeatures, stages: Sequence[str] | None) -> tuple[str, ...]:
    chosen = features.names if stages is None else tuple(stages)
    unknown = [stage for stage in chosen if stage not in features.names]
    if unknown or not chosen:
        raise ValueError(
            f"`stages` must be some of {', '.join(features.names)}; got {list(chosen)}"
        )
    return chosen


def _require_channels(archive: Archive, features: StageFeatures) -> None:
    names = tuple(channel.name for channel in archive.channels)
    if names != tuple(features.normalization.channels):
        raise ValueError(
            f"{archive.path} has the channels {names}, but the encoder was trained with "
            f"{tuple(features.normalization.channels)}"
        )
