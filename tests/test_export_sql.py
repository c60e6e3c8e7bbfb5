"""SQL: one statement for three databases, exact down to the last bit, whatever names and values it meets."""

import csv
import io
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_programs import (
    HOSTILE,
    HOSTILE_VALUES,
    bits_as_points,
    encode,
    layered,
    link,
    wide_net,
)
from hypothesis import example, given
from hypothesis import strategies as st

from bimetal import reference
from bimetal.columns import Column
from bimetal.errors import ExportError
from bimetal.export import Job, job_for
from bimetal.export.doubles import highest, lowest
from bimetal.export.rows import rows_for
from bimetal.export.sql import TARGET
from bimetal.export.sql.databases import DIALECTS
from bimetal.export.sql.places import cluster, create_table, psql, values_of
from bimetal.export.verify import hold
from bimetal.ops import EQ, GE, MISSING, Link, Lut, Op, Readout, RowThreshold
from bimetal.program import Program

PLACES = {place.name: place for place in TARGET.places}
NAMES = ("duckdb", "postgresql", "sqlite")
Runner = Callable[[str, Sequence[Sequence[Any]], str], list[tuple[Any, ...]]]


def job_of(program: Program, dialect: str, **options: Any) -> Job:
    return job_for(program, TARGET, "net", "net", {"dialect": dialect, **options})


def statement(job: Job) -> str:
    return TARGET.write(job)[".sql"].decode().rstrip().removesuffix(";")


def run_duckdb(create: str, values: Sequence[Sequence[Any]], select: str) -> list[tuple[Any, ...]]:
    duckdb = pytest.importorskip("duckdb")
    with closing(duckdb.connect(config={"threads": 1})) as base:
        base.execute(create)
        if values:
            marks = ", ".join("?" * len(values[0]))
            base.executemany(f"INSERT INTO {table_of(create)} VALUES ({marks})", values)
        return base.execute(select).fetchall()


def run_sqlite(create: str, values: Sequence[Sequence[Any]], select: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:")) as base:
        base.execute(create)
        if values:
            marks = ", ".join("?" * len(values[0]))
            base.executemany(f"INSERT INTO {table_of(create)} VALUES ({marks})", values)
        return base.execute(select).fetchall()


def table_of(create: str) -> str:
    """Return the table's name, which may hold anything but a space and a parenthesis in a row."""
    return create.removeprefix("CREATE TABLE ").rpartition(" (")[0].partition(" (")[0]


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    for tool in PLACES["postgresql"].tools:
        if tool.find() is None:
            pytest.skip(f"needs {tool.name}: {tool.install}")
    with cluster() as home:
        yield home


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(literal, value))}]::double precision[]"
    if isinstance(value, float):
        return f"'{value!r}'"
    return DIALECTS["postgresql"].string(value) if isinstance(value, str) else str(value)


@pytest.fixture
def run(request: pytest.FixtureRequest, dialect: str) -> Runner:
    """Make a table, fill it, run a statement, and return what comes."""
    if dialect != "postgresql":
        return {"duckdb": run_duckdb, "sqlite": run_sqlite}[dialect]
    home = request.getfixturevalue("server")

    def run_postgresql(create: str, values: Sequence[Sequence[Any]], select: str) -> Any:
        rows = ",\n".join(f"({', '.join(map(literal, row))})" for row in values)
        fill = f"INSERT INTO {table_of(create)} VALUES {rows};\n" if values else ""
        script = f"BEGIN;\n{create};\n{fill}COPY ({select}) TO STDOUT (FORMAT csv);\nROLLBACK;\n"
        printed = psql(home, script.encode()).decode()
        return [tuple(row) for row in csv.reader(io.StringIO(printed, newline=""))]

    return run_postgresql


pytestmark = pytest.mark.filterwarnings("error")
each_dialect = pytest.mark.parametrize("dialect", NAMES)


def points_and_answers(program: Program, came: Sequence[Sequence[Any]], first: int = 0) -> Any:
    n = program.values[program.ops[-1].input].n  # type: ignore[union-attr]
    numbers = [[float(x) for x in row[first : first + n + program.n_outputs]] for row in came]
    table = np.array(numbers).reshape(len(came), n + program.n_outputs)
    return table[:, :n].astype(np.int32), table[:, n:].astype(np.float32)


def assert_exact(
    program: Program, rows: Any, came: Sequence[Sequence[Any]], first: int = 0
) -> None:
    points, answers = points_and_answers(program, came, first)
    values = reference.trace(program, rows)
    np.testing.assert_array_equal(points, values[program.ops[-1].input])  # type: ignore[union-attr]
    np.testing.assert_array_equal(answers.view(np.uint32), values[-1].view(np.uint32))


def scored(run: Runner, program: Program, dialect: str, rows: Any, **options: Any) -> Any:
    job = job_of(program, dialect, **options)
    return run(create_table(job), list(values_of(job, rows)), statement(job))


# Bounds of doubles

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(float32s, st.integers(-2, 2))
@example(0.0, 0)
@example(-0.0, 0)
@example(float(np.finfo(np.float32).max), 0)
@example(float(np.finfo(np.float32).min), 0)
@example(2.0**-149, 0)
@example(-(2.0**-149), 0)
@example(2.0**-126, 0)
def test_a_double_passes_the_bound_exactly_when_its_float32_passes_the_cut(
    cut: float, steps: int
) -> None:
    for x in (lowest(cut), highest(cut), cut):
        for _ in range(abs(steps)):
            x = float(np.nextafter(x, np.copysign(np.inf, steps)))
        with np.errstate(over="ignore", under="ignore"):
            rounded = np.float64(x).astype(np.float32)
        assert (x >= lowest(cut)) == bool(rounded >= np.float32(cut))
        assert (x <= highest(cut)) == bool(rounded <= np.float32(cut))


@each_dialect
def test_a_database_reads_each_number_as_just_that_double(run: Runner, dialect: str) -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 2**63, 300, dtype=np.uint64) | (
        rng.integers(0, 2, 300).astype(np.uint64) << 63
    )
    doubles = [x for x in raw.view(np.float64).tolist() if np.isfinite(x)]
    doubles += [lowest(c) for c in rng.normal(0, 100, 100).astype(np.float32)]
    doubles += [
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        2.0**-1000,
        2.0**70,
        0.1,
        1 / 3,
        30.0,
    ]
    number, double = DIALECTS[dialect].number, DIALECTS[dialect].double
    shown = ", ".join(f"CAST({number(x)} AS {double})" for x in doubles)
    ((*came,),) = run("CREATE TABLE t (a integer)", [[1]], f"SELECT {shown} FROM t")
    assert [float(x) for x in came] == doubles


@each_dialect
def test_doubles_between_two_float32_score_as_the_float32_that_they_round_to(
    run: Runner, dialect: str
) -> None:
    cuts = [30.0, 0.1, -9.0, 1e-45, -0.0, 16777216.0, float(np.finfo(np.float32).max)]
    first = encode(
        [(0, kind, cut) for cut in cuts for kind in (GE, EQ)] + [(0, MISSING, 0)], [(0, -9.0)]
    )
    program = bits_as_points([Column("x")], first)
    near = [b for cut in cuts for b in (lowest(cut), highest(cut), float(np.float32(cut)))]
    doubles = [float(np.nextafter(x, to)) for x in near for to in (-np.inf, x, np.inf)]
    doubles += [1e300, -1e300, 1e-300, -1e-300, np.inf, -np.inf]
    job = job_of(program, dialect)
    came = run(create_table(job), [[x] for x in doubles], statement(job))
    with np.errstate(over="ignore", under="ignore"):
        rows = np.array(doubles).astype(np.float32)[:, None]
    assert_exact(program, rows, came)


# Layers and links


@each_dialect
def test_layers_of_every_kind_equal_the_reference(run: Runner, dialect: str) -> None:
    program = layered([Column(f"c{i}") for i in range(5)])
    rows = rows_for(program, 60, 1)
    assert_exact(program, rows, scored(run, program, dialect, rows))


def answering(kind: str, scale: Sequence[float], offset: Sequence[float]) -> Program:
    """Return a Program whose points count how far a number has come: 0, 1, 2, 5, 8 and so on."""
    first = encode([(0, GE, float(c)) for c in range(1, 13)])
    weights = np.array(
        [[1, 1, 3, 3, 40, 900, 7, 1, 16777216 - 956, 1, 2, 1]] * len(scale), np.int32
    )
    ops = (
        first,
        Readout((1,), weights, np.zeros(len(scale), np.int32)),
        link(2, kind, scale, offset),
    )
    return Program((Column("x"),), ops)


LINKS = {
    "identity": (
        "identity",
        [1.0, 1.0 / 3, 1e-48, -1e-50, 1e38, -1e279],
        [0.0, 0.5, 0.0, -1e-60, 0.0, 0.0],
    ),
    "sigmoid": ("sigmoid", [1e-4], [-0.3]),
    "sigmoid that falls": ("sigmoid", [-0.05], [2.0]),
    "sigmoid beyond": ("sigmoid", [1e200], [-5e-324]),
    "sigmoid of next to nothing": ("sigmoid", [5e-324], [0.0]),
    "softmax": ("softmax", [1e-4, 0.7, -0.003], [1.0, 0.0, 30.0]),
    "softmax of next to nothing": ("softmax", [5e-324, 1e-310], [0.0, 0.0]),
    "softmax beyond": ("softmax", [1e279, -1e279], [0.0, 1e289]),
    "softmax of many": ("softmax", [0.001 * c for c in range(-52, 52)], [0.0] * 104),
}


@each_dialect
@pytest.mark.parametrize("name", LINKS)
def test_answers_of_each_link_equal_the_reference(run: Runner, dialect: str, name: str) -> None:
    program = answering(*LINKS[name])
    rows = np.arange(0, 14, dtype=np.float32)[:, None]
    came = scored(run, program, dialect, rows)
    if name == "identity" and dialect == "sqlite":  # it keeps no sign of zero
        _, answers = points_and_answers(program, came)
        np.testing.assert_array_equal(answers, reference.run(program, rows))
    else:
        assert_exact(program, rows, came)


@each_dialect
def test_a_staircase_answers_as_the_reference_does(run: Runner, dialect: str) -> None:
    base = answering("identity", [1.0], [0.0])
    values = np.array([0, 1e-45, 0.1, 0.3, 0.3, 1], np.float32)
    stairs = Link(
        2, "table", np.ones(1), np.zeros(1), np.array([-5, 1, 2, 8, 900], np.int32), values
    )
    program = Program(base.columns, (*base.ops[:-1], stairs))
    rows = np.arange(0, 14, dtype=np.float32)[:, None]
    assert_exact(program, rows, scored(run, program, dialect, rows))


def test_sqlite_rounds_a_double_to_float32_as_hardware_does() -> None:
    rng = np.random.default_rng(1)
    doubles = np.concatenate(
        [
            rng.normal(0, 1, 2000) * 2.0 ** rng.integers(-155, 129, 2000),
            (rng.integers(2**24, 2**25, 500) * 2 + 1)
            * 2.0 ** rng.integers(-175, 100, 500),  # halves
            np.array([0.0, 2.0**-150, 1.5 * 2.0**-149, 2.0**-149, 5e-324, 1e-300, 1e300, -1e300]),
            np.array([2.0**128 - 2.0**103, np.nextafter(2.0**128 - 2.0**103, 0), 2.0**128]),
        ]
    )
    with closing(sqlite3.connect(":memory:")) as base:
        base.execute("CREATE TABLE t (z0 REAL)")
        base.executemany("INSERT INTO t VALUES (?)", [[x] for x in doubles.tolist()])
        came = base.execute(f"SELECT {DIALECTS['sqlite'].rounded('z0')} FROM t").fetchall()
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(
            np.array(came)[:, 0], doubles.astype(np.float32).astype(float)
        )


@each_dialect
def test_a_table_of_few_bits_is_still_one_of_64(run: Runner, dialect: str) -> None:
    # As a 32-bit number, 5 >> 32 is 5 again in PostgreSQL, and the upper half of -6 is gone.
    words = np.array([5, 2**64 - 6, 2**31, 2**63, 2**64 - 2**31 - 1, 0, 2**64 - 1], np.uint64)
    tables = words.astype("<u8").view(np.uint8).reshape(-1, 8)
    places = np.tile(np.arange(6, dtype=np.uint16), (len(words), 1))
    n = len(words)
    ops: tuple[Op, ...] = (
        encode([(j, GE, 0.5) for j in range(6)]),
        Lut(1, places, tables),
        Readout((2,), np.eye(n, dtype=np.int8), np.zeros(n, np.int32)),
        link(3, "identity", [1.0] * n, [0.0] * n),
    )
    program = Program(tuple(Column(f"x{j}") for j in range(6)), ops)
    rows = (np.arange(64)[:, None] >> np.arange(6) & 1).astype(np.float32)
    assert_exact(program, rows, scored(run, program, dialect, rows))


@each_dialect
@pytest.mark.parametrize(
    ("top", "bottom", "weight"), [(0, 1, 9), (3, 2, 100), (255, 251, 2_000_000)]
)
def test_a_row_threshold_is_exact_or_refused(
    run: Runner, dialect: str, top: int, bottom: int, weight: int
) -> None:
    rng = np.random.default_rng(top)
    first = encode([(0, GE, float(c)) for c in range(24)])
    ops: tuple[Op, ...] = (
        first,
        Readout(
            (1,), rng.integers(-weight, weight, (12, 24)).astype(np.int32), np.zeros(12, np.int32)
        ),
        RowThreshold(2, 6, top, bottom),
        Readout((3,), np.eye(12, dtype=np.int8), np.zeros(12, np.int32)),
        link(4, "identity", [1.0] * 12, [0.0] * 12),
    )
    program = Program((Column("x"),), ops)
    rows = np.arange(-1, 25, dtype=np.float32)[:, None]
    if dialect == "sqlite" and weight > 1000:
        with pytest.raises(ExportError, match="beyond 64 bits"):
            job_of(program, dialect)
    else:
        assert_exact(program, rows, scored(run, program, dialect, rows))


@each_dialect
def test_the_class_is_the_largest_answer_and_the_first_of_equals(run: Runner, dialect: str) -> None:
    # Points 0, 1 and 2 give doubles that part beyond float32: the answers are equal, the doubles not.
    base = answering("identity", [1e-12, 2e-12, 0.0], [1.0, 1.0, 1.0])
    program = Program(base.columns, base.ops, ("it's", "b\\", "c"))
    rows = np.array([[0], [1], [4], [12]], np.float32)
    came = scored(run, program, dialect, rows)
    wanted = [program.classes[c] for c in reference.run(program, rows).argmax(axis=1)]
    assert [row[-1] for row in came] == wanted
    assert wanted[1] == "it's"


@pytest.mark.parametrize(
    ("classes", "wanted"),
    [
        ((7, -3), [7, -3]),
        ((True, False), [True, False]),
        ((0.1, 2.5), [0.1, 2.5]),
        ((1, "1"), ["1", "1"]),
    ],
)
def test_class_labels_keep_their_type(classes: Any, wanted: list[Any]) -> None:
    base = answering("identity", [1.0, -1.0], [-2.0, 0.0])
    program = Program(base.columns, base.ops, classes)
    came = scored(run_duckdb, program, "duckdb", np.array([[12], [0]], np.float32))
    assert [row[-1] for row in came] == wanted
    assert [type(row[-1]) for row in came] == [type(label) for label in wanted]


# Names and values of strangers


@each_dialect
def test_names_of_strangers_are_names_and_nothing_else(run: Runner, dialect: str) -> None:
    columns = [Column(name) for name in HOSTILE]
    program = layered(columns)
    rows = rows_for(program, 20, 2)
    options = {"table": '"; SELECT 1; --', "key": "K\"e'y"}
    came = scored(run, program, dialect, rows, **options)
    assert [int(row[0]) for row in came] == list(range(20))
    assert_exact(program, rows, came, first=1)


@each_dialect
@pytest.mark.parametrize("table", ["step_0", "raw", "STEP_1", "v1_0", "answer_0"])
def test_a_table_may_have_a_name_that_we_would_have_used(
    run: Runner, dialect: str, table: str
) -> None:
    program = layered([Column("raw"), Column("raw_"), Column("step_2")])
    rows = rows_for(program, 5, 2)
    assert_exact(program, rows, scored(run, program, dialect, rows, table=table))


@each_dialect
def test_categories_of_strangers_are_values_and_nothing_else(run: Runner, dialect: str) -> None:
    columns = [
        Column("text", "category", HOSTILE_VALUES),
        Column("whole", "category", (3, -(2**63), 2**63 - 1, 0)),
        Column("mixed", "category", (3, "three", "-1")),
        Column("none", "category", ()),
    ]
    codes = (
        [(0, c) for c in range(len(HOSTILE_VALUES))]
        + [(1, c) for c in range(4)]
        + [(2, c) for c in range(3)]
    )
    tests = [(j, kind, c) for j, c in [*codes, *((j, -1) for j in range(4))] for kind in (EQ, GE)]
    first = encode([*tests, *((j, MISSING, 0) for j in range(4))], [(0, 3.0)])
    program = bits_as_points(columns, first)
    rows = rows_for(program, 80, 3)
    assert_exact(program, rows, scored(run, program, dialect, rows))


@each_dialect
def test_a_name_with_nul_is_refused(dialect: str) -> None:
    with pytest.raises(ExportError, match="NUL"):
        job_of(layered([Column("a\0b")]), dialect)
    with pytest.raises(ExportError, match="NUL"):
        job_of(bits_as_points([Column("a", "category", ("x\0",))], encode([(0, EQ, 0)])), dialect)
    with pytest.raises(ExportError, match="NUL"):
        job_of(layered([Column("a")]), dialect, table="x\0")
    with pytest.raises(ExportError, match="NUL"):
        job_of(layered([Column("a")], classes=("x\0", "y")), dialect)


def test_a_name_that_postgresql_would_cut_is_refused() -> None:
    program = layered([Column("é" * 32)])  # 64 bytes
    with pytest.raises(ExportError, match="cuts names after 63 bytes"):
        job_of(program, "postgresql")
    with pytest.raises(ExportError, match="cuts names after 63 bytes"):
        job_of(layered([Column("a")]), "postgresql", table="t" * 64)
    job_of(program, "duckdb")


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
def test_names_that_differ_in_case_only_are_refused_where_they_are_one(dialect: str) -> None:
    program = layered([Column("Age"), Column("age")])
    with pytest.raises(ExportError, match="upper and lower case"):
        job_of(program, dialect)
    job_of(program, "postgresql")


@each_dialect
def test_a_key_that_is_called_like_an_output_is_refused(dialect: str) -> None:
    with pytest.raises(ExportError, match="name of an output"):
        job_of(layered([Column("a")]), dialect, key="Points_0")


@each_dialect
def test_a_key_may_be_a_column_of_the_program(run: Runner, dialect: str) -> None:
    program = layered([Column("a"), Column("b")])
    rows = np.array([[1.5, 2], [3.25, np.nan]], np.float32)
    came = scored(run, program, dialect, rows, key="a")
    assert [float(row[0]) for row in came] == [1.5, 3.25]


@each_dialect
def test_categories_that_sql_cannot_tell_apart_are_refused(dialect: str) -> None:
    program = bits_as_points([Column("a", "category", (3, "3"))], encode([(0, EQ, 0)]))
    with pytest.raises(ExportError, match="cannot tell them apart"):
        job_of(program, dialect)


@each_dialect
def test_an_empty_table_name_is_refused(dialect: str) -> None:
    with pytest.raises(ExportError, match="must name the table"):
        job_of(layered([Column("a")]), dialect, table="")


def test_what_is_too_large_for_one_statement_is_refused() -> None:
    many = bits_as_points([Column("a", "category", tuple(range(10_001)))], encode([(0, EQ, 0)]))
    with pytest.raises(ExportError, match="10,001 categories"):
        job_of(many, "duckdb")
    with pytest.raises(ExportError, match="binary weights"):
        job_of(wide_net([1024, 1024], 4), "duckdb")
    wide = wide_net([16_000, 1], 4)
    with pytest.raises(ExportError, match="columns at once"):
        TARGET.write(job_of(wide, "sqlite"))


# Tables as they are


@pytest.mark.parametrize("dialect", ["duckdb", "postgresql"])
def test_arrays_are_read_element_by_element(run: Runner, dialect: str) -> None:
    program = layered([Column("before"), Column("pixels", "array", size=3), Column("after")])
    tests = [(j, k, 0.5) for j in range(5) for k in (GE, MISSING)]
    program = bits_as_points(program.columns, encode(tests))
    rows = rows_for(program, 20, 5)
    rows[0, 1:4] = np.nan
    assert_exact(program, rows, scored(run, program, dialect, rows))


def test_sqlite_has_no_arrays_and_says_so() -> None:
    program = bits_as_points([Column("pixels", "array", size=3)], encode([(1, GE, 0.5)]))
    with pytest.raises(ExportError, match="no arrays"):
        job_of(program, "sqlite")


TYPES = {
    "duckdb": ["INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(12, 3)"],
    "postgresql": ["integer", "bigint", "real", "double precision", "numeric(12, 3)", "numeric"],
    "sqlite": ["INTEGER", "REAL", "NUMERIC", "", "TINYINT"],
}


@each_dialect
def test_a_number_may_have_any_type_of_numbers(run: Runner, dialect: str) -> None:
    first = encode(
        [(0, kind, v) for v in (-3, 0, 7, 16777216) for kind in (GE, EQ)] + [(0, MISSING, 0)]
    )
    program = bits_as_points([Column("x")], first)
    whole = [-4, -3, -2, 0, 6, 7, 8, 16777215, 16777216, 16777217, None]
    rows = np.array([[np.nan if v is None else v] for v in whole], np.float64).astype(np.float32)
    for kind in TYPES[dialect]:
        job = job_of(program, dialect)
        assert_exact(
            program,
            rows,
            run(f'CREATE TABLE "applications" ("x" {kind})', [[v] for v in whole], statement(job)),
        )


@pytest.mark.parametrize("dialect", ["duckdb", "postgresql"])
def test_nan_is_missing_as_null_is(run: Runner, dialect: str) -> None:
    program = bits_as_points([Column("x")], encode([(0, GE, 0), (0, EQ, 0), (0, MISSING, 0)]))
    kind = DIALECTS[dialect].double
    came = run(
        f'CREATE TABLE "applications" ("x" {kind})',
        [[float("nan")], [None]],
        statement(job_of(program, dialect)),
    )
    assert_exact(program, np.full((2, 1), np.nan, np.float32), came)


def test_in_sqlite_a_column_that_is_not_there_is_an_error_and_no_text() -> None:
    job = job_of(layered([Column("a"), Column("b")]), "sqlite")
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        run_sqlite('CREATE TABLE "applications" ("a" REAL)', [], statement(job))


def test_in_sqlite_text_among_numbers_stops_the_statement() -> None:
    job = job_of(layered([Column("a")]), "sqlite")
    create = 'CREATE TABLE "applications" ("a")'
    assert run_sqlite(create, [[1], [2.5], [None]], statement(job))
    with pytest.raises(sqlite3.OperationalError, match="integer overflow"):
        run_sqlite(create, [[1], ["n/a"]], statement(job))


def test_in_sqlite_categories_compare_letter_by_letter_whatever_the_column_says() -> None:
    program = bits_as_points(
        [Column("c", "category", ("a", "b"))], encode([(0, EQ, c) for c in (-1, 0, 1)])
    )
    create = 'CREATE TABLE "applications" ("c" TEXT COLLATE NOCASE)'
    came = run_sqlite(create, [["A"], ["a"], ["b"]], statement(job_of(program, "sqlite")))
    assert [row[:3] for row in came] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


@each_dialect
def test_no_rows_give_no_rows_and_a_schema_is_named(run: Runner, dialect: str) -> None:
    program = layered([Column("a")])
    schema = {"duckdb": "main", "postgresql": "public", "sqlite": "main"}[dialect]
    job = job_of(program, dialect, schema=schema)
    assert f'"{schema}"."applications"' in statement(job)
    assert run(create_table(job), [], statement(job)) == []


@each_dialect
def test_the_statement_can_be_a_view(run: Runner, dialect: str) -> None:
    program = layered([Column("a"), Column("b")])
    rows = rows_for(program, 6, 4)
    job = job_of(program, dialect)
    inside = f"SELECT * FROM (\n{statement(job)}\n) AS scored"
    assert_exact(program, rows, run(create_table(job), list(values_of(job, rows)), inside))


def test_no_step_is_pasted_into_the_next() -> None:
    # Were it so, a neuron of the last layer would hold every neuron before it, many times over.
    job = job_of(wide_net([64, 64, 64], 4), "sqlite")
    with closing(sqlite3.connect(":memory:")) as base:
        base.execute(create_table(job))
        n_ops = len(base.execute(f"EXPLAIN {statement(job)}").fetchall())
    assert n_ops < 10_000


@each_dialect
def test_a_net_of_three_layers_scores_exactly_in_its_place(dialect: str) -> None:
    place = PLACES[dialect]
    for tool in place.missing():
        pytest.skip(f"needs {tool.name}: {tool.install}")
    assert hold(TARGET, place, job_of(wide_net([64, 64, 64], 16), dialect), 500, 0).is_exact


def test_halves_are_written_in_full() -> None:
    # 2**-150, half of the least float32, is the bound of "= 0"; no decimal of 15 digits is exact.
    text = DIALECTS["sqlite"].number(2.0**-150).strip("()")
    top, *below = (Fraction(part) for part in text.split(" / "))
    for part in below:
        top /= part
    assert top == Fraction(1, 2**150)
