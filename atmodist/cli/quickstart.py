"""`atmodist quickstart`: the commands a user would run, one after the other, on made-up fields."""

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atmodist.cli import calibrate, distance, generate, rplearn_data, rplearn_eval, rplearn_train
from atmodist.cli.common import command_parser, run_command
from atmodist.outputs import manifest_path, read_json


@dataclass(frozen=True, kw_only=True)
class QuickstartConfig:
    """Runs the whole path on a small generated archive: a few minutes on two cores."""

    output: str = "quickstart"
    """Folder that receives everything."""
    epochs: int = 6
    """Epochs of training."""
    seed: int = 0
    """Seed of the archive, the pairs and the training."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = command_parser("atmodist quickstart", QuickstartConfig)
    return run_command(parser, QuickstartConfig, argv, _quickstart)


def _quickstart(config: QuickstartConfig) -> str:
    folder, seed = config.output, str(config.seed)
    archive, records, run = f"{folder}/archive.h5", f"{folder}/records", f"{folder}/run"
    _require_seed(folder, archive, config.seed)
    start = time.monotonic()
    _run("atmodist generate", generate.main, [archive, "--num_steps", "240", "--seed", seed])
    _run(
        "rplearn-data",
        rplearn_data.main,
        [
            *(archive, "--output", records, "--seed", seed),
            *("--patch_shape", "[32,32]", "--max_temporal_distance", "8"),
            *("--patches_per_step", "64"),
        ],
    )
    _run(
        "rplearn-train",
        rplearn_train.main,
        [
            *(records, "--output", run, "--seed", seed),
            *("--architecture", "resnet-tiny", "--epochs", str(config.epochs)),
        ],
    )
    _run("rplearn-eval", rplearn_eval.main, [run, "--archive", archive, "--lag", "4"])
    _run("atmodist calibrate", calibrate.main, [run, "--num_resamples", "200"])
    _run("atmodist distance", distance.main, [archive, "--lag", "4", "--metric", run])
    minutes = (time.monotonic() - start) / 60
    return (
        f"Done in {minutes:.1f} minutes. Look at {run}/comparison.png and at the figures in "
        f"{run}/evaluation/figures.\n"
        "Next: atmodist ingest YOUR_FILES --output archive.h5, and the same commands."
    )


def _require_seed(folder: str, archive: str, seed: int) -> None:
    """Raises `ValueError` if the archive was made with another seed, and so all that follows."""
    manifest = manifest_path(archive)
    made = read_json(manifest) if manifest.is_file() and Path(archive).exists() else None
    if isinstance(made, dict) and made.get("seed") != seed:
        raise ValueError(
            f"{folder} holds a quickstart with seed {made.get('seed')}, and nothing of it is "
            f"replaced; give that --seed to go on with it, or another --output for seed {seed}"
        )


def _run(name: str, command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> None:
    """Shows a command as one would type it, and runs it."""
    print(f"\n$ {name} {shlex.join(arguments)}", flush=True)
    status = command(arguments)
    if status:
        raise SystemExit(status)
