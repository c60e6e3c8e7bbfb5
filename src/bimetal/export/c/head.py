"""What stands above the code of a header: what it is, the row it reads, how to use it, whose it is."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.export.c.encode import row_type
from bimetal.export.c.plan import Plan
from bimetal.export.names import comment
from bimetal.ops import GE, MISSING, Affine, Encode, PReLU, Quantize

__all__ = ["has_floats", "head_text", "row_and_answers"]

WIDTH = 100
SHOWN = 12  # categories and special codes of a column
MOST_COLUMNS = 1000
FLOATING = (Quantize, Affine, PReLU)


def head_text(plan: Plan, kernel: str, n_bytes: int) -> str:
    """Return the comment at the top.

    Parameters
    ----------
    plan : Plan
        The plan.
    kernel : str
        How dense layers count; "" without any.
    n_bytes : int
        Of all constants.
    """
    parts = [
        _what(plan, kernel, n_bytes),
        _use(plan),
        _row(plan),
        _answers(plan),
        _needs(plan),
        _whose(),
    ]
    lines = [line for part in parts for line in ("", *part)]
    body = "\n".join(f" * {line}".rstrip() for line in lines)
    return f"/* {plan.job.stem}.h: a binarized neural network in C99, meant to be read\n{body}\n */"


def row_and_answers(plan: Plan) -> list[str]:
    """Return what the row holds and what the answers are, in lines that end no comment."""
    return [*_row(plan), "", *_answers(plan)]


def _what(plan: Plan, kernel: str, n_bytes: int) -> Iterator[str]:
    yield f"Program   {plan.program.id}"
    yield "          (sha256 of columns, operations and classes: the same function has the same id)"
    yield f"Written   by bimetal {version('bimetal')} for {plan.core.title}"
    yield f"Holds     {n_bytes:,} bytes of constants; works in {plan.n_buffer_bytes:,} bytes beyond row and points"
    if kernel:
        steps = ", in the same steps for every row" if plan.options.constant_time else ""
        yield f"Counts    by the kernel '{kernel}'{steps}"
    for key, given in plan.program.provenance.items():
        if isinstance(given, str | int | float):
            yield f"{comment(key, 40).strip():9} {comment(str(given), 80)}"


def _use(plan: Plan) -> Iterator[str]:
    name, kind = plan.job.name, row_type(plan)
    missing = "NAN" if kind == "float" else f"{kind[:-2].upper()}_MIN"
    yield "How to use it"
    lines = [
        (
            f"{kind} row[{name.upper()}_N_COLUMNS] = {{...}};",
            f"as listed below; {missing} where missing",
        )
    ]
    if plan.core.has_double or plan.link.kind == "table":
        lines += [
            (f"float answers[{name.upper()}_N_ANSWERS];", ""),
            (f"{name}_answers(row, answers);", "one number for each answer listed below"),
            (f"int best = {name}_class(row);", "which of them is the largest"),
        ]
    else:
        lines += [
            (f"int32_t points[{name.upper()}_N_POINTS];", ""),
            (f"{name}_points(row, points);", "the score, in whole numbers"),
        ]
    lines.append((f"int wrong = {name}_selftest();", "0, or do not use this build"))
    width = max(len(code) for code, _ in lines)
    for code, note in lines:
        yield f"    {code:{width}}   {note}"


def _row(plan: Plan) -> Iterator[str]:
    columns = plan.program.columns
    n_numbers = plan.program.n_columns
    yield f"The row ({n_numbers} number{'s' * (n_numbers > 1)})"
    shown = columns[:MOST_COLUMNS]
    names = [comment(column.name, 32) for column in shown]
    width, place = max(map(len, names)), 0
    encoders = [op for _, op in plan.all(Encode)]
    for column, name in zip(shown, names, strict=True):
        first = f"{place:5}  {name:{width}}  "
        text = wrap(f"{column.kind:8}  {_about(column, place, encoders)}", WIDTH - len(first) - 3)
        yield first + text[0]
        yield from (" " * (len(first) + 10) + line for line in text[1:])
        place += column.size
    if len(columns) > len(shown):
        yield f"       and {len(columns) - len(shown):,} more"


def _about(column: Column, place: int, encoders: Sequence[Encode]) -> str:
    """Say what a column's numbers mean and what is asked of them."""
    if column.kind == "array":
        return f"{column.size:,} numbers"
    cuts, specials, asks_missing = _asked(place, encoders)
    parts = []
    if column.kind == "category":
        known = [f"{i} {comment(str(c), 24)}" for i, c in enumerate(column.categories[:SHOWN])]
        more = ["..."] if len(column.categories) > SHOWN else []
        parts.append(", ".join([*known, *more, "-1 any other"]))
    if len(cuts):
        plural = f"{len(cuts)} cut-points, {_number(cuts[0])} to {_number(cuts[-1])}"
        parts.append(plural if len(cuts) > 1 else f"1 cut-point, {_number(cuts[0])}")
    if len(specials):
        codes = ", ".join(map(_number, specials[:SHOWN]))
        parts.append(f"special code{'s' * (len(specials) > 1)} {codes}")
    if asks_missing:
        parts.append("may be missing")
    return "; ".join(parts) or "not read"


def _asked(
    place: int, encoders: Sequence[Encode]
) -> tuple[NDArray[np.float32], NDArray[np.float32], bool]:
    """Return cut-points, special codes, and whether missing is asked for, of one number of the row."""
    nothing = np.zeros(0, np.float32)
    cuts = [op.value[(op.column == place) & (op.kind == GE)] for op in encoders]
    codes = [op.special_value[op.special_column == place] for op in encoders]
    asks = any(((op.column == place) & (op.kind == MISSING)).any() for op in encoders)
    return (
        np.unique(np.concatenate([nothing, *cuts])),
        np.unique(np.concatenate([nothing, *codes])),
        asks,
    )


def _number(x: float) -> str:
    return str(np.float32(x)).removesuffix(".0")


def _answers(plan: Plan) -> Iterator[str]:
    program, kind = plan.program, plan.link.kind
    n = program.n_outputs
    what = {"identity": "plain numbers", "table": "from a table of probabilities"}
    yield f"The answers ({n}, {what.get(kind, 'probabilities that add up to 1')})"
    labels = [comment(str(label), 60) for label in program.classes[:MOST_COLUMNS]]
    for i, label in enumerate(labels):
        yield f"{i:5}  {label}"


def has_floats(plan: Plan) -> bool:
    """Tell whether operations before the link compute with floats."""
    return any(isinstance(plan.program.ops[i], FLOATING) for i in plan.live)


def _needs(plan: Plan) -> list[str]:
    shared = "threads take turns" if plan.is_large else "threads may share it"
    if has_floats(plan):
        sums = "Sums are whole numbers, proved to fit int32."
    else:
        sums = "Up to the points all is whole numbers, proved to fit int32."
    text = f"It calls no library, allocates nothing and remembers nothing; {shared}. {sums}"
    steps = (
        " All that is float is rounded step by step, never fused (compile with -ffp-contract=off if "
        "in doubt, and never with -ffast-math), so that the answers are the same bits everywhere."
    )
    computes = has_floats(plan) or (plan.core.has_double and plan.link.kind != "table")
    return wrap(text + (steps if computes else ""), WIDTH - 3)


def _whose() -> Iterator[str]:
    yield "SPDX-License-Identifier: 0BSD"
    yield "This file was generated from your model and is yours: use, change, copy and sell it for any"
    yield "purpose, with or without fee. It comes as it is, without warranty of any kind."
