"""The band covers as stated, is the one of MAPIE, and is a band: integers tell all."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta, binomtest
from sklearn.base import BaseEstimator, ClassifierMixin

from bimetal.errors import DataError
from bimetal.finance.credit.conformal import ConformalBand, conformal_band
from bimetal.finance.credit.scaling import Scaling

SCALING = Scaling()
SEEDS = st.integers(0, 2**32 - 1)
OPTIONS: dict[str, Any] = {
    "class": {"method": "class"},
    "marginal": {"method": "marginal", "probability": SCALING.probability},
}


def sample(
    seed: int, n: int = 400, spread: float = 2_000, apart: float = 3_000, rate: float = 0.25
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    bad = (rng.random(n) < rate).astype(np.int64)
    bad[:2] = 0, 1
    points = rng.normal(50_000 - apart * bad, spread).round().astype(np.int64)
    return points, bad


class Scored(ClassifierMixin, BaseEstimator):
    """A scorecard for MAPIE: its one column is the points."""

    def fit(self, X: Any, y: Any) -> "Scored":
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: Any) -> Any:
        p = SCALING.probability(np.asarray(X)[:, 0])
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> Any:
        return self.predict_proba(X).argmax(axis=1)


def mapie_sets(points: Any, bad: Any, new: Any, alpha: float) -> NDArray[np.bool_]:
    mapie = pytest.importorskip("mapie.classification")
    estimator = Scored().fit(None, None)
    judge = mapie.SplitConformalClassifier(
        estimator, 1 - alpha, conformity_score="lac", prefit=True
    )
    judge.conformalize(points[:, None], bad)
    return np.asarray(judge.predict_set(new[:, None])[1][:, :, 0], bool)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_marginal_sets_are_those_of_mapie(seed: int, alpha: float) -> None:
    points, bad = sample(seed)
    new = np.r_[sample(seed + 100)[0], points]
    band = conformal_band(points, bad, alpha=alpha, **OPTIONS["marginal"])
    np.testing.assert_array_equal(band.sets(new), mapie_sets(points, bad, new, alpha))


@pytest.mark.filterwarnings("ignore:WARNING. your conformalization dataset has less labels")
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_sets_by_class_are_those_of_mapie_on_each_class(alpha: float) -> None:
    points, bad = sample(5)
    new = np.r_[sample(105)[0], points]
    sets = conformal_band(points, bad, alpha=alpha).sets(new)
    for outcome in (0, 1):
        mine = bad == outcome
        other = mapie_sets(points[mine], bad[mine], new, alpha)
        np.testing.assert_array_equal(sets[:, outcome], other[:, outcome])


@settings(deadline=None)
@given(seed=SEEDS, alpha=st.floats(0.02, 0.8), apart=st.floats(0, 12_000))
@pytest.mark.parametrize("method", OPTIONS)
def test_outside_the_band_the_set_is_one_outcome_and_inside_it_is_not(
    method: str, seed: int, alpha: float, apart: float
) -> None:
    points, bad = sample(seed, apart=apart)
    try:
        band = conformal_band(points, bad, alpha=alpha, **OPTIONS[method])
    except DataError:
        assert alpha * (min(bad.sum(), len(bad) - bad.sum()) + 1) < 1
        return
    new = np.arange(points.min() - 10, points.max() + 10, 7)
    good, is_bad = band.sets(new).T
    inside = (new >= band.low) & (new < band.high)
    np.testing.assert_array_equal(good == is_bad, inside)
    assert (good & ~is_bad)[new >= band.high].all()
    assert (is_bad & ~good)[new < band.low].all()
    if inside.any():
        assert (good[inside] == (band.refers_as == "both")).all()


@settings(deadline=None)
@given(seed=SEEDS)
@pytest.mark.parametrize("method", OPTIONS)
def test_a_smaller_alpha_never_makes_a_set_smaller(method: str, seed: int) -> None:
    points, bad = sample(seed)
    wide = conformal_band(points, bad, alpha=0.05, **OPTIONS[method])
    narrow = conformal_band(points, bad, alpha=0.2, **OPTIONS[method])
    assert wide.good_from <= narrow.good_from
    assert wide.bad_to >= narrow.bad_to


@pytest.mark.parametrize("method", OPTIONS)
def test_coverage_holds_over_many_draws(method: str) -> None:
    """Each draw has its own calibration rows and one new applicant of each class: a coin of 1 − alpha."""
    alpha, hits, n = 0.1, np.zeros(3), 1_500
    for seed in range(n):
        points, bad = sample(seed, n=121)
        band = conformal_band(points[:-1], bad[:-1], alpha=alpha, **OPTIONS[method])
        new = band.sets(sample(seed + 9_999, n=3)[0])  # the first is good, the second bad
        hits += [new[0, 0], new[1, 1], band.sets(points[-1:])[0, bad[-1]]]
    for k in (2,) if method == "marginal" else (0, 1, 2):
        found = binomtest(int(hits[k]), n, 1 - alpha, alternative="less")
        assert found.pvalue > 1e-3, (k, hits[k] / n)
        assert hits[k] / n < 1 - alpha + 1 / 20 + 0.02  # nor far above: few ties, 20 bads or more


def test_on_average_over_the_rows_few_bads_may_hardly_be_covered_but_by_class_they_are() -> None:
    points, bad = sample(1, n=6_000, rate=0.05)
    new, y = sample(2, n=6_000, rate=0.05)

    def probability(at: Any) -> Any:  # Bayes: 5 % bad, two normals 3,000 points apart
        return 1 / (1 + 19 * np.exp((at - 48_500) * 3_000 / 2_000**2))

    marginal = conformal_band(points, bad, method="marginal", probability=probability)
    marginal, by_class = marginal.report(new, y), conformal_band(points, bad).report(new, y)
    assert marginal.coverage == pytest.approx(0.9, abs=0.02)
    assert marginal.coverage_bad < 0.5
    assert by_class.coverage_bad == pytest.approx(0.9, abs=0.06)
    assert by_class.coverage_good == pytest.approx(0.9, abs=0.02)


def test_conditional_coverage_of_one_band_is_a_beta_variable() -> None:
    """Given its n calibration rows, coverage is Beta(k, n + 1 − k): what is left to luck."""
    n, alpha = 99, 0.1
    rng = np.random.default_rng(0)
    coverages = []
    for _ in range(300):
        goods = rng.integers(0, 2**20, n)
        points = np.r_[goods, rng.integers(-(2**20), 0, 99)]
        band = conformal_band(points, np.r_[np.zeros(n, int), np.ones(99, int)], alpha=alpha)
        coverages.append(1 - band.good_from / 2**20)
    k = math.ceil((n + 1) * (1 - alpha))
    law = beta(k, n + 1 - k)
    assert np.mean(coverages) == pytest.approx(law.mean(), abs=4 * law.std() / 300**0.5)
    assert np.std(coverages) == pytest.approx(law.std(), rel=0.2)


def test_errors_without_a_human_are_at_most_alpha_over_their_share() -> None:
    points, bad = sample(3, n=20_000)
    new, y = sample(4, n=20_000)
    found = conformal_band(points, bad, alpha=0.1).report(new, y)
    decided = found.approved + found.declined
    assert found.bad_among_approved is not None
    assert found.good_among_declined is not None
    wrong = found.bad_among_approved * found.approved + found.good_among_declined * found.declined
    assert wrong <= 0.1 + 0.01
    assert wrong / decided <= (0.1 + 0.01) / decided


@given(cutoff=st.integers(40_000, 60_000))
def test_beside_a_cutoff_what_a_human_never_sees_agrees_with_its_set(cutoff: int) -> None:
    points, bad = sample(6)
    band = conformal_band(points, bad)
    low, high = band.with_cutoff(cutoff)
    assert low <= cutoff <= high
    assert low <= band.low
    assert high >= band.high
    if band.low <= cutoff <= band.high:
        assert (low, high) == (band.low, band.high)
    found = band.report(points, bad, cutoff=cutoff)
    assert found.approved + found.referred + found.declined == pytest.approx(1)
    assert found.referred == pytest.approx(np.mean((points >= low) & (points < high)))


def test_drift_breaks_the_promise_and_the_report_shows_it() -> None:
    points, bad = sample(7, n=4_000)
    new, y = sample(8, n=4_000)
    found = conformal_band(points, bad).report(new + 2_000 * y, y)
    assert found.coverage_bad < 0.8


def test_ties_never_cost_coverage() -> None:
    points = np.repeat([1, 2, 3, 4], 50)
    bad = (np.arange(200) % 4 < 4 - points).astype(int)
    found = conformal_band(points, bad, alpha=0.2).report(points, bad)
    assert found.coverage_good >= 0.8
    assert found.coverage_bad >= 0.8


def test_a_decision_that_nobody_gets_has_no_error() -> None:
    points, bad = sample(9)
    band = ConformalBand(0, 10**6, 0.1, "class", 0, 10**6, 1, 1)
    found = band.report(points, bad)
    assert found.referred == 1
    assert found.bad_among_approved is found.good_among_declined is None
    assert band.coverage == 0.9


def test_what_does_not_fit_is_refused() -> None:
    points, bad = sample(0)
    with pytest.raises(DataError, match="alpha is between"):
        conformal_band(points, bad, alpha=1.0)
    with pytest.raises(DataError, match="'class' or 'marginal'"):
        conformal_band(points, bad, method="aps")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="give probability"):
        conformal_band(points, bad, method="marginal")
    with pytest.raises(DataError, match="one that rises"):
        conformal_band(
            points, bad, method="marginal", probability=lambda p: 1 - SCALING.probability(p)
        )
    with pytest.raises(DataError, match=r"at least 9 bads expected for alpha=0\.1, got 8"):
        conformal_band(np.arange(40), np.arange(40) < 8, alpha=0.1)
    with pytest.raises(DataError, match="whole points"):
        conformal_band(points + 0.5, bad)
    with pytest.raises(DataError, match="both of them"):
        conformal_band(points, np.zeros_like(bad))
