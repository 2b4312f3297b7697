"""Adversarial losses: the non-saturating game of Goodfellow et al. (2014), from logits.

With D = sigmoid(logit) the probability that a field is true, over a batch of each kind,

    discriminator   ½ mean(-log D(true)) + ½ mean(-log(1 - D(generated)))
    generator       mean(-log D(generated))

The ½ is the reference's: its thresholds of balance, 0.46 and 0.6, are meant for this mean over both
kinds, which is log 2 = 0.693 for a discriminator that knows nothing. -log sigmoid(x) is
softplus(-x), which neither overflows nor loses its gradient where sigmoid is 0 or 1 in float32.
"""

from typing import Any

from keras import ops


def generator_loss(generated_logits: Any) -> Any:
    """How well the discriminator sees through the generator; log 2 where it knows nothing."""
    return ops.mean(ops.softplus(ops.negative(_float32(generated_logits))))


def discriminator_loss(true_logits: Any, generated_logits: Any) -> Any:
    """How badly the discriminator tells both kinds; log 2 where it knows nothing."""
    true = ops.mean(ops.softplus(ops.negative(_float32(true_logits))))
    generated = ops.mean(ops.softplus(_float32(generated_logits)))
    return 0.5 * (true + generated)


def shares_recognised(true_logits: Any, generated_logits: Any) -> tuple[Any, Any]:
    """Shares of the true and of the generated fields that the discriminator takes for such."""
    true = ops.mean(ops.cast(ops.greater(true_logits, 0.0), "float32"))
    generated = ops.mean(ops.cast(ops.less(generated_logits, 0.0), "float32"))
    return true, generated


def _float32(logits: Any) -> Any:
    return ops.cast(logits, "float32")
