"""How fast something scores, from Python on one thread: many rows at once, and one row at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.program import EQ, GE, MISSING, Encode, Program
from bimetal.runtime import Engine

__all__ = ["Speed", "engine_speed", "likely_rows", "measure_batch", "measure_one_row"]


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes
    ----------
    rows_per_second : float
        The best of several passes over all rows.
    one_row_median_us, one_row_p99_us : float
        Microseconds of one call with one row, rows varying; the call and the clock are in it.
    """

    rows_per_second: float
    one_row_median_us: float
    one_row_p99_us: float


def engine_speed(engine: Engine, rows: NDArray[np.float32], n_calls: int = 20_000) -> Speed:
    """Measure `Engine.predict_into` on raw rows, float32 (n_rows, n_columns)."""
    out = np.empty((len(rows), engine.n_outputs), np.float32)
    one = np.empty(engine.n_outputs, np.float32)
    call = engine.predict_into
    batch = measure_batch(lambda: call(rows, out), len(rows))
    median, p99 = measure_one_row(lambda row: call(row, one), rows, n_calls)
    return Speed(batch, median, p99)


def measure_batch(score: Callable[[], Any], n_rows: int, seconds: float = 0.3) -> float:
    """Return rows a second of `score()`, which scores `n_rows`: the best pass within the time."""
    best, end = np.inf, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        score()
        stop = time.perf_counter()
        best = min(best, stop - start)
        if stop > end:
            return float(n_rows / max(best, 1e-9))


def measure_one_row(
    score: Callable[[Any], Any], rows: NDArray[np.float32], n_calls: int
) -> tuple[float, float]:
    """Return the median and the 99th percentile of ``score(row)``, in microseconds."""
    views = [rows[i % len(rows)] for i in range(min(n_calls, 4096))]
    for view in views[: max(1, len(views) // 10)]:
        score(view)
    taken = np.empty(n_calls, np.int64)
    clock = time.perf_counter_ns
    for i in range(n_calls):
        view = views[i % len(views)]
        start = clock()
        score(view)
        taken[i] = clock() - start
    median, p99 = np.percentile(taken, [50, 99]) / 1000
    return float(median), float(p99)


def likely_rows(program: Program, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Invent raw rows on both sides of every cut-point, with missing values where they are known.

    Arrays hold bytes, 0 to 255.

    For measuring speed where no data is at hand: rows vary as real ones do, but mean nothing.
    """
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, program.n_columns), np.float32)
    start = 0
    for column in program.columns:
        if column.kind == "array":
            rows[:, start : start + column.size] = rng.integers(0, 256, (n, column.size))
        elif column.kind == "category":
            rows[:, start] = rng.integers(-1, max(1, len(column.categories)), n)
        else:
            rows[:, start] = _numbers(program, start, rng, n)
        if column.kind != "array" and _known(program, start, MISSING).size:
            rows[rng.random(n) < 0.1, start] = np.nan
        start += column.size
    return rows


def _numbers(program: Program, j: int, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    known = np.r_[_known(program, j, GE), _known(program, j, EQ), 0.0].astype(np.float64)
    spread = np.ptp(known) / len(known)
    numbers: NDArray[np.float64] = rng.choice(known, n) + rng.choice([0.0, spread], n) * rng.normal(
        size=n
    )
    return numbers


def _known(program: Program, j: int, kind: int) -> NDArray[np.float32]:
    values = [op.value[(op.column == j) & (op.kind == kind)]
              for op in program.ops if isinstance(op, Encode)]  # fmt: skip
    return np.concatenate([*values, np.empty(0, np.float32)])
