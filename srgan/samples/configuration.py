"""How patches at two resolutions are made: the settings of `phire-data`."""

from dataclasses import dataclass
from typing import Literal

from atmodist.records.configuration import SamplerConfig
from srgan.restoration.degradation import prime_factors

FIELDS_SUFFIX = "_fields"  # of the dataset of whole fields


@dataclass(frozen=True, kw_only=True)
class PatchSamplerConfig(SamplerConfig):
    """Draws patches at high and low resolution and writes them as TFRecord shards."""

    dataset: str = "phire_patches"
    """Name of the dataset; whole fields go to <dataset>_fields."""
    low_archive: str | None = None
    """Archive of the low resolution, of the same times; made from the high one unless given."""
    factor: int | tuple[int, ...] = 4
    """How much finer the high resolution is: a number, or its prime steps, written [2,2]."""
    degradation: Literal["physical", "normalized"] = "physical"
    """"physical" takes means over area in physical units; "normalized", plain means of the
    normalised field, as the reference does. Without a low_archive only."""
    patch_shape: tuple[int, int] = (96, 96)
    """Rows and columns of a high-resolution patch, multiples of the factor, written [96,96]."""
    gap: int | None = None
    """Time steps between training and evaluation; as many as make three days unless given."""
    static: str | tuple[str, ...] = ()
    """Static channels, as [latitude,orography.nc]: the word latitude, or NetCDF-4/HDF5 files on
    the high-resolution grid; file:variable takes one field of a file."""
    whole_fields: bool = False
    """Also write the fields of the evaluation steps with all their rows and columns."""
    whole_field_stride: int = 1
    """Of the evaluation steps, one in so many has its whole field written."""

    def __post_init__(self) -> None:
        super().__post_init__()
        static = self.static.split(",") if isinstance(self.static, str) else self.static
        object.__setattr__(self, "factor", prime_factors(self.factor))
        object.__setattr__(self, "static", tuple(name for name in static if name))
        factor = self.total_factor
        if any(size % factor for size in self.patch_shape):
            rows, columns = (-(-size // factor) * factor for size in self.patch_shape)
            raise ValueError(
                f"patch_shape must be multiples of the factor {factor}; got {self.patch_shape}: "
                f"give for instance --patch_shape '[{rows},{columns}]'"
            )
        if self.low_archive is not None and self.degradation != "physical":
            raise ValueError(
                "degradation says how the low resolution is made; with low_archive it is given"
            )
        if self.gap is not None and self.gap < 1:
            raise ValueError(f"gap must be positive; got {self.gap}")
        if self.whole_field_stride < 1:
            raise ValueError(f"whole_field_stride must be positive; got {self.whole_field_stride}")
        if self.whole_fields and self.evaluation_fraction == 0:
            raise ValueError("whole_fields are for evaluation; evaluation_fraction is 0")

    @property
    def factors(self) -> tuple[int, ...]:
        """Prime steps of the factor."""
        return prime_factors(self.factor)

    @property
    def total_factor(self) -> int:
        """Fine points per coarse cell, in each direction."""
        result = 1
        for step in self.factors:
            result *= step
        return result
