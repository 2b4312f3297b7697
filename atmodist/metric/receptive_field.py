"""Which grid points a feature depends on, and encoders that take fields of any size.

A feature i of a stage sees the input points i·stride + first ... i·stride + last, on both axes.
Both numbers follow from the windows of the layers, so that they hold for any encoder made of
convolutions, pooling and pointwise layers. They assume "same" padding of extents that are whole
multiples of the total stride, which is what we feed.

A field on a full circle of latitude has no edge. Padding it by the receptive field and cropping
afterwards would be right, and costs several times the forward pass with a deep encoder (±725
points for resnet-small). The same numbers come from a narrow halo of copied columns that is
renewed within the network just before the "same" padding at its ends would have reached the
field: `adapted` puts a `HaloRefresh` there.

Where a stride does not divide the columns of a circle (360 and 32, say), features of the circle
continued are only periodic after several turns. Down to the last stride that divides them one turn
is enough; there it is repeated, and the deeper layers go round as often as they must.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import keras
from keras import layers, ops

from atmodist.files.keras_settings import settled_keras

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
_POOLING = (layers.MaxPooling2D, layers.AveragePooling2D)
_POINTWISE = (
    layers.InputLayer,
    layers.BatchNormalization,
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.ELU,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianNoise,
    layers.Identity,
    layers.Rescaling,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Concatenate,
)
_LARGEST_HALO = 64  # strides of the deepest stage; a window wider than that is no window


@dataclass(frozen=True)
class FieldOfView:
    """What a feature sees of the input.

    Attributes:
        stride: Grid points between two features.
        first: The first point seen by feature i is i·stride + first; `first` <= 0.
        last: The last one is i·stride + last.
    """

    stride: int = 1
    first: int = 0
    last: int = 0

    @property
    def before(self) -> int:
        """Points seen north or west of a cell of stride x stride points; not negative."""
        return max(-self.first, 0)

    @property
    def after(self) -> int:
        """Points seen south or east of a cell."""
        return max(self.last - (self.stride - 1), 0)


@dataclass(frozen=True)
class Adapted:
    """An encoder for fields of any extent that is a multiple of `stride`.

    Attributes:
        model: (batch, latitude, longitude, channel) to a dictionary by stage; own, frozen weights.
        extents: What a feature of each stage sees.
        stride: The largest stride of the stages.
        halo: Columns to be copied from the other side, at each end, before the first layer; each
            stage has halo / stride columns too many at each end. Zero if no halo is kept.
        floats_per_point: Size of the largest tensor inside, in numbers per grid point.
        turns: How often a circle is to be repeated before the first layer, halo apart.
    """

    model: keras.Model
    extents: dict[str, FieldOfView]
    stride: int
    halo: int
    floats_per_point: float
    turns: int = 1


@keras.saving.register_keras_serializable(package="atmodist")
class HaloRefresh(layers.Layer):
    """Copies the halo columns anew from the other side of a circle of latitude.

    Args:
        width: Columns of halo at each end. Positive integer.
        turns: How often the circle is repeated. Positive integer.

    Input shape: (batch, latitude, longitude + 2 * width, channel), `width` longitudes or more.
    Output shape: (batch, latitude, turns * longitude + 2 * width, channel).
    """

    def __init__(self, width: int, turns: int = 1, **kwargs: Any):
        for name, value in (("width", width), ("turns", turns)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer; got {name}={value!r}.")
        super().__init__(**kwargs)
        self.width = width
        self.turns = turns

    def call(self, x: Any) -> Any:
        """Returns x with its outer columns replaced, and the others repeated."""
        n = self.width
        circle = [x[:, :, n:-n]] * self.turns
        return ops.concatenate([x[:, :, -2 * n : -n], *circle, x[:, :, n : 2 * n]], axis=2)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "width": self.width, "turns": self.turns}


def extents(encoder: keras.Model) -> dict[str, FieldOfView]:
    """What a feature of each stage of an encoder sees."""
    return adapted(encoder, tuple(encoder.output)).extents


@settled_keras()
def adapted(encoder: keras.Model, stages: Sequence[str], *, columns: int | None = None) -> Adapted:
    """Copies an encoder for fields of any size, up to the deepest of `stages`.

    Args:
        encoder: A functional model with a dictionary of outputs by stage.
        stages: The outputs wanted.
        columns: Keep a halo, so that features are those of a field with so many columns continued
            periodically in longitude; exactly, whatever the receptive field is. All numbers that
            share the same divisor with the stride give the same network. None for no halo.

    Raises:
        ValueError: If a layer is neither pointwise nor a window.
    """
    part = keras.Model(encoder.input, {stage: encoder.output[stage] for stage in stages})
    plain = _copied(part, 0)
    if columns is None:
        return plain
    for turns in (1, lcm(columns, plain.stride) // columns):
        for multiple in range(1, _LARGEST_HALO + 1):
            try:
                return _copied(part, multiple * plain.stride, columns, turns)
            except _NarrowHaloError:
                continue
            except _LateRepetitionError:  # repeat the field itself
                break
    raise ValueError(f"a layer of {encoder.name!r} has a window too wide for a halo")


def _copied(model: keras.Model, halo: int, columns: int = 1, turns: int = 1) -> Adapted:
    channels = model.input.shape[-1]
    inputs = keras.Input((None, None, channels), name="field")
    tracer = _Tracer(inputs, halo, columns * turns)
    copy = keras.models.clone_model(
        model, input_tensors=inputs, clone_function=_clone, call_function=tracer
    )
    _copy_weights(model, copy)
    copy.trainable = False
    found = {stage: tracer.state(tensor).extent for stage, tensor in copy.output.items()}
    stride = max(extent.stride for extent in found.values())
    return Adapted(copy, found, stride, halo, tracer.floats_per_point * turns, turns)


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    for layer in source.layers:
        if layer.weights:
            target.get_layer(layer.name).set_weights(layer.get_weights())


def _clone(layer: layers.Layer) -> layers.Layer:
    if isinstance(layer, keras.Model):
        raise ValueError(
            f"the encoder holds a whole model as its layer {layer.name!r}; build it from plain "
            "layers, so that its receptive field can be told"
        )
    if not isinstance(layer, layers.Layer):
        raise ValueError(f"the encoder calls {layer.name!r} outside of a layer")
    return layer.__class__.from_config(layer.get_config())


class _NarrowHaloError(ValueError):
    """A window reaches over the whole halo."""


class _LateRepetitionError(ValueError):
    """A circle must be repeated where explicit zeros lie around it already."""


@dataclass(frozen=True)
class _State:
    """Of a tensor: its extent, and how many halo columns are still those of the other side.

    `shift` counts columns of explicit zero padding in front, until a window consumes them.
    """

    extent: FieldOfView
    valid: tuple[int, int]
    shift: int = 0


class _Tracer:
    """Calls the layers of a copy one by one, keeps account, and renews halos where needed."""

    def __init__(self, inputs: Any, halo: int, columns: int):
        self._halo = halo
        self._columns = columns
        # The tensors are kept too: an id is only unique while its object lives.
        self._states = {id(inputs): (inputs, _State(FieldOfView(), (halo, halo)))}
        self._renewed: dict[int, Any] = {}  # once renewed, a tensor serves all later layers
        self._repeated: dict[int, Any] = {}  # and once repeated, all later strides
        self.floats_per_point = float(inputs.shape[-1])

    def state(self, tensor: Any) -> _State:
        return self._states[id(tensor)][1]

    def __call__(self, layer: layers.Layer, *args: Any, **kwargs: Any) -> Any:
        args = keras.tree.map_structure(lambda x: self._renewed.get(id(x), x), args)
        tensors = keras.tree.flatten(args)
        states = [self.state(tensor) for tensor in tensors]
        window = _window(layer)
        if window is None:
            result, state = layer(*args, **kwargs), _merged(layer, states)
        else:
            result, state = self._through_window(layer, window, tensors[0], states[0], kwargs)
        self._states[id(result)] = (result, state)
        size = result.shape[-1] * self._turns(state.extent.stride) / state.extent.stride**2
        self.floats_per_point = max(self.floats_per_point, size)
        return result

    def _through_window(
        self, layer: layers.Layer, window: "_Window", x: Any, state: _State, kwargs: dict[str, Any]
    ) -> tuple[Any, _State]:
        padding = isinstance(layer, layers.ZeroPadding2D)
        x, state = self._enough_turns(layer, window, x, state)
        halo = self._halo // state.extent.stride
        stale = min(state.valid) < halo
        valid = window.valid(state)
        # Behind explicit zeros the halo can no longer be found, so that it is renewed before.
        if self._halo and ((padding and stale) or (not padding and min(valid) < 0)):
            if state.shift or not stale:
                raise _NarrowHaloError
            renewed = HaloRefresh(halo, name=f"{layer.name}_halo")(x)
            state = _State(state.extent, (halo, halo))
            self._states[id(renewed)] = (renewed, state)
            self._renewed[id(x)] = x = renewed
            valid = window.valid(state)
            if min(valid) < 0:
                raise _NarrowHaloError
        result = layer(x, **kwargs)
        if padding:
            return result, _State(state.extent, state.valid, state.shift + window.before)
        return result, _State(window.extent(state), valid)

    def _enough_turns(
        self, layer: layers.Layer, window: "_Window", x: Any, state: _State
    ) -> tuple[Any, _State]:
        """Repeats the circle if the stride of the window does not divide what there is of it."""
        stride = state.extent.stride
        turns = self._turns(stride * window.stride) // self._turns(stride)
        if not self._halo or turns == 1:
            return x, state
        if state.shift:
            raise _LateRepetitionError
        if id(x) not in self._repeated:
            halo = self._halo // stride
            repeated = HaloRefresh(halo, turns, name=f"{layer.name}_turns")(x)
            state = _State(state.extent, (halo, halo))
            self._states[id(repeated)] = (repeated, state)
            self._repeated[id(x)] = repeated
        return self._repeated[id(x)], self.state(self._repeated[id(x)])

    def _turns(self, stride: int) -> int:
        """After how many turns around a circle features of a stride come back."""
        return lcm(self._columns, stride) // self._columns if self._halo else 1


@dataclass(frozen=True)
class _Window:
    """Points of the input of a layer: i·stride - before ... + size - 1."""

    size: int
    stride: int
    before: int

    def extent(self, state: _State) -> FieldOfView:
        seen = state.extent
        before = self.before + state.shift
        return FieldOfView(
            seen.stride * self.stride,
            seen.first - seen.stride * before,
            seen.last + seen.stride * (self.size - 1 - before),
        )

    def valid(self, state: _State) -> tuple[int, int]:
        """Halo columns still right after the layer; negative if the field itself is reached."""
        before = self.before + state.shift
        left, right = state.valid
        return (left - before) // self.stride, (
            right + self.stride - self.size + before
        ) // self.stride


def _window(layer: layers.Layer) -> _Window | None:
    """The window of a layer; None if it works point by point."""
    if isinstance(layer, _POINTWISE):
        return None
    if isinstance(layer, layers.ZeroPadding2D):
        (top, _), (left, _) = layer.padding
        return _Window(1, 1, _one(layer, "padding", (top, left)))
    if isinstance(layer, _CONVOLUTIONS):
        dilation = _one(layer, "dilation_rate", layer.dilation_rate)
        size = (_one(layer, "kernel_size", layer.kernel_size) - 1) * dilation + 1
    elif isinstance(layer, _POOLING):
        size = _one(layer, "pool_size", layer.pool_size)
    else:
        raise ValueError(
            f"layer {layer.name!r} of the encoder is a {type(layer).__name__}, of which it is not "
            "known what it sees; use convolutions, pooling and pointwise layers"
        )
    if layer.data_format != "channels_last":
        raise ValueError(f"layer {layer.name!r} has its channels first; ours come last")
    stride = _one(layer, "strides", layer.strides)
    return _Window(size, stride, max(size - stride, 0) // 2 if layer.padding == "same" else 0)


def _one(layer: layers.Layer, name: str, values: Sequence[int]) -> int:
    if len(set(values)) != 1:
        raise ValueError(f"layer {layer.name!r} has {name}={tuple(values)}; both must be the same")
    return int(values[0])


def _merged(layer: layers.Layer, states: Sequence[_State]) -> _State:
    if len({(state.extent.stride, state.shift) for state in states}) != 1:
        raise ValueError(f"layer {layer.name!r} joins features of different strides")
    extent = FieldOfView(
        states[0].extent.stride,
        min(state.extent.first for state in states),
        max(state.extent.last for state in states),
    )
    left = min(state.valid[0] for state in states)
    return _State(extent, (left, min(state.valid[1] for state in states)), states[0].shift)
