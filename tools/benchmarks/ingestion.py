"""Time of vorticity and divergence per field, and of ingestion beside a plain read of its files.

    python tools/benchmarks/ingestion.py [--repeats 5] [--workers 1 2] [--data FILES ...]

First the transform alone, at grids up to 1280 x 2560, on one thread and on all. Then `ingest` on
generated NetCDF-4 winds at 721 x 1440 (packed in 16 bits and compressed, as CDS writes them) or on
the files given, in seconds per step, beside reading the same fields through the same readers.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from common import machine, print_table

from atmodist.fields.grid import GridKind, make_grid
from atmodist.fields.winds import vorticity_divergence
from atmodist.files.errors import BrokenFileError
from atmodist.ingestion.pipeline import IngestConfig, ingest
from atmodist.ingestion.recognition import Selection
from atmodist.ingestion.sources import FieldReader, find_files, scan_file

GRIDS: tuple[tuple[GridKind, int], ...] = (
    ("regular", 181),
    ("regular", 721),
    ("gauss", 640),
    ("driscoll-healy", 1280),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12, help="of the generated files")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--data", nargs="+", help="files to ingest instead of generated ones")
    options = parser.parse_args()
    print(machine())
    print_table(
        ["grid", "kind", "degree", "1 thread ms", "all threads ms", "differences ms"],
        [transform_times(kind, rows, options.repeats) for kind, rows in GRIDS],
    )
    with tempfile.TemporaryDirectory() as folder:
        sources = options.data or [str(make_winds(Path(folder), options.steps))]
        print_table(
            ["workers", "steps", "read ms/step", "ingest ms/step", "range"],
            [ingest_times(sources, Path(folder), n, options.repeats) for n in options.workers],
        )


def transform_times(kind: GridKind, rows: int, repeats: int) -> list[object]:
    """Milliseconds per field, both components in and both results out, float32."""
    grid = make_grid(kind, rows)
    u, v = np.random.default_rng(0).normal(0, 10, (2, *grid.shape)).astype(np.float32)
    times = []
    for options in ({"nthreads": 1}, {"nthreads": 0}, {"method": "differences"}):
        seconds = timed(partial(vorticity_divergence, u, v, grid, **options), repeats)
        times.append(f"{1e3 * statistics.median(seconds):.1f}")
    return [f"{grid.shape[0]} x {grid.shape[1]}", kind, grid.max_truncation, *times]


def ingest_times(sources: Sequence[str], folder: Path, workers: int, repeats: int) -> list[object]:
    """Milliseconds per step, reads and ingestion alternating."""
    output = folder / f"out-{workers}.h5"
    config = IngestConfig(
        sources=tuple(sources), output=str(output), workers=workers, skip_broken=True
    )
    steps = len(ingest(config).time)  # warms the page cache
    reads, ingests = [], []
    for _ in range(repeats):
        reads += timed(lambda: read_all(sources), 1, warm_up=False)
        ingests += timed(lambda: ingest(config), 1, warm_up=False)
    per_step = [1e3 * statistics.median(values) / steps for values in (reads, ingests)]
    spread = f"{1e3 * min(ingests) / steps:.1f}-{1e3 * max(ingests) / steps:.1f}"
    return [workers, steps, *(f"{value:.1f}" for value in per_step), spread]


def read_all(sources: Sequence[str]) -> None:
    """Reads every field once, in the order of the files."""
    reader = FieldReader()
    for path in find_files(sources):
        try:
            contents = scan_file(path, Selection())
        except BrokenFileError:
            continue
        places = [(p, s.name) for s in contents.series for p in s.places.tolist()]
        for place, name in sorted(places):
            reader.read(path, name, tuple(place))
    reader.close()


def make_winds(folder: Path, steps: int) -> Path:
    """Smooth random winds at 721 x 1440, int16 and deflated, one step to a chunk."""
    grid = make_grid("regular", 721)
    rng = np.random.default_rng(0)
    coords = {
        "valid_time": (
            "valid_time",
            3600 * np.arange(steps),
            {"units": "seconds since 1970-01-01"},
        ),
        "latitude": grid.latitude,
        "longitude": grid.longitude,
    }
    waves = np.cumsum(rng.normal(0, 1, (2, steps, 721, 1440)), axis=-1) / 5
    waves -= waves.mean(axis=-1, keepdims=True)
    dims = tuple(coords)
    winds = xr.Dataset({n: (dims, w) for n, w in zip("uv", waves, strict=True)}, coords)
    packing = {"dtype": "int16", "scale_factor": 2e-3, "_FillValue": -32768, "zlib": True,
               "complevel": 1, "chunksizes": (1, 721, 1440)}  # fmt: skip
    path = folder / "winds.nc"
    winds.to_netcdf(path, engine="h5netcdf", encoding=dict.fromkeys("uv", packing))
    return path


def timed(action: Callable[[], object], repeats: int, *, warm_up: bool = True) -> list[float]:
    """Seconds of each run."""
    if warm_up:
        action()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
