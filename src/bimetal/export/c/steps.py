"""What a header does for one row, and what code it brings, counted in steps that have a cost each.

The steps follow from the Program alone: no loop of a header ends early, and its functions stand apart
(`NAME_APART`), so that each call of one costs the same wherever it stands. `bimetal.export.size`
multiplies them with costs that were fitted to builds and counts under emulation (`costs.json`,
written by ``benchmarks/chip_costs.py``).
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.export.c.dense import kernel_for
from bimetal.export.c.encode import runs_of
from bimetal.export.c.kernels.costs import dense_instructions, loops
from bimetal.export.c.plan import Plan, n_words
from bimetal.export.c.readout import FEW, by_input, is_wide
from bimetal.export.c.scale import Scale, scale_for
from bimetal.export.c.text import int_type, uint_type
from bimetal.ops import GE, Dense, Encode, Link, Lut, Op, Readout, Rules
from bimetal.reference.tables import encode

__all__ = [
    "MODELLED",
    "call_steps",
    "carried_bytes",
    "dense_cost",
    "functions",
    "row_steps",
    "weigh",
]

MODELLED: tuple[type[Op], ...] = (Encode, Dense, Rules, Lut, Readout, Link)
"""The operations whose instructions and code are predicted."""
UNROLLED = 16  # calls of a loop that compilers write out at -O3
_DEFINED = r"^static {upper}_APART (?:{upper}_\w+ )?\w+ {name}_(\w+)\((.*?)\)\s*\{{(.*?)^\}}"
_TYPE = re.compile(r"\b(?:u?int\d+_t|float)\b")
_LOOP = r"i < (\d+); i\+\+\) \S+ = {name}_(\w+?)_"


def dense_cost(plan: Plan, optimize: str) -> float | None:
    """Return the instructions of all dense layers, or None where they were not counted."""
    kernel, core, total = kernel_for(plan)[0], plan.core.name, 0.0
    for _, op in plan.all(Dense):
        n_out, k = len(op.thresholds) // op.groups, op.n_in // op.groups
        cost = dense_instructions(kernel, core, n_out, k, optimize)
        if cost is None:
            return None
        total += op.groups * cost
    return total


def row_steps(plan: Plan, optimize: str, rows: NDArray[np.float32]) -> dict[str, float]:
    """Return how often each step is taken for one row, beyond `dense_cost`.

    It is the mean over raw rows, float32 (n_rows, n_columns): an answer of an encoder that is 1 may
    take a step more, unless the header is of the steady form.
    """
    steps: Counter[Any] = Counter({"row": 1})
    for value, op in [(i + 1, plan.program.ops[i]) for i in plan.live]:
        made = plan.value(value).n
        match op:
            case Encode():
                steps.update(_encode_steps(plan, op, rows))
            case Dense():
                steps.update(_dense_steps(plan, op, optimize))
            case Rules():
                kind = uint_type(*(other.literals for _, other in plan.all(Rules)))
                steps.update({"rules": 1, "rule": made, f"literal {kind}": len(op.literals),
                              "rule word": n_words(made)})  # fmt: skip
            case Lut():
                kind = uint_type(*(other.places for _, other in plan.all(Lut)))
                steps.update({"luts": 1, "lut": made, f"place {kind}": op.places.size,
                              "lut word": n_words(made)})  # fmt: skip
            case Readout():
                steps.update(_readout_steps(plan, op))
            case _:
                pass
    return {name: float(n) for name, n in steps.items() if n}


def _encode_steps(plan: Plan, op: Encode, rows: NDArray[np.float32]) -> dict[str, float]:
    scale = _scale(plan)
    runs = runs_of(op, scale)
    family = _family(plan, scale)
    n_ge, n_eq = sum(run.n_ge for run in runs), sum(run.n_eq for run in runs)
    counts: dict[str, float] = {
        "encode": 1,
        "run": len(runs),
        "run of >=": sum(run.n_ge > 0 for run in runs),
        "run of ==": sum(run.n_eq > 0 for run in runs),
        ">=": n_ge,
        "==": n_eq,
        "code": sum(len(run.specials) for run in runs),
        "run of codes": sum(bool(run.specials) for run in runs),
        "test word": (n_ge + n_eq) // 32,
    }
    if not plan.options.constant_time:
        is_one, missing = encode(op, rows), np.isnan(rows).mean(axis=0)
        counts |= {
            "1 of >=": is_one[:, op.kind == GE].sum() / len(rows),
            "1 of ==": is_one[:, op.kind != GE].sum() / len(rows),
            "missing": sum(missing[run.column] for run in runs),
            "code met": sum(np.isin(rows[:, run.column], run.specials).mean() for run in runs),
        }
    steps = {f"{name}, {family}": float(n) for name, n in counts.items()}
    kind = f"{scale.cut_type}, {family.replace(' coded', '')}"
    return steps | {f"test of {kind}": n_ge + n_eq, f"code of {kind}": counts["code"]}


def _scale(plan: Plan) -> Scale:
    return scale_for(plan.options.input, [op for _, op in plan.all(Encode)])


def _family(plan: Plan, scale: Scale) -> str:
    """Say which form of the encoder a header has, apart from the types of its tables."""
    given = "float" if plan.options.input == "float" else "whole"
    keys = " keys" if scale.key == "key_whole.c" else ""  # steps depend on the row: not modelled
    coded = " coded" if any(len(op.special_value) for _, op in plan.all(Encode)) else ""
    return given + keys + coded + " steady" * plan.options.constant_time


def _dense_steps(plan: Plan, op: Dense, optimize: str) -> Counter[str]:
    """Return the calls of loops, whose cost is `dense_cost`'s but for a little, and the carrying."""
    k, n = op.n_in // op.groups, len(op.thresholds) // op.groups
    used = loops(kernel_for(plan)[0], plan.core.name, n, k, optimize)
    steps = Counter({f"calls of {loop}": op.groups for loop in used})
    if op.groups == 1 or k % 32 == 0 == n % 32:
        return steps
    for g in range(op.groups):
        steps.update(_copy_steps(g * k, 0, k))
        steps.update(_copy_steps(0, g * n, n))
    return steps


def _copy_steps(start: int, at: int, n: int) -> Counter[str]:
    """Return what `NAME_copy_bits` does, word by word."""
    steps = Counter({"copy": 1})
    while n > 0:
        m = min(n, 32 - at % 32)
        across, part, behind = start % 32 + m > 32, m < 32, at % 32 > 0
        steps.update({"piece": 1, "piece across": across, "piece of a word": part,
                      "piece behind": behind})  # fmt: skip
        start, at, n = start + m, at + m, n - m
    return steps


def carried_bytes(plan: Plan) -> int:
    """Return the bytes on the stack of one group of a dense layer, where groups are carried."""
    sizes = [(op.n_in // op.groups, len(op.thresholds) // op.groups) for _, op in plan.all(Dense)]
    groups = [op.groups for _, op in plan.all(Dense)]
    return max(
        (4 * (n_words(k) + n_words(n)) for (k, n), g in zip(sizes, groups, strict=True)
         if g > 1 and (k % 32 or n % 32)), default=0)  # fmt: skip


def _readout_steps(plan: Plan, op: Readout) -> Counter[str]:
    n_points = len(op.bias)
    steps = Counter({"point": n_points} if n_points <= FEW else {"biases": 1, "bias": n_points})
    for source, weights in by_input(plan, op):
        n_out, n_bits = weights.shape
        words = n_out * n_words(n_bits)
        if is_wide(plan, source, weights):
            most = max(int(weights.max()), -int(weights.min()) - 1)
            planes = n_out * (most.bit_length() + 1)
            steps.update({"planes": 1, "planes point": n_out, "plane": planes,
                          "plane word": planes * n_words(n_bits)})  # fmt: skip
        else:
            kind = int_type(weights)
            steps.update({"readout": 1, "sum": n_out, "sum word": words,
                          f"weight {kind}": n_out * n_bits})  # fmt: skip
    return steps


def functions(plan: Plan, header: str) -> dict[str, str]:
    """Return the functions that `NAME_points` calls: by name, what decides on their size."""
    name = plan.job.name
    pattern = _DEFINED.format(name=name, upper=name.upper())
    found = re.findall(pattern, header[: _start(plan, header)], re.MULTILINE | re.DOTALL)
    return {own: _kind(own, given, body) for own, given, body in found}


def _kind(name: str, given: str, body: str) -> str:
    short = [
        t.replace("_t", "").replace("int", "i").replace("ui", "u") for t in _TYPE.findall(given)
    ]
    if name == "encode":
        del short[1]  # of its table of runs, which makes no difference
    marks = {"regular": "codes", "_is_ge(": "steady", "_key(": "keys", "* 65536": "halves"}
    said = [word for mark, word in marks.items() if mark in body and name == "encode"]
    return " ".join([f"{name}({','.join(short)})", *said])


def call_steps(plan: Plan, header: str) -> dict[str, float]:
    """Return what the code of `NAME_points` itself is made of: calls, and numbers for them."""
    name, start = plan.job.name, _start(plan, header)
    body = header[header.index("{", start) : header.index("\n}\n", start)]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    steps: Counter[str] = Counter({"points": 1, "point": body.count("points[")})
    steps.update(f"call {own}" for own in re.findall(rf"\b{name}_([a-z_]+)\w*\(", body))
    for n, own in re.findall(_LOOP.format(name=name), body):
        few = int(n) <= UNROLLED
        steps.update(
            {f"loop {own}": 1, f"loop {own}, few": few, f"{own} written out": few * int(n)}
        )
    numbers = [int(n) for n in re.findall(r"(?<![\w.])\d+\b", body)]
    steps.update({"number of two bytes": sum(n > 255 for n in numbers),
                  "address": len(set(re.findall(rf"\b{name}_\w+(?=[,) ])", body))),
                  "offset": body.count(" + "), "buffer": len(plan.buffers),
                  "large frame": plan.n_buffer_bytes > 500})  # fmt: skip
    return {key: float(n) for key, n in steps.items() if n}


def _start(plan: Plan, header: str) -> int:
    return header.index(f"static inline void {plan.job.name}_points(")


def weigh(steps: Mapping[str, float], costs: Mapping[str, float]) -> float | None:
    """Return the sum of all steps with their costs, or None where one has none."""
    if any(name not in costs for name in steps):
        return None
    return sum(n * costs[name] for name, n in steps.items())
