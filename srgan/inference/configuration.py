"""The settings of `phire-infer`; imports nothing heavy."""

from dataclasses import dataclass, field
from pathlib import Path

from atmodist.fields.archive import Compression

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True, kw_only=True)
class InferConfig:
    """Makes an archive of super-resolved fields from fields of low resolution."""

    generator: str = field(
        metadata={
            "help": "Folder of phire-train, generator package, hf://user/name, or nearest, "
            "bilinear or bicubic (with --factor)."
        }
    )
    input: str = field(
        metadata={
            "help": "Archive, NetCDF file or Zarr store of low-resolution fields; of high-"
            "resolution ones with --degrade."
        }
    )
    output: str = "sr.h5"
    """The archive to make; with several members sr-000.h5, sr-001.h5, ..."""
    factor: int | None = None
    """Points per coarse cell in each direction; for interpolation, a generator has its own."""
    degrade: bool = False
    """The input has the high resolution: average it over blocks first, then restore exactly its own
    grid, to be compared with it."""
    like: str | None = None
    """Archive whose grid the output shall have; by default that which covers the same cells."""
    channels: str | list[str] | None = None
    """Channels to interpolate, as [vorticity,divergence]; by default all of an archive, or
    divergence and vorticity."""
    members: int = 1
    """Members of an ensemble, each with noise of its own; needs a stochastic generator."""
    seed: int = 0
    """Where the noise of a stochastic generator begins."""
    static: str | None = None
    """static.npz of records of phire-data with static fields on the output's grid, if that is not
    the one the generator was trained on."""
    member: int | None = None
    """Member of an ensemble to take, as the input calls it, if it holds several."""
    unusual_values: bool = False
    """Read winds, vorticity or divergence that no atmosphere has, rather than refuse them."""
    start: str | None = None
    """First time, for instance 2018-10-06; the input's first by default."""
    end: str | None = None
    """Last time; the input's last by default."""
    tile: tuple[int, int] | None = None
    """Rows and columns of low resolution computed at once; by default what tile_gigabytes allow.
    The result does not depend on it."""
    tile_gigabytes: float = 2.0
    """Memory for the activations of one tile, roughly."""
    compression: Compression = "blosc2"
    """Lossless compression of the archive; 'gzip' is slow but read by every HDF5 program."""
    overwrite: bool = False
    """Replace a file that is there already, and was not made from this input with these
    settings."""

    def __post_init__(self) -> None:
        if isinstance(self.channels, str):
            names = [name for name in self.channels.split(",") if name]
            object.__setattr__(self, "channels", names)
        is_interpolation = self.generator in INTERPOLATIONS
        if is_interpolation and self.factor is None:
            raise ValueError(f"{self.generator} needs a factor, for instance --factor 4")
        if self.factor is not None and self.factor < 2:
            raise ValueError(f"`factor` must be at least 2; got {self.factor}")
        if self.channels is not None and not is_interpolation:
            raise ValueError("`channels` are for interpolation; a generator has its own")
        if self.channels is not None and not self.channels:
            raise ValueError("`channels` must name at least one channel")
        if self.degrade and self.like is not None:
            raise ValueError("`like` is the grid of the input if `degrade`; give one of them")
        if not 1 <= self.members <= 1000:
            raise ValueError(f"`members` must lie in 1..1000; got {self.members}")
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative; got {self.seed}")
        if self.tile is not None and min(self.tile) < 1:
            raise ValueError(f"`tile` must be two positive numbers; got {list(self.tile)}")
        if not self.tile_gigabytes > 0:
            raise ValueError(f"`tile_gigabytes` must be positive; got {self.tile_gigabytes}")
        if not self.output:
            raise ValueError("`output` must name the archive to write")

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The archive of each member."""
        path = Path(self.output)
        if self.members == 1:
            return (path,)
        names = (f"{path.stem}-{member:03d}{path.suffix}" for member in range(self.members))
        return tuple(path.with_name(name) for name in names)
