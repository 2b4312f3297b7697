import dataclasses

import numpy as np
import pytest

from atmodist.pretext.configuration import TrainingConfig
from atmodist.pretext.warm_up import fit_warmup, plan_phases
from tests.pretext.sources import array_source


def config(**options):
    defaults = {"architecture": "resnet-small", "batch_size": 16}
    return TrainingConfig(**{"records": "made-up", **defaults, **options})


def first_values(source, phase, epoch):
    batches = source.training_batches(phase.order(epoch)).take(phase.steps_per_epoch)
    return [np.asarray(pairs)[:, 0, 0, 0, 0].tolist() for pairs, _ in batches]


def test_a_warm_up_repeats_a_few_batches_and_the_main_phase_has_orders_of_its_own():
    source = array_source(num_train=128, batch_size=16)
    told = config(warmup_epochs=3, warmup_batches=2, epochs=4, steps_per_epoch=5)
    warmup, main = plan_phases(fit_warmup(told, source), source)
    assert (warmup.end, warmup.num_steps) == (3, 6)
    assert (main.first_epoch, main.first_step, main.end, main.num_steps) == (3, 6, 7, 20)
    once = first_values(source, warmup, 0)
    assert len(once) == 2
    assert first_values(source, warmup, 2) == once
    later = [first_values(source, main, epoch) for epoch in (3, 4)]
    assert [len(batches) for batches in later] == [5, 5]
    assert later[0][:2] != once
    assert later[0] != later[1]


@pytest.mark.parametrize("options", [{}, {"steps_per_epoch": 3}])
def test_a_recipe_s_warm_up_as_long_as_an_epoch_is_left_out_with_a_note(options, capsys):
    source = array_source(num_train=128)
    fitted = fit_warmup(config(**options), source)
    assert (fitted.warmup_epochs, fitted.warmup_batches) == (0, 0)
    assert [phase.name for phase in plan_phases(fitted, source)] == ["main"]
    assert "note: no warm-up, for its 2000 batches" in "".join(capsys.readouterr())
    again = dataclasses.replace(fitted)  # as read from the manifest
    assert fit_warmup(again, source) == fitted
    assert "".join(capsys.readouterr()) == ""


def test_a_recipe_s_warm_up_stays_where_records_are_many():
    source = array_source(num_train=64)
    source.num_train = 2001 * 16
    fitted = fit_warmup(config(), source)
    assert (fitted.warmup_epochs, fitted.warmup_batches) == (20, 2000)
    assert fit_warmup(config(warmup_epochs=0), source).warmup_epochs == 0


@pytest.mark.parametrize("options", [{"warmup_epochs": 2}, {"warmup_batches": 9}])
def test_a_warm_up_that_was_asked_for_needs_its_batches(options):
    source = array_source(num_train=128)
    with pytest.raises(ValueError, match=r"`warmup_batches` is .* 128 pairs .* 8 batches of 16"):
        fit_warmup(config(**options), source)
    whole = fit_warmup(config(warmup_epochs=1, warmup_batches=8), source)
    assert whole.warmup_batches == 8


def test_more_steps_than_there_are_records_are_refused():
    source = array_source(num_train=128)
    with pytest.raises(ValueError, match=r"`steps_per_epoch` is 9, but made-up has 128 .* 8 batch"):
        plan_phases(config(steps_per_epoch=9, warmup_epochs=0).resolved(), source)
