"""BinaryScorecard: points, trends, policies, and the manners of a scikit-learn estimator."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from bimetal import OptBinningEncoder, QuantileEncoder, TreeEncoder, load, reference, save
from bimetal.errors import DataError
from bimetal.explain.form import form_of, points_of
from bimetal.explain.grid import bins_of
from bimetal.finance.credit.bin_table import information_values
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.policy import Policy
from bimetal.finance.credit.scorecard import BinaryScorecard
from bimetal.metrics import auc
from bimetal.program import Rules

QUICK: dict[str, Any] = {"max_rules": 300, "max_forests": 2, "n_folds": 2, "random_state": 0}


def applications(n: int = 900, seed: int = 0) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Applicants with an interaction, a category, missing values and a special code."""
    rng = np.random.default_rng(seed)
    income = rng.lognormal(10.3, 0.5, n).round(-2)
    arrears = rng.poisson(0.6, n).astype(float)
    housing = rng.choice(["own", "rent", "parents"], n)
    bureau = rng.normal(600, 60, n).round()
    amount = rng.lognormal(9, 0.6, n).round(-1)
    z = -1.4 - 0.9 * np.log(income / 30_000) + 0.7 * arrears - (bureau - 600) / 90
    z += 1.6 * ((housing == "rent") & (amount > 9_000)) + rng.logistic(0, 0.4, n)
    bad = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64)
    bureau[rng.random(n) < 0.1] = -9
    income[rng.random(n) < 0.08] = np.nan
    table = {
        "income": income, "arrears": arrears, "housing": housing, "bureau": bureau, "amount": amount,
    }  # fmt: skip
    return pd.DataFrame(table), bad


@pytest.fixture(scope="module")
def fitted() -> BinaryScorecard:
    X, y = applications()
    encoder = TreeEncoder(special_codes={"bureau": [-9]})
    return BinaryScorecard(encoder=encoder, **QUICK).fit(X, y)


def test_probabilities_are_the_scaling_of_the_points_and_the_oracle_agrees(
    fitted: BinaryScorecard,
) -> None:
    X, _ = applications(300, seed=1)
    said = fitted.assess(X)
    rows = fitted.engine_.rows(X)
    assert np.array_equal(said.points, points_of(fitted.program_, rows))
    assert np.array_equal(fitted.predict_proba(X), reference.run(fitted.program_, rows))
    expected = fitted.model_.policy.scaling.probability(said.points)
    np.testing.assert_allclose(said.probability, expected, rtol=1e-6)
    assert np.array_equal(said.score, said.points / 100)


def test_a_better_score_is_a_lower_probability(fitted: BinaryScorecard) -> None:
    X, _ = applications(300, seed=2)
    said = fitted.assess(X)
    order = np.argsort(said.points, kind="stable")
    assert (np.diff(said.probability[order]) <= 0).all()


def test_the_mean_probability_of_the_training_rows_is_their_bad_rate(
    fitted: BinaryScorecard,
) -> None:
    X, y = applications()
    assert fitted.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), abs=1e-4)


def test_a_long_run_bad_rate_moves_every_score_alike() -> None:
    X, y = applications(400)
    plain = BinaryScorecard(**QUICK, trends=None).fit(X, y)
    moved = BinaryScorecard(**QUICK, trends=None, bad_rate=0.05).fit(X, y)
    assert moved.predict_proba(X)[:, 1].mean() == pytest.approx(0.05, abs=1e-4)
    assert len(np.unique(moved.assess(X).points - plain.assess(X).points)) == 1


def test_every_trend_promised_is_proved(fitted: BinaryScorecard) -> None:
    assert fitted.trends_
    certificate = fitted.certify()
    assert certificate.is_proved
    assert dict(certificate.trends) == fitted.trends_


def test_trends_given_hold_on_every_pair_of_neighbouring_bins() -> None:
    X, y = applications(500)
    trends = {"income": 1, "arrears": -1, "amount": -1, "bureau": 1}
    card = BinaryScorecard(**QUICK, trends=trends).fit(X, y)
    rows = card.engine_.rows(X)
    for column in bins_of(card.program_):
        if column.name not in trends:
            continue
        values = [b.value for b in column.bins[: column.n_ordered]]
        moved = np.repeat(rows, len(values), axis=0)
        moved[:, column.index] = np.tile(np.array(values, np.float32), len(rows))
        points = points_of(card.program_, moved).reshape(len(rows), -1)
        assert (np.diff(points, axis=1) * trends[column.name] >= 0).all()
    assert card.certify().is_proved


def test_the_card_alone_is_additive_and_the_whole_has_interactions(
    fitted: BinaryScorecard,
) -> None:
    assert not any(isinstance(op, Rules) for op in fitted.card_.program.ops)
    assert form_of(fitted.program_).n_rules == fitted.report_.n_rules > 0
    X, y = applications(2_000, seed=3)
    assert auc(y, -fitted.score_points(X)) > 0.7
    assert auc(y, fitted.card_.assess(fitted.engine_.rows(X)).probability.astype(float)) > 0.7


def test_no_interactions_make_a_pure_card() -> None:
    X, y = applications(400)
    card = BinaryScorecard(max_rules=0, n_folds=2, random_state=0).fit(X, y)
    assert form_of(card.program_).n_rules == 0
    assert np.array_equal(card.predict_proba(X), card.card_.engine.predict_proba(X))


def test_whole_points_are_whole(fitted: BinaryScorecard) -> None:
    X, y = applications(400)
    card = BinaryScorecard(max_rules=0, n_folds=2, unit=1, random_state=0).fit(X, y)
    assert np.array_equal(card.score_points(X), np.rint(card.score_points(X)))


def test_points_to_double_the_odds_double_the_odds() -> None:
    X, y = applications(400)
    card = BinaryScorecard(**QUICK, trends=None, pdo=40, base_score=500, base_odds=20).fit(X, y)
    said = card.assess(X)
    odds = (1 - said.probability.astype(float)) / said.probability
    expected = 20 * 2 ** ((said.score - 500) / 40)
    np.testing.assert_allclose(odds, expected, rtol=1e-4)


def test_the_same_seed_gives_the_same_program() -> None:
    X, y = applications(300)
    first, second = (BinaryScorecard(**QUICK).fit(X, y) for _ in range(2))
    assert first.program_.id == second.program_.id
    assert first.model_.policy_id == second.model_.policy_id


def test_a_saved_file_is_the_same_credit_model(fitted: BinaryScorecard, tmp_path: Any) -> None:
    save(fitted.program_, tmp_path / "card.bimetal")
    again = CreditModel.load(tmp_path / "card.bimetal")
    assert (again.id, again.policy_id) == (fitted.model_.id, fitted.model_.policy_id)
    assert again.file_hash == fitted.model_.file_hash
    assert load(tmp_path / "card.bimetal").provenance["credit"]["cutoff"] == again.policy.cutoff


def test_no_row_of_training_is_a_reference(fitted: BinaryScorecard) -> None:
    X, _ = applications()
    rows = fitted.engine_.rows(X)
    references = np.array(fitted.model_.policy.references, np.float32)
    assert 0 < len(references) <= 32
    same = (rows[:, None] == references[None]) | (np.isnan(rows[:, None]) & np.isnan(references))
    assert not same.all(axis=2).any()


def test_references_are_approved_and_near_the_cut_off(fitted: BinaryScorecard) -> None:
    model = fitted.model_
    rows = np.array(model.policy.references, np.float32)
    points = model.points(rows)
    assert (points >= model.policy.approval_points).all()
    assert points.max() - model.policy.approval_points < 20 * 100


def test_reasons_are_for_those_who_are_not_approved(fitted: BinaryScorecard) -> None:
    X, _ = applications(200, seed=4)
    rows = fitted.engine_.rows(X)
    decisions, reasons = fitted.decide(X), fitted.model_.reasons(rows)
    for decision, given in zip(decisions, reasons, strict=True):
        assert bool(given) == (decision != "approve")
        assert len(given) <= 4
        assert all(reason.points < 0 for reason in given)


def test_the_cut_off_lies_where_costs_balance() -> None:
    X, y = applications(400)
    card = BinaryScorecard(**QUICK, trends=None, cost_ratio=3).fit(X, y)
    said = card.assess(X)
    approved = said.decision == "approve"
    assert said.probability[approved].max() <= 0.25 + 1e-6
    assert said.probability[~approved].min() > 0.25 - 1e-3


def test_coverage_sends_the_doubtful_to_a_human() -> None:
    X, y = applications(900)
    card = BinaryScorecard(**QUICK, trends=None, coverage=0.9).fit(X, y)
    policy = card.model_.policy
    assert policy.refer is not None and policy.coverage == 0.9
    assert policy.refer[0] <= policy.cutoff <= policy.refer[1]
    assert {"approve", "refer"} <= set(card.decide(X))


def test_a_policy_given_is_kept_and_completed() -> None:
    X, y = applications(300)
    given = {"texts": {"income": "Income too low"}, "immutable": ["housing"], "cutoff": 52_000}
    card = BinaryScorecard(**QUICK, policy=given).fit(X, y)
    policy = card.model_.policy
    assert policy.texts == {"income": "Income too low"}
    assert policy.cutoff == 52_000
    assert policy.references
    assert Policy.from_spec(policy.spec()) == policy


def test_the_bad_label_may_be_named() -> None:
    X, y = applications(300)
    words = np.where(y == 1, "default", "paid")
    named = BinaryScorecard(**QUICK, trends=None, bad="default").fit(X, words)
    assert list(named.classes_) == ["paid", "default"]
    assert named.program_.classes == ("paid", "default")
    plain = BinaryScorecard(**QUICK, trends=None).fit(X, y)
    assert np.array_equal(named.assess(X).points, plain.assess(X).points)


@pytest.mark.parametrize("encoder", [QuantileEncoder(), OptBinningEncoder(max_bits_per_column=6)])
def test_other_classings_serve(encoder: Any) -> None:
    X, y = applications(400)
    X["housing"] = X["housing"].astype(str)
    card = BinaryScorecard(encoder=encoder, **QUICK, trends=None).fit(X, y)
    assert auc(y, card.predict_proba(X)[:, 1]) > 0.65


def test_the_table_counts_every_row_once_a_column(fitted: BinaryScorecard) -> None:
    X, y = applications()
    for name in X.columns:
        rows = [row for row in fitted.table_ if row.column == name]
        assert sum(row.n for row in rows) == len(X)
        assert sum(row.bad for row in rows) == y.sum()
        assert sum(row.n * row.points for row in rows) == pytest.approx(0, abs=1e-6 * len(X))
    values = information_values(fitted.table_)
    assert set(values) == set(X.columns)
    assert list(values.values()) == sorted(values.values(), reverse=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trends": "rising"}, "'auto'"),
        ({"trends": {"age": 1}}, "columns are"),
        ({"trends": {"income": 2}}, "1 or -1"),
        ({"trends": {"housing": 1}}, "no ordered bins"),
        ({"bad_rate": 1.0}, r"\(0, 1\)"),
        ({"cost_ratio": 0}, "cost_ratio"),
        ({"pdo": 0}, "pdo"),
        ({"base_score": float("nan")}, "base_score"),
        ({"unit": 1.5}, "unit"),
        ({"n_folds": 1}, "n_folds"),
        ({"max_rules": -1}, "max_rules"),
        ({"bad": "late"}, "one of the labels"),
        ({"policy": {"cut": 3}}, "keys of a policy"),
        ({"policy": {"immutable": ["wealth"]}}, "wealth"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    X, y = applications(120)
    card = BinaryScorecard(**(QUICK | {"max_rules": 20, "trends": None} | options))
    with pytest.raises(DataError, match=message):
        card.fit(X, y)


def test_two_labels_are_needed_and_two_rows_of_each() -> None:
    X, _ = applications(60)
    with pytest.raises(DataError, match="one class"):
        BinaryScorecard(**QUICK).fit(X, np.zeros(60, int))
    with pytest.raises(DataError, match="exactly two labels"):
        BinaryScorecard(**QUICK).fit(X, np.arange(60) % 3)
    one = np.zeros(60, int)
    one[0] = 1
    with pytest.raises(DataError, match="two good and two bad"):
        BinaryScorecard(**QUICK).fit(X, one)


def test_a_clone_has_the_parameters(fitted: BinaryScorecard) -> None:
    assert clone(fitted).get_params()["max_rules"] == fitted.max_rules


@pytest.mark.parametrize("max_rules", [1, 3, 10, 40])
def test_a_few_rules_are_never_exceeded(max_rules: int) -> None:
    X, y = applications(900)
    card = BinaryScorecard(**QUICK | {"max_rules": max_rules}, trends=None).fit(X, y)
    assert card.report_.n_rules <= max_rules
