"""Calibrating: measures pairs of known lag, and makes a `Calibration` of them.

Following Hoffmann and Lessig, the factor α_s of a stage s makes its content loss c_s comparable
with the pixel l2: with class means c̄_s(τ) and m̄(τ) of both over all pairs a lag τ apart,

    α_s = Σ_τ c̄_s(τ) m̄(τ) / Σ_τ c̄_s(τ)²        over the larger half of the lags,

the least-squares solution of α c̄ = m̄.

On patches (`calibrate`) the median distance is that of patches; whole fields, whose distance is a
mean over the globe, lie above it at the same lag and vary less, so that their hours would be read
too large. `calibrate_fields` measures on whole fields. A calibration says on which (`extent`), and
of which weights it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.calibration.other_weeks import Blocks, for_other_weeks
from atmodist.calibration.pair_measures import (
    BATCH_SIZE,
    SECONDS_PER_HOUR,
    PairMeasures,
    encoder_function,
    measure_fields,
    measure_pairs,
)
from atmodist.metric.calibration import (
    Calibration,
    Combination,
    StageCalibration,
    Weights,
    normalized_weights,
    weights_text,
)
from atmodist.metric.extent import Extent
from atmodist.metric.lag_curve import LagCurve, monotone
from atmodist.metric.package import EncoderPackage, load_package
from atmodist.metric.training_grid import grid_of_records
from atmodist.metric.weights import weights_digest
from atmodist.pairs.pair_records import PairRecords, open_records


def calibrate(
    encoder: str | Path,
    records: Any,
    *,
    split: str = "evaluation",
    combinations: Sequence[Weights] = (),
    max_pairs: int | None = None,
    batch_size: int = BATCH_SIZE,
    step_seconds: int | None = None,
    progress: bool = False,
) -> Calibration:
    """Calibrates an encoder on the pairs of a record set.

    Args:
        encoder: A run, or a package: its folder, or hf:// address.
        records: A `PairRecords`, or what `open_records` takes.
        split: Pairs to use; not those that the encoder was trained on.
        combinations: Weighted sets of stages that shall be calibrated too.
        max_pairs: Stop after so many pairs; None for all.
        batch_size: Pairs that are encoded at once.
        step_seconds: Length of a time step, where the records do not say it.
        progress: Whether to show a bar (on a terminal).
    """
    package = load_package(encoder, calibrated=False)
    if not isinstance(records, PairRecords):
        records = open_records(records)
    measures = measure_records(
        package,
        records,
        split=split,
        max_pairs=max_pairs,
        batch_size=batch_size,
        step_seconds=step_seconds,
        progress=progress,
    )
    return calibrate_measures(
        measures, combinations=combinations, **provenance(package, records, split, len(measures))
    )


def calibrate_fields(
    encoder: str | Path | EncoderPackage,
    archive: str | Path,
    *,
    max_label: int,
    start: str | None = None,
    end: str | None = None,
    combinations: Sequence[Weights] = (),
) -> Calibration:
    """Calibrates an encoder on whole fields of an archive; see `measure_fields`.

    Args:
        encoder: A run, or a package: its folder, or hf:// address; or one that was loaded.
        archive: The archive.
        max_label: Largest lag, in archive time steps.
        start: First time, for instance after the period of training; None for the archive's.
        end: Last time.
        combinations: Weighted sets of stages that shall be calibrated too.
    """
    from atmodist.fields.archive import Archive

    package = encoder
    if not isinstance(package, EncoderPackage):
        package = load_package(package, calibrated=False)
    with Archive(archive) as fields:
        steps = fields.time.select(start, end)
        measures = measure_fields(package.features(), fields, steps, max_label)
        extent = Extent.of_fields(fields.grid)
        period = [fields.time.isoformat(step) for step in (steps[0], steps[-1])]
    return calibrate_measures(
        measures,
        combinations=combinations,
        normalization=package.normalization.identity,
        weights=weights_digest(package.encoder),
        extent=extent,
        source={"archive": str(archive), "period": period, "num_pairs": len(measures)},
    )


def measure_records(package: EncoderPackage, records: PairRecords, **options: Any) -> PairMeasures:
    """Measures the pairs of a record set with an encoder; see `measure_pairs`."""
    encode = encoder_function(package.encoder)
    return measure_pairs(encode, records, package.normalization, **options)


def provenance(
    package: EncoderPackage, records: PairRecords, split: str, num_pairs: int
) -> dict[str, Any]:
    """What a calibration says about what it belongs to and where it comes from."""
    return {
        "normalization": package.normalization.identity,
        "weights": weights_digest(package.encoder),
        "extent": Extent.of_patches(records.patch_shape, grid_of_records(records)),
        "source": {"records": str(records.folder), "split": split, "num_pairs": num_pairs},
    }


def calibrate_measures(
    measures: PairMeasures,
    *,
    combinations: Sequence[Weights] = (),
    normalization: str | None = None,
    weights: str | None = None,
    extent: Extent | None = None,
    source: Mapping[str, Any] | None = None,
) -> Calibration:
    """Calibrates from what was measured on pairs, l2 among it.

    Args:
        measures: Of the pairs.
        combinations: Weighted sets of stages that shall be calibrated too.
        normalization: As `Calibration` has it, like the following.
        weights: Of the encoder.
        extent: What was measured on.
        source: Where the pairs come from.

    Raises:
        ValueError: If l2 is missing, or a content loss is zero throughout.
    """
    if "l2" not in measures.pixel:
        raise ValueError("calibration needs the pixel measure 'l2'")
    alphas = {
        stage: scale_to_l2(loss, measures.pixel["l2"], measures.label)
        for stage, loss in measures.content.items()
    }
    blocks = Blocks.of(
        measures.step if measures.dated else None,
        measures.step_seconds / SECONDS_PER_HOUR,
        measures.hours.max(),
    )

    def curve(distance: np.ndarray) -> LagCurve:
        found = LagCurve.of(distance, measures.hours)
        return for_other_weeks(found, distance, measures.hours, blocks)

    stages = {
        stage: StageCalibration(alpha=alpha, curve=curve(np.sqrt(alpha * measures.content[stage])))
        for stage, alpha in alphas.items()
    }
    combined = []
    for given in combinations:
        shares, _ = normalized_weights(given)
        distance = combined_distance(measures.content, alphas, shares)
        combined.append(Combination(weights=shares, curve=curve(distance)))
    return Calibration(
        step_seconds=measures.step_seconds,
        stages=stages,
        combinations=tuple(combined),
        normalization=normalization,
        weights=weights,
        extent=extent,
        source=source or {},
        days=blocks.days,
    )


def scale_to_l2(loss: np.ndarray, l2: np.ndarray, label: np.ndarray) -> float:
    """α of a content loss: Σ c̄ m̄ / Σ c̄² over the larger half of the lags.

    Args:
        loss: Content loss of each pair.
        l2: Mean squared pixel difference of each pair.
        label: True lag of each pair. The middle one of an odd number of lags counts as large.
    """
    lags = np.unique(label)
    larger = lags[len(lags) // 2 :]
    c = np.array([loss[label == lag].mean() for lag in larger])
    m = np.array([l2[label == lag].mean() for lag in larger])
    if not (np.isfinite(c).all() and np.isfinite(m).all()):
        raise ValueError("a content loss or the pixel l2 is not finite; are the records damaged?")
    if not (c > 0).any() or not (m > 0).any():
        raise ValueError(
            "the content loss or the pixel l2 is zero at all large lags, so that no scale can be "
            "found; is the encoder trained, are there two different patches in each pair?"
        )
    return float((c * m).sum() / (c**2).sum())


def combined_distance(
    content: Mapping[str, np.ndarray], alphas: Mapping[str, float], weights: Weights
) -> np.ndarray:
    """√(Σ_s w_s α_s c_s) of each pair."""
    unknown = [stage for stage in weights if stage not in content]
    if unknown:
        raise ValueError(f"there is no stage {unknown[0]!r}; there are {', '.join(content)}")
    return np.asarray(
        np.sqrt(sum(w * alphas[stage] * content[stage] for stage, w in weights.items()))
    )


def draw_calibration(calibration: Calibration, path: str | Path) -> list[Path]:
    """Draws median and spread over lag, one panel for each stage and combination.

    Args:
        calibration: What to draw.
        path: Where, without a suffix; `.png` and `.pdf` are written.
    """
    from atmodist.calibration.figures import new_figure
    from atmodist.files.figures import save_figure

    curves = {name: stage.curve for name, stage in calibration.stages.items()}
    curves |= {weights_text(c.weights): c.curve for c in calibration.combinations}
    figure, axes = new_figure(len(curves))
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        lag = np.concatenate([[0.0], curve.lag_hours])
        low, median, high = (
            np.concatenate([[0.0], monotone(v)])
            for v in (curve.band[0], curve.median, curve.band[1])
        )
        of = "pairs" if curve.low is None else "pairs, other weeks"
        axis.fill_between(lag, low, high, alpha=0.25, linewidth=0, label=f"16 % to 84 % of {of}")
        axis.plot(lag, median, label="median, monotone")
        axis.plot(curve.lag_hours, curve.median, "k.", label="median, as measured")
        axis.set(title=name, xlabel="true lag (h)", ylabel="distance (dimensionless)")
        axis.set_xlim(0, lag[-1])
        axis.set_ylim(bottom=0)
    axes[0].legend(loc="lower right", fontsize="small")
    return save_figure(figure, path)
