"""What nets take on an ECP5, from registered row to registered class, one row accepted every clock.

The nets are random, which is the worst that logic minimizers meet: tables and weights that were learned
share more. All figures are estimates of yosys and nextpnr; none was measured on a chip. Several ways to
pipeline each net are tried, and the way with the least latency is reported; all of them are printed.
"""

import numpy as np
from _frame import Row

from bimetal.columns import Column
from bimetal.export import TARGETS, Job, job_for
from bimetal.export.verify import hold
from bimetal.export.verilog.report import Area, synthesize, tools_of
from bimetal.ops import GE, Lut
from bimetal.program import Dense, Encode, Link, Program, Readout

__all__ = ["dense_net", "fpga", "lut_net"]

N_COLUMNS, FAN_IN, N_CLASSES = 8, 6, 3
LUT_WIDTHS = (256, 256, 96)
WAYS = (("full", 3), ("full", 4))
GOAL_NS = 30


def lut_net(seed: int = 0) -> Program:
    """Return 8 columns of 8 cut-points, 608 neurons of 6 inputs, and sums of 32 bits for 3 classes."""
    rng = np.random.default_rng(seed)
    ops: list[object] = [_thermometer(rng, 8)]
    n_in = N_COLUMNS * 8
    for i, n_out in enumerate(LUT_WIDTHS):
        places = [rng.choice(n_in, FAN_IN, replace=False) for _ in range(n_out)]
        tables = rng.integers(0, 256, (n_out, 2**FAN_IN // 8), np.uint8)
        ops.append(Lut(i + 1, np.array(places, np.uint16), tables))
        n_in = n_out
    sums = np.repeat(np.eye(N_CLASSES, dtype=np.int8), n_in // N_CLASSES, axis=1)
    return _ended(ops, sums)


def dense_net(seed: int = 0) -> Program:
    """Return 8 columns of 2 cut-points, two layers of 32 neurons that see all before them, 3 classes."""
    rng = np.random.default_rng(seed)
    ops: list[object] = [_thermometer(rng, 2)]
    for i, (n_in, n_out) in enumerate(((16, 32), (32, 32))):
        weights = rng.integers(0, 256, (n_out, n_in // 8), np.uint8)
        ops.append(Dense(i + 1, n_in, weights, np.full(n_out, n_in // 2, np.int32)))
    return _ended(ops, rng.integers(-15, 16, (N_CLASSES, 32)).astype(np.int8))


def _thermometer(rng: np.random.Generator, n_cuts: int) -> Encode:
    column = np.repeat(np.arange(N_COLUMNS, dtype=np.uint16), n_cuts)
    cuts = [
        np.sort(rng.choice(np.arange(-30_000, 30_000), n_cuts, False)) for _ in range(N_COLUMNS)
    ]
    no = np.zeros(0, np.uint16), np.zeros(0, np.float32)
    kind = np.full(len(column), GE, np.uint8)
    return Encode(column, kind, np.concatenate(cuts).astype(np.float32), *no)


def _ended(ops: list[object], weights: np.ndarray) -> Program:
    n, no = len(ops), (np.zeros(0, np.int32), np.zeros(0, np.float32))
    ops = [*ops, Readout((n,), weights, np.zeros(N_CLASSES, np.int32))]
    ops.append(Link(n + 1, "identity", np.ones(N_CLASSES), np.zeros(N_CLASSES), *no))
    columns = tuple(Column(f"x{i}") for i in range(N_COLUMNS))
    return Program(columns, tuple(ops), ("down", "flat", "up"))  # with classes it names the largest


def fpga(quick: bool) -> list[Row]:
    """Place and route both nets, and hold the simulated modules against the reference."""
    missing = [tool.install for tool in tools_of("ecp5") if tool.find() is None]
    if missing:
        print(f"fpga: skipped, {missing[0]}")
        return []
    rows = []
    nets = {"608 tables of 6 inputs": lut_net(), "dense 16-32-32-3": dense_net()}
    for name, program in nets.items():
        job, area = _best(name, program, WAYS[:1] if quick else WAYS)
        goal = GOAL_NS if name.startswith("608") else None
        rows += [
            Row(f"{name}: row to class, estimated", area.latency_ns or 0.0, "ns", "lower", goal),
            Row(f"{name}: clock, estimated", area.fmax_mhz or 0.0, "MHz"),
            Row(f"{name}: clocks from row to class", area.cycles, "clocks", "lower"),
            Row(f"{name}: look-up tables of 4 inputs", area.luts, "LUTs", "lower"),
            Row(f"{name}: flip-flops", area.ffs, "FFs", "lower"),
        ]
        rows += _simulated(name, job, 100 if quick else 20_000)
    return rows


def _best(name: str, program: Program, ways: tuple[tuple[str, int], ...]) -> tuple[Job, Area]:
    """Return the way to pipeline that has the least latency, and print them all."""
    found = []
    for pipeline, levels in ways:
        chosen = {"pipeline": pipeline, "levels": levels, "input": "int16", "lut": "4"}
        job = job_for(program, TARGETS["verilog"], "net", "net", chosen)
        area = synthesize(job, "ecp5", target_mhz=400)
        print(f"{name}, {pipeline} {levels}: {area}", flush=True)
        found.append((job, area))
    return min(found, key=lambda one: one[1].latency_ns or float("inf"))


def _simulated(name: str, job: Job, n: int) -> list[Row]:
    """Run rows through the module, a row a clock but for some pauses, and count those that differ."""
    place = {place.name: place for place in TARGETS["verilog"].places}["icarus"]
    missing = place.missing()
    if missing:
        print(f"{name}: not simulated, {missing[0].install}")
        return []
    differ = hold(TARGETS["verilog"], place, job, n, 0).n_points_differ
    title = f"{name}: rows that differ of {n:,}, Icarus"
    return [Row(title, float(differ or 0), "rows", "lower", 0)]
