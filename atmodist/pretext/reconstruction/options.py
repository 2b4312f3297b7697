"""Settings of the tasks that give fields again; imports nothing heavy."""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal, Self

from atmodist.files.checks import FRACTION, POSITIVE, check_settings
from atmodist.files.options import PLACE, Options

MaskName = Literal["hole", "centred-hole", "stripes", "blocks"]
LossName = Literal["pixel", "content", "mixed"]


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions(Options):
    """How far a field given again is from the true one."""

    reconstruction_loss: LossName | None = None
    """pixel: mean squared error, of what was hidden. content: squared distance of features, by the
    encoder of another run. mixed: both. Null for pixel, where fields are given again."""
    content_from: str | None = field(default=None, metadata=PLACE)
    """The run or encoder package that a content loss compares features by."""
    content_weight: float | None = None
    """Weight of the content in a mixed loss; null for 1."""

    def __post_init__(self) -> None:
        check_settings(self, {"content_weight": POSITIVE, "mask_fraction": FRACTION})
        loss = self.reconstruction_loss
        if loss in ("content", "mixed"):
            if self.content_from is None:
                raise ValueError(
                    f"reconstruction_loss={loss!r} compares features; name the run of a trained "
                    "encoder by --content_from."
                )
        elif self.content_from is not None:
            raise ValueError(
                "`content_from` is for reconstruction_loss content and mixed; got "
                f"content_from={self.content_from!r} with reconstruction_loss={loss!r}."
            )
        if self.content_weight is not None and loss != "mixed":
            raise ValueError(
                "`content_weight` is for reconstruction_loss mixed; got "
                f"content_weight={self.content_weight!r} with reconstruction_loss={loss!r}."
            )

    def resolved(self) -> Self:
        """With the loss, and the weight of a mixed one."""
        weight = self.content_weight
        if self.reconstruction_loss == "mixed" and weight is None:
            weight = 1.0
        loss = self.reconstruction_loss or "pixel"
        return dataclasses.replace(self, reconstruction_loss=loss, content_weight=weight)


@dataclass(frozen=True, kw_only=True)
class InpaintingOptions(ReconstructionOptions):
    """What is hidden, besides."""

    mask: MaskName | None = None
    """What inpainting hides: a rectangle at random or in the centre (hole, centred-hole), four
    stripes along or across circles of latitude, or random blocks; null for hole."""
    mask_fraction: float | None = None
    """Share of each field that inpainting hides; null for 0.25."""

    def resolved(self) -> Self:
        """With the mask, too."""
        fraction = 0.25 if self.mask_fraction is None else self.mask_fraction
        return dataclasses.replace(
            super().resolved(), mask=self.mask or "hole", mask_fraction=fraction
        )
