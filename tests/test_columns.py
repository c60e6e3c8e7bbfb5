"""Tables of every kind become the same raw rows, and what does not fit is named."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal.columns import (
    Column,
    feature_names,
    infer_columns,
    require_finite,
    require_known_missing,
    to_rows,
)
from bimetal.errors import ColumnError, DataError, MissingValueError, NotFiniteError

COLUMNS = (
    Column("age"),
    Column("housing", "category", ("own", "rent")),
    Column("grade", "category", (1, 2, 5)),
)
VALUES = {
    "age": [31, None, 44],
    "housing": ["rent", "boat", None],
    "grade": [5, None, 3],
}
ROWS = np.array([[31, 1, 2], [np.nan, -1, np.nan], [44, np.nan, -1]], dtype=np.float32)
BY_POSITION = np.array(list(zip(*VALUES.values(), strict=True)), dtype=object)

FRAMES = {
    "pandas": pd.DataFrame(VALUES),
    "pandas_nullable": pd.DataFrame(VALUES).astype({"age": "Int64", "grade": "Int64"}),
    "pandas_categorical": pd.DataFrame(VALUES).astype("category"),
    "pandas_object": pd.DataFrame(VALUES, dtype=object),
    "pandas_arrow": pd.DataFrame(VALUES).convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.DataFrame(VALUES),
    "polars_lazy": pl.LazyFrame(VALUES),
    "polars_categorical": pl.DataFrame(VALUES).cast({"housing": pl.Categorical}),
    "arrow": pa.table(VALUES),
    "arrow_dictionary": pa.table(
        {**VALUES, "housing": pa.array(VALUES["housing"]).dictionary_encode()}
    ),
    "objects": BY_POSITION,
    "list": BY_POSITION.tolist(),
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_kind_of_table_gives_the_same_rows(name: str) -> None:
    rows = to_rows(FRAMES[name], COLUMNS)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, ROWS)


@pytest.mark.parametrize("name", [n for n in FRAMES if n not in ("objects", "list", "polars_lazy")])
def test_frames_are_matched_by_name(name: str) -> None:
    frame = FRAMES[name]
    if isinstance(frame, pa.Table):
        shuffled = frame.select(["grade", "age", "housing"]).append_column("more", [[1, 2, 3]])
    elif isinstance(frame, pl.DataFrame):
        shuffled = frame.select("grade", "age", "housing", pl.lit(1).alias("more"))
    else:
        shuffled = frame[["grade", "age", "housing"]].assign(more=1)
    np.testing.assert_array_equal(to_rows(shuffled, COLUMNS), ROWS)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.floats(width=32), st.integers(-(2**40), 2**40), st.booleans()),
        min_size=1,
    )
)
def test_numbers_are_rounded_to_float32_once(values: list[float | int | bool | None]) -> None:
    wide = np.array(values, dtype=np.float64)
    table = np.array([values], dtype=object).T
    np.testing.assert_array_equal(to_rows(table, (Column("x"),))[:, 0], wide.astype(np.float32))
    np.testing.assert_array_equal(
        to_rows(wide[:, None], (Column("x"),)), to_rows(table, (Column("x"),))
    )


@settings(deadline=None)
@given(st.permutations(range(4)), st.lists(st.sampled_from([*"abcd", "unseen", None])))
def test_a_code_is_the_position_of_its_category(order: list[int], values: list[str | None]) -> None:
    categories = tuple("abcd"[i] for i in order)
    expected = [
        np.nan if v is None else categories.index(v) if v in categories else -1 for v in values
    ]
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.String)})
    rows = to_rows(frame, (Column("x", "category", categories),))
    np.testing.assert_array_equal(rows[:, 0], np.array(expected, dtype=np.float32))


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16", "float32", "float64", "bool"])
def test_an_array_of_numbers_holds_raw_rows_already(dtype: str) -> None:
    array = np.asfortranarray(np.array([[1, 0], [0, 1]], dtype=dtype))
    columns = (Column("x0"), Column("x1", "category", ("a", "b")))
    rows = to_rows(array, columns)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, array.astype(np.float32))


def test_float32_rows_are_not_copied() -> None:
    rows = np.zeros((3, 2), dtype=np.float32)
    assert to_rows(rows, (Column("a"), Column("b"))) is rows


def test_masked_values_are_missing() -> None:
    masked = np.ma.masked_equal(np.array([[1, -9], [-9, 2]]), -9)
    rows = to_rows(masked, (Column("a"), Column("b")))
    np.testing.assert_array_equal(rows, [[1, np.nan], [np.nan, 2]])


def test_decimals_and_booleans_are_numbers() -> None:
    exact = pl.DataFrame({"x": [Decimal("1.5"), None], "y": [True, None]})
    expected = np.array([[1.5, 1], [np.nan, np.nan]], dtype=np.float32)
    columns = (Column("x"), Column("y"))
    for table in (exact, exact.to_arrow(), exact.to_pandas(), exact.rows()):
        np.testing.assert_array_equal(to_rows(table, columns), expected)


def test_infinities_pass_and_are_refused_at_the_door() -> None:
    rows = to_rows(np.array([[1.0, 2.0], [np.inf, 3.0]]), (Column("a"), Column("b")))
    assert np.isinf(rows[1, 0])
    with pytest.raises(NotFiniteError, match=r"column \[a\] \(first in row 1"):
        require_finite(rows, (Column("a"), Column("b")))
    require_finite(rows[:1], (Column("a"), Column("b")))


def test_missing_values_need_a_bit() -> None:
    columns = (Column("a"), Column("b"), Column("c"))
    rows = np.array([[np.nan, 0, 0], [0, np.nan, np.nan]], dtype=np.float32)
    require_known_missing(rows, columns, [True, True, True])
    with pytest.raises(MissingValueError, match=r"columns \[b, c\] \(first in row 1"):
        require_known_missing(rows, columns, [True, False, False])


@pytest.mark.parametrize(
    "table", [np.array([[1.0], [1e300]]), pl.DataFrame({"income": [1.0, 1e300]}), [[1], [10**400]]]
)
def test_a_number_too_large_for_float32_is_named(table: object) -> None:
    with pytest.raises(NotFiniteError, match="income"):
        to_rows(table, (Column("income"),))


def test_an_empty_table_gives_no_rows() -> None:
    for table in (pd.DataFrame(VALUES).iloc[:0], pl.DataFrame(VALUES).head(0), BY_POSITION[:0]):
        assert to_rows(table, COLUMNS).shape == (0, 3)


def test_a_missing_column_is_named_with_its_likeliest_misspelling() -> None:
    frame = pl.DataFrame({"age": [1], "housings": ["own"]})
    with pytest.raises(ColumnError) as error:
        to_rows(frame, COLUMNS)
    assert str(error.value) == (
        "expected 3 columns [age, housing, grade], got 2; "
        "missing 'housing' (did you mean 'housings'?), 'grade'"
    )


def test_an_array_of_another_width_is_refused() -> None:
    with pytest.raises(
        ColumnError, match=r"expected 3 columns \[age, housing, grade\], got an array with 2"
    ):
        to_rows(np.zeros((4, 2)), COLUMNS)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=["1", 1]),
        pa.table([[1], [2]], names=["a", "a"]),
    ],
)
def test_a_doubled_column_is_refused(frame: object) -> None:
    with pytest.raises(ColumnError, match="name of its own"):
        to_rows(frame, (Column("a"),))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (Column("x"), ["12", "13"], r"column 'x' must hold numbers, got .* such as '12'"),
        (Column("x"), [datetime.date(2020, 1, 2)], "'x' must hold numbers or text.*turn dates"),
        (Column("x"), [datetime.datetime(2020, 1, 2)], "'x' must hold numbers or text.*turn dates"),
        (
            Column("x", "category", ("a",)),
            [3, 4],
            "categories that are text, such as 'a'; got .* 3",
        ),
        (
            Column("x", "category", (1,)),
            ["a"],
            "categories that are numbers, such as 1; got .* 'a'",
        ),
        (Column("x"), [b"1"], "must hold numbers or text, got .* such as b'1'"),
    ],
)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_column_of_the_wrong_type_is_named_with_an_example(
    make: type, column: Column, values: list[object], message: str
) -> None:
    with pytest.raises(ColumnError, match=message):
        to_rows(make({"x": values}), (column,))


def test_dates_are_no_numbers_in_an_array_either() -> None:
    with pytest.raises(ColumnError, match="turn dates"):
        to_rows(np.array([[datetime.date(2020, 1, 2)]], dtype=object), (Column("x"),))
    with pytest.raises(ColumnError, match="turn dates"):
        to_rows(np.array([["2020-01-02"]], dtype="datetime64[D]"), (Column("x"),))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(3), "Reshape your data"),
        (np.zeros((2, 2, 2)), "n_rows, n_columns"),
        (pd.Series([1, 2]), "Reshape your data"),
        (np.zeros((3, 0)), r"0 feature\(s\)"),
        (pd.DataFrame(), "without columns"),
        (np.zeros((2, 1), dtype=complex), "Complex data not supported"),
        ([[1], [2, 3]], "rows of one length"),
        ("table.csv", "n_rows, n_columns"),
        (None, "n_rows, n_columns"),
    ],
)
def test_what_is_no_table_is_refused(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_rows(data, (Column("x"),))


def test_a_sparse_table_is_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DataError, match="sparse"):
        to_rows(sparse.eye(2).tocsr(), (Column("x"), Column("y")))


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_text_becomes_categories_and_numbers_stay_numbers(make: type) -> None:
    frame = make({"n": [1.5, None], "t": ["b", "a"], "b": [True, False], "void": [None, None]})
    assert infer_columns(frame) == (
        Column("n"),
        Column("t", "category", ("a", "b")),
        Column("b"),
        Column("void"),
    )


def test_an_order_of_the_type_is_kept() -> None:
    levels = ["low", "high", "never"]
    ordered = pd.DataFrame({"x": pd.Categorical(["high", "low"], levels, ordered=True)})
    enum = pl.DataFrame({"x": pl.Series(["high", "low"], dtype=pl.Enum(levels))})
    loose = pd.DataFrame({"x": pd.Categorical(["low", "high"], levels)})
    ranks = pd.DataFrame({"x": pd.Categorical([2, 10], [10, 2], ordered=True)})
    assert infer_columns(ranks) == (Column("x", "category", (10, 2)),)
    for frame in (ordered, enum):
        assert infer_columns(frame) == (Column("x", "category", ("low", "high", "never")),)
    assert infer_columns(loose) == (Column("x", "category", ("high", "low")),)


def test_whole_numbers_become_categories_on_request_only() -> None:
    frame = pd.DataFrame({"code": [3, 1, None], "level": pd.Categorical([2, 1, 2])})
    assert infer_columns(frame) == (Column("code"), Column("level", "category", (1, 2)))
    assert infer_columns(frame, ["code"])[0] == Column("code", "category", (1, 3))
    codes = np.array([[0.0, 2.0], [1.5, np.nan]])
    assert infer_columns(codes, ["x1"]) == (Column("x0"), Column("x1", "category", (0, 1, 2)))


def test_categories_on_request_may_mix_text_and_numbers() -> None:
    frame = pd.DataFrame({"code": [3, "?", 1.0]}, dtype=object)
    assert infer_columns(frame, ["code"]) == (Column("code", "category", (1, 3, "?")),)
    with pytest.raises(ColumnError, match=r"mixes text such as '\?' with numbers such as 3"):
        infer_columns(frame)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"x0": [0.5, 1.0]}), "text or whole numbers, got 0.5"),
        (pd.DataFrame({"x0": [np.inf, 1.0]}), "text or whole numbers, got inf"),
        (np.array([[0.5], [1.0]]), "must hold the codes 0, 1"),
        (np.array([[-7], [1]]), "must hold the codes 0, 1"),
        (pd.DataFrame({"other": [1]}), r"categorical names \[x0\], but the columns are \[other\]"),
    ],
)
def test_what_cannot_be_a_category_is_refused(table: object, message: str) -> None:
    with pytest.raises(ColumnError, match=message):
        infer_columns(table, ["x0"])


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, width=32), st.sampled_from(["a", "b"])), min_size=1
    )
)
def test_a_training_table_fits_its_own_columns(values: list[tuple[float, str]]) -> None:
    frame = pl.DataFrame(values, schema=["n", "c"], orient="row")
    rows = to_rows(frame, infer_columns(frame))
    assert not np.isnan(rows).any()
    assert (rows[:, 1] >= 0).all()


def test_an_array_has_names_too() -> None:
    assert feature_names(np.zeros((1, 3))) == ("x0", "x1", "x2")
    assert feature_names(pd.DataFrame({7: [1]})) == ("7",)
