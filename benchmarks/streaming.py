"""One row that changes a little at a time: an update of a few columns beside a full pass.

Random binary nets over 64 and 128 columns; every call is made from Python and times are medians over
rounds in which all of them take turns.
"""

import time
from itertools import pairwise
from statistics import median

import numpy as np
from _frame import Row, options, report

from bimetal.columns import Column
from bimetal.program import Dense, Encode, Link, Op, Program, Readout
from bimetal.runtime import Engine

NETS = {"256 bits → 512 → 512 → 3": (4, (256, 512, 512, 3)),
        "1,024 bits → 2,048 → 2,048 → 3": (8, (1024, 2048, 2048, 3))}  # fmt: skip
CHANGED = (0, 1, 2, 8)


def net(bits_a_column: int, widths: tuple[int, ...]) -> Program:
    """Thermometer bits, dense binary layers, a readout."""
    rng, n = np.random.default_rng(0), widths[0] // bits_a_column
    cuts = np.tile(np.linspace(-1, 1, bits_a_column + 2)[1:-1], n).astype(np.float32)
    column = np.repeat(np.arange(n, dtype=np.uint16), bits_a_column)
    no = np.array([], np.float32)
    kinds, none = np.zeros(widths[0], np.uint8), no.astype(np.uint16)
    ops: list[Op] = [Encode(column, kinds, cuts, none, no)]
    for n_in, n_out in pairwise(widths[:-1]):
        weights = rng.integers(0, 256, (n_out, n_in // 8), np.uint8)
        ops.append(Dense(len(ops), n_in, weights, np.full(n_out, n_in // 2, np.int32)))
    points = rng.integers(-99, 100, (widths[-1], widths[-2])).astype(np.int16)
    zeros = np.zeros(widths[-1])
    ops.append(Readout((len(ops),), points, zeros.astype(np.int32)))
    ops.append(Link(len(ops), "identity", zeros + 0.01, zeros, no.astype(np.int32), no))
    return Program(tuple(Column(f"x{i}") for i in range(n)), tuple(ops))


def nanoseconds(program: Program, n_rounds: int) -> dict[str, float]:
    """Time a full pass and updates of so many columns, in turns."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(300, program.n_columns)).astype(np.float32)
    engine = Engine(program)
    out = np.empty(engine.n_outputs, np.float32)
    update = engine.stream(rows[0]).update_into
    calls = {"full": [(engine.predict_into, (row, out)) for row in rows]}
    for k in CHANGED:
        chosen = [rng.choice(program.n_columns, k, replace=False).astype(np.int32) for _ in rows]
        values = [np.ascontiguousarray(row[c]) for row, c in zip(rows, chosen, strict=True)]
        calls[str(k)] = [(update, (c, v, out)) for c, v in zip(chosen, values, strict=True)]
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(n_rounds):
        for name, named in calls.items():
            begin = time.perf_counter_ns()
            for call, arguments in named:
                call(*arguments)
            times[name].append((time.perf_counter_ns() - begin) / len(named))
    return {name: median(t) for name, t in times.items()}


def main() -> None:
    """Time both nets; report."""
    args = options(__doc__.splitlines()[0])
    rows = []
    for name, (bits_a_column, widths) in NETS.items():
        found = nanoseconds(net(bits_a_column, widths), 20 if args.quick else 200)
        rows.append(Row(f"{name}: a full pass", found["full"], "ns", "lower"))
        for k in CHANGED:
            rows.append(Row(f"{name}: update of {k} columns", found[str(k)], "ns", "lower"))
        rows.append(Row(f"{name}: full over one column", found["full"] / found["1"], "x"))
    report(rows, args.json)


if __name__ == "__main__":
    main()
