"""The pretext task: how far apart in time are two fields of one place?

A pair (batch, 2, latitude, longitude, channel) goes through one shared encoder in a single forward
pass, both fields of a pair in the same batch, so that batch normalisation sees them alike. The two
feature maps are laid side by side along the channel axis, place by place, and a small head tells
the temporal distance. Its answer are logits, one per label; `keras.ops.softmax` makes them
probabilities. Label l (zero-based) means l + 1 archive time steps. The head either tells labels
apart as classes, or knows their order; see `ordinal`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers, ops

from atmodist.pretext import networks
from atmodist.pretext.architecture import Architecture, InputShape
from atmodist.pretext.architectures import ARCHITECTURES
from atmodist.pretext.ordinal import CumulativeLink

ENCODER_NAME = "encoder"


def pretext_model(
    architecture: str,
    input_shape: InputShape,
    num_classes: int,
    head: Literal["classes", "ordinal"] = "classes",
) -> keras.Model:
    """Builds encoder and head with fresh weights.

    Args:
        architecture: A name in `ARCHITECTURES`.
        input_shape: (latitude, longitude, channel) of one field.
        num_classes: Number of labels.
        head: "classes", a logit of its own for every label; "ordinal", one score and thresholds.

    Returns:
        A model from (batch, 2, latitude, longitude, channel) to logits (batch, num_classes).
    """
    if not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(f"`num_classes` must be an integer above 1; got {num_classes!r}.")
    if head not in ("classes", "ordinal"):
        raise ValueError(f"`head` must be one of classes, ordinal; got {head!r}.")
    if None in input_shape:
        raise ValueError(f"pairs need patches of a fixed shape; got input_shape={input_shape}.")
    chosen = ARCHITECTURES.find(architecture)
    encoder = networks.encoder(chosen, input_shape)
    pair = keras.Input((2, *input_shape), name="pair")
    stage = list(encoder.output)[-1]
    features = encoder(ops.reshape(pair, (-1, *input_shape)))[stage]
    compared = side_by_side(features, chosen.head.relations)
    logits = _head(chosen, compared, num_classes, head)
    return keras.Model(pair, logits, name="pretext")


def encoder_of(model: keras.Model) -> keras.Model:
    """Returns the encoder inside a pretext model: a model with outputs by stage name."""
    return model.get_layer(ENCODER_NAME)


def side_by_side(features: Any, relations: Sequence[str] = ()) -> Any:
    """Joins the features of each pair: (2 batch, H, W, F) to (batch, H, W, 2 F or more).

    The first F channels belong to the earlier field, the next F to the later one; then come the
    relations: "difference", |a - b|, and "product", a b, of the two, F channels each.
    """
    height, width, filters = features.shape[1:]
    pairs = ops.reshape(features, (-1, 2, height, width, filters))
    both = ops.reshape(ops.transpose(pairs, (0, 2, 3, 1, 4)), (-1, height, width, 2 * filters))
    if not relations:
        return both
    earlier, later = both[..., :filters], both[..., filters:]
    functions = {
        "difference": lambda: ops.abs(ops.subtract(earlier, later)),
        "product": lambda: ops.multiply(earlier, later),
    }
    return ops.concatenate([both, *(functions[name]() for name in relations)], axis=-1)


def _head(chosen: Architecture, x: Any, num_classes: int, kind: str) -> Any:
    spec, head = chosen.spec, chosen.head
    for number, stage in enumerate(head.stages, start=1):
        if stage.blocks == 0:
            x = networks.convolved(
                spec, x, stage.filters, 3, stride=stage.stride, bias=head.bias, name=f"head{number}"
            )
        for block in range(1, stage.blocks + 1):
            stride = stage.stride if block == 1 else 1
            x = networks.block(
                spec, x, stage.filters, stride=stride, name=f"head{number}_block{block}"
            )
    flat = (
        layers.GlobalAveragePooling2D(data_format=networks.CHANNELS_LAST, name="head_pool")
        if head.pool
        else layers.Flatten(data_format=networks.CHANNELS_LAST, name="head_flatten")
    )
    ordinal = kind == "ordinal"
    dense = layers.Dense(
        1 if ordinal else num_classes,
        use_bias=head.dense_bias and not ordinal,  # thresholds are what a bias would be
        kernel_initializer="he_normal" if not head.pool else "glorot_uniform",
        kernel_regularizer=keras.regularizers.L2(spec.l2) if spec.l2 else None,
        name="score" if ordinal else "logits",
    )
    answer = dense(flat(x))
    if ordinal:  # float32 always: these are logarithms of differences
        answer = CumulativeLink(num_classes, dtype="float32", name="logits")(answer)
    return answer
