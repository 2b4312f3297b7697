"""Saved networks give the same under each backend of Keras, each in a process of its own."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist.pretext import networks
from atmodist.pretext.architecture import ResidualSpec, Stage
from atmodist.pretext.architectures import resnet_small
from atmodist.pretext.pair_model import pretext_model
from atmodist.pretext.reconstruction.decoder import reconstruction_model
from atmodist.training.saving import save_network
from tests.backends import needs, run_under

pytestmark = pytest.mark.slow

# A stem with an even kernel and a bias, pooling, strides on even extents, L2: what resnet-small is
# made of, with fewer blocks.
SMALL = ResidualSpec(
    stem_filters=8,
    stem_kernel=8,
    stem_stride=2,
    stem_bias=True,
    stem_pool=True,
    stages=(Stage(filters=8, blocks=1), Stage(filters=16, blocks=2, stride=2)),
    normalized_shortcut=True,
    l2=1e-4,
)
PATCH = (32, 64, 2)
RUN = """
import sys
import keras
import numpy as np
from atmodist.training.saving import load_network

folder, backend = sys.argv[1:]
assert keras.backend.backend() == backend
outputs = {}
for name in ("tiny", "small", "autoencoder", "pretext-tiny", "pretext-small", "pretext-ordinal"):
    network = load_network(f"{folder}/{name}.keras")
    x = np.load(f"{folder}/{'pairs' if name.startswith('pretext') else 'fields'}.npy")
    found = network.predict_on_batch(x)
    found = found if isinstance(found, dict) else {"output": found}
    outputs |= {f"{name} {key}": value for key, value in found.items()}
np.savez(f"{folder}/{backend}.npz", **outputs)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Networks with weights and statistics unlike those of fresh ones, and what to feed them."""
    folder, rng = tmp_path_factory.mktemp("backends"), np.random.default_rng(0)
    small = dataclasses.replace(resnet_small.ARCHITECTURE, spec=SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet_small, "ARCHITECTURE", small)
        made = {
            "tiny": networks.encoder("resnet-tiny", PATCH),
            "small": networks.encoder("resnet-small", PATCH),
            "autoencoder": reconstruction_model("resnet-tiny", PATCH),
            "pretext-tiny": pretext_model("resnet-tiny", PATCH, 5),
            "pretext-small": pretext_model("resnet-small", PATCH, 5),
            "pretext-ordinal": pretext_model("resnet-tiny", PATCH, 5, "ordinal"),
        }
    for name, network in made.items():
        for weight in network.weights:
            if len(weight.shape) == 1:
                weight.assign(weight + rng.uniform(0.0, 0.5, weight.shape))
        save_network(network, folder / f"{name}.keras")
    pairs = rng.standard_normal((3, 2, *PATCH)).astype(np.float32)
    np.save(folder / "pairs.npy", pairs)
    np.save(folder / "fields.npy", pairs[:, 0])
    return folder


def outputs_under(backend, folder):
    run_under(backend, RUN, folder, backend)
    with np.load(folder / f"{backend}.npz") as outputs:
        return dict(outputs)


@pytest.fixture(scope="module")
def under_tensorflow(folder):
    return outputs_under("tensorflow", folder)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_saved_networks_give_the_same_under_every_backend(backend, folder, request):
    needs(backend)
    expected = request.getfixturevalue("under_tensorflow")
    found = outputs_under(backend, folder)
    assert list(found) == list(expected)
    assert len(expected) == 2 + 2 + 1 + 1 + 1 + 1  # stages of the encoders, fields, logits
    for name, values in expected.items():
        scale = np.abs(values).max()
        assert scale > 0.1
        # Sums of some hundred float32 terms in another order, layer after layer.
        assert_allclose(found[name], values, rtol=0, atol=1e-5 * scale, err_msg=name)
