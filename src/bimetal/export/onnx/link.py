"""From points to answers in ONNX: float64 operators one by one, so that each step is rounded by itself.

docs/program.md gives the steps. A power of two comes from two small tables, as a product of two
powers, which is exact; the sum of a softmax is a chain of additions, as its order is part of the
meaning.
"""

from typing import assert_never

import numpy as np

from bimetal.export.onnx.graph import Graph
from bimetal.ops import Link
from bimetal.reference.link import EXP_TERMS, LN2_HIGH, LN2_LOW, LOG2_E

__all__ = ["link"]

AXIS = np.array([1], np.int64)
STEP = 32  # a power 2**-j, j < 1024, is 2**-(j % 32) * 2**-(32 * (j // 32))


def link(g: Graph, op: Link, points: str) -> str:
    """Return the answers, float32."""
    match op.kind:
        case "identity":
            return g.cast(_zeros_as_defined(g, op, _z(g, op, points)), np.float32)
        case "sigmoid":
            return _sigmoid(g, _z(g, op, points))
        case "softmax":
            return _softmax(g, _z(g, op, points), len(op.scale))
        case "table":
            return _table(g, op, points)
        case _:
            assert_never(op.kind)


def _z(g: Graph, op: Link, points: str) -> str:
    return g.op("Add", g.op("Mul", g.cast(points, np.float64), op.scale), op.offset)


def _zeros_as_defined(g: Graph, op: Link, z: str) -> str:
    """Return z with the sign of its zeros made sure of.

    Runtimes drop an addition of the constant 0.0, which would have turned −0.0 into 0.0.
    """
    is_plus_zero = (op.offset == 0) & ~np.signbit(op.offset)
    if not is_plus_zero.any():
        return z
    zero = np.where(is_plus_zero, 0.0, -0.0)
    return g.op("Where", g.op("Equal", z, np.float64(0)), zero, z)


def _sigmoid(g: Graph, z: str) -> str:
    e = _exp(g, g.op("Neg", g.op("Abs", z)))
    one = np.float64(1)
    whole = g.op("Add", e, one)
    larger, smaller = g.op("Div", one, whole), g.op("Div", e, whole)
    is_positive = g.op("GreaterOrEqual", z, np.float64(0))
    q = g.op("Where", is_positive, smaller, larger)
    p = g.op("Where", is_positive, larger, smaller)
    return g.cast(g.op("Concat", q, p, axis=1), np.float32)


def _softmax(g: Graph, z: str, n: int) -> str:
    e = _exp(g, g.op("Sub", z, g.op("ReduceMax", z, AXIS, keepdims=1)))
    total = g.sum(*g.split("Split", n, e, axis=1, num_outputs=n))
    return g.cast(g.op("Div", e, total), np.float32)


def _table(g: Graph, op: Link, points: str) -> str:
    """Return values[number of knots <= points]."""
    if len(op.knots):
        passed = g.cast(g.op("GreaterOrEqual", points, g.whole(op.knots)), np.int32)
        place = g.op("ReduceSum", passed, AXIS, keepdims=1)
    else:
        place = g.op("Sub", points, points)
    p = g.op("Gather", op.values, place, axis=0)
    return g.op("Concat", g.op("Sub", np.float32(1), p), p, axis=1)


def _exp(g: Graph, x: str) -> str:
    """Return e**x for x <= 0, step by step as `bimetal.reference.exp`."""
    f8 = np.float64
    x = g.op("Max", x, f8(-700))
    k = g.op("Floor", g.op("Add", g.op("Mul", x, f8(LOG2_E)), f8(0.5)))
    r = g.op("Sub", x, g.op("Mul", k, f8(LN2_HIGH)))
    r = g.op("Sub", r, g.op("Mul", k, f8(LN2_LOW)))
    p: str | np.float64 = f8(EXP_TERMS[0])
    for term in EXP_TERMS[1:]:
        p = g.op("Add", g.op("Mul", p, r), f8(term))
    return _scaled_down(g, p, g.cast(g.op("Neg", k), np.int64))


def _scaled_down(g: Graph, p: str | np.float64, j: str) -> str:
    """Return p · 2**-j, 0 <= j < 1024; p is near 1 and the result a normal number, so it is exact."""
    high = g.op("Div", j, np.int64(STEP))
    low = g.op("Sub", j, g.op("Mul", high, np.int64(STEP)))
    p = g.op("Mul", p, g.op("Gather", 0.5 ** np.arange(STEP), low, axis=0))
    return g.op("Mul", p, g.op("Gather", 0.5 ** np.arange(0.0, STEP * STEP, STEP), high, axis=0))
