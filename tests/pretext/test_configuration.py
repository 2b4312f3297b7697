import dataclasses
import subprocess
import sys

import pytest

from atmodist.pretext.architecture import Recipe
from atmodist.pretext.architectures import ARCHITECTURES
from atmodist.pretext.configuration import TrainingConfig


def test_open_settings_come_from_the_recipe_and_given_ones_stay():
    config = TrainingConfig(records="pairs", batch_size=7).resolved()
    assert (config.optimizer, config.learning_rate, config.schedule) == ("sgd", 0.1, "plateau")
    assert config.batch_size == 7
    assert config.resolved() == config


def test_another_optimiser_with_its_own_learning_rate_is_accepted():
    config = TrainingConfig(
        records="pairs", architecture="resnet-tiny", optimizer="sgd", learning_rate=0.1
    ).resolved()
    assert (config.optimizer, config.learning_rate, config.weight_decay) == ("sgd", 0.1, 0.0)
    assert config.resolved() == config


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_recipes_leave_nothing_open(architecture):
    config = TrainingConfig(records="pairs", architecture=architecture).resolved()
    assert all(getattr(config, field.name) is not None for field in dataclasses.fields(Recipe))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"architecture": "resnet-huge"},
            "`architecture` must be one of resnet-101, resnet-18",
        ),
        ({"optimizer": "adam"}, "`optimizer` must be one of sgd, adamw"),
        ({"schedule": "linear"}, "`schedule` must be one of"),
        ({"epochs": 0}, "`epochs` must be a positive integer; got epochs=0"),
        ({"batch_size": 2.5}, "`batch_size` must be a positive integer"),
        ({"batch_size": True}, "`batch_size` must be"),
        ({"evaluate_every": None}, "`evaluate_every` must be a positive integer"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be a positive number"),
        ({"ema": 1.0}, "`ema` must be at least 0 and below 1"),
        ({"plateau_factor": 1.0}, "`plateau_factor` must be between 0 and 1"),
        ({"max_label": 1}, "`max_label` must be an integer of at least 2"),
        ({"seed": -1}, "`seed` must be"),
        ({"mirror": "no"}, "`mirror` must be true or false; got mirror='no'"),
        ({"reverse": 0}, "`reverse` must be true or false; got reverse=0"),
        ({"resume": None}, "`resume` must be true or false"),
        ({"deterministic": "true"}, "`deterministic` must be true or false"),
        ({"xla": 1}, "`xla` must be true or false"),
        ({"warmup_epochs": -1}, "`warmup_epochs` must be an integer of at least 0"),
        (
            {"architecture": "resnet-tiny", "warmup_epochs": 2},
            "give --warmup_batches with warmup_epochs=2",
        ),
        (
            {"architecture": "resnet-tiny", "warmup_batches": 2},
            "resnet-tiny has no warm-up of its own; give --warmup_epochs with warmup_batches=2",
        ),
        ({"checkpoint_minutes": -1}, "`checkpoint_minutes` must be a number of at least 0"),
        ({"train_split": 3}, "`train_split` must be text; got train_split=3"),
        ({"xla": True, "devices": "machine"}, "`xla` is for devices=one; got devices='machine'"),
        ({"devices": "all"}, "`devices` must be one of one, machine, cluster; got devices='all'"),
        ({"precision": "float16"}, "`precision` must be one of float32, mixed_bfloat16, mixed_"),
        ({"accumulation": 0}, "`accumulation` must be a positive integer"),
        ({"accumulation": 3}, "must be a multiple of `accumulation`; got batch_size=128, accum"),
        ({"optimizer": "adamw"}, "meant for sgd; give --learning_rate with optimizer='adamw'"),
        ({"weight_decay": 0.1}, "`weight_decay` is for adamw.*got weight_decay=0.1"),
        (
            {"optimizer": "sgd", "architecture": "resnet-tiny", "learning_rate": 1.0}
            | {"weight_decay": 0.1},
            "`weight_decay` is for adamw",
        ),
    ],
)
def test_bad_values_are_refused_with_name_and_value(setting, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(records="pairs", **setting)


def test_open_settings_of_a_task_are_written_out():
    config = TrainingConfig(records="pairs", task="inpainting").resolved()
    assert (config.mask, config.mask_fraction) == ("hole", 0.25)
    assert config.reconstruction_loss == "pixel"
    assert config.resolved() == config
    config = TrainingConfig(
        records="pairs",
        architecture="resnet-tiny",
        task="autoencoder",
        reconstruction_loss="mixed",
        content_from="run",
    ).resolved()
    assert (config.mask, config.content_weight, config.label_spread) == (None, 1.0, 0.0)
    assert config.resolved() == config
    config = TrainingConfig(records="pairs").resolved()
    assert (config.mask, config.reconstruction_loss, config.content_weight) == (None, None, None)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"task": "jigsaw"}, "`task` must be one of autoencoder, inpainting, temporal_distance"),
        ({"task": "inpainting", "mask": "moon"}, "`mask` must be one of hole, centred-hole"),
        ({"task": "inpainting", "mask_fraction": 1.0}, "`mask_fraction` must be between 0 and 1"),
        ({"mask": "hole"}, "`mask` is for the task inpainting; got mask='hole' with task='temp"),
        ({"task": "autoencoder", "mask_fraction": 0.2}, "`mask_fraction` is for the task inpaint"),
        ({"reconstruction_loss": "pixel"}, "is for the tasks autoencoder and inpainting"),
        ({"content_from": "run"}, "`content_from` is for the tasks autoencoder and inpainting"),
        ({"task": "autoencoder", "head": "ordinal"}, "`head` is for the task temporal_distance"),
        ({"task": "autoencoder", "label_spread": 0.7}, "`label_spread` is for the task temporal"),
        (
            {"task": "autoencoder", "reconstruction_loss": "content"},
            "reconstruction_loss='content' compares features; name the run .* by --content_from",
        ),
        (
            {"task": "autoencoder", "content_from": "run"},
            "`content_from` is for reconstruction_loss content and mixed",
        ),
        (
            {"task": "autoencoder", "content_from": "run", "content_weight": 2.0}
            | {"reconstruction_loss": "content"},
            "`content_weight` is for reconstruction_loss mixed",
        ),
        (
            {"task": "autoencoder", "content_from": "run", "content_weight": 0.0}
            | {"reconstruction_loss": "mixed"},
            "`content_weight` must be a positive number",
        ),
    ],
)
def test_settings_of_another_task_are_refused(setting, message):
    with pytest.raises(ValueError, match=message) as info:
        TrainingConfig(records="pairs", **setting)
    assert "\n" not in str(info.value)


def test_the_configuration_imports_nothing_heavy():
    code = (
        "import sys, atmodist.pretext.configuration;"
        "print({'tensorflow', 'keras', 'matplotlib', 'pyshtools', 'xarray'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()"
