"""Measures of a credit score, held to scikit-learn's and to their own laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from bimetal import metrics
from bimetal.errors import DataError

seeds = st.integers(0, 2**32 - 1)


def scored(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels of both classes and scores with ties."""
    rng = np.random.default_rng(seed)
    y = np.r_[0, 1, rng.integers(0, 2, n - 2)]
    return y, np.round(rng.random(n) * 0.8 + 0.1 * y, int(rng.integers(1, 4)))


@given(seeds)
def test_measures_equal_those_of_scikit_learn(seed: int) -> None:
    y, p = scored(seed)
    assert metrics.auc(y, p) == pytest.approx(sk.roc_auc_score(y, p))
    assert metrics.brier(y, p) == pytest.approx(sk.brier_score_loss(y, p))
    inside = np.clip(p, 1e-6, 1 - 1e-6)
    assert metrics.log_loss(y, inside) == pytest.approx(sk.log_loss(y, inside))
    assert metrics.gini(y, p) == pytest.approx(2 * sk.roc_auc_score(y, p) - 1)


@given(seeds)
def test_the_roc_curve_equals_that_of_scikit_learn(seed: int) -> None:
    y, p = scored(seed)
    curve = metrics.roc(y, p)
    expected = sk.roc_curve(y, p, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive, expected[0])
    np.testing.assert_allclose(curve.true_positive, expected[1])
    np.testing.assert_allclose(curve.threshold, expected[2])


@given(seeds)
def test_ks_is_the_largest_gap_between_the_curves(seed: int) -> None:
    y, p = scored(seed)
    false, true, _ = sk.roc_curve(y, p, drop_intermediate=False)
    assert metrics.ks(y, p) == pytest.approx(max(0.0, (true - false).max()))


@given(seeds)
def test_ranking_measures_see_only_the_order(seed: int) -> None:
    y, p = scored(seed)
    assert metrics.auc(y, p) == pytest.approx(metrics.auc(y, np.exp(3 * p) - 7))
    assert metrics.auc(y, p) == pytest.approx(1 - metrics.auc(y, -p))


@given(seeds)
def test_a_resample_that_repeats_rows_has_the_auc_of_the_repeated_rows(seed: int) -> None:
    y, p = scored(seed)
    counts = np.random.default_rng(seed).integers(0, 3, len(y))
    counts[:2] = 1
    drawn = np.repeat(np.arange(len(y)), counts)
    fast = metrics._Sorted.of(y.astype(float), p).auc(counts)
    assert fast == pytest.approx(sk.roc_auc_score(y[drawn], p[drawn]))


def test_the_bootstrap_is_paired_and_surrounds_the_auc() -> None:
    y, p = scored(3, 400)
    samples = metrics.bootstrap_auc(y, [p, 2 * p, -p], n_resamples=200)
    np.testing.assert_array_equal(samples[0], samples[1])
    np.testing.assert_allclose(samples[0], 1 - samples[2])
    low, high = metrics.interval(samples[0])
    assert low < metrics.auc(y, p) < high


@given(seeds, st.integers(2, 12))
def test_reliability_bins_share_out_all_rows(seed: int, n_bins: int) -> None:
    y, p = scored(seed)
    bins = metrics.reliability(y, p, n_bins)
    assert bins.n.sum() == len(y) and len(bins.n) <= n_bins
    assert bins.n @ bins.observed == pytest.approx(y.sum())
    assert bins.n @ bins.predicted == pytest.approx(p.sum())
    assert ((bins.low <= bins.observed + 1e-12) & (bins.observed <= bins.high + 1e-12)).all()


@pytest.mark.parametrize(
    ("y", "p", "complaint"),
    [
        ([0, 1], [0.5], "shapes"),
        ([0, 0], [0.5, 0.6], "at least one of each"),
        ([0, 2], [0.5, 0.6], "0 and 1"),
        ([0, 1], [0.5, np.nan], "finite"),
    ],
)
def test_what_cannot_be_measured_is_refused(y: list[int], p: list[float], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        metrics.auc(y, p)
