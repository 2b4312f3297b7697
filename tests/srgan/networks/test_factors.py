import pytest

from srgan.networks.factors import checked_factors, prime_factors, total_factor


@pytest.mark.parametrize(
    ("factor", "primes"), [(2, (2,)), (3, (3,)), (4, (2, 2)), (10, (2, 5)), (12, (2, 2, 3))]
)
def test_a_factor_is_the_product_of_its_primes(factor, primes):
    assert prime_factors(factor) == primes
    assert total_factor(primes) == factor


def test_steps_keep_their_order():
    assert checked_factors([5, 2]) == (5, 2)


@pytest.mark.parametrize("factor", [1, 0, -2, 2.0, True, "4"])
def test_what_is_no_factor_is_refused(factor):
    with pytest.raises(ValueError, match="`factor` must be a whole number from 2 up"):
        prime_factors(factor)


@pytest.mark.parametrize("factors", [(), 4, "22"])
def test_what_is_no_list_is_refused(factors):
    with pytest.raises(ValueError, match="must be a list of prime numbers such as"):
        checked_factors(factors)


def test_composite_steps_are_refused_with_advice():
    with pytest.raises(ValueError, match="instead of 4 write 2, 2"):
        checked_factors((4,))
