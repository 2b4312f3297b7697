"""What a pretext run was made of, and whether it may go on with what there is now."""

from pathlib import Path
from typing import Any

from atmodist.files.outputs import fingerprint
from atmodist.pretext.configuration import CONTINUABLE, TrainingConfig
from atmodist.pretext.pair_source import PairSource
from atmodist.training.resuming import check_same_normalization, check_same_settings


def describe_source(source: PairSource) -> dict[str, Any]:
    """What a checkpoint keeps of its records, as plain content.

    Returns:
        `input_shape` and `num_classes`; `normalization`, its identity or None; `content`, the
        fingerprints of the files of the source, in order.
    """
    normalization = source.normalization
    return {
        "input_shape": [int(size) for size in source.input_shape],
        "num_classes": source.num_classes,
        "normalization": None if normalization is None else normalization.identity,
        "content": [fingerprint(path) for path in source.files],
    }


def check_same_run(before: dict[str, Any], config: TrainingConfig, output: Path) -> None:
    """Raises `ValueError` if a run would go on under another configuration."""
    free = set(CONTINUABLE)
    if config.schedule == "cosine":
        free.remove("epochs")  # the end decides the whole curve
    check_same_settings(before, config, output, free=free)


def check_same_data(state: dict[str, Any], source: PairSource, config: TrainingConfig) -> None:
    """Raises `ValueError` if a run would go on with other records.

    Args:
        state: Of the checkpoint; holds what `describe_source` told.
        source: Where pairs come from now.
        config: What the run is told now.
    """
    now, ours = describe_source(source), f"the records in {config.records}"
    if state["num_classes"] != now["num_classes"]:
        raise ValueError(
            f"the network in {config.output} tells {state['num_classes']} labels apart, {ours} "
            f"have {now['num_classes']}."
        )
    if state["input_shape"] != now["input_shape"]:
        raise ValueError(
            f"the network in {config.output} takes fields of shape {tuple(state['input_shape'])}, "
            f"{ours} hold {tuple(now['input_shape'])}."
        )
    check_same_normalization(state["normalization"], source.normalization, ours, config.output)
    if state["content"] != now["content"]:
        raise ValueError(
            f"the run in {config.output} was started with the records in "
            f"{state['config']['records']}; {ours} are others. Give those to go on, or choose "
            "another --output; `rplearn-eval` scores a network on other records."
        )
