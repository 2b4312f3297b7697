"""How records of patches are made: settings of all samplers, checked when they are given."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PositionSampling = Literal["area", "row"]


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
    patches_per_step: int = 20
    """Patches drawn from each time step."""
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
            if getattr(self, name) <= 0:
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
