"""Settings of a simulated archive, for the command line and for files."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dynamics.case import Case
from dynamics.cases import CASES
from dynamics.cores import CORES

if TYPE_CHECKING:
    CaseName = str
    CoreName = str
else:
    CaseName = CASES.literal
    CoreName = CORES.literal
DEFAULT_LEVELS = 10
SPUN_UP_NOISE = 0.1  # K, which makes starts with weather differ
MAX_MEMBERS = 1000
MAX_TRUNCATION = 1279  # the tables of its transforms take tens of GB


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """Simulates an atmosphere and keeps its vorticity and divergence at one level.

    The default is the Held-Suarez climate, which has weather from the first hour on.
    """

    output: str = field(metadata={"help": "The archive to make, for instance archive.h5."})
    case: CaseName = "held-suarez"
    """What is simulated; the end of this help says what each case is."""
    core: CoreName = "spectral"
    """The dynamical core: by what method it is simulated."""
    truncation: int = 42
    """Largest number of waves around the Earth that is resolved: of the spectral core the largest
    degree T of its spherical harmonics; T42 lives on a grid of 64 x 128 points."""
    levels: int | None = None
    """Number of layers, all of the same mass, 10 by default; shallow water has none."""
    days: float = 30.0
    """Days that are simulated and written; the first field is the start, the last the end."""
    interval_hours: float = 6.0
    """Hours between fields."""
    level: float | None = None
    """Pressure over surface pressure of the level that is written, from 0 (top) to 1 (ground); the
    nearest one is taken. 0.85 by default."""
    whole_state: bool = False
    """Also write temperature, vorticity and divergence at all levels and the surface pressure (in
    shallow water, the height), as further channels."""
    seed: int = 0
    """Of the noise in the start: other seeds become other weather within weeks."""
    members: int = 1
    """Members of an ensemble, from starts with different noise, written to archive-000.h5 and so
    on."""
    perturbation: float | None = None
    """Root mean square of the noise, in K of temperature or m of height. By default 0.1 for
    starts with weather and for members after the first (1 for held-suarez at rest), none for the
    published starts themselves."""
    spun_up: bool | None = None
    """held-suarez: begin with the state that comes with the package, after its spin-up, rather than
    at rest. True by default."""
    spin_up_days: float = 0.0
    """Days that are simulated before the first field, a whole number of intervals."""
    step_minutes: float | None = None
    """Time step; by default 30 minutes at T42, in inverse proportion to the truncation."""
    start: str = "2000-01-01"
    """Date of the first field, in UTC unless it says otherwise (2000-01-01T00:00+05:00)."""
    compression: Literal["blosc2", "zstd", "gzip", "none"] = "blosc2"
    """Filter of the archive: blosc2, zstd, gzip or none."""
    overwrite: bool = False
    """Replace a file that is there already, and is not this archive."""

    def __post_init__(self) -> None:
        CASES.find(self.case)
        if self.core not in CORES:  # which are not imported yet: they need Keras
            raise ValueError(f"there is no core {self.core!r}; there are {', '.join(CORES)}")
        self._check_numbers()
        self._check_what_the_case_has()
        self._check_times()

    def _check_numbers(self) -> None:
        for name, least in (("truncation", 5), ("levels", 2), ("members", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}; got {value}")
        for name, most in (("truncation", MAX_TRUNCATION), ("members", MAX_MEMBERS)):
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}; got {getattr(self, name)}")
        for name in ("days", "interval_hours", "step_minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be positive; got {value}")
        for name in ("spin_up_days", "perturbation"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name} must not be negative; got {value}")
        if self.level is not None and not 0 <= self.level <= 1:
            raise ValueError(
                "level is pressure over surface pressure, from 0 (top) to 1 (ground); got "
                f"{self.level}"
            )

    def _check_what_the_case_has(self) -> None:
        if not self._case.has_levels:
            for name in ("level", "levels"):
                if getattr(self, name) is not None:
                    raise ValueError(f"shallow water ({self.case}) has no levels; leave {name} out")
        if self.spun_up is not None and not self._case.spun_up:
            having = ", ".join(name for name, case in CASES.items() if case.spun_up)
            raise ValueError(
                f"{having} alone has a spun-up state; leave spun_up out of {self.case}"
            )

    def _check_times(self) -> None:
        if abs(self.interval - self.interval_hours * 3600) > 1e-6 or self.interval < 1:
            raise ValueError(
                f"interval_hours must be whole seconds; got {self.interval_hours} hours"
            )
        if self.num_outputs < 2:
            raise ValueError(
                f"{self.days} days hold no interval of {self.interval_hours} hours; simulate longer"
            )
        if abs(self.num_spin_up * self.interval - self.spin_up_days * 86400) > 1:
            raise ValueError(
                f"spin_up_days must be a whole number of intervals of {self.interval_hours} hours; "
                f"got {self.spin_up_days} days"
            )
        self.start_seconds  # noqa: B018  complains of what is no date

    @property
    def _case(self) -> Case:
        return CASES[self.case]

    @property
    def interval(self) -> int:
        """Seconds between fields."""
        return round(self.interval_hours * 3600)

    @property
    def num_outputs(self) -> int:
        """Fields in all."""
        return int(self.days * 86400 / self.interval + 1e-9) + 1

    @property
    def num_spin_up(self) -> int:
        """Intervals before the first field."""
        return round(self.spin_up_days * 86400 / self.interval)

    @property
    def start_seconds(self) -> int:
        """Of the first field, since 1970-01-01."""
        try:
            date = datetime.fromisoformat(self.start)
        except ValueError:
            raise ValueError(
                f"start must be a date such as 2000-01-01 or 2000-01-01T06:00; got {self.start!r}"
            ) from None
        return int(date.replace(tzinfo=date.tzinfo or UTC).timestamp())

    @property
    def num_levels(self) -> int:
        """Number of layers, where the case has any."""
        return DEFAULT_LEVELS if self.levels is None else self.levels

    @property
    def begins_spun_up(self) -> bool:
        """Whether the state that comes with the package is the start."""
        return bool(self._case.spun_up) and self.spun_up is not False

    def noise(self, member: int) -> float:
        """Root mean square of the noise in the start of a member, in K or m."""
        if self.perturbation is not None:
            return self.perturbation
        if self.begins_spun_up:
            return SPUN_UP_NOISE
        return self._case.noise or (SPUN_UP_NOISE if member else 0.0)

    def path(self, member: int) -> Path:
        """The archive of a member."""
        path = Path(self.output)
        return path.with_stem(f"{path.stem}-{member:03d}") if self.members > 1 else path
