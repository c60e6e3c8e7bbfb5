"""Cut-offs against brute force: no other cut-off does better, and EMP is the integral it says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.cutoffs import (
    cutoff_by_cost,
    cutoff_by_profit,
    cutoff_for_approval_rate,
    cutoff_for_bad_rate,
    cutoff_interval,
    profit_when_approved,
)
from bimetal.finance.credit.emp import ROI, emp_credit
from bimetal.finance.credit.scaling import Scaling
from bimetal.finance.credit.strategy import strategy_curve

SEEDS = st.integers(0, 2**32 - 1)


def sample(seed: int, n: int = 60, n_values: int = 12) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    points = rng.integers(500, 500 + n_values, n)
    bad = (rng.random(n) < 1 / (1 + np.exp((points - 503) / 3))).astype(int)
    bad[:2] = 0, 1
    return points, bad


@settings(deadline=None)
@given(seed=SEEDS)
def test_no_other_cutoff_costs_less(seed: int) -> None:
    points, bad = sample(seed)
    rng = np.random.default_rng(seed)
    approve, decline, weight = rng.integers(0, 9, (3, len(points))).astype(float)
    weight += 1

    def cost(cutoff: int) -> float:
        approved = points >= cutoff
        wrong = np.where(approved, bad * approve, (1 - bad) * decline)
        return float(wrong @ weight)

    found = cutoff_by_cost(points, bad, approve, decline, weight=weight)
    costs = {c: cost(c) for c in range(499, 514)}
    assert costs[found.cutoff] == pytest.approx(min(costs.values()))
    assert not any(costs[c] == costs[found.cutoff] for c in set(points[points > found.cutoff]))


@settings(deadline=None)
@given(seed=SEEDS)
def test_no_other_cutoff_earns_more(seed: int) -> None:
    points, bad = sample(seed)
    rng = np.random.default_rng(seed)
    amount, lgd = rng.uniform(1_000, 9_000, len(points)), rng.uniform(0.2, 0.9, len(points))
    found = cutoff_by_profit(points, bad, amount, 0.1, lgd, cost=20.0)
    earned = profit_when_approved(bad, amount, 0.1, lgd, 20.0)
    best = max(earned[points >= c].sum() for c in range(499, 514))
    assert found.profit == pytest.approx(best)
    assert earned[points >= found.cutoff].sum() == pytest.approx(best)


def test_with_true_probabilities_the_cutoff_is_where_a_loan_breaks_even() -> None:
    scaling = Scaling()
    points = np.arange(40_000, 70_000, 7)
    p = scaling.probability(points)
    found = cutoff_by_profit(points, p, 1_000, margin=0.08, lgd=0.55)
    even = 0.08 / (0.08 + 0.55)  # (1 − p)·margin = p·lgd
    assert scaling.probability(found.cutoff) <= even < scaling.probability(found.cutoff - 7)
    by_cost = cutoff_by_cost(points, p, 0.55, 0.08)
    assert by_cost.cutoff == found.cutoff


@settings(deadline=None)
@given(seed=SEEDS, rate=st.floats(0.01, 1.0))
def test_targets_are_met_and_by_no_more_than_needed(seed: int, rate: float) -> None:
    points, bad = sample(seed)
    approving = cutoff_for_approval_rate(points, bad, rate)
    assert np.mean(points >= approving.cutoff) >= rate - 1e-9
    assert np.mean(points > approving.cutoff) < rate
    curve = strategy_curve(points, bad)
    if np.nanmin(curve.bad_rate) > rate:
        with pytest.raises(DataError, match="the best is"):
            cutoff_for_bad_rate(points, bad, rate)
        return
    careful = cutoff_for_bad_rate(points, bad, rate)
    assert bad[points >= careful.cutoff].mean() <= rate + 1e-9
    lower = {c for c in points if c < careful.cutoff}
    assert all(bad[points >= c].mean() > rate for c in lower)


def test_the_curve_says_what_counting_says() -> None:
    points, bad = sample(1)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(points))
    profit = profit_when_approved(bad, 1_000, 0.1, 0.5)
    curve = strategy_curve(points, bad, profit=profit, weight=weight)
    assert curve.cutoff[0] == points.min()
    assert curve.cutoff[-1] == points.max() + 1
    for k, cutoff in enumerate(curve.cutoff):
        w = weight * (points >= cutoff)
        assert curve.approval_rate[k] == pytest.approx(w.sum() / weight.sum())
        assert curve.profit[k] == pytest.approx(w @ profit)
        if w.any():
            assert curve.bad_rate[k] == pytest.approx(w @ bad / w.sum())
    assert np.isnan(curve.bad_rate[-1])
    assert curve.at(-1).bad_rate is None
    assert curve.at(0).bad_rate == pytest.approx(np.average(bad, weights=weight))


def brute_emp(
    points: NDArray[Any], bad: NDArray[Any], p_full: float, p_lost: float, roi: float
) -> tuple[float, float]:
    """The integral over λ on a fine grid, the best cut-off found by trying all."""
    cutoffs = np.r_[np.unique(points), points.max() + 1]
    bads = np.array([(bad & (points < c)).mean() for c in cutoffs])
    goods = np.array([((1 - bad) & (points < c)).mean() for c in cutoffs])

    def best(loss: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        profit = loss[:, None] * bads - roi * goods
        return profit.max(axis=1), (bads + goods)[profit.argmax(axis=1)]

    grid = (np.arange(20_000) + 0.5) / 20_000
    profit, share = best(grid)
    at_one, share_one = best(np.ones(1))
    middle = 1 - p_full - p_lost
    return (
        middle * profit.mean() + p_lost * at_one[0],
        middle * share.mean() + p_lost * share_one[0],
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("constants", [(0.55, 0.1, ROI), (0.0, 0.0, 0.1), (0.2, 0.5, 0.9)])
def test_emp_is_the_integral_of_the_best_profit(
    seed: int, constants: tuple[float, float, float]
) -> None:
    points, bad = sample(seed, n=150, n_values=40)
    p_full, p_lost, roi = constants
    found = emp_credit(points, bad, p_full=p_full, p_lost=p_lost, roi=roi)
    profit, share = brute_emp(points, bad, p_full, p_lost, roi)
    assert found.profit == pytest.approx(profit, abs=1e-6)
    assert found.decline_rate == pytest.approx(share, abs=1e-4)
    declined = np.mean(points < found.cutoff)
    others = [np.mean(points < c) for c in range(499, 542)]
    assert abs(declined - share) <= min(abs(o - share) for o in others) + 1e-4


def test_a_better_ranking_has_no_less_emp() -> None:
    rng = np.random.default_rng(0)
    bad = (rng.random(4_000) < 0.2).astype(int)
    profits = [
        emp_credit((np.round(-1_000 * bad + s * rng.normal(size=4_000))).astype(int), bad).profit
        for s in (100, 1_000, 4_000, 1e6)
    ]
    assert profits == sorted(profits, reverse=True)
    assert profits[-1] >= 0


def test_the_bootstrap_interval_holds_the_true_cutoff_about_as_often_as_it_says() -> None:
    scaling, held = Scaling(), 0
    truth = int(np.ceil(scaling.points(np.log(0.1 / 0.5))))  # p = margin / (margin + lgd)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        points = rng.normal(52_000, 2_500, 1_500).round().astype(np.int64)
        bad = (rng.random(1_500) < scaling.probability(points)).astype(int)
        low, high = cutoff_interval(
            lambda rows, x=points, y=bad: cutoff_by_cost(x[rows], y[rows], 0.5, 0.1).cutoff,
            len(points),
            n_resamples=60,
            share=0.9,
            seed=seed,
        )
        assert low <= high
        held += low <= truth <= high
    assert held >= 20  # nominal 27; the cut-off is no smooth statistic, and 60 resamples are few


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: strategy_curve([1.5], [0]), "whole points"),
        (lambda: strategy_curve([], []), "whole points"),
        (lambda: strategy_curve([1, 2], [0, 2]), "bad must be finite and from 0 to 1"),
        (lambda: strategy_curve([1, 2], [0]), "one a row"),
        (lambda: strategy_curve([1, 2], [0, 1], weight=[0, 0]), "not all 0"),
        (lambda: strategy_curve([1, 2], [0, 1], profit=np.nan), "profit must be finite"),
        (lambda: cutoff_by_cost([1, 2], [0, 1], -1, 1), "cost_false_approve must be"),
        (lambda: cutoff_by_cost([1, 2], [0, 1], 1, [1, 2, 3]), "cost_false_decline: one number"),
        (lambda: cutoff_by_profit([1, 2], [0, 1], -5, 0.1, 0.5), "amount must be"),
        (lambda: cutoff_for_approval_rate([1, 2], [0, 1], 0), "approval rate"),
        (lambda: cutoff_for_bad_rate([1, 2], [0, 1], 1.5), "bad rate"),
        (lambda: cutoff_interval(lambda rows: 0, 0), "rows, resamples"),
        (lambda: emp_credit([1, 2], [0, 1], p_full=0.9, p_lost=0.2), "sum to at most 1"),
        (lambda: emp_credit([1, 2], [0, 1], roi=0), "positive roi"),
        (lambda: emp_credit([1, 2], [1, 1]), "labels must be 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
