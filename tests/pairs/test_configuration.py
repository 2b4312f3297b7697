import dataclasses
from pathlib import Path

import pytest

from atmodist.pairs.configuration import PairSamplerConfig


def test_defaults_are_those_of_the_reference():
    config = PairSamplerConfig(archive="a.h5")
    assert config.patch_shape == (160, 160)
    assert config.max_temporal_distance == 23
    assert config.position_sampling == "area"
    assert config.folder == Path("records/atmodist_pairs/1.0.0")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"patches_per_step": 0}, "patches_per_step must be positive; got 0"),
        ({"max_temporal_distance": -1}, "max_temporal_distance must be positive; got -1"),
        ({"shard_megabytes": 0.0}, "shard_megabytes must be positive; got 0.0"),
        ({"patch_shape": (8, 0)}, r"patch_shape must be two positive numbers; got \(8, 0\)"),
        ({"evaluation_fraction": 1.0}, r"evaluation_fraction must lie in \[0, 1\); got 1.0"),
        ({"evaluation_fraction": float("nan")}, r"must lie in \[0, 1\); got nan"),
        ({"seed": -1}, "must not be negative"),
        ({"workers": -1}, "must not be negative"),
        ({"gap": 22}, "gap must be at least max_temporal_distance = 23.*got 22"),
        ({"gap": 0}, "gap must be at least max_temporal_distance"),
        ({"latitude_range": (30.0, -30.0)}, "south, north in degrees north.*got 30, -30"),
        ({"latitude_range": (-91.0, 0.0)}, "got -91, 0"),
        ({"latitude_range": (float("nan"), 0.0)}, "got nan, 0"),
        ({"dataset": "Pairs"}, "lower-case letters, digits and underscores; got 'Pairs'"),
        ({"dataset": "../pairs"}, r"got '\.\./pairs'"),
        ({"dataset": ""}, "got ''"),
        ({"version": "1.0"}, "version must be three numbers, as 1.0.0; got '1.0'"),
        ({"version": "1.0.x"}, "got '1.0.x'"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        PairSamplerConfig(archive="a.h5", **changes)


def test_the_configuration_cannot_be_changed_later():
    config = PairSamplerConfig(archive="a.h5")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1


def test_limits_themselves_are_allowed():
    config = PairSamplerConfig(
        archive="a.h5", gap=23, evaluation_fraction=0.0, latitude_range=(-90.0, 90.0), seed=0
    )
    assert config.gap == config.max_temporal_distance
