"""Fields per second that are embedded, beside the bare forward pass of the same encoder.

"forward" encodes fields that are in memory and normalised already, one by one, with zeros around
them; "embed" is what `atmodist embed` does with an archive of as many fields of noise: read,
normalise, encode without seams up to all stages, pool, write. Both take turns, as in `distance.py`,
whose notes on ratios and memory hold here too.

    python tools/benchmarks/embedding.py [--encoder resnet-small] [--repeats 7] [--num_fields 16]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, print_table
from distance import memory, turns

GRIDS = {"181x360": 181, "721x1440": 721}


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="resnet-small")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--num_fields", type=int, default=16)
    parser.add_argument("--content", choices=("pooled", "maps"), default="pooled")
    parser.add_argument("--grids", nargs="+", choices=GRIDS, default=list(GRIDS))
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.case:
        print(json.dumps(measure(*options.case, options)))
        return
    print(machine())
    rows = []
    for grid in options.grids:
        found = run(grid, "time", options)
        for name, key in (("forward", "forward"), ("embed", "ours")):
            used = run(grid, name, options)
            rows.append(
                [
                    grid,
                    name,
                    f"{options.num_fields / found[key]:.1f}",
                    found["ratio"] if name == "embed" else "1",
                    found["cpu ratio"] if name == "embed" else "1",
                    f"{used['peak'] / 1e9:.2f}",
                    f"{used['above'] / 1e9:.2f}",
                ]
            )
    print_table(["grid", "", "fields/s", "x forward", "x CPU", "peak GB", "above start GB"], rows)


def run(grid: str, case: str, options: argparse.Namespace) -> dict[str, Any]:
    """Runs one case in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--case", grid, case]
    command += ["--encoder", options.encoder, "--repeats", str(options.repeats)]
    command += ["--num_fields", str(options.num_fields), "--content", options.content]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(grid: str, case: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measures one case in this process."""
    with tempfile.TemporaryDirectory() as folder:
        cases = make_cases(grid, Path(folder), options)
        return turns(cases, options.repeats) if case == "time" else memory(cases[case])


def make_cases(
    name: str, folder: Path, options: argparse.Namespace
) -> dict[str, Callable[[], object]]:
    """What is to be compared, on one grid, with an archive in `folder`."""
    from atmodist.embedding.embed import embed_archive
    from atmodist.fields.archive import Archive
    from atmodist.fields.archive_writer import ArchiveWriter
    from atmodist.fields.channels import DIVERGENCE, VORTICITY
    from atmodist.fields.grid import make_grid
    from atmodist.fields.normalization import Normalization
    from atmodist.metric.features import StageFeatures
    from atmodist.metric.receptive_field import adapted
    from atmodist.pretext.networks import encoder

    ones = np.ones(2)
    normalization = Normalization(
        channels=("divergence", "vorticity"), mean=0 * ones, std=ones, log_mean=0 * ones,
        log_std=ones,
    )  # fmt: skip
    grid = make_grid("regular", GRIDS[name])
    rng = np.random.default_rng(0)
    path, channels = folder / "archive.h5", (DIVERGENCE, VORTICITY)
    with ArchiveWriter(path, channels=channels, grid=grid, identity={}) as writer:
        for step in range(options.num_fields):
            writer.append(3600 * step, rng.normal(size=(2, *grid.shape)).astype(np.float32))
    network = encoder(options.encoder, (160, 160, 2))
    features = StageFeatures(network, normalization)
    bare = adapted(network, features.names)
    bare.model.compile(jit_compile=False)
    field = rng.normal(size=(1, *grid.shape, 2)).astype(np.float32)

    def forward() -> None:
        for _ in range(options.num_fields):
            bare.model.predict_on_batch(field)

    def embed() -> None:
        with Archive(path) as archive:
            embed_archive(archive, features, folder / "embedding.h5", content=options.content)

    return {"forward": forward, "embed": embed}


if __name__ == "__main__":
    main()
