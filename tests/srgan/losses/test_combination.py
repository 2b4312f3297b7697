import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from atmodist import ContentLoss
from atmodist.files.outputs import write_json
from atmodist.training.saving import save_network
from srgan.losses.combination import content_loss, make_content_loss, parse_content
from srgan.losses.content._features import parse_stages
from srgan.losses.spectral import SpectralLoss
from tests.metric.encoders import made_encoder, made_normalization


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    save_network(made_encoder(), folder / "encoder.keras")
    made_normalization().save(folder / "normalization.json")
    write_json(folder / "manifest.json", {"command": "rplearn-train"})
    return folder


def patches(size=32):
    return np.random.default_rng(0).normal(size=(2, 3, size, size, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("atmodist", {"atmodist": 1.0}),
        ("atmodist=1,mse=0.1", {"atmodist": 1.0, "mse": 0.1}),
        (" mse = 2 , spectral ", {"mse": 2.0, "spectral": 1.0}),
        ({"mae": 1, "autoencoder": 1e-3}, {"mae": 1.0, "autoencoder": 1e-3}),
    ],
)
def test_combinations_are_read(text, weights):
    found = parse_content(text)
    assert found == weights
    assert list(found) == list(weights)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vgg", "there is no content loss 'vgg'; there are atmodist, autoencoder, mae"),
        ("", "there is no content loss ''"),
        ("mse,mse=2", "'mse' was given twice"),
        ("mse=much", "weight of 'mse' must be a positive number; got 'much'"),
        ("mse=-1", "must be a positive number; got '-1'"),
        ("mse=inf", "must be a positive number; got 'inf'"),
        ({"mse": True}, "must be a positive number; got True"),
        ({"mse": None}, "must be a positive number; got None"),
        ({}, "needs at least one of"),
        (3, "must be text or weights by name; got 3"),
    ],
)
def test_mistakes_are_told_in_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_content(text)
    assert "\n" not in str(caught.value)


def test_the_sum_is_weighted_and_its_parts_are_not(folder):
    weights = {"mse": 0.5, "mae": 2.0, "atmodist": 0.1, "autoencoder": 0.2, "spectral": 0.3}
    terms = make_content_loss(
        weights, encoder=folder, autoencoder=folder, autoencoder_stages="stage1"
    )
    a, b = patches()
    found = content_loss(terms, a, b)
    encoder = made_encoder()
    expected = {
        "mse": ((a - b) ** 2).mean(),
        "mae": np.abs(a - b).mean(),
        "atmodist": ContentLoss(encoder)(a, b),
        "autoencoder": ContentLoss(encoder, "stage1")(a, b),
        "spectral": SpectralLoss()(a, b),
    }
    assert list(found.parts) == list(expected)
    for name, value in expected.items():
        assert np.shape(found.parts[name]) == ()
        assert_allclose(found.parts[name], value, rtol=1e-5, err_msg=name)
    total = sum(weights[name] * float(value) for name, value in expected.items())
    assert_allclose(found.total, total, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "option"), [("atmodist", "encoder"), ("autoencoder", "autoencoder")]
)
def test_a_missing_network_is_named(name, option):
    with pytest.raises(ValueError, match=f"content {name} compares features.* by --{option}"):
        make_content_loss(name)


def test_a_setting_that_no_loss_has_is_named():
    with pytest.raises(TypeError, match="no content loss has the settings encodr"):
        make_content_loss("mse", encodr="run")


def test_stages_are_a_name_or_weights():
    assert parse_stages(None) is None
    assert parse_stages("stage3") == "stage3"
    assert parse_stages("stage3=1, stage4=0.5") == {"stage3": 1.0, "stage4": 0.5}


def test_an_encoder_with_another_normalisation_is_refused(folder):
    make_content_loss("atmodist", encoder=folder, normalization=made_normalization())
    other = made_normalization(("vorticity", "divergence"))
    with pytest.raises(ValueError, match="different normalisations"):
        make_content_loss("atmodist", encoder=folder, normalization=other)


def test_reading_a_combination_does_not_import_keras():
    program = (
        "import sys; from srgan.losses.combination import parse_content; parse_content('mse');"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
