"""Features of every field of an archive, streamed to an HDF5 file or a Zarr store.

What the encoder makes of each whole field is kept either pooled (for each stage the area-weighted
mean and standard deviation over space of each feature, a short vector for each time) or as full
feature maps. xarray opens the result: time is that of the archive, and maps have the latitudes and
longitudes of the middles of the blocks of grid points that a feature stands for.

The output appears only when it is complete; a run that was killed goes on where it was. A part of
the rows is in memory at a time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from atmodist.embedding.output import (
    MARK,
    Coordinate,
    RowWriter,
    TableLayout,
    Variable,
    open_rows,
)
from atmodist.fields.archive import COUNT_UNITS, Archive, check_finite
from atmodist.fields.grid import Grid
from atmodist.fields.series import archive_series
from atmodist.fields.time_axis import EPOCH_UNITS, NO_CALENDAR
from atmodist.files.outputs import fingerprint
from atmodist.metric.features import StageFeatures
from atmodist.metric.weights import weights_digest

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
        archive: Whose fields; with the channels of the encoder, in any order, in their units.
        features: Encoder and normalisation.
        output: The HDF5 file to make, or Zarr store if its suffix is .zarr; one that exists is
            replaced once the new one is complete.
        stages: Which stages; all by default.
        content: "pooled" or "maps".
        steps: Which steps of the archive; all by default.
        attributes: Attributes of the file, for instance where the encoder comes from.
        progress: Whether to show a bar (on a terminal).

    Returns:
        `output`.

    Raises:
        ValueError: If the archive lacks a channel or has it in other units, a field has missing
            values, an argument cannot be, or `output` exists and is no embedding.
    """
    if content not in ("pooled", "maps"):
        raise ValueError(f"`content` must be 'pooled' or 'maps'; got {content!r}")
    series = archive_series(archive, features.normalization.described_channels)
    chosen = _chosen_stages(features, stages)
    steps = range(archive.shape[1]) if steps is None else steps
    if not len(steps) or min(steps) < 0 or max(steps) >= archive.shape[1]:
        raise ValueError(f"`steps` must lie in 0..{archive.shape[1] - 1}; got {steps}")
    with RowWriter(output, identity=_identity(archive, features, chosen, content, steps)) as writer:
        done = writer.num_rows
        for step in tqdm(
            steps[done:],
            "embed",
            len(steps),
            initial=done,
            unit="field",
            disable=None if progress else True,
        ):
            field = series.read(step)
            try:
                check_finite(field, series.channels, series.times[step], series.path)
            except ValueError:
                writer.discard()  # whoever asks again will end here again
                raise
            maps = features.field(field, archive.grid, chosen)
            writer.append(maps if content == "maps" else pooled(maps, features, archive.grid))
        writer.finish(_layout(archive, features, steps, chosen, content, attributes or {}))
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
        mean, std = _moments(values, features.cell_weights(stage, grid))
        result[f"{stage}_mean"], result[f"{stage}_std"] = mean, std
    return result


def read_embedding(path: str | Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Reads pooled features, all stages side by side, for instance for `probes`.

    Returns:
        Features (time, feature), seconds since 1970-01-01 (time,), and their calendar.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no embedding {path}; `atmodist embed` makes one")
    with open_rows(path) as file:
        names = [f"{s}_{part}" for s in file.attrs.get("stages", ()) for part in POOLED]
        if not names or any(name not in file for name in names):
            raise ValueError(
                f"{path} holds no pooled features; `atmodist embed --content pooled` makes them"
            )
        values = np.concatenate([file[name][...] for name in names], axis=1)
        calendar = file["time"].attrs.get("calendar", NO_CALENDAR)
        return values, file["time"][...], str(calendar)


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean μ and standard deviation σ by weights that sum to one, in one pass over the rows.

    With r the mean of the row in the middle,

        μ = r + Σ w (x - r),    σ² = Σ w (x - r)² - (μ - r)².

    Little cancels in σ²: that row alone brings its weight, w_r, times (μ - r)² to the variance, so
    that rounding grows by 1 / w_r at most.

    Args:
        values: (latitude, longitude, feature).
        weights: (latitude, longitude).

    Returns:
        μ and σ, each (feature,), float64.
    """
    reference = values[len(values) // 2].mean(axis=0, dtype=np.float64)
    shift, square = np.zeros_like(reference), np.zeros_like(reference)
    for row, areas in zip(values, weights, strict=True):  # no copy of all in double precision
        difference = row - reference
        shift += areas @ difference
        square += areas @ np.square(difference, out=difference)
    # Quadrature weights of a pole may be a hair below zero.
    return reference + shift, np.sqrt(np.maximum(square - shift**2, 0.0))


def _identity(
    archive: Archive,
    features: StageFeatures,
    stages: Sequence[str],
    content: Content,
    steps: range,
) -> dict[str, Any]:
    """What decides the rows; others that an interrupted run left are of no use.

    A fingerprint looks at parts of a file only, so the archive must also be the same file as
    before. That is quicker than `Archive.fingerprint`, which decodes three whole fields.
    """
    return {
        "version": FORMAT_VERSION,
        "archive": [fingerprint(archive.path), archive.path.stat().st_mtime_ns],
        "encoder": [features.encoder.to_json(), weights_digest(features.encoder)],
        "normalization": features.normalization.identity,
        "stages": list(stages),
        "content": content,
        "steps": [steps.start, steps.stop, steps.step],
    }


def _layout(
    archive: Archive,
    features: StageFeatures,
    steps: range,
    stages: Sequence[str],
    content: Content,
    attributes: Mapping[str, Any],
) -> TableLayout:
    """Coordinates and attributes of all steps."""
    coordinates = {"time": _time(archive, steps)}
    variables = {}
    for stage in stages:
        feature = f"{stage}_feature"
        coordinates[feature] = Coordinate(np.arange(features.num_features(stage)), {})
        labels = {"units": "1", "stride": features.stride(stage)}
        if content == "maps":
            places = _places(stage, features.stride(stage), archive.grid)
            coordinates.update(places)
            variables[stage] = Variable(("time", *places, feature), labels)
        else:
            for part in POOLED:
                variables[f"{stage}_{part}"] = Variable(("time", feature), labels)
    labels = {
        "Conventions": "CF-1.8",
        MARK: FORMAT_VERSION,
        "stages": list(stages),
        "normalization": features.normalization.identity,
        "archive": archive.path.name,
        **attributes,
    }
    return TableLayout(labels, coordinates, variables)


def _time(archive: Archive, steps: range) -> Coordinate:
    seconds = archive.time.seconds[list(steps)].astype(np.int64)
    if archive.time.calendar == NO_CALENDAR:
        return Coordinate(seconds, {"long_name": "step number", "units": COUNT_UNITS})
    calendar = archive.time.calendar
    return Coordinate(
        seconds, {"standard_name": "time", "units": EPOCH_UNITS, "calendar": calendar}
    )


def _places(stage: str, stride: int, grid: Grid) -> dict[str, Coordinate]:
    """Coordinates of the middles of blocks of stride x stride points, or what is left of them."""
    result = {}
    for axis, values, units in (
        ("latitude", grid.latitude, "degrees_north"),
        ("longitude", grid.longitude, "degrees_east"),
    ):
        blocks = [values[i : i + stride] for i in range(0, len(values), stride)]
        middle = np.array([(block[0] + block[-1]) / 2 for block in blocks])
        result[f"{stage}_{axis}"] = Coordinate(middle, {"standard_name": axis, "units": units})
    return result


def _chosen_stages(features: StageFeatures, stages: Sequence[str] | None) -> tuple[str, ...]:
    chosen = features.names if stages is None else tuple(stages)
    unknown = [stage for stage in chosen if stage not in features.names]
    if unknown or not chosen:
        raise ValueError(
            f"`stages` must be some of {', '.join(features.names)}; got {list(chosen)}"
        )
    return chosen
