"""Patches per second of `phire-data`, beside reading the same fields once with h5py.

Runs of both alternate, so that a noisy machine is noisy for both; medians and the spread are
reported. The time of ours is without the start of the interpreter.

    python tools/benchmarks/super_resolution_data.py [--folder DIR] [--rows 640] [--steps 48]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine, print_table
from sampling import make_archive, read_all, timed

from atmodist.fields.archive import Archive
from atmodist.fields.statistics import compute_statistics
from srgan.samples.record_set import PatchRecords

SCRIPT = "import sys; from srgan.cli.phire_data import main; sys.exit(main())"
COMMAND = (sys.executable, "-c", SCRIPT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="where to work (needs 5 GB)")
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--filters", nargs="+", default=["none", "blosc2"])
    options = parser.parse_args()
    print(machine(), f"load {os.getloadavg()[0]:.1f}")
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for compression in options.filters:
            archive = make_archive(Path(folder), options.rows, options.steps, compression)
            rows += measure(archive, Path(folder), options.workers, options.repeats)
            archive.unlink()
    print_table(
        ["grid", "filter", "workers", "patches/s", "read s", "ours s", "spread s", "ratio"], rows
    )


def measure(archive: Path, folder: Path, workers: list[int], repeats: int) -> list[list[str]]:
    normalization, output = folder / "normalization.json", folder / "records"
    with Archive(archive) as opened:
        grid = "x".join(map(str, opened.grid.shape))
        compute_statistics(opened, range(4)).normalization.save(normalization)
    reads: list[float] = []
    ours: dict[int, list[float]] = {n: [] for n in workers}
    for _ in range(repeats):
        reads.append(timed(lambda: read_all(archive)))
        for n in workers:
            shutil.rmtree(output, ignore_errors=True)
            ours[n].append(run_ours(archive, output, normalization, n))
    count = PatchRecords.load(output).num_records("train") or 0
    read, rows = statistics.median(reads), []
    for n in workers:
        seconds, spread = statistics.median(ours[n]), max(ours[n]) - min(ours[n])
        rows.append(
            [
                *(grid, archive.stem.split("-")[1], str(n), f"{count / seconds:.0f}"),
                *(f"{read:.2f}", f"{seconds:.2f}", f"{spread:.2f}", f"{seconds / read:.1f}"),
            ]
        )
    return rows


def run_ours(archive: Path, output: Path, normalization: Path, workers: int) -> float:
    """Seconds without the start of the interpreter."""
    start = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], stdout=subprocess.DEVNULL, check=True)
    start_up = time.perf_counter() - start
    arguments = [
        *(str(archive), "--output", str(output), "--normalization", str(normalization)),
        *("--evaluation_fraction", "0", "--workers", str(workers)),
    ]
    start = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start - start_up


if __name__ == "__main__":
    main()
