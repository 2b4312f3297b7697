"""`atmodist simulate`: an archive of vorticity and divergence from a simulated atmosphere."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from atmodist.cli.common import command_parser, load_tensorflow, run_command
from atmodist.locking import locked

if TYPE_CHECKING:
    import numpy as np

    from atmodist.fields.archive import Channel
    from atmodist.fields.archive_writer import ArchiveWriter
    from dynamics.simulation import Observation, Simulation

CaseName = Literal[
    "held-suarez",
    "baroclinic-wave",
    "steady-jets",
    "barotropic-instability",
    "rossby-haurwitz",
    "mountain",
    "steady-flow",
]
SHALLOW = ("barotropic-instability", "rossby-haurwitz", "mountain", "steady-flow")
DEFAULT_LEVEL = 0.85
SAVE_SECONDS = 60.0  # between states on disk from which a killed run goes on
MAX_MEMBERS = 1000


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """Simulates an atmosphere and keeps its vorticity and divergence at one level.

    The default is the Held-Suarez climate, which has weather from the first hour on.
    """

    output: str = field(metadata={"help": "The archive to make, for instance archive.h5."})
    case: CaseName = "held-suarez"
    """held-suarez: an idealised climate. baroclinic-wave, steady-jets: Jablonowski and Williamson's
    tests. In shallow water: barotropic-instability (Galewsky), rossby-haurwitz, mountain,
    steady-flow (Williamson 6, 5, 2)."""
    truncation: int = 42
    """Largest degree T of the spherical harmonics; T42 lives on a grid of 64 x 128 points."""
    levels: int = 10
    """Number of layers, all of the same mass; shallow water has none."""
    days: float = 30.0
    """Days that are simulated and written; the first field is the start, the last the end."""
    interval_hours: float = 6.0
    """Hours between fields."""
    level: float | None = None
    """Pressure over surface pressure of the level that is written, from 0 (top) to 1 (ground); the
    nearest one is taken. 0.85 by default."""
    whole_state: bool = False
    """Also write temperature, vorticity and divergence at all levels and the surface pressure (in
    shallow water, the height), as further channels."""
    seed: int = 0
    """Of the noise in the start: other seeds become other weather within weeks."""
    members: int = 1
    """Members of an ensemble, from starts with different noise, written to archive-000.h5 and so
    on."""
    perturbation: float | None = None
    """Root mean square of the noise, in K of temperature or m of height. By default 0.1 for
    held-suarez and for members after the first, none for the published starts themselves."""
    spun_up: bool = True
    """held-suarez: begin with the state that comes with the package, after its spin-up, rather than
    at rest."""
    spin_up_days: float = 0.0
    """Days that are simulated before the first field."""
    step_minutes: float | None = None
    """Time step; by default 30 minutes at T42, in inverse proportion to the truncation."""
    start: str = "2000-01-01"
    """Date of the first field."""
    compression: Literal["blosc2", "zstd", "gzip", "none"] = "blosc2"
    """Filter of the archive: blosc2, zstd, gzip or none."""
    overwrite: bool = False
    """Replace a file that is there already, and is not this archive."""

    def __post_init__(self) -> None:
        if self.case not in get_args(CaseName):
            raise ValueError(f"there is no case {self.case!r}; there are {get_args(CaseName)}")
        for name, least in (("truncation", 5), ("levels", 2), ("members", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}")
        for name in ("days", "interval_hours", "step_minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be positive; got {value}")
        for name in ("spin_up_days", "perturbation"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name} must not be negative; got {value}")
        if self.members > MAX_MEMBERS:
            raise ValueError(f"members must be at most {MAX_MEMBERS}; got {self.members}")
        if self.level is not None and not 0 <= self.level <= 1:
            raise ValueError(
                "level is pressure over surface pressure, from 0 (top) to 1 (ground); got "
                f"{self.level}"
            )
        if self.level is not None and self.case in SHALLOW:
            raise ValueError(f"shallow water ({self.case}) has no levels; leave level out")
        if abs(self.interval - self.interval_hours * 3600) > 1e-6 or self.interval < 1:
            raise ValueError(
                f"interval_hours must be whole seconds; got {self.interval_hours} hours"
            )
        if self.num_outputs < 2:
            raise ValueError(
                f"{self.days} days hold no interval of {self.interval_hours} hours; simulate longer"
            )
        self.start_seconds  # noqa: B018  complains of what is no date

    @property
    def interval(self) -> int:
        """Seconds between fields."""
        return round(self.interval_hours * 3600)

    @property
    def num_outputs(self) -> int:
        """Fields in all."""
        return int(self.days * 86400 / self.interval + 1e-9) + 1

    @property
    def num_spin_up(self) -> int:
        """Intervals before the first field."""
        return round(self.spin_up_days * 86400 / self.interval)

    @property
    def start_seconds(self) -> int:
        """Of the first field, since 1970-01-01."""
        try:
            date = datetime.fromisoformat(self.start)
        except ValueError:
            raise ValueError(
                f"start must be a date such as 2000-01-01 or 2000-01-01T06:00; got {self.start!r}"
            ) from None
        return int((date.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds())

    def noise(self, member: int) -> float:
        """Root mean square of the noise in the start of a member, in K or m."""
        is_published = self.case != "held-suarez" and member == 0
        default = 0.0 if is_published else 0.1 if self.spun_up else 1.0
        return default if self.perturbation is None else self.perturbation

    def path(self, member: int) -> Path:
        """The archive of a member."""
        path = Path(self.output)
        return path.with_stem(f"{path.stem}-{member:03d}") if self.members > 1 else path


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist simulate", SimulateConfig, positional="output")
    return run_command(parser, SimulateConfig, argv, _simulate)


def _simulate(config: SimulateConfig) -> str:
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        load_tensorflow()
    from atmodist.fields.archive import Archive
    from dynamics.simulation import Simulation, default_step

    step = config.interval / _whole_steps(config) if config.step_minutes else None
    simulation = Simulation(
        config.case,
        truncation=config.truncation,
        num_levels=config.levels,
        step=step or default_step(config.truncation, config.interval),
    )
    notes = []
    for member in range(config.members):
        target = config.path(member)
        with locked(target.with_name(f".{target.name}.lock"), target):
            notes += _Run(config, simulation, member).run()
    with Archive(config.path(0)) as archive:
        names = f"{config.path(0)} ... " if config.members > 1 else ""
        return "\n".join(
            [*notes, archive.summary(), f"Next: rplearn-data {names}{config.path(member)}"]
        )


def _whole_steps(config: SimulateConfig) -> int:
    count = config.interval / (60 * (config.step_minutes or 0))
    if abs(count - round(count)) > 1e-6 * count or count < 0.5:
        raise ValueError(
            f"a whole number of steps must fill {config.interval_hours} hours; got step_minutes="
            f"{config.step_minutes}"
        )
    return round(count)


class _Run:
    """The archive of one member, from a start or from where it was interrupted."""

    def __init__(self, config: SimulateConfig, simulation: "Simulation", member: int):
        self.config, self.simulation, self.member = config, simulation, member
        self.path = config.path(member)
        levels = simulation.model.levels
        wanted = DEFAULT_LEVEL if config.level is None else config.level
        self.level = None if levels is None else int(abs(levels.centers - wanted).argmin())
        self.steps_per_interval = round(config.interval / simulation.step)

    def run(self) -> list[str]:
        """Writes the archive; returns notes for the user.

        Raises:
            ValueError: If the simulation became unstable. The steps before are in the archive.
        """
        from atmodist.outputs import manifest_path, write_manifest
        from dynamics.simulation import InstabilityError

        writer, unstable = self._writer(), None
        with writer:
            if not writer.existed:
                try:
                    self._write(writer)
                except InstabilityError as error:
                    if not len(writer.written):
                        raise self._unstable(0, str(error)) from None
                    unstable = self._unstable(len(writer.written), str(error))
        if not (writer.existed and writer.is_recorded):
            write_manifest(
                manifest_path(self.path),
                command="atmodist simulate",
                config=self.config,
                seed=self.config.seed,
                identity=writer.identity,
                member=self.member,
                step_seconds=self.simulation.step,
                level=self._sigma,
                num_steps=len(writer.written),
            )
        missing = self.config.num_outputs - len(writer.written)
        if unstable is None and missing:
            unstable = self._unstable(len(writer.written), "as it did when it was made")
        if unstable is not None:
            raise unstable
        notes = [f"{self.path} exists already; nothing was done"] if writer.existed else []
        if writer.discarded:
            notes += [
                f"discarded {writer.discarded} steps of an interrupted run with other settings"
            ]
        return notes

    @property
    def _sigma(self) -> float | None:
        levels = self.simulation.model.levels
        return None if levels is None else float(levels.centers[self.level])

    def _unstable(self, written: int, why: str) -> ValueError:
        day = written * self.config.interval / 86400
        kept = f"; its {written} fields before are in {self.path}" if written else ""
        return ValueError(
            f"the simulation became unstable by day {day:.4g}: {why}{kept}. Try a smaller "
            f"--step_minutes than {self.simulation.step / 60:.4g}, and --overwrite"
        )

    def _writer(self) -> "ArchiveWriter":
        import keras

        from atmodist.fields.archive_writer import ArchiveWriter
        from atmodist.fields.grid import Grid
        from atmodist.outputs import plain_config

        config, model = self.config, self.simulation.model
        identity = plain_config(config) | {"member": self.member, "step": self.simulation.step}
        for name in ("output", "members", "overwrite", "compression", "step_minutes"):
            identity.pop(name)
        where = "" if self._sigma is None else f"L{config.levels} at sigma {self._sigma:.3g}"
        return ArchiveWriter(
            self.path,
            channels=self._channels(),
            grid=Grid(model.sphere.latitude, model.sphere.longitude),
            compression=config.compression,
            identity=identity | {"backend": keras.backend.backend()},
            overwrite=config.overwrite,
            attributes={
                "source": f"simulated atmosphere: {config.case}, T{config.truncation}{where}, "
                f"seed {config.seed}, member {self.member}"
            },
        )

    def _write(self, writer: "ArchiveWriter") -> None:
        """Steps on from the last state on disk, and appends what is not written yet."""
        config = self.config
        saved = writer.folder / "state.npz"
        index, state = self._load(saved)
        written, last_saved = len(writer.written), time.monotonic()
        for i, after in self._states(index, state):
            seen = self.simulation.observe(after)
            if i >= written:
                writer.append(config.start_seconds + i * config.interval, self._field(seen))
            if time.monotonic() - last_saved >= SAVE_SECONDS:
                writer.flush()
                self._save(saved, i, after)
                last_saved = time.monotonic()

    def _states(
        self, index: int, state: dict[str, "np.ndarray"]
    ) -> Iterator[tuple[int, dict[str, "np.ndarray"]]]:
        """Yields (index of the field, state) from index on; negative ones are spin-up."""
        from tqdm import tqdm

        config = self.config
        days = config.interval / 86400
        total = (config.num_outputs - 1) * days
        layout = "{l_bar}{bar}| {n:.1f}/{total:.1f} days [{elapsed}<{remaining}{postfix}]"
        name = f"simulate {self.member:03d}" if config.members > 1 else "simulate"
        begin = time.monotonic()
        with tqdm(total=total, desc=name, disable=None, bar_format=layout) as bar:
            bar.update(max(index, 0) * days)
            first = index
            while True:
                yield index, state
                if index == config.num_outputs - 1:
                    return
                state = self.simulation.advance(state, self.steps_per_interval)
                index += 1
                pace = (index - first) * days / (time.monotonic() - begin) * 60
                phase = "" if index > 0 else "spin-up, "
                bar.set_postfix_str(f"{phase}{pace:.0f} simulated days/min")
                bar.update(days if index > 0 else 0)

    def _load(self, saved: Path) -> tuple[int, dict[str, "np.ndarray"]]:
        """Index of the field, and the state there: from disk, or the start."""
        import numpy as np

        if saved.is_file():
            with np.load(saved, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
            return int(state.pop("index")), state
        return -self.config.num_spin_up, self._start()

    def _start(self) -> dict[str, "np.ndarray"]:
        from dynamics.spun_up import SpunUpState

        config, model = self.config, self.simulation.model
        state = model.start
        if config.case == "held-suarez" and config.spun_up and model.levels is not None:
            state = SpunUpState.load().at(model.sphere, model.levels)
        amplitude = config.noise(self.member)
        return self.simulation.perturbed(
            state, seed=config.seed, member=self.member, amplitude=amplitude
        )

    @staticmethod
    def _save(path: Path, index: int, state: dict[str, "np.ndarray"]) -> None:
        import numpy as np

        from atmodist.outputs import atomic_path

        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, index=np.array(index), **state)

    def _channels(self) -> tuple["Channel", ...]:
        from atmodist.fields.archive import DIVERGENCE, VORTICITY, Channel

        first = (DIVERGENCE, VORTICITY)
        if not self.config.whole_state:
            return first
        levels = self.simulation.model.levels
        if levels is None:
            return (*first, Channel("height", "m", "height"))
        temperature = Channel("temperature", "K", "air_temperature")
        column = tuple(
            Channel(f"{c.name}_{1000 * sigma:03.0f}", c.units, c.standard_name)
            for c in (*first, temperature)
            for sigma in levels.centers
        )
        return (*first, *column, Channel("surface_pressure", "Pa", "surface_air_pressure"))

    def _field(self, seen: "Observation") -> "np.ndarray":
        """(channel, latitude, longitude), in the order of the channels."""
        import numpy as np

        fields = seen.fields
        pair = [fields["divergence"], fields["vorticity"]]
        chosen = [value if self.level is None else value[self.level] for value in pair]
        if not self.config.whole_state:
            return np.stack(chosen)
        if self.level is None:
            return np.stack([*chosen, fields["height"]])
        columns = np.concatenate([*pair, fields["temperature"]])
        return np.concatenate([np.stack(chosen), columns, fields["surface_pressure"][None]])
