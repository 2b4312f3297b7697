"""The command `rplearn-eval`: a trained network in, a judgement of it out."""

from collections.abc import Sequence

from atmodist.assessment.configuration import EvaluationConfig
from atmodist.cli.common import command_parser, load_tensorflow, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = command_parser("rplearn-eval", EvaluationConfig, positional="run")
    return run_command(parser, EvaluationConfig, argv, _evaluate)


def _evaluate(config: EvaluationConfig) -> str:
    if not (config.run / "checkpoints").is_dir():  # says so before TensorFlow loads
        raise ValueError(
            f"{config.run} is no folder of a run: it has no checkpoints; rplearn-train makes one."
        )
    load_tensorflow()
    from atmodist.assessment.run import evaluate

    return evaluate(config).summary()
