"""Numerical cores that make atmospheric fields without any download.

Written with Keras' operations alone, so that they run, compile and are differentiable under
TensorFlow, JAX and PyTorch. A state is a nested structure of modal fields; an equation gives its
tendencies; an integrator advances any equation; a case gives an initial state.
"""
