"""`atmodist simulate`: an archive of vorticity and divergence from a simulated atmosphere."""

import importlib.util
import os
from collections.abc import Sequence

from atmodist.cli.common import command_parser, run_command
from atmodist.files.keras_settings import settle_keras
from atmodist.files.locking import locked
from atmodist.files.quiet_tensorflow import load_tensorflow
from dynamics.cases import CASES
from dynamics.simulation.configuration import SimulateConfig

SHOWN_CHANNELS = 6
BACKENDS = ("tensorflow", "jax", "torch")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist simulate", SimulateConfig, positional="output")
    cases = "; ".join(f"{name}: {case.summary}" for name, case in CASES.items())
    parser.epilog = f"Cases. {cases}."
    return run_command(parser, SimulateConfig, argv, _simulate)


def _simulate(config: SimulateConfig) -> str:
    _load_backend()
    from atmodist.fields.archive import Archive
    from dynamics.simulation.archive import SimulatedArchive
    from dynamics.simulation.simulation import Simulation, default_step

    step = config.interval / _whole_steps(config) if config.step_minutes else None
    simulation = Simulation(
        config.case,
        truncation=config.truncation,
        num_levels=config.num_levels,
        step=step or default_step(config.truncation, config.interval, config.core),
        core=config.core,
    )
    notes = []
    for member in range(config.members):
        target = config.path(member)
        with locked(target.with_name(f".{target.name}.lock"), target):
            notes += SimulatedArchive(config, simulation, member).make()
    first = config.path(0)
    with Archive(first) as archive:
        summary = archive.summary(SHOWN_CHANNELS)
    return "\n".join([*notes, summary, f"Next: rplearn-data {first}"])


def _load_backend() -> None:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise ValueError(f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}; got {backend}")
    if importlib.util.find_spec(backend) is None:
        raise ValueError(
            f"KERAS_BACKEND is {backend}, which is not installed: pip install 'atmodist[{backend}]'"
        )
    if backend == "tensorflow":
        load_tensorflow()
    else:
        settle_keras()


def _whole_steps(config: SimulateConfig) -> int:
    count = config.interval / (60 * (config.step_minutes or 0))
    if abs(count - round(count)) > 1e-6 * count or count < 0.5:
        raise ValueError(
            f"a whole number of steps must fill {config.interval_hours} hours; got step_minutes="
            f"{config.step_minutes}"
        )
    return round(count)
