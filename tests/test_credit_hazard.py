"""Hazards recover a known truth; survival only falls; what sums to one sums to one."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from credit_panels import N_MONTHS, NAMES, simulated_panel, true_hazard, true_prepayment
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from bimetal.columns import Lists
from bimetal.errors import ColumnError, DataError, FormatError, MissingExtraError, NotFiniteError
from bimetal.finance.credit.challengers import make
from bimetal.finance.credit.hazard import HazardModel
from bimetal.finance.credit.panel import Panel, read_panel
from bimetal.finance.credit.scenarios import Scenario, read_scenarios
from bimetal.finance.credit.term_structure import mixture, term_structure

SEEDS = st.integers(0, 2**32 - 1)
AGES = np.arange(1, N_MONTHS)
XS = np.array([[-1.0], [0.0], [1.0]], np.float32)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return read_panel(simulated_panel(0), columns=["x"], **NAMES)


@pytest.fixture(scope="module")
def model(panel: Panel) -> HazardModel:
    return HazardModel().fit(panel)


def draws(seed: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    shape = (rng.integers(1, 5), rng.integers(1, 40))
    return rng.random(shape) ** 4, rng.random(shape) ** 4, rng.integers(0, 45, shape[0])


@given(seed=SEEDS)
def test_survival_falls_and_all_ends_are_accounted_for(seed: int) -> None:
    hazard, prepay, left = draws(seed)
    curve = term_structure(hazard, prepay=prepay, months_left=left)
    assert (np.diff(curve.survival, axis=1) <= 0).all()
    assert (curve.survival[:, 0] == 1).all()
    assert (curve.marginal >= 0).all()
    alive = np.arange(hazard.shape[1]) < left[:, None]
    repaid = curve.survival[:, :-1] * (1 - hazard * alive) * prepay * alive
    np.testing.assert_allclose(curve.lifetime + repaid.sum(axis=1), 1 - curve.survival[:, -1])
    assert (curve.marginal[~alive] == 0).all()
    np.testing.assert_allclose(curve.within(12), curve.cumulative[:, :12][:, -1])


@given(seed=SEEDS)
def test_without_prepayment_default_is_all_that_is_lost(seed: int) -> None:
    hazard, prepay, _ = draws(seed)
    alone = term_structure(hazard)
    np.testing.assert_allclose(alone.lifetime, 1 - alone.survival[:, -1], atol=1e-12)
    np.testing.assert_allclose(alone.survival[:, 1:], np.cumprod(1 - hazard, axis=1))
    assert (term_structure(hazard, prepay=prepay).lifetime <= alone.lifetime + 1e-12).all()


def test_a_constant_hazard_has_the_closed_form() -> None:
    curve = term_structure(np.full((1, 60), 0.01))
    months = np.arange(1, 61)
    np.testing.assert_allclose(curve.marginal[0], 0.99 ** (months - 1) * 0.01)
    np.testing.assert_allclose(curve.cumulative[0], 1 - 0.99**months)


@given(seed=SEEDS)
def test_a_mixture_is_the_mean_of_its_parts(seed: int) -> None:
    hazard, prepay, _ = draws(seed)
    one, two = term_structure(hazard), term_structure(prepay)
    mixed = mixture([one, two], [0.3, 0.7])
    np.testing.assert_allclose(mixed.lifetime, 0.3 * one.lifetime + 0.7 * two.lifetime)
    np.testing.assert_allclose(mixed.lifetime, 1 - mixed.survival[:, -1], atol=1e-12)


def test_true_hazards_are_recovered_within_the_error_of_the_sample() -> None:
    """Over many panels the mean is near the truth, and one panel is off by its standard error or so."""
    fits = []
    for seed in range(8):
        found = read_panel(simulated_panel(seed, n=2_500), columns=["x"], **NAMES)
        fits.append(HazardModel().fit(found).hazards(XS, [0] * 3, N_MONTHS - 1))
    bad = np.array([fit[0] for fit in fits])
    repaid = np.array([fit[1] for fit in fits])
    truth = true_hazard(AGES, XS)
    error = bad.std(axis=0, ddof=1) / np.sqrt(len(bad))
    assert np.mean(np.abs(bad.mean(axis=0) - truth) < 3 * error + 0.1 * truth) > 0.95
    assert np.median(bad.std(axis=0, ddof=1) / truth) < 0.25
    middle = repaid.mean(axis=0)[1]
    np.testing.assert_allclose(middle, true_prepayment(AGES), rtol=0.2)


def test_the_effect_of_the_covariate_is_within_four_standard_errors(
    panel: Panel, model: HazardModel
) -> None:
    bad, _ = model.hazards(XS, [0] * 3, N_MONTHS - 1)
    odds = np.log(bad / (1 - bad))
    effect = float(np.mean(odds[2] - odds[1]))
    p = true_hazard(panel.age, panel.rows[:, 0])
    information = np.sum(
        p * (1 - p) * (panel.rows[:, 0] - np.average(panel.rows[:, 0], weights=p)) ** 2
    )
    assert effect == pytest.approx(0.7, abs=4 / np.sqrt(information) + 0.01)


def test_as_many_defaults_are_expected_as_were_seen(panel: Panel, model: HazardModel) -> None:
    """The score equation of the intercept, which nothing shrinks."""
    x = np.column_stack([panel.age, panel.rows])
    expected = model.default_.predict_proba(x)[:, 1].sum()
    assert expected == pytest.approx(panel.default.sum(), rel=1e-4)


def test_lifetime_default_is_what_a_fresh_portfolio_shows(model: HazardModel) -> None:
    rng = np.random.default_rng(99)
    n, alive, defaults = 40_000, np.ones(40_000, bool), 0
    for age in AGES:
        bad = alive & (rng.random(n) < true_hazard(age, 0.0))
        repaid = alive & ~bad & (rng.random(n) < true_prepayment(age))
        defaults += bad.sum()
        alive &= ~(bad | repaid)
    curve = model.term_structure(XS[1:2], [0], N_MONTHS - 1)
    assert curve.lifetime[0] == pytest.approx(defaults / n, rel=0.12)
    assert curve.survival[0, -1] == pytest.approx(alive.mean(), rel=0.06)


def test_beyond_the_oldest_age_the_hazard_stays(model: HazardModel) -> None:
    bad, _ = model.hazards(XS[:1], [model.oldest_], 24)
    np.testing.assert_allclose(bad[0], bad[0, 0])


def test_chunks_change_nothing(model: HazardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(37, 1)).astype(np.float32)
    whole, _ = model.hazards(rows, np.arange(37) % 20, 10)
    monkeypatch.setattr("bimetal.finance.credit.hazard.CHUNK", 25)
    np.testing.assert_array_equal(model.hazards(rows, np.arange(37) % 20, 10)[0], whole)


def test_scenarios_move_log_odds_and_covariates(model: HazardModel) -> None:
    base, _ = model.hazards(XS, [0] * 3, 6)
    worse, _ = model.hazards(XS, [0] * 3, 6, shift=(0.1, 0.5))
    moved = np.log(worse / (1 - worse)) - np.log(base / (1 - base))
    np.testing.assert_allclose(moved, np.tile([0.1, 0.5, 0.5, 0.5, 0.5, 0.5], (3, 1)))
    given_x, _ = model.hazards(XS, [0] * 3, 6, covariates={"x": (1.0,)})
    np.testing.assert_allclose(given_x, np.tile(base[2], (3, 1)), rtol=1e-6)


def test_the_weighted_curve_is_the_mean_over_scenarios_not_of_the_mean_scenario(
    model: HazardModel,
) -> None:
    mild, severe = Scenario("mild", 0.5, shift=(-1.0,)), Scenario("severe", 0.5, shift=(1.0,))
    curve = model.term_structure(XS, [0] * 3, 12, scenarios=[mild, severe])
    parts = [model.in_scenario(XS, [0] * 3, 12, case).lifetime for case in (mild, severe)]
    np.testing.assert_allclose(curve.lifetime, np.mean(parts, axis=0))
    assert (curve.lifetime > model.term_structure(XS, [0] * 3, 12).lifetime).all()


def test_any_classifier_will_do() -> None:
    found = read_panel(simulated_panel(1, n=800), columns=["x"], **NAMES)
    truth = true_hazard(AGES, 0.0).mean()
    for estimator in (
        LogisticRegression(),
        make("lightgbm_default"),
        make("woe_logistic", strengths=(1.0,)),
    ):
        bad, repaid = HazardModel(estimator=estimator).fit(found).hazards(XS[1:2], [0], 35)
        assert repaid is not None
        assert bad.mean() == pytest.approx(truth, rel=0.9)


FRAMES: dict[str, Any] = {
    "polars": polars.DataFrame,
    "pandas": pd.DataFrame,
    "arrow": pyarrow.table,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_panel_of_any_library_is_the_same_panel(kind: str) -> None:
    plain = {
        "loan": ["b", "a", "b", "a"], "age": [0, 0, 1, 1], "default": [0, 0, 0, 1],
        "rate": [4.5, None, 5.0, 4.0], "kind": ["car", "home", "car", None],
    }  # fmt: skip
    options: Any = {"id": "loan", "age": "age", "default": "default", "columns": ["kind", "rate"]}
    one, other = read_panel(Lists(plain), **options), read_panel(FRAMES[kind](plain), **options)
    assert one.ids == other.ids == ["b", "a"]
    assert one.columns == other.columns
    np.testing.assert_array_equal(one.rows, other.rows)
    assert other.last().tolist() == [2, 3]
    assert other.first().tolist() == [0, 1]
    assert other.default.tolist() == [False, False, False, True]


def test_covariates_may_be_missing_or_categories_and_none_is_needed() -> None:
    rng = np.random.default_rng(0)
    n = 2_000
    table = {
        "loan": np.arange(n).tolist(), "age": rng.integers(0, 24, n).tolist(),
        "bad": (rng.random(n) < 0.05).astype(int).tolist(),
        "rate": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)).tolist(),
        "kind": rng.choice(["car", "home"], n).tolist(), "blank": [None] * n,
    }  # fmt: skip
    columns = ["rate", "kind", "blank"]
    options: Any = {"id": "loan", "age": "age", "default": "bad"}
    found = read_panel(Lists(table), columns=columns, **options)
    model = HazardModel(n_knots=3).fit(found)
    new = Lists({"rate": [None, 1.0], "kind": ["boat", None], "blank": [1.0, None]})
    bad, repaid = model.hazards(new, [3, 40], 4)
    assert repaid is None
    assert ((bad > 0) & (bad < 0.5)).all()
    bare = HazardModel().fit(read_panel(Lists(table), **options))
    assert bare.hazards(np.zeros((2, 0)), [1, 2], 3)[0].shape == (2, 3)
    one_age = Lists(table | {"age": [5] * n})
    level = HazardModel().fit(read_panel(one_age, columns=["rate"], **options))
    assert np.ptp(level.hazards(np.zeros((1, 1), "f4"), [0], 5)[0]) < 1e-9


GOOD: dict[str, Any] = {"loan": [1, 1, 2], "age": [0, 1, 0], "bad": [0, 1, 0], "x": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"age": [0, 0, 0]}, DataError, r"have a month twice: \[1\]"),
        ({"bad": [1, 0, 0]}, DataError, r"after their default or repayment: \[1\]"),
        ({"bad": [0, 0, 0]}, DataError, "nobody defaults"),
        ({"bad": [0, 2, 0]}, DataError, "0 or 1 in each row"),
        ({"bad": [0, None, 0]}, DataError, "0 or 1 in each row"),
        ({"age": [0, 1.5, 0]}, DataError, "whole months from 0 to 1200 expected, got 1.5 in row 1"),
        ({"age": [0, -1, 0]}, DataError, "got -1.0 in row 1"),
        ({"loan": [1, 1, None]}, DataError, "account 'loan' is missing"),
        ({"age": ["0", "1", "0"]}, ColumnError, "must hold numbers"),
        ({"x": [1.0, np.inf, 0.0]}, NotFiniteError, "infinity"),
    ],
)
def test_a_panel_that_contradicts_itself_is_refused(
    change: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_panel(Lists(GOOD | change), id="loan", age="age", default="bad", columns=["x"])


def test_tables_that_are_no_panel_are_refused() -> None:
    options: Any = {"id": "loan", "age": "age", "default": "bad"}
    with pytest.raises(ColumnError, match="no column 'loan'"):
        read_panel(pd.DataFrame({"age": [1]}), **options)
    with pytest.raises(ColumnError, match="named columns"):
        read_panel(np.zeros((3, 3)), **options)
    with pytest.raises(DataError, match="got none"):
        read_panel(pd.DataFrame({"loan": [], "age": [], "bad": []}), **options)
    for table in (Lists(GOOD), pd.DataFrame(GOOD)):
        with pytest.raises(ColumnError, match=r"there (is|are) no columns?.*nowhere"):
            read_panel(table, columns=["nowhere"], **options)


def test_questions_that_do_not_fit_are_refused(model: HazardModel) -> None:
    with pytest.raises(DataError, match="an age for each of 3 rows"):
        model.hazards(XS, [0], 12)
    with pytest.raises(DataError, match="at least one month"):
        model.hazards(XS, [0] * 3, 0)
    with pytest.raises(DataError, match="speaks of 'gdp'"):
        model.hazards(XS, [0] * 3, 12, covariates={"gdp": (1.0,)})
    with pytest.raises(DataError, match="a path of finite numbers"):
        model.hazards(XS, [0] * 3, 12, shift=())
    with pytest.raises(DataError, match="months without an event"):
        HazardModel().fit(
            read_panel(
                Lists({"loan": [1, 2], "age": [1, 2], "bad": [1, 1]}),
                id="loan",
                age="age",
                default="bad",
            )
        )
    with pytest.raises(DataError, match="shape"):
        term_structure([0.1])
    with pytest.raises(DataError, match="probabilities"):
        term_structure([[1.1]])
    with pytest.raises(DataError, match="prepay of shape"):
        term_structure([[0.1]], prepay=[[0.1, 0.1]])
    with pytest.raises(DataError, match="months_left"):
        term_structure([[0.1]], months_left=[-1])
    curve = term_structure([[0.1]])
    with pytest.raises(DataError, match="sum to 1"):
        mixture([curve, curve], [0.5, 0.6])
    with pytest.raises(DataError, match="same accounts and months"):
        mixture([curve, term_structure([[0.1, 0.1]])], [0.5, 0.5])


def test_scikit_learn_is_named_where_it_is_missing(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(MissingExtraError, match="scikit-learn"):
        HazardModel().fit(panel)


def test_scenarios_are_read_as_a_person_writes_them() -> None:
    text = b"""{"scenarios": [
        {"name": "base", "probability": 0.6},
        {"name": "downturn", "probability": 0.4, "shift": [0.2, 0.4], "covariates": {"u": [6, 7.5]}}]}"""
    base, downturn = read_scenarios(text)
    assert base == Scenario("base", 0.6)
    assert downturn == Scenario("downturn", 0.4, (0.2, 0.4), {"u": (6, 7.5)})


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b"[]", FormatError, "brace"),
        (b"{}", DataError, "a list 'scenarios'"),
        (b'{"scenarios": []}', DataError, "a list 'scenarios'"),
        (b'{"scenarios": [{"name": "a"}]}', DataError, "name and probability"),
        (b'{"scenarios": [{"name": "a", "probability": 1, "odds": 2}]}', DataError, "may have shift"),
        (b'{"scenarios": [{"name": "", "probability": 1}]}', DataError, "has a name"),
        (b'{"scenarios": [{"name": "a", "probability": 0}]}', DataError, "above 0"),
        (b'{"scenarios": [{"name": "a", "probability": true}]}', DataError, "above 0"),
        (b'{"scenarios": [{"name": "a", "probability": 0.5}]}', DataError, "sum to 1, got 0.5"),
        (b'{"scenarios": [{"name": "a", "probability": 1, "shift": []}]}', DataError, "numbers by month"),
        (b'{"scenarios": [{"name": "a", "probability": 1, "shift": "up"}]}', DataError, "numbers by month"),
        (b'{"scenarios": [{"name": "a", "probability": 1, "covariates": [1]}]}', DataError, "by name"),
        (
            b'{"scenarios": [{"name": "a", "probability": 0.5}, {"name": "a", "probability": 0.5}]}',
            DataError,
            "names of their own",
        ),
    ],
)  # fmt: skip
def test_scenarios_that_do_not_fit_are_refused(
    text: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_scenarios(text)
