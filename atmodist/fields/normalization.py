"""Normalisation of vorticity and divergence, whose variance sits in a few storms.

We standardise, then compress the tails, so that a network sees storms without being ruled by them,
then standardise again (Hoffmann and Lessig, 2022):

    z = (x - μ) / σ,    y = sign(z) log(1 + α|z|),    (y - μ') / σ'

Conventions: each channel is in its own units; float32 stays float32. The
numbers live in `normalization.json`, which travels with records and networks. Whoever brings two
things together calls `require_same`: a network fed with another normalisation than it was trained
with gives numbers that look right and are not.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from atmodist.fields.channels import Channel, named_channels
from atmodist.files.outputs import digest, read_json, require_format, write_json

FORMAT = "atmodist-normalization"
FORMAT_VERSION = 1
ALPHA = 0.2  # dimensionless; the reference implementation's
NUMBERS = ("mean", "std", "log_mean", "log_std")
FILE = "normalization.json"
BLOCK_VALUES = 1 << 16  # worked on at a time, so that temporaries stay in a core's cache

# Normalisations that are known by name wherever a file of one is asked for.
NAMED: Mapping[str, Mapping[str, Any]] = {
    "era5-ml120": {  # constants of the reference implementation, for its records and encoders
        "channels": ("divergence", "vorticity"),
        "units": ("s-1", "s-1"),
        "mean": (1.946e-8, 2.055e-7),
        "std": (2.857e-5, 5.082e-5),
        "log_mean": (8.82e-4, 3.25e-4),
        "log_std": (0.15795, 0.16044),
        "source": {"archive": "ERA5 at model level 120, as the reference implementation has it"},
    }
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Normalization:
    """Maps physical fields to numbers of order one, and back.

    Attributes:
        channels: Names of the channels, in the order of the last axis.
        mean: μ, in the units of the channels. Shape (channel,).
        std: σ > 0, in the units of the channels. Shape (channel,).
        log_mean: μ', dimensionless. Shape (channel,).
        log_std: σ' > 0, dimensionless. Shape (channel,).
        alpha: α > 0, dimensionless; larger α compresses more.
        units: Units of the channels; empty where unknown.
        source: Where the numbers come from (archive, fingerprint, period, number of steps).

    Raises:
        ValueError: If a number is missing, not finite or, where it must be, not positive.
    """

    channels: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    log_mean: np.ndarray
    log_std: np.ndarray
    alpha: float = ALPHA
    units: tuple[str, ...] = ()
    source: Mapping[str, Any] = dataclass_field(default_factory=dict)

    def __post_init__(self) -> None:
        channels = _names("channels", self.channels)
        if not channels or len(set(channels)) < len(channels):
            raise ValueError(f"`channels` must be one or more different names; got {channels}")
        units = _names("units", self.units) or ("",) * len(channels)
        if len(units) != len(channels):
            raise ValueError(f"`units` must have one entry for each of {channels}; got {units}")
        if not isinstance(self.source, Mapping):
            raise ValueError(f"`source` must be a mapping; got {self.source!r}")
        checked: dict[str, Any] = {
            "channels": channels,
            "units": units,
            "source": dict(self.source),
        }
        for name in NUMBERS:
            checked[name] = _numbers(name, getattr(self, name), channels)
        checked["alpha"] = check_alpha(self.alpha)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __call__(
        self, field: np.ndarray, out: np.ndarray | None = None, *, axis: int = -1
    ) -> np.ndarray:
        """Normalises a field.

        Args:
            field: In the units of the channels; left unchanged unless it is `out`.
            out: Where to put the result; may be `field` itself. A new array by default.
            axis: That of the channels, in `field` and in the result.

        Returns:
            The dimensionless field; float32 if `field` is, otherwise float64.
        """
        field, out, result = self._checked_arrays(field, out, axis)
        number = field.dtype.type  # a float64 scalar would turn float32 arithmetic into float64
        mean, scale, log_mean, log_scale = (
            a.astype(number)
            for a in (self.mean, self.alpha / self.std, self.log_mean, 1 / self.log_std)
        )
        for block, target in _blocks(field, out):
            for c in range(len(self.channels)):
                z = block[..., c] - mean[c]
                z *= scale[c]
                y = np.abs(z)
                np.log1p(y, out=y)
                _take_sign(y, z)
                y -= log_mean[c]
                np.multiply(y, log_scale[c], out=target[..., c])
        return result

    def network_input(self, field: np.ndarray) -> np.ndarray:
        """Normalises fields as archives hold them, for networks.

        Args:
            field: (..., channel, latitude, longitude), in the units of the channels.

        Returns:
            (..., latitude, longitude, channel), dimensionless.
        """
        return self(np.moveaxis(field, -3, -1))

    def inverse(
        self, normalized: np.ndarray, out: np.ndarray | None = None, *, axis: int = -1
    ) -> np.ndarray:
        """Returns physical units: `inverse(self(x))` is x to rounding.

        Args:
            normalized: Dimensionless; left unchanged unless it is `out`.
            out: Where to put the result; may be `normalized` itself. A new array by default.
            axis: That of the channels, in `normalized` and in the result.

        Returns:
            The field in the units of the channels; float32 if `normalized` is, otherwise float64.
        """
        normalized, out, result = self._checked_arrays(normalized, out, axis)
        number = normalized.dtype.type
        mean, scale, log_mean, log_std = (
            a.astype(number)
            for a in (self.mean, self.std / self.alpha, self.log_mean, self.log_std)
        )
        for block, target in _blocks(normalized, out):
            for c in range(len(self.channels)):
                y = block[..., c] * log_std[c]
                y += log_mean[c]
                z = np.abs(y)
                np.expm1(z, out=z)
                _take_sign(z, y)
                z *= scale[c]
                np.add(z, mean[c], out=target[..., c])
        return result

    @property
    def described_channels(self) -> tuple[Channel, ...]:
        """The channels with their units, as readers of files ask for them."""
        return named_channels(self.channels, self.units)

    @cached_property
    def identity(self) -> str:
        """A short hex digest of all that changes numbers, and of nothing else."""
        return digest({name: getattr(self, name) for name in ("channels", *NUMBERS, "alpha")})

    def require_same(
        self, other: "Normalization", *, ours: str = "these data", theirs: str = "the others"
    ) -> None:
        """Refuses to mix two normalisations up.

        Args:
            other: What the other side was made with.
            ours: What was made with this one, for instance "the records in pairs/".
            theirs: What was made with `other`, for instance "the network in run7/".

        Raises:
            ValueError: If they differ; names both sides, their normalisations and sources.
        """
        if self.identity != other.identity:
            raise ValueError(
                f"{ours} and {theirs} were made with different normalisations: "
                f"{ours} with {self}, {theirs} with {other}. "
                "Make one of them again with the normalization.json of the other."
            )

    def save(self, path: str | Path) -> None:
        """Writes `normalization.json`, atomically; numbers are kept to the last bit."""
        write_json(path, self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The content of `normalization.json`, as plain types."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "identity": self.identity,
            "channels": list(self.channels),
            "units": list(self.units),
            "alpha": self.alpha,
            **{name: getattr(self, name).tolist() for name in NUMBERS},
            "source": dict(self.source),
        }

    @classmethod
    def load(cls, path: str | Path) -> "Normalization":
        """Reads what `save` wrote, or makes one that is known by name.

        Args:
            path: A file; or a name in `NAMED`, where no file is called so.

        Raises:
            FileNotFoundError: If there is neither.
            ValueError: If it is no normalisation, is incomplete, of another version, was edited
                by hand, or holds numbers that cannot be; the message names the file.
        """
        if not Path(path).is_file():
            if str(path) in NAMED:
                return cls(**NAMED[str(path)])
            raise FileNotFoundError(
                f"there is no normalisation {path}; `atmodist statistics` makes one, and these are "
                f"known by name: {', '.join(NAMED)}"
            )
        content = read_json(path)
        try:
            return cls.from_dict(content)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, content: Any) -> "Normalization":
        """Makes a normalisation from what `as_dict` returns, and checks it."""
        require_format(content, FORMAT, FORMAT_VERSION, what="normalisation")
        keys = ("channels", "units", "alpha", *NUMBERS, "source")
        missing = [key for key in ("identity", *keys) if key not in content]
        if missing:
            raise ValueError(f"the normalisation lacks {', '.join(missing)}")
        normalization = cls(**{key: content[key] for key in keys})
        if normalization.identity != content["identity"]:
            raise ValueError(
                f"the numbers do not belong to identity {content['identity']!r} "
                f"(theirs is {normalization.identity}); was it edited? "
                "`atmodist statistics` makes it anew"
            )
        return normalization

    def __str__(self) -> str:
        source = self.source
        parts = [source["archive"]] if "archive" in source else []
        if "start" in source and "end" in source:
            parts.append(f"{source['start']} .. {source['end']}")
        if "num_steps" in source:
            parts.append(f"{source['num_steps']} steps")
        origin = ", ".join(map(str, parts)) or "an unknown source"
        return f"normalization {self.identity} (from {origin})"

    def _checked_arrays(
        self, field: np.ndarray, out: np.ndarray | None, axis: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Field and output with channels last, and the output as it was asked for."""
        field = np.asarray(field)
        if field.dtype != np.float32:
            field = field.astype(np.float64, copy=False)
        if not -field.ndim <= axis < field.ndim or field.shape[axis] != len(self.channels):
            name = "the last axis" if axis == -1 else f"axis {axis}"
            raise ValueError(
                f"{name} must be the channels {self.channels}; got shape {field.shape}"
            )
        if out is None:
            out = np.empty(field.shape, field.dtype)
        elif out.shape != field.shape or out.dtype != field.dtype:
            raise ValueError(
                f"`out` must be {field.dtype} of shape {field.shape}; "
                f"got {out.dtype} of shape {out.shape}"
            )
        return np.moveaxis(field, axis, -1), np.moveaxis(out, axis, -1), out


def normalization_of(folder: str | Path, named: str | Path | None = None) -> Normalization | None:
    """The normalisation that lies in a folder; where there is none, the one that is named.

    Args:
        folder: Of records, of a run, or a package.
        named: What somebody gives who may know: a file, or a name in `NAMED`.

    Raises:
        ValueError: If the folder has another one than is named.
    """
    given = None if named is None else Normalization.load(named)
    path = Path(folder) / FILE
    if not path.is_file():
        return given
    own = Normalization.load(path)
    if given is not None:
        own.require_same(given, ours=f"what lies in {folder}", theirs="the normalisation given")
    return own


def require_normalization(run: str | Path, named: str | Path | None = None) -> Normalization:
    """The normalisation of a run; like `normalization_of`, but there must be one.

    Raises:
        FileNotFoundError: If the run has none and none is named; says how to name one.
    """
    found = normalization_of(run, named)
    if found is None:
        raise FileNotFoundError(
            f"{run} lacks {FILE}, which says how its encoder was fed; `atmodist calibrate` and "
            "`atmodist package` take it by --normalization and keep it there: a file, or a name "
            f"({', '.join(NAMED)})"
        )
    return found


def check_alpha(alpha: float) -> float:
    """Returns α as a float; raises `ValueError` unless it is positive and finite."""
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.number):
        raise ValueError(f"`alpha` must be a number; got {alpha!r}")
    if not (math.isfinite(alpha) and alpha > 0):
        raise ValueError(f"`alpha` must be positive and finite; got {alpha}")
    return float(alpha)


def _names(attribute: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise ValueError(f"`{attribute}` must be a list of names; got {values!r}")
    return tuple(values)


def _numbers(name: str, values: Any, channels: tuple[str, ...]) -> np.ndarray:
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be numbers; got {values!r}") from None
    if numbers.shape != (len(channels),):
        raise ValueError(
            f"`{name}` must have one number for each of {channels}; got shape {numbers.shape}"
        )
    if not np.isfinite(numbers).all():
        raise ValueError(f"`{name}` must be finite; got {numbers.tolist()}")
    if name.endswith("std") and (numbers <= 0).any():
        raise ValueError(f"`{name}` must be positive; got {numbers.tolist()}")
    numbers.flags.writeable = False
    return numbers


def _take_sign(magnitude: np.ndarray, signed: np.ndarray) -> None:
    """Gives `magnitude` (not negative) the sign of `signed`, in place.

    What np.copysign does, by sign bits: numpy has no vector instructions for copysign, and it
    would be the slowest step of all. Overwrites `signed`.
    """
    bits = np.uint32 if signed.dtype == np.float32 else np.uint64
    sign, result = signed.view(bits), magnitude.view(bits)
    np.bitwise_and(sign, bits(1 << (8 * signed.itemsize - 1)), out=sign)
    np.bitwise_or(result, sign, out=result)


def _blocks(field: np.ndarray, out: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cuts two arrays of one shape into views of at most `BLOCK_VALUES` values, any strides."""
    if field.ndim == 1:
        yield field[np.newaxis], out[np.newaxis]
    elif field.size <= BLOCK_VALUES:
        yield field, out
    elif field[0].size > BLOCK_VALUES:
        for part in zip(field, out, strict=True):
            yield from _blocks(*part)
    else:
        rows = BLOCK_VALUES // field[0].size
        for start in range(0, len(field), rows):
            yield field[start : start + rows], out[start : start + rows]
