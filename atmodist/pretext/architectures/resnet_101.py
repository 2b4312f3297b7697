"""The network of 101 layers that comes with Keras, without its classifier, for accelerators.

Weights are fresh: nothing is ever downloaded. Its blocks are bottlenecks, its convolutions have
biases and no L2, so that the optimiser must decay its weights, and it pads with zeros on both sides
alike (3 before the stem, 1 before the pooling).
"""

from typing import TYPE_CHECKING

from atmodist.pretext.architecture import (
    Architecture,
    InputShape,
    Recipe,
    ResidualSpec,
    Stage,
    check_input_shape,
)

if TYPE_CHECKING:
    import keras


def keras_resnet_101(spec: ResidualSpec, input_shape: InputShape) -> "keras.Model":
    """Builds Keras' own ResNet-101.

    Args:
        spec: What Keras builds, to find the stages by; `stage1` to `stage4` are the last layers of
            its groups conv2 to conv5.
        input_shape: (latitude, longitude, channel); None where any extent shall do.
    """
    import keras

    check_input_shape(input_shape, spec.stride)
    inputs = keras.Input(input_shape, name="field")
    configured = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")  # Keras asks nobody else here
    try:
        whole = keras.applications.ResNet101(weights=None, include_top=False, input_tensor=inputs)
    finally:
        keras.config.set_image_data_format(configured)
    outputs = {}
    for number, stage in enumerate(spec.stages, start=1):
        last = whole.get_layer(f"conv{number + 1}_block{stage.blocks}_out")
        outputs[f"stage{number}"] = keras.layers.Identity(name=f"stage{number}")(last.output)
    return keras.Model(inputs, outputs, name="encoder")


ARCHITECTURE = Architecture(
    about="Keras' own, for accelerators",
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
    build=keras_resnet_101,
    recipe=Recipe(
        optimizer="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        batch_size=64,
        epochs=60,
        weight_decay=5e-2,
    ),
)
