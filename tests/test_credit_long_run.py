"""Calibration to a long-run rate: the mean is met, the ranking kept, and whole points round by half a unit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from bimetal.errors import DataError
from bimetal.finance.credit.long_run import (
    calibrate,
    long_run_average,
    mean_shift,
    points_shift,
    prior_shift,
)
from bimetal.finance.credit.scaling import Scaling

SEEDS = st.integers(0, 2**32 - 1)
RATES = st.floats(1e-4, 1 - 1e-4)


def sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(0, -np.asarray(x)))


@given(seed=SEEDS, rate=RATES, spread=st.floats(0, 20))
def test_the_mean_is_the_rate_to_the_last_digits(seed: int, rate: float, spread: float) -> None:
    rng = np.random.default_rng(seed)
    log_odds, weight = rng.normal(-2, spread, 50), rng.random(50) + 0.01
    shift = mean_shift(log_odds, rate, weight)
    assert np.average(sigmoid(log_odds + shift), weights=weight) == pytest.approx(rate, rel=1e-12)


@given(seed=SEEDS, rate=RATES)
def test_a_higher_rate_is_a_greater_shift_and_the_rate_that_is_there_is_none(
    seed: int, rate: float
) -> None:
    log_odds = np.random.default_rng(seed).normal(-2, 1, 40)
    assert mean_shift(log_odds, rate * 0.99) < mean_shift(log_odds, rate)
    assert mean_shift(log_odds, float(sigmoid(log_odds).mean())) == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(
    seed=SEEDS, rate=st.floats(0.001, 0.5), pdo=st.floats(5, 60), unit=st.sampled_from([1, 10, 100])
)
def test_whole_points_are_half_a_unit_off_at_most(
    seed: int, rate: float, pdo: float, unit: int
) -> None:
    scaling = Scaling(pdo=pdo, unit=unit)
    points = np.random.default_rng(seed).integers(400 * unit, 700 * unit, 200)
    found = calibrate(points, rate, scaling)
    exact = -found.shift * scaling.points_per_log_odds
    assert abs(found.points - exact) <= 0.5 + 1e-9
    odds = found.mean_after / (1 - found.mean_after) * (1 - rate) / rate
    # The mean's odds move by no more than each row's do.
    assert abs(np.log(odds)) <= 0.5 / scaling.points_per_log_odds + 1e-9
    assert found.mean_after == pytest.approx(scaling.probability(points + found.points).mean())
    assert found.mean_before == pytest.approx(scaling.probability(points).mean())


def test_a_margin_is_on_top_and_costs_points() -> None:
    points = np.random.default_rng(0).integers(50_000, 60_000, 500)
    plain = calibrate(points, 0.03, Scaling())
    careful = calibrate(points, 0.03, Scaling(), margin=0.005)
    assert careful.target == pytest.approx(0.035)
    assert careful.points < plain.points
    assert careful.mean_after == pytest.approx(0.035, rel=1e-3)


def test_weights_say_whose_mean_it_is() -> None:
    points = np.array([50_000, 60_000])
    first = calibrate(points, 0.05, Scaling(), weight=[1, 0])
    assert Scaling().probability(points[0] + first.points) == pytest.approx(0.05, rel=1e-3)


def test_the_prior_shift_is_what_a_model_of_all_rows_has() -> None:
    """King and Zeng's prior correction, as well: a sample with all bads and few goods."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=200_000)
    y = (rng.random(len(x)) < sigmoid(-4 + x)).astype(int)
    kept = (y == 1) | (rng.random(len(x)) < 0.05)
    whole, sample = (
        LogisticRegression(C=1e9).fit(x[rows, None], y[rows]) for rows in (slice(None), kept)
    )
    shift = prior_shift(y[kept].mean(), y.mean())
    assert sample.intercept_[0] + shift == pytest.approx(whole.intercept_[0], abs=0.05)
    assert sample.coef_[0, 0] == pytest.approx(whole.coef_[0, 0], abs=0.04)


@given(a=RATES, b=RATES, c=RATES)
def test_prior_shifts_add_up(a: float, b: float, c: float) -> None:
    assert prior_shift(a, b) + prior_shift(b, c) == pytest.approx(prior_shift(a, c), abs=1e-9)
    assert prior_shift(a, a) == 0
    assert mean_shift(np.log([a / (1 - a)]), b) == pytest.approx(prior_shift(a, b), abs=1e-9)


def test_twice_the_odds_are_so_many_points() -> None:
    assert points_shift(-np.log(2), Scaling(pdo=20, unit=100)) == 2_000
    assert points_shift(np.log(2), Scaling(pdo=20, unit=1)) == -20


def test_years_count_alike() -> None:
    rates = np.array([0.01, 0.02, 0.06])
    mean, error = long_run_average(rates)
    assert mean == pytest.approx(0.03)
    assert error == pytest.approx(rates.std(ddof=1) / np.sqrt(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_shift([0.0], 0.0), "between 0 and 1"),
        (lambda: mean_shift([], 0.1), "finite log-odds"),
        (lambda: mean_shift([np.inf], 0.1), "finite log-odds"),
        (lambda: mean_shift([0.0, 1.0], 0.1, [1.0]), "2 weights"),
        (lambda: mean_shift([0.0, 1.0], 0.1, [0.0, 0.0]), "not all 0"),
        (lambda: calibrate([50_000], 0.99, Scaling(), margin=0.02), "between 0 and 1"),
        (lambda: calibrate([50_000], 0.01, Scaling(), margin=-0.001), "not negative"),
        (lambda: prior_shift(0.5, 1.0), "between 0 and 1"),
        (lambda: long_run_average([0.02]), "two years"),
        (lambda: long_run_average([0.02, 1.2]), "each 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
