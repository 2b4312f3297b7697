"""`atmodist calibrate`: what distances of a trained encoder mean, and how they compare."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atmodist.cli.common import command_parser, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow
from atmodist.pairs.pair_records import step_seconds

HUB = "hf://"
WHOLE = "whole fields want their own: atmodist calibrate ... --archive ARCHIVE"


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig:
    """Calibrates the distance of a trained encoder: its scale, and equivalent hours."""

    run: str = field(metadata={"help": "Folder of rplearn-train, or an encoder package."})
    records: str | None = None
    """Folder of pair records; by default those that the run was trained with."""
    archive: str | None = None
    """Calibrate on whole fields of this archive instead of patches: their distances vary less, and
    are larger, so that hours of whole fields want a calibration of their own."""
    step_hours: float | None = None
    """Length of a time step, in hours, for records that do not say it (those of the reference
    implementation)."""
    normalization: str | None = None
    """What the encoder was trained with, for a run that does not say it: a normalization.json, or
    a name (era5-ml120: of the reference implementation's records). It is kept in the run."""
    max_temporal_distance: int = 8
    """Largest lag of whole fields, in time steps of the archive."""
    start: str | None = None
    """First time used of the archive, such as 2018-10-14; best after the period of training."""
    end: str | None = None
    """Last time used of the archive."""
    split: str = "evaluation"
    """Which pairs; not those that the encoder was trained on."""
    weights: dict[str, float] | None = None
    """A weighted set of stages to calibrate too, such as {stage1: 1, stage2: 2}; all stages with
    equal weights by default."""
    compare: bool = True
    """Also compare with l1, l2, PSNR and SSIM over lag."""
    num_resamples: int | None = None
    """Has no effect: intervals are computed, not drawn. Kept for configurations of version 0.1."""
    block_length: int | None = None
    """Has no effect, likewise."""
    max_pairs: int | None = None
    """Use the first pairs only; all by default."""
    batch_size: int = 32
    """Pairs that are encoded at once."""
    seed: int | None = None
    """Has no effect: nothing is drawn."""

    def __post_init__(self) -> None:
        for name in (
            "max_pairs",
            "batch_size",
            "max_temporal_distance",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be positive; got {value}")
        if self.step_hours is not None:
            step_seconds(self.step_hours)
        if self.weights is not None:
            from atmodist.metric.calibration import normalized_weights

            normalized_weights(self.weights)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist calibrate", CalibrateConfig, positional="run")
    return run_command(parser, CalibrateConfig, argv, _calibrate)


def _calibrate(config: CalibrateConfig) -> str:
    from atmodist.fields.normalization import require_normalization
    from atmodist.pairs.pair_records import SIDECAR, open_records

    run = Path(config.run)
    if config.run.startswith(HUB):
        raise ValueError(
            f"{config.run} is not on this machine, and a calibration is written beside its "
            f"encoder: fetch it (hf download {config.run.removeprefix(HUB)} --local-dir FOLDER) "
            "and calibrate the folder"
        )
    if not (run / "encoder.keras").is_file():
        raise ValueError(
            f"{run} holds no encoder.keras; name a folder made by rplearn-train, or a package"
        )
    require_normalization(run, config.normalization)
    if config.archive is not None:
        return _calibrate_fields(config, run, config.archive)
    records = open_records(config.records or _records_of(run))
    records.shards(config.split)  # a wrong name is a mistake worth telling before anything loads
    seconds = None if config.step_hours is None else step_seconds(config.step_hours)
    records.step_seconds(seconds)
    load_tensorflow()
    from atmodist.calibration import calibrate as library
    from atmodist.metric.package import adopt_normalization, save_calibration
    from atmodist.metric.pixel_measures import PIXEL_MEASURES

    package = adopt_normalization(run, config.normalization)
    measures = library.measure_records(
        package,
        records,
        split=config.split,
        pixel=PIXEL_MEASURES if config.compare else ("l2",),
        max_pairs=config.max_pairs,
        batch_size=config.batch_size,
        step_seconds=seconds,
        progress=True,
    )
    result = library.calibrate_measures(
        measures,
        combinations=_combinations(config, measures.stages),
        **library.provenance(package, records, config.split, len(measures)),
    )
    save_calibration(result, run)
    library.draw_calibration(result, run / "calibration")
    lines = [result.table()]
    if config.compare:
        lines += ["", _compare(config, run, measures, result)]
    _write_manifest(run, config, [path for path in [records.folder / SIDECAR] if path.is_file()])
    made = "calibration.json, calibration.png" + (", comparison.png" if config.compare else "")
    lines.append(f"{len(measures)} pairs of {result.extent}; {run}: {made}")
    return "\n".join([*lines, f"Hours hold for such patches; {WHOLE}", f"Next: {_next(run)}"])


def _calibrate_fields(config: CalibrateConfig, run: Path, archive: str) -> str:
    from atmodist.fields.archive import Archive

    with Archive(archive) as opened:  # says at once, before TensorFlow loads, what is wrong with it
        opened.time.select(config.start, config.end)
    load_tensorflow()
    from atmodist.calibration import calibrate as library
    from atmodist.metric.package import adopt_normalization, save_calibration

    package = adopt_normalization(run, config.normalization)
    result = library.calibrate_fields(
        package,
        archive,
        max_label=config.max_temporal_distance,
        start=config.start,
        end=config.end,
        combinations=_combinations(config, list(package.encoder.output)),
    )
    save_calibration(result, run)
    library.draw_calibration(result, run / "calibration")
    _write_manifest(run, config, [Path(archive)])
    made = f"whole fields of {archive}; {run}: calibration.json, calibration.png"
    return "\n".join([result.table(), made, f"Next: {_next(run)}"])


def _compare(config: CalibrateConfig, run: Path, measures: Any, calibration: Any) -> str:
    from atmodist.calibration.comparison import compare, draw_comparison

    comparison = compare(
        measures,
        calibration,
    )
    comparison.save(run)
    draw_comparison(comparison, run / "comparison")
    return comparison.summary()


def _combinations(config: CalibrateConfig, stages: Sequence[str]) -> list[dict[str, float]]:
    if config.weights is not None:
        return [config.weights] if len(config.weights) > 1 else []
    return [dict.fromkeys(stages, 1.0)] if len(stages) > 1 else []


def _records_of(run: Path) -> str:
    from atmodist.files.outputs import read_json

    manifest = run / "manifest.json"
    content = read_json(manifest) if manifest.is_file() else {}
    recorded = content.get("config", {}).get("records") if isinstance(content, dict) else None
    if not recorded or not Path(recorded).exists():
        found = f"its manifest names {recorded}, which is not here" if recorded else "none is named"
        raise ValueError(f"tell with --records which pairs to use for {run}: {found}")
    return str(recorded)


def _write_manifest(run: Path, config: CalibrateConfig, inputs: list[Path]) -> None:
    from atmodist.files.outputs import write_manifest

    write_manifest(
        run / "calibration.manifest.json",
        command="atmodist calibrate",
        config=config,
        inputs=[run / "encoder.keras", *inputs],
    )


def _next(run: Path) -> str:
    return f"atmodist distance A B --metric {run}, or atmodist package {run} --output FOLDER"
