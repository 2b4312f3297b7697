import subprocess
import sys

import pytest

from srgan.training.configuration import GeneratorTrainingConfig


def config(**options):
    return GeneratorTrainingConfig(**{"records": "patches", **options})


def test_defaults_are_the_reference_implementation_s():
    made = config().resolved()
    assert (made.pretraining_learning_rate, made.learning_rate) == (1e-4, 1e-5)
    assert (made.batch_size, made.adversarial_weight, made.balance) == (64, 1e-3, (0.46, 0.6))
    assert (made.filters, made.blocks, made.pretraining_epochs) == (64, 16, 10)


def test_a_run_that_starts_from_another_one_has_no_pretraining_unless_asked_for():
    assert config(start_from="run").resolved().pretraining_epochs == 0
    assert config(start_from="run", pretraining_epochs=2).resolved().pretraining_epochs == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content": "atmodist"}, "compares features; name the run or package.*by --encoder"),
        ({"content": "autoencoder"}, "by --autoencoder"),
        ({"pretraining_loss": "atmodist"}, "by --encoder"),
        ({"encoder": "run"}, "`encoder` is for content atmodist; got encoder='run'"),
        ({"autoencoder_stages": "stage3"}, "`autoencoder_stages` is for content autoencoder"),
        ({"content": "vgg"}, "there is no content loss 'vgg'"),
        ({"content": "atmodist", "encoder": "run", "stages": "stage3=x"}, "weight of 'stage3'"),
        ({"balance": (0.6, 0.46)}, r"the smaller one first, as \[0.46,0.6\]"),
        ({"balance": (0.6,)}, "must be two losses"),
        ({"consistency": "exact"}, "`consistency` must be one of none, penalty, projection"),
        ({"epochs": 0, "pretraining_epochs": 0}, "nothing to do"),
        ({"epochs": -1}, "`epochs` must be an integer of at least 0; got epochs=-1"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"batch_size": True}, "`batch_size` must be a positive integer"),
        ({"batch_size": 6, "accumulation": 4}, "must be a multiple of `accumulation`"),
        (
            {"learning_rate": 0.0},
            "must be a positive number; got learning_rate=0.0",
        ),
        ({"learning_rate": float("nan")}, "`learning_rate` must be a positive number"),
        ({"ema": 1.0}, "`ema` must be at least 0 and below 1"),
        ({"xla": True, "devices": "machine"}, "`xla` is for devices=one"),
        ({"checkpoint_minutes": -1.0}, "`checkpoint_minutes` must be a number of at least 0"),
        ({"resume": "yes"}, "`resume` must be true or false"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)


def test_the_configuration_imports_nothing_heavy():
    program = (
        "import sys, srgan.training.configuration, srgan.cli.phire_train\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'xarray', 'pyshtools'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
