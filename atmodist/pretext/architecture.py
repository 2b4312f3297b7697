"""What an architecture is: an encoder, the head it is trained under, and a recipe of training.

Numbers only: a module of `atmodist.pretext.architectures` says what its network is like, and
`networks` builds it. Nothing here imports Keras, since configurations look up recipes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import keras

InputShape = tuple[int | None, int | None, int]
OptimizerName = Literal["sgd", "adamw"]
ScheduleName = Literal["plateau", "cosine", "constant"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A row of residual blocks that ends in a named feature map.

    Attributes:
        filters: Channels of the feature map.
        blocks: Number of blocks; ours are basic ones, two 3×3 convolutions each.
        stride: Stride of the first block.
    """

    filters: int
    blocks: int
    stride: int = 1


@dataclass(frozen=True, kw_only=True)
class ResidualSpec:
    """What distinguishes one residual encoder, and the pieces a head is built from, from another.

    Attributes:
        stem_filters: Filters of the first convolution.
        stem_kernel: Its kernel, in grid points.
        stem_stride: Its stride.
        stem_bias: Whether it has a bias.
        stem_pool: Whether a 3×3 max-pooling of stride 2 follows.
        stages: The stages, finest first.
        normalized_shortcut: Batch normalisation follows the strided 1×1 convolution of a shortcut.
        smooth_shortcut: A shortcut is average pooling, a 1×1 convolution and batch normalisation,
            instead of a strided 1×1 convolution, which drops three of four points.
        l2: Weight of the sum of squared kernels in the loss.
        momentum: Share of the old moving statistics kept per step by batch normalisation.
        epsilon: Added to variances by batch normalisation.
    """

    stem_filters: int
    stem_kernel: int
    stem_stride: int
    stages: tuple[Stage, ...]
    stem_bias: bool = False
    stem_pool: bool = False
    normalized_shortcut: bool = False
    smooth_shortcut: bool = False
    l2: float = 0.0
    momentum: float = 0.99
    epsilon: float = 1.001e-5

    @property
    def stride(self) -> int:
        """Grid points per feature of the last stage."""
        stride = self.stem_stride * (2 if self.stem_pool else 1)
        for stage in self.stages:
            stride *= stage.stride
        return stride


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """How two feature maps become the logits of a pretext label.

    Attributes:
        stages: Filters, blocks and stride of each step. A step of 0 blocks is one convolution with
            batch normalisation and ReLU.
        relations: What is told about each feature of the two fields besides both values: their
            absolute "difference", their "product".
        bias: Whether these single convolutions have a bias.
        pool: Average over space before the dense layer, instead of flattening.
        dense_bias: Whether the dense layer has a bias.
    """

    stages: tuple[Stage, ...]
    relations: tuple[Literal["difference", "product"], ...] = ()
    bias: bool = False
    pool: bool = False
    dense_bias: bool = False


REFERENCE_HEAD = HeadSpec(
    stages=(
        Stage(filters=128, blocks=0, stride=2),
        Stage(filters=128, blocks=0),
    ),
    bias=True,
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a training run that leaves them open; `TrainingConfig` says what they are."""

    optimizer: OptimizerName
    learning_rate: float
    schedule: ScheduleName
    batch_size: int
    epochs: int
    warmup_epochs: int = 0
    warmup_batches: int = 0
    weight_decay: float = 0.0
    ema: float = 0.0
    label_spread: float = 0.0
    mirror: bool = False
    reverse: bool = False


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An encoder with the head it is trained under, and how.

    Attributes:
        about: What it is for, a few words for the help.
        spec: What its stages and blocks are like; heads are built from the same.
        recipe: What it is trained with where nothing else is said.
        head: The pretext head.
        build: Makes the encoder, a model named "encoder" with outputs `stage1` (finest) onwards,
            from `spec` and an input shape; None for the residual network that `spec` describes.
    """

    about: str
    spec: ResidualSpec
    recipe: Recipe
    head: HeadSpec = REFERENCE_HEAD
    build: "Callable[[ResidualSpec, InputShape], keras.Model] | None" = None


def check_input_shape(input_shape: InputShape, stride: int) -> None:
    """Raises `ValueError` unless the extents are whole multiples of `stride`."""
    if len(input_shape) != 3 or not isinstance(input_shape[2], int) or input_shape[2] < 1:
        raise ValueError(
            "`input_shape` must be (latitude, longitude, channel) with at least one channel; "
            f"got {tuple(input_shape)}."
        )
    for axis, extent in zip(("latitude", "longitude"), input_shape[:2], strict=True):
        if extent is not None and (extent < stride or extent % stride):
            raise ValueError(
                f"the patch has {extent} grid points in {axis}, but this architecture needs a "
                f"multiple of {stride} (its total stride); got input_shape={tuple(input_shape)}."
            )
