"""Pooling, and the thresholds of rows, in ONNX.

`MaxPool` serves bits and bytes. What it has no type for, or another order of NaN than ours, is walked
tap by tap: a strided slice of the framed map for each place of the window.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.export.onnx.graph import Graph
from bimetal.export.onnx.maps import images, rows
from bimetal.ops import Pool, RowThreshold

__all__ = ["MAX_TAPS", "n_taps", "pool", "row_threshold"]

MAX_TAPS = 1024
"""Of a window that is walked: each is a node or more of the graph."""
LOWEST = np.int32(-(2**31))


def n_taps(op: Pool, kind: str) -> int:
    """Return how many places of the window become nodes of their own."""
    is_whole_sum = op.kind == "sum" and kind != "floats" and _is_whole(op)
    walks = not is_whole_sum and (op.kind == "sum" or kind in ("ints", "floats"))
    return op.kernel[0] * op.kernel[1] if walks else 0


def _is_whole(op: Pool) -> bool:
    return op.kernel == op.shape[:2] and not any(op.padding)


def pool(g: Graph, op: Pool, x: str, kind: str, n: int) -> str:
    """Return the largest or the sum of each window; `kind` is that of the input, `n` what is made."""
    if op.kind == "sum":
        return _sums(g, op, x, kind, n)
    if kind in ("bits", "bytes"):
        return rows(g, _max_pool(g, op, images(g, x, op.shape)), n)
    taps = _taps(g, op, g.shaped(x, *op.shape), LOWEST if kind == "ints" else np.float32(0))
    largest = _largest_ints(g, taps) if kind == "ints" else _largest_floats(g, op, taps)
    return g.shaped(largest, n)


def _max_pool(g: Graph, op: Pool, x: str) -> str:
    steps = {"kernel_shape": list(op.kernel), "strides": list(op.stride), "pads": list(op.padding)}
    return g.op("MaxPool", x, **steps)


def _sums(g: Graph, op: Pool, x: str, kind: str, n: int) -> str:
    """Return sums, of whole numbers modulo 2**32, of floats from 0.0 on and by rows."""
    if kind == "floats":
        first, *rest = _taps(g, op, g.shaped(x, *op.shape), np.float32(0))
        return g.shaped(g.sum(g.op("Add", first, np.float32(0)), *rest), n)
    wide = g.cast(x, np.int64)
    if kind == "bits":
        wide = g.op("Sub", g.op("Add", wide, wide), np.int64(1))
    wide = g.shaped(wide, *op.shape)
    if _is_whole(op):
        total = g.op("ReduceSum", wide, np.array([1, 2], np.int64), keepdims=0)
    else:
        total = g.shaped(g.sum(*_taps(g, op, wide, np.int64(0))), n)
    return g.wrapped(total)


def _largest_ints(g: Graph, taps: list[str]) -> str:
    return g.op("Max", *taps) if len(taps) > 1 else taps[0]


def _largest_floats(g: Graph, op: Pool, taps: list[str]) -> str:
    """Return the first on the map, replaced by each later one on it that is larger."""
    best, rest = taps[0], taps[1:]
    inside = _inside(op)
    filled = inside[0]
    for tap, is_inside in zip(rest, inside[1:], strict=True):
        larger = g.op("Greater", tap, best)
        if not filled.all():
            larger = g.op("Or", larger, ~filled)
        if not is_inside.all():
            larger = g.op("And", larger, is_inside)
        best, filled = g.op("Where", larger, tap, best), filled | is_inside
    return best


def _inside(op: Pool) -> list[NDArray[np.bool_]]:
    """Return for each tap which windows have it on the map, (1, height, width, 1)."""
    top, left, bottom, right = op.padding
    framed = np.pad(np.ones(op.shape[:2], bool), ((top, bottom), (left, right)))
    ends = _ends(op)
    return [
        framed[v : v + ends[0] : op.stride[0], u : u + ends[1] : op.stride[1]][None, :, :, None]
        for v in range(op.kernel[0])
        for u in range(op.kernel[1])
    ]


def _ends(op: Pool) -> tuple[int, int]:
    """Return how far the first pixels of the windows reach, down and right."""
    top, left, bottom, right = op.padding
    height, width, _ = op.shape
    return top + height + bottom - op.kernel[0] + 1, left + width + right - op.kernel[1] + 1


def _taps(g: Graph, op: Pool, x: str, outside: np.generic) -> list[str]:
    """Return what each place of the window sees in all windows, by rows."""
    top, left, bottom, right = op.padding
    if any(op.padding):
        frame = np.array([0, top, left, 0, 0, bottom, right, 0], np.int64)
        x = g.op("Pad", x, frame, outside)
    return [_tap(g, op, x, v, u) for v in range(op.kernel[0]) for u in range(op.kernel[1])]


def _tap(g: Graph, op: Pool, x: str, v: int, u: int) -> str:
    starts = np.array([v, u], np.int64)
    axes, steps = np.array([1, 2], np.int64), np.array(op.stride, np.int64)
    return g.op("Slice", x, starts, starts + np.array(_ends(op), np.int64), axes, steps)


def row_threshold(g: Graph, op: RowThreshold, x: str, n: int) -> str:
    """Return bits of what stands out of its pixel, in int64.

    As |S| < 2**31, |d| < 2**32 and q < 2**62, all but bottom² · d² and top² · q fit; those have up to
    80 bits and are compared as two parts, high · 2**32 + low.
    """
    most = np.int64((2**31 - 1) // op.channels)
    wide = g.shaped(g.cast(x, np.int64), n // op.channels, op.channels)
    wide = g.op("Min", g.op("Max", wide, -most), most)
    total = _sum_of_pixel(g, wide)
    d = g.op("Sub", g.op("Mul", wide, np.int64(op.channels)), total)
    fires = g.op("GreaterOrEqual", d, np.int64(0))
    if op.top:
        squares = _sum_of_pixel(g, g.op("Mul", wide, wide))
        q = g.op("Sub", g.op("Mul", squares, np.int64(op.channels)), g.op("Mul", total, total))
        own = _times(g, _square(g, g.op("Max", d, np.int64(0))), op.bottom**2)
        fires = g.op("And", fires, _reaches(g, own, _times(g, _cut(g, q, 2**32), op.top**2)))
        fires = g.op("And", fires, g.op("Greater", q, np.int64(0)))
    return g.shaped(g.bits(fires), n)


def _sum_of_pixel(g: Graph, x: str) -> str:
    return g.op("ReduceSum", x, np.array([2], np.int64), keepdims=1)


Parts = tuple[str, str]


def _cut(g: Graph, x: str, at: int) -> Parts:
    """Return x >= 0 as (x div at, x mod at)."""
    high = g.op("Div", x, np.int64(at))
    return high, g.op("Sub", x, g.op("Mul", high, np.int64(at)))


def _square(g: Graph, d: str) -> Parts:
    """Return d² for 0 <= d < 2**32: with d = a · 2**16 + b it is a² · 2**32 + (2ab · 2**16 + b²)."""
    a, b = _cut(g, d, 2**16)
    cross = g.op("Mul", g.op("Mul", a, b), np.int64(2**17))  # below 2**49
    carry, low = _cut(g, g.op("Add", cross, g.op("Mul", b, b)), 2**32)
    return g.op("Add", g.op("Mul", a, a), carry), low


def _times(g: Graph, x: Parts, factor: int) -> Parts:
    """Return x · factor, for a factor below 2**16."""
    carry, low = _cut(g, g.op("Mul", x[1], np.int64(factor)), 2**32)
    return g.op("Add", g.op("Mul", x[0], np.int64(factor)), carry), low


def _reaches(g: Graph, x: Parts, y: Parts) -> str:
    """Return x >= y."""
    same = g.op("And", g.op("Equal", x[0], y[0]), g.op("GreaterOrEqual", x[1], y[1]))
    return g.op("Or", g.op("Greater", x[0], y[0]), same)
