"""Fit what `bimetal size` knows: instructions and bytes of code for each step, core by core.

Builds random Programs for each core at -O3 and -Os, counts them exactly under emulation, and fits a cost
for each step of `bimetal.export.c.steps` by least squares. Writes src/bimetal/export/c/costs.json.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.export import TARGETS, job_for
from bimetal.export.c.plan import plan_for
from bimetal.export.c.steps import code_steps, dense_cost, row_steps
from bimetal.export.places.measure import chip_of
from bimetal.export.rows import rows_for
from bimetal.files import atomic_write
from bimetal.ops import EQ, GE, MISSING, Dense, Encode, Link, Lut, Readout, Rules
from bimetal.program import Program

CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc",
         "rv32imc_zbb", "rv64gc")  # fmt: skip
WIDTHS = (8, 20, 31, 32, 40, 64, 65, 96, 128, 200)
COSTS = Path("src/bimetal/export/c/costs.json")


def net(rng: np.random.Generator) -> Program:
    """Return a random Program: tests, some hidden layers of any kind, points."""
    n_columns = int(rng.integers(2, 30))
    sizes = [0, int(rng.choice(WIDTHS))]
    ops: list[Any] = [_encode(rng, n_columns, sizes[1])]
    for _ in range(int(rng.integers(0, 4))):
        source = int(rng.integers(1, len(sizes)))
        op = _hidden(rng, source, sizes[source], int(rng.choice(WIDTHS)))
        ops.append(op)
        sizes.append(len(op.thresholds) if isinstance(op, Dense) else
                     len(op.fan_in) if isinstance(op, Rules) else len(op.places))  # fmt: skip
    sources = tuple(range(1, len(sizes)))
    n_points = int(rng.choice([1, 1, 3]))
    widest = int(rng.choice([100, 100, 9_000, 60_000]))
    kind = np.int8 if widest < 128 else np.int16 if widest < 2**15 else np.int32
    weights = rng.integers(-widest, widest + 1, (n_points, sum(sizes))).astype(kind)
    ops.append(Readout(sources, weights, rng.integers(-99, 99, n_points).astype(np.int32)))
    no = np.zeros(0, np.int32), np.zeros(0, np.float32)
    ops.append(Link(len(ops), "identity", np.ones(n_points), np.zeros(n_points), *no))
    return Program(tuple(Column(f"x{i}") for i in range(n_columns)), tuple(ops))


def _encode(rng: np.random.Generator, n_columns: int, n: int) -> Encode:
    column = rng.integers(0, n_columns, n).astype(np.uint16)
    column = np.sort(column) if rng.random() < 0.8 else column
    kind = rng.choice([GE, GE, GE, EQ, MISSING], n).astype(np.uint8)
    fine = rng.random() < 0.5  # cut-points that need whole keys, or halves of them
    value = (rng.normal(0, 9, n) if fine else rng.integers(-9, 99, n)).astype(np.float32)
    n_codes = int(rng.choice([0, 0, 3]))
    codes = rng.integers(0, n_columns, n_codes).astype(np.uint16)
    return Encode(column, kind, value, codes, rng.integers(-9, 0, n_codes).astype(np.float32))


def _hidden(rng: np.random.Generator, source: int, n_in: int, n_out: int) -> Any:
    how = rng.choice(["dense", "dense", "groups", "rules", "lut"])
    if how in ("dense", "groups"):
        groups = 4 if how == "groups" and n_in % 4 == 0 == n_out % 4 else 1
        k = n_in // groups
        weights = pack(rng.random((n_out, k)) < 0.5)
        return Dense(source, n_in, weights, rng.integers(-1, k + 1, n_out).astype(np.int32), groups)
    if how == "rules":
        fan_in = rng.integers(1, 6, n_out).astype(np.uint8)
        literals = rng.integers(0, 2 * n_in, int(fan_in.sum())).astype(np.uint16)
        return Rules(source, literals, fan_in)
    k = int(rng.integers(2, 8))
    places = rng.integers(0, n_in, (n_out, k)).astype(np.uint16)
    return Lut(source, places, pack(rng.random((n_out, 2**k)) < 0.5))


def measured(core: str, optimize: str, n: int, seed: int) -> list[tuple[Any, ...]]:
    """Build and run `n` nets; return steps, counts, code steps, code bytes, stack and values."""
    rng, chip, found = np.random.default_rng(seed), chip_of(core), []
    for _ in range(n):
        job = job_for(net(rng), TARGETS["c"], "net", "net", {"core": core})
        files, plan = TARGETS["c"].write(job), plan_for(job)
        with tempfile.TemporaryDirectory() as folder:
            run = chip.execute(job, files, Path(folder), rows_for(job.program, 12), optimize)
            code, _, _ = chip.sizes(Path(folder))
        rest = float(np.mean(run.steps)) - (dense_cost(plan, optimize) or 0.0)
        steps = code_steps(plan, files[".h"].decode())
        found.append((row_steps(plan), rest, float(np.mean(run.steps)), steps, code,
                      run.stack - plan.n_buffer_bytes))  # fmt: skip
    return found


def fitted(
    steps: list[dict[str, float]], counts: list[float], weights: Any = 1.0
) -> dict[str, float]:
    """Return a cost for each step, none below zero."""
    names = sorted({name for one in steps for name in one})
    a = np.array([[one.get(name, 0.0) for name in names] for one in steps]) * np.reshape(
        weights, (-1, 1)
    )
    cost, _ = nnls(a, np.array(counts) * weights)
    return {name: round(float(c), 2) for name, c in zip(names, cost, strict=True) if c > 0.004}


def main() -> None:
    """Fit all cores, or those named, and keep the others as they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--nets", type=int, default=48, help="for each core and level")
    given = parser.parse_args()
    known = json.loads(COSTS.read_text()) if COSTS.is_file() else {}
    for core in given.cores.split(","):
        for optimize in ("-O3", "-Os"):
            found = measured(core, optimize, given.nets, seed=1)
            steps, rest, total, code, sizes, stack = map(list, zip(*found, strict=True))
            shares = 1 / np.array(total)
            insn = fitted(steps, rest, shares)
            code_costs = fitted(code, sizes)
            known.setdefault(core, {})[optimize] = {
                "instructions": insn,
                "code": code_costs,
                "stack": int(max(stack)),
            }
            with atomic_write(COSTS) as file:
                file.write(json.dumps(known, indent=1, sort_keys=True).encode() + b"\n")
            print(core, optimize, _errors(found, insn, code_costs), flush=True)


def _errors(found: list[tuple[Any, ...]], insn: dict[str, float], code: dict[str, float]) -> str:
    from bimetal.export.c.steps import weigh

    off = [abs(weigh(s, insn) - rest) / total for s, rest, total, *_ in found]
    bytes_off = [weigh(c, code) - size for *_, c, size, _ in found]
    return (
        f"instructions off by {np.mean(off):.2%} on average, {max(off):.2%} at most; code off by "
        f"{np.abs(bytes_off).mean():.0f} bytes on average, {np.abs(bytes_off).max():.0f} at most"
    )


if __name__ == "__main__":
    main()
