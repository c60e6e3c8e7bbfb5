"""Parts + stacking weights → one Program: readouts become integer points on one scale.

The weighted parts share one readout. Its real weights are divided by a common scale and rounded to
int16, at most ±`MAX_POINTS`, so that the error of a score stays far below what a probability shows,
and the scale is put back by the link, in float64, at the very end.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from bimetal import reference
from bimetal.columns import Column
from bimetal.estimators.parts import Part
from bimetal.estimators.tasks import Floats, Task
from bimetal.program import GE, Encode, Link, Op, Program, Readout

__all__ = ["MAX_POINTS", "assemble"]

MAX_POINTS = 8_191
MAX_BIAS = 2**24
"""Points of the intercept at most; the link's offset holds the rest."""
N_GOLDEN = 8


def assemble(
    columns: tuple[Column, ...],
    encode: Encode,
    parts: Sequence[Part],
    weights: Floats,
    intercept: Floats,
    task: Task,
    *,
    center: float = 0.0,
    spread: float = 1.0,
    classes: tuple[Any, ...] = (),
    provenance: dict[str, Any] | None = None,
) -> Program:
    """Build the Program whose scores are ``intercept + sum of weights[k] * parts[k]``.

    Parts of weight 0 leave nothing behind. For a regression the answer is center + spread * score.
    """
    used = [(part, float(w)) for part, w in zip(parts, weights, strict=True) if w > 0]
    ops: list[Op] = [encode]
    direct = np.zeros((task.n_outputs, len(encode.column)))
    bias = np.array(intercept, dtype=np.float64)
    inputs, blocks = [1], []
    for part, w in used:
        direct += w * part.direct
        bias += w * part.bias
        for k, op in enumerate(part.ops):
            ops.append(replace(op, input=1 if k == 0 else len(ops)))
        if part.ops:
            inputs.append(len(ops))
            blocks.append(w * part.hidden)
    points, scale = _to_points(np.hstack([direct, *blocks]))
    whole = np.rint(bias / scale).clip(-MAX_BIAS, MAX_BIAS).astype(np.int32)
    ops.append(Readout(tuple(inputs), points, whole))
    ops.append(_link(task, len(ops), scale, bias - whole * scale, center, spread))
    program = Program(columns, tuple(ops), classes, provenance or {})
    golden_x = golden_rows(program, N_GOLDEN)
    return replace(program, golden_x=golden_x, golden_y=reference.run(program, golden_x))


def _to_points(weights: Floats) -> tuple[NDArray[np.int16], float]:
    largest = float(np.abs(weights).max(initial=0.0))
    scale = largest / MAX_POINTS if largest > 0 else 1.0
    return np.rint(weights / scale).astype(np.int16), scale


def _link(
    task: Task, value: int, scale: float, offset: Floats, center: float, spread: float
) -> Link:
    kinds = {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity"}
    none_i, none_f = np.zeros(0, np.int32), np.zeros(0, np.float32)
    scales = np.full(task.n_outputs, scale * spread)
    return Link(value, kinds[task.kind], scales, center + spread * offset, none_i, none_f)  # type: ignore[arg-type]


def golden_rows(program: Program, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Invent rows near the cut-points of a Program; no row of anyone's data is among them."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, program.n_columns), np.float32)
    for j, column in enumerate(program.columns):
        if column.kind == "category":
            rows[:, j] = rng.integers(-1, max(1, len(column.categories)), n)
            continue
        cuts = [
            op.value[(op.column == j) & (op.kind == GE)]
            for op in program.ops
            if isinstance(op, Encode)
        ]
        known = np.concatenate([*cuts, np.zeros(1)]).astype(np.float64)
        jitter = rng.normal(0, 1, n) * ((np.ptp(known) or 1.0) / len(known))
        rows[:, j] = (rng.choice(known, n) + jitter).clip(-3e38, 3e38)
    return rows


def isotonic(program: Program, scores: Floats | None, labels: Floats, weight: Floats) -> Program:
    """Replace the sigmoid of a two-class Program by a calibrated staircase on its points.

    Parameters
    ----------
    program : Program
        One that `assemble` made.
    scores : numpy.ndarray or None
        Out-of-fold scores, float64 (n_rows, 1); NaN rows are left out. None keeps the sigmoid:
        there were too few rows to calibrate on.
    labels, weight : numpy.ndarray
        float64 (n_rows,).
    """
    link = program.ops[-1]
    if scores is None or not isinstance(link, Link):
        return program
    seen = ~np.isnan(scores[:, 0])
    points = np.rint((scores[seen, 0] - link.offset[0]) / link.scale[0])
    least = 0.5 / (len(points) + 1)  # no score is certain: log loss stays finite
    fitted = IsotonicRegression(y_min=least, y_max=1 - least).fit(
        points, labels[seen], weight[seen]
    )
    steps, first = np.unique(fitted.y_thresholds_.astype(np.float32), return_index=True)
    knots = fitted.X_thresholds_[first[1:]].astype(np.int32)
    table = replace(link, kind="table", knots=knots, values=steps)
    program = replace(program, ops=(*program.ops[:-1], table))
    return replace(program, golden_y=reference.run(program, program.golden_x))
