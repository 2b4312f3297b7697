"""The command `rplearn-eval`: a trained network in, a judgement of it out."""

from collections.abc import Sequence

from atmodist.assessment.configuration import PretextEvaluationConfig
from atmodist.cli.common import command_parser, require_paths, run_command
from atmodist.files.quiet_tensorflow import load_tensorflow


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = command_parser("rplearn-eval", PretextEvaluationConfig, positional="run")
    return run_command(parser, PretextEvaluationConfig, argv, _evaluate)


def _evaluate(config: PretextEvaluationConfig) -> str:
    if not (config.run / "checkpoints").is_dir():  # says so before TensorFlow loads
        raise ValueError(
            f"{config.run} is no folder of a run: it has no checkpoints; rplearn-train makes one."
        )
    require_paths(records=config.records, archive=config.archive)
    load_tensorflow()
    from atmodist.assessment.run import evaluate

    return evaluate(config).summary()
