"""Records of patches at two resolutions: what they have in common."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from atmodist.files.outputs import read_json
from atmodist.records.record_set import SIDECAR, RecordSet
from atmodist.records.shard import WrongContentError
from srgan.restoration.degradation import Alignment, prime_factors
from srgan.samples.format import PATCH_FEATURES, decode_patches

# How the low resolution was made: block means in physical units with area weights; plain block
# means of the normalised field, as the reference does; or it is an archive of its own.
LowResolution = Literal["physical", "normalized", "archive"]


@dataclass(frozen=True, kw_only=True)
class PatchRecords(RecordSet):
    """Records of patches at two resolutions.

    Attributes:
        factors: Prime steps of the factor between the resolutions.
        alignment: How the coarse grid lies to the fine one.
        degradation: How the low resolution was made.
        static: Names of the static channels in `static.npz`, in order.
    """

    kind: ClassVar[str] = "super_resolution"
    command: ClassVar[str] = "phire-data"
    task: ClassVar[str] = "sr"
    description: ClassVar[str] = (
        "Atmospheric fields at two resolutions; `data_HR` is what `data_LR` should become."
    )
    feature_types = PATCH_FEATURES

    factors: tuple[int, ...]
    alignment: Alignment = "centred"
    degradation: LowResolution = "physical"
    static: tuple[str, ...] = ()
    features: tuple[str, ...] = tuple(PATCH_FEATURES)

    @property
    def factor(self) -> int:
        """Fine points per coarse cell, in each direction."""
        result = 1
        for step in self.factors:
            result *= step
        return result

    @property
    def low_shape(self) -> tuple[int, int, int]:
        """(latitude, longitude, channel) of a patch of low resolution."""
        rows, columns = (-(-size // self.factor) for size in self.patch_shape)
        return rows, columns, len(self.channels)

    @classmethod
    def decode(cls, payload: bytes) -> dict[str, Any]:
        """The features of a record; see `decode_patches`."""
        return decode_patches(payload)

    def check(self, record: dict[str, Any]) -> None:
        """Checks the shapes of both patches."""
        for name, shape in self.tensor_shapes().items():
            if record[name].shape != shape:
                raise ValueError(
                    f"the shape of its {name} is {record[name].shape}, that of the set {shape}"
                )

    @classmethod
    def common_facts(cls, record: dict[str, Any]) -> dict[str, Any]:
        """Shape and factor; what does not say it otherwise is made as the reference makes it."""
        rows, columns, channels = record["data_HR"].shape
        low_rows, low_columns, _ = record["data_LR"].shape
        factor = round(rows / low_rows)
        if factor < 2 or (-(-rows // factor), -(-columns // factor)) != (low_rows, low_columns):
            raise ValueError(
                f"its resolutions {low_rows} x {low_columns} and {rows} x {columns} are no whole "
                "factor apart"
            )
        return {
            "patch_shape": (rows, columns),
            "num_channels": channels,
            "factors": prime_factors(factor),
            "degradation": "normalized",
        }

    @classmethod
    def checked_content(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Factor, alignment, degradation and static channels."""
        for name, allowed in (("alignment", Alignment), ("degradation", LowResolution)):
            if content[name] not in get_args(allowed):
                raise WrongContentError(f"{name} is {content[name]!r}")
        try:
            factors = prime_factors(content["factors"])
        except ValueError as error:
            raise WrongContentError(str(error)) from None
        return {"factors": factors, "static": tuple(map(str, content["static"]))}

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of both patches."""
        return {"data_LR": self.low_shape, "data_HR": self.shape}


def open_patch_records(source: str | Path | Iterable[str | Path]) -> PatchRecords:
    """Opens a folder made by `phire-data`, or bare TFRecord files of the reference implementation.

    Args:
        source: A folder with `records.json`; or a folder of `*.tfrecords` files, one such file, or
            several. `sr_train*.tfrecords` are the split "train", `sr_eval*.tfrecords` are
            "evaluation"; others form "all". Of several sets below a folder, the one with patches
            for training is meant: whole fields lie beside it.
    """
    if isinstance(source, str | Path) and len(sets := _sets_below(Path(source))) > 1:
        trainable = [sidecar.parent for sidecar in sets if _has_training(sidecar)]
        source = trainable[0] if len(trainable) == 1 else source
    return PatchRecords.open(source)


def _sets_below(folder: Path) -> list[Path]:
    """The `records.json` of each set below a folder that is none itself."""
    if (folder / SIDECAR).is_file():
        return []
    return [path for pattern in ("*", "*/*") for path in folder.glob(f"{pattern}/{SIDECAR}")]


def _has_training(sidecar: Path) -> bool:
    content = read_json(sidecar)
    splits = content.get("splits") if isinstance(content, dict) else None
    return isinstance(splits, dict) and "train" in splits
