import pytest

from atmodist.training.phases import Phase
from srgan.training.losses import ADVERSARIAL, PRETRAINING
from srgan.training.run import GeneratorRun
from tests.srgan.training.sources import write_records
from tests.srgan.training.test_run import config


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Makes judges of fresh generators."""
    folder = tmp_path_factory.mktemp("judge")
    records = write_records(folder / "records")

    def make(content):
        return GeneratorRun(config(records, folder / content, content=content)).judge

    return make


def row(judge, phase, **more):
    name = Phase(name=phase, epochs=1, steps_per_epoch=1)
    scores = {f"evaluation_{k}": v for k, v in judge.evaluate(name, lambda x: x).items()}
    facts = {"phase": phase, "epoch": 3, "loss": 1.5, "patches_per_second": 12.34}
    return {**facts, **scores, **more}


def test_the_line_about_an_epoch_tells_each_score_once(made):
    judge = made("mae")
    told = judge.tell(row(judge, ADVERSARIAL, discriminator_loss=0.25), 4)
    mae, bicubic = row(judge, ADVERSARIAL)["evaluation_mae"], judge.bicubic_scores()
    assert told.startswith("adversarial epoch 3/4: loss 1.5; discriminator 0.250; evaluation (")
    assert f"(bicubic): loss {mae:.4g} ({bicubic['mae']:.4g}), mse " in told
    assert told.endswith("; 12.3 patches/s")
    told = judge.tell(row(judge, PRETRAINING), 4)  # whose loss is the mean squared error
    assert "evaluation (bicubic): mse " in told
    assert "small scale power " in told


def test_an_epoch_without_evaluation_has_a_line_too(made):
    told = made("mse").tell(row(made("mse"), PRETRAINING, evaluation_loss=None), 4)
    assert told == "pretraining epoch 3/4: loss 1.5; 12.3 patches/s"


def test_the_best_is_the_least_loss_of_the_last_phase(made):
    judge = made("mse")  # two epochs of pre-training
    scores = [{"epoch": 1, "loss": 0.3}, {"epoch": 2, "loss": 0.1}]
    assert judge.best(scores)["epoch"] == 2
    scores += [{"epoch": 3, "loss": 0.9}, {"epoch": 4, "loss": 0.7}, {"epoch": 5, "loss": 0.8}]
    assert judge.best(scores)["epoch"] == 4


def test_bicubic_interpolation_is_judged_as_a_generator_is(made):
    judge = made("mae")
    expected = judge._scores.of(judge._interpolated(judge._batches()), ADVERSARIAL)
    assert judge.bicubic_scores() == pytest.approx(expected)
    assert judge.bicubic_scores()["loss"] == judge.bicubic_scores()["mae"]
