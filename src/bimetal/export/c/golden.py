"""The golden vectors of a header and the function that runs them: a copy anywhere can test itself."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.columns import Column
from bimetal.export.c.encode import row_type
from bimetal.export.c.plan import Plan
from bimetal.export.c.template import template
from bimetal.export.c.text import literals, read_of, wrapped
from bimetal.export.names import comment
from bimetal.export.rows import rows_for, whole_rows_for
from bimetal.ops import Encode

__all__ = ["golden_text"]

MOST_NUMBERS = 2**16  # of all rows together
SHOWN = 8  # columns that are shown in words


def golden_text(plan: Plan) -> tuple[str, str]:
    """Return the vectors, and the self-test that runs them."""
    rows = _rows(plan)
    if not len(rows):
        return "/* (none) */", template("selftest_none.c")
    values = reference.trace(plan.program, rows)
    points, answers = values[plan.link.input], values[-1]
    heads = [_shown(plan.program.columns, row) for row in rows]
    kind = row_type(plan)
    stored = _bits(rows) if kind == "float" else _whole(rows, kind)
    shown = [", ".join(f"{a:.6g}" for a in row[:SHOWN].tolist()) for row in answers]
    blocks = [
        _block("uint32_t" if kind == "float" else kind, "rows", "columns", stored, heads),
        _block("int32_t", "points", "points", [literals(p, "int32_t") for p in points]),
        _block("uint32_t", "answers", "answers", _bits(answers), shown),
    ]
    file = "selftest_float.c" if kind == "float" else "selftest_whole.c"
    words = {"N_GOLDEN": str(len(rows)), "ROW_T": kind, "AT_ROW": read_of(kind)}
    text = template(file, words)
    if plan.link.kind == "table":  # whose answers need no double
        lines = text.split("\n")
        text = "\n".join(line for line in lines if not line.startswith("#"))
    return "\n\n".join(blocks), text


def _rows(plan: Plan) -> NDArray[np.float32]:
    """Return raw rows: golden ones first, then drawn ones; of pictures and such, drawn bytes."""
    program, given = plan.program, plan.options.input
    n = min(plan.options.golden, max(1, MOST_NUMBERS // program.n_columns))
    if not any(plan.all(Encode)):
        own = program.golden_x[: n if given == "float" else 0].reshape(-1, program.n_columns)
        drawn = np.random.default_rng(0).integers(0, 256, (n - len(own), program.n_columns))
        return np.concatenate([own, drawn]).astype(np.float32)
    if given == "float":
        return rows_for(program, n)
    return whole_rows_for(program, n, bits=int(given.removeprefix("int")))


def _shown(columns: Sequence[Column], row: NDArray[np.float32]) -> str:
    if len(columns) > SHOWN or any(column.kind == "array" for column in columns):
        return ""
    parts = [
        f"{comment(c.name, 20)} {_word(c, float(x))}" for c, x in zip(columns, row, strict=True)
    ]
    return ", ".join(parts)


def _word(column: Column, x: float) -> str:
    if np.isnan(x):
        return "missing"
    is_known = column.kind == "category" and x in range(len(column.categories))
    return comment(str(column.categories[int(x)]), 20) if is_known else f"{x:.9g}"


def _bits(numbers: NDArray[np.float32]) -> list[list[str]]:
    raw = np.ascontiguousarray(numbers).view(np.uint32)
    return [[f"0x{word:08X}" for word in row] for row in raw.tolist()]


def _whole(rows: NDArray[np.float32], kind: str) -> list[list[str]]:
    lowest = np.iinfo(kind.removesuffix("_t")).min
    whole = np.where(np.isnan(rows), np.float64(lowest), rows).astype(np.int64)
    return [literals(row, kind) for row in whole]


def _block(
    kind: str, what: str, axis: str, rows: Sequence[Sequence[str]], heads: Sequence[str] = ()
) -> str:
    """Return a constant of two axes, vectors first, each row with what it says in words."""
    note = ", bits of float32" if kind == "uint32_t" else ""
    head = f"static const FLASH {kind} name_golden_{what}[{len(rows)}][{len(rows[0])}] = {{"
    lines = [f"{head} /* (vectors, {axis}){note} */"]
    for i, row in enumerate(rows):
        lines += _row(row, heads[i] if heads else "")
    return "\n".join([*lines, "};"])


def _row(row: Sequence[str], head: str) -> Iterator[str]:
    flat = f"    {{{', '.join(row)}}},"
    if len(row) <= SHOWN:
        yield f"{flat} /* {head} */" if head else flat
        return
    if head:
        yield f"    /* {head} */"
    yield f"    {{\n{wrapped(row, 8)}\n    }},"
