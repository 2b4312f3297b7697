"""Configuration of `phire-train`: every setting, checked, with its help text.

This module imports nothing heavy, so that `--help` stays instant.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from atmodist.training.settings import DevicesName, PrecisionName
from srgan.losses.combination import LEARNED, parse_content

ConsistencyName = Literal["none", "penalty", "projection"]
HeadName = Literal["pooled", "flatten"]

PRETRAINING_EPOCHS = 10  # unless weights are taken from another run

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
    "encoder",  # what lies there may not: see `Losses.provenance`
    "autoencoder",
)


@dataclass(frozen=True, kw_only=True)
class GeneratorTrainingConfig:
    """Train a generator for super-resolution: with a pixel loss first, then against a critic.

    The second phase (`epochs`) minimises content loss + adversarial_weight * adversarial loss, and
    its best epoch by content loss on the evaluation patches is what is kept.
    """

    records: Path = field(metadata={"help": "Folder of patch records, made by phire-data."})
    """Folder of patch records, made by phire-data."""
    output: Path = Path("generator-run")
    """Folder for checkpoints, logs, pictures and the trained generator."""
    content: str = "mse"
    """Content loss: mse, mae, atmodist, autoencoder, spectral, or a weighted sum of them, written
    atmodist=1,mse=0.1."""
    encoder: str | None = None
    """Run or package of rplearn-train, or hf:// address, for content atmodist."""
    stages: str | None = None
    """Stage of the encoder that is compared, or a weighted sum, written stage3=1,stage4=0.5; null
    for the metric's."""
    autoencoder: str | None = None
    """Run of rplearn-train with task autoencoder, for content autoencoder."""
    autoencoder_stages: str | None = None
    """Stages of the autoencoder, likewise."""
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
        for name, kind in (
            ("consistency", ConsistencyName),
            ("discriminator_head", HeadName),
            ("precision", PrecisionName),
            ("devices", DevicesName),
        ):
            value, known = getattr(self, name), get_args(kind)
            if value not in known:
                raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {value!r}.")
        for name in ("batch_size", "filters", "evaluate_every", "accumulation"):
            self._whole(name, 1)
        for name in ("epochs", "blocks", "noise_channels", "seed", "samples"):
            self._whole(name, 0)
        for name in ("steps_per_epoch", "evaluation_steps", "keep_checkpoints"):
            self._whole(name, 1, optional=True)
        self._whole("pretraining_epochs", 0, optional=True)
        for name in ("pretraining_learning_rate", "learning_rate", "consistency_weight"):
            self._number(name, "a positive number", lambda v: v > 0)
        self._number("adversarial_weight", "a number of at least 0", lambda v: v >= 0)
        self._number("ema", "at least 0 and below 1", lambda v: 0 <= v < 1)
        if self.checkpoint_minutes is not None:
            self._number("checkpoint_minutes", "a number of at least 0", lambda v: v >= 0)
        for name in ("resume", "deterministic", "xla"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"`{name}` must be true or false; got {getattr(self, name)!r}.")
        self._check_balance()
        self._check_losses()
        self._check_length()
        self._check_devices()

    def resolved(self) -> "GeneratorTrainingConfig":
        """Returns the configuration with no setting left open."""
        if self.pretraining_epochs is not None:
            return self
        epochs = 0 if self.start_from is not None else PRETRAINING_EPOCHS
        return dataclasses.replace(self, pretraining_epochs=epochs)

    def _whole(self, name: str, least: int, *, optional: bool = False) -> None:
        value = getattr(self, name)
        if optional and value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"`{name}` must be a whole number from {least} up; got {value!r}.")

    def _number(self, name: str, expected: str, holds: Any) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not holds(value):
            raise ValueError(f"`{name}` must be {expected}; got {value!r}.")

    def _check_balance(self) -> None:
        low, high = self.balance if len(self.balance) == 2 else (1.0, 0.0)
        if not 0 <= low <= high:
            raise ValueError(
                "`balance` must be two losses, the smaller one first, as [0.46,0.6]; got "
                f"{list(self.balance)}."
            )

    def _check_losses(self) -> None:
        """Refuses losses without their networks, and networks without a loss."""
        used = {*parse_content(self.content), *parse_content(self.pretraining_loss)}
        for loss, option in LEARNED.items():
            if loss in used and getattr(self, option) is None:
                raise ValueError(
                    f"content={self.content!r} compares features; name the run or package of a "
                    f"trained encoder by --{option}."
                )
            own = (option, "stages" if option == "encoder" else f"{option}_stages")
            for name in own:
                if loss not in used and getattr(self, name) is not None:
                    raise ValueError(
                        f"`{name}` is for content {loss}; got {name}={getattr(self, name)!r} with "
                        f"content={self.content!r}."
                    )
        for name in ("stages", "autoencoder_stages"):
            parse_stages(getattr(self, name))

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


def parse_stages(text: str | None) -> str | dict[str, float] | None:
    """Reads "stage3", or "stage3=1,stage4=0.5"."""
    if text is None or "=" not in text:
        return text
    weights = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight) if weight else 1.0
        except ValueError:
            raise ValueError(f"the weight of {name.strip()!r} is no number: {weight!r}.") from None
    return weights
