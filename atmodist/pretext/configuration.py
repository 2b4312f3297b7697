"""What a training run is told: its configuration, checked, without importing anything heavy.

Each architecture brings a recipe (optimiser, schedule, batch size ...). A setting left at None is
taken from the recipe; `TrainingConfig.resolved` returns the configuration that really runs.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from atmodist.training.settings import DevicesName, PrecisionName

ArchitectureName = Literal["resnet-small", "resnet-tiny", "resnet-18", "resnet-101"]
OptimizerName = Literal["sgd", "adamw"]
ScheduleName = Literal["plateau", "cosine", "constant"]
HeadName = Literal["classes", "ordinal"]
HEADS = ("classes", "ordinal")
TaskName = Literal["temporal_distance", "autoencoder", "inpainting"]
TASKS = ("temporal_distance", "autoencoder", "inpainting")
MaskName = Literal["hole", "centred-hole", "stripes", "blocks"]
MASKS = ("hole", "centred-hole", "stripes", "blocks")
ReconstructionLossName = Literal["pixel", "content", "mixed"]
RECONSTRUCTION_LOSSES = ("pixel", "content", "mixed")

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "resnet-small": {  # the reference implementation's
            "warmup_epochs": 20,
            "warmup_batches": 2000,
            "epochs": 60,
            "batch_size": 128,
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "weight_decay": 0.0,  # its L2 of 1e-4 is part of the network's loss
            "schedule": "plateau",
            "ema": 0.0,
            "label_spread": 0.0,
            "mirror": False,
            "reverse": False,
        },
        "resnet-tiny": {
            "warmup_epochs": 0,
            "warmup_batches": 0,
            "epochs": 10,
            "batch_size": 64,
            "optimizer": "adamw",
            "learning_rate": 2e-3,
            "weight_decay": 5e-2,
            "schedule": "cosine",
            "ema": 0.998,
            "label_spread": 0.7,
            "mirror": True,
            "reverse": True,
        },
        "resnet-18": {  # as resnet-small, whose blocks, L2 and head it shares
            "warmup_epochs": 20,
            "warmup_batches": 2000,
            "epochs": 60,
            "batch_size": 128,
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "weight_decay": 0.0,
            "schedule": "plateau",
            "ema": 0.0,
            "label_spread": 0.0,
            "mirror": False,
            "reverse": False,
        },
        "resnet-101": {  # Keras' network has no L2, so that the optimiser must decay its weights
            "warmup_epochs": 0,
            "warmup_batches": 0,
            "epochs": 60,
            "batch_size": 64,
            "optimizer": "adamw",
            "learning_rate": 1e-3,
            "weight_decay": 5e-2,
            "schedule": "cosine",
            "ema": 0.0,
            "label_spread": 0.0,
            "mirror": False,
            "reverse": False,
        },
    }
)

# Settings that only some tasks have, with what they are where they are left open.
INPAINTING_DEFAULTS: Mapping[str, Any] = MappingProxyType({"mask": "hole", "mask_fraction": 0.25})

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
    "content_from",  # what lies there may not: see `Task.provenance`
)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Train an encoder on a pretext task: how far apart in time are two fields?"""

    records: Path = field(metadata={"help": "Folder of pair records, made by rplearn-data."})
    """Folder of pair records, made by rplearn-data."""
    output: Path = Path("run")
    """Folder for checkpoints, logs and the trained network."""
    architecture: ArchitectureName = "resnet-small"
    """The network. resnet-tiny is for CPUs and patches of 32 or 64 grid points, resnet-101 for
    accelerators; all but resnet-tiny need patches of a multiple of 32. Settings that are null below
    come from its recipe."""
    task: TaskName = "temporal_distance"
    """What the encoder learns from. temporal_distance: how far apart in time two fields are.
    autoencoder, inpainting: to give a field again from its features, whole or where it was hidden;
    both fields of a pair are samples."""
    head: HeadName = "classes"
    """How the temporal distance is told. classes: labels know nothing of each other. ordinal: one
    score, cut into labels by thresholds that are learnt (proportional odds)."""
    mask: MaskName | None = None
    """What inpainting hides: a rectangle at random or in the centre (hole, centred-hole), four
    stripes along or across circles of latitude, or random blocks; null for hole."""
    mask_fraction: float | None = None
    """Share of each field that inpainting hides; null for 0.25."""
    reconstruction_loss: ReconstructionLossName | None = None
    """pixel: mean squared error, of what was hidden. content: squared distance of features, by the
    encoder of another run. mixed: both. Null for pixel, where fields are given again."""
    content_from: str | None = None
    """The run or encoder package that a content loss compares features by."""
    content_weight: float | None = None
    """Weight of the content in a mixed loss; null for 1."""
    train_split: str = "train"
    """Which split of the records to learn from."""
    evaluation_split: str = "evaluation"
    """Which split of the records to score the network on after epochs."""
    warmup_epochs: int | None = None
    """Epochs on a fixed part of the records, before the main phase; 0 for none."""
    warmup_batches: int | None = None
    """Batches in that part."""
    epochs: int | None = None
    """Number of epochs of the main phase."""
    steps_per_epoch: int | None = None
    """Batches per epoch of the main phase; null for all records once."""
    batch_size: int | None = None
    """Pairs per step."""
    optimizer: OptimizerName | None = None
    """sgd: momentum 0.9, each gradient clipped to norm 5, as in the reference. adamw: decoupled
    weight decay on kernels, no clipping. Another one than the recipe's needs a learning rate."""
    learning_rate: float | None = None
    """Largest learning rate."""
    weight_decay: float | None = None
    """Decoupled weight decay, for adamw."""
    schedule: ScheduleName | None = None
    """plateau: multiplied by 0.1 when the training loss stalls. cosine: falls to 0 at the end.
    constant."""
    rise_steps: int = 200
    """Steps of a phase over which the cosine and constant schedules rise from 0."""
    plateau_min_delta: float = 4e-2
    """Smaller improvements of the training loss count as none."""
    plateau_patience: int = 8
    """Epochs without improvement before the learning rate falls."""
    plateau_factor: float = 0.1
    """What it is multiplied by."""
    plateau_min_learning_rate: float = 1e-5
    """Where it stops falling."""
    ema: float | None = None
    """Momentum of the running average of weights that is evaluated and saved; 0 for none."""
    label_spread: float | None = None
    """Width σ, in labels, of the bell that the network should answer around the true label."""
    mirror: bool | None = None
    """Mirror half of the pairs north-south, with the sign of vorticity changed; not done where
    records have no normalization.json."""
    reverse: bool | None = None
    """Mirror half of the pairs east-west and exchange their fields: time runs backwards."""
    max_label: int | None = None
    """Number of labels; null for the largest label of the records."""
    evaluate_every: int = 1
    """Epochs between evaluations; the last epoch is always evaluated."""
    evaluation_steps: int | None = None
    """Batches per evaluation; null for all."""
    seed: int = 0
    """Decides first weights, order of the records and augmentation."""
    resume: bool = True
    """Go on from the last checkpoint in the output folder, if there is one."""
    checkpoint_minutes: float | None = 10.0
    """Minutes between checkpoints within an epoch, of which only the latest stays; 0 for one after
    every step, null for none."""
    keep_checkpoints: int | None = None
    """How many of the latest checkpoints to keep, besides the best; null for all."""
    deterministic: bool = False
    """Repeat a run bit by bit on accelerators, at some cost."""
    xla: bool = False
    """Compile the training step with XLA (slower on CPUs)."""
    precision: PrecisionName = "float32"
    """What the network computes with while it trains; weights, loss and what is saved stay float32.
    mixed_bfloat16 needs an accelerator that has it (NVIDIA from A100 on), mixed_float16 is for
    older ones: the loss is scaled, and steps whose gradient overflows are skipped."""
    accumulation: int = 1
    """Equal parts in which a batch passes through the network, one after the other: memory falls,
    the step stays the same but for batch normalisation, which sees one part at a time."""
    devices: DevicesName = "one"
    """one: the first accelerator, or the CPU. machine: all accelerators of this machine. cluster:
    all of several machines, one process on each, described by the environment variable TF_CONFIG.
    Each device takes an equal share of every batch."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", Path(self.records))
        object.__setattr__(self, "output", Path(self.output))
        for name, known in (
            ("architecture", tuple(RECIPES)),
            ("optimizer", ("sgd", "adamw", None)),
            ("schedule", ("plateau", "cosine", "constant", None)),
            ("task", TASKS),
            ("head", HEADS),
            ("mask", (*MASKS, None)),
            ("reconstruction_loss", (*RECONSTRUCTION_LOSSES, None)),
            ("precision", get_args(PrecisionName)),
            ("devices", get_args(DevicesName)),
        ):
            if getattr(self, name) not in known:
                choices = ", ".join(str(choice) for choice in known if choice)
                raise ValueError(
                    f"`{name}` must be one of {choices}; got {name}={getattr(self, name)!r}."
                )
        for name in ("epochs", "steps_per_epoch", "batch_size", "evaluation_steps", "accumulation"):
            self._check(name, "a positive integer", lambda v: _is_int(v) and v >= 1)
        for name in ("evaluate_every", "plateau_patience", "keep_checkpoints"):
            self._check(name, "a positive integer", lambda v: _is_int(v) and v >= 1)
        for name in ("seed", "rise_steps", "warmup_epochs", "warmup_batches"):
            self._check(name, "an integer of at least 0", lambda v: _is_int(v) and v >= 0)
        self._check("max_label", "an integer above 1", lambda v: _is_int(v) and v >= 2)
        self._check("learning_rate", "a positive number", lambda v: 0 < v < float("inf"))
        for name in (
            "weight_decay",
            "label_spread",
            "checkpoint_minutes",
            "plateau_min_delta",
            "plateau_min_learning_rate",
        ):
            self._check(name, "a number of at least 0", lambda v: 0 <= v < float("inf"))
        self._check("plateau_factor", "between 0 and 1", lambda v: 0 < v < 1)
        self._check("ema", "at least 0 and below 1", lambda v: 0 <= v < 1)
        for name in ("mirror", "reverse", "resume", "deterministic", "xla"):
            self._check_boolean(name)
        for name in ("train_split", "evaluation_split"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(
                    f"`{name}` must be the name of a split; got {name}={getattr(self, name)!r}."
                )
        self._check("mask_fraction", "between 0 and 1", lambda v: 0 < v < 1)
        self._check("content_weight", "a positive number", lambda v: 0 < v < float("inf"))
        self._check_task()
        self._check_optimizer()
        self._check_warmup()
        self._check_devices()

    def resolved(self) -> "TrainingConfig":
        """Returns the configuration with every open setting taken from the recipe."""
        recipe = dict(RECIPES[self.architecture])
        if self.optimizer == "sgd":
            recipe["weight_decay"] = 0.0
        if self.task != "temporal_distance":
            recipe |= {"label_spread": 0.0, "reconstruction_loss": "pixel"}
        if self.task == "inpainting":
            recipe |= INPAINTING_DEFAULTS
        if self.reconstruction_loss == "mixed":
            recipe["content_weight"] = 1.0
        return dataclasses.replace(
            self, **{name: value for name, value in recipe.items() if getattr(self, name) is None}
        )

    def _check(self, name: str, expected: str, holds: Any) -> None:
        value = getattr(self, name)
        if value is None and (
            self.__dataclass_fields__[name].default is None or name == "checkpoint_minutes"
        ):
            return
        if isinstance(value, bool) or not isinstance(value, int | float) or not holds(value):
            raise ValueError(f"`{name}` must be {expected}; got {name}={value!r}.")

    def _check_warmup(self) -> None:
        recipe = RECIPES[self.architecture]
        if self.warmup_epochs is None and self.warmup_batches and not recipe["warmup_epochs"]:
            raise ValueError(
                f"{self.architecture} has no warm-up of its own; give --warmup_epochs with "
                f"warmup_batches={self.warmup_batches!r}."
            )
        batches = self.warmup_batches
        if self.warmup_epochs and not (recipe["warmup_batches"] if batches is None else batches):
            raise ValueError(
                "a warm-up needs a number of batches; give --warmup_batches with "
                f"warmup_epochs={self.warmup_epochs!r}."
            )

    def _check_boolean(self, name: str) -> None:
        value = getattr(self, name)
        if value is None and self.__dataclass_fields__[name].default is None:
            return
        if not isinstance(value, bool):
            raise ValueError(f"`{name}` must be true or false; got {name}={value!r}.")

    def _check_task(self) -> None:
        """Refuses settings that this task has no use for."""
        foreign: dict[str, str] = {}
        if self.task == "temporal_distance":
            foreign |= dict.fromkeys(
                ("reconstruction_loss", "content_from", "content_weight"),
                "the tasks autoencoder and inpainting",
            )
        else:
            if self.head != "classes":
                raise ValueError(
                    f"`head` is for the task temporal_distance; got head={self.head!r} with "
                    f"task={self.task!r}."
                )
            if self.label_spread:
                foreign["label_spread"] = "the task temporal_distance"
            content = self.reconstruction_loss in ("content", "mixed")
            if content and self.content_from is None:
                raise ValueError(
                    f"reconstruction_loss={self.reconstruction_loss!r} compares features; name the "
                    "run of a trained encoder by --content_from."
                )
            if not content:
                foreign["content_from"] = "reconstruction_loss content and mixed"
            if self.reconstruction_loss != "mixed":
                foreign["content_weight"] = "reconstruction_loss mixed"
        if self.task != "inpainting":
            foreign |= dict.fromkeys(("mask", "mask_fraction"), "the task inpainting")
        for name, belongs in foreign.items():
            value = getattr(self, name)
            if value is not None:
                raise ValueError(
                    f"`{name}` is for {belongs}; got {name}={value!r} with task={self.task!r}."
                )

    def _check_optimizer(self) -> None:
        recipe = RECIPES[self.architecture]
        optimizer = self.optimizer or recipe["optimizer"]
        if optimizer != recipe["optimizer"] and self.learning_rate is None:
            raise ValueError(
                f"the learning rate of {self.architecture} is meant for "
                f"{recipe['optimizer']}; give --learning_rate with optimizer={optimizer!r}."
            )
        if optimizer == "sgd" and self.weight_decay:
            raise ValueError(
                f"`weight_decay` is for adamw, and sgd would ignore it; got "
                f"weight_decay={self.weight_decay!r}."
            )

    def _check_devices(self) -> None:
        batch_size = self.batch_size or RECIPES[self.architecture]["batch_size"]
        if batch_size % self.accumulation:
            raise ValueError(
                f"`batch_size` must be a multiple of `accumulation`; got batch_size={batch_size}, "
                f"accumulation={self.accumulation}."
            )
        if self.xla and self.devices != "one":
            raise ValueError(f"`xla` is for devices=one; got devices={self.devices!r}.")


def _is_int(value: Any) -> bool:
    return isinstance(value, int)
