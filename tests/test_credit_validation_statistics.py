"""Measures and tests of a validation pack, held to brute force, to SciPy, and to their own laws."""

import json
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from bimetal import metrics
from bimetal.errors import DataError, MissingExtraError
from bimetal.finance.credit.validation import calibration as cal
from bimetal.finance.credit.validation import discrimination as dis
from bimetal.finance.credit.validation import estimate

seeds = st.integers(0, 2**32 - 1)


def scored(seed: int, n: int = 60, n_models: int = 1) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw labels of both classes, two or more of each, and scores with ties."""
    rng = np.random.default_rng(seed)
    y = np.r_[0, 0, 1, 1, rng.integers(0, 2, n - 4)]
    decimals = int(rng.integers(1, 4))
    return y, [np.round(rng.random(n) * 0.8 + 0.15 * y, decimals) for _ in range(n_models)]


def kernel(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """DeLong's psi for each pair of a one and a zero, as the paper writes it."""
    ones, zeros = p[y == 1], p[y == 0]
    return np.array([[(a > b) + 0.5 * (a == b) for b in zeros] for a in ones])


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_delong_equals_the_sums_over_pairs_of_its_paper(seed: int) -> None:
    y, scores = scored(seed, 30, 2)
    found = dis.delong(y, scores)
    pairs = np.stack([kernel(y, p) for p in scores])
    m, n = pairs.shape[1:]
    theta = pairs.mean(axis=(1, 2))
    v10, v01 = pairs.mean(axis=2) - theta[:, None], pairs.mean(axis=1) - theta[:, None]
    expected = v10 @ v10.T / (m - 1) / m + v01 @ v01.T / (n - 1) / n
    np.testing.assert_allclose(found.auc, [sk.roc_auc_score(y, p) for p in scores])
    np.testing.assert_allclose(found.covariance, expected, atol=1e-12)


def test_an_auc_of_which_only_its_value_is_left_varies_about_as_delong_says() -> None:
    rng = np.random.default_rng(1)
    y = np.r_[np.zeros(2_000), np.ones(500)]
    for shift in (0.3, 1.0, 2.0):
        exact = dis.delong(y, [rng.exponential(np.where(y == 1, 1 + shift, 1.0))])
        alone = dis.auc_alone(float(exact.auc[0]), y)
        assert alone.covariance[0, 0] == pytest.approx(exact.covariance[0, 0], rel=0.1)
        assert alone.n == len(y) and "Hanley–McNeil" in alone.interval().method
        test = dis.unpaired_auc_test(alone, exact)
        assert test.z == 0 and test.difference.method.startswith("Hanley–McNeil and DeLong")


@pytest.mark.parametrize(("auc", "y"), [(1.2, [0, 0, 1, 1]), (0.7, [0, 1, 1]), (float("nan"), [0, 0, 1, 1])])  # fmt: skip
def test_an_auc_alone_needs_counts_and_a_value(auc: float, y: list[int]) -> None:
    with pytest.raises(DataError, match="at least two ones"):
        dis.auc_alone(auc, y)


def test_delong_intervals_cover_the_true_auc_as_often_as_they_say() -> None:
    rng, truth, hits = np.random.default_rng(0), stats.norm.cdf(1 / np.sqrt(2)), 0
    y = np.r_[np.zeros(150), np.ones(80)]
    for _ in range(400):
        interval = dis.delong(y, [rng.normal(y)]).interval()
        hits += interval.low <= truth <= interval.high
    assert 0.92 <= hits / 400 <= 0.98


def test_delong_p_values_are_even_when_two_models_are_equally_good() -> None:
    rng, y = np.random.default_rng(1), np.r_[np.zeros(100), np.ones(100)]
    p_values = []
    for _ in range(300):
        common = rng.normal(y)
        found = dis.delong(y, [common + rng.normal(size=200), common + rng.normal(size=200)])
        p_values.append(dis.auc_difference(found, 0, 1).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_a_model_does_not_differ_from_itself_and_a_difference_has_a_sign(seed: int) -> None:
    y, (a, b) = scored(seed, 60, 2)
    found = dis.delong(y, [a, b, 2 * a - 1])
    same, there, back = (dis.auc_difference(found, *pair) for pair in ((0, 2), (0, 1), (1, 0)))
    assert same.difference.value == pytest.approx(0) and same.p_value == 1
    assert there.z == pytest.approx(-back.z) and there.p_value == pytest.approx(back.p_value)


def test_two_samples_that_share_no_row_have_the_sum_of_their_variances() -> None:
    first, second = (dis.delong(y, p) for y, p in (scored(3), scored(4)))
    found = dis.unpaired_auc_test(first, second)
    error = np.sqrt(first.covariance[0, 0] + second.covariance[0, 0])
    assert found.z == pytest.approx((first.auc[0] - second.auc[0]) / error)
    assert found.difference.n == 120


def direct_h(y: np.ndarray, p: np.ndarray, a: float, b: float) -> float:
    """H by its definition: at each cost the best threshold of all, integrated numerically."""
    ts = np.r_[np.unique(p), np.inf]
    zeros_above = np.array([((p >= t) & (y == 0)).mean() for t in ts])
    ones_below = np.array([((p < t) & (y == 1)).mean() for t in ts])
    share, density = y.mean(), stats.beta(a, b).pdf
    grid = np.linspace(0, 1, 40)

    def integral(loss) -> float:
        return sum(quad(lambda c: loss(c) * density(c), a, b)[0] for a, b in pairwise(grid))

    best = integral(lambda c: (c * zeros_above + (1 - c) * ones_below).min())
    return 1 - best / integral(lambda c: min(c * (1 - share), (1 - c) * share))


@pytest.mark.parametrize(("seed", "severity"), [*product(range(3), [None, (2.0, 2.0)])])
def test_h_is_the_integral_of_its_definition(
    seed: int, severity: tuple[float, float] | None
) -> None:
    y, (p,) = scored(seed, 40)
    a, b = severity or (1 + y.mean(), 2 - y.mean())
    assert dis.h_measure(y, p, severity) == pytest.approx(direct_h(y, p, a, b), abs=1e-4)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_h_sees_only_the_order_and_lies_between_nothing_and_all(seed: int) -> None:
    y, (p,) = scored(seed)
    h = dis.h_measure(y, p)
    assert 0 <= h <= 1
    assert dis.h_measure(y, np.exp(3 * p)) == pytest.approx(h)
    assert dis.h_measure(y, y + 0.0) == 1
    assert dis.h_measure(y, np.zeros(len(y))) == pytest.approx(0, abs=1e-12)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_all_measures_equal_their_plain_forms_and_lie_in_their_intervals(seed: int) -> None:
    y, (p,) = scored(seed, 200)
    found = dis.discrimination(y, p, n_resamples=60, seed=1)
    assert found["auc"].value == pytest.approx(metrics.auc(y, p))
    assert found["auc_bootstrap"].value == pytest.approx(metrics.auc(y, p))
    assert found["gini"].value == pytest.approx(metrics.gini(y, p))
    assert found["ks"].value == pytest.approx(metrics.ks(y, p))
    assert found["h"].value == pytest.approx(dis.h_measure(y, p))
    for e in found.values():
        assert e.low < e.high and e.n == 200


def test_the_bootstrap_of_the_auc_agrees_with_delong() -> None:
    rng = np.random.default_rng(5)
    y = (rng.random(3000) < 0.2).astype(int)
    found = dis.discrimination(y, rng.normal(y), n_resamples=400)
    widths = [found[k].high - found[k].low for k in ("auc", "auc_bootstrap")]
    assert widths[1] == pytest.approx(widths[0], rel=0.15)


def test_the_same_seed_gives_the_same_bootstrap() -> None:
    y, (p,) = scored(7)
    assert dis.discrimination(y, p, n_resamples=20) == dis.discrimination(y, p, n_resamples=20)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_parts_of_the_brier_score_add_up(seed: int) -> None:
    y, (p,) = scored(seed)
    groups = np.random.default_rng(seed).integers(0, 5, len(y))
    parts = cal.brier_parts(y, p, groups)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert total == pytest.approx(metrics.brier(y, p))
    assert cal.brier_parts(y, p, np.unique(p, return_inverse=True)[1]).within == pytest.approx(0)
    assert parts.uncertainty == pytest.approx(y.var())


def test_losses_are_means_with_the_interval_of_a_mean() -> None:
    y, (p,) = scored(2, 300)
    q = np.clip(p, 0.01, 0.99)
    brier, loss = cal.mean_loss(y, q, "brier"), cal.mean_loss(y, q, "log_loss")
    assert brier.value == pytest.approx(sk.brier_score_loss(y, q))
    assert loss.value == pytest.approx(sk.log_loss(y, q))
    t = stats.norm.interval(0.95, brier.value, stats.sem((q - y) ** 2))
    assert (brier.low, brier.high) == pytest.approx(t)


def calibrated(seed: int, n: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 8, n)
    return (rng.random(n) < p).astype(int), p


@pytest.mark.parametrize("test", [
    cal.hosmer_lemeshow, cal.spiegelhalter, lambda y, p: cal.expected_and_actual(y, p).test,
])  # fmt: skip
def test_p_values_are_even_when_the_probabilities_are_right(test) -> None:
    p_values = [test(*calibrated(seed)).p_value for seed in range(300)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("test", [
    cal.hosmer_lemeshow, cal.spiegelhalter, lambda y, p: cal.expected_and_actual(y, p).test,
])  # fmt: skip
def test_halved_probabilities_are_found_out(test) -> None:
    y, p = calibrated(0)
    assert test(y, p / 2).p_value < 1e-6


def test_hosmer_lemeshow_is_pearsons_sum_with_as_many_degrees_as_groups() -> None:
    y, p = calibrated(3, 500)
    found, order = cal.hosmer_lemeshow(y, p), np.argsort(p)
    groups = np.array_split(order, 10)
    parts = [
        (y[g].sum() - p[g].sum()) ** 2 / (len(g) * p[g].mean() * (1 - p[g].mean())) for g in groups
    ]
    assert found.statistic == pytest.approx(sum(parts)) and found.df == 10


def test_cox_recovers_a_shift_and_a_stretch_and_equals_scikit_learn() -> None:
    y, p = calibrated(4, 4000)
    log_odds = np.log(p / (1 - p))
    intercept, slope = cal.cox(y, p)
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds[:, None], y)
    assert slope.value == pytest.approx(fitted.coef_[0, 0], abs=1e-4)
    assert intercept.low < 0 < intercept.high and slope.low < 1 < slope.high
    shifted, stretched = (1 / (1 + np.exp(-x)) for x in (log_odds - 1, 2 * log_odds))
    assert cal.cox(y, shifted)[0].value == pytest.approx(intercept.value + 1)
    assert cal.cox(y, stretched)[1].value == pytest.approx(slope.value / 2)


def test_classes_told_apart_have_no_slope() -> None:
    with pytest.raises(DataError, match="overlap"):
        cal.cox([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])


@pytest.mark.parametrize(("n_bad", "n", "p"), [(0, 20, 0.02), (3, 100, 0.01), (50, 50, 0.5)])
def test_tests_of_a_grade_equal_those_of_scipy(n_bad: int, n: int, p: float) -> None:
    exact = stats.binomtest(n_bad, n, p, alternative="greater").pvalue
    assert cal.binomial_p_value(n_bad, n, p) == pytest.approx(exact)
    posterior = quad(stats.beta(n_bad + 0.5, n - n_bad + 0.5).pdf, 0, p, limit=200)[0]
    assert cal.jeffreys_p_value(n_bad, n, p) == pytest.approx(posterior, rel=1e-4)


def test_jeffreys_is_the_mid_p_binomial_test_but_for_little() -> None:
    # Known of the Jeffreys interval (Brown, Cai and DasGupta 2001): a continuity-corrected binomial.
    for n_bad in (2, 5, 12):
        mid = stats.binom.sf(n_bad - 1, 200, 0.03) - stats.binom.pmf(n_bad, 200, 0.03) / 2
        assert cal.jeffreys_p_value(n_bad, 200, 0.03) == pytest.approx(mid, abs=0.01)


def test_correlated_defaults_are_an_average_over_the_economy() -> None:
    rho, p, n = 0.12, 0.03, 400
    factor = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    given = stats.norm.cdf((stats.norm.ppf(p) + np.sqrt(rho) * factor) / np.sqrt(1 - rho))
    expected = stats.binom.sf(19, n, given).mean()
    assert cal.binomial_p_value(20, n, p, asset_correlation=rho) == pytest.approx(
        expected, rel=1e-3
    )
    assert expected > 5 * cal.binomial_p_value(20, n, p)


def test_jeffreys_intervals_reach_zero_and_one_where_they_should() -> None:
    assert cal.jeffreys_interval(0, 30)[0] == 0 and cal.jeffreys_interval(30, 30)[1] == 1
    low, high = cal.jeffreys_interval(3, 30)
    assert stats.beta(3.5, 27.5).cdf([low, high]) == pytest.approx([0.025, 0.975])


def test_expected_and_actual_takes_a_sample_without_defaults() -> None:
    found = cal.expected_and_actual([0, 0, 0], [0.1, 0.2, 0.3])
    assert found.actual.value == 0 and found.ratio == 0 and found.expected == pytest.approx(0.2)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: dis.delong([0, 1, 1], [[1, 2, 3]]), "two ones and two zeros"),
    (lambda: dis.delong([0, 1], []), "at least one model"),
    (lambda: dis.delong([0, 1], [[1, 2, 3]]), "one label and one score"),
    (lambda: dis.h_measure([0, 1], [1, 2], (0, 1)), "above 0"),
    (lambda: cal.brier_parts([0, 1], [0.5], [0, 1]), "one probability a row"),
    (lambda: cal.brier_parts([0, 2], [0.5, 0.5], [0, 1]), "labels of 0 and 1"),
    (lambda: cal.spiegelhalter([0, 1], [0.5, 1.5]), "from 0 to 1"),
    (lambda: cal.spiegelhalter([0, 1], [0.5, 0.5]), "no variance"),
    (lambda: cal.hosmer_lemeshow([0, 1], [0, 0]), "group of zeros or ones"),
    (lambda: cal.binomial_p_value(3, 2, 0.1), "at most all rows"),
    (lambda: cal.binomial_p_value(1, 2, 0.1, asset_correlation=1), "asset correlation"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(call, says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(estimate, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"bimetal\[credit\]"):
        dis.delong([0, 0, 1, 1], [[1, 2, 3, 4]])


def test_an_estimate_is_finite_json_whatever_was_measured() -> None:
    spec = estimate.Estimate(float("nan"), None, np.float64(2), np.int64(3), "m").spec()
    assert json.loads(json.dumps(spec, allow_nan=False)) == {
        "value": None, "low": None, "high": 2.0, "n": 3, "method": "m",
    }  # fmt: skip


def test_intervals_of_ks_and_h_hold_the_truth_where_percentiles_would_not() -> None:
    rng, truth, hits = np.random.default_rng(0), 2 * stats.norm.cdf(0.4) - 1, 0
    y = np.r_[np.zeros(300), np.ones(100)]
    for seed in range(80):
        e = dis.discrimination(y, rng.normal(0.8 * y), n_resamples=60, seed=seed)["ks"]
        hits += e.low <= truth <= e.high
    assert hits / 80 >= 0.85
