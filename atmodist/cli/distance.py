"""`atmodist distance`: how different the fields of two files are, or of one file after a lag."""

import math
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atmodist.cli.common import command_parser, require_paths, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow

if TYPE_CHECKING:
    from atmodist.fields.series import FieldSeries
    from atmodist.metric.distance import Metric

PRINTED_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class DistanceConfig:
    """Measures learned distances between the fields of two files, or of one file after a lag."""

    fields: list[str] = field(
        metadata={
            "help": "Two archives, NetCDF files or Zarr stores A B, compared at the same times "
            "(a file of one field with every field of the other); or one, with --lag."
        }
    )
    metric: str
    """Encoder package, hf:// address, or folder of rplearn-train."""
    lag: int | None = None
    """Compare each field of one file with that so many time steps later."""
    stage: str | None = None
    """Stage of the encoder, for instance stage3; the default of the metric if not given."""
    weights: dict[str, float] | None = None
    """Weights of several stages instead, for instance '{stage2: 1, stage3: 0.5}'."""
    member: int | None = None
    """Member of an ensemble to take, as the files call it, if they hold several."""
    unusual_values: bool = False
    """Read winds, vorticity or divergence that no atmosphere has, rather than refuse them."""
    output: Path | None = None
    """CSV file to write; without it all distances are printed if they are few."""

    def __post_init__(self) -> None:
        if self.lag is None and len(self.fields) != 2:
            raise ValueError(f"give two files A B, or one with --lag; got {len(self.fields)}")
        if self.lag is not None and len(self.fields) != 1:
            raise ValueError(f"--lag compares one file with itself; got {len(self.fields)} files")
        if self.lag is not None and self.lag < 1:
            raise ValueError(f"`lag` must be at least 1 time step; got {self.lag}")
        if self.stage is not None and self.weights is not None:
            raise ValueError("give --stage or --weights, not both")
        if self.output is not None and Path(self.output).suffix != ".csv":
            raise ValueError(f"output must be a file name that ends in .csv; got {self.output}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist distance", DistanceConfig, positional="fields", nargs="+")
    return run_command(parser, DistanceConfig, argv, _distance)


def _distance(config: DistanceConfig) -> str:
    from atmodist.fields.series import require_series

    for path in config.fields:
        require_series(path)  # a mistyped name is told at once
    require_paths(metric=config.metric)
    load_tensorflow()
    from atmodist.metric.distance import load_metric

    metric = load_metric(config.metric, stages=config.stage or config.weights)
    rows = list(_rows(config, metric))
    header = ["time_a", "time_b", "distance"]
    header += ["hours", "hours_low", "hours_high"] if len(rows[0]) > len(header) else []
    if config.output is not None:
        _write(Path(config.output), config, header, rows)
    shown = rows if len(rows) <= PRINTED_ROWS else []
    lines = [_line(header), *(_line(_with_limit(metric, row)) for row in shown)] if shown else []
    lines.append(_summary(metric, rows))
    if config.output is not None:
        lines.append(f"Wrote {config.output}.")
    elif not shown:
        lines.append(f"Add --output distances.csv to see all {len(rows)}.")
    return "\n".join(lines)


def _rows(config: DistanceConfig, metric: "Metric") -> Iterator[list[Any]]:
    from contextlib import ExitStack

    from tqdm import tqdm

    from atmodist.fields.series import after, matched, open_series

    with ExitStack() as stack:
        channels = metric.features.normalization.described_channels
        series = [
            stack.enter_context(
                open_series(
                    path,
                    channels,
                    member=config.member,
                    unusual_values=config.unusual_values,
                )
            )
            for path in config.fields
        ]
        for one in series:
            for note in one.notes:
                warnings.warn(f"{one.path}: {note}", UserWarning, stacklevel=2)
        a, b = series[0], series[-1]
        pairs = after(a, config.lag) if config.lag is not None else matched(a, b)
        if not a.grid.matches(b.grid):
            raise ValueError(f"the fields lie on different grids: {a.grid} and {b.grid}")
        for concern in metric.concerns(a.grid):
            print(f"atmodist distance: warning: {concern}", file=sys.stderr)
        encoded = _Encoded(metric, max(config.lag or 0, 1) + 1)
        for i, j in tqdm(pairs, desc="distances", unit="pair", disable=None):
            distance = metric.between(encoded.of(a, i), encoded.of(b, j))
            yield [a.times[i], b.times[j], distance, *_hours(metric, distance)]


class _Encoded:
    """Encodes each field once, as long as the features of so many fields are kept."""

    def __init__(self, metric: "Metric", number: int):
        self._metric = metric
        self._number = min(number, 64)  # then it costs less to encode again than to keep
        self._kept: dict[Path, OrderedDict[int, Any]] = {}

    def of(self, series: "FieldSeries", step: int) -> Any:
        kept = self._kept.setdefault(series.path, OrderedDict())
        if step not in kept:
            try:
                kept[step] = self._metric.encode(series.read(step), series.grid)
            except ValueError as error:
                raise ValueError(f"{series.path}, {series.times[step]}: {error}") from None
            if len(kept) > self._number:
                kept.popitem(last=False)
        return kept[step]


def _hours(metric: "Metric", distance: float) -> tuple[float, ...]:
    """Equivalent hours with their spread; nothing where these stages are not calibrated."""
    if metric.calibration is None:
        return ()
    try:
        metric.calibration.curve(metric.stages)
    except ValueError:
        return ()
    return tuple(float(value) for value in metric.calibration.hours(distance, metric.stages))


def _with_limit(metric: "Metric", row: Sequence[Any]) -> list[Any]:
    """A row for people: hours that nobody measured are said to lie beyond those measured."""
    return [
        f"beyond {_limit(metric):g}" if isinstance(cell, float) and math.isinf(cell) else cell
        for cell in row
    ]


def _limit(metric: "Metric") -> float:
    """The largest lag that was calibrated, in hours."""
    return 0.0 if metric.calibration is None else metric.calibration.max_hours


def _write(output: Path, config: DistanceConfig, header: list[str], rows: list[list[Any]]) -> None:
    from atmodist.files.outputs import write_csv, write_manifest
    from atmodist.ingestion.sources import file_fingerprint

    write_csv(output, [dict(zip(header, row, strict=True)) for row in rows])
    write_manifest(
        output.with_suffix(".manifest.json"),
        command="atmodist distance",
        config=config,
        inputs={path: file_fingerprint(path) for path in config.fields},
        num_pairs=len(rows),
    )


def _line(cells: Sequence[Any]) -> str:
    texts = [f"{cell:.5g}" if isinstance(cell, float) else str(cell) for cell in cells]
    return "  ".join(
        [*(text.ljust(19) for text in texts[:2]), *(t.rjust(10) for t in texts[2:])]
    ).rstrip()


def _summary(metric: "Metric", rows: Sequence[Sequence[Any]]) -> str:
    import numpy as np

    distances = np.array([row[2] for row in rows])
    spread = f" from {distances.min():.5g} to {distances.max():.5g}" if len(rows) > 1 else ""
    text = f"{len(rows)} pair{'s' * (len(rows) > 1)}, mean {distances.mean():.5g}{spread}: {metric}"
    if not metric.is_calibrated:
        text += ". Compare such distances with one another only; `atmodist calibrate` gives hours"
    elif len(rows[0]) > 3:
        hours = float(np.median([row[3] for row in rows]))
        apart = f"beyond {_limit(metric):g}" if math.isinf(hours) else f"{hours:.3g}"
        text += f"; as states {apart} h apart (median)"
    return text + "."
