"""The time axis of an archive: whole seconds in a named calendar, and where its holes are.

Times are kept as integers, seconds since 1970-01-01 in the archive's own calendar (CF), so that
calendars without leap days need no special treatment. A hole (a difference larger than the step)
ends one *segment* and begins the next; nothing that needs consecutive steps may span it.
"""

import itertools
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atmodist.files.described import Described

EPOCH_UNITS = "seconds since 1970-01-01"
NO_CALENDAR = "none"  # bare files: steps are counted, not dated
STANDARD_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
_ISO = re.compile(r"^(\d{1,4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d))?)?Z?)?$")
_DAY = 86_400
REFORM = -141_427 * _DAY  # 1582-10-15: from here on the standard calendar is Gregorian


@dataclass(frozen=True, eq=False, repr=False)
class TimeAxis(Described):
    """Times of the steps of an archive.

    Attributes:
        seconds: Seconds since 1970-01-01 in `calendar`, strictly increasing. Shape (time,), int64.
        calendar: A CF calendar, or "none" where steps are only counted.

    Raises:
        ValueError: If times are duplicated or out of order; names the first such step.
    """

    seconds: np.ndarray
    calendar: str = "standard"

    def __post_init__(self) -> None:
        seconds = np.array(self.seconds, dtype=np.int64)
        if seconds.ndim != 1 or not len(seconds):
            raise ValueError(f"time must be 1-D and not empty; got shape {seconds.shape}")
        seconds.flags.writeable = False
        object.__setattr__(self, "seconds", seconds)
        backward = np.flatnonzero(np.diff(seconds) <= 0)
        if len(backward):
            i = int(backward[0])
            fault = "is repeated" if seconds[i] == seconds[i + 1] else "is followed by an earlier"
            later = "" if seconds[i] == seconds[i + 1] else f" {self.isoformat(i + 1)}"
            raise ValueError(
                f"times must increase; {self.isoformat(i)} (step {i}) {fault}{later} "
                f"({len(backward)} such steps in all)"
            )

    @classmethod
    def counted(cls, num_steps: int) -> "TimeAxis":
        """The axis of a file that has no times: steps 0, 1, 2, ... without a hole."""
        return cls(np.arange(num_steps), NO_CALENDAR)

    def __len__(self) -> int:
        return len(self.seconds)

    @cached_property
    def step(self) -> int:
        """The commonest difference between neighbours, in seconds (the smaller one if tied)."""
        if len(self.seconds) < 2:
            return 0
        differences, counts = np.unique(np.diff(self.seconds), return_counts=True)
        return int(differences[np.argmax(counts)])

    def segments(self) -> tuple[range, ...]:
        """Runs of consecutive steps without a hole, as ranges of step numbers."""
        breaks = np.flatnonzero(np.diff(self.seconds) != self.step) + 1
        edges = [0, *breaks.tolist(), len(self.seconds)]
        return tuple(range(a, b) for a, b in itertools.pairwise(edges))

    def isoformat(self, index: int) -> str:
        """The time of a step, for instance "2018-10-06T18:00:00"; "step 3" where undated."""
        return format_seconds(int(self.seconds[index]), self.calendar)

    def select(self, start: str | None = None, end: str | None = None) -> range:
        """Step numbers with start <= time <= end.

        Args:
            start: ISO date or time ("2018-10-06", "2018-10-06T18"); None for the first.
            end: The same; a date alone means the end of that day. None for the last.

        Raises:
            ValueError: If a time cannot be read, or no step lies between them.
        """
        first = 0 if start is None else self.seconds.searchsorted(self.parse(start), "left")
        last = (
            len(self)
            if end is None
            else self.seconds.searchsorted(self.parse(end, end_of_day=True), "right")
        )
        if first >= last:
            raise ValueError(
                f"no step between {start or 'the start'} and {end or 'the end'}: the times run "
                f"from {self.isoformat(0)} to {self.isoformat(-1)}"
            )
        return range(int(first), int(last))

    def parse(self, text: str, *, end_of_day: bool = False) -> int:
        """Seconds since 1970-01-01 of an ISO time in this calendar."""
        if self.calendar == NO_CALENDAR:
            raise ValueError(f"cannot look for {text!r}: this archive has no dates, only steps")
        match = _ISO.match(text.strip())
        if not match:
            raise ValueError(f"{text!r} is no time; write 2018-10-06 or 2018-10-06T18:00")
        parts = [int(part) if part else 0 for part in match.groups()]
        try:
            seconds = seconds_of(parts, self.calendar)
        except ValueError:
            raise ValueError(f"{text!r} does not exist in the calendar {self.calendar!r}") from None
        whole_day = end_of_day and match.group(4) is None
        return seconds + (_DAY - 1 if whole_day else 0)

    def __str__(self) -> str:
        text = f"{len(self)} step{'' if len(self) == 1 else 's'}"
        if self.calendar != NO_CALENDAR:
            text += f", {self.isoformat(0)} .. {self.isoformat(-1)}"
        if self.step and self.calendar != NO_CALENDAR:
            text += f" every {_duration(self.step)}"
        holes = len(self.segments()) - 1
        if holes:
            text += f", {holes} hole{'s' if holes > 1 else ''}"
        if self.calendar not in ("standard", NO_CALENDAR):
            text += f", calendar {self.calendar}"
        return text


def format_seconds(seconds: int, calendar: str) -> str:
    """ISO text of seconds since 1970-01-01 in a calendar; "step 3" where there is none."""
    if calendar == NO_CALENDAR:
        return f"step {seconds}"
    if calendar == "proleptic_gregorian" or (calendar in STANDARD_CALENDARS and seconds >= REFORM):
        return str(np.datetime64(seconds, "s"))
    import cftime

    return str(cftime.num2date(seconds, EPOCH_UNITS, calendar=calendar).isoformat())


def seconds_of(parts: list[int], calendar: str) -> int:
    """Seconds since 1970-01-01 of year, month, day, hour, ... in a calendar."""
    import cftime

    return int(cftime.date2num(cftime.datetime(*parts, calendar=calendar), EPOCH_UNITS, calendar))


def _duration(seconds: int) -> str:
    for size, unit in ((_DAY, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
