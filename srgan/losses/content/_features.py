"""Losses that compare features of a trained network."""

from pathlib import Path
from typing import Any

from atmodist.fields.normalization import Normalization
from srgan.losses.content_kind import Loss


def require_network(network: str | Path | None, loss: str, option: str) -> None:
    """Raises `ValueError` if no network is named."""
    if network is None:
        raise ValueError(
            f"content {loss} compares features; name the run or package of a trained encoder by "
            f"--{option}."
        )


def feature_loss(
    loss: str, option: str, network: str | Path, stages: Any, normalization: Normalization | None
) -> Loss:
    """Makes the loss.

    Args:
        loss: Its name.
        option: What its network is called.
        network: Folder or hf:// address.
        stages: As of `parse_stages`.
        normalization: Of the fields; a network with another one is refused.
    """
    from atmodist.metric.content_loss import ContentLoss

    made = ContentLoss.from_package(network, stages=parse_stages(stages), name=f"{loss}_loss")
    if normalization is not None and made.normalization is not None:
        normalization.require_same(
            made.normalization, ours="the records", theirs=f"the {option} in {network}"
        )
    return made


def parse_stages(text: Any) -> Any:
    """Reads "stage3", or "stage3=1,stage4=0.5", to weights by stage; leaves all else."""
    if not isinstance(text, str) or "=" not in text:
        return text
    weights = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight) if weight else 1.0
        except ValueError:
            raise ValueError(f"the weight of {name.strip()!r} is no number: {weight!r}.") from None
    return weights
