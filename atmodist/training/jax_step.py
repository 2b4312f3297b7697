"""How a step runs under JAX; implements `Backend`.

Keras' variables are kept between steps. A step is a pure function of their values, compiled once:
under Keras' `StatelessScope` what reads and assigns variables reads and collects values instead.
That is what Keras' `stateless_call` and `stateless_apply` are made of; here it holds around the
whole step, so that the same code serves TensorFlow, where variables are changed in place.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import keras
import numpy as np

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


class JaxBackend:
    """See `Backend`; runs on JAX's first device.

    Args:
        parts: In how many equal parts a batch passes through the networks, one after the other.
    """

    def __init__(self, *, parts: int = 1):
        self._parts = parts

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Nothing: there is one device."""
        return contextlib.nullcontext()

    def adopt(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """Returns the optimiser as it is."""
        return optimizer

    def compiled(
        self,
        function: Callable[..., Any],
        *,
        changes: Iterable[Any] = (),
        reads: Iterable[Any] = (),
    ) -> Callable[..., Any]:
        """See `Backend`."""
        changed, read = list(changes), list(reads)

        @functools.partial(jax.jit, donate_argnums=0)
        def pure(changing: list[Any], constant: list[Any], arguments: tuple[Any, ...]) -> Any:
            values = [*zip(changed, changing, strict=True), *zip(read, constant, strict=True)]
            with keras.StatelessScope(values) as scope:
                result = function(*arguments)
            return result, [scope.get_current_value(variable) for variable in changed]

        def call(*arguments: Any) -> Any:
            before = [[variable.value for variable in group] for group in (changed, read)]
            result, after = pure(*before, jax.tree.map(_as_array, arguments))
            for variable, value in zip(changed, after, strict=True):
                variable.assign(value)
            return result

        return call

    step = compiled

    def gradients(
        self,
        objective: Callable[..., Any],
        networks: Mapping[str, keras.Model],
        moved: Iterable[str],
        batch: tuple[Any, ...],
    ) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        """See `Backend`; passes that several networks have in common, XLA computes once."""
        statistics = [v for network in networks.values() for v in network.non_trainable_variables]
        weights = {name: list(network.trainable_variables) for name, network in networks.items()}
        held = [(v, v.value) for variables in weights.values() for v in variables]

        def aim(values: list[Any], name: str, before: list[Any], part: tuple[Any, ...]) -> Any:
            own = [*zip(weights[name], values, strict=True), *zip(statistics, before, strict=True)]
            with keras.StatelessScope([*held, *own], collect_losses=True) as scope:
                aims, told = objective(*part)
            return aims[name], (told, [scope.get_current_value(v) for v in statistics])

        def of_part(before: list[Any], part: tuple[Any, ...]) -> tuple[list[Any], Any]:
            gradients = {}
            for name in moved:
                values = [v.value for v in weights[name]]
                (_, (told, after)), gradients[name] = jax.value_and_grad(aim, has_aux=True)(
                    values, name, before, part
                )
            return after, (gradients, told)

        after, found = _mean_over_parts(of_part, [v.value for v in statistics], batch, self._parts)
        for variable, value in zip(statistics, after, strict=True):
            variable.assign(value)
        return found

    def value(self, variable: keras.Variable) -> Any:
        """See `Backend`."""
        return variable.value

    def assign(self, variable: keras.Variable, value: Any) -> None:
        """See `Backend`."""
        variable.assign(value)


def _mean_over_parts(
    function: Callable[[Any, Any], tuple[Any, Any]], state: Any, batch: Any, parts: int
) -> tuple[Any, Any]:
    """The last state, and the mean of what (state, part) -> (state, values) gives over parts."""
    if parts == 1:
        return function(state, batch)
    cut = jax.tree.map(lambda x: x.reshape(parts, x.shape[0] // parts, *x.shape[1:]), batch)

    def add(carried: Any, part: Any) -> tuple[Any, None]:
        state, sums = carried
        state, values = function(state, part)
        return (state, jax.tree.map(lambda a, b: a + b, sums, values)), None

    first = function(state, jax.tree.map(lambda x: x[0], cut))
    others = jax.tree.map(lambda x: x[1:], cut)
    (state, sums), _ = jax.lax.scan(add, first, others)
    return state, jax.tree.map(lambda total: total / parts, sums)


def _as_array(value: Any) -> Any:
    return value if isinstance(value, jax.Array) else np.asarray(value)


def make_deterministic() -> None:
    """See `gradient_step.make_deterministic`."""
    flags = os.environ.get("XLA_FLAGS", "")
    if DETERMINISTIC not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC}".strip()
