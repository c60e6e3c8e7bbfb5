"""Where the statement can be run: DuckDB, SQLite, and a PostgreSQL started for the purpose.

Each place makes a table with the user's own names and types (categories as their values, codes that
no category has as a text never seen, NaN as NULL), fills it, and runs the statement as it stands.
"""

import csv
import io
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.export.form import link_of
from bimetal.export.sql.databases import DIALECTS
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import Tool, call, command, package

__all__ = ["PLACES", "cluster", "create_table", "psql", "values_of"]

MARK = "the rows, scored"
BIN = "usr/lib/postgresql/*/bin"


def _names(job: Job) -> list[str]:
    """Return the columns of the table: those of the Program, and the key unless it is one."""
    names = [column.name for column in job.program.columns]
    key = job.options.key
    return [*names, key] if key and key not in names else names


def _fresh(name: str, taken: Sequence[str]) -> str:
    """Return `name`, with underscores behind it until it is none of those taken."""
    while name in taken:
        name += "_"
    return name


def _table(job: Job) -> str:
    quoted = DIALECTS[job.options.dialect].quoted
    return ".".join(quoted(part) for part in (job.options.schema, job.options.table) if part)


def create_table(job: Job, first: str = "") -> str:
    """Return CREATE TABLE for the columns of the Program, and the key if there is one.

    Parameters
    ----------
    first : str
        Columns to put before them.
    """
    dialect = DIALECTS[job.options.dialect]
    kinds = {"number": dialect.double, "array": f"{dialect.double}[]"}
    types = [kinds.get(c.kind) or _category_type(c, dialect.text) for c in job.program.columns]
    named = zip(_names(job), [*types, "bigint"], strict=False)  # the last is that of the key
    columns = ", ".join(f"{dialect.quoted(name)} {kind}" for name, kind in named)
    return f"CREATE TABLE {_table(job)} ({first}{columns})"


def _category_type(column: Column, text: str) -> str:
    return "bigint" if _is_whole(column) else text


def _is_whole(column: Column) -> bool:
    return bool(column.categories) and all(isinstance(c, int) for c in column.categories)


def values_of(job: Job, rows: NDArray[np.float32]) -> Iterator[list[Any]]:
    """Return raw rows as a table holds them: None is missing, an array is a list."""
    columns, has_key = job.program.columns, len(_names(job)) > len(job.program.columns)
    for at, row in enumerate(rows.tolist()):
        values: list[Any] = []
        start = 0
        for column in columns:
            given = [None if x != x else x for x in row[start : start + column.size]]
            start += column.size
            if column.kind == "category":
                values.append(None if given[0] is None else _category(column, given[0]))
            else:
                values.append(given if column.kind == "array" else given[0])
        if has_key:
            values.append(at)
        yield values


def _category(column: Column, code: float) -> str | int:
    n = len(column.categories)
    if 0 <= code < n and code == int(code):
        known = column.categories[int(code)]
        return known if _is_whole(column) else str(known)
    if _is_whole(column):
        return next(v for v in range(n + 1) if v not in column.categories)
    return "\u2205 never seen" + "!" * max(len(str(c)) for c in ("", *column.categories))


def _statement(files: Files) -> str:
    return files[".sql"].decode().rstrip().removesuffix(";")


def _outcome(job: Job, columns: Sequence[NDArray[Any]]) -> Outcome:
    """Return what came, given the columns of the result without the key."""
    program = job.program
    n = program.values[link_of(program).input].n
    points = np.stack(columns[:n], axis=1).astype(np.int32)
    answers = np.stack(columns[n : n + program.n_outputs], axis=1).astype(np.float32)
    return Outcome(points, answers)


def _run_sqlite(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    with closing(sqlite3.connect(":memory:")) as base:
        base.execute(create_table(job))
        marks = ", ".join("?" * len(_names(job)))
        base.executemany(f"INSERT INTO {_table(job)} VALUES ({marks})", values_of(job, rows))
        came = base.execute(_statement(files)).fetchall()
    return _outcome(job, _transposed(job, came))


def _transposed(job: Job, came: Sequence[Sequence[Any]]) -> list[NDArray[Any]]:
    start = bool(job.options.key)
    return [np.array(column) for column in list(zip(*came, strict=True))[start:]]


def _as_csv(job: Job, rows: NDArray[np.float32], brackets: str) -> bytes:
    """Return the table as CSV: an empty field is NULL, text is always quoted."""
    lines = (",".join(_field(v, brackets) for v in values) for values in values_of(job, rows))
    return "".join(f"{line}\n" for line in lines).encode()


def _field(value: Any, brackets: str) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        inside = ",".join("NULL" if x is None else repr(x) for x in value)
        return f'"{brackets[0]}{inside}{brackets[1]}"'
    if isinstance(value, str):
        doubled = value.replace('"', '""')
        return f'"{doubled}"'
    return repr(value)


def _run_duckdb(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    import duckdb

    data = folder / "rows.csv"
    data.write_bytes(_as_csv(job, rows, "[]"))
    with closing(duckdb.connect(config={"threads": 1})) as base:
        base.execute(create_table(job))
        base.execute(f"COPY {_table(job)} FROM '{data}' (FORMAT csv, HEADER false, NULLSTR '')")
        came = base.execute(_statement(files)).fetchnumpy()
    columns = [np.asarray(column) for column in came.values()]
    return _outcome(job, columns[bool(job.options.key) :])


@contextmanager
def cluster() -> Iterator[Path]:
    """Start a PostgreSQL in a new folder that only its socket there reaches; end and remove it."""
    # A folder of its own, near the root: a server never runs as root and must reach it, and the
    # path of a socket takes no more than 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="bimetal-pg-"))
    try:
        as_user = _as_user(home)
        initdb, pg_ctl = (str(_program(name).find()) for name in ("initdb", "pg_ctl"))
        data = f"{home}/data"
        made = "-U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions"
        call([*as_user, initdb, "-D", data, *made.split()], home)
        control = [*as_user, pg_ctl, "-D", data, "-w"]
        settings = f"-k {home} -c listen_addresses= -c fsync=off -c jit=off -c shared_buffers=16MB"
        call([*control, "-l", f"{home}/log", "-o", settings, "start"], home)
        try:
            yield home
        finally:
            call([*control, "-m", "immediate", "stop"], home)
    finally:
        shutil.rmtree(home)


def _as_user(home: Path) -> list[str]:
    """Return the words that run a server as its owner, which may not be root."""
    if os.geteuid() != 0:
        return []
    shutil.chown(home, "postgres")
    return ["runuser", "-u", "postgres", "--"]


def psql(home: Path, script: bytes) -> bytes:
    """Run a script in the cluster and return what it printed."""
    words = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-f", "-", "postgres"]
    utf8 = {"PGCLIENTENCODING": "UTF8"}
    return call([str(_program("psql").find()), "-h", home, *words], home, stdin=script, env=utf8)


def _run_postgresql(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    with cluster() as home:
        printed = psql(home, _script(job, files, rows)).decode()
    order, _, result = printed.partition(f"{MARK}\n")
    came = list(csv.reader(io.StringIO(result, newline="")))
    by_number = sorted(zip(map(int, order.split()), came, strict=True))
    return _outcome(job, _transposed(job, [row for _, row in by_number]))


def _script(job: Job, files: Files, rows: NDArray[np.float32]) -> bytes:
    """Return what psql runs: a COPY may fill an older page, so that rows number themselves."""
    dialect = DIALECTS["postgresql"]
    names = ", ".join(dialect.quoted(name) for name in _names(job))
    number, table = dialect.quoted(_fresh("number", _names(job))), _table(job)
    before = (
        f"{create_table(job, f'{number} bigserial, ')};\n"
        f"COPY {table} ({names}) FROM STDIN (FORMAT csv);\n"
    )
    after = (
        "\\.\nSET max_parallel_workers_per_gather = 0;\nSET synchronize_seqscans = off;\n"
        f"COPY (SELECT {number} FROM {table}) TO STDOUT;\n\\echo {MARK}\nCOPY (\n{_statement(files)}\n"
        ") TO STDOUT (FORMAT csv);\n"
    )
    return before.encode() + _as_csv(job, rows, "{}") + after.encode()


def _program(name: str) -> Tool:
    return command(name, "apt-get install postgresql", BIN)


PLACES = (
    Place(
        "duckdb",
        "DuckDB in this process",
        (package("duckdb", "pip install duckdb"),),
        _run_duckdb,
        {"dialect": "duckdb"},
    ),
    Place(
        "postgresql",
        "a PostgreSQL started in a scratch folder, reached by a socket there",
        tuple(_program(name) for name in ("initdb", "pg_ctl", "psql")),
        _run_postgresql,
        {"dialect": "postgresql"},
    ),
    Place("sqlite", "Python's own SQLite", (), _run_sqlite, {"dialect": "sqlite"}),
)
