"""Bins, grades, stability, sensitivity and stress: counted by hand, held to the model itself, and to laws."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from credit_models import BUREAU_CODE, toy_rows
from credit_samples import a_frame, a_model, a_sample
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bimetal import metrics
from bimetal.columns import Column
from bimetal.errors import ColumnError, DataError
from bimetal.explain.grid import Bin, bins_of
from bimetal.finance.credit.validation import soundness
from bimetal.finance.credit.validation.binning import (
    MOST_CATEGORIES,
    Binning,
    _of_category,
    binnings_of,
    score_binning,
)
from bimetal.finance.credit.validation.case import column_of, known_outcomes, labels_of
from bimetal.finance.credit.validation.estimate import finite
from bimetal.finance.credit.validation.grades import (
    Concentration,
    MasterScale,
    grade_tests,
    holm,
    migration,
)
from bimetal.finance.credit.validation.sensitivity import missing_stress, movements
from bimetal.finance.credit.validation.stability import (
    periods_of,
    shift,
    shift_of_counts,
    vintages,
)
from bimetal.finance.credit.validation.stress import Stress, parse_stress, stressed, stresses_of

MODEL = a_model()
ROWS = MODEL.rows(a_frame(MODEL, 600))
seeds = st.integers(0, 2**32 - 1)


# ---- bins


def test_every_value_has_one_bin_and_special_ones_their_own() -> None:
    rows = toy_rows(MODEL.program, 2000)
    for j, bins in enumerate(binnings_of(MODEL.program, rows)):
        assert bins.counts(rows[:, j]).sum() == 2000
        assert bins.counts(rows[:, j])[-1] == np.isnan(rows[:, j]).sum()
    enquiries, housing = binnings_of(MODEL.program, rows)[-2:]
    code = enquiries.labels.index(f"code {BUREAU_CODE:g}")
    assert enquiries.counts(rows[:, 4])[code] == (rows[:, 4] == BUREAU_CODE).sum() > 0
    assert (
        housing.counts(rows[:, 5])[housing.labels.index("unseen")] == (rows[:, 5] == -1).sum() > 0
    )


def test_numbers_are_cut_only_where_the_model_cuts_and_no_bin_is_thin() -> None:
    rows = toy_rows(MODEL.program, 2000)
    for j, bins in enumerate(binnings_of(MODEL.program, rows, 10)[:4]):
        cuts = {b.low for b in bins_of(MODEL.program)[j].bins if b.kind == "range"}
        assert set(np.float32(bins.edges)) <= cuts
        ranges = bins.counts(rows[:, j])[: bins.n_ranges]
        assert len(bins.edges) == 1 or ranges.min() >= 200


def test_rare_categories_share_a_bin_and_the_unseen_do_not_join_them() -> None:
    column = Column("branch", "category", tuple(f"b{k}" for k in range(30)))
    codes = np.r_[np.repeat(np.arange(30), np.arange(30, 0, -1)), -1, np.nan].astype(np.float32)
    bins = _of_category(column.name, column.categories, codes)
    assert len(bins.codes) == MOST_CATEGORIES
    assert bins.counts(codes)[-3:].tolist() == [sum(range(1, 11)), 1, 1]


def test_bins_survive_json_and_a_score_is_cut_into_tenths() -> None:
    for bins in binnings_of(MODEL.program, ROWS):
        assert Binning.from_spec(finite(bins)) == bins
    points = np.arange(1000) * 10
    counts = score_binning(points, 100).counts(points / 100)
    assert counts[:-1].tolist() == pytest.approx([100] * 10, abs=2)


@pytest.mark.parametrize("spec", [
    {}, {"name": "a", "kind": "number", "edges": [2, 1], "codes": [], "labels": ["a", "b", "c", "d"]},
    {"name": "a", "kind": "number", "edges": [1], "codes": [], "labels": ["a"]},
    {"name": "a", "kind": "other", "edges": [], "codes": [], "labels": ["a", "b"]},
    {"name": "a", "kind": "number", "edges": ["x"], "codes": [], "labels": []},
])  # fmt: skip
def test_bins_that_contradict_themselves_are_refused(spec: dict) -> None:
    with pytest.raises(DataError, match="bins"):
        Binning.from_spec(spec)


# ---- grades


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_a_made_scale_has_grades_of_enough_rows_and_rising_risk(seed: int) -> None:
    p = np.random.default_rng(seed).beta(1, 12, 1500)
    scale = MasterScale.made(p, 12, 60)
    counts = np.bincount(scale.grade(p), minlength=scale.n_grades + 1)[1:]
    assert counts.min() >= 60 and counts.sum() == 1500
    tests = grade_tests(scale, np.zeros(1500), p)
    assert sorted(g.expected for g in tests) == [g.expected for g in tests]


def test_steps_of_a_made_scale_are_equal_in_log_odds() -> None:
    p = 1 / (1 + np.exp(-np.linspace(-5, 1, 10_000)))
    bounds = np.array(MasterScale.made(p, 8, 50).bounds)
    assert np.diff(np.log(bounds / (1 - bounds))) == pytest.approx(6 * 0.98 / 8, rel=0.01)


def test_grades_are_tested_by_the_binomial_and_by_jeffreys() -> None:
    y, p = (
        np.r_[np.ones(12), np.zeros(188), np.zeros(100)],
        np.r_[np.full(200, 0.03), np.full(100, 0.2)],
    )
    low, high = grade_tests(MasterScale((0.1, 0.9)), y, p)
    assert low.n_bad == 12 and low.binomial == pytest.approx(
        stats.binomtest(12, 200, 0.03, "greater").pvalue
    )
    assert low.jeffreys == pytest.approx(stats.beta(12.5, 188.5).cdf(0.03))
    assert (low.light, high.light) == ("amber", "green") and high.too_high < 1e-6
    assert [g.grade for g in (low, high)] == [1, 2]


def test_right_probabilities_make_a_red_grade_as_seldom_as_promised() -> None:
    rng, reds = np.random.default_rng(0), 0
    scale = MasterScale((0.02, 0.05, 0.1, 0.2))
    for _ in range(300):
        p = rng.beta(1, 12, 400)
        tests = grade_tests(scale, rng.random(400) < p, p)
        reds += min(holm([g.jeffreys for g in tests])) < 0.05
    assert reds / 300 < 0.09


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None)
def test_holm_is_never_below_the_p_values_nor_above_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, a in zip(p_values, adjusted, strict=True):
        assert p <= a <= min(1.0, p * len(p_values)) + 1e-12


def test_concentration_goes_from_even_to_all_in_one() -> None:
    even, one = Concentration.of([50, 50, 50, 50]), Concentration.of([200, 0, 0, 0])
    assert (even.herfindahl, even.normalised) == (0.25, 0) and (one.normalised, one.largest) == (
        1,
        1,
    )
    assert Concentration.of([7]).normalised == 1


def test_moves_between_grades_are_counted_by_hand() -> None:
    found = migration([1, 1, 2, 3], [1, 2, 1, 3], 3)
    assert found.counts == ((1, 1, 0), (1, 0, 0), (0, 0, 1))
    assert (found.stayed, found.better, found.worse, found.mean_steps) == (0.5, 0.25, 0.25, 0.5)


# ---- stability


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_nothing_has_moved_when_nothing_has_moved(seed: int) -> None:
    values = np.random.default_rng(seed).normal(50, 20, 300).astype(np.float32)
    bins = binnings_of(MODEL.program, np.repeat(values[:, None], 6, axis=1))[0]
    assert shift(bins, values, values).index == 0


def test_an_index_stays_below_chance_as_often_as_it_says() -> None:
    bins = Binning(
        "a", "number", tuple(stats.norm.ppf(np.arange(1, 10) / 10)), (), tuple("abcdefghijk")
    )
    rng, below = np.random.default_rng(0), 0
    for _ in range(400):
        found = shift(bins, rng.normal(size=2000), rng.normal(size=1000))
        below += found.index <= found.by_chance
    assert 0.92 <= below / 400 <= 0.98


def test_bins_empty_on_both_sides_do_not_count() -> None:
    bins = Binning("a", "number", (1.0, 2.0), (), ("a", "b", "c", "missing"))
    found = shift_of_counts(bins, np.array([50, 50, 0, 0]), np.array([60, 40, 0, 0]))
    assert found.labels == ("a", "b")
    assert found.index == pytest.approx(metrics.stability_index([50, 50], [60, 40]))


def test_counts_of_other_bins_have_no_index() -> None:
    for then, now in (([1, 2], [1, 2, 3]), ([0, 0], [1, 1]), ([[1]], [[1]])):
        with pytest.raises(DataError, match="same bins"):
            metrics.stability_index(then, now)


def test_periods_are_as_fine_as_twenty_four_allow() -> None:
    days = np.array("2020-01-01", "datetime64[D]") + np.arange(0, 360, 10)
    assert periods_of(days)[0] == "2020-01" and len(set(periods_of(days))) == 12
    years = np.array("2020-01-01", "datetime64[D]") + np.arange(0, 365 * 4, 10)
    assert periods_of(years)[20] == "2020-Q3"
    decades = np.array("1990-01-01", "datetime64[D]") + np.arange(0, 365 * 20, 30)
    assert periods_of(decades)[0] == "1990"
    assert periods_of([date(2024, 5, 17)]) == periods_of(["2024-05-17"]) == ["2024-05"]
    assert periods_of(["wave 2", "wave 1"]) == ["wave 2", "wave 1"]


def test_vintages_count_their_rows_and_have_an_auc_where_both_classes_are() -> None:
    frame, y = a_sample(MODEL, 1200)
    said = MODEL.assess(MODEL.rows(frame))
    periods = np.r_[["old"] * 1190, ["new"] * 10]
    bins = score_binning(said.points, 100)
    found = vintages(
        periods, y, said.probability.astype(float), said.score, said.decision == "approve", bins,
        bins.counts(said.score),
    )  # fmt: skip
    assert [(v.period, v.n) for v in found] == [("new", 10), ("old", 1190)]
    assert found[0].auc is None and found[1].auc.value == pytest.approx(
        metrics.auc(y[:1190], -said.points[:1190])
    )
    assert sum(v.n_bad for v in found) == y.sum()


# ---- sensitivity and stress


def test_a_column_that_no_bit_reads_moves_nothing() -> None:
    found = {m.column: m for m in movements(MODEL, ROWS)}
    assert set(found) == {c.name for c in MODEL.program.columns}
    assert found["housing"].up is None and found["housing"].shuffled > 0
    same = np.repeat(ROWS[:1], 50, axis=0)
    assert all(m.shuffled == 0 and m.flipped_shuffled == 0 for m in movements(MODEL, same))


def test_one_bin_is_what_the_grid_says() -> None:
    column = bins_of(MODEL.program)[0]
    low, high = column.bins[0], column.bins[1]
    rows = ROWS[:40].copy()
    rows[:, 0] = low.value
    up = rows.copy()
    up[:, 0] = high.value
    change = np.abs(MODEL.points(up) - MODEL.points(rows)).mean() / 100
    (found,) = (m for m in movements(MODEL, rows) if m.column == "income")
    assert found.up == pytest.approx(change) and found.down == 0


def test_special_and_missing_values_are_never_moved() -> None:
    rows = ROWS[:30].copy()
    rows[:15, 4], rows[15:, 4] = BUREAU_CODE, np.nan
    (found,) = (m for m in movements(MODEL, rows) if m.column == "enquiries")
    assert found.up == found.down == 0
    result = stressed(MODEL, rows, parse_stress("enquiries=+500"))
    assert result.n_changed == 0 and result.mean_change == 0


@pytest.mark.parametrize(("text", "expected"), [
    ("income=-20%", ("income", "times", 0.8)), ("a=+5%", ("a", "times", 1.05)), ("a=*2", ("a", "times", 2.0)),
    ("a=*50%", ("a", "times", 0.5)), ("a=+2.5", ("a", "plus", 2.5)), ("a=−3", ("a", "plus", -3.0)),
    ("a=35", ("a", "set", 35.0)), ("a=missing", ("a", "missing", 0.0)), ("h = rent", ("h", "category", "rent")),
])  # fmt: skip
def test_shocks_are_read(text: str, expected: tuple) -> None:
    assert parse_stress(text).shocks == (expected,)


def test_a_stress_is_the_answer_to_the_changed_rows() -> None:
    changed = ROWS.copy()
    changed[:, 0] *= np.float32(0.5)
    before, after = MODEL.assess(ROWS), MODEL.assess(changed)
    found = stressed(MODEL, ROWS, parse_stress("income=*0.5"))
    assert found.before.approved == (before.decision == "approve").mean()
    assert found.after.mean_score == pytest.approx(after.score.mean())
    assert found.flipped == pytest.approx(found.lost + found.won)
    assert found.after.approved - found.before.approved == pytest.approx(found.won - found.lost)
    set_all = stressed(MODEL, ROWS, parse_stress("housing=rent,age=17"))
    assert set_all.n_beyond_limits == len(ROWS)


def test_missing_everywhere_is_refused_where_the_model_has_no_bit() -> None:
    found = {m.column: m for m in missing_stress(MODEL, ROWS)}
    assert found["income"].is_refused and found["income"].mean_change is None
    assert not found["enquiries"].is_refused and found["enquiries"].mean_change > 0
    assert stressed(MODEL, ROWS, parse_stress("enquiries=missing")).mean_change == pytest.approx(
        found["enquiries"].mean_change
    )


def test_stresses_may_have_names_of_their_own() -> None:
    (mild,) = stresses_of({"mild": "income=-5%"})
    assert mild.name == "mild" and stresses_of([mild, "age=+1"])[1] == Stress(
        "age=+1", (("age", "plus", 1.0),)
    )


@pytest.mark.parametrize(("text", "says"), [
    ("income", "column=shock"), ("=3", "column=shock"), ("wages=+1", "no column 'wages'"),
    ("housing=+1", "is a category"), ("income=rent", "is a number"), ("housing=igloo", "has the categories"),
    ("income=missing", "no bit"),
])  # fmt: skip
def test_shocks_that_do_not_fit_are_refused(text: str, says: str) -> None:
    with pytest.raises((DataError, ColumnError), match=says):
        stressed(MODEL, ROWS, parse_stress(text))


# ---- soundness and tables


def test_the_points_table_and_the_rules_add_up_to_the_score() -> None:
    card = {c.name: {b.label: b.points for b in c.bins} for c in soundness.points_table(MODEL)}
    rules = soundness.rules_read(MODEL, most=10_000)
    form, unit = MODEL.form, 100
    bits = form.bits(ROWS[:20])
    total = np.full(20, form.bias / unit)
    for column in form.columns:
        labels = [column.bins[b].label for b in column.bin_of(bits)]
        total += [card[column.name][label] for label in labels]
    held = form.holds(bits) @ (form.weights / unit)
    assert total + held == pytest.approx(MODEL.points(ROWS[:20]) / unit)
    assert len(rules) == form.n_rules
    assert sum(r.points for r in rules) == pytest.approx(form.weights.sum() / unit)


def test_neighbouring_ranges_of_equal_points_are_read_as_one() -> None:
    bins = [Bin("range", "below 1", 0.0, -np.inf, 1.0), Bin("range", "1 to 2", 1.0, 1.0, 2.0),
            Bin("range", "2 or more", 2.0, 2.0, np.inf), Bin("missing", "missing", np.nan)]  # fmt: skip
    for points, expected in (
        ([0, 5, 5, 5], [("below 1", 0), ("1 or more", 5), ("missing", 5)]),
        ([5, 5, 0, 0], [("below 2", 5), ("2 or more", 0), ("missing", 0)]),
        ([3, 3, 3, 1], [("any number", 3), ("missing", 1)]),
        ([1, 2, 1, 1], [("below 1", 1), ("1 to 2", 2), ("2 or more", 1), ("missing", 1)]),
    ):
        assert [(b.label, b.points) for b in soundness._merged(bins, points)] == expected


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, pl.DataFrame, dict, lambda d: pl.DataFrame(d).to_arrow()]
)
def test_a_column_is_found_in_any_table(kind) -> None:
    table = kind({"a": [1, 2], "b": ["x", None]})
    assert column_of(table, "a").tolist() == [1, 2] and column_of(table, "b").tolist()[0] == "x"
    with pytest.raises(ColumnError, match="no column 'c'"):
        column_of(table, "c")


def test_an_array_has_no_columns_by_name() -> None:
    with pytest.raises(ColumnError, match="a frame with a column"):
        column_of(np.zeros((2, 2)), "a")


def test_outcomes_come_as_numbers_booleans_or_classes_and_the_programs_own_come_first() -> None:
    classes = ("good", "bad")
    for y in ([0, 1], [False, True], [0.0, 1.0], ["good", "bad"]):
        assert labels_of(y, classes, 2).tolist() == [0, 1]
    assert labels_of([1, 0], (1, 0), 2).tolist() == [0, 1]
    known, labels = known_outcomes([None, 1, np.nan, 0], classes, 4)
    assert known.tolist() == [1, 3] and labels.tolist() == [1, 0]


@pytest.mark.parametrize(("call", "says"), [
    (lambda: labels_of([0, 1], ("a", "b"), 3), "one outcome for each"),
    (lambda: labels_of([], ("a", "b"), 0), "a known outcome"),
    (lambda: labels_of([0, None], ("a", "b"), 2), "got 1 of 2"),
    (lambda: labels_of([0, 2], ("a", "b"), 2), "outcomes of 0"),
    (lambda: MasterScale((0.2, 0.1)), "rising bounds"),
    (lambda: MasterScale((0.0,)), "rising bounds"),
    (lambda: MasterScale.made([]), "probabilities"),
    (lambda: migration([1], [1, 2], 2), "as many grades"),
    (lambda: migration([1], [3], 2), "as many grades"),
    (lambda: periods_of([f"x{k}" for k in range(30)]), "at most 24 periods"),
    (lambda: periods_of(["2024-01-01", None]), "1 missing"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(call, says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()
