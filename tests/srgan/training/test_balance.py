import math

import pytest

from srgan.training.balance import falls_behind


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (0.2, "generator"),
        (0.46, None),
        (0.55, None),
        (0.6, None),
        (math.log(2), "discriminator"),
        (math.nan, None),
    ],
)
def test_whoever_falls_behind_is_told_by_the_loss_of_the_discriminator(loss, expected):
    assert falls_behind(loss, (0.46, 0.6)) == expected
