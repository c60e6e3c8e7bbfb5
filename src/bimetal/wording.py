"""What the bits of an `Encode` ask, in words: "age >= 30.5", "housing == own", "income is missing"."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from bimetal.columns import Column, places
from bimetal.ops import EQ, GE, Encode

__all__ = ["bit_names"]


def bit_names(columns: Sequence[Column], op: Encode) -> tuple[str, ...]:
    """Return what each bit asks.

    Examples
    --------
    >>> op = Encode(np.zeros(1, "u2"), np.zeros(1, "u1"), np.array([30.5], "f4"),
    ...             np.zeros(0, "u2"), np.zeros(0, "f4"))
    >>> bit_names([Column("age")], op)
    ('age >= 30.5',)
    """
    tested = [
        columns[j] if columns[j].kind != "array" else Column(f"{columns[j].name}[{i}]")
        for j, i in places(columns, op.column.tolist())
    ]
    tests = zip(tested, op.kind.tolist(), op.value.tolist(), strict=True)
    return tuple(_name(column, kind, value) for column, kind, value in tests)


def _name(column: Column, kind: int, value: float) -> str:
    if kind == GE:
        is_ordinal = column.kind == "category" and 0 <= ceil(value) < len(column.categories)
        return f"{column.name} >= {column.categories[ceil(value)] if is_ordinal else _shown(value)}"
    if kind != EQ:
        return f"{column.name} is missing"
    if column.kind == "number":
        return f"{column.name} == {_shown(value)}"
    is_known = 0 <= value < len(column.categories)
    return (
        f"{column.name} == {column.categories[int(value)]}"
        if is_known
        else f"{column.name} is other"
    )


def _shown(number: float) -> str:
    """Show a float32 with as many digits as tell it from its neighbours."""
    return str(np.float32(number)).removesuffix(".0")
