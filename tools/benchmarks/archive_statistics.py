"""Time and peak memory of the statistics of an archive, beside a plain read of the same fields.

For each grid and filter an archive is generated and read once to warm the page cache. Then plain
reads (every field once, into one array) and statistics alternate, so that a noisy machine is noisy
for both; medians are reported, and the range of the ratio. CPU seconds say more than seconds where
other work shares the cores: with two of them free, ours can take half its CPU seconds. Peak memory
is that of the command `atmodist statistics` in a process of its own.

    python tools/benchmarks/archive_statistics.py [--folder DIR] [--rows 640 1280] [--repeats 5]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from common import machine, print_table
from sampling import make_archive

from atmodist.fields.archive import Archive
from atmodist.fields.statistics import compute_statistics

RUN = "import sys; from atmodist.cli.statistics import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="where to work (needs 3 GB)")
    parser.add_argument("--gigabytes", type=float, default=1.5, help="size of the fields")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", default=[640, 1280])
    parser.add_argument("--filters", nargs="+", default=["none", "blosc2"])
    options = parser.parse_args()
    print(machine())
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for num_rows in options.rows:
            num_steps = round(options.gigabytes * 1e9 / (2 * 4 * num_rows * 2 * num_rows))
            for compression in options.filters:
                archive = make_archive(Path(folder), num_rows, num_steps, compression)
                grid = f"{num_rows}x{2 * num_rows}"
                rows.append([grid, compression, *measure(archive, options.repeats)])
                archive.unlink()
    print_table(
        [
            "grid",
            "filter",
            "read s",
            "GB/s",
            "CPU s",
            "ours s",
            "CPU s",
            "ratio",
            "range",
            "peak MB",
        ],
        rows,
    )


def measure(path: Path, repeats: int) -> list[str]:
    """Seconds of a read and of the statistics, their ratio, and peak memory, as text."""
    read_all(path)
    runs = [(*timed(read_all, path), *timed(statistics_of, path)) for _ in range(repeats)]
    read, read_cpu, ours, ours_cpu = np.median(runs, axis=0)
    ratios = [run[2] / run[0] for run in runs]
    with Archive(path) as archive:
        size = archive.field_bytes * archive.shape[1]
    return [
        f"{read:.2f}",
        f"{size / read / 1e9:.2f}",
        f"{read_cpu:.2f}",
        f"{ours:.2f}",
        f"{ours_cpu:.2f}",
        f"{np.median(ratios):.2f}",
        f"{min(ratios):.2f} .. {max(ratios):.2f}",
        f"{peak_memory(path):.0f}",
    ]


def read_all(path: Path) -> None:
    with h5py.File(path, "r") as file:
        data = file["data"]
        field = np.empty((data.shape[0], 1, *data.shape[2:]), np.float32)
        for step in range(data.shape[1]):
            # Both sides have four axes: HDF5 is 25 times slower where chunks meet other ranks.
            data.read_direct(field, np.s_[:, step : step + 1])


def statistics_of(path: Path) -> None:
    with Archive(path) as archive:
        compute_statistics(archive, progress=False)


def timed(function: Callable[[Path], None], path: Path) -> tuple[float, float]:
    """Seconds, and CPU seconds of all threads."""
    start, start_cpu = time.perf_counter(), time.process_time()
    function(path)
    return time.perf_counter() - start, time.process_time() - start_cpu


def peak_memory(path: Path) -> float:
    """Largest resident size of a process that does nothing else, in MB."""
    output = path.with_suffix(".json")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(path), "--output", str(output)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("atmodist statistics failed")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
