import re
import subprocess
import sys
from pathlib import Path

import pytest

from atmodist.files.keras_objects import CLASSES

ROOT = Path(__file__).parents[2]
REGISTERED = re.compile(
    r'register_keras_serializable\(package="(\w+)"\)\s+(?:@[^\n]*\s+)*class (\w+)', re.MULTILINE
)

LOAD = """
import sys
{imports}
assert ("keras" in sys.modules) == {early}
import keras
import numpy as np

model = keras.models.load_model(sys.argv[1])
a, b = np.load(sys.argv[2])
assert type(model.loss).__module__ == "atmodist.metric.content_loss"
print(repr(float(model.loss(a, b))))
"""


def test_every_class_that_is_registered_is_in_the_table():
    found = {}
    for package in ("atmodist", "srgan", "dynamics", "evaluation"):
        for path in (ROOT / package).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for prefix, name in REGISTERED.findall(path.read_text(encoding="utf-8")):
                found[f"{prefix}>{name}"] = module
    assert found == CLASSES


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A model compiled with the loss, two batches, and what the loss is of them."""
    import keras
    import numpy as np

    from atmodist import ContentLoss
    from tests.metric.encoders import made_encoder, made_normalization

    folder = tmp_path_factory.mktemp("compiled")
    loss = ContentLoss(made_encoder(), inputs="physical", normalization=made_normalization())
    inputs = keras.Input((32, 32, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same")(inputs))
    model.compile(optimizer="adam", loss=loss)
    model.save(folder / "model.keras")
    fields = 1e-5 * np.random.default_rng(0).normal(size=(2, 1, 32, 32, 2)).astype(np.float32)
    np.save(folder / "fields.npy", fields)
    return folder, float(loss(*fields))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imports", "early"),
    [
        ("import atmodist", False),
        ("import keras, atmodist", True),
        ("import srgan", False),
        ("import atmodist.metric.receptive_field", True),  # Keras is imported in the midst of it
    ],
)
def test_a_compiled_model_loads_after_importing_the_package(compiled, imports, early):
    folder, expected = compiled
    script = LOAD.format(imports=imports, early=early)
    command = [sys.executable, "-c", script, folder / "model.keras", folder / "fields.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(expected, rel=1e-6)


def test_importing_the_package_imports_neither_keras_nor_tensorflow():
    script = "import sys, atmodist; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_asking_where_keras_is_does_not_make_us_miss_its_import():
    script = """
import importlib.util, atmodist
importlib.util.find_spec("keras")  # as TensorFlow does
import keras
assert "srgan>SubPixel" in keras.saving.get_custom_objects()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
