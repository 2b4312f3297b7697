"""The factor of super-resolution as a product of prime steps.

A generator refines by one prime after the other, 4 = 2 · 2 and 10 = 2 · 5, because a sub-pixel
convolution by p has p² times the filters: two steps of 2 cost half of one step of 4, and see more.
"""

from collections.abc import Sequence
from math import prod


def prime_factors(factor: int) -> tuple[int, ...]:
    """Returns the primes whose product is `factor`, smallest first: 12 gives (2, 2, 3)."""
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
        raise ValueError(f"`factor` must be a whole number from 2 up; got {factor!r}")
    primes: list[int] = []
    candidate, rest = 2, factor
    while rest > 1:
        while rest % candidate == 0:
            primes.append(candidate)
            rest //= candidate
        candidate += 1
    return tuple(primes)


def checked_factors(factors: Sequence[int]) -> tuple[int, ...]:
    """Returns the steps as a tuple, in the order given, or says which one is not prime."""
    if isinstance(factors, str | int) or not len(factors):
        raise ValueError(f"`factors` must be a list of prime numbers such as (2, 2); got {factors}")
    for step in factors:
        primes = prime_factors(step)
        if len(primes) > 1:
            steps = ", ".join(map(str, primes))
            raise ValueError(f"each of `factors` must be prime; instead of {step} write {steps}")
    return tuple(int(step) for step in factors)


def total_factor(factors: Sequence[int]) -> int:
    """Returns by how much the steps refine in all."""
    return prod(checked_factors(factors))
