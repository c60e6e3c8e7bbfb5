"""Fit what `bimetal size` knows: instructions and bytes of code for each step, core by core.

Builds random Programs for each core at -Os and -O3, in every form of a header (kinds of input, constant
time), and counts them exactly under emulation. A function's size is what the linker says; the cost of each
step of `bimetal.export.c.steps` is fitted by least squares on relative errors. Every fifth net is held
back to tell errors. Writes src/bimetal/export/c/costs.json.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear

from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.export import TARGETS, job_for
from bimetal.export.c.plan import plan_for
from bimetal.export.c.steps import (
    call_steps,
    carried_bytes,
    dense_cost,
    functions,
    row_steps,
    weigh,
)
from bimetal.export.c.writer import header
from bimetal.export.footprint import N_ROWS
from bimetal.export.places.board import Board
from bimetal.export.places.elf import symbols
from bimetal.export.places.measure import chip_of
from bimetal.export.rows import some_rows
from bimetal.export.target import Job
from bimetal.files import atomic_write
from bimetal.ops import EQ, GE, MISSING, Dense, Encode, Link, Lut, Readout, Rules
from bimetal.program import Program

CORES = ("cortex-m0", "cortex-m4", "rv32imc", "cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55",
         "rv32imc_zbb", "rv64gc")  # fmt: skip
LEVELS = ("-Os", "-O3")
WIDE = 0.06  # of the nets
WIDTHS = (8, 20, 31, 32, 40, 64, 65, 96, 128, 200)
COSTS = Path("src/bimetal/export/c/costs.json")
RIDGE, OWN = 1e-3, 3e-3  # so that steps that come together, and kinds of a step, share a cost
FREE = ("calls of", "loop ")  # corrections, which may be below zero


@dataclass(frozen=True)
class Form:
    """A kind of header: what rows are made of, the type of its cut-points, and so on."""

    input: str
    cuts: str  # "int8", "int16", "int32"
    constant_time: bool
    has_codes: bool
    is_long: bool  # a column has more questions than a byte tells


@dataclass(frozen=True)
class Found:
    """What one net takes on a chip, and the steps that it is made of."""

    steps: dict[str, float]  # of the mean row
    each: list[dict[str, float]]  # of each row
    dense: float
    counts: list[int]  # instructions of each row
    calls: dict[str, float]
    code: int  # of NAME_points, what calls it, and gaps between functions and tables
    functions: dict[str, tuple[str, int]]  # by name: what decides on the size, and the size
    stack: int  # beyond the values

    @property
    def instructions(self) -> float:
        """Instructions of the mean row."""
        return float(np.mean(self.counts))

    @property
    def all_code(self) -> int:
        """All bytes of code."""
        return self.code + sum(n for _, n in self.functions.values())


def forms() -> list[Form]:
    """Return every kind of header, the kinds of whole numbers less often."""
    kinds = [("float", "int16"), ("float", "int32"), ("float", "int16"), ("float", "int32")]
    kinds += [
        ("int16", "int8"),
        ("int16", "int16"),
        ("int32", "int8"),
        ("int32", "int16"),
        ("int32", "int32"),
    ]
    yes = (False, True)
    found = [Form(*kind, ct, codes, False) for ct, codes, kind in product(yes, yes, kinds)]
    return found + [
        Form(*kind, ct, codes, True) for ct, codes, kind in product(yes, yes, kinds[2:])
    ]


def net(rng: np.random.Generator, form: Form) -> Program:
    """Return a random Program: tests, up to three hidden layers of any kind, points."""
    n_columns = int(rng.integers(5, 40))
    sizes = [
        0,
        int(
            rng.integers(260, 300)
            if form.is_long
            else rng.choice([4, 12, 24, 50, 90, 140, 200]) + rng.integers(0, 9)
        ),
    ]
    ops: list[Any] = [_encode(rng, 1 if form.is_long else n_columns, sizes[1], form)]
    if rng.random() < WIDE:  # a layer of more inputs than the smaller of two loops takes
        ops[0] = _encode(rng, n_columns, 1100, form)
        ops.append(_hidden(rng, 1, 1100, 40, "dense"))
        sizes = [0, 1100, 40]
    for _ in range(int(rng.choice([0, 0, 0, 1, 2, 3]))):
        source = int(rng.integers(1, len(sizes)))
        op = _hidden(rng, source, sizes[source], int(rng.choice(WIDTHS)))
        ops.append(op)
        sizes.append(len(op.thresholds) if isinstance(op, Dense) else
                     len(op.fan_in) if isinstance(op, Rules) else len(op.places))  # fmt: skip
    sources = tuple(range(1, len(sizes))) if rng.random() < 0.5 else (len(sizes) - 1,)
    n_points = int(rng.choice([1, 1, 2, 3, 4, 7]))
    widest = int(rng.choice([100, 9_000, 60_000]))
    kind = np.int8 if widest < 128 else np.int16 if widest < 2**15 else np.int32
    n_bits = sum(sizes[i] for i in sources)
    weights = rng.integers(-widest, widest + 1, (n_points, n_bits)).astype(kind)
    ops.append(Readout(sources, weights, rng.integers(-99, 99, n_points).astype(np.int32)))
    no = np.zeros(0, np.int32), np.zeros(0, np.float32)
    ops.append(Link(len(ops), "identity", np.ones(n_points), np.zeros(n_points), *no))
    return Program(tuple(Column(f"x{i}") for i in range(n_columns)), tuple(ops))


def _encode(rng: np.random.Generator, n_columns: int, n: int, form: Form) -> Encode:
    column = rng.integers(0, n_columns, n).astype(np.uint16)
    column = np.sort(column) if rng.random() < 0.7 else column
    share = float(rng.choice([0, 0.2, 0.5]))
    other = rng.choice([EQ, MISSING] if form.cuts != "int8" else [EQ], n)
    kind = np.where(rng.random(n) < share, other, GE).astype(np.uint8)
    kind[0] = GE
    most = {"int8": 99, "int16": 99 if form.input == "float" else 9_999, "int32": 99_999}[form.cuts]
    value = rng.integers(-most, most, n).astype(np.float32)
    value[0] = most  # so that the table is of this type
    if form.input == "float" and form.cuts == "int32":
        value += np.float32(0.1)
    n_codes = int(rng.choice([1, 3, 10, 60])) if form.has_codes else 0
    codes = rng.integers(0, n_columns, n_codes).astype(np.uint16)
    codes[:1] = column[0]
    return Encode(column, kind, value, codes, rng.integers(-9, 0, n_codes).astype(np.float32))


def _hidden(rng: np.random.Generator, source: int, n_in: int, n_out: int, how: str = "") -> Any:
    how = how or str(rng.choice(["dense", "dense", "groups", "rules", "lut"]))
    if how in ("dense", "groups"):
        groups = 4 if how == "groups" and n_in % 4 == 0 == n_out % 4 else 1
        k = n_in // groups
        weights = pack(rng.random((n_out, k)) < 0.5)
        return Dense(source, n_in, weights, rng.integers(-1, k + 1, n_out).astype(np.int32), groups)
    if how == "rules":
        fan_in = rng.integers(1, rng.integers(2, 12), n_out).astype(np.uint8)
        literals = rng.integers(0, 2 * n_in, int(fan_in.sum())).astype(np.uint16)
        return Rules(source, literals, fan_in)
    k = int(rng.integers(2, 8))
    places = rng.integers(0, n_in, (n_out, k)).astype(np.uint16)
    return Lut(source, places, pack(rng.random((n_out, 2**k)) < 0.5))


def measured(core: str, optimize: str, n: int, kept: Path | None) -> Iterator[Found]:
    """Build, run and take apart `n` nets; what was built is looked up in a file if it is there."""
    rng, kinds = np.random.default_rng(1), forms()
    known = json.loads(kept.read_text()) if kept and kept.is_file() else []
    for i in range(n):
        form = kinds[i % len(kinds)]
        options = {"core": core, "input": form.input, "constant_time": form.constant_time}
        job = job_for(net(rng, form), TARGETS["c"], "net", "net", options)
        if i == len(known):
            known.append(_built(job, optimize))
        yield _found(job, optimize, known[i])
    if kept:
        kept.write_text(json.dumps(known))


def _built(job: Job, optimize: str) -> dict[str, Any]:
    """Build and run a net; return instructions of each row, bytes of code and stack, all symbols."""
    chip, files = chip_of(job.options.core), TARGETS["c"].write(job)
    assert isinstance(chip, Board)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = chip.execute(job, files, folder, some_rows(job, N_ROWS), optimize)
        code, _, _ = chip.sizes(folder)
        has = {f: s.size for f, s in symbols(chip.binutils, folder / "alone.elf").items()}
    return {"steps": run.steps.tolist(), "code": code, "stack": run.stack, "has": has}


def _found(job: Job, optimize: str, built: dict[str, Any]) -> Found:
    plan, text, rows = plan_for(job), header(job), some_rows(job, N_ROWS)
    own = {f: (kind, built["has"][f"net_{f}"]) for f, kind in functions(plan, text).items()}
    return Found(
        row_steps(plan, optimize, rows),
        [row_steps(plan, optimize, rows[i : i + 1]) for i in range(len(rows))],
        dense_cost(plan, optimize) or 0.0,
        built["steps"],
        call_steps(plan, text),
        built["code"] - sum(size for _, size in own.values()),
        own,
        built["stack"] - plan.n_buffer_bytes - carried_bytes(plan),
    )


def fitted(steps: list[dict[str, float]], counts: Any, shares: Any) -> dict[str, float]:
    """Return a cost for each step; "run, float" is a kind of "run", whose cost it shares in part."""
    names = sorted({name for one in steps for name in one})
    kinds = sorted({name.split(", ")[0] for name in names if ", " in name})
    table = np.array([[one.get(name, 0.0) for name in names] for one in steps])
    is_of = np.array([[name.startswith(f"{kind}, ") for kind in kinds] for name in names])
    is_of = is_of.reshape(len(names), len(kinds)).astype(float)
    a = np.hstack([table, table @ is_of]) * np.reshape(shares, (-1, 1))
    ridge = np.diag([OWN if ", " in name else RIDGE for name in names] + [RIDGE] * len(kinds))
    b = np.concatenate([np.asarray(counts) * shares, np.zeros(len(ridge))])
    is_free = [name.startswith(FREE) or ", " in name for name in names]
    lowest = np.where(is_free + [False] * len(kinds), -np.inf, 0.0)
    cost = lsq_linear(np.vstack([a, ridge]), b, (lowest, np.inf)).x
    cost = cost[: len(names)] + is_of @ cost[len(names) :]
    return {name: float(f"{c:.4g}") for name, c in zip(names, cost, strict=True)}


def costs_of(found: list[Found]) -> dict[str, Any]:
    """Return what is stored of a core and level."""
    rest = [count - one.dense for one in found for count in one.counts]
    shares = [1 / one.instructions for one in found for _ in one.counts]
    sizes: dict[str, list[int]] = defaultdict(list)
    for one in found:
        for kind, size in one.functions.values():
            sizes[kind].append(size)
    return {
        "instructions": fitted([step for f in found for step in f.each], rest, np.array(shares)),
        "functions": {kind: int(np.median(n)) for kind, n in sorted(sizes.items())},
        "points": fitted([f.calls for f in found], [f.code for f in found], np.ones(len(found))),
        "stack": _stack(found),
    }


def _stack(found: list[Found]) -> dict[str, int]:
    """Return bytes for each function of which the largest, with what is left, is never too low."""
    names = sorted({name for one in found for name in one.functions})
    least = {n: min(one.stack for one in found if n in one.functions) for n in names}
    left = max(one.stack - max(least[n] for n in one.functions) for one in found)
    return {"left": int(left), **least}


def errors(found: list[Found], costs: dict[str, Any]) -> dict[str, float]:
    """Return the largest and the mean relative error of instructions, and of code in bytes."""
    off, bytes_off = [0.0], [0.0]
    for one in found:
        steps, calls = weigh(one.steps, costs["instructions"]), weigh(one.calls, costs["points"])
        kinds = [costs["functions"].get(kind) for kind, _ in one.functions.values()]
        if steps is None or calls is None or None in kinds:
            continue
        off.append(abs(steps + one.dense - one.instructions) / one.instructions)
        bytes_off.append(abs(sum(kinds) + calls - one.all_code))
    mean, most = float(np.mean(off[1:])), max(off)
    return {"n": len(off) - 1, "mean": round(mean, 5), "most": round(most, 5),
            "bytes": round(float(np.mean(bytes_off[1:])), 1), "most_bytes": round(max(bytes_off), 1)}  # fmt: skip


def main() -> None:
    """Fit all cores, or those named, and keep the others as they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--nets", type=int, default=80, help="for each core and level")
    parser.add_argument("--keep", type=Path, help="a folder for what was built, to fit anew from")
    given = parser.parse_args()
    for core in given.cores.split(","):
        levels = {level: _fit(core, level, given.nets, given.keep) for level in LEVELS}
        known = json.loads(COSTS.read_text()) if COSTS.is_file() else {}
        with atomic_write(COSTS) as file:
            file.write(
                json.dumps(known | {core: levels}, indent=1, sort_keys=True).encode() + b"\n"
            )


def _fit(core: str, optimize: str, n: int, keep: Path | None) -> dict[str, Any]:
    begin = time.monotonic()
    found = list(measured(core, optimize, n, keep / f"{core}{optimize}.json" if keep else None))
    costs = costs_of(found)
    held = errors(found[::5], costs_of([one for i, one in enumerate(found) if i % 5]))
    took = f"{time.monotonic() - begin:.0f} s"
    print(core, optimize, "fit", errors(found, costs), "held back", held, took, flush=True)
    return costs


if __name__ == "__main__":
    main()
