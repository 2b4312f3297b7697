"""The archive of one simulated member: from its start, or from where it was interrupted."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields.archive_writer import ArchiveWriter, parts_folder
from atmodist.fields.channels import DIVERGENCE, VORTICITY, Channel
from atmodist.fields.field_set import FieldSet
from atmodist.files.outputs import (
    atomic_path,
    manifest_path,
    plain_config,
    read_json,
    write_json,
    write_manifest,
)
from dynamics.simulation.configuration import SimulateConfig
from dynamics.simulation.simulation import DEFAULT_CORE, InstabilityError, Simulation

DEFAULT_LEVEL = 0.85
SAVE_SECONDS = 60.0  # between states on disk from which a killed run goes on


class SimulatedArchive:
    """Makes the archive of one member.

    Args:
        config: Of the whole command.
        simulation: Its case at its truncation.
        member: Which of the ensemble, from 0.
    """

    def __init__(self, config: SimulateConfig, simulation: Simulation, member: int):
        self.config, self.simulation, self.member = config, simulation, member
        self.path = config.path(member)
        levels = simulation.core.levels
        wanted = DEFAULT_LEVEL if config.level is None else config.level
        self.sigma = None if levels is None else float(levels.values[levels.nearest(wanted)])
        self.steps_per_interval = round(config.interval / simulation.step)

    def make(self) -> list[str]:
        """Writes the archive; returns notes for the user.

        Raises:
            ValueError: If the simulation became unstable; the fields before are in the archive. Or
                if an interrupted run with other settings left fields that would be lost.
        """
        writer, failure = self._writer(), None
        with writer:
            if not writer.existed:
                write_json(self._settings_path(writer.folder), self._settings())
                failure = self._write(writer)
                if failure and not len(writer.written):
                    raise ValueError(failure)
        if not (writer.existed and writer.is_recorded):
            self._record(writer, failure)
        if failure is None and len(writer.written) < self.config.num_outputs:
            failure = self._instability(len(writer.written), "as it did when it was made")
        if failure is not None:
            kept = f"The {len(writer.written)} fields before are in {self.path}"
            raise ValueError(f"{failure}, and --overwrite. {kept}")
        notes = [f"{self.path} exists already; nothing was done"] if writer.existed else []
        if writer.discarded:
            notes += [
                f"discarded {writer.discarded} steps of an interrupted run with other settings"
            ]
        return notes

    def _record(self, writer: ArchiveWriter, failure: str | None) -> None:
        write_manifest(
            manifest_path(self.path),
            command="atmodist simulate",
            config=self.config,
            seed=self.config.seed,
            identity=writer.identity,
            member=self.member,
            step_seconds=self.simulation.step,
            level=self.sigma,
            num_steps=len(writer.written),
            **({"instability": failure} if failure else {}),
        )

    def _day(self, index: int) -> str:
        return f"{index * self.config.interval / 86400:.4g}"

    def _instability(self, index: int, why: str) -> str:
        """What to tell of a simulation that was found unstable at the field of this index."""
        since_start = index + self.config.num_spin_up
        if since_start == 0:
            told = f"the start does not suit the time step: {why}"
        elif index <= 0:
            told = (
                f"the simulation became unstable in {self._day(since_start)} days of spin-up: {why}"
            )
        else:
            told = f"the simulation became unstable by day {self._day(index)}: {why}"
        calmer = " or --perturbation" if self.config.perturbation else ""
        minutes = f"{self.simulation.step / 60:.4g}"
        return f"{told}. Try a smaller --step_minutes than {minutes}{calmer}"

    # ------------------------------------------------------------------------------- the writer

    def _settings(self) -> dict[str, Any]:
        """All that decides the bytes of the archive."""
        import keras

        config = self.config
        settings = plain_config(config) | {
            "levels": config.num_levels,
            "spun_up": config.begins_spun_up,
            "member": self.member,
            "step": self.simulation.step,
            "backend": keras.backend.backend(),
        }
        for name in ("output", "members", "overwrite", "step_minutes"):
            settings.pop(name)
        if config.core == DEFAULT_CORE:  # archives made when there was no other keep their identity
            settings.pop("core")
        return settings

    @staticmethod
    def _settings_path(folder: Path) -> Path:
        return folder / "settings.json"

    def _writer(self) -> ArchiveWriter:
        config = self.config
        if not (self.path.exists() or config.overwrite):
            self._check_interrupted(parts_folder(self.path))
        where = "" if self.sigma is None else f"L{config.num_levels} at sigma {self.sigma:.3g}"
        return ArchiveWriter(
            self.path,
            channels=self._channels(),
            grid=self.simulation.core.grid,
            compression=config.compression,
            identity=self._settings(),
            overwrite=config.overwrite,
            attributes={
                "source": f"simulated atmosphere: {config.case}, T{config.truncation}{where}, "
                f"seed {config.seed}, member {self.member}"
            },
        )

    def _check_interrupted(self, folder: Path) -> None:
        """Refuses to discard what an interrupted run with other settings has made."""
        settings = self._settings_path(folder)
        if not settings.is_file() or not any(folder.glob("part-*.h5")):
            return
        old, new = read_json(settings), self._settings()
        other = ", ".join(f"{name} {old.get(name)}" for name in new if old.get(name) != new[name])
        if other:
            raise ValueError(
                f"an interrupted run with other settings ({other}) has fields in {folder}. Give "
                "these settings to go on with it, --overwrite to discard it, or another output"
            )

    # ----------------------------------------------------------------------------- the simulation

    def _write(self, writer: ArchiveWriter) -> str | None:
        """Steps on from the last state on disk, and appends what is not written yet.

        Returns:
            What to tell of the instability that ended the simulation, if any did.
        """
        config = self.config
        saved = writer.folder / "state.npz"
        index, state = self._load(saved)
        written, last_saved = len(writer.written), time.monotonic()
        for i, after in self._states(index, state):
            try:
                seen = self.simulation.observe(after)
            except InstabilityError as error:
                return self._instability(i, str(error))
            if i >= written:
                writer.append(config.start_seconds + i * config.interval, self._field(seen))
            if time.monotonic() - last_saved >= SAVE_SECONDS:
                writer.flush()
                self._save(saved, i, after)
                last_saved = time.monotonic()
        return None

    def _states(
        self, index: int, state: dict[str, np.ndarray]
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
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

    def _load(self, saved: Path) -> tuple[int, dict[str, np.ndarray]]:
        """Index of the field, and the state there: from disk, or the start."""
        if saved.is_file():
            with np.load(saved, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
            index = int(state.pop("index"))
            told = f"day {self._day(index)}" if index > 0 else "its spin-up"
            print(f"{self.path}: goes on from {told}", file=sys.stderr)
            return index, state
        return -self.config.num_spin_up, self._start()

    def _start(self) -> dict[str, np.ndarray]:
        config = self.config
        return self.simulation.perturbed(
            self.simulation.start(spun_up=config.begins_spun_up),
            seed=config.seed,
            member=self.member,
            amplitude=config.noise(self.member),
        )

    @staticmethod
    def _save(path: Path, index: int, state: dict[str, np.ndarray]) -> None:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, index=np.array(index), **state)

    def _channels(self) -> tuple[Channel, ...]:
        first = (DIVERGENCE, VORTICITY)
        if not self.config.whole_state:
            return first
        if self.simulation.core.levels is None:
            return (*first, Channel("height", "m", "height"))
        temperature = Channel("temperature", "K", "air_temperature")
        column = tuple(
            Channel(f"{c.name}_{label}", c.units, c.standard_name)
            for c in (*first, temperature)
            for label in self.simulation.core.levels.labels
        )
        return (*first, *column, Channel("surface_pressure", "Pa", "surface_air_pressure"))

    def _field(self, seen: FieldSet) -> np.ndarray:
        """(channel, latitude, longitude), in the order of the channels."""
        field: np.ndarray = seen.select([c.name for c in self._channels()], level=self.sigma)
        return field
