"""What a training run is told: its configuration, checked, without importing anything heavy.

Each architecture brings a recipe (optimiser, schedule, batch size ...), each pretext task settings
of its own. A setting left at None is taken from the recipe, or from the task;
`TrainingConfig.resolved` returns the configuration that really runs.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atmodist.files.checks import FRACTION, MOMENTUM, NOT_NEGATIVE, POSITIVE, check_settings, whole
from atmodist.files.options import merged, own, places, refuse_foreign
from atmodist.pretext.architecture import OptimizerName, Recipe, ScheduleName
from atmodist.pretext.architectures import ARCHITECTURES
from atmodist.pretext.tasks import TASKS
from atmodist.training.settings import DevicesName, PrecisionName

_OPTIONS = {name: task.options for name, task in TASKS.items()}

if TYPE_CHECKING:
    ArchitectureName = str
    TaskName = str

    class _TaskOptions:
        """Settings of all tasks; statically, nobody knows which there are."""
else:
    ArchitectureName, TaskName = ARCHITECTURES.literal, TASKS.literal
    _TaskOptions = merged(_OPTIONS.values())

# What may change between a run and its continuation without changing what has been learnt so far.
CONTINUABLE = (
    "records",
    "normalization",  # which may not: see `check_same_normalization`
    "output",
    "epochs",
    "evaluate_every",
    "checkpoint_minutes",
    "keep_checkpoints",
    "resume",
    "devices",
    *places(_OPTIONS.values()),  # what lies there may not: see `Task.provenance`
)

_RANGES = {
    **dict.fromkeys(("epochs", "steps_per_epoch", "batch_size", "evaluation_steps"), whole(1)),
    **dict.fromkeys(("evaluate_every", "plateau_patience", "keep_checkpoints"), whole(1)),
    **dict.fromkeys(("seed", "rise_steps", "warmup_epochs", "warmup_batches"), whole(0)),
    **dict.fromkeys(("weight_decay", "label_spread", "checkpoint_minutes"), NOT_NEGATIVE),
    **dict.fromkeys(("plateau_min_delta", "plateau_min_learning_rate"), NOT_NEGATIVE),
    "accumulation": whole(1),
    "max_label": whole(2),
    "learning_rate": POSITIVE,
    "plateau_factor": FRACTION,
    "ema": MOMENTUM,
}


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What comes first in the help; settings of tasks follow."""

    records: Path = field(metadata={"help": "Folder of pair records, made by rplearn-data."})
    normalization: str | None = None
    """What the records were normalised with, where they do not say it: a normalization.json, or a
    name (era5-ml120: records of the reference implementation)."""
    output: Path = Path("run")
    """Folder for checkpoints, logs and the trained network."""
    architecture: ArchitectureName = field(
        default="resnet-small",
        metadata={
            "help": "The network. "
            + " ".join(f"{name}: {each.about}." for name, each in ARCHITECTURES.items())
            + " Settings that are null below come from its recipe."
        },
    )
    task: TaskName = field(
        default="temporal_distance",
        metadata={
            "help": "What the encoder learns from. "
            + " ".join(f"{name}: {task.asks}." for name, task in TASKS.items())
        },
    )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(_TaskOptions, _Subject):
    """Train an encoder on a pretext task: how far apart in time are two fields?"""

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
        check_settings(self, _RANGES)
        self._check_task()
        self._check_optimizer()
        self._check_warmup()
        self._check_devices()

    @property
    def options(self) -> Any:
        """The settings of the task, of the type that the task declares."""
        return own(_OPTIONS[self.task], self)

    def resolved(self) -> "TrainingConfig":
        """Returns the configuration with every open setting taken from the recipe."""
        recipe = dataclasses.asdict(self._recipe)
        if self.optimizer == "sgd":
            recipe["weight_decay"] = 0.0
        if not TASKS[self.task].uses_labels:
            recipe["label_spread"] = 0.0
        opened = {name: value for name, value in recipe.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **opened, **dataclasses.asdict(self.options.resolved()))

    @property
    def _recipe(self) -> Recipe:
        return ARCHITECTURES[self.architecture].recipe

    def _check_task(self) -> None:
        """Refuses settings that this task has no use for."""
        given = f"task={self.task!r}"
        refuse_foreign(self, _OPTIONS, [self.task], owners=_the_tasks, given=given)
        self.options  # noqa: B018  checks itself
        if self.label_spread and not TASKS[self.task].uses_labels:
            labelled = [name for name, task in TASKS.items() if task.uses_labels]
            raise ValueError(
                f"`label_spread` is for {_the_tasks(labelled)}; got "
                f"label_spread={self.label_spread!r} with {given}."
            )

    def _check_warmup(self) -> None:
        recipe, batches = self._recipe, self.warmup_batches
        if self.warmup_epochs is None and batches and not recipe.warmup_epochs:
            raise ValueError(
                f"{self.architecture} has no warm-up of its own; give --warmup_epochs with "
                f"warmup_batches={batches!r}."
            )
        if self.warmup_epochs and not (recipe.warmup_batches if batches is None else batches):
            raise ValueError(
                "a warm-up needs a number of batches; give --warmup_batches with "
                f"warmup_epochs={self.warmup_epochs!r}."
            )

    def _check_optimizer(self) -> None:
        usual = self._recipe.optimizer
        optimizer = self.optimizer or usual
        if optimizer != usual and self.learning_rate is None:
            raise ValueError(
                f"the learning rate of {self.architecture} is meant for {usual}; give "
                f"--learning_rate with optimizer={optimizer!r}."
            )
        if optimizer == "sgd" and self.weight_decay:
            raise ValueError(
                f"`weight_decay` is for adamw, and sgd would ignore it; got "
                f"weight_decay={self.weight_decay!r}."
            )

    def _check_devices(self) -> None:
        batch_size = self.batch_size or self._recipe.batch_size
        if batch_size % self.accumulation:
            raise ValueError(
                f"`batch_size` must be a multiple of `accumulation`; got batch_size={batch_size}, "
                f"accumulation={self.accumulation}."
            )
        if self.xla and self.devices != "one":
            raise ValueError(f"`xla` is for devices=one; got devices={self.devices!r}.")


def _the_tasks(names: list[str]) -> str:
    return f"the task{'s' * (len(names) > 1)} {' and '.join(names)}"
