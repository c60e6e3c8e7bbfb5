"""Contributions are the Shapley values of the points: by their definition, by their laws, and as shap finds them."""

import threading
import warnings
from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from math import comb, factorial
from typing import Any

import numpy as np
import pytest
from credit_models import toy_program, toy_rows
from numpy.typing import NDArray

from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.errors import DataError, ProgramError
from bimetal.explain import case_tables, form_of
from bimetal.explain.conjunctions import gains_and_losses, unit_of
from bimetal.explain.enumeration import enumerated
from bimetal.explain.form import PointsForm
from bimetal.explain.reasons import principal_reasons
from bimetal.explain.shapley import Contributions, Explainer
from bimetal.program import Dense, Encode, Link, Program, Readout, Rules

SEEDS = range(6)
NO = np.zeros(0, np.float32)


def by_definition(
    form: PointsForm, row: Any, references: Any, players: tuple[tuple[int, ...], ...]
) -> list[Fraction]:
    """Ask every coalition, weigh by Shapley's formula, in fractions."""
    n = len(players)
    rows = np.repeat(references[None], 2**n, axis=0)
    for s in range(2**n):
        for p in range(n):
            if s >> p & 1:
                rows[s][:, players[p]] = row[list(players[p])]
    points = form.points(rows.reshape(-1, references.shape[1])).reshape(2**n, -1)
    value = [Fraction(int(total), len(references)) for total in points.sum(axis=1)]
    found = []
    for p in range(n):
        share = Fraction(0)
        for s in range(2**n):
            if not s >> p & 1:
                k = s.bit_count()
                weight = Fraction(factorial(k) * factorial(n - 1 - k), factorial(n))
                share += weight * (value[s | 1 << p] - value[s])
        found.append(share)
    return found


def fractions(found: Contributions, i: int) -> list[Fraction]:
    return [Fraction(int(n), found.denominator) for n in found.numerators[i]]


def with_dense(program: Program, seed: int, n_neurons: int = 12) -> Program:
    """Add a dense layer beside the rules."""
    rng = np.random.default_rng(seed)
    encode, rules, readout, link = program.ops
    assert isinstance(encode, Encode) and isinstance(rules, Rules) and isinstance(readout, Readout)
    n = len(encode.column)
    weights = pack(rng.random((n_neurons, n)) < 0.5)
    dense = Dense(1, n, weights, rng.integers(n // 2 - 2, n // 2 + 3, n_neurons).astype(np.int32))
    added = rng.integers(-900, 900, n_neurons)[None]
    points = replace(
        readout,
        inputs=(1, 2, 3),
        weights=np.concatenate([readout.weights, added], axis=1).astype(np.int32),
    )
    assert isinstance(link, Link)
    return replace(program, ops=(encode, rules, dense, points, replace(link, input=4)))


def conjunction(n_columns: int, weight: int = 7) -> Program:
    """One rule that reads every column: all at least 0."""
    columns = tuple(Column(f"c{j}") for j in range(n_columns))
    kind = np.zeros(n_columns, np.uint8)
    encode = Encode(np.arange(n_columns, dtype=np.uint16), kind, np.zeros(n_columns, np.float32),
                    NO.astype(np.uint16), NO)  # fmt: skip
    literals = 2 * np.arange(n_columns, dtype=np.uint16)
    rules = Rules(1, literals, np.array([n_columns], np.uint8))
    readout = Readout((2,), np.array([[weight]], np.int32), np.zeros(1, np.int32))
    link = Link(3, "identity", np.ones(1), np.zeros(1), NO.astype(np.int32), NO)
    return Program(columns, (encode, rules, readout, link))


def long_rules(seed: int, n_columns: int = 12, n_rules: int = 25) -> Program:
    """Rules that read many columns, most of whose literals hold."""
    rng = np.random.default_rng(seed)
    base = conjunction(n_columns)
    fan_in = rng.integers(7, n_columns + 1, n_rules)
    literals = [2 * rng.choice(n_columns, k, replace=False) + (rng.random(k) < 0.2) for k in fan_in]
    rules = Rules(1, np.concatenate(literals).astype(np.uint16), fan_in.astype(np.uint8))
    weights = rng.integers(1, 90_000, (1, n_columns + n_rules)).astype(np.int32)
    readout = Readout((1, 2), weights, np.zeros(1, np.int32))
    return replace(base, ops=(base.ops[0], rules, readout, base.ops[3]))


def mostly_high(n: int, n_columns: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n_columns)) < 0.7, 1, -1).astype(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("groups", [None, ((4, 1), (5,)), ((0, 1, 2, 3, 4, 5),)])
def test_contributions_are_the_shapley_values_by_their_definition(seed: int, groups: Any) -> None:
    program = toy_program(seed)
    form, rows, references = (
        form_of(program),
        toy_rows(program, 3, seed),
        toy_rows(program, 4, seed + 99),
    )
    explainer = Explainer(form, references, groups)
    found = explainer.contributions(rows)
    for i, row in enumerate(rows):
        assert fractions(found, i) == by_definition(form, row, references, explainer.players)


@pytest.mark.parametrize("seed", SEEDS)
def test_dense_layers_too(seed: int) -> None:
    program = with_dense(toy_program(seed), seed)
    form = form_of(program)
    rows, references = toy_rows(program, 2, seed), toy_rows(program, 3, seed + 99)
    explainer = Explainer(form, references, [(0, 2)])
    found = explainer.contributions(rows)
    assert form.rest is not None and (found.points == form.points(rows)).all()
    for i, row in enumerate(rows):
        assert fractions(found, i) == by_definition(form, row, references, explainer.players)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_engine_and_the_plain_form_give_the_same_integers(seed: int) -> None:
    program = toy_program(seed, n_columns=8, n_rules=300)
    form, rows = form_of(program), toy_rows(program, 60, seed)
    explainer = Explainer(form, toy_rows(program, 32, seed + 1))
    found = explainer.contributions(rows)
    assert (found.numerators == explainer.closed_form(rows)).all()
    assert (found.points == form.points(rows)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_rules_that_fit_no_table_are_walked_to_the_same_integers(seed: int) -> None:
    form = form_of(long_rules(seed))
    explainer = Explainer(form, mostly_high(9, 12, seed))
    rows = mostly_high(40, 12, seed + 50)
    found = explainer.contributions(rows)
    assert any(group.n_players > case_tables.MOST_TABULATED for group in explainer._rules.groups)
    assert (found.numerators == explainer.closed_form(rows)).all()
    assert found.numerators.any()


@pytest.mark.parametrize("most", [0, 1, 4])
def test_tables_and_walks_agree_wherever_the_border_lies(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    program = toy_program(3, n_columns=8, n_rules=100)
    form, rows, references = form_of(program), toy_rows(program, 50), toy_rows(program, 20, 5)
    tabulated = Explainer(form, references).contributions(rows).numerators
    monkeypatch.setattr(case_tables, "MOST_TABULATED", most)
    assert (Explainer(form, references).contributions(rows).numerators == tabulated).all()


def test_weights_beyond_a_table_of_int32_are_walked() -> None:
    program = conjunction(6, weight=2**30)
    explainer = Explainer(form_of(program), mostly_high(4, 6, 0))
    (group,) = explainer._rules.groups
    assert not len(case_tables.splits(group, 4, unit_of(6))[0].weights)
    rows = mostly_high(30, 6, 1)
    assert (explainer.contributions(rows).numerators == explainer.closed_form(rows)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_contributions_and_base_add_up_to_the_points_exactly(seed: int) -> None:
    program = toy_program(seed, n_columns=8, n_rules=80)
    form, rows, references = form_of(program), toy_rows(program, 200, seed), toy_rows(program, 7, 1)
    found = Explainer(form, references).contributions(rows)
    total = found.numerators.sum(axis=1) + found.base_numerator
    assert (total == found.points * found.denominator).all()
    assert Fraction(found.base_numerator, found.denominator) == Fraction(
        int(form.points(references).sum()), 7
    )
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, found.points)


def test_a_column_that_nothing_reads_contributes_nothing() -> None:
    program = toy_program(2)
    wider = replace(program, columns=(*program.columns, Column("unread")))
    rng = np.random.default_rng(0)
    rows = np.c_[toy_rows(program, 20), rng.normal(size=20)].astype(np.float32)
    found = Explainer(form_of(wider), rows[:4]).contributions(rows)
    assert (found.numerators[:, -1] == 0).all() and found.names[-1] == "unread"
    assert (found.numerators[:, :-1] == Explainer(form_of(program), rows[:4, :-1])
            .contributions(rows[:, :-1]).numerators).all()  # fmt: skip


def test_columns_that_play_the_same_part_contribute_the_same() -> None:
    explainer = Explainer(form_of(conjunction(3, weight=12)), [[-1, -1, 1], [-1, -1, -1]])
    found = explainer.contributions([[1, 1, 1], [1, 1, -1]])
    assert fractions(found, 0) == [Fraction(12 * 5, 12), Fraction(12 * 5, 12), Fraction(12, 6)]
    assert found.numerators[1, 0] == found.numerators[1, 1]


def test_contributions_are_linear_in_the_points() -> None:
    program = toy_program(4)
    readout = program.ops[2]
    assert isinstance(readout, Readout)
    rng = np.random.default_rng(1)
    parts = [rng.integers(1, 900, readout.weights.shape).astype(np.int32) for _ in range(2)]
    rows, references = toy_rows(program, 30), toy_rows(program, 5, 2)

    def numerators(weights: NDArray[np.int32]) -> NDArray[np.int64]:
        ops = (*program.ops[:2], replace(readout, weights=weights), program.ops[3])
        form = form_of(replace(program, ops=ops))
        return Explainer(form, references).contributions(rows).numerators

    assert (numerators(parts[0]) + numerators(parts[1]) == numerators(parts[0] + parts[1])).all()


def test_the_order_of_references_does_not_matter_and_twice_the_same_is_the_same() -> None:
    program = toy_program(5)
    form, rows, references = form_of(program), toy_rows(program, 10), toy_rows(program, 4, 3)
    first = Explainer(form, references).contributions(rows)
    for order in list(permutations(range(4)))[:7]:
        again = Explainer(form, references[list(order)]).contributions(rows)
        assert (again.numerators == first.numerators).all()
    doubled = Explainer(form, np.r_[references, references]).contributions(rows)
    assert (doubled.numerators == 2 * first.numerators).all()
    assert doubled.denominator == 2 * first.denominator


def test_several_references_are_the_mean_of_each_alone() -> None:
    program = toy_program(1)
    form, rows, references = form_of(program), toy_rows(program, 10), toy_rows(program, 5, 3)
    together = Explainer(form, references).contributions(rows)
    alone = [Explainer(form, references[r : r + 1]).contributions(rows) for r in range(5)]
    assert (together.numerators == sum(one.numerators for one in alone)).all()


def test_a_row_like_its_only_reference_owes_it_nothing() -> None:
    program = with_dense(toy_program(0), 0)
    rows = toy_rows(program, 1)
    found = Explainer(form_of(program), rows).contributions(rows)
    assert not found.numerators.any() and found.base_numerator == found.points * found.denominator


def test_values_between_the_same_cut_points_contribute_the_same() -> None:
    program = toy_program(0)
    form, rows = form_of(program), toy_rows(program, 50)
    explainer = Explainer(form, toy_rows(program, 3, 1))
    stood_for = rows.copy()
    bits = form.bits(rows)
    for column in form.columns:
        values = np.array([b.value for b in column.bins], np.float32)
        stood_for[:, column.index] = values[column.bin_of(bits)]
    assert (explainer.contributions(rows).numerators
            == explainer.contributions(stood_for).numerators).all()  # fmt: skip


def test_groups_come_first_and_the_other_columns_follow_one_by_one() -> None:
    explainer = Explainer(form_of(toy_program(0)), toy_rows(toy_program(0), 2), [(5, 3), (0,)])
    assert explainer.players == ((5, 3), (0,), (1,), (2,), (4,))
    assert explainer.names == ("housing, utilisation", "income", "age", "amount", "enquiries")


def test_one_group_of_all_columns_gets_the_whole_difference() -> None:
    program = toy_program(0)
    rows = toy_rows(program, 5)
    found = Explainer(form_of(program), toy_rows(program, 3, 1), [range(6)]).contributions(rows)
    whole = found.points * found.denominator - found.base_numerator
    assert found.denominator == 3 and (found.numerators[:, 0] == whole).all()


def test_encoded_rows_are_explained_as_raw_ones() -> None:
    program = toy_program(0)
    form, rows = form_of(program), toy_rows(program, 40)
    explainer = Explainer(form, toy_rows(program, 3, 1))
    raw, encoded = explainer.contributions(rows), explainer.contributions_of_bits(form.bits(rows))
    assert (raw.numerators == encoded.numerators).all() and (raw.points == encoded.points).all()


def test_a_program_without_rules_is_explained_bit_by_bit() -> None:
    program = toy_program(0)
    encode, _, readout, link = program.ops
    assert isinstance(encode, Encode) and isinstance(readout, Readout) and isinstance(link, Link)
    n = len(encode.column)
    only = Program(
        program.columns,
        (encode, replace(readout, inputs=(1,), weights=readout.weights[:, :n]), replace(link, input=2)),
        program.classes,
    )  # fmt: skip
    rows, references = toy_rows(program, 6), toy_rows(program, 2, 1)
    explainer = Explainer(form_of(only), references)
    found = explainer.contributions(rows)
    assert found.denominator == 2
    assert fractions(found, 3) == by_definition(
        form_of(only), rows[3], references, explainer.players
    )


def test_no_rows_have_no_contributions() -> None:
    program = toy_program(0)
    found = Explainer(form_of(program), toy_rows(program, 2)).contributions(np.zeros((0, 6), "f4"))
    assert found.numerators.shape == (0, 6) and found.points.shape == (0,)


def test_threads_share_one_explainer() -> None:
    program = toy_program(0, n_columns=8, n_rules=300)
    rows = toy_rows(program, 200)
    explainer = Explainer(form_of(program), rows[:8])
    expected, found = explainer.contributions(rows).numerators, []

    def work() -> None:
        for _ in range(5):
            found.append(explainer.contributions(rows).numerators)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and all((one == expected).all() for one in found)


def test_one_unit_makes_every_value_of_a_rule_whole() -> None:
    for n in range(1, 41):
        for a in range(1, n + 1):
            assert unit_of(n) % (a * comb(n, a)) == 0
    gains, losses = gains_and_losses(20)
    for a in range(21):
        for b in range(21 - a):
            if a + b:  # together they pass from "off" to "on", or back
                worth = unit_of(20) * ((b == 0) - (a == 0))
                assert a * gains[a, b] - b * losses[a, b] == worth


def test_enumeration_agrees_with_the_closed_form_at_its_widest() -> None:
    program = conjunction(12, weight=5)
    row, reference = mostly_high(1, 12, 1)[0], mostly_high(1, 12, 2)[0]
    form = form_of(program)
    differs = np.flatnonzero(row != reference)
    explainer = Explainer(form, reference[None])
    asked = enumerated(
        form.points, row, reference, [[int(j)] for j in differs], explainer.denominator
    )
    assert (explainer.contributions(row[None]).numerators[0, differs] == asked).all()


@pytest.fixture(scope="module")
def shap() -> Any:
    """Without numba's compiler: our functions are small, and it would work for ten seconds first."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        warnings.simplefilter("ignore")
        return pytest.importorskip("shap")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("has_dense", [False, True])
def test_shap_finds_the_same_values(shap: Any, seed: int, has_dense: bool) -> None:
    program = toy_program(seed)
    program = with_dense(program, seed) if has_dense else program
    form = form_of(program)
    rows = np.nan_to_num(toy_rows(program, 4, seed)).astype(np.float64)
    references = np.nan_to_num(toy_rows(program, 9, seed + 7)).astype(np.float64)

    def points(x: Any) -> NDArray[np.float64]:
        return form.points(np.asarray(x, np.float32)).astype(np.float64)

    found = Explainer(form, references).contributions(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masker = shap.maskers.Independent(references, max_samples=len(references))
        exact = shap.explainers.Exact(points, masker)(rows)
        kernel = shap.KernelExplainer(points, references, silent=True).shap_values(
            rows[:1], nsamples=2000
        )
    np.testing.assert_allclose(found.values, exact.values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.base, exact.base_values, rtol=1e-12)
    np.testing.assert_allclose(found.values[:1], kernel, rtol=1e-9, atol=1e-6)


def test_too_many_players_in_a_rule_are_refused_and_groups_help() -> None:
    form = form_of(conjunction(44))
    references = mostly_high(32, 44, 0)
    with pytest.raises(ProgramError, match=r"44 players in one rule.*put columns into groups"):
        Explainer(form, references)
    grouped = Explainer(form, references, [range(22), range(22, 44)])
    assert grouped.denominator == 64


def test_more_than_16_players_of_a_dense_layer_are_refused_and_groups_help() -> None:
    wide = conjunction(18)
    dense = Dense(1, 18, pack(np.ones((1, 18), bool)), np.array([9], np.int32))
    program = replace(wide, ops=(wide.ops[0], dense, *wide.ops[2:]))
    form, row = form_of(program), np.ones((1, 18), np.float32)
    with pytest.raises(DataError, match=r"at most 16.*row 0 and reference 0 differ in 18.*groups"):
        Explainer(form, -row).contributions(row)
    pairs = [(j, j + 1) for j in range(0, 18, 2)]
    found = Explainer(form, -row, pairs).contributions(row)
    assert (found.numerators == found.numerators[0, 0]).all() and found.numerators[0, 0] > 0
    near = row.copy()
    near[:, 3:] = -1  # the same bits as the reference: fifteen players less to ask
    assert (Explainer(form, -row).contributions(near).numerators[0, 3:] == 0).all()
    with pytest.raises(ProgramError, match="dense layers"):
        Explainer(form, -row).contributions_of_bits(form.bits(row))
    with pytest.raises(ProgramError, match="dense layers"):
        Explainer(form, -row).closed_form(row)


@pytest.mark.parametrize(
    ("references", "groups", "message"),
    [
        (np.zeros((0, 6)), None, "at least one reference"),
        (np.zeros((2, 5)), None, r"references of shape \(n_rows, 6\) expected, got \(2, 5\)"),
        (np.zeros((2, 6)), [(0, 1), (1, 2)], r"one group only; in several: \[1\]"),
        (np.zeros((2, 6)), [(0, 6)], r"0 to 5; got \[6\]"),
        (np.zeros((2, 6)), [(0, -1)], r"0 to 5; got \[-1\]"),
        (np.zeros((2, 6)), [()], "empty"),
    ],
)
def test_what_does_not_fit_is_said(references: Any, groups: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Explainer(form_of(toy_program(0)), references, groups)


def test_rows_and_bits_of_another_shape_are_refused() -> None:
    explainer = Explainer(form_of(toy_program(0)), np.zeros((1, 6)))
    with pytest.raises(DataError, match=r"rows of shape \(n_rows, 6\) expected, got \(6,\)"):
        explainer.contributions(np.zeros(6))
    with pytest.raises(DataError, match=r"bits of shape"):
        explainer.contributions_of_bits(np.zeros((1, 3), bool))


def test_principal_reasons_are_the_worst_strictly_negative_ones_in_order() -> None:
    numerators = np.array([5, -3, 0, -9, -3, -1, -2], np.int64)
    assert principal_reasons(numerators) == (3, 1, 4, 6)
    assert principal_reasons(numerators, most=1) == (3,)
    assert principal_reasons(np.array([0, 4])) == ()
    assert principal_reasons(np.array([], np.int64)) == ()


def test_numerators_that_float64_cannot_tell_apart_keep_their_order() -> None:
    assert principal_reasons(np.array([-(2**60), -(2**60) - 1]), most=1) == (1,)


def test_no_reason_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="most=0"):
        principal_reasons(np.array([-1]), most=0)
