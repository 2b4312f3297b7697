import pytest

from evaluation.candidates.kind import Candidate
from evaluation.contract.configuration import (
    ComparisonConfig,
    EvaluationConfig,
    parse_candidates,
)
from evaluation.numerics.setting import Region


def parsed(word):
    (candidate,) = parse_candidates([word])
    return candidate.name, candidate.kind, candidate.value


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("sr=sr.h5", ("sr", "fields", ("sr.h5",))),
        ("out/sr.v2.nc", ("sr.v2", "fields", ("out/sr.v2.nc",))),
        ("a=out/x=1.h5", ("a", "fields", ("out/x=1.h5",))),
        ("e=[a.h5, b.h5]", ("e", "fields", ("a.h5", "b.h5"))),
        ("e=member-*.h5", ("e", "fields", ("member-*.h5",))),
        ("gan=generator:runs/7", ("gan", "generator", ("runs/7",))),
        ("generator:runs/7", ("7", "generator", ("runs/7",))),
        ("generator:hf://user/name", ("name", "generator", ("hf://user/name",))),
        ("interpolation:bicubic", ("bicubic", "interpolation", ("bicubic",))),
        ("persistence:3", ("persistence 3", "persistence", ("3",))),
    ],
)
def test_candidates_are_told_apart(word, expected):
    assert parsed(word) == expected


def test_candidates_in_yaml_are_those_of_flags():
    flags = parse_candidates(["a=a.h5", "e=[b.h5,c.h5]", "p=persistence:1"])
    assert flags == parse_candidates({"a": "a.h5", "e": ["b.h5", "c.h5"], "p": "persistence:1"})
    assert str(flags[2]) == "persistence:1"
    assert str(flags[1]) == "b.h5, c.h5"
    assert flags[0] == Candidate(name="a", kind="fields", value=("a.h5",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": []}, "nothing to judge"),
        ({"candidates": ["a=x.h5", "a=y.h5"]}, "two candidates are called 'a'"),
        ({"candidates": ["reference=x.h5"]}, "cannot be called 'reference'"),
        ({"candidates": ["a=interpolation:cubic"]}, "no interpolation 'cubic'; there are nearest"),
        ({"candidates": ["a=persistence:-1"]}, "persistence needs a whole number.*got '-1'"),
        ({"candidates": ["a=generator:"]}, "nothing stands after 'generator'"),
        ({"candidates": ["out/x=1.h5"]}, "cannot be called 'x=1'.*write name=PATH"),
        ({"candidates": {"a": []}}, "candidate a: no files are named"),
        ({"baseline": "b"}, "`baseline` must be one of the candidates a; got 'b'"),
        ({"every": 0}, "`every` must be at least 1"),
        ({"members": 1001}, "`members` must be at most 1000"),
        ({"factor": 1}, "`factor` must be at least 2"),
        ({"statistics": []}, "`statistics` must name at least one"),
        ({"regions": ["atlantis"]}, "no region 'atlantis'"),
        ({"radius": -1.0}, "`radius` must be positive"),
        ({"output": ""}, "`output` must name a folder"),
        ({"workers": 2, "scheduler": "tcp://x"}, "leave `workers` out"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(**{"reference": "r.h5", "candidates": ["a=x.h5"], **settings})


def test_regions_are_checked_with_the_rest():
    config = EvaluationConfig(
        reference="r.h5", candidates=["x.h5"], regions=["globe", "mine=-10,10,350,20"]
    )
    assert config.own_regions == {"mine": Region(south=-10, north=10, west=350, east=20)}
    assert EvaluationConfig(reference="r.h5", candidates=["x.h5"]).own_regions is None


def test_a_comparison_needs_two_runs():
    with pytest.raises(ValueError, match="at least two runs to compare; got 1"):
        ComparisonConfig(runs=["a"])


def test_generators_and_encoders_need_networks():
    def has_networks(candidate, **options):
        config = EvaluationConfig(reference="r.h5", candidates=[candidate], **options)
        return config.has_networks

    assert not has_networks("a.h5")
    assert has_networks("a.h5", encoder="package")
    assert has_networks("generator:run")
