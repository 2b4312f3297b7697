"""Numerical cores that make atmospheric fields without any download.

Written with Keras' operations alone, so that they run, compile and are differentiable under
TensorFlow, JAX and PyTorch. A state is a nested structure of modal fields; an equation gives its
tendencies; an integrator advances any equation; a core (`dynamics.core`) makes of these what steps
a case (`dynamics.case`) through time. What `atmodist simulate` does, in Python:

    simulation = dynamics.Simulation("held-suarez", truncation=42, num_levels=10, step=1800.0)
    state = simulation.start(spun_up=True)
    state = simulation.advance(state, 48)           # a day; NumPy in, NumPy out
    fields = simulation.observe(state)              # a field set, with σ levels
    vorticity = fields["vorticity"].values          # (level, latitude, longitude), s⁻¹

Below that, `dynamics.SIL3(equation, state, step)` is a step of tensors, to be differentiated.
"""

import lazy_loader

import atmodist  # noqa: F401  for what it settles before TensorFlow and Keras are imported

# The names stand in `__init__.pyi`; their modules are imported when somebody asks for them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
