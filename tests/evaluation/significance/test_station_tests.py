import numpy as np
from numpy.testing import assert_allclose

from evaluation.significance.station_tests import adjusted, paired_test, pairs, ten_percent_rule


def test_paired_tests_find_a_small_but_steady_gain():
    rng = np.random.default_rng(0)
    b = rng.gamma(2.0, size=150)
    a = b * (0.95 + 0.05 * rng.normal(size=150))
    found = paired_test(a, b, seed=0)
    assert found.wilcoxon < 1e-6
    assert found.permutation < 1e-3
    assert found.mean < 0
    assert found.better + found.equal + found.worse == found.num_stations == 150
    assert found.equal > found.better > found.worse  # most are within 10 %


def test_paired_tests_keep_their_level():
    rng = np.random.default_rng(1)
    tests = [paired_test(*rng.gamma(2.0, size=(2, 40)), seed=i, num_flips=400) for i in range(300)]
    for name in ("wilcoxon", "permutation"):
        assert 0.01 < np.mean([getattr(test, name) < 0.05 for test in tests]) < 0.09


def test_paired_tests_without_difference_or_stations():
    x = np.ones(5)
    same = paired_test(x, x, seed=0)
    assert (same.wilcoxon, same.permutation, same.equal) == (1, 1, 5)
    none = paired_test(x[:1], x[:1] * np.nan, seed=0)
    assert none.num_stations == 0
    assert np.isnan(none.wilcoxon)


def test_ten_percent_rule():
    a = np.array([0.9, 0.91, 1.0, 1.09, 1.11, 0.0])
    b = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    assert ten_percent_rule(a, b).tolist() == [-1, 0, 0, 0, 1, 0]


def test_adjusted_p_values_control_false_discoveries():
    # Benjamini and Hochberg (1995): p_(i) m / i, made monotone
    assert_allclose(adjusted(np.array([0.01, np.nan, 0.04, 0.03])), [0.03, np.nan, 0.04, 0.04])
    assert np.isnan(adjusted(np.array([np.nan]))).all()
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        p = np.concatenate([rng.uniform(size=80), rng.uniform(size=20) * 1e-4])
        found = adjusted(p) < 0.05
        shares.append(found[:80].sum() / max(found.sum(), 1))
    assert np.mean(shares) < 0.06


def test_pairs():
    assert pairs(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
