"""What a generator was made for, as `generator.json` in its package says it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from atmodist.fields.described_grid import spacing_degrees
from atmodist.fields.grid import Grid
from atmodist.files.outputs import read_json, write_json
from srgan.restoration.degradation import Alignment

Degradation = Literal["physical", "normalized", "paired"]

FORMAT = "srgan-generator"
FORMAT_VERSION = 1
MAX_FACTOR = 64
MAX_RADIUS = 4096  # coarse cells; also bounds the memory that a file can ask for
MAX_CHANNELS = 1024
UNUSUAL_SPACING = 1.25  # ratio of spacings from which the network meets other scales than it knows


@dataclass(frozen=True, kw_only=True)
class GeneratorFacts:
    """What must be known to use a generator.

    Attributes:
        factors: Prime steps, whose product is the factor.
        channels: Names of the channels, in order.
        alignment: How the coarse grid lies to the fine one.
        degradation: What the coarse fields of its training were: area-weighted means in "physical"
            units, means of the "normalized" field, or another archive ("paired").
        static: Names of static fields on the fine grid, in order.
        noise_channels: Channels of noise; zero if it is deterministic.
        projection: Whether it takes row weights, to keep to the coarse field exactly.
        receptive_radius: How far it sees, in coarse cells.
        spacing_degrees: Between rows and between columns of the fine grid of its training.
        grid: The fine grid of its training in words; empty if unknown.

    Raises:
        ValueError: If one of these cannot be.
    """

    factors: tuple[int, ...]
    channels: tuple[str, ...]
    receptive_radius: int
    alignment: Alignment = "centred"
    degradation: Degradation = "physical"
    static: tuple[str, ...] = ()
    noise_channels: int = 0
    projection: bool = False
    spacing_degrees: tuple[float, float] | None = None
    grid: str = ""

    def __post_init__(self) -> None:
        for name in ("factors", "channels", "static"):
            object.__setattr__(self, name, _tuple(name, getattr(self, name)))
        _require("factors", self.factors, all(_whole(f, 2, MAX_FACTOR) for f in self.factors))
        _require("factors", self.factors, bool(self.factors) and self.factor <= MAX_FACTOR)
        for name in ("channels", "static"):
            names = getattr(self, name)
            _require(name, names, all(isinstance(n, str) for n in names))
            _require(name, names, len(set(names)) == len(names) <= MAX_CHANNELS)
        _require("channels", self.channels, bool(self.channels))
        _require(
            "receptive_radius", self.receptive_radius, _whole(self.receptive_radius, 0, MAX_RADIUS)
        )
        _require("alignment", self.alignment, self.alignment in get_args(Alignment))
        _require("degradation", self.degradation, self.degradation in get_args(Degradation))
        _require(
            "noise_channels", self.noise_channels, _whole(self.noise_channels, 0, MAX_CHANNELS)
        )
        _require("projection", self.projection, isinstance(self.projection, bool))
        if self.projection and self.alignment != "centred":
            raise ValueError("a `projection` keeps block means, and needs `alignment` 'centred'")
        _require("grid", self.grid, isinstance(self.grid, str))
        if self.spacing_degrees is not None:
            spacing = _tuple("spacing_degrees", self.spacing_degrees)
            ok = len(spacing) == 2 and all(_positive(number) for number in spacing)
            _require("spacing_degrees", spacing, ok)
            object.__setattr__(self, "spacing_degrees", tuple(float(n) for n in spacing))

    @property
    def factor(self) -> int:
        """Fine points per coarse cell, along each axis."""
        return math.prod(self.factors)

    def concern(self, low: Grid) -> str | None:
        """Says so if a coarse grid is much coarser or finer than those of the training."""
        if self.spacing_degrees is None:
            return None
        found = spacing_degrees(low)
        expected = tuple(self.factor * spacing for spacing in self.spacing_degrees)
        ratios = [max(a / b, b / a) for a, b in zip(found, expected, strict=True)]
        if max(ratios) < UNUSUAL_SPACING:
            return None
        return (
            f"the fields have a spacing of {found[0]:.4g} x {found[1]:.4g} degrees; the generator "
            f"was trained to refine {expected[0]:.4g} x {expected[1]:.4g} degrees, and knows no "
            "other scales"
        )

    def save(self, path: str | Path) -> None:
        """Writes `generator.json`, atomically."""
        write_json(path, {"format": FORMAT, "version": FORMAT_VERSION, **asdict(self)})

    @classmethod
    def load(cls, path: str | Path) -> "GeneratorFacts":
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is of another format or version, is incomplete, or cannot be.
        """
        content = read_json(path)
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            raise ValueError(f'{path} describes no generator (it lacks "format": "{FORMAT}")')
        if content.get("version") != FORMAT_VERSION:
            raise ValueError(
                f"{path}: version {content.get('version')!r} is unknown; this release reads "
                f"version {FORMAT_VERSION}"
            )
        names = {field.name for field in fields(cls)}
        given = {name: content[name] for name in names & set(content)}
        missing = sorted(names - set(given))
        strange = sorted(set(content) - names - {"format", "version"})
        if missing or strange:
            fault = f"lacks {missing[0]!r}" if missing else f"has an unknown entry {strange[0]!r}"
            raise ValueError(f"{path} {fault}")
        try:
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None


def _tuple(name: str, values: Any) -> tuple[Any, ...]:
    _require(name, values, isinstance(values, list | tuple))
    return tuple(values)


def _require(name: str, value: Any, is_right: bool) -> None:
    if not is_right:
        raise ValueError(f"`{name}` of a generator cannot be {value!r:.80}")


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0
