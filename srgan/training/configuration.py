"""Configuration of `phire-train`: every setting, checked, with its help text.

This module imports nothing heavy, so that `--help` stays instant.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from atmodist.files.checks import MOMENTUM, NOT_NEGATIVE, POSITIVE, check_settings, whole
from atmodist.files.options import merged, own, places, refuse_foreign
from atmodist.training.settings import DevicesName, PrecisionName
from srgan.losses.combination import parse_content
from srgan.losses.content import CONTENT_LOSSES

ConsistencyName = Literal["none", "penalty", "projection"]
HeadName = Literal["pooled", "flatten"]

PRETRAINING_EPOCHS = 10  # unless weights are taken from another run

_OPTIONS = {name: kind.options for name, kind in CONTENT_LOSSES.items()}

if TYPE_CHECKING:

    class _ContentOptions:
        """Settings of all content losses; statically, nobody knows which there are."""
else:
    _ContentOptions = merged(_OPTIONS.values())

# What may change between a run and its continuation without changing what has been learnt so far.
CONTINUABLE = (
    "records",
    "output",
    "epochs",
    "evaluate_every",
    "checkpoint_minutes",
    "keep_checkpoints",
    "resume",
    "devices",
    "samples",
    *places(_OPTIONS.values()),  # what lies there may not: see `Losses.provenance`
)

_RANGES = {
    **dict.fromkeys(("batch_size", "filters", "evaluate_every", "accumulation"), whole(1)),
    **dict.fromkeys(("steps_per_epoch", "evaluation_steps", "keep_checkpoints"), whole(1)),
    **dict.fromkeys(("epochs", "pretraining_epochs", "blocks", "noise_channels"), whole(0)),
    **dict.fromkeys(("seed", "samples"), whole(0)),
    **dict.fromkeys(("learning_rate", "pretraining_learning_rate"), POSITIVE),
    **dict.fromkeys(("adversarial_weight", "checkpoint_minutes"), NOT_NEGATIVE),
    "consistency_weight": POSITIVE,
    "ema": MOMENTUM,
}


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What comes first in the help; settings of content losses follow."""

    records: Path = field(metadata={"help": "Folder of patch records, made by phire-data."})
    output: Path = Path("generator-run")
    """Folder for checkpoints, logs, pictures and the trained generator."""
    content: str = field(
        default="mse",
        metadata={
            "help": "Content loss, or a weighted sum of them, written atmodist=1,mse=0.1. "
            + " ".join(f"{name}: {kind.about}." for name, kind in CONTENT_LOSSES.items())
        },
    )


@dataclass(frozen=True, kw_only=True)
class GeneratorTrainingConfig(_ContentOptions, _Subject):
    """Train a generator for super-resolution: with a pixel loss first, then against a critic.

    The second phase (`epochs`) minimises content loss + adversarial_weight * adversarial loss, and
    its best epoch by content loss on the evaluation patches is what is kept.
    """

    pretraining_loss: str = "mse"
    """Loss of the first phase, written like content."""
    pretraining_epochs: int | None = None
    """Epochs with that loss alone; null for 10, or 0 with start_from."""
    pretraining_learning_rate: float = 1e-4
    """Learning rate of the first phase, of Adam."""
    epochs: int = 10
    """Epochs of adversarial training; 0 for none."""
    learning_rate: float = 1e-5
    """Learning rate of the second phase, of Adam, of both networks."""
    batch_size: int = 64
    """Patches per step."""
    steps_per_epoch: int | None = None
    """Batches per epoch; null for all records once."""
    adversarial_weight: float = 1e-3
    """Factor of the adversarial loss; with 0 the second phase is trained by content alone."""
    balance: tuple[float, float] = (0.46, 0.6)
    """Losses of the discriminator, in nats: below the first, the generator takes one more step on
    the same batch; above the second, the discriminator does. Written [0.46,0.6]."""
    consistency: ConsistencyName = "none"
    """How block means of the output are kept to the coarse field. penalty: by a term of the loss.
    projection: exactly, by a layer."""
    consistency_weight: float = 1.0
    """Factor of the penalty, a mean squared error in units of each channel's variance."""
    noise_channels: int = 0
    """Channels of noise the generator gets, for a stochastic output."""
    filters: int = 64
    """Channels inside the generator."""
    blocks: int = 16
    """Residual blocks of the generator."""
    discriminator_head: HeadName = "pooled"
    """What follows its convolutions. pooled: the mean over the patch. flatten: the reference's,
    with more weights, for patches of one size."""
    ema: float = 0.999
    """Momentum of the running average of weights that is evaluated and saved; 0 for none."""
    start_from: str | None = None
    """A run with the same records and network: start with the weights of its pre-training, so that
    several losses start from the same."""
    evaluate_every: int = 1
    """Epochs between evaluations; the last one of a phase is always evaluated."""
    evaluation_steps: int | None = None
    """Batches per evaluation; null for all."""
    samples: int = 3
    """Evaluation patches in the pictures of each evaluation; 0 for no pictures."""
    seed: int = 0
    """Decides first weights, order of the records and noise."""
    resume: bool = True
    """Go on from the last checkpoint in the output folder, if there is one."""
    checkpoint_minutes: float | None = 10.0
    """Minutes between checkpoints within an epoch, of which only the latest stays; 0 for one after
    every step, null for none."""
    keep_checkpoints: int | None = None
    """How many of the latest checkpoints to keep, besides the best; null for all."""
    precision: PrecisionName = "float32"
    """What the networks compute with while they train; weights, losses and what is saved stay
    float32. mixed_bfloat16 needs an accelerator that has it, or a CPU with AMX; mixed_float16 is
    for older accelerators."""
    accumulation: int = 1
    """Equal parts in which a batch passes through the networks, one after the other: memory falls,
    the step stays the same."""
    devices: DevicesName = "one"
    """one: the first accelerator, or the CPU. machine: all accelerators of this machine. cluster:
    all of several machines, one process on each, described by the environment variable TF_CONFIG.
    Each device takes an equal share of every batch."""
    deterministic: bool = False
    """Repeat a run bit by bit on accelerators, at some cost."""
    xla: bool = False
    """Compile the steps with XLA (slower on CPUs)."""

    def __post_init__(self) -> None:
        for name in ("records", "output"):
            object.__setattr__(self, name, Path(getattr(self, name)))
        object.__setattr__(self, "balance", tuple(self.balance))
        check_settings(self, _RANGES)
        self._check_balance()
        self._check_losses()
        self._check_length()
        self._check_devices()

    @property
    def content_options(self) -> dict[str, Any]:
        """The settings of all content losses, by name."""
        names = dict.fromkeys(name for kind in _OPTIONS.values() for name in kind.names())
        return {name: getattr(self, name) for name in names}

    def resolved(self) -> "GeneratorTrainingConfig":
        """Returns the configuration with no setting left open."""
        if self.pretraining_epochs is not None:
            return self
        epochs = 0 if self.start_from is not None else PRETRAINING_EPOCHS
        return dataclasses.replace(self, pretraining_epochs=epochs)

    def _check_balance(self) -> None:
        low, high = self.balance if len(self.balance) == 2 else (1.0, 0.0)
        if not 0 <= low <= high:
            raise ValueError(
                "`balance` must be two losses, the smaller one first, as [0.46,0.6]; got "
                f"{list(self.balance)}."
            )

    def _check_losses(self) -> None:
        """Refuses losses without their networks, and networks without a loss."""
        used = {**parse_content(self.content), **parse_content(self.pretraining_loss)}
        for loss in used:
            own(_OPTIONS[loss], self)  # checks itself
        refuse_foreign(
            self,
            _OPTIONS,
            used,
            owners=lambda names: f"content {' and '.join(names)}",
            given=f"content={self.content!r}",
        )

    def _check_length(self) -> None:
        if not self.epochs and not self.resolved().pretraining_epochs:
            raise ValueError("nothing to do: `pretraining_epochs` and `epochs` are both 0.")

    def _check_devices(self) -> None:
        if self.batch_size % self.accumulation:
            raise ValueError(
                "`batch_size` must be a multiple of `accumulation`; got "
                f"batch_size={self.batch_size}, accumulation={self.accumulation}."
            )
        if self.xla and self.devices != "one":
            raise ValueError(f"`xla` is for devices=one; got devices={self.devices!r}.")
