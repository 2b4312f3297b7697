"""The reference's files are made here: the same network in other words, in Keras 2's layout."""

import importlib.util
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose

SOURCE = Path(__file__).parents[2] / "tools" / "import_reference.py"
SHAPE = (32, 32, 2)


@pytest.fixture(scope="module")
def tool():
    import sys

    spec = importlib.util.spec_from_file_location("import_reference", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def reference_model():
    """A residual network of basic blocks, written as one would in plain Keras."""
    import keras
    from keras import layers

    def normalized(x):
        return layers.BatchNormalization(epsilon=1.001e-5)(x)

    def conv(x, filters, size, strides=1):
        return layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)

    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(16, 8, 2, padding="same")(inputs)
    x = layers.Activation("relu")(normalized(x))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage, filters in enumerate((16, 32, 64, 128)):
        for block in range(6):
            stride = 2 if stage and not block else 1
            if x.shape[-1] != filters:
                shortcut = conv(x, filters, 1, stride)
            else:  # the reference implementation writes identities as pooling of single points
                shortcut = layers.MaxPooling2D(1, 1, name=f"block{stage + 1}_{block + 1}_identity")(
                    x
                )
            y = layers.Activation("relu")(normalized(conv(x, filters, 3, stride)))
            y = normalized(conv(y, filters, 3))
            x = layers.Activation("relu")(layers.Add()([y, shortcut]))
    return with_statistics(keras.Model(inputs, x))


def with_statistics(model):
    """Batch statistics and scales that are not those of a fresh network."""
    from keras import layers

    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            count = layer.gamma.shape[0]
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.0, count),
                    rng.normal(0, 0.1, count),
                    rng.normal(0, 0.1, count),
                    rng.uniform(0.5, 2.0, count),
                ]
            )
    return model


def model_of(content):
    """The network that a JSON of Keras 2 describes, layer for layer, in plain Keras."""
    import keras
    from keras import layers

    kept = {
        "Conv2D": ("filters", "kernel_size", "strides", "padding", "use_bias", "activation"),
        "BatchNormalization": ("momentum", "epsilon", "center", "scale"),
        "Activation": ("activation",),
        "MaxPooling2D": ("pool_size", "strides", "padding"),
        "Add": (),
    }
    outputs = {}
    for entry in content["config"]["layers"]:
        kind, name, config = entry["class_name"], entry["name"], entry["config"]
        if kind == "InputLayer":
            outputs[name] = start = keras.Input(config["batch_input_shape"][1:])
            continue
        layer = getattr(layers, kind)(name=name, **{key: config[key] for key in kept[kind]})
        sources = [outputs[link[0]] for link in entry["inbound_nodes"][0]]
        outputs[name] = layer(sources if len(sources) > 1 else sources[0])
    return with_statistics(keras.Model(start, outputs[content["config"]["output_layers"][0][0]]))


def legacy_json(model):
    """What Keras 2 wrote: inbound nodes as lists of [layer, node, tensor, {}]."""
    entries = []
    for layer in model.layers:
        config = layer.get_config()
        if type(layer).__name__ == "InputLayer":
            config = {"batch_input_shape": [None, *SHAPE], "dtype": "float32", "name": layer.name}
        if type(layer).__name__ == "BatchNormalization":
            config["axis"] = [3]  # as Keras 2 has it
        links = [
            [tensor._keras_history.operation.name, 0, 0, {}]
            for tensor in layer._inbound_nodes[0].input_tensors
        ]
        entries.append(
            {
                "class_name": type(layer).__name__,
                "name": layer.name,
                "config": config,
                "inbound_nodes": [links] if links else [],
            }
        )
    config = {"name": "model", "layers": entries}
    config["input_layers"] = [[entries[0]["name"], 0, 0]]
    config["output_layers"] = [[entries[-1]["name"], 0, 0]]
    return json.loads(json.dumps({"class_name": "Functional", "config": config, "backend": "tf"}))


def write_legacy_weights(model, path, root="/"):
    """/layer/layer/kernel:0, with the names in attributes of bytes.

    A model that is saved whole has its weights in the group "model_weights".
    """
    with h5py.File(path, "w") as file:
        root = file.require_group(root)
        root.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        root.attrs["backend"] = b"tensorflow"
        for layer in model.layers:
            group = root.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = weight.numpy()


@pytest.fixture(scope="module")
def model():
    return reference_model()


@pytest.fixture
def files(model, tmp_path):
    content = legacy_json(model)
    write_legacy_weights(model, tmp_path / "encoder_weights.hdf5")
    graph = tmp_path / "encoder.json"
    graph.write_text(json.dumps(content))
    return graph, tmp_path / "encoder_weights.hdf5"


def entry_of(content, class_name, number=0):
    layers = content["config"]["layers"]
    return [layer for layer in layers if layer["class_name"] == class_name][number]


def changed(files, change):
    content = json.loads(files[0].read_text())
    change(content)
    files[0].write_text(json.dumps(content))


def test_the_imported_encoder_gives_the_same_features(tool, model, files):
    encoder = tool.import_encoder(*files)
    x = np.random.default_rng(1).standard_normal((3, *SHAPE)).astype(np.float32)
    theirs = model.predict(x, verbose=0)
    ours = encoder.predict(x, verbose=0)
    assert list(ours) == ["stage1", "stage2", "stage3", "stage4"]
    assert_allclose(ours["stage4"], theirs, atol=1e-5 * np.abs(theirs).max(), rtol=1e-5)
    assert encoder.count_params() == model.count_params() == 2_277_712


def require_same_features(encoder, model, size):
    x = np.random.default_rng(1).standard_normal((2, size, size, 2)).astype(np.float32)
    theirs, ours = model.predict(x, verbose=0), encoder.predict(x, verbose=0)["stage4"]
    assert np.abs(theirs).max() > 0.1
    assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def test_the_layers_that_the_reference_implementation_writes(tool, tmp_path, sample_data):
    graph = sample_data / "reference_encoder" / "encoder.json"
    content = json.loads(graph.read_text())
    identities = [e for e in content["config"]["layers"] if e["name"].endswith("_identity")]
    assert len(identities) == 21
    model = model_of(content)
    assert model.count_params() == 2_277_712
    write_legacy_weights(model, tmp_path / "weights.hdf5")
    require_same_features(tool.import_encoder(graph, tmp_path / "weights.hdf5"), model, 160)


def test_weights_of_a_model_that_was_saved_whole(tool, model, files):
    write_legacy_weights(model, files[1], root="model_weights")
    require_same_features(tool.import_encoder(*files), model, SHAPE[0])


def test_an_input_of_any_size(tool, model, files):
    def change(content):
        entry_of(content, "InputLayer")["config"]["batch_input_shape"] = [None, None, None, 2]

    changed(files, change)
    encoder = tool.import_encoder(*files)
    assert encoder.input.shape == (None, None, None, 2)
    require_same_features(encoder, model, SHAPE[0])


@pytest.mark.parametrize("setting", [{"pool_size": [2, 2]}, {"strides": [2, 2]}])
def test_pooling_that_does_something_is_no_identity(tool, files, setting):
    changed(files, lambda c: entry_of(c, "MaxPooling2D", 1)["config"].update(setting))
    with pytest.raises(ValueError, match="block1_1_identity"):
        tool.import_encoder(*files)


def test_epsilon_rounded_to_float32_is_the_same(tool, files):
    rounded = float(np.float32(1.001e-5))
    changed(files, lambda c: entry_of(c, "BatchNormalization", 3)["config"].update(epsilon=rounded))
    assert tool.import_encoder(*files).count_params() == 2_277_712


def test_names_and_the_order_of_sums_and_layers_do_not_matter(tool, model, files):
    def change(content):
        for entry in content["config"]["layers"]:
            if entry["class_name"] == "Add":
                entry["inbound_nodes"][0].reverse()
        content["config"]["layers"].reverse()

    changed(files, change)
    encoder = tool.import_encoder(*files)
    x = np.random.default_rng(1).standard_normal((2, *SHAPE)).astype(np.float32)
    theirs = model.predict(x, verbose=0)
    assert_allclose(encoder.predict(x, verbose=0)["stage4"], theirs, rtol=1e-5, atol=1e-5)


def test_explicit_padding_that_equals_same_is_understood(tool, files):
    def change(content):
        stem = entry_of(content, "Conv2D")
        start = stem["inbound_nodes"]
        stem["config"]["padding"] = "valid"
        stem["inbound_nodes"] = [[["pad", 0, 0, {}]]]
        padding = {"padding": [[3, 3], [3, 3]]}
        content["config"]["layers"].append(
            {"class_name": "ZeroPadding2D", "name": "pad", "config": padding}
            | {"inbound_nodes": start}
        )

    changed(files, change)
    assert tool.import_encoder(*files).count_params() == 2_277_712
    changed(
        files, lambda c: entry_of(c, "ZeroPadding2D")["config"].update(padding=[[2, 4], [2, 4]])
    )
    with pytest.raises(ValueError, match="padding='valid', where ours has 'same'"):
        tool.import_encoder(*files)


def test_the_command_makes_a_folder_that_can_be_used(tool, files, tmp_path, capsys):
    from atmodist.training.saving import load_network
    from tests.pretext.sources import normalization

    normalization().save(tmp_path / "normalization.json")
    arguments = [str(path) for path in files] + ["--output", str(tmp_path / "out")]
    arguments += ["--normalization", str(tmp_path / "normalization.json")]
    assert tool.main(arguments) == 0
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["encoder.keras", "manifest.json", "normalization.json"]
    assert list(load_network(tmp_path / "out" / "encoder.keras").output)[-1] == "stage4"
    assert "encoder.keras" in capsys.readouterr().out


def test_a_mistake_is_one_line_and_status_2(tool, files, tmp_path, capsys):
    files[0].write_text("{")
    assert tool.main([str(path) for path in files] + ["--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("import_reference: error: ")
    assert "encoder.json is not valid JSON" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(class_name="Sequential"), "is a Sequential, not a functional model"),
        (lambda c: c.pop("config"), "is not the JSON of a Keras 2 functional model"),
        (lambda c: entry_of(c, "Add").update(class_name="Lambda"), "is a Lambda, which we do not"),
        (
            lambda c: entry_of(c, "BatchNormalization", 3)["config"].update(epsilon=1e-3),
            "has epsilon=0.001, where ours has 1.001e-05",
        ),
        (
            lambda c: entry_of(c, "Conv2D", 4)["config"].update(strides=[2, 2]),
            r"has strides=\[2, 2\], where ours has \[1, 1\]",
        ),
        (
            lambda c: entry_of(c, "Activation", 2)["config"].update(activation="tanh"),
            "has activation='tanh', where ours has 'relu'",
        ),
        (
            lambda c: entry_of(c, "Add", 2).update(class_name="Activation"),
            "where ours has a add",
        ),
    ],
)
def test_another_graph_is_refused(tool, files, change, message):
    changed(files, change)
    with pytest.raises(ValueError, match=message):
        tool.import_encoder(*files)


def test_weights_of_another_shape_are_refused(tool, files, model):
    name = model.layers[1].name
    with h5py.File(files[1], "a") as file:
        del file[f"{name}/{name}/kernel:0"]
        file[f"{name}/{name}/kernel:0"] = np.zeros((8, 8, 3, 16), "f4")
    with pytest.raises(ValueError, match=r"must have shape \(8, 8, 2, 16\).*has \(8, 8, 3, 16\)"):
        tool.import_encoder(*files)


def test_missing_weights_are_named(tool, files, model):
    name = model.layers[1].name
    with h5py.File(files[1], "a") as file:
        file[name].attrs["weight_names"] = [f"{name}/kernel:0".encode()]
    with pytest.raises(ValueError, match=r"has \['kernel'\], expected \['bias', 'kernel'\]"):
        tool.import_encoder(*files)


def test_links_to_other_files_are_not_followed(tool, files, model, tmp_path):
    name = model.layers[1].name
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = np.zeros((8, 8, 2, 16), "f4")
    with h5py.File(files[1], "a") as file:
        del file[f"{name}/{name}/kernel:0"]
        file[f"{name}/{name}/kernel:0"] = h5py.ExternalLink("other.h5", "kernel")
    with pytest.raises(ValueError, match="is missing or a link"):
        tool.import_encoder(*files)


def test_long_lists_of_names_are_read_in_parts(tool, files, model):
    names = [layer.name.encode() for layer in model.layers]
    with h5py.File(files[1], "a") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:40], names[40:]
    assert tool.import_encoder(*files).count_params() == 2_277_712
