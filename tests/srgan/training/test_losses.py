from types import SimpleNamespace

import pytest

from srgan.losses.combination import ContentTerm, make_content_loss
from srgan.training.configuration import GeneratorTrainingConfig
from srgan.training.losses import ADVERSARIAL, PRETRAINING, Losses, tell_uncalibrated


def learned(name, scales):
    return ContentTerm(name, 1.0, SimpleNamespace(identity=f"{name}-1", scales=scales))


def test_parts_of_both_phases_are_named_once():
    losses = Losses(
        pretraining=make_content_loss("mse"), content=make_content_loss("mae=2,mse=0.1")
    )
    assert losses.parts == ("mae", "mse")
    assert [term.name for term in losses.of_phase(PRETRAINING)] == ["mse"]
    assert [(t.name, t.weight) for t in losses.of_phase(ADVERSARIAL)] == [("mae", 2), ("mse", 0.1)]
    assert losses.provenance == {}


@pytest.mark.parametrize(
    ("scales", "uncalibrated"), [({}, ("atmodist",)), ({"stage3": 4.0}, ()), ({"stage3": 1.0}, ())]
)
def test_encoders_without_their_scale_are_told_of(scales, uncalibrated, capsys):
    content = (learned("atmodist", scales), learned("autoencoder", {"stage1": 2.0}))
    losses = Losses(pretraining=make_content_loss("mse"), content=content)
    assert losses.provenance == {"atmodist": "atmodist-1", "autoencoder": "autoencoder-1"}
    assert losses.uncalibrated == uncalibrated
    config = GeneratorTrainingConfig(records="r", content="atmodist", encoder="enc")
    tell_uncalibrated(config, losses)
    assert ("`atmodist calibrate enc`" in capsys.readouterr().err) == bool(uncalibrated)
