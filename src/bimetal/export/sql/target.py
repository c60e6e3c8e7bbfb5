"""The target `sql`: what it may be asked for, what it refuses, and the statement it writes."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from bimetal.errors import ExportError
from bimetal.export.form import link_of, live
from bimetal.export.names import comment
from bimetal.export.sql import layers
from bimetal.export.sql.columns import code_of
from bimetal.export.sql.databases import DIALECTS
from bimetal.export.sql.dialect import Dialect
from bimetal.export.sql.writer import ROW_KEY, Query, bound_of, chain
from bimetal.export.target import Job
from bimetal.ops import Dense, RowThreshold
from bimetal.program import Program

__all__ = ["SqlOptions", "check", "write"]

MAX_SYNAPSES = 1_000_000
MAX_CATEGORIES = 10_000


@dataclass(frozen=True)
class SqlOptions:
    """Options of the target `sql`.

    Attributes
    ----------
    dialect : {"postgresql", "duckdb", "sqlite"}
        PostgreSQL from 14 on, SQLite from 3.35 on.
    table : str
        The table to score.
    schema : str
        Where it is; "" leaves that to the database.
    key : str
        A column to keep beside the answers; "" is none.
    """

    dialect: Literal["postgresql", "duckdb", "sqlite"] = "postgresql"
    table: str = "applications"
    schema: str = ""
    key: str = ""


def check(job: Job) -> None:
    """Raise `ExportError` for names, categories and sizes that the dialect cannot take."""
    dialect, options, program = DIALECTS[job.options.dialect], job.options, job.program
    if not options.table:
        raise ExportError("option 'table' must name the table to score, got ''")
    for name in (options.table, options.schema, options.key):
        dialect.quoted(name)
    _check_columns(dialect, program, options.key)
    _check_size(dialect, program)
    for _, name in _outputs(job):
        if options.key and name == options.key.lower():
            raise ExportError(
                f"the key column '{options.key}' has the name of an output; give it another name "
                "in a view, and score the view"
            )


def _check_columns(dialect: Dialect, program: Program, key: str) -> None:
    names = [column.name for column in program.columns]
    for column in program.columns:
        dialect.quoted(column.name)
        if column.kind == "array":
            dialect.element(column.name, 0)
        if column.kind == "category":
            code_of(dialect, column, "x")
    if dialect.folds_names:
        twice = [name for name, n in Counter(name.lower() for name in names).items() if n > 1]
        if twice:
            raise ExportError(
                f"{dialect.name} takes names that differ only in upper and lower case for one, and "
                f"the model has two columns '{twice[0][:80]}'; rename one, or use postgresql"
            )


def _check_size(dialect: Dialect, program: Program) -> None:
    ops = [program.ops[i] for i in live(program)]
    synapses = sum(
        len(op.thresholds) * (op.n_in // op.groups) for op in ops if isinstance(op, Dense)
    )
    if synapses > MAX_SYNAPSES:
        raise ExportError(
            f"the net has {synapses:,} binary weights and one statement takes up to "
            f"{MAX_SYNAPSES:,}; use a smaller net, or target=c as a library beside the database"
        )
    n_categories = sum(len(column.categories) for column in program.columns)
    if n_categories > MAX_CATEGORIES:
        raise ExportError(
            f"the model knows {n_categories:,} categories and one statement takes up to "
            f"{MAX_CATEGORIES:,}; keep only those that matter (max_categories of the encoder)"
        )
    for op in ops:
        if isinstance(op, RowThreshold) and not dialect.big:
            bound = min((2**31 - 1) // op.channels, bound_of(program.ops[op.input - 1]))
            if op.top and not layers.fits_in_64_bits(op, bound):
                raise ExportError(
                    f"a RowThreshold over {op.channels} points of up to {bound:,} needs numbers "
                    "beyond 64 bits, which sqlite has not; use postgresql or duckdb"
                )


def write(job: Job) -> dict[str, bytes]:
    """Return the statement."""
    check(job)
    dialect, options, program = DIALECTS[job.options.dialect], job.options, job.program
    taken = {column.name.lower() for column in program.columns} | {options.key.lower()}
    alias = "raw"
    while alias in taken or alias == options.table.lower():
        alias += "_"
    named = [dialect.quoted(part) for part in (options.schema, options.table) if part]
    query = Query(dialect, f"{'.'.join(named)} AS {alias}", options.table, bool(options.key))
    first = [(ROW_KEY, f"{alias}.{dialect.quoted(options.key)}")] if options.key else []
    points = chain(query, program, first, alias)
    if program.classes:
        answers = [f"a{c}" for c in range(program.n_outputs)]
        kept = [(name, name) for name in [*points, *answers]]
        query.add("the largest answer", [*kept, ("best", dialect.largest(answers))])
    last = [(dialect.quoted(options.key), ROW_KEY)] if options.key else []
    last += [(name, text) for text, name in _outputs(job)]
    return {".sql": (_head(job) + query.text(last)).encode()}


def _outputs(job: Job) -> list[tuple[str, str]]:
    """Return the expressions and names of the last SELECT, but for the key."""
    dialect, program = DIALECTS[job.options.dialect], job.program
    link = link_of(program)
    n_points = program.values[link.input].n
    shown = [(f"CAST(v{link.input}_{c} AS integer)", f"points_{c}") for c in range(n_points)]
    shown += [(f"a{c}", f"answer_{c}") for c in range(program.n_outputs)]
    return shown + ([(_label(dialect, program), "class_label")] if program.classes else [])


def _label(dialect: Dialect, program: Program) -> str:
    """Return the label of the largest answer, the first of equals."""
    kinds = {type(label) for label in program.classes}
    as_text = len(kinds) > 1 or str in kinds
    labels = [_literal(dialect, label, as_text) for label in program.classes]
    cases = "".join(f"\n    WHEN a{c} = best THEN {label}" for c, label in enumerate(labels[:-1]))
    return f"CASE{cases}\n    ELSE {labels[-1]} END" if cases else labels[-1]


def _literal(dialect: Dialect, label: str | int | float | bool, as_text: bool) -> str:
    if as_text:
        return dialect.string(label if isinstance(label, str) else json.dumps(label))
    if isinstance(label, bool):
        return str(label).upper()
    return str(label) if isinstance(label, int) else dialect.number(float(label))


_EXACT = {
    "postgresql": "answers are float4, each bit as the reference has it (SET jit = off is faster)",
    "duckdb": "answers are FLOAT, each bit as the reference has it",
    "sqlite": "answers are doubles rounded to float32, each equal to the reference's "
    "(SQLite keeps no sign of zero)",
}


def _head(job: Job) -> str:
    options, program = job.options, job.program
    named = ", ".join(comment(column.name, 40) for column in program.columns[:50])
    lines = [
        f"{comment(job.name)}: scores each row of a table inside {options.dialect}. Written by bimetal; UTF-8.",
        f"Program {program.id}",
        f"Reads {comment(options.table)}: {named}{', ...' if len(program.columns) > 50 else ''}.",
        "Gives points_* (whole numbers), answer_* and, for a classifier, class_label; "
        + _EXACT[options.dialect]
        + ".",
        "Numbers are taken as double precision, then as if rounded to float32; NULL and NaN are missing.",
        "The code is yours to use as you like (SPDX-License-Identifier: 0BSD).",
    ]
    return "".join(f"-- {line}\n" for line in lines)
