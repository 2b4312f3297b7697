"""Fields of a file by valid time, found complete and comparable."""

from collections.abc import Sequence

import numpy as np

from atmodist.fields.archive import check_finite
from atmodist.fields.series import FieldSeries
from atmodist.fields.time_axis import NO_CALENDAR, STANDARD_CALENDARS

EVERYDAY = "standard"  # what calendars that agree for today's dates are called here


class Fields:
    """Fields of a file by valid time, found complete.

    Attributes:
        series: As it was opened.
        time: Its valid times.

    Args:
        series: As it was opened.
        what: Whose they are, for complaints: "reference", or "candidate sr".
    """

    def __init__(self, series: FieldSeries, what: str):
        self.series = series
        self._what = what
        try:
            self.time = series.time
        except ValueError as error:
            raise ValueError(f"{what}: {series.path}: {error}") from None
        self._steps = {int(second): i for i, second in enumerate(self.time.seconds)}
        self._latest: tuple[int, np.ndarray] | None = None

    @property
    def calendar(self) -> str:
        """The calendar; all that agree for today's dates are one."""
        calendar = self.time.calendar
        return EVERYDAY if calendar in STANDARD_CALENDARS else calendar

    def step(self, second: int) -> int:
        """Number of the field of a time."""
        return self._steps[second]

    def read(self, second: int) -> np.ndarray:
        """Reads the field of a time; the latest one is kept, and must not be changed.

        Raises:
            ValueError: If values are missing; says where.
        """
        latest = self._latest
        if latest is not None and latest[0] == second:
            return latest[1]
        step = self._steps[second]
        values = self.series.read(step)
        where = f"{self._what}: {self.series.path}"
        check_finite(values, self.series.channels, self.series.times[step], where)
        values.flags.writeable = False
        self._latest = (second, values)
        return values

    def require_comparable(self, reference: "Fields", what: str) -> None:
        """Refuses series whose times do not mean the same.

        Raises:
            ValueError: Says in one line how they differ.
        """
        ours, theirs = self.calendar, reference.calendar
        if ours != theirs:
            said = [
                "no dates" if calendar == NO_CALENDAR else f"the calendar {calendar!r}"
                for calendar in (ours, theirs)
            ]
            raise ValueError(
                f"{what}: {self.series.path} has {said[0]}, and the reference "
                f"{reference.series.path} {said[1]}: it is not known which fields belong together"
            )
        if ours == NO_CALENDAR and len(self.time) != len(reference.time):
            raise ValueError(
                f"{what}: {self.series.path} has {len(self.time)} fields and the reference "
                f"{len(reference.time)}, and without dates it is not known which belong together"
            )


def common_times(times: Sequence[np.ndarray]) -> np.ndarray:
    """Times that are in all of several series, in order."""
    common = times[0]
    for seconds in times[1:]:
        common = common[np.isin(common, seconds)]
    return common
