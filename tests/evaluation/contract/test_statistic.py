import numpy as np
import pytest

from evaluation.contract.statistic import Sample, Statistic
from evaluation.numerics.shared import coefficients, slopes
from tests.evaluation.fields import random_fields, setting


def sample(candidate, reference, common):
    return Sample(setting=common, candidate=candidate, reference=reference, seconds=0)


def test_what_is_shared_is_made_once_for_each_side():
    common = setting()
    a, b = random_fields(common.grid, 2)
    calls = []

    def mean(field, its):
        calls.append(field is a)
        assert its is common
        return field.mean()

    both = sample(a, b, common)
    for _ in range(2):
        assert both.shared(mean) == a.mean()
        assert both.shared(mean, of_reference=True) == b.mean()
    assert calls == [True, False]
    itself = sample(a, a, common)  # the reference described by itself
    assert itself.shared(mean) is itself.shared(mean, of_reference=True)
    assert calls == [True, False, True]


def test_functions_do_not_mix():
    common = setting()
    a, b = random_fields(common.grid, 2)
    both = sample(a, b, common)
    assert both.shared(slopes).shape == (2, 18, 36)
    assert np.iscomplexobj(both.shared(coefficients))


def test_a_statistic_needs_an_accumulator_and_little_else():
    class Bare(Statistic):
        name = title = "bare"

        def accumulator(self, setting):
            return setting

    bare = Bare()
    assert (bare.needs, bare.of_reference, bare.default, bare.version) == (set(), False, True, 1)
    assert list(bare.draw(None)) == bare.rows(None, seed=0) == []
    with pytest.raises(TypeError, match="abstract"):
        Statistic()
