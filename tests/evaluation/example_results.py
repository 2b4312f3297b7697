"""Made-up results: two candidates, one clearly better, with a name that wants to break out."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr

from atmodist.fields.channels import VORTICITY
from atmodist.fields.grid import Grid
from atmodist.fields.time_axis import TimeAxis
from evaluation.contract.statistic import Picture
from evaluation.drawing import plotting
from evaluation.numerics.setting import GLOBE, REFERENCE, Region, Setting

EVIL = "<script>alert('$x$')</script>&\""
NAMES = (REFERENCE, "bicubic", EVIL)
CHANNELS = (VORTICITY,)
REGIONS = {
    GLOBE: None,
    "europe": Region(south=35, north=75, west=-12.5, east=42.5),
    "tropics": Region(south=-20, north=20, west=-180, east=180),
}


class Statistic:
    """Draws one line for each candidate."""

    def __init__(self, fails: bool = False, num_figures: int = 1):
        self.fails = fails
        self.num_figures = num_figures

    def draw(self, result):
        for i in range(self.num_figures):
            if self.fails:
                raise RuntimeError("broken <b>drawing</b>")
            figure, axes = plotting.new(5, 3)
            series = {str(n): result["rmse"].sel(candidate=n)[:, 0, 0].values for n in NAMES[1:]}
            plotting.series(axes, result["time"].values, series, name="error", units="s-1")
            axes.legend()
            yield Picture(name=f"../{EVIL}", title=f"Title {i} {EVIL}", caption=EVIL, figure=figure)


@dataclass
class Results:
    """As `evaluation.running.results.Results`, in memory."""

    folder: Path
    setting: Setting
    time: TimeAxis
    outcomes: dict[str, Any]
    fields: xr.Dataset
    reference: str = f"truth {EVIL}.h5"
    identity: dict[str, Any] = field(default_factory=lambda: {"reference": "sha256:0123abcd"})
    candidates: dict[str, Any] = field(default_factory=dict)
    baseline: str = NAMES[1]
    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=lambda: {"ensembles": f"no members {EVIL}"})
    notes: list[str] = field(default_factory=lambda: [f"times are missing in {EVIL}"])
    config: dict[str, Any] = field(default_factory=lambda: {"seed": 3, "candidates": [EVIL]})
    manifest: dict[str, Any] = field(
        default_factory=lambda: {"command": "phire-eval", "versions": {"numpy": "2.0"}}
    )


def results(folder: Path, *, num_times: int = 40, rows: int = 24, shown: int = 1) -> Results:
    """A finished evaluation."""
    columns = 2 * rows
    spacing = 180 / rows
    grid = Grid(90 - spacing * (np.arange(rows) + 0.5), np.arange(columns) * spacing)
    setting = Setting(grid=grid, channels=CHANNELS, regions=REGIONS, seed=3)
    seconds = 1_538_870_400 + 10_800 * np.arange(num_times)
    candidates = {
        name: SimpleNamespace(about=f"file {name}.h5", num_members=1, identity={"data": name})
        for name in NAMES[1:]
    }
    data = errors(seconds)
    outcome = SimpleNamespace(
        name="errors", title="Errors", version=1, options={}, dataset=data, statistic=Statistic()
    )
    return Results(
        folder=folder,
        setting=setting,
        time=TimeAxis(seconds, "standard"),
        outcomes={"errors": outcome},
        fields=fields(grid, seconds[:shown]),
        candidates=candidates,
        rows=[
            {
                "statistic": "errors", "variable": "rmse", "candidate": EVIL, "region": GLOBE,
                "channel": "vorticity", "baseline_difference": -1e-6, "baseline_low": -1.2e-6,
                "baseline_high": -0.8e-6,
            }
        ],
    )  # fmt: skip


def errors(seconds: np.ndarray) -> xr.Dataset:
    """The candidate with the evil name is clearly better in "rmse", and in nothing else."""
    rng = np.random.default_rng(0)
    shape = (len(NAMES), len(seconds), len(REGIONS), len(CHANNELS))
    noise = rng.standard_normal(shape)
    rmse = 1e-5 * (2 + 0.05 * noise)
    rmse[2] -= 4e-6
    rmse[0] = 0
    correlation = 0.9 + 0.01 * noise
    correlation[0] = 1
    axes = ("candidate", "time", "region", "channel")
    return xr.Dataset(
        {
            "rmse": (
                axes,
                rmse,
                {"long_name": "root mean squared error", "units": "s-1", "better": "lower"},
            ),
            "correlation": (
                axes,
                correlation,
                {"long_name": "correlation", "units": "1", "better": "higher"},
            ),
            "pooled_variance": (
                ("candidate", "channel"),
                1e-10 * np.array([[1.0], [1.1], [0.9]]),
                {"long_name": "variance", "units": "s-2", "better": "reference"},
            ),
            "spectrum": (("candidate", "degree"), np.ones((3, 7)), {"units": "s-2"}),
        },
        coords={
            "candidate": list(NAMES),
            "time": seconds.astype("datetime64[s]"),
            "region": list(REGIONS),
            "channel": [c.name for c in CHANNELS],
        },
    )


def fields(grid: Grid, seconds: np.ndarray) -> xr.Dataset:
    """Waves, of which candidates lose some."""
    rng = np.random.default_rng(1)
    wave = np.cos(np.radians(grid.latitude))[:, None] * np.sin(np.radians(4 * grid.longitude))
    shape = (len(NAMES), len(seconds), *grid.shape)
    values = 1e-5 * (wave + 0.1 * rng.standard_normal(shape)).astype(np.float32)
    axes = ("candidate", "time", "latitude", "longitude")
    return xr.Dataset(
        {channel.name: (axes, values, {"units": "s-1"}) for channel in CHANNELS},
        coords={
            "candidate": list(NAMES),
            "time": np.asarray(seconds).astype("datetime64[s]"),
            "latitude": grid.latitude,
            "longitude": grid.longitude,
        },
    )
