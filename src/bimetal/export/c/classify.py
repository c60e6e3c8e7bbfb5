"""`NAME_class` in C, by whole numbers alone wherever that provably names the largest answer.

*One score, two answers* (sigmoid, table): the second answer is the larger from some number of points
on, or up to some where the scale is negative. A table never decreases: its knots say where. For a
sigmoid with z = offset + scale · points, which rounding keeps in order:

- z < 0: e = exp(−|z|) is at most 1, so the second answer, e / (1 + e), is not above the first,
  1 / (1 + e);
- z ≥ 2⁻²⁰: e is below 1 − 2⁻²¹, so the answers are 2⁻²² apart at least; float32 below 1 are at most
  2⁻²⁴ apart, so they differ and the second is larger;
- between, the reference is asked for every number of points.

*Equal scales above 0 and equal offsets* (identity, softmax): the largest points have the largest
answer, if points that differ never give equal answers (the lowest index would win, rightly or not).
With M = |offset| + scale · the most points, z is off by 2⁻⁵¹ · M at most. So

- identity: with scale ≥ 2⁻²¹ · M neighbours are more than one float32 step, 2⁻²³ · M, apart;
- softmax: with scale ≥ 2⁻²⁰ and ≥ 2⁻⁴⁵ · M the next answer is below exp(−(1 − 2⁻⁶) · 2⁻²⁰) of the
  largest: seven float32 steps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.export.c.encode import row_type
from bimetal.export.c.plan import Plan
from bimetal.export.c.template import template
from bimetal.ops import Link, Readout
from bimetal.reference.link import link as answers_of

__all__ = ["Cut", "class_text", "cut_of", "largest_points_win", "points_range"]

INT32 = np.iinfo(np.int32)
NEAR = 2.0**-20
ASKED = 2**20
"""The most numbers of points that are asked one by one."""


@dataclass(frozen=True)
class Cut:
    """The second answer is the larger from `points` on, or up to `points`."""

    points: int
    is_upward: bool = True


def class_text(plan: Plan) -> tuple[str, bool]:
    """Return the text of `NAME_class`, and whether it does without the link."""
    words = {"ROW_T": row_type(plan)}
    low, high = points_range(plan)
    link = plan.link
    if plan.value(len(plan.program.ops)).n == 1:
        return template("class_always.c", {**words, "ALWAYS": "0"}), True
    if link.kind in ("sigmoid", "table"):
        cut = cut_of(link, low, high)
        if cut is not None:
            return _by_cut(cut, words, low, high), True
    elif largest_points_win(link, low, high):
        is_ct = plan.options.constant_time
        return template("class_points_ct.c" if is_ct else "class_points.c", words), True
    return template("class_answers.c", words), False


def _by_cut(cut: Cut, words: dict[str, str], low: int, high: int) -> str:
    if not low <= cut.points <= high:
        is_second = (cut.points < low) == cut.is_upward
        return template("class_always.c", {**words, "ALWAYS": str(int(is_second))})
    sign = ">=" if cut.is_upward else "<="
    second = f"{{}} {sign} {cut.points if cut.points > INT32.min else 'INT32_MIN'}"
    return template("class_cut.c", {**words, "IS_SECOND": second.format})


def points_range(plan: Plan) -> tuple[int, int]:
    """Return the least and the most points there can be, of any output."""
    op = plan.program.ops[plan.link.input - 1]
    if not isinstance(op, Readout):
        return int(INT32.min), int(INT32.max)
    weights = op.weights.astype(np.int64)
    low = op.bias + np.minimum(weights, 0).sum(axis=1)
    high = op.bias + np.maximum(weights, 0).sum(axis=1)
    return int(low.min()), int(high.max())


def largest_points_win(link: Link, low: int, high: int) -> bool:
    """Tell whether the largest points surely have the largest answer, and no others an equal one."""
    scale, offset = float(link.scale[0]), float(link.offset[0])
    is_alike = bool((link.scale == scale).all() and (link.offset == offset).all())
    if not is_alike or scale <= 0:
        return False
    most = abs(offset) + scale * max(abs(low), abs(high))
    if link.kind == "identity":
        return scale >= most * 2**-21 and scale >= 2**-120 and most < 2**120
    return scale >= 2**-20 and scale >= most * 2**-45


def cut_of(link: Link, low: int, high: int) -> Cut | None:
    """Return where the second of two answers becomes the larger, or None if that is not proved."""
    if link.kind == "table":
        return Cut(_first_knot(link, low, high))
    scale = float(link.scale[0])
    if scale == 0:
        is_second = bool(_is_second(link, np.zeros(1, np.int32))[0])
        return Cut(low - 1 if is_second else high + 1)
    sign = 1 if scale > 0 else -1
    start, end = sorted((sign * low, sign * high))
    near, far = (_first(link, sign, start, end, z) for z in (0.0, NEAR))
    if far - near > ASKED:
        return None
    between = _is_second(link, (sign * np.arange(near, far)).astype(np.int32))
    if (between[1:] < between[:-1]).any():
        return None
    first = far - int(between.sum())
    return Cut(sign * first, sign > 0)


def _first_knot(link: Link, low: int, high: int) -> int:
    is_second = link.values > np.float32(1) - link.values
    i = int(np.argmax(is_second)) if is_second.any() else len(is_second)
    if i == 0:
        return low - 1
    return int(link.knots[i - 1]) if i <= len(link.knots) else high + 1


def _is_second(link: Link, points: NDArray[np.int32]) -> NDArray[np.bool_]:
    answers = answers_of(link, points[:, None])
    second: NDArray[np.bool_] = answers[:, 1] > answers[:, 0]
    return second


def _first(link: Link, sign: int, start: int, end: int, least: float) -> int:
    """Return the first of start, …, end whose z is at least `least`, or end + 1: z never decreases."""
    scale, offset = np.float64(link.scale[0]), np.float64(link.offset[0])
    end += 1
    while start < end:
        middle = (start + end) // 2
        if offset + scale * np.float64(sign * middle) >= least:
            end = middle
        else:
            start = middle + 1
    return start
