"""Reject inference on a world whose truth is known: what it can do, and what it cannot."""

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from bimetal.columns import Lists
from bimetal.errors import DataError, MissingExtraError
from bimetal.finance.credit.reject import METHODS, augment, extrapolate, fuzzy, parcel
from bimetal.finance.credit.reject_bands import band_numbers, merged

MODEL = LogisticRegression(C=1e6)
PRUDENT = (parcel, fuzzy, extrapolate)


def world(seed: int, hidden: float, n: int = 12_000) -> tuple[Any, Any, Any, Any]:
    """Applicants of whom the lender sees x, and knows in deciding something more that stays hidden."""
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(2, n))
    p = 1 / (1 + np.exp(2 - x - hidden * u))
    bad = (rng.random(n) < p).astype(int)
    accepted = x + hidden * u + 0.7 * rng.normal(size=n) < 0.6
    return x[:, None], bad, accepted, p


def bias(X: Any, y: Any, weight: Any, everyone: Any, truth: Any) -> float:
    """How far the mean probability over all applicants is from the truth."""
    model = LogisticRegression(C=1e6).fit(X, y, sample_weight=weight)
    return float(model.predict_proba(everyone)[:, 1].mean() - truth.mean())


def right_factor(method: Any, X: Any, bad: Any, accepted: Any) -> float:
    """How much worse rejects truly are than a method takes them for: what no lender sees."""
    alike = method(X, bad * accepted, accepted, model=MODEL)
    return float(bad[~accepted].mean() / alike.reject_bad_rate)


@pytest.mark.parametrize("seed", range(3))
def test_the_right_factor_takes_the_bias_away_and_a_wrong_one_brings_more(seed: int) -> None:
    X, bad, accepted, p = world(seed, hidden=1.0)
    y = np.where(accepted, bad, 0)
    ignored = bias(X[accepted], bad[accepted], None, X, p)
    assert ignored < -0.05
    for method in PRUDENT:
        factor = right_factor(method, X, bad, accepted)
        right = method(X, y, accepted, prudence=factor, model=MODEL, seed=seed)
        assert abs(bias(right.X, right.y, right.weight, X, p)) < abs(ignored) / 3
        assert right.reject_bad_rate == pytest.approx(bad[~accepted].mean(), rel=0.15)
        wrong = method(X, y, accepted, prudence=2.5 * factor, model=MODEL, seed=seed)
        assert bias(wrong.X, wrong.y, wrong.weight, X, p) > abs(ignored)


@pytest.mark.parametrize("method", METHODS)
def test_without_a_factor_none_learns_what_stayed_hidden(method: Any) -> None:
    """Hand and Henley: at a prudence of 1 rejects are as bad as accepts say, and the bias stays."""
    X, bad, accepted, p = world(3, hidden=1.0)
    y = np.where(accepted, bad, 0)
    ignored = bias(X[accepted], bad[accepted], None, X, p)
    found = method(X, y, accepted, model=MODEL)
    assert bias(found.X, found.y, found.weight, X, p) == pytest.approx(ignored, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_where_nothing_was_hidden_no_harm_is_done_at_a_factor_of_one(method: Any) -> None:
    X, bad, accepted, p = world(4, hidden=0.0)
    found = method(X, np.where(accepted, bad, 0), accepted, model=MODEL)
    assert abs(bias(found.X, found.y, found.weight, X, p)) < 0.012


@pytest.mark.parametrize("method", METHODS)
def test_outcomes_of_rejects_are_never_looked_at(method: Any) -> None:
    X, bad, accepted, _ = world(5, hidden=1.0, n=1_500)
    given = bad.astype(float)
    first = method(X, np.where(accepted, given, 1 - given), accepted, model=MODEL)
    blank = method(X, np.where(accepted, given, np.nan), accepted, model=MODEL)
    np.testing.assert_array_equal(first.y, blank.y)
    np.testing.assert_array_equal(first.weight, blank.weight)
    assert first.spec() == blank.spec()


@pytest.mark.parametrize("method", METHODS)
def test_the_table_of_assumptions_adds_up(method: Any) -> None:
    X, bad, accepted, _ = world(6, hidden=1.0, n=3_000)
    found = method(X, bad, accepted, model=MODEL)
    assert sum(band.n_accepts for band in found.bands) == accepted.sum()
    assert sum(band.n_rejects for band in found.bands) == (~accepted).sum()
    bads = sum(band.n_accepts * (band.accept_bad_rate or 0) for band in found.bands)
    assert bads == pytest.approx(bad[accepted].sum())
    assert found.accept_bad_rate == pytest.approx(bad[accepted].mean())
    share = accepted.mean()
    mixed = share * found.accept_bad_rate + (1 - share) * found.reject_bad_rate
    assert found.bad_rate == pytest.approx(mixed)
    assert np.average(found.y, weights=found.weight) == pytest.approx(mixed, abs=1e-9)
    assert found.weight.sum() == pytest.approx(len(bad))
    assert found.is_inferred.any() == (method is not augment)
    assert json.loads(json.dumps(found.spec())) == found.spec()


def test_augmentation_weighs_each_band_as_its_applicants() -> None:
    X, bad, accepted, _ = world(7, hidden=0.0, n=4_000)
    found = augment(X, bad, accepted, model=MODEL, n_bands=5)
    assert len(found.y) == accepted.sum()
    weights = {round((b.n_accepts + b.n_rejects) / b.n_accepts, 9) for b in found.bands}
    assert set(found.weight.round(9)) == weights
    assert all(band.accept_bad_rate == pytest.approx(band.reject_bad_rate) for band in found.bands)


def test_bands_without_accepts_are_joined_with_the_next_acceptable() -> None:
    bands = np.repeat(np.arange(5), 10)
    accepted = np.r_[np.zeros(10), np.ones(20), np.zeros(10), [1] + [0] * 9].astype(bool)
    joined = merged(bands, accepted, 5)
    assert joined[::10].tolist() == [0, 0, 1, 1, 1]
    X, bad, _, _ = world(8, hidden=0.0, n=2_000)
    sharp = X[:, 0] < 0.3  # nobody beyond was ever accepted
    found = augment(X, bad, sharp, model=MODEL)
    assert np.isfinite(found.weight).all()
    assert found.weight.max() > 2


def test_parcels_are_drawn_by_seed_and_have_the_rate_that_they_say() -> None:
    X, bad, accepted, _ = world(9, hidden=1.0, n=4_000)
    options: Any = {"prudence": 2.0, "model": MODEL}
    one, again, other = (parcel(X, bad, accepted, seed=s, **options) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.y, again.y)
    assert (one.y != other.y).any()
    for band in one.bands:
        if not band.is_extrapolated and band.accept_bad_rate is not None:
            aim = min(1.0, 2 * band.accept_bad_rate) * band.n_rejects
            assert (band.reject_bad_rate or 0) * band.n_rejects == pytest.approx(aim, abs=1)
    np.testing.assert_array_equal(one.y[~one.is_inferred], bad[accepted])


def test_bands_with_too_few_accepts_say_that_the_model_spoke() -> None:
    X, bad, _, _ = world(10, hidden=0.0, n=3_000)
    found = parcel(X, bad, X[:, 0] < 0.3, model=MODEL, n_bands=10)
    assert found.bands[-1].is_extrapolated
    assert not found.bands[0].is_extrapolated
    assert found.bands[-1].accept_bad_rate is None
    assert found.bands[-1].reject_bad_rate == pytest.approx(bad[X[:, 0] > 1.3].mean(), abs=0.1)


def test_fuzzy_weights_are_probabilities() -> None:
    X, bad, accepted, _ = world(11, hidden=1.0, n=2_000)
    found = fuzzy(X, bad, accepted, prudence=1.5, model=MODEL)
    twice = found.is_inferred
    n_rejects = int((~accepted).sum())
    assert twice.sum() == 2 * n_rejects
    np.testing.assert_allclose(found.weight[twice][:n_rejects] + found.weight[twice][n_rejects:], 1)
    assert (found.weight[~twice] == 1).all()


def test_extrapolation_calls_the_riskiest_bad() -> None:
    X, bad, accepted, _ = world(12, hidden=0.0, n=2_000)
    found = extrapolate(X, bad, accepted, prudence=1.5, model=MODEL)
    rejects = found.is_inferred
    called = found.X[rejects & (found.y == 1), 0]
    assert called.min() >= found.X[rejects & (found.y == 0), 0].max()


class Mean(BaseEstimator):
    """Reads any table, and says the mean to all."""

    def fit(self, X: Any, y: Any) -> "Mean":
        self.mean_ = float(np.mean(y))
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.tile([1 - self.mean_, self.mean_], (len(X), 1))


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "lists"])
def test_a_frame_comes_back_as_it_came(kind: str) -> None:
    _, bad, accepted, _ = world(13, hidden=0.0, n=200)
    plain = {"n": np.arange(200).tolist(), "job": ["cook", "smith"] * 100}
    made: dict[str, Any] = {
        "pandas": pd.DataFrame(plain, index=range(1_000, 1_200)),
        "polars": polars.DataFrame(plain),
        "arrow": pyarrow.table(plain),
        "lists": Lists(plain),
    }
    table = made[kind]
    found = fuzzy(table, bad, accepted, model=Mean())
    assert type(found.X) is type(table)
    values = found.X.values["n"] if kind == "lists" else list(map(int, np.asarray(found.X["n"])))
    expected = np.r_[np.flatnonzero(accepted), np.tile(np.flatnonzero(~accepted), 2)]
    assert values == expected.tolist()


def test_the_default_model_is_the_woe_scorecard() -> None:
    X, bad, accepted, _ = world(14, hidden=0.0, n=300)
    frame = pd.DataFrame({"x": X[:, 0], "job": ["cook", "smith"] * 150})
    found = fuzzy(frame, bad, accepted)
    assert 0 < found.reject_bad_rate < 1


def test_equal_scores_stay_in_one_band() -> None:
    bands = band_numbers(np.repeat([0.1, 0.2, 0.3], [1, 97, 2]), 10)
    assert bands.tolist() == [0] * 1 + [1] * 97 + [2] * 2 or len(set(bands[1:98])) == 1


X, BAD, ACCEPTED, _ = world(15, hidden=0.0, n=100)


@pytest.mark.parametrize(
    ("y", "accepted", "options", "message"),
    [
        (BAD[:-1], ACCEPTED, {}, "one outcome and one decision"),
        (BAD, np.ones(100), {}, "nothing to infer"),
        (BAD, ACCEPTED * 2, {}, "True or False"),
        (BAD * 0, ACCEPTED, {}, "both of them"),
        (np.where(ACCEPTED, np.nan, 0), ACCEPTED, {}, "both of them"),
        (BAD, ACCEPTED, {"prudence": 0.5}, "at least 1"),
        (BAD, ACCEPTED, {"n_bands": 0}, "at least one band"),
        (np.arange(100) == np.flatnonzero(ACCEPTED)[0], ACCEPTED, {}, "out of fold"),
    ],
)
def test_what_does_not_fit_is_refused(y: Any, accepted: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parcel(X, y, accepted, model=MODEL, **options)


def test_scikit_learn_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(MissingExtraError, match="scikit-learn"):
        parcel(X, BAD, ACCEPTED, model=MODEL)
