import pytest

from atmodist.records.configuration import suitable_patches_per_step


@pytest.mark.parametrize(
    ("num_steps", "field", "patch", "expected"),
    [
        (80, (181, 360), (32, 32), 250),  # ten days: 20,000 in all
        (80, (181, 360), (160, 160), 20),  # where hardly a patch fits, not the same ones again
        (80, (181, 360), (64, 64), 127),  # eight times as many as fit side by side
        (100_000, (721, 1440), (160, 160), 20),  # years
        (1, (721, 1440), (8, 8), 20_000),
    ],
)
def test_short_archives_get_more_patches_of_each_step(num_steps, field, patch, expected):
    assert suitable_patches_per_step(num_steps, field, patch) == expected
