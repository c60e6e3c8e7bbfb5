"""The laws of every encoder: a new member of `ENCODERS` is held to them by being listed."""

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.base import clone

from bimetal.columns import to_rows
from bimetal.encoders import ENCODERS, CutPointEncoder, Encoder, OptBinningEncoder
from bimetal.errors import ColumnError, DataError, MissingValueError, NotFiniteError
from bimetal.program import EQ, GE, MISSING, Encode, Link, Program, Readout
from bimetal.reference import trace

OPTIONS: dict[str, Any] = {
    "special_codes": {"score": [-9]},
    "categorical": ["region"],
    "ordinal": {"grade": list("ABCDE")},
    "max_categories": 3,
    "max_bits_per_column": 8,
}
OWN_OPTIONS: dict[type[Encoder], dict[str, Any]] = {
    CutPointEncoder: {"cut_points": {"income": [1, 2.5], "score": [0, 580.5], "grade": [0.5, 2.5]}},
}
NEEDS = {OptBinningEncoder: "optbinning"}

each_encoder = pytest.mark.parametrize(
    "member",
    [
        pytest.param(
            member,
            marks=pytest.mark.skipif(
                member in NEEDS and find_spec(NEEDS[member]) is None,
                reason=f"{NEEDS.get(member)} is not installed",
            ),
        )
        for member in ENCODERS
    ],
    ids=[member.__name__ for member in ENCODERS],
)


@cache
def table(n_rows: int = 500, seed: int = 0) -> tuple[pd.DataFrame, Any]:
    """Draw numbers with gaps and special codes, text with rare values, ordered and coded ones."""
    rng = np.random.default_rng(seed)
    income = rng.lognormal(1.0, 0.7, n_rows)
    score = rng.integers(500, 700, n_rows)
    grade = rng.integers(0, 5, n_rows)
    frame = pd.DataFrame(
        {
            "income": np.where(rng.random(n_rows) < 0.1, np.nan, income),
            "score": np.where(rng.random(n_rows) < 0.1, -9, score),
            "constant": 1.0,
            "housing": rng.choice(
                ["own", "rent", "free", "boat", "tent"], n_rows, p=[0.5, 0.3, 0.15, 0.03, 0.02]
            ),
            "grade": np.array(list("ABCDE"), dtype=object)[grade],
            "region": rng.integers(1, 4, n_rows),
        }
    )
    logit = 0.02 * (600 - score) - np.log(income) + 0.5 * grade
    return frame, (rng.random(n_rows) < 1 / (1 + np.exp(-logit))).astype(int)


def make(member: type[Encoder], **more: Any) -> Encoder:
    return member(**{**OPTIONS, **OWN_OPTIONS.get(member, {}), **more})


@cache
def fitted(member: type[Encoder]) -> Encoder:
    return make(member).fit(*table())


def same(a: Encode, b: Encode) -> bool:
    return all(np.array_equal(x, b.arrays()[name]) for name, x in a.arrays().items())


def program_of(encoder: Encoder) -> Program:
    points = Readout((1,), np.zeros((1, encoder.n_bits_), np.int8), np.zeros(1, np.int32))
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    return Program(
        encoder.columns_, (encoder.op_, points, Link(2, "identity", np.ones(1), np.zeros(1), *none))
    )


def bit(encoder: Encoder, name: str) -> int:
    return encoder.bit_names_.index(name)


def of_kind(encoder: Encoder, kind: int, column: str) -> Any:
    index = [c.name for c in encoder.columns_].index(column)
    return np.flatnonzero((encoder.op_.kind == kind) & (encoder.op_.column == index))


NUMBER = st.sampled_from([np.nan, -9.0, -1.0, 0.0, 1.0, 2.5, 3.0, 580.5, 1e38, -1e38]) | st.floats(
    -1e6, 1e6, width=32
)
ROWS = arrays.arrays(np.float32, st.tuples(st.integers(0, 8), st.just(6)), elements=NUMBER)


@each_encoder
@settings(deadline=None)  # the first call fits
@given(rows=ROWS)
def test_bits_equal_the_reference(member: type[Encoder], rows: Any) -> None:
    encoder = fitted(member)
    bits = encoder.transform_rows(rows)
    assert bits.dtype == bool
    assert bits.shape == (len(rows), encoder.n_bits_)
    np.testing.assert_array_equal(bits, trace(program_of(encoder), rows)[1])


@each_encoder
def test_bits_equal_the_reference_on_cut_points_and_beside_them(member: type[Encoder]) -> None:
    encoder = fitted(member)
    at = np.tile(encoder.op_.value[:, None], 6)
    rows = np.concatenate(
        [np.nextafter(at, -np.inf), at, np.nextafter(at, np.inf)], dtype=np.float32
    )
    expected = trace(program_of(encoder), rows)[1]
    np.testing.assert_array_equal(encoder.transform_rows(rows), expected)


@each_encoder
@settings(deadline=None)  # the first call fits
@given(rows=ROWS)
def test_raising_a_number_never_clears_a_thermometer_bit(member: type[Encoder], rows: Any) -> None:
    encoder = fitted(member)
    regular = np.where(rows == -9, np.nan, rows)
    higher = regular + np.abs(regular) + 1
    ge = encoder.op_.kind == GE
    low, high = (encoder.transform_rows(r)[:, ge] for r in (regular, higher))
    assert (low <= high).all()


@each_encoder
def test_a_missing_value_sets_its_missing_bit_only(member: type[Encoder]) -> None:
    encoder = make(member, missing="always").fit(*table())
    bits = encoder.transform_rows(np.full((1, 6), np.nan, dtype=np.float32))[0]
    np.testing.assert_array_equal(bits, encoder.op_.kind == MISSING)
    assert bits.sum() == 6


@each_encoder
def test_only_columns_with_missing_values_get_a_missing_bit(member: type[Encoder]) -> None:
    missing = [name for name in fitted(member).bit_names_ if name.endswith("is missing")]
    assert missing == ["income is missing"]


@each_encoder
def test_a_special_code_sets_its_own_bit_and_no_thermometer(member: type[Encoder]) -> None:
    encoder = fitted(member)
    frame, _ = table()
    bits = encoder.transform(frame)
    is_special = (frame["score"] == -9).to_numpy()
    np.testing.assert_array_equal(bits[:, bit(encoder, "score == -9")], is_special)
    assert not bits[np.ix_(is_special, of_kind(encoder, GE, "score"))].any()
    cuts = encoder.op_.value[of_kind(encoder, GE, "score")]
    assert (cuts > -9).all(), "a special code is not a value to cut at"


@each_encoder
def test_rare_and_unseen_categories_share_a_bit(member: type[Encoder]) -> None:
    encoder = fitted(member)
    frame, _ = table()
    names = [n for n in encoder.bit_names_ if n.startswith("housing")]
    assert names == ["housing == free", "housing == own", "housing == rent", "housing is other"]
    odd = encoder.transform(frame.assign(housing="castle"))
    rare = encoder.transform(frame.assign(housing="boat"))
    np.testing.assert_array_equal(odd, rare)
    assert odd[:, bit(encoder, "housing is other")].all()
    assert not odd[:, of_kind(encoder, EQ, "housing")[:3]].any()


@each_encoder
def test_an_unseen_category_sets_no_bit_where_training_saw_none(member: type[Encoder]) -> None:
    encoder = fitted(member)
    assert "region is other" not in encoder.bit_names_
    bits = encoder.transform(table()[0].assign(region=77))
    assert not bits[:, of_kind(encoder, EQ, "region")].any()


@each_encoder
def test_a_row_has_exactly_one_value_of_a_category(member: type[Encoder]) -> None:
    encoder = fitted(member)
    bits = encoder.transform(table()[0])
    for column in ("housing", "region"):
        assert (bits[:, of_kind(encoder, EQ, column)].sum(axis=1) == 1).all()


@each_encoder
def test_a_column_that_never_varies_gets_no_bit(member: type[Encoder]) -> None:
    assert not [name for name in fitted(member).bit_names_ if name.startswith("constant")]


@each_encoder
def test_no_two_bits_are_the_same_test_and_names_tell_them_apart(member: type[Encoder]) -> None:
    op = fitted(member).op_
    tests = set(zip(op.column.tolist(), op.kind.tolist(), op.value.tolist(), strict=True))
    assert len(tests) == len(op.column) == len(set(fitted(member).bit_names_))


@each_encoder
def test_the_order_of_rows_does_not_matter(member: type[Encoder]) -> None:
    frame, y = table()
    order = np.random.default_rng(1).permutation(len(y))
    shuffled = make(member).fit(frame.iloc[order], y[order])
    assert same(shuffled.op_, fitted(member).op_)
    np.testing.assert_array_equal(
        fitted(member).transform(frame.iloc[order]), fitted(member).transform(frame)[order]
    )


@each_encoder
def test_a_further_column_or_another_order_changes_nothing_when_scoring(
    member: type[Encoder],
) -> None:
    frame, _ = table()
    other = frame[frame.columns[::-1]].assign(more="x")
    np.testing.assert_array_equal(fitted(member).transform(other), fitted(member).transform(frame))


@each_encoder
def test_every_kind_of_frame_gives_the_same_bits(member: type[Encoder]) -> None:
    frame, y = table()
    polars = pl.from_pandas(frame)
    bits = fitted(member).transform(frame)
    for other in (
        polars,
        polars.lazy(),
        polars.to_arrow(),
        frame.astype({"housing": "category"}),
        frame.to_numpy(),
        to_rows(frame, fitted(member).columns_),
    ):
        np.testing.assert_array_equal(fitted(member).transform(other), bits)
    for training in (polars, polars.to_arrow()):
        assert same(make(member).fit(training, y).op_, fitted(member).op_)


@each_encoder
def test_fitting_twice_gives_the_same_op(member: type[Encoder]) -> None:
    encoder = make(member)
    first = encoder.fit(*table()).op_
    assert same(encoder.fit(*table()).op_, first)


@each_encoder
def test_learning_from_rows_read_before_is_fitting_them(member: type[Encoder]) -> None:
    frame, y = table()
    some = np.arange(0, len(y), 3)
    read = make(member).read(frame, y)
    assert same(make(member).learn(read).op_, fitted(member).op_)
    learned = make(member).learn(read.take(some))
    refitted = make(member).fit(frame.iloc[some], y[some])
    of_numbers = np.isin(learned.op_.column, [0, 1, 2])  # which categories are rare may differ
    again = np.isin(refitted.op_.column, [0, 1, 2])
    np.testing.assert_array_equal(learned.op_.kind[of_numbers], refitted.op_.kind[again])


@each_encoder
def test_a_clone_has_the_parameters_and_not_the_fit(member: type[Encoder]) -> None:
    copy = clone(fitted(member))
    assert copy.get_params() == fitted(member).get_params()
    with pytest.raises(DataError, match="call fit first"):
        copy.transform(table()[0])
    assert same(copy.fit(*table()).op_, fitted(member).op_)
    assert copy.set_params(max_categories=2).get_params()["max_categories"] == 2


@each_encoder
def test_weight_zero_means_not_there(member: type[Encoder]) -> None:
    frame, y = table()
    half = np.arange(len(y)) % 2 == 0
    weighted = make(member).fit(frame, y, sample_weight=half.astype(float))
    assert same(weighted.op_, make(member).fit(frame[half], y[half]).op_)


@each_encoder
def test_at_most_so_many_cut_points_a_column(member: type[Encoder]) -> None:
    if member is CutPointEncoder:
        pytest.skip("the user says how many")
    encoder = make(member, max_bits_per_column=2).fit(*table())
    for column in ("income", "score", "grade"):
        assert 1 <= len(of_kind(encoder, GE, column)) <= 2


@each_encoder
@pytest.mark.parametrize(
    ("changed", "options", "error", "message"),
    [
        ({"income": None}, {}, DataError, r"all are missing in \[income\]"),
        ({"income": np.inf}, {}, NotFiniteError, "income"),
        ({}, {"missing": "error"}, MissingValueError, "income"),
        ({}, {"missing": "never"}, DataError, "'auto', 'always' or 'error', got 'never'"),
        ({}, {"max_categories": 0}, DataError, "max_categories must be .* at least 1, got 0"),
        ({}, {"special_codes": {"scores": [1]}}, ColumnError, r"special_codes names \[scores\]"),
        ({}, {"special_codes": {"housing": [1]}}, ColumnError, "'housing', which holds categories"),
        ({}, {"special_codes": {"score": [np.nan]}}, NotFiniteError, "codes of 'score'"),
        ({}, {"ordinal": {"grades": ["A"]}}, ColumnError, r"ordinal names \[grades\]"),
        ({}, {"categorical": ["where"]}, ColumnError, r"categorical names \[where\]"),
    ],
)
def test_what_does_not_fit_is_named(
    member: type[Encoder], changed: Any, options: Any, error: type[Exception], message: str
) -> None:
    frame, y = table()
    with pytest.raises(error, match=message):
        make(member, **options).fit(frame.assign(**changed), y)


@each_encoder
def test_a_table_without_a_usable_bit_is_refused(member: type[Encoder]) -> None:
    with pytest.raises(DataError, match="no column varies"):
        member().fit(np.ones((20, 3)), np.arange(20) % 2)


@each_encoder
def test_rows_target_and_weights_must_be_as_long(member: type[Encoder]) -> None:
    frame, y = table()
    with pytest.raises(DataError, match="y needs one value a row"):
        make(member).fit(frame, y[:-1])
    with pytest.raises(DataError, match="sample_weight needs 500"):
        make(member).fit(frame, y, y[:-1])
    with pytest.raises(DataError, match="at least one row"):
        make(member).fit(frame.iloc[:0], y[:0])
    for weight in (-1.0, np.nan, 0.0):
        with pytest.raises(DataError, match="not 0 everywhere"):
            make(member).fit(frame, y, np.full(len(y), weight))
