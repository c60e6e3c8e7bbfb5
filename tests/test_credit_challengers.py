"""The challengers: any frame, the same answer; missing values and strangers as documented."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from sklearn.base import clone

from bimetal.columns import Column
from bimetal.datasets import simulate_credit
from bimetal.errors import DataError, MissingExtraError
from bimetal.finance.credit.challengers import CHALLENGERS, LABELS, WoeLogistic, make
from bimetal.finance.credit.rivals import inner_splits
from bimetal.finance.credit.woe import WoeColumn, learn_woe
from bimetal.metrics import auc

QUICK: dict[str, dict[str, Any]] = {
    "woe_logistic": {"strengths": (0.1, 1.0), "n_folds": 2, "trends": ("auto_asc_desc",)},
    "lightgbm": {"n_draws": 1},
    "lightgbm_default": {},
    "ebm": {"settings": {"outer_bags": 1, "max_rounds": 60, "interactions": 0}},
}
PORTFOLIO = simulate_credit(1_500, random_state=3)
TABLE = PORTFOLIO.X[
    ["age", "employment", "monthly_income", "bureau_score", "utilisation", "purpose", "owns_home"]
]
Y = PORTFOLIO.y
CODES = {"bureau_score": (-9.0,)}


def fitted(name: str, table: Any = TABLE, **more: Any) -> Any:
    return make(name, special_codes=CODES, **QUICK[name], **more).fit(table, Y)


def woe_column(values: Any, y: Any, **options: Any) -> WoeColumn:
    rows = np.asarray(values, np.float32)[:, None]
    return learn_woe(rows, np.asarray(y, np.int64), [Column("x")], **options)[0]


@pytest.mark.parametrize("name", CHALLENGERS)
def test_every_kind_of_frame_gives_the_same_answer(name: str) -> None:
    model = fitted(name)
    expected = model.predict_proba(TABLE)
    arrow = pyarrow.Table.from_pandas(TABLE, preserve_index=False)
    objects = TABLE.astype(object).where(TABLE.notna(), None).to_numpy()
    for table in (arrow, polars.from_arrow(arrow), objects):
        np.testing.assert_array_equal(model.predict_proba(table), expected)
    np.testing.assert_array_equal(fitted(name, arrow).predict_proba(TABLE), expected)


@pytest.mark.parametrize("name", CHALLENGERS)
def test_the_same_seed_gives_the_same_answer_and_ranks_better_than_a_coin(name: str) -> None:
    model = fitted(name, random_state=5)
    again = clone(model).fit(TABLE, Y)
    p = model.predict_proba(TABLE)
    np.testing.assert_array_equal(again.predict_proba(TABLE), p)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert auc(Y, p[:, 1]) > 0.7
    np.testing.assert_array_equal(model.predict(TABLE), (p[:, 1] > 0.5).astype(int))


@pytest.mark.parametrize("name", CHALLENGERS)
def test_classes_of_any_name_are_kept_and_strangers_are_scored(name: str) -> None:
    words = np.where(Y == 1, "late", "in time")
    model = make(name, **QUICK[name]).fit(TABLE, words)
    assert model.classes_.tolist() == ["in time", "late"]
    strange = TABLE.head(3).assign(purpose="yacht", age=np.nan)
    assert np.isfinite(model.predict_proba(strange)).all()


@pytest.mark.parametrize("name", CHALLENGERS)
def test_rows_of_weight_zero_are_left_out(name: str) -> None:
    used = np.arange(len(Y)) % 3 > 0
    spoiled = np.where(used, Y, 1 - Y)
    weighted = make(name, **QUICK[name]).fit(TABLE, spoiled, used.astype(float))
    without = make(name, **QUICK[name]).fit(TABLE[used], Y[used])
    np.testing.assert_allclose(weighted.predict_proba(TABLE), without.predict_proba(TABLE))


def test_the_scorecard_comes_close_to_the_true_risk() -> None:
    data = simulate_credit(6_000, random_state=1)
    train, test = data.split == "train", data.split == "test"
    codes = {name: tuple(v) for name, v in data.special_codes.items()}
    model = make("woe_logistic", special_codes=codes, strengths=(0.3,)).fit(
        data.X[train], data.y[train]
    )
    p = model.predict_proba(data.X[test])[:, 1]
    assert data.default_probability is not None
    assert auc(data.y[test], p) > auc(data.y[test], data.default_probability[test]) - 0.06


def test_a_lone_column_on_its_woe_has_coefficient_minus_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, 4_000).astype(float)
    y = (rng.random(4_000) < (0.05 + 0.1 * x)).astype(int)
    model = WoeLogistic(strengths=(1e6,), trends=(None,), smoothing=1e-9)
    model.fit(pd.DataFrame({"x": x}), y)
    assert model.coef_[0] == pytest.approx(-1, abs=1e-4)
    assert model.intercept_ == pytest.approx(np.log(y.mean() / (1 - y.mean())), abs=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # optbinning's table upsets pandas 3
def test_woe_is_that_of_optbinning() -> None:
    from optbinning import OptimalBinning

    rng = np.random.default_rng(1)
    x = rng.normal(size=3_000).astype(np.float32)
    y = (rng.random(3_000) < 1 / (1 + np.exp(2 - x))).astype(int)
    column = woe_column(x, y, smoothing=1e-9)
    other = OptimalBinning(max_n_prebins=20, min_prebin_size=0.05).fit(x.astype(float), y)
    np.testing.assert_allclose(
        column.woe[column.bin_of(x)], other.transform(x.astype(float), metric="woe"), atol=1e-6
    )
    other.binning_table.build()
    assert column.iv == pytest.approx(other.binning_table.iv, abs=1e-6)


def test_missing_values_and_special_codes_have_bins_of_their_own() -> None:
    x = np.r_[np.arange(100.0), [-9.0] * 40, [np.nan] * 40]
    y = np.r_[np.arange(100) % 5 == 0, [1] * 30 + [0] * 10, [0] * 39, 1]
    column = woe_column(x, y, special_codes={"x": (-9,)})
    assert column.labels()[-2:] == ["code -9", "missing"]
    code, missing = column.woe[column.bin_of(np.array([-9, np.nan], np.float32))]
    assert code < -1 < 1 < missing
    assert column.bads[-2:].tolist() == [30, 1]


def test_what_training_never_saw_counts_as_average_risk() -> None:
    columns = [Column("x"), Column("c", "category", ("a", "b", "unused"))]
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=400), rng.integers(0, 2, 400)]).astype(np.float32)
    y = (rng.random(400) < 0.2 + 0.4 * rows[:, 1]).astype(np.int64)
    x, c = learn_woe(rows, y, columns)
    assert x.woe[x.bin_of(np.array([np.nan], np.float32))] == pytest.approx(0)
    strangers = np.array([-1, 2, np.nan], np.float32)
    np.testing.assert_allclose(c.woe[c.bin_of(strangers)], 0, atol=1e-12)
    assert c.labels()[-2:] == ["other", "missing"]


def test_rows_of_weight_two_are_rows_twice() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=600)
    y = (rng.random(600) < 1 / (1 + np.exp(-x))).astype(int)
    w = rng.integers(1, 3, 600)
    weighted = woe_column(x, y, weight=w.astype(float))
    twice = woe_column(np.repeat(x, w), np.repeat(y, w))
    assert weighted.goods.sum() == twice.goods.sum()
    bins = weighted.bin_of(np.repeat(x, w).astype(np.float32))
    np.testing.assert_array_equal(
        np.bincount(bins, np.repeat(y, w), weighted.n_bins), weighted.bads
    )


def test_columns_of_the_wrong_sign_can_be_dropped() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=3_000)
    noisy = pd.DataFrame({"x": x, "echo": x + 0.3 * rng.normal(size=3_000)})
    y = (rng.random(3_000) < 1 / (1 + np.exp(2 - 2 * x + 0.8 * noisy["echo"]))).astype(int)
    options: Any = {"strengths": (100.0,), "trends": ("auto_asc_desc",)}
    assert (WoeLogistic(**options).fit(noisy, y).coef_ > 0).any()
    assert (WoeLogistic(drop_wrong_signs=True, **options).fit(noisy, y).coef_ <= 0).all()


def test_a_column_with_one_value_is_no_harm() -> None:
    table = TABLE.assign(constant=1.0, blank=np.nan)
    model = make("woe_logistic", **QUICK["woe_logistic"]).fit(table, Y)
    assert model.coef_[-2:] == pytest.approx(0, abs=1e-9)


def test_every_challenger_reads_well_in_a_table() -> None:
    assert tuple(LABELS) == CHALLENGERS


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(DataError, match="one of woe_logistic"):
        make("forest")
    with pytest.raises(DataError, match="no option 'depth'"):
        make("lightgbm", depth=3)


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        (np.arange(len(Y)) % 3, None, "two classes expected"),
        (np.where(Y == 1, np.nan, 0.0), None, "missing or infinite"),
        (Y[:-1], None, "one class a row"),
        (Y, np.full(len(Y), -1.0), "not negative"),
        (Y, np.ones(3), "weights expected"),
        (Y, (Y == 1).astype(float), "one class only"),
    ],
)
def test_targets_and_weights_that_do_not_fit_are_refused(y: Any, weight: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make("lightgbm_default").fit(TABLE, y, weight)


def test_too_few_rows_to_tune_on_are_refused() -> None:
    lone = np.r_[1, np.zeros(9, int)]
    with pytest.raises(DataError, match="at least 3 rows"):
        inner_splits(lone, 0)
    with pytest.raises(DataError, match="at least 2 rows"):
        WoeLogistic().fit(np.arange(10.0)[:, None], lone)
    with pytest.raises(DataError, match="one class only"):
        learn_woe(np.zeros((2, 1), np.float32), np.zeros(2, np.int64), [Column("x")])
    with pytest.raises(DataError, match="smoothing"):
        learn_woe(np.zeros((2, 1), np.float32), np.arange(2), [Column("x")], smoothing=0)


@pytest.mark.parametrize(
    ("name", "package"),
    [("woe_logistic", "optbinning"), ("lightgbm", "lightgbm"), ("ebm", "interpret.glassbox")],
)
def test_a_package_that_is_not_there_is_named(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package.split(".")[0]):
        make(name, **QUICK[name]).fit(TABLE, Y)
