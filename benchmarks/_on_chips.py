"""What exported headers take on chips: instructions a synapse, flash, RAM, and one count for all rows."""

import numpy as np
from _cmsis import cmsis_board, cmsis_header, cmsis_source
from _frame import Row
from _small import mlp

from bimetal.export import TARGETS, Job, job_for
from bimetal.export.places.measure import count_each, footprint
from bimetal.export.rows import rows_for
from bimetal.export.target import NoOptions
from bimetal.program import Dense, Program

__all__ = ["WIDTHS", "constant_time", "cores", "synapses"]

WIDTHS = (256, 512, 512, 3)
GOALS = {"cortex-m4": 0.30, "cortex-m0": 0.50}
MORE = ("cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc", "rv32imc_zbb")
OVER_INT8 = {"cortex-m0": 12.0, "cortex-m4": 6.0, "cortex-m55": None}


def synapses(program: Program) -> int:
    """Return the binary synapses, and those of the readout, which has points in place of bits."""
    dense = sum(
        op.weights.shape[0] * (op.n_in // op.groups) for op in program.ops if isinstance(op, Dense)
    )
    return dense + WIDTHS[-2] * WIDTHS[-1]


def _job(program: Program, core: str, **options: object) -> Job:
    return job_for(program, TARGETS["c"], "net", "net", {"core": core, **options})


def cores(quick: bool) -> list[Row]:
    """Count one row of the 256-512-512-3 net on each core, encoder and readout included."""
    program = mlp(WIDTHS)
    rows, x = [], rows_for(program, 4 if quick else 50)
    for core in (*GOALS, *MORE):
        job = _job(program, core)
        mean = float(np.mean(count_each(job, TARGETS["c"].write(job), x, core)))
        name = f"{core}: instructions a synapse, 256-512-512-3"
        rows.append(Row(name, mean / synapses(program), "insn", "lower", GOALS.get(core)))
        if cmsis_source() and core in OVER_INT8:
            rows.append(_over_int8(program, core, mean))
    if not cmsis_source():
        print("CMSIS-NN is not compared: name a checkout of it in CMSIS_NN")
    return rows + _sizes(program)


def _over_int8(program: Program, core: str, ours: float) -> Row:
    """Return how many times fewer instructions than int8 dense layers of the same shape."""
    import tempfile
    from pathlib import Path

    board, files = cmsis_board(core), {".h": cmsis_header(WIDTHS)}
    with tempfile.TemporaryDirectory() as folder:
        run = board.execute(
            Job(program, "net", "net", NoOptions()),
            files,
            Path(folder),
            rows_for(program, 3),
            "-Ofast",
        )
    theirs = float(np.mean(run.steps))
    return Row(
        f"{core}: int8 CMSIS-NN over ours, instructions",
        theirs / ours,
        "times",
        goal=OVER_INT8[core],
    )


def _sizes(program: Program) -> list[Row]:
    rows = []
    for core in ("cortex-m0", "cortex-m4"):
        job = _job(program, core)
        found = footprint(job, TARGETS["c"].write(job), core, "-Os")
        goal = 600 if core == "cortex-m0" else None
        rows += [
            Row(f"{core}: code outside the weights, -Os", found.flash_code, "bytes", "lower", goal),
            Row(f"{core}: flash for constants", found.flash_tables, "bytes", "lower"),
            Row(f"{core}: RAM and stack beyond input and output", found.ram + found.stack, "bytes",
                "lower", 256 if core == "cortex-m0" else None),
        ]  # fmt: skip
    return rows


def constant_time(quick: bool) -> list[Row]:
    """Count many rows one by one: the form in constant time takes one number of instructions."""
    program, rows = mlp((64, 64, 64, 3)), []
    x = rows_for(program, 200 if quick else 10_000)
    for core in ("cortex-m0", "cortex-m4", "rv32imc"):
        counts = {}
        for form in (False, True):
            job = _job(program, core, constant_time=form)
            counts[form] = count_each(job, TARGETS["c"].write(job), x, core)
        distinct = len(np.unique(counts[True]))
        rows.append(
            Row(
                f"{core}: different counts over {len(x):,} rows, constant time",
                distinct,
                "counts",
                "lower",
                1,
            )
        )
        over = float(counts[True].mean() / counts[False].mean() - 1) * 100
        rows.append(Row(f"{core}: constant time costs, 64-64-64-3", over, "%", "lower", 3))
        job = _job(mlp(WIDTHS), core, constant_time=True)
        large = count_each(job, TARGETS["c"].write(job), rows_for(job.program, 3), core).mean()
        plain = _job(job.program, core)
        small = count_each(plain, TARGETS["c"].write(plain), rows_for(job.program, 3), core).mean()
        rows.append(
            Row(
                f"{core}: constant time costs, 256-512-512-3",
                float(large / small - 1) * 100,
                "%",
                "lower",
                3,
            )
        )
    return rows
