"""What `rplearn-eval` is told: its configuration, checked, without importing anything heavy."""

from dataclasses import dataclass, field
from pathlib import Path

from atmodist.pairs.pair_records import step_seconds


@dataclass(frozen=True, kw_only=True)
class PretextEvaluationConfig:
    """Judge a run of rplearn-train: scores, calibration, maps and an audit of shortcuts."""

    run: Path = field(metadata={"help": "Folder of a run, made by rplearn-train."})
    """Folder of a run, made by rplearn-train."""
    records: Path | None = None
    """Folder of pair records; those that the run was trained with unless given."""
    split: str = "evaluation"
    """The split that is judged."""
    checkpoints: str = "best"
    """Which epochs: best, all, or the number of one."""
    output: Path | None = None
    """Folder for the results; RUN/evaluation unless given."""
    archive: Path | None = None
    """The archive that the records were drawn from; needed for maps, and makes the audit exact."""
    normalization: str | None = None
    """What the network was trained with, for a run that does not say it: a normalization.json, or
    a name (era5-ml120: of the reference implementation's records)."""
    step_hours: float | None = None
    """Length of a time step, in hours, for records that do not say it."""
    lag: int | None = None
    """Lag of the maps, in archive steps; the middle label unless given."""
    stride: int | None = None
    """Grid points between the windows of the maps; a quarter of the patch unless given."""
    map_times: int = 16
    """The most times that a map is averaged over."""
    audit: bool = True
    """Whether to find out if the network reads the clock rather than the dynamics."""
    audit_pairs: int = 4096
    """The most pairs that the audit looks at; these are held in memory, two or three times."""
    unrelated_hours: float = 72.0
    """Fields at least this far apart in time count as unrelated weather."""
    batch_size: int = 128
    """Pairs per step."""
    bins: int = 15
    """Bins of the reliability diagram."""
    band_degrees: float = 15.0
    """Width of the latitude bands of the tables."""
    resamples: int | None = None
    """Has no effect: intervals are computed, not drawn. Kept for configurations of version 0.1."""
    figures: bool = True
    """Whether to draw figures."""
    seed: int = 0
    """Decides which fields the audit exchanges."""

    def __post_init__(self) -> None:
        for name in ("run", "records", "output", "archive"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        if self.checkpoints not in ("best", "all") and not self.checkpoints.isdigit():
            raise ValueError(
                "`checkpoints` must be best, all or the number of an epoch; "
                f"got checkpoints={self.checkpoints!r}."
            )
        least = {"map_times": 1, "audit_pairs": 1, "batch_size": 1, "bins": 2}
        for name, limit in {**least, "lag": 1, "stride": 1, "seed": 0}.items():
            value = getattr(self, name)
            if value is not None and value < limit:
                raise ValueError(f"`{name}` must be at least {limit}; got {name}={value}.")
        if self.step_hours is not None:
            step_seconds(self.step_hours)
        if not 1 <= self.band_degrees <= 180:
            raise ValueError(f"`band_degrees` must be 1 to 180; got {self.band_degrees:g}.")
        if not 0 < self.unrelated_hours < float("inf"):
            raise ValueError(f"`unrelated_hours` must be positive; got {self.unrelated_hours:g}.")
        if self.archive is None and self.lag is not None:
            raise ValueError("`lag` is for maps, and these need an archive; give --archive too.")

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.output if self.output is not None else self.run / "evaluation"
