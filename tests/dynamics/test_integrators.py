"""Order of convergence, stability for stiff terms, filters: on small equations of our own."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dynamics.integrators import (
    ARS233,
    SIL3,
    ImexRungeKutta,
    SemiImplicitLeapfrog,
    Sum,
    combination,
    imex_rk_sil3,
    rk4,
    with_filters,
)


class StiffOscillation:
    """A fast linear oscillation and a fast decay, coupled by slow nonlinear terms."""

    def __init__(self, rate=20.0, decay=5.0):
        self.rate, self.decay = rate, decay

    def explicit(self, state):
        (x, y), z = state["wave"], state["slow"]
        return {"wave": np.array([0.3 * z * x - y**2, x * np.cos(y)]), "slow": np.sin(z) - z * x}

    def implicit(self, state):
        x, y = state["wave"]
        return {"wave": self.rate * np.array([-y, x]), "slow": -self.decay * state["slow"]}

    def solve_implicit(self, state, step):
        (x, y), a = state["wave"], self.rate * step
        wave = np.array([x - a * y, a * x + y]) / (1 + a * a)
        return {"wave": wave, "slow": state["slow"] / (1 + self.decay * step)}


START = {"wave": np.array([1.0, 0.2]), "slow": np.array(0.5)}


def end_of(integrator, equation, num_steps, time=1.0):
    state, step = START, time / num_steps
    if isinstance(integrator, SemiImplicitLeapfrog):
        levels = integrator.start(equation, state, step)
        for _ in range(num_steps - 1):
            levels = integrator(equation, levels, step)
        state = levels[1]
    else:
        for _ in range(num_steps):
            state = integrator(equation, state, step)
    return np.append(state["wave"], state["slow"])


@pytest.fixture(scope="module")
def exact():
    return end_of(rk4, StiffOscillation(), 4000)


@pytest.mark.parametrize(
    ("integrator", "order"),
    [
        (imex_rk_sil3, 2),
        (ARS233, 3),
        (rk4, 4),
        (SemiImplicitLeapfrog(), 2),
        (SemiImplicitLeapfrog(off_centring=0.5), 1),
        (SemiImplicitLeapfrog(filter_strength=0.2, filter_split=1.0), 1),
    ],
)
def test_integrators_converge_with_their_order(integrator, order, exact):
    errors = [
        np.abs(end_of(integrator, StiffOscillation(), n) - exact).max() for n in (400, 800, 1600)
    ]
    found = np.log2(np.divide(errors[:-1], errors[1:]))
    assert_allclose(found, order, rtol=0, atol=0.25)
    assert errors[-1] < 0.2


def test_the_split_filter_is_far_more_accurate_than_the_classical_one(exact):
    classical, split = (
        np.abs(
            end_of(
                SemiImplicitLeapfrog(filter_strength=0.2, filter_split=alpha),
                StiffOscillation(),
                1600,
            )
            - exact
        ).max()
        for alpha in (1.0, 0.53)
    )
    assert split < classical / 5


@pytest.mark.parametrize("integrator", [SIL3, ARS233, SemiImplicitLeapfrog(off_centring=0.2)])
def test_implicit_terms_do_not_limit_the_step(integrator):
    equation = StiffOscillation(rate=1e4, decay=1e3)  # 1e4 * step = 100
    assert np.abs(end_of(integrator, equation, 100)).max() < 3
    with np.errstate(over="ignore", invalid="ignore"):
        explicit = end_of(rk4, equation, 100)
    assert not np.isfinite(explicit).all()


def test_sil3_explicit_part_is_third_order_for_linear_waves():
    """Stability polynomial 1 + z + z²/2 + z³/6, stable on the imaginary axis to √3."""

    class Wave:
        def explicit(self, state):
            return 1j * state

        def implicit(self, state):
            return 0 * state

        def solve_implicit(self, state, step):
            return state

    z = 0.7j
    expected = 1 + z + z**2 / 2 + z**3 / 6
    assert_allclose(SIL3(Wave(), np.array(1.0 + 0j), 0.7), expected, rtol=1e-15)
    assert abs(SIL3(Wave(), np.array(1.0 + 0j), 1.73)) < 1
    assert abs(SIL3(Wave(), np.array(1.0 + 0j), 1.74)) > 1


def test_sil3_needs_three_explicit_evaluations():
    calls = []

    class Counting(StiffOscillation):
        def explicit(self, state):
            calls.append("explicit")
            return super().explicit(state)

    SIL3(Counting(), START, 0.01)
    assert len(calls) == 3


def test_a_forcing_is_added_to_the_equation():
    class Heating:
        def explicit(self, state):
            return {"wave": 0 * state["wave"], "slow": 0 * state["slow"] + 2.0}

    equation = StiffOscillation()
    both = Sum(equation, Heating(), Heating())
    found = both.explicit(START)
    assert_allclose(found["slow"], equation.explicit(START)["slow"] + 4.0)
    assert_allclose(found["wave"], equation.explicit(START)["wave"])
    assert_allclose(both.implicit(START)["slow"], equation.implicit(START)["slow"])
    solved = equation.solve_implicit(START, 0.1)
    assert_allclose(both.solve_implicit(START, 0.1)["wave"], solved["wave"])


def test_filters_follow_the_step_in_order():
    step = with_filters(lambda x: x + 1, lambda x: x * 2, lambda x: x - 3)
    assert step(1) == 1


def test_combination_reaches_the_leaves_of_nested_states():
    state = {"a": np.ones(2), "b": (np.array(2.0), {"c": np.zeros(1)})}
    found = combination([1.0, 0.5], [state, state])
    assert_allclose(found["a"], 1.5)
    assert_allclose(found["b"][0], 3.0)
    assert list(found["b"][1]) == ["c"]


def test_a_tableau_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="A tableau of 2 stages"):
        ImexRungeKutta(
            explicit=((1.0,),),
            implicit=((0.5,),),
            explicit_weights=(1.0, 0.0),
            implicit_weights=(0.5, 0.5),
        )
