"""Who has fallen behind, generator or discriminator?

The reference's rule: after a step of both, whoever does worse than the loss of the discriminator
allows takes another one on the same batch. A discriminator that knows nothing has the loss
log 2 = 0.693 nats.
"""

from typing import Literal


def falls_behind(
    discriminator_loss: float, balance: tuple[float, float]
) -> Literal["generator", "discriminator"] | None:
    """Says who needs an extra step.

    Args:
        discriminator_loss: Of the step that was taken, in nats.
        balance: Below the first, the generator falls behind; above the second, the discriminator.
    """
    low, high = balance
    if discriminator_loss < low:
        return "generator"
    return "discriminator" if discriminator_loss > high else None
