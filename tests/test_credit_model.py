"""CreditModel and Policy: what is promised of every decision, on models made without training."""

import hashlib
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from credit_models import (
    BUREAU_CODE,
    NAMES,
    toy_model,
    toy_policy,
    toy_program,
    toy_rows,
    toy_table,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal import reference
from bimetal.columns import Column, Lists
from bimetal.errors import ColumnError, DataError, FormatError, ProgramError
from bimetal.explain.form import points_of
from bimetal.finance.credit.dates import DateSpec
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.policy import MOST_REFERENCES, Policy
from bimetal.finance.credit.scaling import Scaling
from bimetal.format import dumps
from bimetal.program import Dense, Link, Program, Readout

SEEDS = range(4)
seeds = st.integers(0, 2**16)
whole = st.integers(-(10**6), 10**6)
words = st.text(min_size=1, max_size=12)
NO_INTS, NO_FLOATS = np.zeros(0, np.int32), np.zeros(0, np.float32)


@st.composite
def policies(draw: Any) -> Policy:
    low, cutoff, high = sorted(draw(st.tuples(whole, whole, whole)))
    bounds = st.none() | st.floats(-1e6, 1e6)
    limits = {}
    for name in draw(st.sets(words, max_size=3)):
        a, b = draw(st.tuples(bounds, bounds))
        limits[name] = (b, a) if a is not None and b is not None and a > b else (a, b)
    columns = draw(st.lists(words, unique=True, max_size=4))
    return Policy(
        name=draw(words),
        scaling=Scaling(draw(st.floats(1, 80)), draw(st.floats(-500, 900)), 15, draw(st.sampled_from([1, 10, 100]))),
        cutoff=cutoff,
        refer=draw(st.none() | st.just((low, high))),
        coverage=draw(st.none() | st.floats(0.5, 0.99)),
        references=((1.5, None),) if draw(st.booleans()) else (),
        groups={"group": tuple(columns)} if columns else {},
        texts=draw(st.dictionaries(words, words, max_size=3)),
        codes=draw(st.dictionaries(words, words, max_size=3)),
        immutable=tuple(draw(st.lists(words, max_size=3))),
        one_way=draw(st.dictionaries(words, st.sampled_from(["up", "down"]), max_size=3)),
        limits=limits,
        trends=draw(st.dictionaries(words, st.sampled_from([1, -1]), max_size=3)),
        dates=(DateSpec("born", "age", "years"),) if draw(st.booleans()) else (),
        unknown_category=draw(st.sampled_from(["other", "refuse"])),
        max_reasons=draw(st.integers(1, 4)),
    )  # fmt: skip


@given(policies())
@settings(max_examples=60, deadline=None)
def test_a_policy_is_what_its_json_says(policy: Policy) -> None:
    text = json.dumps(policy.spec(), allow_nan=False)
    again = Policy.from_spec(json.loads(text))
    assert again == policy and again.id == policy.id


@given(policies())
@settings(max_examples=30, deadline=None)
def test_the_id_of_a_policy_is_of_its_content_alone(policy: Policy) -> None:
    backwards = {key: value for key, value in reversed(policy.spec().items())}
    assert Policy.from_spec(backwards).id == policy.id
    assert replace(policy, cutoff=policy.cutoff, name=policy.name + "!").id != policy.id
    moved = policy.scaling.spec() | {"base_score": policy.scaling.base_score + 1}
    assert replace(policy, scaling=Scaling(**moved)).id != policy.id


def test_the_id_of_a_policy_stays_the_same_from_year_to_year() -> None:
    policy = Policy(
        cutoff=56_000, texts={"income": "Income insufficient"}, limits={"age": (18, None)}
    )
    assert policy.id == "649d17bbdc355ef1bb5e3fcdb3b24b9bbdcfe2440bedf6aab658f21333a597d7"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cutoff": 1.5}, "cutoff: whole points"),
        ({"cutoff": True}, "cutoff"),
        ({"cutoff": 100, "refer": (101, 110)}, "refer"),
        ({"cutoff": 100, "refer": (90, 99)}, "refer"),
        ({"cutoff": 100, "refer": (90.0, 110)}, "refer"),
        ({"coverage": 1.0}, "coverage"),
        ({"references": ((1.0,),) * (MOST_REFERENCES + 1)}, "at most 32 rows"),
        ({"max_reasons": 5}, "1 to 4"),
        ({"unknown_category": "guess"}, "'other' or 'refuse'"),
        ({"one_way": {"age": "older"}}, "'up' or 'down'"),
        ({"trends": {"age": 0}}, "1 or -1"),
        ({"limits": {"age": (110, 18)}}, "least, greatest"),
        ({"limits": {"age": (float("nan"), 18)}}, "least, greatest"),
        ({"groups": {"a": ("age",), "b": ("age",)}}, "each column in one group"),
        ({"texts": {"age": 7}}, "text"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Policy(**given)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([], "a JSON object"),
        ({"cut": 3}, "keys of a policy"),
        ({"version": 2}, "version of the policy"),
        ({"scaling": {"odds": 3}}, "must fit"),
        ({"scaling": {"pdo": 0}}, "pdo"),
        ({"groups": {"a": 3}}, "must fit"),
        ({"limits": {"age": [1, 2, 3]}}, "must fit"),
        ({"limits": {"age": ["a", 2]}}, "must fit"),
        ({"dates": [{"column": "born"}]}, "a DateSpec has the keys"),
        ({"refer": 3}, "must fit"),
    ],
)
def test_json_that_is_no_policy_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Policy.from_spec(spec)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_what_json_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(DataError, match="finite"):
        Policy(references=((value,),)).spec()


@pytest.mark.parametrize(
    "given",
    [
        {"groups": {"money": ("income", "wealth")}}, {"immutable": ("wealth",)}, {"one_way": {"wealth": "up"}},
        {"limits": {"wealth": (0, 1)}}, {"trends": {"wealth": 1}}, {"texts": {"wealth": "Too little"}},
        {"codes": {"wealth": "R1"}}, {"dates": (DateSpec("born", "wealth"),)},
    ],
)  # fmt: skip
def test_a_policy_that_speaks_of_other_columns_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="wealth"):
        CreditModel(toy_program(), replace(Policy(), **given))


def test_references_have_as_many_values_as_the_model_has_columns() -> None:
    with pytest.raises(DataError, match="6 values"):
        CreditModel(toy_program(), Policy(references=((1.0, 2.0),)))


def test_texts_may_be_of_groups() -> None:
    toy_model(
        groups={"money": ("income", "amount")}, texts={"money": "Too little"}, codes={"money": "R9"}
    )


# The model


@pytest.mark.parametrize("seed", SEEDS)
def test_points_are_those_of_the_reference_and_probabilities_too(seed: int) -> None:
    model = toy_model(seed)
    rows = toy_rows(model.program, 400)
    said = model.assess(rows)
    assert np.array_equal(said.points, points_of(model.program, rows))
    assert np.array_equal(said.probability, reference.run(model.program, rows)[:, 1])
    assert np.array_equal(said.score, said.points / model.policy.scaling.unit)
    assert np.array_equal(model.points_of_bits(model.form.bits(rows)), said.points)


@given(seeds, st.booleans())
@settings(max_examples=20, deadline=None)
def test_all_decide_as_the_policy_decides_one_by_one(seed: int, has_band: bool) -> None:
    policy = toy_policy(toy_program())
    width = 700 if has_band else 0
    band = (policy.cutoff - width, policy.cutoff + width // 2) if has_band else None
    model = CreditModel(toy_program(), replace(policy, refer=band))
    rows = toy_rows(model.program, 100, seed)
    said = model.assess(rows)
    one_by_one = [model.policy.decide(int(p)) for p in said.points]
    assert said.decision.tolist() == one_by_one
    approved = said.points >= model.policy.approval_points
    assert ((said.decision == "approve") == approved).all()


@pytest.mark.parametrize(
    ("points", "decision"),
    [
        (89, "decline"),
        (90, "refer"),
        (99, "refer"),
        (100, "refer"),
        (109, "refer"),
        (110, "approve"),
    ],
)
def test_both_ends_of_the_band_are_where_they_are_said_to_be(points: int, decision: str) -> None:
    policy = Policy(cutoff=100, refer=(90, 110))
    assert policy.decide(points) == decision
    assert (points >= policy.approval_points) == (decision == "approve")


def test_an_empty_band_refers_nobody() -> None:
    policy = Policy(cutoff=100, refer=(100, 100))
    assert [policy.decide(p) for p in (99, 100)] == ["decline", "approve"]


def test_a_file_is_the_model_and_its_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    model = toy_model()
    path = tmp_path / "toy.bimetal"
    model.save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    read = CreditModel.load(path)
    assert read.file_hash == model.file_hash == digest
    assert (read.id, read.policy_id, read.policy) == (model.id, model.policy_id, model.policy)
    assert CreditModel.loads(read.dumps()).file_hash == digest
    assert [p.name for p in tmp_path.iterdir()] == ["toy.bimetal"]


def test_another_policy_changes_the_file_and_not_the_function() -> None:
    model = toy_model()
    other = CreditModel(model.program, replace(model.policy, cutoff=model.policy.cutoff + 1))
    assert other.id == model.id
    assert other.policy_id != model.policy_id and other.file_hash != model.file_hash
    assert model.id == toy_program().id


def test_a_policy_given_stands_over_the_one_in_the_file() -> None:
    model = toy_model()
    other = CreditModel(model.program, replace(model.policy, cutoff=1))
    assert CreditModel.loads(other.dumps()).policy.cutoff == 1


def test_a_program_without_a_policy_is_no_credit_model() -> None:
    with pytest.raises(DataError, match="needs a policy"):
        CreditModel(toy_program())
    with pytest.raises(DataError, match="needs a policy"):
        CreditModel.loads(dumps(toy_program()))
    with pytest.raises(FormatError):
        CreditModel.loads(toy_model().dumps()[:-1])
    with pytest.raises(OSError, match="No such file"):
        CreditModel.load("nowhere.bimetal")


@pytest.mark.parametrize("kind", ["rising", "table"])
def test_points_that_rise_with_risk_are_refused(kind: str) -> None:
    program = toy_program()
    at = len(program.ops) - 1
    rising = Link(at, "sigmoid", np.array([0.01]), np.zeros(1), NO_INTS, NO_FLOATS)
    table = Link(at, "table", np.ones(1), np.zeros(1), np.array([50_000], "i4"), np.array([0.1, 0.5], "f4"))  # fmt: skip
    link = rising if kind == "rising" else table
    turned = replace(program, ops=(*program.ops[:-1], link))
    with pytest.raises(DataError, match="negative scale"):
        CreditModel(turned, Policy())


def test_one_class_or_three_are_refused() -> None:
    with pytest.raises(DataError, match="two classes"):
        identity = Link(len(toy_program().ops) - 1, "identity", np.ones(1), np.zeros(1), NO_INTS, NO_FLOATS)  # fmt: skip
        CreditModel(
            replace(toy_program(), ops=(*toy_program().ops[:-1], identity), classes=()), Policy()
        )


# What comes in


def test_values_beyond_limits_are_refused_and_special_codes_are_no_values() -> None:
    special = NAMES[4]
    model = toy_model(limits={"age": (18, 110), "income": (0, None), special: (0, 40)})
    names = [c.name for c in model.program.columns]
    rows = np.tile(np.array([30, 40, 30, 30, 20, 0], np.float32), (6, 1))
    rows[1, names.index("age")] = 17.9
    rows[2, names.index("age")] = 230
    rows[3, names.index("income")] = -1
    rows[4, names.index(special)] = BUREAU_CODE  # "no record": no number, no limit
    rows[5, names.index(special)] = -8
    problems = model.check(rows)
    assert [(p.row, p.column) for p in problems] == [
        (3, "income"),
        (1, "age"),
        (2, "age"),
        (5, special),
    ]
    assert all(p.kind == "limit" and p.is_refused for p in problems)
    assert problems[2].message == "18 to 110 expected, got 230"
    assert problems[0].message == "0 to any expected, got -1"


def test_at_a_limit_is_within_it_and_missing_is_no_value() -> None:
    model = toy_model(limits={"age": (18, 110), NAMES[4]: (0, 40)})
    rows = np.tile(np.array([30, 18, 30, 30, np.nan, 0], np.float32), (2, 1))
    rows[1, 1] = 110
    assert model.check(rows) == []


@pytest.mark.parametrize(("way", "is_refused"), [("other", False), ("refuse", True)])
def test_a_category_never_seen_is_told_or_refused(way: str, is_refused: bool) -> None:
    model = toy_model(unknown_category=way)
    table = toy_table(model.program, 3, 1) | {"housing": ["own", "houseboat", "rent"]}
    table = {k: [30.0 if v is None else v for v in vs] for k, vs in table.items()}
    (problem,) = [p for p in model.check(model.rows(table)) if p.kind == "category"]
    assert (problem.row, problem.column, problem.is_refused) == (1, "housing", is_refused)
    assert ("scored as 'other'" in problem.message) != is_refused


def test_tables_of_every_kind_give_the_same_rows() -> None:
    model = toy_model()
    table = toy_table(model.program, 40)
    expected = toy_rows(model.program, 40)
    for kind in (table, Lists(table), pd.DataFrame(table), pd.DataFrame(table)[list(table)[::-1]]):  # fmt: skip
        np.testing.assert_array_equal(model.rows(kind), expected)


def test_columns_go_by_name_and_one_too_few_is_named() -> None:
    model = toy_model()
    table = toy_table(model.program, 4)
    del table["amount"]
    with pytest.raises(ColumnError, match="amount"):
        model.rows(table)


DATED = {"dates": (DateSpec("born", "age", "years"),)}


def with_birth(program: Program, *born: str | None) -> dict[str, list[Any]]:
    table = toy_table(program, len(born))
    table.pop("age")
    return table | {"born": list(born)}


def test_dates_become_numbers_on_the_day_that_is_told() -> None:
    model = toy_model(**DATED)
    table = with_birth(model.program, "1990-06-01", "2000-01-31")
    age = [c.name for c in model.program.columns].index("age")
    assert model.rows(table, "2026-05-31")[:, age].tolist() == [35, 26]
    assert model.rows(table, "2026-06-01")[:, age].tolist() == [36, 26]
    assert model.rows(pd.DataFrame(table), "2026-06-01")[:, age].tolist() == [36, 26]


def test_a_date_in_the_future_and_a_day_not_told_are_refused() -> None:
    model = toy_model(**DATED)
    table = with_birth(model.program, "1990-06-01", "2030-01-31")
    with pytest.raises(DataError, match=r"'born' lies in the future in 1 of 2 rows"):
        model.rows(table, "2026-06-01")
    with pytest.raises(DataError, match="give as_of"):
        model.rows(table)
    with pytest.raises(ColumnError, match="row 1: a date"):
        model.rows(table | {"born": ["1990-06-01", "the first"]}, "2026-06-01")


def test_who_has_the_number_already_need_not_have_the_date() -> None:
    model = toy_model(**DATED)
    table, rows = toy_table(model.program, 5), toy_rows(model.program, 5)
    np.testing.assert_array_equal(model.rows(table), rows)
    np.testing.assert_array_equal(model.rows(rows), rows)
    with pytest.raises(ColumnError, match="there already"):  # which of the two is meant?
        model.rows(table | {"born": ["1990-06-01"] * 5}, "2026-06-01")
    del table["age"]
    with pytest.raises(ColumnError, match="no column 'born' of dates"):
        model.rows(table, "2026-06-01")


# What comes out besides


@pytest.mark.parametrize("seed", SEEDS)
def test_contributions_add_up_to_the_points_exactly(seed: int) -> None:
    model = toy_model(seed, groups={"money": ("income", "amount")}, texts={}, codes={})
    rows = toy_rows(model.program, 60)
    told = model.contributions(rows)
    total = told.numerators.sum(axis=1) + told.base_numerator
    assert np.array_equal(total, model.points(rows) * told.denominator)
    references = np.array(
        [[np.nan if v is None else v for v in r] for r in model.policy.references], "f4"
    )
    mean = Fraction(int(model.points(references).sum()), len(references))
    assert Fraction(told.base_numerator, told.denominator) == mean
    assert model.players[0] == ("money", (0, 2))


@pytest.mark.parametrize("seed", SEEDS)
def test_reasons_are_for_those_not_approved_the_worst_first(seed: int) -> None:
    model = toy_model(seed, max_reasons=3)
    rows = toy_rows(model.program, 80)
    decisions, told = model.assess(rows).decision, model.reasons(rows)
    values = model.contributions(rows).values / model.policy.scaling.unit
    for decision, reasons, row in zip(decisions, told, values, strict=True):
        if decision == "approve":
            assert reasons == []
            continue
        points = [reason.points for reason in reasons]
        assert points == sorted(points) and all(p < 0 for p in points)
        assert points == pytest.approx(sorted(v for v in row if v < 0)[:3])
        for reason in reasons:
            assert reason.text == model.policy.texts[reason.group]
            assert reason.code == model.policy.codes[reason.group]
            assert reason.columns == (reason.group,)


def test_without_words_a_reason_reads_as_its_column() -> None:
    model = toy_model(texts={}, codes={})
    rows = toy_rows(model.program, 40)
    (reason, *_) = next(reasons for reasons in model.reasons(rows) if reasons)
    assert (reason.text, reason.code) == (reason.group, "")


def test_the_referred_have_reasons_too() -> None:
    plain = toy_model()
    band = (plain.policy.cutoff - 2_000, plain.policy.cutoff + 2_000)
    model = CreditModel(plain.program, replace(plain.policy, refer=band))
    rows = toy_rows(model.program, 60)
    referred = np.flatnonzero(model.assess(rows).decision == "refer")
    assert len(referred) and any(model.reasons(rows[referred]))


def test_reasons_need_references_and_say_so() -> None:
    model = toy_model(references=())
    rows = toy_rows(model.program, 40)
    assert model.reasons(rows[model.assess(rows).decision == "approve"][:3]) == [[], [], []]
    with pytest.raises(DataError, match="no references"):
        model.reasons(rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_counterfactual_reaches_approval_by_the_reference(seed: int) -> None:
    plain = toy_model(seed)
    band = (plain.policy.cutoff - 500, plain.policy.cutoff + 300)
    policy = replace(plain.policy, refer=band, one_way={"income": "up"})
    model = CreditModel(plain.program, policy)
    rows = toy_rows(model.program, 60)
    names = [c.name for c in model.program.columns]
    declined = rows[model.assess(rows).decision != "approve"][:6]
    found = 0
    for row in declined:
        answer = model.counterfactuals(row, n=2)
        assert answer.target == policy.approval_points
        for counterfactual in answer.counterfactuals:
            moved = row.copy()
            for change in counterfactual.changes:
                assert change.column != "age"  # immutable
                assert change.column != "income" or change.value > row[names.index("income")]
                moved[names.index(change.column)] = np.nan if change.value is None else change.value
            assert (
                points_of(model.program, moved[None])[0] == counterfactual.points >= answer.target
            )
            assert model.assess(moved[None]).decision[0] == "approve"
            found += 1
    assert found


def test_bits_alone_are_not_enough_where_there_are_dense_layers() -> None:
    small = toy_program()
    encode, rules, readout, link = small.ops
    n = small.values[1].n
    dense = Dense(1, n, np.zeros((1, -(-n // 8)), np.uint8), np.array([n // 2], np.int32))
    wide = np.hstack([readout.weights, [[250]]]).astype(np.int32)
    ops = (encode, rules, dense, Readout((1, 2, 3), wide, readout.bias), replace(link, input=4))
    model = CreditModel(replace(small, ops=ops), replace(toy_policy(small), references=()))
    rows = toy_rows(small, 10)
    assert np.array_equal(model.points(rows), points_of(model.program, rows))
    with pytest.raises(ProgramError, match="dense layers"):
        model.points_of_bits(model.form.bits(rows))


def test_a_column_in_no_group_is_its_own_player() -> None:
    model = toy_model(groups={"money": ("income", "amount")}, texts={}, codes={})
    assert [name for name, _ in model.players] == [
        "money",
        "age",
        "utilisation",
        "enquiries",
        "housing",
    ]
    assert sorted(j for _, columns in model.players for j in columns) == list(range(6))
    assert isinstance(model.program.columns[0], Column)
