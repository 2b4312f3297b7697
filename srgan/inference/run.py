"""`phire-infer`: from a file of coarse fields to an archive of fine ones, step by step.

One field is in memory at a time, beside the activations of one tile. Steps are written in time
order by the archive's writer, so that a run which was killed goes on after what it had written.
"""

import shlex
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from atmodist.fields.archive import Archive, channel_names, check_finite
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import Channel, named_channels
from atmodist.fields.grid import Grid
from atmodist.fields.series import FieldSeries, open_series
from atmodist.fields.time_axis import TimeAxis
from atmodist.files.outputs import fingerprint, manifest_path, write_manifest
from atmodist.ingestion.sources import file_fingerprint
from srgan.inference.configuration import INTERPOLATIONS, InferConfig
from srgan.restoration.coarse import CoarseFields
from srgan.restoration.geometry import Refinement
from srgan.restoration.restoration import Restoration

COMMAND = "phire-infer"


@dataclass(frozen=True)
class InferSummary:
    """What was made.

    Attributes:
        paths: The archive of each member.
        time: Its times.
        refinement: The grids.
        existed: Whether all was there already, and nothing was done.
        resumed: Steps that were there already, from a run that was killed; of all members.
        notes: What the user should know.
        next_command: What to run next.
    """

    paths: tuple[Path, ...]
    time: TimeAxis
    refinement: Refinement
    existed: bool
    resumed: int
    notes: tuple[str, ...]
    next_command: str

    def __str__(self) -> str:
        name = str(self.paths[0])
        if len(self.paths) > 1:
            name += f" ... {self.paths[-1]} ({len(self.paths)} members)"
        low, high = (
            " x ".join(map(str, g.shape)) for g in (self.refinement.low, self.refinement.high)
        )
        text = f"Wrote {name}: {self.time}, {low} -> {high}"
        if self.existed:
            text = f"{name} exists already, nothing was done: {self.time}, {low} -> {high}"
        elif self.resumed:
            text += f"; {self.resumed} fields were there already"
        if self.notes:
            text += f"; note: {'; '.join(self.notes)}"
        return f"{text}\nNext: {self.next_command}"


def super_resolve(config: InferConfig) -> InferSummary:
    """Makes archives of fine fields, or goes on making them after having been killed.

    Where they are there already, made from the same input with the same settings, nothing is done.
    A manifest is written beside each, `<full name of the archive>.manifest.json`. Warns, before the
    work begins, if a generator was trained for other fields.

    Raises:
        FileNotFoundError: If the input or the generator is missing.
        ArchiveExistsError: If an output is another file, and not `overwrite`.
        ValueError: If channels, units, grids or times do not fit, or values are missing.
    """
    outputs = config.outputs
    for path in (config.input, config.like):
        if path and any(o.exists() and Path(path).exists() and o.samefile(path) for o in outputs):
            raise ValueError(f"the output would replace {path}; choose another name")
    restoration = _restoration(config)
    if config.members > 1 and not restoration.is_stochastic:
        raise ValueError(f"{config.generator} is not stochastic: all members would be the same")
    assert restoration.channels is not None  # noqa: S101  for the type checker
    labels = named_channels(restoration.channels, restoration.units)
    with open_series(
        config.input, labels, member=config.member, unusual_values=config.unusual_values
    ) as series:
        for note in series.notes:
            warnings.warn(f"{config.input}: {note}", UserWarning, stacklevel=2)
        coarse = _coarse(config, restoration, series)
        time = series.time
        steps = time.select(config.start, config.end)
        channels = _output_channels(series, restoration)
        identity = _identity(config, restoration)
        with ExitStack() as stack:
            writers = [
                stack.enter_context(
                    ArchiveWriter(
                        path,
                        channels=channels,
                        grid=coarse.refinement.high,
                        calendar=time.calendar,
                        compression=config.compression,
                        identity={**identity, "member": member},
                        overwrite=config.overwrite,
                        attributes=_attributes(config, member),
                    )
                )
                for member, path in enumerate(outputs)
            ]
            resumed = sum(len(writer.written) for writer in writers)
            recorded = [writer.existed and writer.is_recorded for writer in writers]
            _write(writers, series, coarse, steps, config.seed)
        inputs = {} if all(recorded) else _inputs(config)
        for member, (writer, is_recorded) in enumerate(zip(writers, recorded, strict=True)):
            if not is_recorded:
                write_manifest(
                    manifest_path(writer.path),
                    command=COMMAND,
                    config=config,
                    seed=config.seed,
                    inputs=inputs,
                    identity=writer.identity,
                    archive=str(writer.path),
                    generator=identity["generator"],
                    member=member,
                    channels=[channel.name for channel in channels],
                    steps=len(steps),
                    factor=restoration.factor,
                    alignment=coarse.refinement.alignment,
                    low_grid=str(coarse.refinement.low),
                    high_grid=str(coarse.refinement.high),
                    notes=coarse.concerns,
                )
        chosen = TimeAxis(time.seconds[steps.start : steps.stop], time.calendar)
        existed = all(writer.existed for writer in writers)
        return InferSummary(
            outputs,
            chosen,
            coarse.refinement,
            existed,
            resumed,
            (*coarse.concerns, *_discarded(writers)),
            _next_command(config),
        )


def _next_command(config: InferConfig) -> str:
    """An evaluation, beside the input if that has the high resolution."""
    reference = config.input if config.degrade else "<high-resolution archive>"
    path = Path(config.output)
    made = path if config.members == 1 else path.with_name(f"{path.stem}-*{path.suffix}")
    return f"phire-eval {reference} --candidates {shlex.quote(f'sr={made}')}"


def _write(
    writers: Sequence[ArchiveWriter],
    series: FieldSeries,
    coarse: CoarseFields,
    steps: range,
    seed: int,
) -> None:
    """Makes what is not yet written, step by step, all members of each."""
    seconds = series.time.seconds
    done = [set(writer.written.tolist()) for writer in writers]
    left = sum(int(seconds[step]) not in written for step in steps for written in done)
    total = len(steps) * len(writers)
    with tqdm(
        total=total, initial=total - left, desc=COMMAND, unit="field", disable=None
    ) as progress:
        for step in steps:
            second = int(seconds[step])
            members = [m for m, written in enumerate(done) if second not in written]
            if not members:
                continue
            field = series.read(step)
            check_finite(field, series.channels, series.times[step], series.path)
            low = coarse.of(field)
            for member in members:
                high = coarse.restoration.field(
                    low, coarse.refinement, seed=seed, member=member, step=step
                )
                writers[member].append(second, high)
                progress.update()


def _coarse(config: InferConfig, restoration: Restoration, series: FieldSeries) -> CoarseFields:
    if config.degrade:
        instead = "give it fields of such a low-resolution archive, without --degrade"
        try:
            coarse = CoarseFields.means(restoration, series.grid, instead)
        except ValueError as error:
            raise ValueError(f"{config.input}: {error}") from None
    else:
        coarse = CoarseFields.read(restoration, series.grid, _grid_like(config.like))
    for concern in coarse.concerns:
        warnings.warn(concern, UserWarning, stacklevel=3)
    return coarse


def _restoration(config: InferConfig) -> Restoration:
    if config.generator in INTERPOLATIONS:
        from srgan.restoration.interpolation import Interpolation

        return Interpolation(
            config.generator,  # type: ignore[arg-type]
            config.factor,  # type: ignore[arg-type]
            channels=_channels(config),
        )
    from srgan.generators.package import load_generator

    return load_generator(
        config.generator,
        factor=config.factor,
        static=config.static,
        tile=config.tile,
        tile_bytes=config.tile_gigabytes * 2**30,
    )


def _channels(config: InferConfig) -> tuple[str, ...]:
    """What to interpolate."""
    if config.channels is not None:
        return tuple(config.channels)
    return channel_names(config.input)


def _output_channels(series: FieldSeries, restoration: Restoration) -> tuple[Channel, ...]:
    """Those of the input; units that only the generator knows are told."""
    units = restoration.units or ("",) * len(series.channels)
    return tuple(
        Channel(channel.name, channel.units or unit, channel.standard_name)
        for channel, unit in zip(series.channels, units, strict=True)
    )


def _grid_like(path: str | None) -> Grid | None:
    if path is None:
        return None
    with Archive(path) as archive:
        return archive.grid


def _identity(config: InferConfig, restoration: Restoration) -> dict[str, Any]:
    """What decides the output, beside its grid and channels. Tiles do not, but for rounding."""
    identity = {
        "command": COMMAND,
        "generator": restoration.identity or restoration.name,
        "factor": restoration.factor,
        "input": file_fingerprint(config.input),
        "degrade": config.degrade,
        "start": config.start,
        "end": config.end,
        "static": config.static and fingerprint(config.static),
    }
    if config.member is not None:  # archives made before it existed are still the same
        identity["input_member"] = config.member
    return {**identity, "seed": config.seed} if restoration.is_stochastic else identity


def _inputs(config: InferConfig) -> dict[str, str]:
    paths = [path for path in (config.input, config.like, config.static) if path]
    folder = Path(config.generator)
    paths += [str(path) for path in sorted(folder.glob("generator.*")) if path.is_file()]
    return {path: file_fingerprint(path) for path in paths}


def _attributes(config: InferConfig, member: int) -> dict[str, str]:
    name = Path(config.generator).name if "://" not in config.generator else config.generator
    made = "block means of " if config.degrade else ""
    return {
        "title": f"Super-resolved fields ({name})",
        "source": f"{made}{Path(config.input).name}",
        "generator": name,
        "member": str(member),
    }


def _discarded(writers: Sequence[ArchiveWriter]) -> tuple[str, ...]:
    count = sum(writer.discarded for writer in writers)
    return (f"{count} fields of an interrupted run with other settings were discarded",) * (
        count > 0
    )
