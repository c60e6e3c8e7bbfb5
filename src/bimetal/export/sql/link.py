"""From points to answers in SQL: the float64 steps of docs/program.md, one at a time.

A database rounds after every operation and fuses none, so the same steps give the same bits. The
power of two at the end of the exponential is a product of at most ten constants, each exact.
"""

from collections.abc import Sequence

import numpy as np

from bimetal.export.sql.dialect import Dialect
from bimetal.ops import Link
from bimetal.reference.link import EXP_TERMS, LN2_HIGH, LN2_LOW, LOG2_E

__all__ = ["Step", "answer_steps"]

Step = list[tuple[str, str]]
"""What one step makes: (name, expression), in order."""


def answer_steps(dialect: Dialect, op: Link, points: Sequence[str]) -> list[Step]:
    """Return the steps that end with the answers, a0, a1 and so on, rounded to float32."""
    if op.kind == "table":
        return [_table(dialect, op, points[0])]
    number = dialect.number
    z = [
        (
            f"z{c}",
            f"{number(float(offset))} + ({number(float(scale))} * CAST({p} AS {dialect.double}))",
        )
        for c, (p, scale, offset) in enumerate(zip(points, op.scale, op.offset, strict=True))
    ]
    if op.kind == "identity":
        return [z, _rounded(dialect, [f"z{c}" for c in range(len(z))])]
    middle = _sigmoid(dialect) if op.kind == "sigmoid" else _softmax(dialect, len(z))
    n = 2 if op.kind == "sigmoid" else len(z)
    return [z, *middle, _rounded(dialect, [f"p{c}" for c in range(n)])]


def _table(dialect: Dialect, op: Link, points: str) -> Step:
    sides = (np.float32(1) - op.values, op.values)
    return [
        (f"a{c}", f"CAST({_staircase(dialect, op, points, side.tolist())} AS {dialect.real})")
        for c, side in enumerate(sides)
    ]


def _staircase(dialect: Dialect, op: Link, points: str, values: list[float]) -> str:
    number = dialect.number
    steps = reversed(list(zip(op.knots.tolist(), values[1:], strict=True)))
    cases = "".join(f"\n        WHEN {points} >= {knot} THEN {number(v)}" for knot, v in steps)
    first = number(values[0])
    return f"CASE{cases}\n        ELSE {first} END" if cases else first


def _rounded(dialect: Dialect, names: Sequence[str]) -> Step:
    return [(f"a{c}", dialect.rounded(name)) for c, name in enumerate(names)]


def _sigmoid(dialect: Dialect) -> list[Step]:
    one = dialect.number(1.0)
    large, small = f"{one} / ({one} + e0)", f"e0 / ({one} + e0)"
    return [
        [("z0", "z0"), ("x0", _clipped(dialect, "-abs(z0)"))],
        *_exponential(dialect, 1, keep=["z0"]),
        [
            ("p0", f"CASE WHEN z0 >= 0 THEN {small} ELSE {large} END"),
            ("p1", f"CASE WHEN z0 >= 0 THEN {large} ELSE {small} END"),
        ],
    ]


def _softmax(dialect: Dialect, n: int) -> list[Step]:
    each = [f"z{c}" for c in range(n)]
    same = [(z, z) for z in each]
    exponentials = [(f"e{c}", f"e{c}") for c in range(n)]
    return [
        [*same, ("top", dialect.largest(each))],
        [(f"x{c}", _clipped(dialect, f"z{c} - top")) for c in range(n)],
        *_exponential(dialect, n),
        *_totals(n, exponentials),
        [(f"p{c}", f"e{c} / total") for c in range(n)],
    ]


def _totals(n: int, kept: Step) -> list[Step]:
    """Add the exponentials from left to right, a hundred in one step, as nesting is limited."""
    steps: list[Step] = []
    for start in range(0, n, 100):
        terms = [f"e{c}" for c in range(start, min(start + 100, n))]
        steps.append([*kept, ("total", " + ".join([*(["total"] if start else []), *terms]))])
    return steps


def _clipped(dialect: Dialect, x: str) -> str:
    # Above -1e-30 the exponential is 1 exactly, as for 0; PostgreSQL would refuse the underflow.
    low, tiny = dialect.number(-700.0), dialect.number(-1e-30)
    zero = dialect.number(0.0)
    return f"CASE WHEN {x} < {low} THEN {low} WHEN {x} > {tiny} THEN {zero} ELSE {x} END"


def _exponential(dialect: Dialect, n: int, keep: Sequence[str] = ()) -> list[Step]:
    """Return the steps from x0 … to e0 …, the exponentials; `keep` passes through."""
    number, kept = dialect.number, [(name, name) for name in keep]
    log2_e, high, low = number(LOG2_E), number(LN2_HIGH), number(LN2_LOW)
    half, each = number(0.5), range(n)
    ks = [(f"k{c}", dialect.floor(f"(x{c} * {log2_e} + {half})")) for c in each]
    rs = [(f"r{c}", f"(x{c} - k{c} * {high}) - k{c} * {low}") for c in each]
    es = [
        (f"e{c}", f"({_polynomial(dialect, f'r{c}')}) * {_power(dialect, f'n{c}')}") for c in each
    ]
    whole = [(f"n{c}", f"CAST(-k{c} AS integer)") for c in each]
    return [
        [*kept, *((f"x{c}", f"x{c}") for c in each), *ks],
        [*kept, *rs, *whole],
        [*kept, *es],
    ]


def _polynomial(dialect: Dialect, r: str) -> str:
    terms = [dialect.number(term) for term in EXP_TERMS]
    text = terms[0]
    for term in terms[1:]:
        text = f"({text} * {r} + {term})"
    return text


def _power(dialect: Dialect, n: str) -> str:
    """Return 2**-n for a whole n from 0 to 1010."""
    one = dialect.number(1.0)
    return " * ".join(
        f"(CASE WHEN ({n} & {2**b}) = 0 THEN {one} ELSE {dialect.number(2.0 ** -(2**b))} END)"
        for b in range(10)
    )
