"""The learned distance of each field from the reference, and the time apart it stands for.

With the features of an encoder at stage s, f_s(x), its calibration α_s and the weights w_s of the
metric (`atmodist.metric.distance`), the squared contribution of a point is

    m = Σ_s w_s α_s mean_feature (f_s(candidate) - f_s(reference))²,

and the distance within a region is d = √⟨m⟩, the mean over its area: on the whole grid the distance
of `atmodist.load_metric`. Points of a region count the features that stand for them, which have
seen what lies around. A stage alone has weight one. Equivalent hours are the lag at which states of
the reference's kind usually differ as much. They hold for the extent of the fields that were
calibrated; on others a note says so, and they are not among the main numbers. Beyond the largest
calibrated distance there are none: there, the hours are the largest calibrated lag, which is a
lower bound, and `beyond_curve` is one.

Features of the reference are kept for the next statistic or candidate that asks for them.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.contract.accumulation import checked_options
from evaluation.contract.statistic import Need, Picture, Sample, Statistic
from evaluation.numerics.averages import windows
from evaluation.numerics.setting import Setting

if TYPE_CHECKING:
    import xarray as xr

    from atmodist.metric.distance import Metric
    from atmodist.metric.features import StageFeatures

KEPT_BYTES = 1 << 28  # of features, for whoever asks next


@lru_cache(maxsize=2)
def loaded(encoder: str) -> "Metric":
    """The metric of an encoder package; loaded once per process."""
    from atmodist.metric.distance import load_metric

    return load_metric(encoder)


def metric_of(setting: Setting) -> "Metric":
    """The metric of a run.

    Raises:
        ValueError: If no encoder is given, or it needs channels or units that the fields lack.
    """
    if setting.encoder is None:
        raise ValueError("this needs an encoder package; none was given")
    metric = loaded(setting.encoder)
    names = [channel.name for channel in setting.channels]
    normalization = metric.features.normalization
    for name, units in zip(normalization.channels, normalization.units, strict=True):
        if name not in names:
            raise ValueError(f"the encoder needs {name}; the fields have {', '.join(names)}")
        given = setting.channels[names.index(name)].units
        if units and given and _plain(units) != _plain(given):
            raise ValueError(f"the encoder knows {name} in {units}; the fields have {given}")
    return metric


class FeatureStore:
    """Features of fields seen lately, by their content."""

    def __init__(self, num_bytes: int = KEPT_BYTES):
        self.num_bytes = num_bytes
        self._kept: OrderedDict[tuple[Any, ...], dict[str, np.ndarray]] = OrderedDict()

    def features(
        self, metric: "Metric", encoder: str, field: np.ndarray, grid: Grid, stages: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Features by stage, (latitude, longitude, feature); see `StageFeatures.field`."""
        content = hashlib.blake2b(np.ascontiguousarray(field).data, digest_size=16).digest()
        key = (encoder, content, field.shape, grid.latitude.tobytes(), grid.longitude.tobytes())
        known = self._kept.setdefault(key, {})
        self._kept.move_to_end(key)
        if missing := [stage for stage in stages if stage not in known]:
            known |= metric.features.field(field, grid, missing)
        while len(self._kept) > 1 and self._held() > self.num_bytes:
            self._kept.popitem(last=False)
        return known

    def _held(self) -> int:
        return sum(f.nbytes for features in self._kept.values() for f in features.values())


STORE = FeatureStore()


def features_of(
    sample: Sample, stages: Sequence[str] | None = None
) -> tuple["Metric", dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The metric, and features of candidate and reference by stage (all stages by default)."""
    setting = sample.setting
    metric = metric_of(setting)
    names = [channel.name for channel in setting.channels]
    order = [names.index(name) for name in metric.channels]
    stages = metric.features.names if stages is None else stages
    both = (
        STORE.features(metric, str(setting.encoder), field[order], setting.grid, stages)
        for field in (sample.reference, sample.candidate)  # the last one asked for stays longest
    )
    reference, candidate = both
    return metric, candidate, reference


def cell_shares(
    features: "StageFeatures", stage: str, grid: Grid, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Share of the area of a window that each feature stands for; sums to one.

    Args:
        features: Of the encoder.
        stage: Whose features.
        grid: Of the fields.
        rows: Of the window.
        columns: Of the window.

    Returns:
        (latitude, longitude) of the features.
    """
    stride = features.stride(stage)
    areas = np.zeros(grid.shape[0])
    areas[rows] = grid.area_weights[rows, 0]
    counts = np.zeros(grid.shape[1])
    counts[columns] = 1.0
    shares = np.outer(
        np.add.reduceat(areas, np.arange(0, len(areas), stride)),
        np.add.reduceat(counts, np.arange(0, len(counts), stride)),
    )
    return shares / shares.sum()


def squared_differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean over features of (a - b)², in double precision, row by row.

    Args:
        a: (latitude, longitude, feature).
        b: The same.

    Returns:
        (latitude, longitude).
    """
    squares = np.empty(a.shape[:-1])
    for row in range(len(a)):
        difference = a[row].astype(np.float64) - b[row]
        squares[row] = np.einsum("lf,lf->l", difference, difference)
    return squares / a.shape[-1]


class DistanceSums:
    """Distances of each step, and the sum of the maps."""

    def __init__(self, setting: Setting):
        checked_options(setting, {}, "learned_distance")
        if setting.encoder is None:
            raise ValueError("`learned_distance` needs an encoder package; none was given")
        self._setting = setting
        self._windows = windows(setting)
        self._shares: dict[str, np.ndarray] = {}  # by stage, (region, latitude, longitude)
        self._kept: dict[str, np.ndarray] = {}

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        metric, candidate, reference = features_of(sample)
        grid, names = self._setting.grid, metric.features.names
        squared, whole = np.zeros(len(self._windows)), np.zeros(grid.shape)
        by_stage = np.empty((len(self._windows), len(names)))
        for number, stage in enumerate(names):
            cells = squared_differences(candidate[stage], reference[stage]) * metric.scale(stage)
            by_stage[:, number] = np.tensordot(self._share(metric, stage), cells, axes=2)
            if weight := metric.stages.get(stage):
                squared += weight * by_stage[:, number]
                whole += weight * metric.features.on_grid(stage, cells, grid)
        distance = np.sqrt(squared)
        self._add(
            {
                "seconds": np.array([sample.seconds], np.int64),
                "learned_distance": distance[None],
                "by_stage": np.sqrt(by_stage)[None],
                "map": whole,
                "stages": np.array(names),
            }
            | _hours(metric, distance)
        )

    def merge(self, later: Self) -> None:
        """Adds later steps."""
        if later._kept:
            self._add(later._kept)

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        return {name: values.copy() for name, values in self._kept.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        self._kept = {name: np.array(values) for name, values in arrays.items()}

    def result(self) -> "xr.Dataset":
        """Distances and hours by step; `distance_by_stage`; `distance_map` of all steps."""
        import xarray as xr

        kept, grid = self._kept, self._setting.grid
        if not kept:
            raise ValueError("`learned_distance` has seen no time step")
        steps = ("time", "region")
        result = xr.Dataset(
            coords={
                "time": kept["seconds"],
                "region": list(self._setting.regions),
                "stage": [str(stage) for stage in kept["stages"]],
                "latitude": ("latitude", grid.latitude, {"units": "degrees_north"}),
                "longitude": ("longitude", grid.longitude, {"units": "degrees_east"}),
            }
        )
        concerns = metric_of(self._setting).concerns(grid)
        if concerns:
            result.attrs["notes"] = concerns
        described: dict[str, tuple[str, str, dict[str, Any]]] = {
            "learned_distance": (
                "learned distance (AtmoDist)",
                "1",
                {"main": 3, "short_name": "learned distance"},
            ),
            "hours": (
                "learned distance as hours of true evolution",
                "h",
                {
                    "short_name": "learned distance in hours",
                    "at_least": "beyond_curve",
                    **({} if concerns else {"main": 3}),
                },
            ),
            "beyond_curve": (
                "share of times whose distance is beyond the calibrated hours",
                "1",
                {},
            ),
        }
        for name, (long_name, units, more) in described.items():
            if name in kept:
                attributes = {"long_name": long_name, "units": units, "better": "lower"}
                result[name] = (steps, kept[name], attributes | more)
        result["distance_by_stage"] = (
            (*steps, "stage"),
            kept["by_stage"],
            {"long_name": "learned distance by one stage alone", "units": "1"},
        )
        mean = np.sqrt(kept["map"] / len(kept["seconds"])).astype(np.float32)
        result["distance_map"] = (
            ("latitude", "longitude"),
            mean,
            {
                "long_name": "learned distance, root of the mean square over time",
                "units": "1",
            },
        )
        return result

    def _share(self, metric: "Metric", stage: str) -> np.ndarray:
        if stage not in self._shares:
            self._shares[stage] = np.stack(
                [
                    cell_shares(metric.features, stage, self._setting.grid, w.rows, w.columns)
                    for w in self._windows
                ]
            )
        return self._shares[stage]

    def _add(self, other: Mapping[str, np.ndarray]) -> None:
        if not self._kept:
            self._kept = {name: np.array(values) for name, values in other.items()}
            return
        if not np.array_equal(self._kept["stages"], other["stages"]):
            raise ValueError(f"the stages are {self._kept['stages']} and {other['stages']}")
        self._kept["map"] += other["map"]
        for name in self._kept.keys() - {"map", "stages"}:
            self._kept[name] = np.concatenate([self._kept[name], other[name]])


def _hours(metric: "Metric", distance: np.ndarray) -> dict[str, np.ndarray]:
    """Hours and whether they are beyond the curve, (1, region); nothing without a calibration."""
    if metric.calibration is None:
        return {}
    try:
        curve = metric.calibration.curve(metric.stages)
    except ValueError:  # these stages together were not calibrated
        return {}
    hours, _, _ = metric.calibration.hours(distance, metric.stages)
    beyond = np.isinf(hours)
    hours = np.where(beyond, curve.lag_hours[-1], hours)
    return {"hours": hours[None], "beyond_curve": beyond[None].astype(np.float64)}


def _plain(units: str) -> str:
    return units.replace("**", "").replace("^", "").replace(" ", "").replace("/", "")


class LearnedDistance(Statistic):
    """See the module."""

    name = "learned_distance"
    title = "Learned distance"
    needs: frozenset[Need] = frozenset({"encoder"})

    def accumulator(self, setting: Setting) -> DistanceSums:
        """Starts to accumulate; there are no options."""
        return DistanceSums(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Draws distances over time and by stage, and the maps."""
        from evaluation.contract.regions import region_title
        from evaluation.drawing import plotting

        names = [str(name) for name in result["candidate"].values]
        for region in (str(name) for name in result["region"].values):
            part = result.sel(region=region)
            shown = [name for name in ("learned_distance", "hours") if name in part]
            figure, panels = plotting.new(
                3.8 * len(shown) + (2.0 if len(shown) == 1 else 0),
                3.6,
                ncols=len(shown),
                squeeze=False,
            )
            for axes, name in zip(panels[0], shown, strict=True):
                lines = {n: part[name].sel(candidate=n).values for n in names}
                label = {"hours": "equivalent time"}.get(name, "learned distance")
                plotting.series(
                    axes, part["time"].values, lines, name=label, units=part[name].units
                )
                axes.set_ylim(bottom=0)
            plotting.legend(figure, names)
            yield Picture(
                name=f"learned_distance_{region}",
                title=f"Learned distance from the reference, {region_title(region)}",
                caption="The distance of the encoder's features from those of the reference"
                + (
                    ", and the lag at which states usually differ as much; where lines are level "
                    "at the top they are lower bounds, beyond the calibrated curve."
                    if len(shown) == 2
                    else "."
                ),
                figure=figure,
            )
        yield from _maps(result, names)
        stages = [str(stage) for stage in result["stage"].values]
        figure, axes = plotting.new()
        means = result["distance_by_stage"].isel(region=0).mean("time")
        plotting.bars(axes, stages, {name: means.sel(candidate=name).values for name in names})
        axes.set_ylabel("learned distance")
        plotting.legend(figure, names, filled=True)
        yield Picture(
            name="stages",
            title="Learned distance by stage",
            caption="Mean over time of the distance by each stage of the encoder alone, from the "
            "finest features to those that see most.",
            figure=figure,
        )


def _maps(result: "xr.Dataset", names: Sequence[str]) -> Iterator[Picture]:
    from evaluation.drawing import maps

    fields = {name: result["distance_map"].sel(candidate=name).values for name in names}
    latitude, longitude = result["latitude"].values, result["longitude"].values
    yield Picture(
        name="map",
        title="Where the learned distance comes from",
        caption="Root of the mean over time of the squared contributions of each point; the root "
        "of the mean square over the area is the distance. All points that one feature stands for "
        "have its value.",
        figure=maps.side_by_side(
            fields, latitude, longitude, name="learned distance", signed=False
        ),
    )


STATISTIC = LearnedDistance()
