"""The first steps of the statement: columns of the user's table as the numbers of the raw row, and as bits.

Only the first step reads the table; what it makes has names of ours, so no name of the user's can
meet one of them.
"""

from collections.abc import Mapping

import numpy as np

from bimetal.columns import Column
from bimetal.columns.column import places
from bimetal.errors import ExportError
from bimetal.export.doubles import highest, lowest
from bimetal.export.names import comment
from bimetal.export.sql.dialect import Dialect
from bimetal.ops import EQ, GE, Encode
from bimetal.program import Program

__all__ = ["code_of", "number_of", "regular_numbers", "tests_of"]


def number_of(dialect: Dialect, program: Program, j: int, table: str) -> str:
    """Return number `j` of the raw row as a double, NULL where it is missing."""
    ((at, place),) = places(program.columns, [j])
    column = program.columns[at]
    name = f"{table}.{dialect.quoted(column.name)}"
    if column.kind == "category":
        return f"CAST({code_of(dialect, column, name)} AS {dialect.double})"
    return dialect.missing_is_null(dialect.element(name, place) if column.kind == "array" else name)


def code_of(dialect: Dialect, column: Column, name: str) -> str:
    """Return the code of a category: its position, −1 if it is unknown, NULL if it is missing.

    Raises
    ------
    ExportError
        When a number and a text would look alike.
    """
    is_whole = all(isinstance(c, int) for c in column.categories)
    seen = [str(c) for c in column.categories]
    if len(set(seen)) < len(seen):
        raise ExportError(
            f"column '{column.name[:80]}' has a number and a text that are written alike among its "
            "categories; SQL compares them as text and cannot tell them apart"
        )
    given = name if is_whole else dialect.exactly(name)
    known = seen if is_whole else [dialect.string(c) for c in seen]
    cases = "".join(f"\n        WHEN {value} THEN {i}" for i, value in enumerate(known))
    code = f"CASE {given}{cases}\n        ELSE -1 END" if known else "-1"
    return f"CASE WHEN {name} IS NULL THEN NULL ELSE {code} END"


def regular_numbers(dialect: Dialect, program: Program, op: Encode) -> dict[int, str]:
    """Return, for columns with special codes, the number as `GE` tests see it: NULL at a code."""
    tested = {int(j) for j in op.column[op.kind == GE]}
    return {
        j: _regular(dialect, program, op, j)
        for j in sorted(tested & {int(j) for j in op.special_column})
    }


def _regular(dialect: Dialect, program: Program, op: Encode, j: int) -> str:
    column, x = program.columns[places(program.columns, [j])[0][0]], f"x{j}"
    codes = np.unique(op.special_value[op.special_column == j] + np.float32(0))
    tests = [_equals(dialect, x, code, column) for code in codes]
    return f"CASE WHEN {' OR '.join(tests)} THEN NULL ELSE {x} END"


def tests_of(
    dialect: Dialect, program: Program, op: Encode, blanked: Mapping[int, str]
) -> list[str]:
    """Return the condition of each bit, with what it asks in a comment.

    Parameters
    ----------
    blanked : mapping
        Column → the name of its number as `GE` tests see it, where that is another.
    """
    owners = places(program.columns, [int(j) for j in op.column])
    tests = []
    for i, (j, kind, value) in enumerate(zip(op.column, op.kind, op.value, strict=True)):
        column, x = program.columns[owners[i][0]], f"x{j}"
        if kind == GE:
            test = _at_least(dialect, blanked.get(int(j), x), value, column)
            asks = f">= {value}"
        elif kind == EQ:
            test, asks = _equals(dialect, x, value, column), f"= {_meaning(column, value)}"
        else:
            test, asks = f"{x} IS NULL", "is missing"
        tests.append(f"{test}  -- {i}: {comment(f'{column.name} {asks}')}")
    return tests


def _meaning(column: Column, value: np.float32) -> str:
    """Return what a number of the raw row stands for: a category by its own name."""
    known = column.categories
    is_code = value == int(value) and 0 <= value < len(known)
    return repr(known[int(value)]) if is_code else str(value)


def _at_least(dialect: Dialect, x: str, value: np.float32, column: Column) -> str:
    # A code is a small whole number: it is its own float32.
    bound = float(value) if column.kind == "category" else lowest(value)
    return f"{x} >= {dialect.number(bound)}"


def _equals(dialect: Dialect, x: str, value: np.float32, column: Column) -> str:
    if column.kind == "category":
        return f"{x} = {dialect.number(float(value))}"
    low, high = dialect.number(lowest(value)), dialect.number(highest(value))
    return f"({x} >= {low} AND {x} <= {high})"
