"""How records of patches are made: settings of all samplers, checked when they are given."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PositionSampling = Literal["area", "row"]


SUITABLE_RECORDS = 20_000  # enough for a small network to learn from, in an hour on two cores
LEAST_PATCHES = 20  # of a time step
MOST_OVERLAP = 8.0  # patches of a step per patch that would fit side by side


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Draws patches from an archive and writes them as TFRecord shards."""

    archive: str = field(metadata={"help": "The archive (HDF5) to draw from."})
    output: str = "records"
    """Folder that receives <dataset>/<version>/ with the shards."""
    dataset: str = "patches"
    """Name of the dataset; lower-case letters, digits and underscores."""
    version: str = "1.0.0"
    """Version of the dataset, as TFDS has them."""
    seed: int = 0
    """Seed of everything that is drawn."""
    patch_shape: tuple[int, int] = (160, 160)
    """Rows and columns of a patch, written [160,160]."""
    patches_per_step: int | None = None
    """Patches drawn from each time step; null for as many as give 20,000 in all, but at least 20,
    and no more than overlap eight times."""
    latitude_range: tuple[float, float] = (-90.0, 90.0)
    """South and north limit of the patches, degrees north."""
    position_sampling: PositionSampling = "area"
    """"area" draws patches uniformly in area; "row" draws rows alike, as the reference does."""
    evaluation_fraction: float = 0.2
    """Share of the time span, at its end, kept for evaluation; 0 for none."""
    gap: int | None = None
    """Time steps between training and evaluation."""
    normalization: str | None = None
    """normalization.json to use; made from the training steps unless given."""
    compression: Literal["none", "gzip", "zlib"] = "none"
    """Compression of the shards; TFDS reads only uncompressed ones."""
    shard_megabytes: float = 128.0
    """Size of a shard, about."""
    workers: int = 0
    """Processes that read and write; 0 for one per core. The result does not depend on it."""

    def __post_init__(self) -> None:
        for name in ("patches_per_step", "shard_megabytes"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive; got {getattr(self, name)}")
        if min(self.patch_shape) < 1:
            raise ValueError(f"patch_shape must be two positive numbers; got {self.patch_shape}")
        if not 0 <= self.evaluation_fraction < 1:
            raise ValueError(
                f"evaluation_fraction must lie in [0, 1); got {self.evaluation_fraction}"
            )
        if self.seed < 0 or self.workers < 0:
            raise ValueError("seed and workers must not be negative")
        south, north = self.latitude_range
        if not -90 <= south < north <= 90:
            raise ValueError(
                "latitude_range must be south, north in degrees north, -90 to 90; got "
                f"{south:g}, {north:g}"
            )
        if not self.dataset.replace("_", "a").isalnum() or not self.dataset.islower():
            raise ValueError(
                f"dataset must be lower-case letters, digits and underscores; got {self.dataset!r}"
            )
        if (
            not all(part.isdigit() for part in self.version.split("."))
            or self.version.count(".") != 2
        ):
            raise ValueError(f"version must be three numbers, as 1.0.0; got {self.version!r}")

    @property
    def folder(self) -> Path:
        """Where the shards go."""
        return Path(self.output) / self.dataset / self.version


def suitable_patches_per_step(
    num_steps: int, field_shape: tuple[int, int], patch_shape: tuple[int, int]
) -> int:
    """How many patches to draw from each step of an archive, if nobody says.

    Args:
        num_steps: Time steps of the archive.
        field_shape: (latitude, longitude) grid points of its fields.
        patch_shape: Of the patches.
    """
    side_by_side = field_shape[0] * field_shape[1] / (patch_shape[0] * patch_shape[1])
    wanted = -(-SUITABLE_RECORDS // num_steps)
    return max(LEAST_PATCHES, min(wanted, int(MOST_OVERLAP * side_by_side)))
