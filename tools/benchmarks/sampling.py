"""Pairs per second and peak memory of `rplearn-data`, beside the limit: read and write alone.

For each grid and filter an archive is generated. The limit is the time to read the same fields
once with h5py, plus the time to write the same number of bytes to files of the same size. Runs of
both alternate, so that a noisy machine is noisy for both; medians are reported.

    python tools/benchmarks/sampling.py [--folder DIR] [--steps 96] [--repeats 3] [--workers 1 2]
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import h5py
import numpy as np
from common import machine, print_table

from atmodist.fields.archive import Archive
from atmodist.fields.archive_writer import ArchiveWriter
from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import make_grid
from atmodist.fields.statistics import compute_statistics
from atmodist.pairs.pair_records import PairRecords

PATCHES_PER_STEP, MAX_LABEL = 20, 31


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="where to work (needs 10 GB)")
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, nargs="+", default=[640, 1280])
    parser.add_argument("--filters", nargs="+", default=["none", "blosc2"])
    options = parser.parse_args()
    print(machine())
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for num_rows in options.rows:
            for compression in options.filters:
                archive = make_archive(Path(folder), num_rows, options.steps, compression)
                rows += measure(archive, Path(folder), options.workers, options.repeats)
                archive.unlink()
    print_table(
        ["grid", "filter", "workers", "pairs/s", "read s", "write s", "ours s", "ratio", "peak MB"],
        rows,
    )


def make_archive(folder: Path, num_rows: int, num_steps: int, compression: str) -> Path:
    """Fields with a k⁻² spectrum and full mantissas, drifting eastwards."""
    path = folder / f"{num_rows}-{compression}.h5"
    grid = make_grid("driscoll-healy", num_rows)
    rng = np.random.default_rng(0)
    ky = np.fft.fftfreq(num_rows, 1 / num_rows)[:, None]
    kx = np.fft.rfftfreq(2 * num_rows, 1 / (2 * num_rows))[None, :]
    amplitude = 1.0 / (1.0 + (ky**2 + kx**2) / 64.0) ** 0.75
    noise = rng.standard_normal((2, num_rows, 2 * num_rows))
    field = np.fft.irfft2(np.fft.rfft2(noise) * amplitude)
    field = (4e-5 * field / field.std()).astype(np.float32)
    with ArchiveWriter(
        path, channels=(DIVERGENCE, VORTICITY), grid=grid, compression=compression
    ) as writer:
        for step in range(num_steps):
            writer.append(3 * 3600 * step, np.roll(field, 3 * step, axis=-1) * (1 + 1e-3 * step))
    return path


def measure(archive: Path, folder: Path, workers: list[int], repeats: int) -> list[list[str]]:
    normalization = folder / "normalization.json"
    with Archive(archive) as opened:
        compute_statistics(opened, range(4)).normalization.save(normalization)
    times: dict[str, list[float]] = {"read": [], "write": []}
    ours: dict[int, list[tuple[float, float]]] = {n: [] for n in workers}
    for _ in range(repeats):
        times["read"].append(timed(lambda: read_all(archive)))
        for n in workers:
            output = folder / "records"
            shutil.rmtree(output, ignore_errors=True)
            ours[n].append(run_ours(archive, output, normalization, n))
        records = PairRecords.load(output)
        sizes = [s.num_bytes for shards in records.splits.values() for s in shards]
        count = sum(records.num_records(split) for split in records.splits)
        times["write"].append(write_bytes(folder / "plain", sizes))
    with Archive(archive) as opened:
        grid = "x".join(map(str, opened.grid.shape))
    read, write = (statistics.median(times[name]) for name in ("read", "write"))
    rows = []
    for n in workers:
        seconds = statistics.median(t for t, _ in ours[n])
        peak = max(m for _, m in ours[n])
        rows.append(
            [
                grid,
                archive.stem.split("-")[1],
                str(n),
                f"{count / seconds:.0f}",
                f"{read:.2f}",
                f"{write:.2f}",
                f"{seconds:.2f}",
                f"{seconds / (read + write):.2f}",
                f"{peak:.0f}",
            ]
        )
    return rows


def run_ours(archive: Path, output: Path, normalization: Path, workers: int) -> tuple[float, float]:
    """Seconds without the start of the interpreter, and peak memory in MB of all processes."""
    arguments = [
        str(archive), "--output", str(output), "--normalization", str(normalization),
        "--patch_shape", "[160,160]", "--patches_per_step", str(PATCHES_PER_STEP),
        "--max_temporal_distance", str(MAX_LABEL), "--evaluation_fraction", "0",
        "--workers", str(workers),
    ]  # fmt: skip
    start = time.perf_counter()
    subprocess.run([command("rplearn-data"), "--help"], stdout=subprocess.DEVNULL, check=True)
    start_up = time.perf_counter() - start
    start = time.perf_counter()
    process = subprocess.Popen([command("rplearn-data"), *arguments], stdout=subprocess.DEVNULL)
    peaks = [0.0]
    watcher = threading.Thread(target=watch_memory, args=(process, peaks))
    watcher.start()
    if process.wait():
        raise SystemExit("rplearn-data failed")
    seconds = time.perf_counter() - start - start_up
    watcher.join()
    return seconds, peaks[0]


def watch_memory(process: subprocess.Popen, peaks: list[float]) -> None:
    """Keeps the largest sum of proportional set sizes of a process and its children, in MB."""
    while process.poll() is None:
        peaks[0] = max(peaks[0], sum(map(pss, [process.pid, *children(process.pid)])) / 1024)
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                found += [int(child), *children(int(child))]
        except OSError:
            continue
    return found


def pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def read_all(archive: Path) -> None:
    with h5py.File(archive, "r") as file:
        data = file["data"]
        field = np.empty((data.shape[0], 1, *data.shape[2:]), np.float32)
        for step in range(data.shape[1]):
            data.read_direct(field, np.s_[:, step : step + 1])


def write_bytes(folder: Path, sizes: list[int]) -> float:
    content = memoryview(np.random.default_rng(0).bytes(max(sizes)))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    def write() -> None:
        for i, size in enumerate(sizes):
            with (folder / str(i)).open("wb", buffering=0) as file:
                for start in range(0, size, 1 << 20):
                    file.write(content[start : min(size, start + (1 << 20))])

    seconds = timed(write)
    shutil.rmtree(folder)
    return seconds


def timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def command(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    main()
