"""Fields, settings and ways of running a statistic that tests share."""

from itertools import pairwise

import numpy as np

from atmodist.fields.channels import DIVERGENCE, VORTICITY
from atmodist.fields.grid import Grid, make_grid
from evaluation.contract.statistic import Sample
from evaluation.numerics.setting import GLOBE, Region, Setting

HOUR = 3600
REGIONS = {
    GLOBE: None,
    "dateline": Region(south=-30, north=50, west=150, east=-120),
    "tropics": Region(south=-20, north=20, west=-180, east=180),
}


def setting(grid: Grid | None = None, regions=REGIONS, **options) -> Setting:
    return Setting(
        grid=grid or make_grid("regular", 19),
        channels=(DIVERGENCE, VORTICITY),
        regions=regions,
        options=options,
    )


def random_fields(grid: Grid, steps: int, seed: int = 0, scale: float = 1e-5) -> np.ndarray:
    """Smooth and skewed: (time, channel, latitude, longitude) float32."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(steps, 2, *grid.shape))
    for axis in (-1, -2):
        noise = noise + np.roll(noise, 1, axis)
    return (scale * (noise + 0.3 * noise**2)).astype(np.float32)


def blurred(fields: np.ndarray) -> np.ndarray:
    """Averaged with its neighbours, twice."""
    for _ in range(2):
        fields = (fields + np.roll(fields, 1, -1) + np.roll(fields, -1, -1)) / np.float32(3)
        north = np.concatenate([fields[..., :1, :], fields[..., :-1, :]], -2)
        south = np.concatenate([fields[..., 1:, :], fields[..., -1:, :]], -2)
        fields = (fields + north + south) / np.float32(3)
    return fields


def accumulate(statistic, common: Setting, candidates, references, start: int = 0):
    accumulator = statistic.accumulator(common)
    for step, (candidate, reference) in enumerate(zip(candidates, references, strict=True)):
        accumulator.update(
            Sample(
                setting=common,
                candidate=candidate,
                reference=reference,
                seconds=(start + step) * HOUR,
            )
        )
    return accumulator


def in_parts(statistic, common: Setting, candidates, references, cuts):
    """Accumulated in parts, each saved and restored, then merged."""
    edges = [0, *cuts, len(candidates)]
    whole = statistic.accumulator(common)
    for first, last in pairwise(edges):
        part = accumulate(statistic, common, candidates[first:last], references[first:last], first)
        copy = statistic.accumulator(common)
        copy.restore({name: np.array(array) for name, array in part.arrays().items()})
        whole.merge(copy)
    return whole


def joined(results: dict):
    """As the runner joins candidates."""
    import xarray as xr

    return xr.concat(list(results.values()), dim="candidate").assign_coords(candidate=list(results))
