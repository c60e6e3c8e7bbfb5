"""Champion against challengers: nobody looks ahead, differences are paired, and the rule only advises."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from test_partial_fit import TWO, X, Y

from bimetal import metrics
from bimetal.continual.oversight.champion import Frozen, Refitted, compete
from bimetal.continual.oversight.competition import CHAMPION, METRICS, Chunk
from bimetal.continual.oversight.promotion import (
    Promotion,
    advise,
    block_bootstrap,
    difference,
    gini_stability,
)
from bimetal.errors import DataError


class Average:
    """Says how often it was 1 so far; learns row after row, whatever X is."""

    def __init__(self) -> None:
        self.n, self.ones = 2.0, 1.0

    def predict_proba(self, x: Any) -> Any:
        p = np.full(len(x), self.ones / self.n) + 1e-3 * np.asarray(x)[:, 0]
        return np.stack([1 - p, p], axis=1)

    def partial_fit(self, x: Any, y: Any) -> None:
        self.n, self.ones = self.n + len(y), self.ones + float(np.sum(y))


def months(n: int = 8, rows: int = 20, seed: int = 0) -> list[Chunk]:
    rng = np.random.default_rng(seed)
    return [
        Chunk(f"month {i}", rng.random((rows, 2)), (rng.random(rows) < 0.3 + 0.05 * i).astype(int))
        for i in range(n)
    ]


def loans() -> list[Chunk]:
    return [Chunk(str(i), X[i : i + 60], Y[i : i + 60]) for i in range(300, 900, 60)]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 7), st.integers(0, 3))
def test_labels_after_a_moment_change_no_prediction_up_to_it(t: int, delay: int) -> None:
    true = months()
    false = [c if i < t else Chunk(c.name, c.X, 1 - c.y) for i, c in enumerate(true)]
    one, other = (compete(Average(), {"b": Average()}, s, delay=delay) for s in (true, false))
    for name in one.names:
        for i in range(min(8, t + delay + 1)):
            np.testing.assert_array_equal(one.probabilities[name][i], other.probabilities[name][i])
    if t + delay + 1 < 8:
        after = t + delay + 1
        assert (one.probabilities["b"][after] != other.probabilities["b"][after]).any()


@pytest.mark.parametrize("delay", [0, 2])
def test_a_classifier_that_learns_on_does_not_look_ahead_either(delay: int) -> None:
    true, t = loans(), 4
    false = [c if i < t else Chunk(c.name, c.X, 1 - c.y) for i, c in enumerate(true)]
    one, other = (compete(Frozen(TWO), {"on": TWO}, s, delay=delay) for s in (true, false))
    seen = [
        np.array_equal(a, b)
        for a, b in zip(*(f.probabilities["on"] for f in (one, other)), strict=True)
    ]
    assert seen == [i <= t + delay for i in range(len(true))]


def test_copies_compete_and_what_was_given_stays_as_it_was() -> None:
    before = TWO.get_state()
    found = compete(Frozen(TWO), {"on": TWO, "also": TWO}, loans())
    assert TWO.get_state() == before
    np.testing.assert_array_equal(found.by_chunk("on"), found.by_chunk("also"))
    frozen = np.concatenate(found.probabilities[CHAMPION])
    np.testing.assert_array_equal(frozen, TWO.predict_proba(X[300:])[:, 1].astype(float))
    assert (
        found.by_chunk("on") != found.by_chunk(CHAMPION)
    ).any()  # and the champion's copy did not learn


def test_the_tables_are_the_metrics_of_what_was_predicted() -> None:
    found = compete(Frozen(TWO), {"on": TWO}, loans(), delay=1)
    for name in found.names:
        for metric, (function, _) in METRICS.items():
            pairs = list(zip(found.labels, found.probabilities[name], strict=True))
            assert found.by_chunk(name, metric).tolist() == [function(y, p) for y, p in pairs]
        y, p = np.concatenate(found.labels), np.concatenate(found.probabilities[name])
        assert found.cumulative(name)[-1] == metrics.auc(y, p)
    gains = found.by_chunk("on") - found.by_chunk(CHAMPION)
    np.testing.assert_array_equal(found.gains("on"), gains)
    assert found.difference("on").mean == pytest.approx(gains.mean())


def test_less_loss_is_a_gain() -> None:
    found = compete(Frozen(TWO), {"on": TWO}, loans(), metric="log_loss")
    np.testing.assert_array_equal(
        found.gains("on"), found.by_chunk(CHAMPION) - found.by_chunk("on")
    )


def test_a_month_of_one_class_has_no_ranking_and_is_left_out() -> None:
    chunks = months()
    chunks[3] = Chunk("quiet", chunks[3].X, np.zeros(20))
    found = compete(Average(), {"b": Average()}, chunks)
    assert np.isnan(found.by_chunk("b")[3]) and found.difference("b").n_chunks == 7
    assert found.values()["models"]["b"]["by_chunk"]["auc"][3] is None


def test_retention_is_the_change_on_the_hold_out_and_nobody_learns_from_it() -> None:
    stress = Chunk("2008", X[:100], Y[:100])
    with_it = compete(Frozen(TWO), {"on": TWO}, loans(), holdout=stress)
    without = compete(Frozen(TWO), {"on": TWO}, loans())
    np.testing.assert_array_equal(with_it.by_chunk("on"), without.by_chunk("on"))
    assert with_it.retention(CHAMPION) == 0
    learned = copy.deepcopy(TWO)
    for chunk in loans():
        learned.partial_fit(chunk.X, chunk.y)
    after, before = (metrics.auc(Y[:100], m.predict_proba(X[:100])[:, 1]) for m in (learned, TWO))
    assert with_it.retention("on") == pytest.approx(after - before)
    assert len(with_it.retained["on"]) == 1 + len(loans())
    with pytest.raises(DataError, match="no hold-out"):
        without.retention("on")


def test_costs_are_on_the_clock_that_was_given() -> None:
    ticks = iter(range(10_000))
    found = compete(Frozen(TWO), {"on": TWO}, loans()[:3], clock=lambda: float(next(ticks)))
    assert found.seconds == {
        CHAMPION: {"predict": 3.0, "learn": 0.0}, "on": {"predict": 3.0, "learn": 3.0}
    }  # fmt: skip


@pytest.mark.parametrize(
    "frame", [np.asarray, pd.DataFrame, lambda x: pl.DataFrame(np.asarray(x), schema=["0", "1"])]
)
def test_a_refitted_model_is_one_fitted_on_the_window(frame: Any) -> None:
    chunks = [Chunk(c.name, frame(c.X), c.y) for c in months()]
    first = LogisticRegression().fit(np.asarray(chunks[0].X), chunks[0].y)
    model = Refitted(first, window=2, past=chunks[:1])
    for chunk in chunks[1:5]:
        model.partial_fit(chunk.X, chunk.y)
    rows = np.concatenate([np.asarray(c.X) for c in chunks[3:5]])
    expected = LogisticRegression().fit(rows, np.concatenate([c.y for c in chunks[3:5]]))
    np.testing.assert_allclose(model.model.coef_, expected.coef_)


def test_a_window_of_one_class_keeps_the_model_that_there_was() -> None:
    model = Refitted(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), window=1)
    before = model.model
    model.partial_fit(np.zeros((3, 1)), np.zeros(3))
    assert model.model is before


# --- the rule


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(0, 1000), st.data())
def test_a_block_bootstrap_draws_runs_of_neighbours(n: int, seed: int, data: Any) -> None:
    length = data.draw(st.integers(1, n))
    means = block_bootstrap(np.arange(n, dtype=float), length, 20, seed)
    assert means.shape == (20,) and (means >= 0).all() and (means <= n - 1).all()
    if length == n:  # a turn of the whole circle
        np.testing.assert_allclose(means, (n - 1) / 2)


def test_the_spread_of_the_bootstrap_is_that_of_a_mean() -> None:
    x = np.random.default_rng(0).normal(size=400)
    assert block_bootstrap(x, 1, 4000).std() == pytest.approx(x.std() / 20, rel=0.1)
    walk = np.repeat(x[:40], 10)  # ten equal neighbours: forty independent values, not four hundred
    assert block_bootstrap(walk, 20, 4000).std() > 2 * block_bootstrap(walk, 1, 4000).std()


def test_a_clear_gain_is_promoted_at_the_first_moment_that_the_rule_allows() -> None:
    rule = Promotion(by=0.01, n_chunks=3, least_chunks=6)
    found = advise(np.full(12, 0.02), rule)
    assert found.promotes and found.at == 7  # chunks 6, 7, 8 counted from 1
    assert np.isnan(found.lower[4]) and found.lower[5] == pytest.approx(0.02)


@pytest.mark.parametrize(
    "gains", [np.zeros(20), np.full(20, 0.0099), np.full(5, 0.9), np.full(20, np.nan)]
)
def test_no_gain_or_too_few_chunks_are_not_promoted(gains: Any) -> None:
    assert not advise(gains, Promotion(by=0.01)).promotes


def test_evidence_that_fades_is_no_advice_to_promote() -> None:
    gains = np.r_[np.full(10, 0.02), np.full(10, -0.04)]
    found = advise(gains, Promotion())
    assert not found.promotes and found.at == 7


def test_an_equal_model_is_seldom_promoted_by_chance() -> None:
    found = [
        advise(np.random.default_rng(i).normal(0, 0.01, 24), Promotion(), n_resamples=200)
        for i in range(60)
    ]
    assert np.mean([each.promotes for each in found]) < 0.15
    assert (
        np.mean([each.at is not None for each in found]) < 0.35
    )  # looked at 19 times, at 95 % each


def test_what_happens_later_does_not_change_the_advice_of_before() -> None:
    gains = np.random.default_rng(0).normal(0.01, 0.02, 20)
    long, short = advise(gains, Promotion()), advise(gains[:12], Promotion())
    np.testing.assert_array_equal(long.lower[:12], short.lower)


def test_the_rule_reads_as_a_sentence() -> None:
    assert (
        Promotion(0.005)
        .words()
        .startswith("better by more than 0.005 on average, with 95% confidence")
    )


def test_stability_punishes_a_falling_line_and_scatter() -> None:
    t = np.arange(10)
    assert gini_stability(0.5 + 0.001 * t) == pytest.approx(
        0.5045
    )  # a rise is not rewarded beyond its mean
    assert gini_stability(0.5 - 0.001 * t) == pytest.approx(0.4955 - 0.088)
    scatter = 0.5 + 0.1 * (-1.0) ** t
    slope, level = np.polyfit(t, scatter, 1)
    spread = (scatter - slope * t - level).std()
    assert gini_stability(scatter) == pytest.approx(0.5 + 88 * min(0, slope) - 0.5 * spread)
    with pytest.raises(DataError, match="two chunks"):
        gini_stability([0.5, np.nan])


def test_the_verdict_reads_as_a_table_and_as_json() -> None:
    found = compete(Frozen(TWO), {"on": TWO}, loans(), holdout=Chunk("stress", X[:100], Y[:100]))
    head, champion, challenger = str(found).splitlines()
    assert "retained" in head and champion.startswith("champion") and challenger.startswith("on")
    values = found.values()
    assert values["n_rows"] == [60] * 10 and set(values["models"]) == {CHAMPION, "on"}
    assert values["models"]["on"]["gain"]["n_chunks"] == 10 and found.stability("on") < 1


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: compete(Average(), {"b": Average()}, []), "stream is empty"),
        (lambda: compete(Average(), {}, months()), "names of their own"),
        (lambda: compete(Average(), {CHAMPION: Average()}, months()), "names of their own"),
        (lambda: compete(Average(), {"b": Average()}, months(), delay=-1), "delay of 0 or more"),
        (lambda: compete(Average(), {"b": Average()}, months(), metric="profit"), "metric must be one of"),
        (lambda: Chunk("x", np.zeros((2, 1)), np.array([0, 2])), "0 or 1"),
        (lambda: Chunk("x", np.zeros((2, 1)), np.array([0])), "each of 2 rows"),
        (lambda: Promotion(confidence=1.0), "confidence from 0.5"),
        (lambda: Promotion(n_chunks=0), "n_chunks must be at least 1"),
        (lambda: block_bootstrap([1.0], 2), "1 to 1 values"),
        (lambda: difference([np.nan]), "values expected"),
    ],
)  # fmt: skip
def test_mistakes_are_named(call: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        call()
