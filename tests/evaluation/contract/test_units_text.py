import math

import pytest

from evaluation.contract import units_text


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ("s-1", "s⁻¹"),
        ("s**-1", "s⁻¹"),
        ("m2 s-2", "m² s⁻²"),
        ("m**2 s**-2", "m² s⁻²"),
        ("s⁻¹", "s⁻¹"),
        ("1", ""),
        ("", ""),
        ("%", "%"),
        ("hours", "hours"),
        ("10-5 s-1", "10-5 s⁻¹"),  # not ours to guess
    ],
)
def test_units_are_printed_with_powers(units, expected):
    assert units_text.pretty_units(units) == expected


@pytest.mark.parametrize(
    ("value", "power"), [(3.4e-5, -5), (-9.99e-3, -3), (0.5, 0), (9999, 0), (2e6, 6), (0, 0)]
)
def test_power_of_ten_leaves_ordinary_numbers_alone(value, power):
    assert units_text.power_of_ten([value, value / 10, math.nan, math.inf]) == power


@pytest.mark.parametrize(
    ("value", "places", "expected"),
    [
        (3.41872, 3, "3.419"),
        (-0.25, 3, "−0.250"),
        (0.0012345, 2, "0.0012"),
        (1.2345e-7, 3, "1.2·10⁻⁷"),
        (12345.6, 0, "12346"),
        (0.0, 3, "0"),
        (math.nan, 3, "–"),
        (-math.inf, 3, "−∞"),
    ],
)
def test_numbers_keep_two_digits_at_least(value, places, expected):
    assert units_text.number(value, places) == expected


def test_the_largest_of_a_row_has_four_digits():
    values = [12.3456, 0.5]
    places = units_text.decimals(values)
    assert [units_text.number(v, places) for v in values] == ["12.35", "0.50"]


def test_units_carry_the_power():
    assert units_text.scaled_units("s-1", -5) == "10⁻⁵ s⁻¹"
    assert units_text.labelled("bias", "1") == "bias"
    assert units_text.labelled("bias", "s-1", -5) == "bias (10⁻⁵ s⁻¹)"


def test_units_of_squares_and_inverses():
    assert units_text.squared_units("m s-1") == "m2 s-2"
    assert units_text.squared_units("1") == "1"
    assert units_text.inverse_units("s-1") == "s"
    assert units_text.squared_units("s-1, K") == "s-2, K2"
