"""Columns and the bits that an `Encode` makes of them, as fields and neural inputs.

A number is a double; `doubles.lowest` says which doubles pass a float32's test. Each bit is a set of
intervals (`Discretize`), which every PMML engine since version 2 knows: special codes are gaps in them.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.columns.column import places
from bimetal.errors import ExportError
from bimetal.export.doubles import highest, lowest
from bimetal.export.pmml.xml import apply, const, element, mapped, ref, text
from bimetal.ops import EQ, GE, Encode
from bimetal.program import Program

__all__ = ["check_column", "codes_of", "data_type", "neural_inputs"]

Interval = tuple[float, float | None, str]


def check_column(column: Column) -> None:
    """Raise `ExportError` for a column that PMML cannot have."""
    element("DataField", {"name": column.name})
    if column.kind == "array":
        raise ExportError(f"pmml has no arrays, but column '{column.name[:80]}' is one")
    seen = [str(c) for c in column.categories]
    if len(set(seen)) < len(seen):
        raise ExportError(
            f"column '{column.name[:80]}' has a number and a text that are written alike among its "
            "categories; PMML compares them as text and cannot tell them apart"
        )
    if data_type(column) == "integer" and any(
        not -(2**31) <= int(c) < 2**31 for c in column.categories
    ):
        raise ExportError(
            f"column '{column.name[:80]}' has categories beyond 32 bits, and PMML engines hold whole "
            "numbers in 32; make them text"
        )
    for category in column.categories:
        text(str(category))


def data_type(column: Column) -> str:
    """Return the type of a column's field."""
    if column.kind != "category":
        return "double"
    is_whole = bool(column.categories) and all(isinstance(c, int) for c in column.categories)
    return "integer" if is_whole else "string"


def codes_of(column: Column, name: str) -> str:
    """Return the field that turns a category into its code, −1 where it is unknown."""
    rows = ((str(category), str(i)) for i, category in enumerate(column.categories))
    code = mapped(column.name, "double", rows, default=-1)
    if not column.categories:  # a table may not be empty
        code = apply("if", apply("isNotMissing", ref(column.name)), const(-1))
    return element(
        "DerivedField", {"name": name, "optype": "continuous", "dataType": "double"}, code
    )


def neural_inputs(program: Program, op: Encode, value: int, codes: dict[int, str]) -> Iterator[str]:
    """Yield a neural input for each bit of an `Encode` that makes `value`.

    Parameters
    ----------
    codes : dict
        Column → the field of its codes.
    """
    owners = [at for at, _ in places(program.columns, [int(j) for j in op.column])]
    for i, j in enumerate(owners):
        column = program.columns[j]
        bit = _bit(op, i, codes.get(j, column.name), column)
        derived = element("DerivedField", {"optype": "continuous", "dataType": "double"}, bit)
        yield element("NeuralInput", {"id": f"v{value}_{i}"}, derived)


def _bit(op: Encode, i: int, field: str, column: Column) -> str:
    kind, value = op.kind[i], op.value[i]
    if kind == GE:
        gaps = np.unique(op.special_value[op.special_column == op.column[i]] + np.float32(0))
        return _within(field, _at_least(value, gaps[gaps >= value], column.kind == "category"))
    if kind == EQ:
        return _within(field, [_equal(value, column.kind == "category")])
    return apply("if", apply("isMissing", ref(field)), const(1), const(0))


def _equal(value: np.float32, is_code: bool) -> Interval:
    if is_code:  # a small whole number, which is its own float32
        return float(value), float(value), "closedClosed"
    return lowest(value), highest(value), "closedClosed"


def _at_least(value: np.float32, gaps: NDArray[np.float32], is_code: bool) -> list[Interval]:
    """Return the intervals from `value` on that leave out each special code in `gaps`, ascending."""
    low, high = (float, float) if is_code else (lowest, highest)
    intervals: list[Interval] = []
    start, closure = low(value), "closed"
    for gap in gaps:
        if start < low(gap):
            intervals.append((start, low(gap), f"{closure}Open"))
        start, closure = high(gap), "open"
    return [*intervals, (start, None, f"{closure}Open")]


def _within(field: str, intervals: list[Interval]) -> str:
    bins = "".join(
        element(
            "DiscretizeBin",
            {"binValue": 1},
            element("Interval", {"closure": closure, "leftMargin": left, "rightMargin": right}),
        )
        for left, right, closure in intervals
    )
    attributes: dict[str, object] = {
        "field": field,
        "dataType": "double",
        "mapMissingTo": 0,
        "defaultValue": 0,
    }
    return element("Discretize", attributes, bins)
