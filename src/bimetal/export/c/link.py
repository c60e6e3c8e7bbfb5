"""The link in C: from points to answers, in float64, each step rounded by itself as docs/program.md says."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bimetal.export.c.plan import Plan
from bimetal.export.c.template import template
from bimetal.export.c.text import array, double, float_text
from bimetal.ops import Link

__all__ = ["link_text", "needs_double"]


def needs_double(plan: Plan) -> bool:
    """Tell whether the link computes: a table only looks up."""
    return plan.link.kind != "table"


def link_text(plan: Plan) -> str:
    """Return the text of the link's section: constants, helpers, `NAME_link`."""
    op = plan.link
    if op.kind == "table":
        return _table(op)
    scale, read_scale = _constant("SCALE", op.scale)
    offset, read_offset = _constant("OFFSET", op.offset)
    helpers = [template("times.c")] + ([template("exp.c")] if op.kind != "identity" else [])
    words = {"SCALE": read_scale, "OFFSET": read_offset}
    return "\n\n".join([scale, offset, *helpers, template(f"link_{op.kind}.c", words)])


def _constant(word: str, numbers: NDArray[np.float64]) -> tuple[str, Callable[[str], str]]:
    """Return a constant, and how it is read: one number where all are alike, else a table."""
    symbol = f"name_{word.lower()}"
    if len({float.hex(x) for x in numbers.tolist()}) == 1:
        text = double(numbers[0])
        shown = "" if text.endswith(".0") else f" /* {float(numbers[0])!r} */"
        return f"#define NAME_{word} ({text}){shown}", lambda c: f"NAME_{word}"
    rows = [f"    {double(x)}, /* {x!r} */" for x in numbers.tolist()]
    head = f"static const double {symbol}[{len(rows)}] = {{ /* (points,) */"
    return "\n".join([head, *rows, "};"]), lambda c: f"{symbol}[{c}]"


def _table(op: Link) -> str:
    """Return knots and pairs of answers: 1 − p is subtracted here, once, in float32."""
    pairs = [(np.float32(1) - p, p) for p in op.values]
    rows = [[float_text(a) for a in pair] for pair in pairs]
    values = [
        f"static const FLASH float name_values[{len(rows)}][2] = {{ /* answers below each knot, and beyond */",
        *(f"    {{{a}, {b}}}," for a, b in rows),
        "};",
    ]
    if not len(op.knots):
        return "\n".join(values) + "\n\n" + template("link_constant.c")
    knots = array("int32_t", "name_knots", op.knots, "points, (knots,)")
    words = {"N_KNOTS": str(len(op.knots))}
    return "\n\n".join([knots, "\n".join(values), template("link_table.c", words)])
