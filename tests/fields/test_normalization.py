"""Normalisation: its formula, its inverse, its file, and that two are not mixed up."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats
from numpy.testing import assert_allclose, assert_array_equal

from atmodist.fields import normalization as module
from atmodist.fields.normalization import NUMBERS, Normalization

NUMBERS_OF_WINDS = {
    "channels": ("divergence", "vorticity"),
    "units": ("s-1", "s-1"),
    "mean": [1.2e-7, -3.4e-7],  # s-1
    "std": [1.7e-5, 4.1e-5],  # s-1
    "log_mean": [0.011, -0.023],
    "log_std": [0.12, 0.14],
}
SOURCE = {"archive": "a.h5", "start": "2000-01-01", "end": "2000-12-31", "num_steps": 366}


def make(**changes) -> Normalization:
    return Normalization(**{**NUMBERS_OF_WINDS, **changes})


def sample(shape=(5, 7, 2), dtype=np.float32, seed=0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * 3e-5).astype(dtype)


def rounding_of_round_trip(field: np.ndarray, ours: Normalization) -> np.ndarray:
    # A relative error e of y makes an error e |y| (1 + α|z|) σ / α of x; adding and subtracting
    # μ and μ' costs their own rounding. 8 covers the dozen operations of both ways.
    z = np.abs(field - ours.mean) / ours.std
    y = np.log1p(ours.alpha * z) + 2 * np.abs(ours.log_mean)
    amplified = y * (1 + ours.alpha * z) * ours.std / ours.alpha
    size = np.abs(field) + np.abs(ours.mean) + np.abs(field - ours.mean) + amplified
    return 8 * np.finfo(field.dtype).eps * size


@pytest.mark.parametrize("alpha", [0.2, 3.0])
def test_is_the_formula_of_the_paper(alpha):
    ours, field = make(alpha=alpha), sample(dtype=np.float64)
    z = (field - ours.mean) / ours.std
    y = np.sign(z) * np.log(1 + alpha * np.abs(z))
    assert_allclose(ours(field), (y - ours.log_mean) / ours.log_std, rtol=1e-12, atol=1e-13)


def test_is_known_by_hand():
    ours = Normalization(
        channels=("x",), mean=[1.0], std=[2.0], log_mean=[0.5], log_std=[4.0], alpha=0.5
    )
    # z = -2, y = -log 2
    assert ours(np.array([-3.0]))[0] == pytest.approx((-np.log(2) - 0.5) / 4)


def test_mean_becomes_minus_the_log_mean_and_order_is_kept():
    ours = make(log_mean=[0.0, 0.0])
    assert_array_equal(ours(ours.mean), [0, 0])
    field = np.linspace(-1e-3, 1e-3, 1001)[:, None] * np.ones(2)
    assert (np.diff(ours(field), axis=0) > 0).all()


@given(arrays(np.float64, (4, 2), elements=floats(-1e6, 1e6)))
def test_inverse_returns_to_physical_units_in_float64(field):
    ours = make(mean=[3.0, -1e4], std=[2.0, 0.5])
    assert (np.abs(ours.inverse(ours(field)) - field) <= rounding_of_round_trip(field, ours)).all()


@given(
    arrays(np.float32, (4, 2), elements=floats(-1, 1, width=32))
)  # to 60 000 standard deviations
def test_inverse_returns_to_physical_units_in_float32(field):
    ours = make()
    assert (np.abs(ours.inverse(ours(field)) - field) <= rounding_of_round_trip(field, ours)).all()


@given(arrays(np.float64, (3, 2), elements=floats(-50, 50)))
def test_is_the_inverse_of_its_inverse(normalized):
    ours = make()
    assert_allclose(ours(ours.inverse(normalized)), normalized, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-45, -1e-38, 1e3, -1e3, 1e20])
def test_extreme_values_survive_the_round_trip(value):
    ours, field = make(), np.full((3, 2), value, np.float32)
    back = ours.inverse(ours(field))
    assert back.dtype == np.float32
    assert (np.abs(back - field) <= rounding_of_round_trip(field, ours)).all()


def test_missing_values_stay_missing():
    field = np.array([[np.nan, 1e-5]], np.float32)
    assert np.isnan(make()(field)).tolist() == [[True, False]]
    assert np.isnan(make().inverse(field)).tolist() == [[True, False]]


@pytest.mark.parametrize(("dtype", "kept"), [("f4", "f4"), ("f8", "f8"), ("i4", "f8")])
def test_keeps_float32_and_makes_float64_of_the_rest(dtype, kept):
    field = np.zeros((3, 2), dtype)
    assert make()(field).dtype == make().inverse(field).dtype == kept


def test_float32_agrees_with_float64():
    field = sample((50, 60, 2))
    assert_allclose(make()(field), make()(field.astype(np.float64)), rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("shape", [(2,), (6, 2), (4, 5, 2), (2, 3, 4, 5, 2), (0, 2)])
def test_any_number_of_axes_before_the_channel_and_arguments_are_left_alone(shape):
    field = sample(shape)
    before = field.copy()
    ours = make()
    for function in (ours, ours.inverse):
        result = function(field)
        assert result.shape == shape
        assert_array_equal(field, before)
        flat = function(field.reshape(-1, 2))
        assert_array_equal(result, flat.reshape(shape))


@pytest.mark.parametrize("block", [1, 7, 10, 70, 1000])
def test_cutting_into_blocks_changes_nothing(monkeypatch, block):
    field = sample((3, 5, 7, 2))
    whole = make()(field)
    monkeypatch.setattr(module, "BLOCK_VALUES", block)
    out = np.full_like(field, np.nan)  # nothing of it is left as it was
    make()(field, out=out)
    assert_array_equal(out, whole)


def test_works_in_place_and_on_views_of_channel_first_fields():
    ours, field = make(), sample((6, 8, 2))
    expected = ours(field)
    view = np.moveaxis(np.ascontiguousarray(np.moveaxis(field, -1, 0)), 0, -1)
    assert_array_equal(ours(view), expected)
    assert ours(view, out=view) is view
    assert_array_equal(view, expected)
    back = ours.inverse(expected)
    ours.inverse(expected, out=expected)
    assert_array_equal(expected, back)


@pytest.mark.parametrize("axis", [0, 1, -2, 3])
def test_channels_may_lie_along_any_axis(axis):
    ours, last = make(), sample((3, 4, 5, 2))
    field = np.ascontiguousarray(np.moveaxis(last, -1, axis))
    expected = np.moveaxis(ours(last), -1, axis)
    assert_array_equal(ours(field, axis=axis), expected)
    assert_array_equal(
        ours.inverse(expected, axis=axis), np.moveaxis(ours.inverse(ours(last)), -1, axis)
    )
    assert ours(field, out=field, axis=axis) is field
    assert_array_equal(field, expected)


def test_networks_take_fields_of_archives_with_channels_last():
    ours, field = make(), sample((6, 2, 4, 5))
    assert_array_equal(ours.network_input(field), ours(field, axis=1).transpose(0, 2, 3, 1))


def test_refuses_other_channels_and_an_unfit_output():
    with pytest.raises(ValueError, match=r"axis 1 must be the channels .* got shape \(2, 3\)"):
        make()(np.zeros((2, 3)), axis=1)
    with pytest.raises(ValueError, match="axis 2 must be the channels"):
        make()(np.zeros((2, 2)), axis=2)
    with pytest.raises(ValueError, match=r"last axis must be the channels .* got shape \(2, 3\)"):
        make()(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"`out` must be float32 of shape \(3, 2\); got float64"):
        make()(np.zeros((3, 2), np.float32), out=np.zeros((3, 2)))


def test_file_keeps_every_bit(tmp_path):
    ours = make(mean=[1 / 3, np.nextafter(0.1, 1)], source=SOURCE)
    ours.save(tmp_path / "normalization.json")
    theirs = Normalization.load(tmp_path / "normalization.json")
    for name in NUMBERS:
        assert_array_equal(getattr(theirs, name), getattr(ours, name))
    assert (theirs.channels, theirs.units) == (ours.channels, ours.units)
    assert (theirs.alpha, theirs.source, theirs.identity) == (0.2, SOURCE, ours.identity)
    ours.require_same(theirs)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [1.2e-7, -3.5e-7]},
        {"std": [1.7e-5, 4.2e-5]},
        {"log_mean": [0.011, -0.024]},
        {"log_std": [0.12, 0.15]},
        {"alpha": 0.3},
        {"channels": ("vorticity", "divergence")},
    ],
)
def test_identity_changes_with_every_number(change):
    assert make(**change).identity != make().identity


def test_identity_does_not_change_with_provenance():
    assert make(source=SOURCE, units=("1/s", "1/s")).identity == make().identity


def test_mixing_two_normalisations_names_both():
    ours, theirs = make(source=SOURCE), make(alpha=0.3)
    with pytest.raises(ValueError) as caught:
        ours.require_same(theirs, ours="the records in p", theirs="the network in q")
    text = str(caught.value)
    for part in ("the records in p", "the network in q", ours.identity, theirs.identity, "a.h5"):
        assert part in text
    assert "2000-01-01 .. 2000-12-31, 366 steps" in text
    assert "unknown source" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"std": [1.0, 0.0]}, "`std` must be positive"),
        ({"log_std": [-1.0, 1.0]}, "`log_std` must be positive"),
        ({"mean": [1.0]}, r"`mean` must have one number for each of .* shape \(1,\)"),
        ({"mean": [np.nan, 1.0]}, "`mean` must be finite"),
        ({"log_mean": [None, 1.0]}, "`log_mean` must be"),
        ({"log_mean": ["a", 1.0]}, "`log_mean` must be numbers"),
        ({"alpha": 0.0}, "`alpha` must be positive"),
        ({"alpha": float("inf")}, "`alpha` must be positive and finite"),
        ({"alpha": "0.2"}, "`alpha` must be a number"),
        ({"channels": ("a", "a")}, "different names"),
        ({"channels": "ab"}, "`channels` must be a list of names"),
        ({"channels": ()}, "one or more different names"),
        ({"units": ("s-1",)}, "`units` must have one entry"),
    ],
)
def test_refuses_numbers_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": None}, "this is no normalisation"),
        ({"version": 99}, "version 99 of this format is unknown"),
        ({"std": None}, "`std` must"),
        ({"std": [float("nan"), 1.0]}, "`std` must be finite"),
        ({"mean": [1.0, 2.0]}, "was it edited"),
        ({"units": 3}, "`units` must be a list of names; got 3"),
        ({"source": 3}, "`source` must be"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, change, message):
    path = tmp_path / "normalization.json"
    path.write_text(json.dumps({**make().as_dict(), **change}))
    with pytest.raises(ValueError, match=message) as caught:
        Normalization.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("key", ["identity", "channels", "units", "alpha", *NUMBERS, "source"])
def test_a_file_that_lacks_something_says_what(tmp_path, key):
    path = tmp_path / "normalization.json"
    content = make().as_dict()
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"lacks {key}"):
        Normalization.load(path)


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(FileNotFoundError, match="atmodist statistics"):
        Normalization.load(tmp_path / "normalization.json")
    path = tmp_path / "cut.json"
    path.write_text('{"format": "atmo')
    with pytest.raises(ValueError, match=r"cut\.json is not valid JSON"):
        Normalization.load(path)
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match="this is no normalisation"):
        Normalization.load(path)


def test_numbers_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="read-only"):
        make().mean[0] = 1.0


def test_needs_no_tensorflow():
    code = "import sys, atmodist.fields.normalization; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_constants_of_the_reference_implementation_are_known_by_name(tmp_path, monkeypatch):
    found = Normalization.load("era5-ml120")
    assert found.channels == ("divergence", "vorticity")
    assert found.alpha == 0.2
    # Both steps by hand, for a vorticity of 1e-4 s⁻¹ and a divergence of -3e-5 s⁻¹.
    z = [(-3e-5 - 1.946e-8) / 2.857e-5, (1e-4 - 2.055e-7) / 5.082e-5]
    y = [-np.log1p(-0.2 * z[0]), np.log1p(0.2 * z[1])]
    expected = [(y[0] - 8.82e-4) / 0.15795, (y[1] - 3.25e-4) / 0.16044]
    assert_allclose(found(np.array([-3e-5, 1e-4])), expected, rtol=1e-12)
    monkeypatch.chdir(tmp_path)
    make().save("era5-ml120")
    assert Normalization.load("era5-ml120").identity == make().identity  # a file wins
    with pytest.raises(FileNotFoundError, match="known by name: era5-ml120"):
        Normalization.load("era5")
