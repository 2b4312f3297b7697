"""Calibration: what a learned distance means, in units of pixel l2 and in hours.

Features have no natural scale: each stage s has a factor α_s, found by `atmodist.calibration`, and
the distance is d = √(Σ_s w_s α_s c_s) with the content losses c_s. How it grows with the true lag
is its `LagCurve`, from which hours are read. A curve belongs to fields of the extent it was
measured on, patches or whole fields.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields.grid import Grid
from atmodist.files.outputs import read_json, require_format, write_json
from atmodist.metric.extent import Extent
from atmodist.metric.lag_curve import STATISTICS, LagCurve

FORMAT = "atmodist-calibration"
FORMAT_VERSION = 1
FILE_NAME = "calibration.json"

Weights = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class StageCalibration:
    """The scale of one stage and how its distance √(α c) grows with the lag.

    Attributes:
        alpha: α > 0, dimensionless.
        curve: Of the distance of this stage alone.
    """

    alpha: float
    curve: LagCurve

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", _positive("alpha", self.alpha))


@dataclass(frozen=True, kw_only=True, eq=False)
class Combination:
    """How the distance of several stages together grows with the lag.

    Attributes:
        weights: w_s by stage, positive, summing to one.
        curve: Of √(Σ_s w_s α_s c_s).
    """

    weights: Weights
    curve: LagCurve

    def __post_init__(self) -> None:
        weights, total = normalized_weights(self.weights)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the weights of a combination must sum to one; got {self.weights}")
        object.__setattr__(self, "weights", weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What distances of an encoder mean: the content of `calibration.json`.

    Attributes:
        step_seconds: Length of the time step of the records, in seconds.
        stages: By name, finest first.
        combinations: Weighted sets of stages.
        normalization: Identity of the normalisation of the encoder; None if unknown.
        weights: `weights_digest` of the encoder; None if unknown.
        extent: What it was measured on, patches or whole fields; None if unknown.
        source: Where the numbers come from (records, split, pairs, encoder).
        days: From the first pair to the last; None if unknown.
    """

    step_seconds: int
    stages: Mapping[str, StageCalibration]
    combinations: tuple[Combination, ...] = ()
    normalization: str | None = None
    weights: str | None = None
    extent: Extent | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    days: int | None = None

    def __post_init__(self) -> None:
        seconds = self.step_seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 1:
            raise ValueError(f"`step_seconds` must be a positive integer; got {seconds!r}")
        if not self.stages:
            raise ValueError("a calibration needs one stage at least")
        for combination in self.combinations:
            for stage in combination.weights:
                self._stage(stage)
        if not isinstance(self.source, Mapping):
            raise ValueError(f"`source` must be a mapping; got {self.source!r}")
        days = self.days
        if days is not None and (isinstance(days, bool) or not isinstance(days, int) or days < 1):
            raise ValueError(f"`days` must be a positive integer; got {days!r}")
        for name in ("normalization", "weights"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"`{name}` must be a text; got {getattr(self, name)!r}")

    @property
    def max_hours(self) -> float:
        """The largest lag that was measured; beyond it nothing is known."""
        return max(float(stage.curve.lag_hours[-1]) for stage in self.stages.values())

    def alpha(self, stage: str) -> float:
        """α of a stage, dimensionless."""
        return self._stage(stage).alpha

    def curve(self, stage: str | Weights) -> LagCurve:
        """The curve of one stage, or of a weighted set (for weights that sum to one)."""
        if isinstance(stage, str):
            return self._stage(stage).curve
        weights, _ = normalized_weights(stage)
        for name in weights:
            self._stage(name)
        if len(weights) == 1:
            return self._stage(next(iter(weights))).curve
        for combination in self.combinations:
            if combination.weights.keys() == weights.keys() and all(
                math.isclose(combination.weights[s], w, rel_tol=1e-6) for s, w in weights.items()
            ):
                return combination.curve
        raise ValueError(
            f"the weights {dict(stage)} were not calibrated; there are "
            f"{[dict(c.weights) for c in self.combinations]} and single stages. "
            "`atmodist calibrate` with --weights adds them"
        )

    def hours(
        self, distance: Any, stage: str | Weights
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Equivalent hours of distances √(Σ_s w_s α_s c_s); see `LagCurve.hours`.

        Args:
            distance: Any shape, dimensionless.
            stage: One stage (weight one), or the weights w_s by stage.

        Returns:
            (hours, low, high), each of the shape of `distance`.
        """
        curve = self.curve(stage)
        total = 1.0 if isinstance(stage, str) else normalized_weights(stage)[1]
        return curve.hours(np.asarray(distance, np.float64) / math.sqrt(total))

    def band_note(self, stage: str | Weights | None = None) -> str:
        """What the band of equivalent hours is worth, in words.

        Args:
            stage: Of this stage or these weights; of all stages by default.
        """
        curves = [s.curve for s in self.stages.values()] if stage is None else [self.curve(stage)]
        if self.days is not None and all(curve.low is not None for curve in curves):
            return (
                f"band of hours: one pair in three lies outside, as estimated from {self.days} "
                "days; other seasons may differ more"
            )
        if self.days is None:
            return (
                "band of hours: of the days of the calibration; hours of other weeks may be "
                "further off than it says"
            )
        period = f"{self.days} day{'s' * (self.days > 1)}"
        return f"calibrated on {period}: hours of other weeks may be further off than the band says"

    def concern(self, grid: Grid) -> str | None:
        """Says so if hours are not known to hold for fields on a grid."""
        if self.extent is None:
            return (
                f"{FILE_NAME} does not say whether it was made of patches or of whole fields, so "
                "that hours may be wrong; calibrate again"
            )
        return self.extent.concern(grid)

    def as_dict(self) -> dict[str, Any]:
        """The content of `calibration.json`, as plain types."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "step_seconds": self.step_seconds,
            "normalization": self.normalization,
            "weights": self.weights,
            "extent": None if self.extent is None else self.extent.as_dict(),
            "stages": {
                name: {"alpha": stage.alpha, **stage.curve.as_dict()}
                for name, stage in self.stages.items()
            },
            "combinations": [
                {"weights": dict(c.weights), **c.curve.as_dict()} for c in self.combinations
            ],
            "source": dict(self.source),
            **({} if self.days is None else {"days": self.days}),
        }

    def save(self, path: str | Path) -> None:
        """Writes `calibration.json`, atomically; numbers are kept to the last bit."""
        write_json(path, self.as_dict())

    @classmethod
    def load(cls, path: str | Path) -> "Calibration":
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no calibration, of another version, incomplete, or holds numbers
                that cannot be; the message names the file.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"there is no calibration {path}; `atmodist calibrate` makes one"
            )
        content = read_json(path)
        try:
            return cls.from_dict(content)
        except KeyError as error:
            raise ValueError(f"{path}: the calibration lacks {error}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, content: Any) -> "Calibration":
        """Makes a calibration from what `as_dict` returns, and checks it."""
        require_format(content, FORMAT, FORMAT_VERSION, what="calibration")
        return cls(
            step_seconds=content["step_seconds"],
            normalization=content.get("normalization"),
            weights=content.get("weights"),
            extent=_extent(content.get("extent")),
            stages={
                name: StageCalibration(alpha=entry["alpha"], curve=_curve(entry))
                for name, entry in content["stages"].items()
            },
            combinations=tuple(
                Combination(weights=entry["weights"], curve=_curve(entry))
                for entry in content.get("combinations", ())
            ),
            source=content.get("source", {}),
            days=content.get("days"),
        )

    def table(self) -> str:
        """The medians and bands as text, one line for each lag."""
        entries = {name: stage.curve for name, stage in self.stages.items()}
        entries |= {weights_text(c.weights): c.curve for c in self.combinations}
        width = max(24, *map(len, entries))
        lines = ["lag (h)  " + "  ".join(f"{name:<{width}}" for name in entries)]
        for lag in next(iter(entries.values())).lag_hours:
            cells = []
            for curve in entries.values():
                i = int(np.flatnonzero(curve.lag_hours == lag)[0])
                low, high = (end[i] for end in curve.band)
                cells.append(f"{curve.median[i]:.4f} [{low:.4f}, {high:.4f}]".ljust(width))
            lines.append(f"{lag:7g}  " + "  ".join(cells))
        alphas = ", ".join(f"{name} {stage.alpha:.4g}" for name, stage in self.stages.items())
        return "\n".join([*(line.rstrip() for line in lines), f"alpha: {alphas}", self.band_note()])

    def _stage(self, name: str) -> StageCalibration:
        if name not in self.stages:
            raise ValueError(
                f"there is no calibration of stage {name!r}; there are {', '.join(self.stages)}"
            )
        return self.stages[name]


def normalized_weights(weights: Weights) -> tuple[dict[str, float], float]:
    """Weights that sum to one, without zeros, and the sum they had."""
    if not isinstance(weights, Mapping) or not weights:
        raise ValueError(f"weights must be numbers by stage; got {weights!r}")
    for stage, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
            raise ValueError(f"the weight of {stage} must be a number; got {weight!r}")
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"the weight of {stage} must be finite and >= 0; got {weight}")
    total = float(sum(weights.values()))
    if total <= 0:
        raise ValueError(f"one weight at least must be positive; got {dict(weights)}")
    return {stage: float(w) / total for stage, w in weights.items() if w > 0}, total


def weights_text(weights: Weights) -> str:
    """For instance "0.5 stage1 + 0.5 stage2"."""
    return " + ".join(f"{weight:.3g} {stage}" for stage, weight in weights.items())


def _extent(entry: Any) -> Extent | None:
    return None if entry is None else Extent.from_dict(entry)


def _curve(entry: Mapping[str, Any]) -> LagCurve:
    known = {name: entry[name] for name in ("lag_hours", *STATISTICS)}
    return LagCurve(**known, low=entry.get("low"), high=entry.get("high"))


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(f"`{name}` must be a number; got {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be positive and finite; got {value}")
    return float(value)
