"""How good an ensemble is as a probability: CRPS, spread against skill, ranks.

Formulas are in `evaluation.scores.ensembles`. The ratio of spread to skill below one says that the
ensemble is too sure. ⟨⟩ is the mean over the
area, and for the ratio over time. Ranks are how many members lie below the reference, with ties
broken by lots that `Setting.seed` and the time decide; all M + 1 are equally frequent where the
ensemble is reliable. Their frequencies are shares of the area.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Self

import numpy as np

from evaluation.contract.accumulation import StepSeries, checked_options
from evaluation.contract.statistic import Need, Picture, Sample, Statistic
from evaluation.contract.units_text import units_of
from evaluation.numerics.averages import area_mean, row_blocks
from evaluation.numerics.setting import Setting
from evaluation.scores.ensembles import (
    crps_of_ordered,
    member_variance,
    ranks,
    spread_of_variance,
    spread_skill,
)

if TYPE_CHECKING:
    import xarray as xr

NAMES = ("crps", "fair_crps", "variance", "squared_error")


class EnsembleSums(StepSeries):
    """Scores of each step and the rank histograms."""

    def __init__(self, setting: Setting):
        checked_options(setting, {}, "ensembles")
        super().__init__(NAMES, setting)
        self._ranks: np.ndarray | None = None  # area of each (region, channel, rank), summed

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        if sample.members is None:
            raise ValueError("the statistic `ensembles` needs members")
        count, num_channels = sample.members.shape[:2]
        shape = (len(self.windows), num_channels, count + 1)
        if self._ranks is None:
            self._ranks = np.zeros(shape)
        self._require_size(count)
        rng = np.random.default_rng([self.setting.seed, sample.seconds % 2**63])
        values = np.empty((len(NAMES), len(self.windows), num_channels))
        for c in range(num_channels):
            maps, places = _maps(sample.members[:, c], sample.reference[c], rng)
            for w, window in enumerate(self.windows):
                values[:, w, c] = area_mean(window.of(maps), window.weights)
                inside = window.of(places)
                areas = np.broadcast_to(window.weights, inside.shape)
                self._ranks[w, c] += np.bincount(inside.ravel(), areas.ravel(), count + 1)
        self.append(sample.seconds, values)

    def merge(self, later: Self) -> None:
        """Adds later steps."""
        if later._ranks is not None:
            if self._ranks is None:
                self._ranks = np.zeros_like(later._ranks)
            self._require_size(later._ranks.shape[-1] - 1)
            self._ranks += later._ranks
        super().merge(later)

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        arrays = super().arrays()
        return arrays if self._ranks is None else arrays | {"ranks": self._ranks.copy()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        super().restore(arrays)
        self._ranks = np.array(arrays["ranks"]) if "ranks" in arrays else None

    def result(self) -> "xr.Dataset":
        """Scores by step; spread over skill and ranks of all steps."""
        result, u = self.dataset(), units_of(self.setting)
        steps = ("time", "region", "channel")
        count = 0 if self._ranks is None else self._ranks.shape[-1] - 1
        values = {name: self.values(name) for name in NAMES}
        described = {
            "crps": (values["crps"], "continuous ranked probability score", "lower"),
            "fair_crps": (
                values["fair_crps"],
                "continuous ranked probability score, fair to any number of members",
                "lower",
            ),
            "spread": (
                spread_of_variance(values["variance"], count),
                "spread of the members",
                None,
            ),
            "skill": (np.sqrt(values["squared_error"]), "error of the mean of members", "lower"),
        }
        for name, (numbers, long_name, better) in described.items():
            result[name] = (steps, numbers, {"long_name": long_name, "units": u})
            if better:
                result[name].attrs["better"] = better
        result["crps"].attrs |= {"main": 4, "short_name": "CRPS"}
        if self._ranks is None:
            return result
        frequency = self._ranks / max(self.num_steps, 1)
        variance, squared_error = (
            values[name].mean(axis=0) for name in ("variance", "squared_error")
        )
        result["spread_skill"] = (
            steps[1:],
            spread_skill(variance, squared_error, count),
            {"long_name": "spread over skill (1 where reliable)", "units": "1"},
        )
        result["rank_deviation"] = (
            steps[1:],
            np.abs(frequency - 1 / (count + 1)).sum(axis=-1),
            {
                "long_name": "deviation of ranks from equal frequency",
                "units": "1",
                "better": "lower",
            },
        )
        result["rank_histogram"] = (
            (*steps[1:], "rank"),
            frequency,
            {"long_name": "frequency of the rank of the reference", "units": "1"},
        )
        return result.assign_coords(rank=np.arange(count + 1))

    def _require_size(self, count: int) -> None:
        known = 0 if self._ranks is None else self._ranks.shape[-1] - 1
        if count != known:
            raise ValueError(f"there were {known} members before; now there are {count}")


def _maps(
    members: np.ndarray, reference: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What is averaged, (name, latitude, longitude), and the ranks, in blocks of rows."""
    maps = np.empty((len(NAMES), *reference.shape))
    places = np.empty(reference.shape, np.int64)
    for rows in row_blocks(*reference.shape):
        ordered = np.sort(members[:, rows], axis=0).astype(np.float64)
        truth = reference[rows].astype(np.float64)
        maps[0, rows], maps[1, rows] = crps_of_ordered(ordered, truth)
        maps[2, rows] = member_variance(ordered)
        maps[3, rows] = (ordered.mean(axis=0) - truth) ** 2
        places[rows] = ranks(members[:, rows], reference[rows], rng.random(truth.shape))
    return maps, places


class Ensembles(Statistic):
    """See the module."""

    name = "ensembles"
    title = "Ensembles: CRPS, spread and skill, ranks"
    needs: frozenset[Need] = frozenset({"members"})

    def accumulator(self, setting: Setting) -> EnsembleSums:
        """Starts to accumulate; there are no options."""
        return EnsembleSums(setting)

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Draws CRPS and spread and skill over time, and the rank histograms, of the globe."""
        from evaluation.contract.units_text import words
        from evaluation.drawing import plotting

        names = [str(name) for name in result["candidate"].values]
        styles = plotting.line_styles(names)
        for channel in (str(name) for name in result["channel"].values):
            part = result.sel(channel=channel).isel(region=0)
            figure, panels = plotting.new(7.6, 3.6, ncols=2)
            score, error = part["fair_crps"], part["skill"]
            times = part["time"].values
            plotting.series(
                panels[0], times, _lines(score), name="fair CRPS", units=score.attrs["units"]
            )
            plotting.series(
                panels[1], times, _lines(error), name="skill, and spread",
                units=error.attrs["units"], dots=_lines(part["spread"]),
            )  # fmt: skip
            for axes in panels:
                axes.set_ylim(bottom=0)
            plotting.legend(figure, names)
            yield Picture(
                name=f"crps_{channel}",
                title=f"Ensembles of {words(channel)} over time",
                caption="Left, fair continuous ranked probability score, lower is better; right, "
                "error of the mean of the members (lines) and their spread (dots), which are "
                "alike for a reliable ensemble. Means over the area of the whole grid.",
                figure=figure,
            )
            figure, axes = plotting.new(6.4, 4.0)
            for name in names:
                frequency = part["rank_histogram"].sel(candidate=name).dropna("rank").values
                edges = np.linspace(0, 1, len(frequency) + 1)
                axes.stairs(frequency * len(frequency), edges, baseline=None, **styles[name])
            axes.axhline(1, color="0.5", linewidth=0.8, zorder=1)
            axes.set(
                xlabel="rank of the reference among the members (share)",
                ylabel="frequency × number of ranks",
                xlim=(0, 1),
            )
            axes.set_ylim(bottom=0)
            plotting.legend(figure, names)
            yield Picture(
                name=f"ranks_{channel}",
                title=f"Rank histogram of {words(channel)}",
                caption="How often so many of the members lie below the reference, by area, all "
                "time steps together. Flat at 1 for a reliable ensemble; a bowl if the members "
                "are too alike; a slope if they are biased.",
                figure=figure,
            )


def _lines(values: "xr.DataArray") -> dict[str, np.ndarray]:
    """Values over time by candidate."""
    return {str(name): values.sel(candidate=name).values for name in values["candidate"].values}


STATISTIC = Ensembles()
