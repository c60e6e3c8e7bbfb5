"""Every place that is here runs many rows of one net, and the rows that differ are counted."""

import time

import numpy as np
from _frame import Row

from bimetal.columns import Column
from bimetal.errors import ExportError
from bimetal.export import TARGETS, Place, Target, job_for
from bimetal.export.verify import hold
from bimetal.ops import EQ, GE, MISSING
from bimetal.program import Dense, Encode, Link, Program, Readout

__all__ = ["executed", "scorecard_net"]

SLOW = {
    "simavr:atmega328p": 100, "ucsim:8051": 100, "pypmml": 2_000, "icarus": 20_000, "sqlite": 20_000,
    "chromium": 50_000, "onnxruntime-web": 50_000, "qonnx": 10_000, "postgresql": 50_000,
    "host:sanitizers": 50_000, "verilator": 100_000,
}  # fmt: skip
USUAL, EMULATED = 100_000, 20_000


def scorecard_net(seed: int = 0) -> Program:
    """Return 64 tests of twenty columns, two dense layers of 64, one score: the size of a credit model."""
    rng = np.random.default_rng(seed)
    column = np.sort(rng.integers(0, 20, 64)).astype(np.uint16)
    kind = rng.choice([GE, GE, GE, EQ, MISSING], 64).astype(np.uint8)
    value = rng.choice(np.array([-9, -1, 0, 0.5, 1, 2, 7, 640, 25_000], np.float32), 64)
    special = np.array([3, 7], np.uint16), np.array([-9, -8], np.float32)
    ops = [Encode(column, kind, value, *special)]
    for i in (1, 2):
        weights = rng.integers(0, 256, (64, 8), np.uint8)
        ops.append(Dense(i, 64, weights, rng.integers(25, 40, 64).astype(np.int32)))
    points = rng.integers(-99, 100, (1, 64)).astype(np.int16)
    ops.append(Readout((3,), points, np.array([17], np.int32)))
    no = np.zeros(0, np.int32), np.zeros(0, np.float32)
    ops.append(Link(4, "sigmoid", np.full(1, 1 / 64), np.full(1, -0.3), *no))
    return Program(tuple(Column(f"x{i}") for i in range(20)), tuple(ops), ("good", "bad"))


def executed(quick: bool) -> list[Row]:
    """Run the net wherever it can be run here."""
    program, total, wrong, ran = scorecard_net(), 0, 0, []
    for target in TARGETS.values():
        for place in target.places:
            found = _run(target, place, program, quick)
            if found is None:
                continue
            n, differ, seconds = found
            total, wrong = total + n, wrong + differ
            ran.append(f"{target.name}@{place.name}")
            print(f"{ran[-1]:<34} {n:>8,} rows  {differ} differ  {seconds:6.1f} s", flush=True)
    return [
        Row("targets in places that were run here", len(ran), "", goal=12),
        Row("rows run in all", total, "rows", goal=None if quick else 1_000_000),
        Row("rows that differ from the reference", wrong, "rows", "lower", 0),
    ]


def _run(
    target: Target, place: Place, program: Program, quick: bool
) -> tuple[int, int, float] | None:
    missing = place.missing()
    if missing:
        print(f"{target.name}@{place.name}: skipped, needs {missing[0].name}")
        return None
    n = SLOW.get(place.name, EMULATED if place.name.startswith("qemu") else USUAL)
    n = min(n, 50) if quick else n
    begin = time.perf_counter()
    try:
        found = hold(target, place, job_for(program, target, "net", "net", place.options), n, 0)
    except ExportError as error:
        print(f"{target.name}@{place.name}: refused: {error}")
        return None
    differ = max(found.n_points_differ or 0, found.n_answers_differ or 0)
    return found.n_rows, differ, time.perf_counter() - begin
