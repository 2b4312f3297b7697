"""Learning rates over time: a function of the step, or of how the training loss goes.

A schedule answers `learning_rate(step)`, hears of each epoch's training loss, and keeps its state
as plain numbers, so that a resumed run goes on exactly where it was. Each phase of a run has one of
its own, which starts anew.

They are ours, for the loop needs plain numbers: those of `keras.optimizers.schedules` make tensors
of a backend, and Keras' plateau is a callback of `fit` that keeps its count to itself.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol


class Schedule(Protocol):
    """What the training loop asks of a schedule."""

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0 over the phase."""

    def after_epoch(self, loss: float) -> None:
        """Hears the mean training loss of the epoch that ended."""

    def state(self) -> dict[str, Any]:
        """Plain numbers from which `restore` goes on."""

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a state."""


class _Stateless:
    def after_epoch(self, loss: float) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Constant(_Stateless):
    """Rises linearly over `rise_steps`, then stays at `peak`."""

    peak: float
    rise_steps: int = 0

    def learning_rate(self, step: int) -> float:
        """Returns peak · min(1, (step + 1) / rise_steps)."""
        return self.peak * min(1.0, (step + 1) / max(self.rise_steps, 1))


@dataclass(frozen=True, kw_only=True)
class Cosine(_Stateless):
    """Rises linearly over `rise_steps`, then falls as half a cosine to 0 at `num_steps`."""

    peak: float
    num_steps: int
    rise_steps: int = 0

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of a step."""
        rise_steps = min(self.rise_steps, self.num_steps // 2)
        rise = min(1.0, (step + 1) / max(rise_steps, 1))
        progress = max(0, step - rise_steps) / max(self.num_steps - rise_steps, 1)
        return self.peak * rise * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


@dataclass(kw_only=True)
class Plateau:
    """Multiplies the learning rate by `factor` when the training loss stalls.

    As Keras' `ReduceLROnPlateau` with `monitor="loss"`, which the reference uses: an epoch is an
    improvement if its loss is below the best by more than `min_delta`; after `patience` epochs
    without one the rate falls and the count starts again.
    """

    peak: float
    min_delta: float = 4e-2
    patience: int = 8
    factor: float = 0.1
    min_learning_rate: float = 1e-5
    current: float = field(init=False)
    best: float = field(init=False, default=math.inf)
    wait: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.current = self.peak

    def learning_rate(self, step: int) -> float:
        """Returns the current learning rate, whatever the step."""
        return self.current

    def after_epoch(self, loss: float) -> None:
        """Counts epochs without improvement, and lowers the learning rate."""
        if loss < self.best - self.min_delta:
            self.best, self.wait = loss, 0
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.wait = 0
            # a start below the floor stays where it is
            lowest = min(self.min_learning_rate, self.current)
            self.current = max(self.current * self.factor, lowest)

    def state(self) -> dict[str, Any]:
        """Returns rate, best loss and count."""
        best = self.best if math.isfinite(self.best) else None  # JSON knows no infinity
        return {"current": self.current, "best": best, "wait": self.wait}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up rate, best loss and count."""
        self.current, self.wait = state["current"], state["wait"]
        self.best = math.inf if state["best"] is None else state["best"]
