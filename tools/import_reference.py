"""Turns an encoder of the reference implementation into one of ours.

Usage: python tools/import_reference.py encoder.json encoder_weights.hdf5 --output imported \
           [--normalization era5-ml120]

The reference implementation keeps its encoder as the JSON of a Keras 2 functional model beside an
HDF5 file of weights. Nothing of it is run, and Keras deserialises none of it: the JSON is only
read as a graph, walked from its end to its input side by side with the graph of our `resnet-small`,
and every layer must be of the same kind with the same settings. The weights of each pair of layers
are then copied, after a check of their names and shapes.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ARCHITECTURE = "resnet-small"
MAX_JSON_BYTES = 16 << 20

# Kinds of layers by the names they had over the years. Those of None leave their input unchanged.
KINDS: Mapping[str, str | None] = {
    "InputLayer": "input",
    "Conv2D": "convolution",
    "BatchNormalization": "normalization",
    "BatchNormalizationV1": "normalization",
    "BatchNormalizationV2": "normalization",
    "ReLU": "relu",
    "Activation": "relu",
    "MaxPooling2D": "pooling",
    "Add": "add",
    "ZeroPadding2D": "padding",
    "Dropout": None,
    "SpatialDropout2D": None,
}
WEIGHTS = {
    "convolution": ("kernel", "bias"),
    "normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


@dataclass(frozen=True)
class Node:
    """A layer of a graph: name, kind, settings as in Keras, and names of the layers before it."""

    name: str
    kind: str | None
    config: Mapping[str, Any]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Layers by name, the last one, and (latitude, longitude, channel) of the input."""

    nodes: Mapping[str, Node]
    last: str
    input_shape: tuple[int | None, int | None, int]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graph", type=Path, help="encoder.json")
    parser.add_argument("weights", type=Path, help="encoder_weights.hdf5")
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    parser.add_argument(
        "--normalization",
        help="normalization.json with the numbers that the encoder was trained with, or a name: "
        "era5-ml120 for those that the reference implementation has built in",
    )
    arguments = parser.parse_args(argv)
    from atmodist.files.keras_settings import settle_keras

    settle_keras()
    try:
        write_run(arguments.graph, arguments.weights, arguments.output, arguments.normalization)
    except (ValueError, OSError) as error:
        print(f"import_reference: error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.output}: encoder.keras\nNext: atmodist inspect {arguments.output}")
    return 0


def write_run(graph: Path, weights: Path, output: Path, normalization: str | None) -> None:
    """Writes `encoder.keras` and its manifest, and copies the normalisation if there is one."""
    from atmodist.fields.normalization import Normalization
    from atmodist.files.outputs import write_manifest
    from atmodist.training.saving import save_network

    loaded = Normalization.load(normalization) if normalization else None
    encoder = import_encoder(graph, weights)
    channels = encoder.input.shape[-1]
    if loaded is not None and len(loaded.channels) != channels:
        raise ValueError(f"{normalization} is for {loaded.channels}; the encoder has {channels}")
    output.mkdir(parents=True, exist_ok=True)
    save_network(encoder, output / "encoder.keras")
    if loaded is not None:
        loaded.save(output / "normalization.json")
    config = {"architecture": ARCHITECTURE, "graph": graph, "weights": weights}
    write_manifest(
        output / "manifest.json",
        command="tools/import_reference.py",
        config=config,
        inputs=[graph, weights],
    )


def import_encoder(graph_path: str | Path, weights_path: str | Path) -> Any:
    """Returns our encoder with the weights of the reference's.

    Args:
        graph_path: `encoder.json`.
        weights_path: `encoder_weights.hdf5`.

    Raises:
        ValueError: If the graph is another one, or weights are missing or of other shapes.
    """
    from atmodist.pretext import networks

    theirs = read_graph(graph_path)
    ours = networks.encoder(ARCHITECTURE, theirs.input_shape)
    pairs = matched(graph_of(ours), theirs)
    with h5py.File(weights_path, "r") as file:
        root = _member(file, "model_weights", weights_path) if "model_weights" in file else file
        for our_name, their_name in pairs.items():
            layer = ours.get_layer(our_name)
            names = [weight.name for weight in layer.weights]
            if names:
                values = read_weights(root, their_name, names, weights_path)
                _set_weights(layer, values, their_name)
    return ours


def read_graph(path: str | Path) -> Graph:
    """Reads the JSON of a Keras 2 functional model as a graph, and nothing else."""
    path = Path(path)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(f"{path} is too long for the JSON of an encoder")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["class_name"] not in ("Functional", "Model"):
            raise ValueError(f"{path} is a {content['class_name']}, not a functional model")
        layers = content["config"]["layers"]
        nodes = {entry["name"]: _node(entry, path) for entry in layers}
        (start,) = [entry for entry in layers if entry["class_name"] == "InputLayer"]
        shape = start["config"].get("batch_input_shape") or start["config"]["batch_shape"]
        _, height, width, channels = shape
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not the JSON of a Keras 2 functional model: {error!r}"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON ({error})") from None
    consumed = {name for node in nodes.values() for name in node.inputs}
    unknown = consumed - set(nodes)
    ends = [name for name in nodes if name not in consumed]
    if unknown or len(ends) != 1:
        raise ValueError(f"{path}: the graph must have one end; it has {ends}, lacks {unknown}")
    return Graph(nodes, ends[0], (height, width, channels))


def graph_of(model: Any) -> Graph:
    """The graph of a functional Keras 3 model whose layers are each called once."""
    nodes = {}
    for layer in model.layers:
        (call,) = layer._inbound_nodes
        inputs = tuple(tensor._keras_history.operation.name for tensor in call.input_tensors)
        kind = KINDS[type(layer).__name__]
        nodes[layer.name] = Node(layer.name, kind, layer.get_config(), inputs)
    consumed = {name for node in nodes.values() for name in node.inputs}
    (last,) = [name for name in nodes if name not in consumed]
    return Graph(nodes, last, tuple(model.input.shape[1:]))


def matched(ours: Graph, theirs: Graph) -> dict[str, str]:
    """Pairs the layers of two graphs by walking both from the end; names do not matter.

    The inputs of a sum are told apart by their kinds: in a basic block, one is a batch
    normalisation and the other is not.

    Raises:
        ValueError: At the first layer that differs.
    """
    pairs: dict[str, str] = {}
    waiting = [(ours.last, theirs.last)]
    while waiting:
        our_name, their_name = waiting.pop()
        their_name = _skipped(theirs, their_name)
        if our_name in pairs:
            if pairs[our_name] != their_name:
                raise ValueError(f"{our_name} would be {pairs[our_name]} as well as {their_name}")
            continue
        pairs[our_name] = their_name
        our_node, their_node = ours.nodes[our_name], theirs.nodes[their_name]
        their_inputs = _require_alike(our_node, their_node, theirs)
        our_inputs = list(our_node.inputs)
        if our_node.kind == "add":
            our_inputs = sorted(our_inputs, key=lambda n: _is_normalized(ours, n))
            their_inputs = sorted(their_inputs, key=lambda n: _is_normalized(theirs, n))
        if len(our_inputs) != len(their_inputs):
            raise ValueError(f"{their_name} has {len(their_inputs)} inputs, not {len(our_inputs)}")
        waiting += zip(our_inputs, their_inputs, strict=True)
    used = set(pairs.values())
    unused = [n.name for n in theirs.nodes.values() if n.kind in WEIGHTS and n.name not in used]
    if unused:
        raise ValueError(f"these layers have no place in {ARCHITECTURE}: {', '.join(unused)}")
    return pairs


def read_weights(
    root: h5py.Group, layer: str, names: list[str], path: str | Path
) -> list[np.ndarray]:
    """Reads the weights of one layer, in the order of `names`, by the names in the file.

    Links out of the file and data stored outside of it are refused.
    """
    listed = _texts(root, "layer_names", path)
    if layer not in listed:
        raise ValueError(f"{path} holds no weights of layer {layer!r}")
    group = _member(root, layer, path)
    found = {}
    for full_name in _texts(group, "weight_names", path):
        short = full_name.rsplit("/", 1)[-1].split(":")[0]
        dataset = _member(group, full_name, path)
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f":
            raise ValueError(f"{path}: {layer}/{full_name} is no array of real numbers")
        if dataset.external or dataset.is_virtual:
            raise ValueError(f"{path}: {layer}/{full_name} is stored in another file")
        found[short] = dataset
    if sorted(found) != sorted(names):
        raise ValueError(f"{path}: layer {layer} has {sorted(found)}, expected {sorted(names)}")
    return [found[name] for name in names]


def _set_weights(layer: Any, datasets: list[Any], their_name: str) -> None:
    values = []
    for weight, dataset in zip(layer.weights, datasets, strict=True):
        if tuple(weight.shape) != dataset.shape:
            raise ValueError(
                f"{weight.name} of layer {their_name} must have shape {tuple(weight.shape)} "
                f"(our {layer.name}); it has {dataset.shape}"
            )
        value = dataset[...].astype(np.float32)
        if not np.isfinite(value).all():
            raise ValueError(f"{weight.name} of layer {their_name} has values that are not finite")
        values.append(value)
    layer.set_weights(values)


def _member(group: h5py.Group, name: str, path: str | Path) -> Any:
    """An object in a group, reached through hard links alone."""
    item: Any = group
    for part in name.strip("/").split("/"):
        hard = isinstance(item, h5py.Group) and isinstance(
            item.get(part, getlink=True), h5py.HardLink
        )
        if not hard:
            raise ValueError(f"{path}: {group.name}/{name} is missing or a link")
        item = item[part]
    return item


def _texts(group: h5py.Group, name: str, path: str | Path) -> list[str]:
    """A list of texts; long ones are cut into attributes name0, name1, ..."""
    parts: Iterator[str] = (f"{name}{i}" for i in range(len(group.attrs)))
    keys = [name] if name in group.attrs else [key for key in parts if key in group.attrs]
    if not keys:
        raise ValueError(
            f"{path}: {group.name} has no attribute {name!r}; is it a file of weights?"
        )
    values = [value for key in keys for value in np.asarray(group.attrs[key]).ravel()]
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _node(entry: Mapping[str, Any], path: Path) -> Node:
    kind_name = entry["class_name"]
    if kind_name not in KINDS:
        raise ValueError(f"{path}: layer {entry['name']!r} is a {kind_name}, which we do not know")
    calls = entry["inbound_nodes"]
    if len(calls) > 1:
        raise ValueError(f"{path}: layer {entry['name']!r} is called {len(calls)} times")
    inputs = tuple(str(link[0]) for call in calls for link in call)
    config = dict(entry["config"])
    kind = None if _is_identity(kind_name, config) else KINDS[kind_name]
    return Node(str(entry["name"]), kind, config, inputs)


def _is_identity(kind_name: str, config: Mapping[str, Any]) -> bool:
    """Whether a pooling or linear layer gives its input: skip connections are often written so."""
    if kind_name == "MaxPooling2D":
        size = _plain(config.get("pool_size", [2, 2]))
        strides = _plain(config.get("strides"))
        return size in (1, [1, 1]) and strides in (None, 1, [1, 1])  # None: as the size
    return kind_name == "Activation" and config.get("activation") == "linear"


def _skipped(graph: Graph, name: str) -> str:
    """The first layer at or before `name` that does something."""
    while graph.nodes[name].kind is None:
        (name,) = graph.nodes[name].inputs
    return name


def _is_normalized(graph: Graph, name: str) -> bool:
    return graph.nodes[_skipped(graph, name)].kind == "normalization"


def _require_alike(ours: Node, theirs: Node, graph: Graph) -> list[str]:
    """Checks that two layers compute the same; returns the inputs of theirs."""
    if ours.kind != theirs.kind:
        raise ValueError(f"{theirs.name} is a {theirs.kind}, where ours has a {ours.kind}")
    inputs = list(theirs.inputs)
    config = dict(theirs.config)
    if ours.kind in ("convolution", "pooling"):
        before = graph.nodes[_skipped(graph, inputs[0])]
        if before.kind == "padding":
            if config.get("padding") == "valid" and _pads_like_same(before, config):
                config["padding"] = "same"
            inputs = list(before.inputs)
    for name, wanted, default in _settings(ours):
        value = _plain(config.get(name, default))
        if value != wanted and not _is_rounded(value, wanted):
            raise ValueError(f"{theirs.name} has {name}={value!r}, where ours has {wanted!r}")
    return inputs


def _is_rounded(value: Any, wanted: Any) -> bool:
    """Whether a number is another one that went through float32, as Keras 2 wrote some."""
    numbers = isinstance(value, float) and isinstance(wanted, float)
    return numbers and np.float32(value) == np.float32(wanted)


def _settings(node: Node) -> list[tuple[str, Any, Any]]:
    """What must agree: name, our value, and Keras' default where a file says nothing."""
    config = node.config
    if node.kind == "convolution":
        names = {"filters": None, "kernel_size": None, "strides": [1, 1], "padding": "valid"}
        names |= {"dilation_rate": [1, 1], "use_bias": True, "groups": 1}
        names |= {"activation": "linear", "data_format": "channels_last"}
    elif node.kind == "pooling":
        names = {"pool_size": [2, 2], "strides": None, "padding": "valid"}
        names |= {"data_format": "channels_last"}
    elif node.kind == "normalization":
        names = {"epsilon": 1e-3, "center": True, "scale": True, "axis": -1}
    elif node.kind == "relu":
        return [
            ("activation", "relu", "relu"),
            ("max_value", None, None),
            ("negative_slope", 0.0, 0.0),
            ("threshold", 0.0, 0.0),
        ]
    else:
        names = {}
    return [(name, _plain(config[name]), default) for name, default in names.items()]


def _pads_like_same(padding: Node, window: Mapping[str, Any]) -> bool:
    """Whether explicit zeros in front of a convolution are those of "same" (even extents)."""
    if "kernel_size" not in window:
        return False  # "same" pooling pads with minus infinity
    kernel, stride = _plain(window["kernel_size"])[0], _plain(window["strides"])[0]
    total = max(kernel - stride, 0)
    wanted = [total // 2, total - total // 2]
    return _plain(padding.config["padding"]) == [wanted, wanted]


def _plain(value: Any) -> Any:
    """Tuples as lists; the last axis of four as -1, as a one-element list too."""
    if isinstance(value, list | tuple):
        values = [_plain(item) for item in value]
        return -1 if values in ([3], [-1]) else values
    if isinstance(value, np.generic):
        return value.item()
    return value


if __name__ == "__main__":
    sys.exit(main())
