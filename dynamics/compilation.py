"""Compiling by the backend of Keras, for speed: one call takes many steps.

TensorFlow and JAX compile with XLA, the loop over steps included. PyTorch compiles one step (a
minute at T42) and Python loops; where it finds no C++ compiler, a warning says so, and steps are
taken as they are written, which is many times slower. Under PyTorch no gradients are recorded.
"""

import warnings
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Function = Callable[..., Any]


def compiled(function: Function) -> Function:
    """A function of nested structures of tensors, compiled at its first call."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        traced: Function = tf.function(function, jit_compile=True)
        return traced
    if backend == "jax":
        import jax

        jitted: Function = jax.jit(function)
        return jitted
    return _compiled_by_torch(function)


def repeated(step: Function) -> Callable[[Any, int], Any]:
    """A function (state, count) that takes `step`, a function of the state, so many times."""
    if keras.backend.backend() == "torch":  # a loop of Keras' is not compiled there
        one = compiled(step)

        def by_python(state: Any, count: int) -> Any:
            for _ in range(count):
                state = one(state)
            return state

        return by_python
    many = compiled(lambda state, count: ops.fori_loop(0, count, lambda _, s: step(s), state))
    return lambda state, count: many(state, ops.convert_to_tensor(count, "int32"))


def _compiled_by_torch(function: Function) -> Function:
    import torch

    fast = torch.compile(function)
    can_compile = True

    def call(*arguments: Any) -> Any:
        nonlocal can_compile
        with torch.no_grad():
            if can_compile:
                try:
                    return fast(*arguments)
                except torch._dynamo.exc.BackendCompilerFailed as error:
                    can_compile = False
                    reason = str(error).splitlines()[0]
                    warnings.warn(f"PyTorch could not compile, and is slow: {reason}", stacklevel=2)
            return function(*arguments)

    return call
