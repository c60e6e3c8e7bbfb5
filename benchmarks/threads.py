"""A second thread must never slow a small net: calls with one thread and with two, in turns.

What a second thread gains on large nets is measured by engine.py.
"""

import os
from collections.abc import Callable, Sequence

import numpy as np
from _frame import Row, options, report
from _turns import take_turns
from streaming import NETS, net

from bimetal import lower_cnn, zoo
from bimetal.program import Program
from bimetal.runtime import Engine


def call(program: Program, cpus: Sequence[int], threads: int) -> Callable[[], None]:
    """Return a call with one row, on so many threads."""
    engine = Engine(program, threads=threads, cpus=cpus[:threads] if len(cpus) >= threads else ())
    x = np.random.default_rng(0).uniform(0, 255, (1, program.n_columns)).astype(np.float32)
    out = np.empty((1, engine.n_outputs), np.float32)
    return lambda: engine.predict_into(x, out)


def main() -> None:
    """Time a small table net and a small picture net; report."""
    args = options(__doc__.splitlines()[0])
    tables = {name: net(*sizes) for name, sizes in NETS.items()}
    pictures = {
        f"AlexNet of {size} × {size} pixels, width {width}": lower_cnn(
            zoo.alexnet(binary=True, image_size=size, width=width)
        )
        for size, width in ((64, 0.125), (64, 0.5), (96, 0.5), (96, 1.0))
    }
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    rows = []
    for name, program in {**tables, **pictures}.items():
        found = take_turns(
            {str(n): call(program, cpus, n) for n in (1, 2)}, 3 if args.quick else 20
        )
        rows.append(Row(f"{name}, one row, one thread", found["1"] * 1e6, "us", "lower"))
        rows.append(Row("  one thread over two", found["1"] / found["2"], "x", "higher", 0.95))
    report(rows, args.json)


if __name__ == "__main__":
    main()
