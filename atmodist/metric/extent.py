"""Which fields a distance was calibrated on, and whether it holds for others.

Hours are read off a curve of distances of patches, or of whole fields, and mean nothing on fields
of another extent: the distance of whole fields is a mean over the globe, which varies less and lies
above that of patches at the same lag. Nor does an encoder know other scales than those of the grid
that it was trained on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from atmodist.fields.described_grid import spacing_degrees
from atmodist.fields.grid import Grid

Kind = Literal["patches", "whole fields"]
UNUSUAL = 1.25  # ratio of spacings or of extents from which fields are unlike those known
CALIBRATE_FIELDS = "`atmodist calibrate RUN --archive ARCHIVE` calibrates on whole fields"


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The fields that a calibration was measured on.

    Attributes:
        kind: "patches" or "whole fields".
        shape: (latitude, longitude) grid points.
        spacing_degrees: From row to row and from column to column; None if unknown.
        grid: The grid in words, of the fields that patches were drawn from; empty if unknown.

    Raises:
        ValueError: If one of these cannot be.
    """

    kind: Kind
    shape: tuple[int, int]
    spacing_degrees: tuple[float, float] | None = None
    grid: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"`kind` must be one of {get_args(Kind)}; got {self.kind!r}")
        object.__setattr__(self, "shape", _two("shape", self.shape, int))
        if self.spacing_degrees is not None:
            spacing = _two("spacing_degrees", self.spacing_degrees, float)
            object.__setattr__(self, "spacing_degrees", spacing)
        if not isinstance(self.grid, str):
            raise ValueError(f"`grid` must be a text; got {self.grid!r}")

    @classmethod
    def of_fields(cls, grid: Grid) -> "Extent":
        """Whole fields on a grid."""
        return cls(
            kind="whole fields",
            shape=grid.shape,
            spacing_degrees=spacing_degrees(grid),
            grid=str(grid),
        )

    @classmethod
    def of_patches(cls, shape: tuple[int, int], grid: Grid | None) -> "Extent":
        """Patches of so many grid points of fields on a grid; None if that is unknown."""
        if grid is None:
            return cls(kind="patches", shape=shape)
        return cls(
            kind="patches", shape=shape, spacing_degrees=spacing_degrees(grid), grid=str(grid)
        )

    @classmethod
    def from_dict(cls, content: Any) -> "Extent":
        """Makes it from what `as_dict` returns, and checks it."""
        if not isinstance(content, Mapping):
            raise ValueError(f"`extent` must be an object; got {content!r}")
        names = ("kind", "shape", "spacing_degrees", "grid")
        return cls(**{name: content[name] for name in names})

    def as_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)

    def concern(self, grid: Grid) -> str | None:
        """Says so if fields on a grid are of another extent; None if hours hold for them."""
        found = spacing_degrees(grid)
        own = self.spacing_degrees or found
        covered = [n * step for n, step in zip(self.shape, own, strict=True)]
        asked = [n * step for n, step in zip(grid.shape, found, strict=True)]
        if not differ(covered, asked):
            return None
        return (
            f"the distance is calibrated on {self}, and the fields are {grid}, so that hours are "
            f"wrong; {CALIBRATE_FIELDS}"
        )

    def __str__(self) -> str:
        rows, columns = self.shape
        text = f"{self.kind} of {rows} x {columns} points"
        if self.spacing_degrees is None:
            return text
        north, east = (n * d for n, d in zip(self.shape, self.spacing_degrees, strict=True))
        return f"{text} ({min(north, 180.0):.4g} x {min(east, 360.0):.4g} degrees)"


def differ(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether spacings or extents are so unlike that what holds for one is doubtful for another."""
    return max(max(x / y, y / x) for x, y in zip(a, b, strict=True)) > UNUSUAL


def _two(name: str, values: Any, kind: type) -> tuple[Any, ...]:
    """Two positive numbers."""
    numbers = tuple(values) if isinstance(values, list | tuple) else ()
    known = int if kind is int else (int, float)
    ok = len(numbers) == 2 and all(
        isinstance(n, known) and not isinstance(n, bool) and math.isfinite(n) and n > 0
        for n in numbers
    )
    if not ok:
        raise ValueError(f"`{name}` must be two positive numbers; got {values!r}")
    return tuple(kind(n) for n in numbers)
