"""The learned distance between atmospheric states.

With f_s(a) the features of a field a at stage s (see `features`), and A the share of the area that
a feature stands for,

    d(a, b)² = Σ_s w_s α_s Σ_points A mean_channel (f_s(a) - f_s(b))²,

α_s from the calibration (one where there is none: distances are then only comparable within one
encoder and stage), w_s the weights of the stages. As the root of a weighted sum of squares, d is a
metric on features: zero for equal fields, symmetric, not negative, and it keeps the triangle
inequality. Fields that only differ in what the encoder does not see have distance zero.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from atmodist.fields import labelled
from atmodist.fields.grid import Grid
from atmodist.files.described import Described
from atmodist.metric.concerns import concerns
from atmodist.metric.encoded import Encoded, Remembering, applied
from atmodist.metric.features import StageFeatures
from atmodist.metric.lag_curve import HOURS, Hours
from atmodist.metric.stages import Stages, default_stage, stage_weights

if TYPE_CHECKING:
    from atmodist.metric.calibration import Calibration

By = Literal["stage", "feature"] | None


class Metric(Described):
    """A distance between fields, in physical units, by the features of an encoder.

    Fields are NumPy arrays (..., channel, latitude, longitude) with their `grid`, leading axes
    (such as time) broadcast; or xarray objects: a DataArray with dimensions for latitude,
    longitude and channel, or a Dataset with a variable for each channel. These keep their
    coordinates, may run from south to north, and stay lazy if they are chunked.

    Args:
        features: Of which encoder.
        calibration: α of its stages, and the curve for `hours`.
        stages: A stage, or weights by stage, where a call names none.
        grid: The grid of arrays where a call gives none.

    Example:
        >>> metric = load_metric("runs/era5")
        >>> metric(today, tomorrow, grid=grid)
        0.83
    """

    def __init__(
        self,
        features: StageFeatures,
        *,
        calibration: "Calibration | None" = None,
        stages: Stages = None,
        grid: Grid | None = None,
    ):
        self.features = features
        self.calibration = calibration
        self.grid = grid
        chosen = default_stage(features.names) if stages is None else stages
        self.stages = stage_weights(chosen, features.names)
        self._told: set[str] = set()  # warnings

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of a field, in order."""
        return self.features.normalization.channels

    @property
    def is_calibrated(self) -> bool:
        """Whether distances can be compared between encoders and stages, and read in hours."""
        return self.calibration is not None

    def scale(self, stage: str) -> float:
        """α of a stage; one if the metric is not calibrated."""
        if self.calibration is None:
            return 1.0
        return self.calibration.alpha(stage)

    def __call__(self, a: Any, b: Any, *, grid: Grid | None = None, stages: Stages = None) -> Any:
        """The distance.

        Args:
            a: A field or a series of fields; see the class.
            b: The same; leading axes are broadcast, so that either may be a single field.
            grid: The grid of arrays.
            stages: One stage, or weights by stage (not normalised); those of the metric by default.

        Returns:
            A float for two fields, an array for series, a DataArray for xarray objects.

        Raises:
            ValueError: If channels, units or grids differ, values are missing, or a stage is
                unknown.
        """
        return self._distance(a, b, grid, self._checked_stages(stages))

    def map(
        self,
        a: Any,
        b: Any,
        *,
        grid: Grid | None = None,
        stages: Stages = None,
        by: By = None,
    ) -> Any:
        """Where two fields differ: squared contributions to the distance.

        The mean of the map over the area is the square of the distance:

            (map * grid.area_weights).sum() == metric(a, b) ** 2

        and so is the sum of the means of the maps by stage or by feature. All points that one
        feature stands for have its value.

        Args:
            a: As in a call.
            b: As in a call.
            grid: As in a call.
            stages: As in a call.
            by: "stage" or "feature" for a map of each; features of several stages come one after
                another, as `feature_names` names them.

        Returns:
            (..., latitude, longitude), or (..., stage or feature, latitude, longitude).
        """
        weights = self._checked_stages(stages)
        if by not in (None, "stage", "feature"):
            raise ValueError(f"`by` must be 'stage', 'feature' or nothing; got {by!r}")

        def contributions(x: Encoded, y: Encoded) -> np.ndarray:
            return self._map(x, y, weights, by)

        labels = {"stage": tuple(weights), "feature": self.feature_names(weights)}
        extra = () if by is None else ((by, labels[by]),)
        return self._apply(a, b, grid, weights, contributions, extra, on_grid=True)

    def hours(self, a: Any, b: Any, *, grid: Grid | None = None, stages: Stages = None) -> Any:
        """How far apart in time states are that differ as much, by the calibration.

        Args:
            a: As in a call.
            b: As in a call.
            grid: As in a call.
            stages: As in a call; weights must be among those calibrated.

        Returns:
            Equivalent hours, and from when to when such a distance is usual: numbers, arrays, or
            for xarray objects a Dataset. Beyond the calibrated distances they are infinite.

        Warns:
            UserWarning: Once, if they do not hold for such fields: a curve of patches makes whole
                fields look too far apart, and other scales are unknown (see `concerns`).
        """
        weights = self._checked_stages(stages)
        calibration = self._known_calibration()
        calibration.curve(weights)  # raises before anything is encoded
        met: list[Grid] = []
        distance = self._distance(a, b, grid, weights, met.append)
        for concern in self.concerns(met[0]):
            if concern not in self._told:
                self._told.add(concern)
                warnings.warn(concern, UserWarning, stacklevel=2)

        def read(values: np.ndarray) -> tuple[np.ndarray, ...]:
            return calibration.hours(values, weights)

        if labelled.is_labelled(distance):
            return labelled.named_results(read, distance, HOURS, comment=str(self))
        if isinstance(distance, float):
            return Hours(*map(float, read(np.array(distance))))
        return Hours(*read(distance))

    def concerns(self, grid: Grid) -> list[str]:
        """What is doubtful about distances and hours of fields on a grid, a line each."""
        return concerns(grid, calibration=self.calibration, training_grid=self.grid)

    def contributions(
        self, a: np.ndarray, b: np.ndarray, *, grid: Grid | None = None, stages: Stages = None
    ) -> dict[str, np.ndarray]:
        """Squared contributions of each feature, by stage; they sum to the squared distance.

        Args:
            a: One field (channel, latitude, longitude).
            b: The same.
            grid: Their grid.
            stages: As in a call.

        Returns:
            (feature,) by stage.
        """
        weights = self._checked_stages(stages)
        grid = self._known_grid(grid)
        x, y = (self.encode(field, grid, weights) for field in (a, b))
        return {stage: self._by_feature(x, y, stage, w) for stage, w in weights.items()}

    def encode(self, field: np.ndarray, grid: Grid | None = None, stages: Stages = None) -> Encoded:
        """Features of a field (channel, latitude, longitude), for `between`."""
        grid = self._known_grid(grid)
        weights = self._checked_stages(stages)
        return Encoded(grid, self.features.field(field, grid, tuple(weights)))

    def between(self, x: Encoded, y: Encoded, stages: Stages = None) -> float:
        """The distance between two fields that were encoded before."""
        weights = self._checked_stages(stages)
        squares = (self._by_feature(x, y, stage, weight) for stage, weight in weights.items())
        return math.sqrt(sum(float(square.sum()) for square in squares))

    def feature_names(self, stages: Stages = None) -> tuple[str, ...]:
        """Names of the features in a map by feature: "stage3/0", "stage3/1", ..."""
        return tuple(
            f"{stage}/{number}"
            for stage in self._checked_stages(stages)
            for number in range(self.features.num_features(stage))
        )

    def __str__(self) -> str:
        stages = ", ".join(f"{weight:g} x {stage}" for stage, weight in self.stages.items())
        state = "calibrated" if self.is_calibrated else "uncalibrated (α = 1)"
        text = f"distance by {stages} of {', '.join(self.channels)}, {state}"
        return text if self.calibration is None else f"{text}; {self._band_note(self.calibration)}"

    def _band_note(self, calibration: "Calibration") -> str:
        """What the band of hours is worth, by the curve of the default stages if there is one."""
        try:
            return calibration.band_note(self.stages)
        except ValueError:  # these stages together were not calibrated
            return calibration.band_note()

    def _by_feature(self, x: Encoded, y: Encoded, stage: str, weight: float) -> np.ndarray:
        """Squared contributions of a stage; shape (feature,), float64."""
        if x.grid is not y.grid and not x.grid.matches(y.grid):
            raise ValueError(f"the fields lie on different grids: {x.grid} and {y.grid}")
        areas = self.features.cell_weights(stage, x.grid)
        f, g = x.features[stage], y.features[stage]
        total = np.zeros(f.shape[-1])
        for row in range(len(f)):  # row by row, in double precision without a copy of all
            difference = f[row].astype(np.float64) - g[row]
            total += areas[row] @ np.square(difference, out=difference)
        return total * (weight * self.scale(stage) / f.shape[-1])

    def _map(self, x: Encoded, y: Encoded, weights: Mapping[str, float], by: By) -> np.ndarray:
        if not x.grid.matches(y.grid):
            raise ValueError(f"the fields lie on different grids: {x.grid} and {y.grid}")
        maps = []
        for stage, weight in weights.items():
            difference = x.features[stage].astype(np.float64) - y.features[stage]
            squares = np.square(difference, out=difference)
            squares *= weight * self.scale(stage) / squares.shape[-1]
            cells = np.moveaxis(squares, -1, 0) if by == "feature" else squares.sum(-1)[None]
            maps.append(self.features.on_grid(stage, cells, x.grid))
        if by is None:
            return np.sum([one[0] for one in maps], axis=0)
        return np.concatenate(maps)

    def _distance(
        self,
        a: Any,
        b: Any,
        grid: Grid | None,
        weights: Mapping[str, float],
        meet: Callable[[Grid], None] | None = None,
    ) -> Any:
        def distance(x: Encoded, y: Encoded) -> np.ndarray:
            return np.array(self.between(x, y, weights))

        return self._apply(a, b, grid, weights, distance, (), meet=meet)

    def _apply(
        self,
        a: Any,
        b: Any,
        grid: Grid | None,
        weights: Mapping[str, float],
        function: Callable[[Encoded, Encoded], np.ndarray],
        extra: tuple[tuple[str, tuple[str, ...]], ...],
        *,
        on_grid: bool = False,
        meet: Callable[[Grid], None] | None = None,
    ) -> Any:
        """Applies a function of two encoded fields over all leading axes.

        `meet` is called with the grid of the fields, before any of them is encoded.
        """
        if labelled.is_labelled(a) != labelled.is_labelled(b):
            raise TypeError(
                "compare two xarray objects or two arrays, not one of each; got "
                f"{type(a).__name__} and {type(b).__name__}"
            )
        if labelled.is_labelled(a):

            def block(x: np.ndarray, y: np.ndarray, common: Grid) -> np.ndarray:
                return self._broadcast(x, y, common, weights, function)

            return labelled.apply(
                block,
                a,
                b,
                self.features.normalization.described_channels,
                extra=extra,
                on_grid=on_grid,
                meet=meet,
                attributes={
                    "long_name": "squared contribution to the learned distance"
                    if on_grid
                    else "learned distance",
                    "units": "1",
                    "comment": str(self),
                },
            )
        grid = self._known_grid(grid)
        if meet is not None:
            meet(grid)
        result = self._broadcast(np.asarray(a), np.asarray(b), grid, weights, function)
        return float(result) if result.ndim == 0 else result

    def _broadcast(
        self,
        a: np.ndarray,
        b: np.ndarray,
        grid: Grid,
        weights: Mapping[str, float],
        function: Callable[[Encoded, Encoded], np.ndarray],
    ) -> np.ndarray:
        sides = [self._side(name, x, grid, weights) for name, x in (("a", a), ("b", b))]
        return applied(function, *sides)

    def _side(
        self, name: str, x: np.ndarray, grid: Grid, weights: Mapping[str, float]
    ) -> Remembering:
        expected = (len(self.channels), *grid.shape)
        if x.ndim < 3 or x.shape[-3:] != expected:
            raise ValueError(
                f"`{name}` must have axes (..., channel, latitude, longitude) and end in "
                f"{expected}: channels {self.channels} on the grid {grid}; got shape {x.shape}"
            )
        return Remembering(x, lambda field: self.encode(field, grid, weights))

    def _known_grid(self, grid: Grid | None) -> Grid:
        grid = grid or self.grid
        if grid is None:
            raise ValueError(
                "arrays need a grid: metric(a, b, grid=Grid(latitude, longitude)), with Grid from "
                "atmodist.fields.grid; or give xarray objects, which bring theirs along"
            )
        return grid

    def _checked_stages(self, stages: Stages) -> dict[str, float]:
        return self.stages if stages is None else stage_weights(stages, self.features.names)

    def _known_calibration(self) -> "Calibration":
        if self.calibration is None:
            raise ValueError(
                "this metric is not calibrated, so that distances cannot be read in hours; "
                "`atmodist calibrate` adds a calibration.json to the folder of the encoder"
            )
        return self.calibration


def load_metric(path: str | Path, *, stages: Stages = None) -> Metric:
    """Opens the metric of a trained encoder.

    Args:
        path: An encoder package (a folder, or an hf:// address), or a folder of `rplearn-train`.
        stages: A stage, or weights by stage, for calls that name none; "stage3" by default, or
            the deepest where there are fewer.

    Raises:
        FileNotFoundError: If there is no such folder, or it lacks the encoder.
        ValueError: If what it holds is damaged or does not belong together.
    """
    from atmodist.metric.package import load_package

    package = load_package(path)
    features = StageFeatures(package.encoder, package.normalization)
    return Metric(features, calibration=package.calibration, stages=stages, grid=package.grid)
