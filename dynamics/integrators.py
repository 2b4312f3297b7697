"""Time integration of equations with a slow (explicit) and a fast, linear (implicit) part.

    dx/dt = E(x) + I(x)

An equation gives `explicit(x)` = E, `implicit(x)` = I and `solve_implicit(x, step)`, the y with
y - step I(y) = x. Waves that are fast but linear, gravity waves above all, go to I, and the step
is limited by the wind alone. An integrator knows nothing else about the equation; a state is any
nested structure (dict, tuple) of tensors. A step is a pure function of the state, so that it can
be compiled and differentiated.

One-step integrators are called as `integrator(equation, state, step)`, with the step in seconds:
`SIL3` (the default choice), `ARS233` (third order), `rk4` (explicit). `SemiImplicitLeapfrog`
carries two time levels and says so in its methods.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras

State = Any  # a nested structure of tensors
StateFunction = Callable[[State], State]


class Explicit(Protocol):
    """What has explicit tendencies only: a forcing."""

    def explicit(self, state: State) -> State:
        """Tendency per second, of the structure of `state`."""


class Equation(Explicit, Protocol):
    """What the integrators advance."""

    def implicit(self, state: State) -> State:
        """The linear, fast part of the tendency, per second."""

    def solve_implicit(self, state: State, step: float) -> State:
        """The y with y - step * implicit(y) = state; `step` in seconds."""


class Sum:
    """An equation with forcings added to its explicit part."""

    def __init__(self, equation: Equation, *forcings: Explicit):
        self.equation, self.forcings = equation, forcings

    def explicit(self, state: State) -> State:
        """The sum of all explicit tendencies, per second."""
        terms = [part.explicit(state) for part in (self.equation, *self.forcings)]
        return combination([1.0] * len(terms), terms)

    def implicit(self, state: State) -> State:
        """That of the equation."""
        return self.equation.implicit(state)

    def solve_implicit(self, state: State, step: float) -> State:
        """That of the equation."""
        return self.equation.solve_implicit(state, step)


@dataclass(frozen=True, kw_only=True)
class ImexRungeKutta:
    """A Runge-Kutta pair with equal times of its stages; the first stage is the state itself.

        y_i = x + h Σ_(j<i) a_ij E(y_j) + h Σ_(j≤i) ã_ij I(y_j),
        x(t + h) = x + h Σ_j b_j E(y_j) + h Σ_j b̃_j I(y_j).

    Attributes:
        explicit: Rows of a for the second stage onwards, each one longer than the one before.
        implicit: Rows of ã for the second stage onwards, with the diagonal.
        explicit_weights: b.
        implicit_weights: b̃.
    """

    explicit: tuple[tuple[float, ...], ...]
    implicit: tuple[tuple[float, ...], ...]
    explicit_weights: tuple[float, ...]
    implicit_weights: tuple[float, ...]

    def __post_init__(self) -> None:
        stages = len(self.explicit) + 1
        lengths = [len(row) for row in (*self.explicit, *self.implicit)]
        expected = [*range(1, stages), *range(2, stages + 1)]
        weights = {len(self.explicit_weights), len(self.implicit_weights)}
        if lengths != expected or weights != {stages}:
            raise ValueError(
                f"A tableau of {stages} stages has rows of lengths {expected} and {stages} "
                f"weights; got rows of lengths {lengths} and weights of lengths {weights}."
            )

    def __call__(self, equation: Equation, state: State, step: float) -> State:
        """The state one step, in seconds, later."""
        slow: list[State] = [None] * len(self.explicit_weights)
        fast: list[State] = [None] * len(self.explicit_weights)
        stage = state
        for i in range(len(slow)):
            if i > 0:
                known = self._sum(
                    state, step, (self.explicit[i - 1], slow), (self.implicit[i - 1][:-1], fast)
                )
                diagonal = self.implicit[i - 1][-1]
                stage = equation.solve_implicit(known, step * diagonal) if diagonal else known
            if i == len(slow) - 1 and self._ends_with_last_stage:
                return stage
            if self._is_needed(i, self.explicit, self.explicit_weights):
                slow[i] = equation.explicit(stage)
            if self._is_needed(i, self.implicit, self.implicit_weights):
                fast[i] = equation.implicit(stage)
        return self._sum(state, step, (self.explicit_weights, slow), (self.implicit_weights, fast))

    @property
    def _ends_with_last_stage(self) -> bool:
        """Whether the last stage is the result ("stiffly accurate")."""
        explicit = (*self.explicit[-1], 0.0)
        return explicit == self.explicit_weights and self.implicit[-1] == self.implicit_weights

    @staticmethod
    def _is_needed(i: int, rows: tuple[tuple[float, ...], ...], weights: tuple[float, ...]) -> bool:
        """Whether the tendency of stage i is used after the solve of that stage."""
        later = any(row[i] for row in rows[i:] if i < len(row))
        return bool(weights[i]) or later

    @staticmethod
    def _sum(state: State, step: float, *parts: tuple[tuple[float, ...], list[State]]) -> State:
        factors, terms = [1.0], [state]
        for row, tendencies in parts:
            for factor, tendency in zip(row, tendencies, strict=False):
                if factor:
                    factors.append(step * factor)
                    terms.append(tendency)
        return combination(factors, terms)


SIL3 = ImexRungeKutta(
    explicit=((1 / 3,), (1 / 6, 1 / 2), (1 / 2, -1 / 2, 1.0)),
    implicit=((1 / 6, 1 / 6), (1 / 3, 0.0, 1 / 3), (3 / 8, 0.0, 3 / 8, 1 / 4)),
    explicit_weights=(1 / 2, -1 / 2, 1.0, 0.0),
    implicit_weights=(3 / 8, 0.0, 3 / 8, 1 / 4),
)
"""Whitaker & Kar (2013), doi:10.1175/MWR-D-13-00132.1: three explicit evaluations, second order;
the explicit part alone is third order for linear problems, and stable for oscillations."""

_G = (3 + 3**0.5) / 6
ARS233 = ImexRungeKutta(
    explicit=((_G,), (_G - 1, 2 * (1 - _G))),
    implicit=((0.0, _G), (0.0, 1 - 2 * _G, _G)),
    explicit_weights=(0.0, 1 / 2, 1 / 2),
    implicit_weights=(0.0, 1 / 2, 1 / 2),
)
"""Ascher, Ruuth & Spiteri (1997), doi:10.1016/S0168-9274(97)00056-1, section 2.4: third order."""


def imex_rk_sil3(equation: Equation, state: State, step: float) -> State:
    """One step of `SIL3`, in seconds."""
    return SIL3(equation, state, step)


def rk4(equation: Equation, state: State, step: float) -> State:
    """One step of the classical explicit method of fourth order, for all terms of the equation."""

    def tendency(x: State) -> State:
        return combination([1.0, 1.0], [equation.explicit(x), equation.implicit(x)])

    k1 = tendency(state)
    k2 = tendency(combination([1.0, step / 2], [state, k1]))
    k3 = tendency(combination([1.0, step / 2], [state, k2]))
    k4 = tendency(combination([1.0, step], [state, k3]))
    return combination([1.0, step / 6, step / 3, step / 3, step / 6], [state, k1, k2, k3, k4])


@dataclass(frozen=True, kw_only=True)
class SemiImplicitLeapfrog:
    """Leapfrog for E, trapezoidal over two steps for I; one evaluation of E a step.

        x⁺ = x⁻ + 2 h E(x) + h (1 + o) I(x⁺) + h (1 - o) I(x⁻)

    Odd and even steps drift apart unless filtered; the filter of Robert, Asselin and Williams
    (doi:10.1175/2009MWR2724.1) moves x by α d and x⁺ by (α - 1) d, d = ν/2 (x⁻ - 2 x + x⁺).

    Attributes:
        off_centring: o from 0 (second order) to 1 (backward, damps the fast waves).
        filter_strength: ν; 0 leaves the filter out. 0.1 is usual, the price is first order.
        filter_split: α; 1 is Robert and Asselin, 0.53 keeps nearly the mean of three levels.
    """

    off_centring: float = 0.0
    filter_strength: float = 0.0
    filter_split: float = 0.53

    def start(self, equation: Equation, state: State, step: float) -> tuple[State, State]:
        """The two levels (state, state one step later), the second by `SIL3`."""
        return state, SIL3(equation, state, step)

    def __call__(
        self, equation: Equation, levels: tuple[State, State], step: float
    ) -> tuple[State, State]:
        """From the levels (x⁻, x) to (x, x⁺); the newest is the last."""
        before, now = levels
        terms = [before, equation.explicit(now)]
        factors = [1.0, 2 * step]
        if self.off_centring < 1.0:
            terms.append(equation.implicit(before))
            factors.append(step * (1 - self.off_centring))
        known = combination(factors, terms)
        after = equation.solve_implicit(known, step * (1 + self.off_centring))
        if self.filter_strength:
            half, split = self.filter_strength / 2, self.filter_split
            bend = combination([half, -2 * half, half], [before, now, after])
            now = combination([1.0, split], [now, bend])
            after = combination([1.0, split - 1], [after, bend])
        return now, after


def with_filters(step: StateFunction, *filters: StateFunction) -> StateFunction:
    """`step` followed by the filters, in their order."""

    def filtered(state: State) -> State:
        state = step(state)
        for apply in filters:
            state = apply(state)
        return state

    return filtered


def combination(factors: list[float], states: list[State]) -> State:
    """Σ factor * state, leaf by leaf."""

    def total(*leaves: Any) -> Any:
        result: Any = None
        for factor, leaf in zip(factors, leaves, strict=True):
            term = leaf if isinstance(factor, float) and factor == 1.0 else factor * leaf
            result = term if result is None else result + term
        return result

    return keras.tree.map_structure(total, *states)
