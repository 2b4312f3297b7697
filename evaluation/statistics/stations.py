"""Wasserstein-1 distance between the time series of candidate and reference at stations.

For each station the values of a box of points (1 x 1: the nearest on the sphere; 2 x 2: the four
around the place; 3 x 3: the nearest and all its neighbours) at all steps are pooled, and
    W1 = ∫ |F_candidate(x) - F_reference(x)| dx = mean |sorted candidate - sorted reference|,
where the second form holds since both have as many values (`scipy.stats.wasserstein_distance`
gives the same). It compares climates, not weather: order in time does not matter. Rows over a pole
or beyond the edge of a regional grid are replaced by moving the box inwards; columns wrap around.

Options:
    stations: A file like the one that ships (`evaluation.contract.cities`), instead of it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from atmodist.fields.grid import Grid
from evaluation.contract.accumulation import checked_options
from evaluation.contract.cities import CITIES, Station, cities, inside, nearest_points
from evaluation.contract.statistic import Picture, Sample, Statistic
from evaluation.contract.units_text import units_of
from evaluation.numerics.setting import Setting
from evaluation.scores.distributions import sample_distance
from evaluation.significance.station_tests import station_tests
from evaluation.significance.summary_numbers import VERDICTS, Row, known

if TYPE_CHECKING:
    import xarray as xr

MAIN = {"main": 7, "short_name": "distance at cities (W1)"}
BOXES = ("1x1", "2x2", "3x3")
SURE = 0.05  # adjusted p-values below it are told as a verdict


def box_points(
    grid: Grid, stations: tuple[Station, ...]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """The points of the 3 x 3 boxes, and which of them belong to the smaller ones.

    Returns:
        Rows and columns: (station, 9); and by box its places among the nine: (station, points).
    """
    latitude = np.array([station.latitude for station in stations])
    longitude = np.array([station.longitude for station in stations])
    row, column, _ = nearest_points(grid, latitude, longitude)
    num_rows, num_columns = grid.shape
    # On which side of the nearest point the place lies
    south = np.where(latitude < grid.latitude[row], 1, 0)
    east = np.where((longitude - grid.longitude[column] + 180.0) % 360.0 - 180.0 > 0, 1, 0)

    first_row = np.clip(row - 1, 0, max(num_rows - 3, 0))
    first_column = column - 1
    pair_row = np.clip(row - 1 + south, 0, num_rows - 2) - first_row
    pair_column = column - 1 + east
    if not grid.is_periodic:
        first_column = np.clip(first_column, 0, max(num_columns - 3, 0))
        pair_column = np.clip(pair_column, 0, num_columns - 2)
    pair_column = pair_column - first_column
    step_row, step_column = np.divmod(np.arange(9), 3)
    rows = first_row[:, None] + step_row
    columns = (first_column[:, None] + step_column) % num_columns
    places = {
        "1x1": (3 * (row - first_row) + (column - first_column))[:, None],
        "2x2": (3 * pair_row + pair_column)[:, None] + np.array([0, 1, 3, 4]),
        "3x3": np.broadcast_to(np.arange(9), (len(stations), 9)),
    }
    return rows, columns, places


class StationAccumulator:
    """Keeps the series of the nine points around each station."""

    def __init__(self, setting: Setting, stations: tuple[Station, ...]):
        self._setting = setting
        self._stations = inside(setting.grid, stations)
        if min(setting.grid.shape) < 3:
            raise ValueError(f"`stations` needs a grid of 3 x 3 points; got {setting.grid}")
        self._rows, self._columns, self._places = box_points(setting.grid, self._stations)
        self._seconds: list[int] = []
        self._steps: list[np.ndarray] = []

    def update(self, sample: Sample) -> None:
        """Adds a time step."""
        self._seconds.append(int(sample.seconds))
        self._steps.append(
            np.stack(
                [
                    np.asarray(field[:, self._rows, self._columns], dtype=np.float32)
                    for field in (sample.candidate, sample.reference)
                ]
            )
        )

    def merge(self, later: Self) -> None:
        """Adds what another one has seen later in time."""
        self._seconds += later._seconds
        self._steps += later._steps

    def _all(self) -> np.ndarray:
        """(time, candidate or reference, channel, station, point)."""
        shape = (2, len(self._setting.channels), len(self._stations), 9)
        return np.array(self._steps, dtype=np.float32).reshape(len(self._steps), *shape)

    def arrays(self) -> dict[str, np.ndarray]:
        """For `restore`."""
        return {"seconds": np.array(self._seconds, dtype=np.int64), "steps": self._all()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `arrays` returned."""
        self._seconds = [int(second) for second in arrays["seconds"]]
        self._steps = list(np.asarray(arrays["steps"], dtype=np.float32))

    def result(self) -> "xr.Dataset":
        """W1 of each station and box, and its means over the stations of a region."""
        import xarray as xr

        setting, stations = self._setting, self._stations
        steps = self._all()
        distances = np.full((len(BOXES), len(setting.channels), len(stations)), np.nan)
        deviation = np.full(distances.shape[1:], np.nan)
        if len(steps) and stations:
            station = np.arange(len(stations))[:, None]
            for number, box in enumerate(BOXES):
                # (time, 2, channel, station, points) with the points pooled into time
                part = np.moveaxis(steps[:, :, :, station, self._places[box]], -1, 1)
                part = part.reshape(-1, *part.shape[2:])
                distances[number] = sample_distance(part[:, 0], part[:, 1])
            deviation = steps[:, 1].std(axis=(0, -1), dtype=np.float64)
        u = units_of(setting)
        attributes = {"long_name": "Wasserstein-1 distance to the reference's series", "units": u}
        dataset = xr.Dataset(
            {
                "station_wasserstein": (("box", "channel", "station"), distances, attributes),
                "station_deviation": (
                    ("channel", "station"),
                    deviation,
                    {"long_name": "standard deviation of the reference, 3x3 box", "units": u},
                ),
            },
            coords={
                "box": list(BOXES),
                "channel": [channel.name for channel in setting.channels],
                "region": list(setting.regions),
                "station": [f"{station.name}, {station.country}" for station in stations],
                "station_latitude": ("station", [station.latitude for station in stations]),
                "station_longitude": ("station", [station.longitude for station in stations]),
            },
        )
        members = self._members()
        for number, box in enumerate(BOXES):
            sums = np.where(members[:, None, :], distances[number], 0.0).sum(axis=-1)
            with np.errstate(invalid="ignore"):
                means = sums / members.sum(axis=-1)[:, None]
            dataset[f"wasserstein_{box}"] = (
                ("region", "channel"),
                means,
                {
                    "long_name": f"Wasserstein-1 distance at cities, boxes of {box} points, mean",
                    "units": u,
                    "better": "lower",
                }
                | (MAIN if box == BOXES[0] else {}),
            )
        return dataset

    def _members(self) -> np.ndarray:
        """Which stations have their nearest point in which region. Shape (region, station)."""
        members = np.zeros((len(self._setting.regions), len(self._stations)), dtype=bool)
        station = np.arange(len(self._stations))
        nearest = self._places["1x1"][:, 0]
        row, column = self._rows[station, nearest], self._columns[station, nearest]
        for number, region in enumerate(self._setting.regions):
            rows, columns = self._setting.window(region)
            members[number] = np.isin(row, rows) & np.isin(column, columns)
        return members


def _row(test: Mapping[str, Any], units: str) -> Row:
    """A test as a row of tables."""
    told = known(test["mean"])
    sure = test["wilcoxon_adjusted"] < SURE
    return {
        "statistic": "stations",
        "variable": f"paired_{test['box']}",
        "units": units,
        "long_name": f"paired difference over cities, boxes of {test['box']} points",
        "better": "lower",
        "candidate": test["a"],
        "channel": test["channel"],
        "value": told,
        "baseline": test["b"],
        "baseline_difference": told,
        "baseline_p": known(test["wilcoxon_adjusted"]),
        "verdict": VERDICTS[int(np.sign(test["median"])) if sure else 0],
        "stations": test["num_stations"],
        "stations_better": test["better"],
        "stations_equal": test["equal"],
        "stations_worse": test["worse"],
        "sign_flip_p": known(test["permutation_adjusted"]),
    }


class Stations(Statistic):
    """See the module."""

    name = "stations"
    title = "Stations"
    columns = ("stations", "stations_better", "stations_equal", "stations_worse", "sign_flip_p")

    def accumulator(self, setting: Setting) -> StationAccumulator:
        """Starts to accumulate; see the module for the options."""
        path = Path(checked_options(setting, {"stations": None}, self.name)["stations"] or CITIES)
        if not path.is_file():
            raise ValueError(f"`stations`: there is no file {path}")
        return StationAccumulator(setting, cities(path))

    def rows(self, result: "xr.Dataset", *, seed: int) -> list[Row]:
        """Each pair of candidates over stations; `baseline` is the other one of the pair.

        The value is the mean difference of distances; `baseline_p` is of Wilcoxon's signed rank
        test and `sign_flip_p` of the sign-flip test, both adjusted for all pairs, channels and
        boxes. The verdict is by the former, and counts are by the 10 % rule.
        """
        if not result.sizes["station"]:
            return []
        units = str(result["station_wasserstein"].attrs.get("units", ""))
        rows = [_row(test, units) for test in station_tests(result, seed=seed)]
        return sorted(rows, key=lambda row: str(row["variable"]))  # by variable, as in tables

    def draw(self, result: "xr.Dataset") -> Iterator[Picture]:
        """Box plots over stations, maps, and how pairs of candidates compare."""
        from evaluation.contract.units_text import words
        from evaluation.drawing.station_figures import (
            station_boxes,
            station_map,
            station_verdicts,
            telling_tests,
        )

        if not result.sizes["station"]:
            return
        tests = station_tests(result)
        for channel in result.channel.values:
            part = result.sel(channel=channel)
            yield Picture(
                name=f"stations_{channel}",
                title=f"Distance of {words(channel)} at stations",
                caption=(
                    f"Wasserstein-1 distance between the series of candidate and reference at "
                    f"{result.sizes['station']} cities, as a share of the reference's standard "
                    "deviation there. Boxes: quartiles and median; whiskers: 5th and 95th "
                    "percentile."
                ),
                figure=station_boxes(part),
            )
            yield Picture(
                name=f"station_map_{channel}",
                title=f"Distance of {words(channel)} at each station",
                caption="The same for the nearest point, on the map.",
                figure=station_map(part),
            )
            own = [test for test in tests if test["channel"] == str(channel)]
            telling, hidden = telling_tests(own)
            if telling:
                yield Picture(
                    name=f"station_verdicts_{channel}",
                    title=f"Who is nearer to {words(channel)} of the reference, and where",
                    caption=(
                        "Number of stations at which the first of two candidates is better (its "
                        "distance is at least 10 % lower), equal or worse (10 % higher); beside "
                        "it the p-value of Wilcoxon's signed rank test over all stations, adjusted "
                        f"for {len(tests)} tests by Benjamini and Hochberg.{hidden}"
                    ),
                    figure=station_verdicts(telling),
                )


STATISTIC = Stations()
