"""`atmodist quickstart`: the commands a user would run, one after the other, on a simulation.

Nothing here is special: each line that is echoed can be typed, and does what it does here.
"""

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from atmodist.cli import calibrate, package, rplearn_data, rplearn_eval, rplearn_train
from atmodist.cli.common import command_parser, run_command
from atmodist.files.outputs import manifest_path, read_json, write_json
from dynamics.cli import simulate
from evaluation.cli import phire_eval
from srgan.cli import phire_data, phire_train

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "atmodist simulate": simulate.main,
    "rplearn-data": rplearn_data.main,
    "rplearn-train": rplearn_train.main,
    "rplearn-eval": rplearn_eval.main,
    "atmodist calibrate": calibrate.main,
    "atmodist package": package.main,
    "phire-data": phire_data.main,
    "phire-train": phire_train.main,
    "phire-eval": phire_eval.main,
}
START = datetime(2000, 1, 1)
HELD_OUT = 0.2  # of the time, at the end: what rplearn-data and phire-data keep for evaluation
FIELDS_PER_DAY = 4
PATCHES_PER_FIELD = 24  # for super-resolution
BATCH_SIZE = 64  # of phire-train


@dataclass(frozen=True, kw_only=True)
class QuickstartConfig:
    """Runs the whole project on a small simulated atmosphere: some minutes on two cores."""

    output: str = "quickstart"
    """Folder that receives everything."""
    days: int = 60
    """Days that are simulated."""
    epochs: int = 5
    """Epochs of training of the encoder."""
    generator_epochs: int = 4
    """Epochs of training of the generators, before they get a critic for half as long."""
    truncation: int = 42
    """Of the simulated atmosphere."""
    seed: int = 0
    """Seed of the atmosphere, the patches and the training."""

    def __post_init__(self) -> None:
        for name, least in (("days", 15), ("epochs", 1), ("generator_epochs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}")

    @property
    def adversarial_steps(self) -> int:
        """Batches of an epoch of adversarial training: 30, or what so few days make."""
        num_fields = int(self.days * (1 - HELD_OUT)) * FIELDS_PER_DAY
        return min(30, num_fields * PATCHES_PER_FIELD // BATCH_SIZE)

    @property
    def held_out(self) -> str:
        """Date from which on no network has seen the fields."""
        return f"{START + timedelta(days=int(self.days * (1 - HELD_OUT)) + 1):%Y-%m-%d}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist quickstart", QuickstartConfig)
    return run_command(parser, QuickstartConfig, argv, _quickstart)


def _quickstart(config: QuickstartConfig) -> str:
    folder = config.output
    _require_seed(folder, f"{folder}/archive.h5", config.seed)
    start = time.monotonic()
    record = Path(folder) / "done.json"
    before: list[str] = read_json(record) if record.is_file() else []
    done: list[str] = []
    for name, arguments in steps(config):
        line = f"{name} {shlex.join(arguments)}"
        print(f"\n$ {line}", flush=True)
        done.append(line)
        if before[: len(done)] == done and _made(arguments).exists():
            print("Done before.")
            continue
        status = COMMANDS[name](arguments)
        if status:
            raise SystemExit(status)
        before = list(done)  # what follows is to be done again
        write_json(record, done)
    minutes = (time.monotonic() - start) / 60
    return (
        f"\nDone in {minutes:.1f} minutes. How distances grow with time: {folder}/run/"
        f"comparison.png; how good the encoder is: {folder}/run/evaluation/figures.\n"
        "With your own files: atmodist ingest FILES --output archive.h5, and the same commands.\n"
        f"Next, open {folder}/report/report.html"
    )


def steps(config: QuickstartConfig) -> list[tuple[str, list[str]]]:
    """The commands with their arguments."""
    folder, seed = config.output, str(config.seed)
    archive, records, run = f"{folder}/archive.h5", f"{folder}/records", f"{folder}/run"
    encoder = f"{folder}/encoder"
    patches, start = f"{folder}/patches", f"{folder}/start"
    before, after = str(config.generator_epochs), str(-(-config.generator_epochs // 2))
    generator = ["--filters", "16", "--blocks", "3", "--batch_size", str(BATCH_SIZE)]
    generator += ["--seed", seed, "--samples", "0"]
    generators = {name: f"{folder}/with-{name}" for name in ("mse", "atmodist")}
    then = ["--start_from", start, "--epochs", after, "--learning_rate", "2e-4", *generator]
    then += ["--steps_per_epoch", str(config.adversarial_steps)]
    return [
        (
            "atmodist simulate",
            [
                *(
                    archive,
                    "--days",
                    str(config.days),
                    "--interval_hours",
                    str(24 // FIELDS_PER_DAY),
                ),
                *("--truncation", str(config.truncation), "--seed", seed),
            ],
        ),
        (
            "rplearn-data",
            [
                *(archive, "--output", records, "--seed", seed, "--patch_shape", "[32,32]"),
                *("--max_temporal_distance", "8", "--patches_per_step", "64"),
            ],
        ),
        (
            "rplearn-train",
            [
                *(records, "--output", run, "--architecture", "resnet-tiny"),
                *("--epochs", str(config.epochs), "--seed", seed),
            ],
        ),
        ("rplearn-eval", [run, "--archive", archive, "--lag", "4"]),
        ("atmodist calibrate", [run]),
        ("atmodist package", [run, "--output", encoder]),
        (
            "atmodist calibrate",
            [
                *(encoder, "--archive", archive, "--start", config.held_out),
            ],
        ),
        (
            "phire-data",
            [
                *(archive, "--output", patches, "--seed", seed, "--patch_shape", "[32,32]"),
                *("--factor", "4", "--patches_per_step", str(PATCHES_PER_FIELD)),
            ],
        ),
        (
            "phire-train",
            [
                *(patches, "--output", start, "--epochs", "0", "--pretraining_epochs", before),
                *("--pretraining_learning_rate", "1e-3", *generator),
            ],
        ),
        ("phire-train", [patches, "--output", generators["mse"], "--content", "mse", *then]),
        (
            "phire-train",
            [
                *(patches, "--output", generators["atmodist"], "--content", "atmodist"),
                *("--encoder", run, *then),
            ],
        ),
        (
            "phire-eval",
            [
                *(archive, "--output", f"{folder}/report", "--start", config.held_out),
                *("--encoder", encoder, "--candidates"),
                *("bilinear=interpolation:bilinear", "bicubic=interpolation:bicubic"),
                *(f"{name}=generator:{path}" for name, path in generators.items()),
            ],
        ),
    ]


def _made(arguments: Sequence[str]) -> Path:
    """What a command makes: its --output, or its first argument."""
    words = list(arguments)
    output = words[words.index("--output") + 1] if "--output" in words else words[0]
    return Path(output)


def _require_seed(folder: str, archive: str, seed: int) -> None:
    """Raises `ValueError` if the archive was made with another seed, and so all that follows."""
    manifest = manifest_path(archive)
    made = read_json(manifest) if manifest.is_file() and Path(archive).exists() else None
    if isinstance(made, dict) and made.get("seed") != seed:
        raise ValueError(
            f"{folder} holds a quickstart with seed {made.get('seed')}, and nothing of it is "
            f"replaced; give that --seed to go on with it, or another --output for seed {seed}"
        )
