"""Encoders: residual networks that turn a field into features, named by stage.

An encoder maps (batch, latitude, longitude, channel) to a dictionary {"stage1": ..., "stage2": ...}
of feature maps. The learned distance and the content loss choose stages by name, never by layer
number. Everything is made of Keras layers and `keras.ops`, so that a saved encoder runs under every
backend of Keras and loads without this package.

`resnet-small` is the reference network. Its parameter count fixes what the papers leave open: the
3×3 convolutions have no bias (those of the head do), the 8×8 stem has one, and a shortcut that
changes the number of channels is a bare 1×1 convolution (no bias, no batch normalisation).
`resnet-18` is the network of He et al. (2016); `resnet-101` is the one that comes with Keras, with
fresh weights: nothing is ever downloaded.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
from keras import layers

CHANNELS_LAST = "channels_last"  # whatever ~/.keras/keras.json says; our data are laid out so

InputShape = tuple[int | None, int | None, int]


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

    def convolution(
        self, filters: int, kernel: int, *, stride: int = 1, bias: bool = False, name: str
    ) -> keras.layers.Layer:
        """Makes a convolution with "same" padding, He-normal kernels and this network's L2."""
        return layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same",
            use_bias=bias,
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
            data_format=CHANNELS_LAST,
            name=name,
        )

    def normalization(self, name: str) -> keras.layers.Layer:
        """Makes a batch normalisation with this network's momentum and epsilon."""
        return layers.BatchNormalization(momentum=self.momentum, epsilon=self.epsilon, name=name)

    def convolved(self, x: Any, filters: int, kernel: int, *, name: str, **options: Any) -> Any:
        """Applies convolution, batch normalisation and ReLU."""
        x = self.convolution(filters, kernel, name=f"{name}_conv", **options)(x)
        return layers.ReLU(name=f"{name}_relu")(self.normalization(f"{name}_norm")(x))

    def block(self, x: Any, filters: int, *, stride: int = 1, name: str, output: str = "") -> Any:
        """Applies a basic block: ReLU(shortcut(x) + norm(conv(ReLU(norm(conv(x))))))."""
        y = self.convolved(x, filters, 3, stride=stride, name=f"{name}_1")
        y = self.convolution(filters, 3, name=f"{name}_2_conv")(y)
        y = self.normalization(f"{name}_2_norm")(y)
        if stride != 1 or x.shape[-1] != filters:
            x = self._shortcut(x, filters, stride, f"{name}_shortcut")
        y = layers.Add(name=f"{name}_add")([x, y])
        return layers.ReLU(name=output or f"{name}_relu")(y)

    def _shortcut(self, x: Any, filters: int, stride: int, name: str) -> Any:
        if self.smooth_shortcut and stride != 1:
            x = layers.AveragePooling2D(
                stride, padding="same", data_format=CHANNELS_LAST, name=f"{name}_pool"
            )(x)
            stride = 1
        x = self.convolution(filters, 1, stride=stride, name=f"{name}_conv")(x)
        if self.smooth_shortcut or self.normalized_shortcut:
            x = self.normalization(f"{name}_norm")(x)
        return x


def residual_encoder(spec: ResidualSpec, input_shape: InputShape) -> keras.Model:
    """Builds the encoder that `spec` describes.

    Args:
        spec: The architecture.
        input_shape: (latitude, longitude, channel); None where any extent shall do.

    Returns:
        A model named "encoder" with a dictionary of outputs, `stage1` (finest) onwards.
    """
    check_input_shape(input_shape, spec.stride)
    inputs = keras.Input(input_shape, name="field")
    x = spec.convolved(
        inputs,
        spec.stem_filters,
        spec.stem_kernel,
        stride=spec.stem_stride,
        bias=spec.stem_bias,
        name="stem",
    )
    if spec.stem_pool:
        x = layers.MaxPooling2D(
            3, strides=2, padding="same", data_format=CHANNELS_LAST, name="stem_pool"
        )(x)
    outputs = {}
    for number, stage in enumerate(spec.stages, start=1):
        name = f"stage{number}"
        for block in range(1, stage.blocks + 1):
            x = spec.block(
                x,
                stage.filters,
                stride=stage.stride if block == 1 else 1,
                name=f"{name}_block{block}",
                output=name if block == stage.blocks else "",
            )
        outputs[name] = x
    return keras.Model(inputs, outputs, name="encoder")


def keras_resnet_101(spec: ResidualSpec, input_shape: InputShape) -> keras.Model:
    """Builds Keras' own ResNet-101, without its classifier.

    Its blocks are bottlenecks, its convolutions have biases and no L2, and it pads with zeros on
    both sides alike (3 before the stem, 1 before the pooling).

    Args:
        spec: What Keras builds, to find the stages by; `stage1` to `stage4` are the last layers of
            its groups conv2 to conv5.
        input_shape: (latitude, longitude, channel); None where any extent shall do.

    Returns:
        A model like that of `residual_encoder`.
    """
    check_input_shape(input_shape, spec.stride)
    inputs = keras.Input(input_shape, name="field")
    configured = keras.config.image_data_format()
    keras.config.set_image_data_format(CHANNELS_LAST)  # Keras asks nobody else here
    try:
        whole = keras.applications.ResNet101(weights=None, include_top=False, input_tensor=inputs)
    finally:
        keras.config.set_image_data_format(configured)
    outputs = {}
    for number, stage in enumerate(spec.stages, start=1):
        last = whole.get_layer(f"conv{number + 1}_block{stage.blocks}_out")
        outputs[f"stage{number}"] = layers.Identity(name=f"stage{number}")(last.output)
    return keras.Model(inputs, outputs, name="encoder")


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


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An encoder with the head it is trained under.

    Attributes:
        name: As users type it.
        spec: What its stages and blocks are like; heads are built from the same.
        head: The pretext head.
        build: Makes the encoder from `spec` and an input shape.
    """

    name: str
    spec: ResidualSpec
    head: HeadSpec
    build: Callable[[ResidualSpec, InputShape], keras.Model] = field(default=residual_encoder)

    def encoder(self, input_shape: InputShape) -> keras.Model:
        """Builds an encoder with fresh weights; see `residual_encoder`."""
        return self.build(self.spec, input_shape)


REFERENCE_HEAD = HeadSpec(
    stages=(
        Stage(filters=128, blocks=0, stride=2),
        Stage(filters=128, blocks=0),
    ),
    bias=True,
)

ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            name="resnet-small",
            spec=ResidualSpec(
                stem_filters=16,
                stem_kernel=8,
                stem_stride=2,
                stem_bias=True,
                stem_pool=True,
                stages=(
                    Stage(filters=16, blocks=6),
                    Stage(filters=32, blocks=6, stride=2),
                    Stage(filters=64, blocks=6, stride=2),
                    Stage(filters=128, blocks=6, stride=2),
                ),
                l2=1e-4,
            ),
            head=REFERENCE_HEAD,
        ),
        # For CPUs and patches of 32 or 64: features stay fine (stride 4), because fields that are
        # hours apart differ by small displacements, which the head must see before it averages.
        Architecture(
            name="resnet-tiny",
            spec=ResidualSpec(
                stem_filters=16,
                stem_kernel=5,
                stem_stride=2,
                stages=(
                    Stage(filters=16, blocks=1),
                    Stage(filters=32, blocks=1, stride=2),
                ),
                smooth_shortcut=True,
                momentum=0.9,
            ),
            head=HeadSpec(
                stages=(
                    Stage(filters=64, blocks=1),
                    Stage(filters=128, blocks=1, stride=2),
                ),
                relations=("difference", "product"),
                pool=True,
                dense_bias=True,
            ),
        ),
        Architecture(
            name="resnet-18",
            spec=ResidualSpec(
                stem_filters=64,
                stem_kernel=7,
                stem_stride=2,
                stem_pool=True,
                stages=(
                    Stage(filters=64, blocks=2),
                    Stage(filters=128, blocks=2, stride=2),
                    Stage(filters=256, blocks=2, stride=2),
                    Stage(filters=512, blocks=2, stride=2),
                ),
                normalized_shortcut=True,
                l2=1e-4,
            ),
            head=REFERENCE_HEAD,
        ),
        Architecture(
            name="resnet-101",
            spec=ResidualSpec(
                stem_filters=64,
                stem_kernel=7,
                stem_stride=2,
                stem_bias=True,
                stem_pool=True,
                stages=(
                    Stage(filters=256, blocks=3),
                    Stage(filters=512, blocks=4, stride=2),
                    Stage(filters=1024, blocks=23, stride=2),
                    Stage(filters=2048, blocks=3, stride=2),
                ),
            ),
            head=REFERENCE_HEAD,
            build=keras_resnet_101,
        ),
    )
}


def architecture(name: str) -> Architecture:
    """Returns the architecture called `name`."""
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"there is no architecture {name!r}; choose one of: {known}.")
    return ARCHITECTURES[name]


def encoder(name: str, input_shape: InputShape) -> keras.Model:
    """Builds the encoder called `name` for fields of `input_shape` (latitude, longitude, channel).

    >>> encoder("resnet-small", (160, 160, 2)).count_params()
    2277712
    """
    return architecture(name).encoder(input_shape)
