"""Finance sequences: no look-ahead, seeds, errors that say what to do, and a truth that oracles reach."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bimetal.continual.sequence import Sequence
from bimetal.continual.sequences import SEQUENCES
from bimetal.continual.sequences.finance import RATIOS, TABLE_SEQUENCES
from bimetal.continual.sequences.order_books import N_EVENTS, ORDER_BOOK_SEQUENCES
from bimetal.continual.sequences.simulated import (
    COLUMNS,
    MACRO,
    SIMULATED_SEQUENCES,
    best_auc,
    regimes_aba,
    simulate_period,
)
from bimetal.continual.sequences.tabular import Piece, at_random, in_time, table_sequence
from bimetal.continual.sequences.volatility import VOLATILITY, regime_periods
from bimetal.errors import ColumnError, DataError
from bimetal.metrics import auc

MAKERS = (*SIMULATED_SEQUENCES, *TABLE_SEQUENCES, *ORDER_BOOK_SEQUENCES, VOLATILITY)
NAMES = [maker.name for maker in MAKERS]
IN_TIME = ["elec2", "order_book_hours", "order_books", "volatility_regimes", "loan_vintages"]


# --- made-up files in the layouts of the real ones ------------------------------------------------


def electricity(n: int = 2_000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    market = {
        name: rng.random(n)
        for name in ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
    }
    day = pd.DataFrame({"period": np.arange(n) % 48 / 47} | market)
    return day.assign(**{"class": rng.integers(0, 2, n)})


def book(n_levels: int, n: int = 9_000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng([seed, n_levels])
    mid = 5_800_000 + 100 * np.cumsum(rng.integers(-3, 4, n))
    table = {
        "time_ns": 34_200_000_000_000 + np.linspace(0, 23_300_000_000_000, n).astype(np.int64),
        "type": rng.choice([1, 2, 3, 4, 5, 7], n, p=[0.4, 0.1, 0.3, 0.14, 0.05, 0.01]),
        "size": rng.integers(1, 300, n),
        "direction": rng.choice([-1, 1], n),
    }
    for level in range(1, n_levels + 1):
        table[f"ask_price_{level}"] = mid + 500 * level
        table[f"bid_price_{level}"] = mid - 500 * level
        table[f"ask_size_{level}"] = rng.integers(1, 500, n)
        table[f"bid_size_{level}"] = rng.integers(1, 500, n)
    return pd.DataFrame(table)


def market(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    level = np.repeat([12.0, 30.0, 12.0, 35.0, 12.0], 400)
    dates = pd.bdate_range("1990-01-02", periods=len(level))
    moves = rng.normal(size=len(level)) * level / 16
    factors = pd.DataFrame({"date": dates, "Mkt-RF": moves, "RF": 0.01})
    vix = pd.DataFrame({"DATE": dates, "CLOSE": level + rng.normal(size=len(level))})
    return factors, vix


def loans(n: int = 3_000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    month = np.sort(rng.integers(1, 13, n))
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "issue_d": pd.to_datetime([f"2018-{m:02d}-01" for m in month]),
            "loan_status": (rng.random(n) < 0.3).astype(int),
            "grade": rng.choice(list("ABC"), n),
            "annual_inc": rng.lognormal(11, 0.5, n),
            "dti": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
            "emp_length": rng.choice(["< 1 year", "3 years", "10+ years"], n),
            "term": rng.choice(["36 months", "60 months"], n),
        }
    )


def ratios(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 64)).round(3), columns=list(RATIOS))
    return table.assign(**{"class": (np.arange(n) % 10 == 0).astype(int)})


def store(folder: Path, name: str, table: pd.DataFrame) -> None:
    (folder / name).mkdir(exist_ok=True)
    table.to_parquet(folder / name / f"{name}.parquet")


def store_arff(folder: Path, k: int, table: pd.DataFrame) -> None:
    (folder / "polish_bankruptcy").mkdir(exist_ok=True)
    rows = table.to_csv(header=False, index=False, na_rep="?")
    text = f"@relation r\n@attribute Attr1 numeric\n@data\n{rows}"
    (folder / "polish_bankruptcy" / f"{k}year.arff").write_text(text)


Tables = dict[str, pd.DataFrame]


def made_up() -> Tables:
    factors, vix = market()
    return {
        "electricity": electricity(),
        "lobster_goog_l10": book(10),
        "lobster_aapl_l1": book(1),
        "fama_french_5f_daily": factors,
        "vix_daily": vix,
        "lendingclub_2018": loans(),
    }


def store_all(folder: Path, tables: Tables) -> None:
    for name, table in tables.items():
        if name == "electricity":
            (folder / name).mkdir(exist_ok=True)
            table.to_csv(folder / name / "electricity.csv", index=False)
        else:
            store(folder, name, table)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store_all(tmp_path, made_up())
    for k in (1, 2, 4):
        store_arff(tmp_path, k, ratios(200, k))
    monkeypatch.setenv("BIMETAL_DATA", str(tmp_path))
    return tmp_path


def made(name: str, **how: Any) -> Sequence:
    if name in ("regimes_aba", "credit_permuted"):
        how = {"n_tasks": 2} | how
    return SEQUENCES[name].make(**how)


def same(a: Any, b: Any) -> bool:
    parts = ("x_train", "y_train", "x_test", "y_test")
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in parts)


# --- what is true of all of them ----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_bits_with_both_classes_in_both_parts(name: str, folder: Path) -> None:
    sequence = made(name)
    for task in sequence:
        assert task.x_train.shape[1] == task.x_test.shape[1] == sequence.n_in
        assert task.x_train.max() == 1 and task.x_train.min() == 0
        assert set(task.y_train) == set(task.y_test) == {0, 1}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_stream(name: str, folder: Path) -> None:
    assert all(same(a, b) for a, b in zip(made(name, seed=3), made(name, seed=3), strict=True))


@pytest.mark.parametrize("name", ["regimes_aba", "credit_permuted", "loan_vintages"])
def test_another_seed_gives_another_stream(name: str, folder: Path) -> None:
    assert not same(made(name, seed=0).task(1), made(name, seed=1).task(1))


@pytest.mark.parametrize("name", NAMES)
def test_fewer_rows_are_the_first_training_rows_and_no_test_row_less(
    name: str, folder: Path
) -> None:
    whole, few = made(name).task(0), made(name, n_rows=60).task(0)
    assert np.array_equal(few.y_train, whole.y_train[:60])
    assert np.array_equal(few.y_test, whole.y_test)


@pytest.mark.parametrize("name", [m.name for m in (*TABLE_SEQUENCES, *ORDER_BOOK_SEQUENCES)])
def test_a_validation_stream_asks_about_training_rows_only(name: str, folder: Path) -> None:
    whole, inner = made(name), made(name, split="validation")
    for task, other in zip(whole, inner, strict=True):
        n_used = len(other.y_train) + len(other.y_test)
        assert len(task.y_train) - 1 <= n_used <= len(task.y_train)  # but for a gap
        assert other.y_test.sum() + other.y_train.sum() <= task.y_train.sum()


@pytest.mark.parametrize("name", NAMES)
def test_each_says_where_its_cut_points_are_from(name: str, folder: Path) -> None:
    assert "first task's training rows; no later row has a say" in made(name).note


# --- no look-ahead -----------------------------------------------------------------------------------


def changed_after(table: pd.DataFrame, share: float) -> pd.DataFrame:
    """Shuffle and rescale all numbers after a place, but those that say when a row is."""
    table, start = table.copy(), int(share * len(table))
    rng = np.random.default_rng(9)
    for name in table.columns:
        if name in ("date", "DATE", "time_ns", "issue_d", "period", "id"):
            continue
        late = table[name].to_numpy()[start:]
        table[name] = np.concatenate([table[name].to_numpy()[:start], rng.permutation(late)])
    return table


@pytest.mark.parametrize("name", IN_TIME)
def test_what_happens_later_leaves_all_earlier_bits_untouched(name: str, folder: Path) -> None:
    before = list(made(name))
    late = {n: changed_after(t, 0.6) for n, t in made_up().items()}
    store_all(folder, late)
    after = made(name)
    n_early = {"order_books": 2, "volatility_regimes": 2, "loan_vintages": 7}.get(name, 5)
    assert all(same(before[i], after.task(i)) for i in range(n_early))
    assert not same(before[-1], after.task(after.n_tasks - 1))


def test_cut_points_come_from_the_first_tasks_training_rows_alone() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 2)), np.arange(100) % 2
    wild = np.vstack([x[:70], 100 * x[70:]])
    calm = table_sequence("a", "a", [Piece("0", x, y)], lambda _: in_time())
    other = table_sequence(
        "a", "a", [Piece("0", wild, y), Piece("1", 1e6 * x, y)], lambda _: in_time()
    )
    assert np.array_equal(calm.task(0).x_train, other.task(0).x_train)


def test_the_price_of_the_half_hour_itself_is_no_input_of_elec2(folder: Path) -> None:
    before = made("elec2").task(9)
    table = electricity()
    table.loc[len(table) - 1, ["nswprice", "nswdemand"]] = 77.0  # the last row of the last task
    store_all(folder, {"electricity": table})
    assert np.array_equal(made("elec2").task(9).x_test, before.x_test)


def test_regimes_are_known_on_the_day() -> None:
    vix = market()[1]["CLOSE"].to_numpy()
    whole = regime_periods(vix)
    for day in (900, 1_300, 1_700):
        early = regime_periods(vix[:day])
        assert early[:-1] == whole[: len(early) - 1]
        assert early[-1][:2] == whole[len(early) - 1][:2]


@given(st.integers(4, 200), st.integers(0, 3))
def test_test_rows_come_after_training_rows_and_the_gap(n: int, gap: int) -> None:
    train, test = in_time(gap)(np.zeros(n, np.int64))
    assert test[-1] == n - 1 and len(train) + len(test) + min(gap, n - len(test)) == n
    assert not len(train) or train[-1] < test[0] - gap


@given(st.integers(0, 99), st.integers(2, 60), st.integers(2, 60))
def test_a_drawn_split_keeps_the_share_of_each_class(seed: int, n_zeros: int, n_ones: int) -> None:
    y = np.repeat([0, 1], [n_zeros, n_ones])
    train, test = at_random("law", seed)(y)
    assert sorted([*train, *test]) == list(range(len(y)))
    assert y[test].sum() == round(0.3 * n_ones) and len(test) - y[test].sum() == round(
        0.3 * n_zeros
    )


# --- what each says of its world ---------------------------------------------------------------------


def test_an_order_books_class_is_where_the_mid_price_goes_and_outcomes_do_not_overlap(
    folder: Path,
) -> None:
    table = book(10)
    table = table[table["type"] != 7].reset_index(drop=True)
    mid = (table["ask_price_1"] + table["bid_price_1"]).to_numpy() / 2
    expected: list[list[int]] = [[] for _ in range(13)]
    for at in range(200, len(mid) - N_EVENTS, N_EVENTS):
        if mid[at + N_EVENTS] != mid[at]:
            half_hour = (table["time_ns"][at] - 34_200_000_000_000) // 1_800_000_000_000
            expected[half_hour].append(int(mid[at + N_EVENTS] > mid[at]))
    for task, classes in zip(made("order_book_hours"), expected, strict=True):
        n_test = len(task.y_test)
        assert task.y_test.tolist() == classes[-n_test:]
        assert task.y_train.tolist() == classes[: -n_test - 1]  # one is left out between


def test_both_layouts_of_elec2_say_the_same(folder: Path) -> None:
    coded = list(made("elec2"))
    table = electricity()
    table["class"] = np.where(table["class"] == 1, "UP", "DOWN")
    table.insert(0, "date", 0.0)
    table.insert(1, "day", 2)
    store_all(folder, {"electricity": table})
    assert all(same(a, b) for a, b in zip(coded, made("elec2"), strict=True))


def test_volatility_asks_whether_tomorrow_moves_more_than_the_median(folder: Path) -> None:
    sequence = made("volatility_regimes")
    assert [task.name.split()[0] for task in sequence] == [
        "calm", "stress", "calm", "stress", "calm",
    ]  # fmt: skip
    factors, _ = market()
    size = (factors["Mkt-RF"] + factors["RF"]).abs().to_numpy()
    last = [int(size[t + 1] > np.median(size[t - 249 : t + 1])) for t in range(1_980, 1_999)]
    assert sequence.task(4).y_test[-19:].tolist() == last


def test_bankruptcy_takes_the_horizons_that_are_there_from_either_layout(folder: Path) -> None:
    store(folder, "polish_bankruptcy_5year", ratios(150, 5))
    sequence = made("bankruptcy_horizons")
    assert [task.name for task in sequence] == [f"file {k}year" for k in (1, 2, 4, 5)]
    assert sequence.metric == "auc"
    rates = [np.mean([*task.y_train, *task.y_test]) for task in sequence]
    assert rates == pytest.approx([0.1] * 4)


def test_permuted_credit_is_the_same_bits_in_another_order(folder: Path) -> None:
    first, second = made("credit_permuted", n_rows=500, n_tasks=2)
    assert np.array_equal(first.y_test, second.y_test)
    assert not np.array_equal(first.x_test, second.x_test)
    assert np.array_equal(first.x_test.sum(axis=1), second.x_test.sum(axis=1))
    assert sorted(first.x_test.sum(axis=0)) == sorted(second.x_test.sum(axis=0))


# --- the simulated regimes ----------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "rate"), [(0, 0.10), (1, 0.25), (2, 0.10), (3, 0.16)])
def test_so_many_default_in_each_regime(number: int, rate: float) -> None:
    assert simulate_period(number).y.mean() == pytest.approx(rate, abs=0.015)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_oracle_reaches_the_best_possible_auc_and_another_regimes_truth_does_not(
    number: int,
) -> None:
    period = simulate_period(number, n_rows=40_000)
    best = best_auc(period.probability)
    assert auc(period.y, period.probability) == pytest.approx(best, abs=0.012)
    noisy = period.probability * np.random.default_rng(0).uniform(0.5, 2, len(period.y))
    assert auc(period.y, noisy) < best


def test_a_score_of_the_calm_is_worse_than_chance_in_the_stress() -> None:
    calm, stress = simulate_period(0), simulate_period(1)
    x = np.column_stack([np.ones(len(calm.y)), calm.rows[:, : len(COLUMNS) - len(MACRO)]])
    weights = np.linalg.lstsq(x, calm.y, rcond=None)[0]
    assert auc(calm.y, x @ weights) > 0.8
    x = np.column_stack([np.ones(len(stress.y)), stress.rows[:, : len(COLUMNS) - len(MACRO)]])
    assert auc(stress.y, x @ weights) < 0.5


def test_a_period_does_not_depend_on_how_many_there_are() -> None:
    few, many = regimes_aba(n_tasks=2, n_rows=100), regimes_aba(n_tasks=6, n_rows=100)
    assert all(same(few.task(i), many.task(i)) for i in range(2))
    assert [task.name for task in many][4:] == ["4 calm", "5 stress"]


def test_only_the_columns_of_the_economy_mark_a_regime() -> None:
    marked = regimes_aba(n_tasks=2)
    bare = regimes_aba(n_tasks=2, marks_regime=False)
    n_bare = bare.n_in
    assert np.array_equal(marked.task(1).y_test, bare.task(1).y_test)
    gaps = [
        abs(a.x_test.mean(0) - b.x_test.mean(0)).max() for a, b in [(bare.task(0), bare.task(1))]
    ]
    assert n_bare < marked.n_in and gaps[0] < 0.05  # without them, rows look alike
    assert abs(marked.task(0).x_test.mean(0) - marked.task(1).x_test.mean(0)).max() > 0.5


def test_the_note_states_the_best_possible_auc() -> None:
    best = best_auc(simulate_period(1, key=(0, 0)).probability)
    assert f"1 stress {best:.3f}" in regimes_aba(n_tasks=2).note


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=30))
def test_the_best_auc_is_that_of_rows_counted_by_their_probability(p: list[float]) -> None:
    q = np.array(p)
    wins = (q[:, None] > q) + 0.5 * (q[:, None] == q)
    weights = q[:, None] * (1 - q)
    assert best_auc(q) == pytest.approx((wins * weights).sum() / weights.sum())


# --- errors ------------------------------------------------------------------------------------------

NEEDY = [maker for maker in MAKERS if maker.needs]


@pytest.mark.parametrize("maker", NEEDY, ids=lambda maker: maker.name)
def test_missing_data_is_told_with_what_to_store_where(
    maker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIMETAL_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"get it from .*, store it as .*BIMETAL_DATA"):
        maker.make()


def test_bankruptcy_names_exactly_the_horizons_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIMETAL_DATA", str(tmp_path))
    store_arff(tmp_path, 3, ratios(100, 3))
    message = r"there: 3year, missing: 1year, 2year, 4year, 5year.*UCI id 365"
    with pytest.raises(DataError, match=message):
        made("bankruptcy_horizons")


def test_a_file_that_lacks_a_column_is_named(folder: Path) -> None:
    store_all(folder, {"electricity": electricity().drop(columns="vicprice")})
    with pytest.raises(ColumnError, match=r"electricity\.csv should have .*missing: vicprice"):
        made("elec2")


def test_a_part_of_one_class_is_an_error() -> None:
    x, y = np.random.default_rng(0).normal(size=(10, 1)), np.repeat([0, 1], [8, 2])
    with pytest.raises(DataError, match=r"training rows of task 'few' are all of one class"):
        table_sequence("s", "s", [Piece("few", x, y)], lambda _: in_time())


def test_more_tasks_than_pieces_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="bankruptcy_horizons has 1 to 3 tasks here, not 5"):
        made("bankruptcy_horizons", n_tasks=5)


# --- the real market, where it is at hand -------------------------------------------------------------


@pytest.mark.skipif(
    not (Path(os.environ.get("BIMETAL_DATA", "/nowhere")) / "vix_daily").exists(),
    reason="needs the tables fama_french_5f_daily and vix_daily",
)
def test_the_real_market_has_five_periods_and_classes_in_balance() -> None:
    sequence = SEQUENCES["volatility_regimes"].make()
    assert [task.name for task in sequence] == [
        "calm from 1991-08", "stress from 1997-09", "calm from 2004-03", "stress from 2007-11",
        "calm from 2012-11",
    ]  # fmt: skip
    assert all(0.4 < task.y_train.mean() < 0.6 for task in sequence)
