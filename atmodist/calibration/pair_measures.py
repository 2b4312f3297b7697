"""Distances of every pair of a record set: by the encoder, stage by stage, and pixel by pixel.

Calibration and comparison ask the same of a pair (a, b) of normalised patches. For each stage s,
the content loss is c_s = ⟨(f_s(a) - f_s(b))²⟩, the mean over space and feature channels. Pixel
measures see the fields standardised, z = (x - μ)/σ, with the logarithm undone:
l1 = ⟨|z_a - z_b|⟩, l2 = ⟨(z_a - z_b)²⟩, PSNR and SSIM. `l2_normalized` is l2 of the fields as the
encoder sees them, with the logarithm; it tells what the logarithm alone is worth.

Means over space are weighted with the area of a row, cos φ, as those of the metric are. Records
are streamed: the memory is a few batches.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atmodist.fields.archive import check_finite
from atmodist.fields.normalization import Normalization
from atmodist.fields.series import archive_series
from atmodist.fields.signed_log import signed_expm1
from atmodist.metric.pixel_measures import PIXEL, PIXEL_MEASURES, PixelMeasure, row_mean
from atmodist.pairs.pair_records import PairRecords

if TYPE_CHECKING:
    from atmodist.fields.archive import Archive
    from atmodist.metric.features import StageFeatures

BATCH_SIZE = 32  # pairs
SECONDS_PER_HOUR = 3600.0

Encode = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class PairMeasures:
    """What was measured on each pair of a split; all arrays have the shape (pair,).

    Attributes:
        step_seconds: One archive time step; `label` counts them.
        label: True temporal distance, in archive time steps, from 1.
        step: Time index of the earlier patch; pairs that share it are not independent.
        content: Content loss by stage, dimensionless; before any α.
        pixel: Pixel measures by name. l1, l2 and ssim are dimensionless, psnr is in dB.
        latitude: Degrees north of the middle of the patch.
        dated: False where the records do not say when their pairs are; `step` then counts pairs.
    """

    step_seconds: int
    label: np.ndarray
    step: np.ndarray
    content: Mapping[str, np.ndarray]
    pixel: Mapping[str, np.ndarray]
    latitude: np.ndarray
    dated: bool = True

    def __post_init__(self) -> None:
        count = len(self.label)
        if not count:
            raise ValueError("there are no pairs to measure")
        named = {"step": self.step, "latitude": self.latitude, **self.content, **self.pixel}
        wrong = {name: np.shape(a) for name, a in named.items() if np.shape(a) != (count,)}
        if wrong:
            raise ValueError(f"all arrays must have the shape ({count},); got {wrong}")

    @property
    def hours(self) -> np.ndarray:
        """True temporal distance of each pair, in hours."""
        return self.label * (self.step_seconds / SECONDS_PER_HOUR)

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages measured, finest first."""
        return tuple(self.content)

    def __len__(self) -> int:
        return len(self.label)


def measure_pairs(
    encode: Encode,
    records: PairRecords,
    normalization: Normalization,
    *,
    split: str = "evaluation",
    pixel: Sequence[PixelMeasure] = ("l2",),
    batch_size: int = BATCH_SIZE,
    max_pairs: int | None = None,
    area_weighted: bool = True,
    step_seconds: int | None = None,
    progress: bool = False,
) -> PairMeasures:
    """Measures every pair of a split, in one pass.

    Args:
        encode: From normalised patches (batch, latitude, longitude, channel) to features by stage,
            for instance `encoder_function(encoder)`.
        records: From `open_records`.
        normalization: What the encoder was trained with; must be that of the records.
        split: Which split.
        pixel: Which pixel measures.
        batch_size: Pairs that are encoded at once.
        max_pairs: Stop after so many pairs, in the order of the files; None for all.
        area_weighted: False for plain means over grid points, as the reference implementation has.
        step_seconds: Length of a time step, where the records do not say it.
        progress: Whether to show a bar (on a terminal).

    Raises:
        ValueError: If the records have another normalisation, or another or no length of a step.
    """
    step_seconds = _checked_step(records, step_seconds)
    _require_same(records, normalization)
    unknown = sorted(set(pixel) - set(PIXEL_MEASURES))
    if unknown:
        raise ValueError(f"there is no pixel measure {unknown[0]!r}; there are {PIXEL_MEASURES}")
    if max_pairs is not None and max_pairs < 1:
        raise ValueError(f"`max_pairs` must be positive; got {max_pairs}")
    columns: dict[str, list[np.ndarray]] = {}
    for patches, label, extras in _batches(records, split, batch_size, max_pairs, progress):
        rows = _row_weights(extras, records.patch_shape[0], area_weighted)
        found = {f"content {s}": c for s, c in content_losses(encode, patches, rows).items()}
        z = standardized(patches, normalization)
        for measure in pixel:
            seen = patches if measure == "l2_normalized" else z
            found[f"pixel {measure}"] = PIXEL[measure](seen[:, 0], seen[:, 1], rows)
        found["label"] = label + 1
        found["step"] = extras.get("step", np.arange(len(label)) + _count(columns))
        found["latitude"] = (extras["lat_start"] + extras["lat_end"]) / 2
        for name, values in found.items():
            columns.setdefault(name, []).append(np.asarray(values))
    if not columns:
        raise ValueError(f"{records.folder} has no pairs in its split {split!r}")
    joined = {name: np.concatenate(parts)[:max_pairs] for name, parts in columns.items()}
    return PairMeasures(
        step_seconds=step_seconds,
        label=joined["label"].astype(np.int64),
        step=joined["step"].astype(np.int64),
        latitude=joined["latitude"].astype(np.float64),
        content={k.split(" ")[1]: v for k, v in joined.items() if k.startswith("content ")},
        pixel={k.split(" ")[1]: v for k, v in joined.items() if k.startswith("pixel ")},
        dated="step" in records.features,
    )


def measure_fields(
    features: "StageFeatures", archive: "Archive", steps: range, max_label: int
) -> PairMeasures:
    """Measures whole fields of an archive that lie 1 ... `max_label` time steps apart.

    The distance of whole fields varies much less than that of patches, and its typical value is
    larger: a mean over the globe is ruled by the regions that differ most. Hours of whole fields
    should be read from a calibration on whole fields. Pixel measures: l2 alone.

    Args:
        features: Of the encoder.
        archive: With the channels of the encoder, in any order, in their units.
        steps: Steps to use, consecutive; not those that the encoder was trained on. Pairs across a
            hole in time are left out.
        max_label: Largest lag, in archive time steps.

    Raises:
        ValueError: If the archive lacks a channel or has it in other units, `steps` or `max_label`
            do not fit it, or a field has missing values.
    """
    series = archive_series(archive, features.normalization.described_channels)
    if not (steps.step == 1 and 0 <= steps.start < steps.stop <= archive.shape[1]):
        raise ValueError(f"`steps` must be consecutive steps of the archive; got {steps}")
    if not 1 <= max_label < len(steps):
        raise ValueError(f"`max_label` must lie in 1..{len(steps) - 1}; got {max_label}")
    grid, length = series.grid, archive.time.step
    weights = {stage: features.cell_weights(stage, grid) for stage in features.names}
    recent: deque[tuple[int, dict[str, np.ndarray], np.ndarray]] = deque(maxlen=max_label)
    rows: list[tuple[int, int, list[float], float]] = []
    for step in steps:
        field = series.read(step)
        check_finite(field, series.channels, series.times[step], series.path)
        maps = features.field(field, grid)
        z = standardized(features.normalization.network_input(field), features.normalization)
        for earlier, old_maps, old_z in recent:
            label, rest = divmod(
                int(archive.time.seconds[step] - archive.time.seconds[earlier]), length
            )
            if rest or label > max_label:
                continue
            losses = [
                float((((maps[s] - old_maps[s]) ** 2).mean(axis=-1) * weights[s]).sum())
                for s in features.names
            ]
            error = float((((z - old_z) ** 2).mean(axis=-1) * grid.area_weights).sum())
            rows.append((label, earlier, losses, error))
        recent.append((step, maps, z))
    if not rows:
        raise ValueError(f"no two of the steps {steps} lie at most {max_label} time steps apart")
    labels, starts, losses_by_pair, errors = (list(column) for column in zip(*rows, strict=True))
    table = np.array(losses_by_pair)
    return PairMeasures(
        step_seconds=length,
        label=np.array(labels),
        step=np.array(starts),
        content={stage: table[:, i] for i, stage in enumerate(features.names)},
        pixel={"l2": np.array(errors)},
        latitude=np.zeros(len(labels)),
    )


def encoder_function(encoder: Any) -> Encode:
    """Returns what `measure_pairs` asks for, from a Keras encoder run in inference mode."""

    def encode(patches: np.ndarray) -> dict[str, np.ndarray]:
        return {stage: np.asarray(f) for stage, f in encoder.predict_on_batch(patches).items()}

    return encode


def content_losses(
    encode: Encode, patches: np.ndarray, row_weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Mean squared difference of the features of each pair, by stage.

    Args:
        encode: See `measure_pairs`.
        patches: (pair, 2, latitude, longitude, channel), normalised.
        row_weights: (pair, latitude), each row of pairs summing to one.

    Returns:
        (pair,) float64 for each stage.
    """
    count, _, height = patches.shape[:3]
    losses = {}
    for stage, features in encode(patches.reshape(-1, *patches.shape[2:])).items():
        pairs = features.reshape(count, 2, *features.shape[1:])
        squares = (pairs[:, 0] - pairs[:, 1]) ** 2
        starts = np.arange(0, height, -(-height // squares.shape[1]))
        weights = np.add.reduceat(row_weights, starts, axis=1)
        losses[stage] = row_mean(squares, weights)
    return losses


def standardized(normalized: np.ndarray, normalization: Normalization) -> np.ndarray:
    """Undoes the logarithm: z = (x - μ)/σ from normalised fields (..., channel); float32."""
    y = normalized * normalization.log_std + normalization.log_mean
    z = signed_expm1(y, np) / normalization.alpha
    return np.asarray(z, np.float32)


def _row_weights(extras: Mapping[str, np.ndarray], num_rows: int, weighted: bool) -> np.ndarray:
    """(pair, latitude), proportional to cos φ, summing to one."""
    first, last = (np.asarray(extras[k], np.float64)[:, None] for k in ("lat_start", "lat_end"))
    latitude = first + (last - first) * np.linspace(0, 1, num_rows)
    weights = np.cos(np.radians(latitude)) if weighted else np.ones(latitude.shape)
    weights = np.maximum(weights, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def _batches(
    records: PairRecords, split: str, batch_size: int, max_pairs: int | None, progress: bool
) -> Any:
    from tqdm import tqdm

    from atmodist.pairs.reading import read_pairs
    from atmodist.records.reading import naming_damage

    extras = [n for n in ("lat_start", "lat_end", "step") if n in records.features]
    batches = read_pairs(records, split, batch_size=batch_size, shuffle=False, extras=extras)
    count = records.num_records(split)
    if max_pairs is not None:
        batches = batches.take(-(-max_pairs // batch_size))
        count = min(count, max_pairs) if count is not None else None
    with (
        naming_damage(records, split),
        tqdm(total=count, desc="pairs", unit="pair", disable=None if progress else True) as bar,
    ):
        for patches, label, more in batches.as_numpy_iterator():
            yield patches, label, more
            bar.update(len(label))


def _count(columns: Mapping[str, list[np.ndarray]]) -> int:
    return sum(map(len, columns.get("label", [])))


def _checked_step(records: PairRecords, given: int | None) -> int:
    seconds = records.step_seconds(given)
    if seconds is None:
        raise ValueError(
            f"the records in {records.folder} do not say how long a time step is, so that labels "
            "cannot be turned into hours; say it with --step_hours, or make them from an archive "
            "with times (rplearn-data)"
        )
    return seconds


def _require_same(records: PairRecords, normalization: Normalization) -> None:
    if records.normalization not in (None, normalization.identity):
        raise ValueError(
            f"the records in {records.folder} were made with normalization "
            f"{records.normalization}, the encoder was trained with {normalization}; "
            "use records made with the normalization.json of the encoder"
        )
