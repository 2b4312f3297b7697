"""The signed logarithm, sign(z) log(1 + |z|), and its inverse, with derivatives that are right.

Written as a product with sign(z), automatic differentiation finds the slope 0 at z = 0, because the
slopes of sign and of |z| there are taken as 0; it is 1. Zero is where fields equal their mean, and
where a generator starts. Here one of two branches is chosen, each smooth in all it is used for, so
that first derivatives are right everywhere and second ones finite (at 0 that of the right side).

`ops` is who computes: `keras.ops`, `numpy` or `tf.experimental.numpy`.
"""

from typing import Any


def signed_log1p(z: Any, ops: Any) -> Any:
    """Returns sign(z) log(1 + |z|), with slope 1 / (1 + |z|); same shape and type as `z`."""
    upper = z >= 0
    magnitude = ops.log1p(ops.where(upper, z, -z))
    return ops.where(upper, magnitude, -magnitude)


def signed_expm1(y: Any, ops: Any) -> Any:
    """Returns sign(y) (exp|y| - 1), with slope exp|y|; undoes `signed_log1p`."""
    upper = y >= 0
    magnitude = ops.expm1(ops.where(upper, y, -y))
    return ops.where(upper, magnitude, -magnitude)
