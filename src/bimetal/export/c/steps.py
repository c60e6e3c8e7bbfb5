"""What a header does for one row, and what code it brings, counted in steps that have a cost each.

The steps follow from the Program alone, as no loop of a header ends early. `bimetal.export.size`
multiplies them with costs that were fitted to counts under emulation (`costs.json`, written by
``benchmarks/chip_costs.py``).
"""

import re
from collections import Counter
from collections.abc import Mapping

from bimetal.export.c.dense import kernel_for
from bimetal.export.c.encode import runs_of
from bimetal.export.c.kernels.costs import dense_instructions
from bimetal.export.c.plan import Plan, n_words
from bimetal.export.c.readout import by_input, is_wide
from bimetal.export.c.scale import scale_for
from bimetal.export.c.text import int_type, uint_type
from bimetal.ops import Dense, Encode, Link, Lut, Op, Readout, Rules

__all__ = ["MODELLED", "code_steps", "dense_cost", "row_steps", "weigh"]

MODELLED: tuple[type[Op], ...] = (Encode, Dense, Rules, Lut, Readout, Link)
"""The operations whose instructions are predicted."""
_FUNCTION = re.compile(r"^static[^\n;=]*?\b{name}_(\w+?)\(", re.MULTILINE)


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


def row_steps(plan: Plan) -> dict[str, float]:
    """Return how often each step is taken for one row, dense layers apart (`dense_cost`)."""
    steps: Counter[str] = Counter({"row": 1})
    for value, op in [(i + 1, plan.program.ops[i]) for i in plan.live]:
        made = plan.value(value).n
        match op:
            case Encode():
                steps.update(_encode_steps(plan, op))
            case Dense() if op.groups > 1:
                steps.update(_carrying_steps(op))
            case Rules():
                others = [other for _, other in plan.all(Rules)]
                kind = uint_type(*(other.literals for other in others)) + _alone(len(others))
                steps.update(
                    {"rules": 1, f"rule {kind}": made, f"literal {kind}": len(op.literals)}
                )
            case Lut():
                luts = [other for _, other in plan.all(Lut)]
                kind = uint_type(*(other.places for other in luts)) + _alone(len(luts))
                steps.update({"luts": 1, f"lut {kind}": made, f"place {kind}": op.places.size})
            case Readout():
                steps.update(_readout_steps(plan, op))
            case _:
                pass
    return {name: float(n) for name, n in steps.items()}


def _encode_steps(plan: Plan, op: Encode) -> dict[str, int]:
    scale = scale_for(plan.options.input, [other for _, other in plan.all(Encode)])
    runs = runs_of(op, scale)
    n_codes = sum(len(run.specials) for run in runs)
    n = sum(run.n_ge for run in runs)
    n_all = sum(run.n_ge + run.n_eq for run in runs)
    kind = scale.cut_type  # a run costs more in a header that knows special codes
    has_codes = any(len(other.special_value) for _, other in plan.all(Encode))
    return {
        "encode": 1, f"{'coded ' * has_codes}{kind} run": len(runs), "code": n_codes,
        f"{kind} >=": n, f"{kind} ==": n_all - n,
        "own codes": sum(bool(run.specials) for run in runs), "test word": n_words(n_all),
    }  # fmt: skip


def _carrying_steps(op: Dense) -> dict[str, int]:
    k, n = op.n_in // op.groups, len(op.thresholds) // op.groups
    if k % 32 == 0 == n % 32:
        return {}
    pieces = sum(_pieces(0, k) + _pieces(g * n, n) for g in range(op.groups))
    return {"carry": 2 * op.groups, "piece": pieces}


def _pieces(at: int, n: int) -> int:
    """Return into how many parts `n` bits fall that are put down from bit `at` on."""
    return n_words(at % 32 + n)


def _readout_steps(plan: Plan, op: Readout) -> Counter[str]:
    steps: Counter[str] = Counter({"point": len(op.bias)})
    listed = Counter(
        int_type(w) for source, w in by_input(plan, op) if not is_wide(plan, source, w)
    )
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
            how = kind + _alone(listed[kind]) + " short" * (n_bits <= 32)
            steps.update({f"readout {how}": 1, f"sum {how}": n_out, f"sum word {how}": words})
            steps.update({f"weight {how}": n_out * n_bits})
    return steps


def _alone(n_calls: int) -> str:
    """Say that a function is called once: compilers then fit it to the constants of the call."""
    return " alone" if n_calls == 1 else ""


def code_steps(plan: Plan, header: str) -> dict[str, float]:
    """Return the functions that `NAME_points` brings along, and how often each is called there."""
    name = plan.job.name
    start = header.index(f"static inline void {name}_points(")
    body = header[start : header.index("\n}\n", start)]
    called = Counter(re.findall(rf"\b{name}_(\w+?)(?:_[sv]?\d+)?\(", body[body.index("{") :]))
    declared = re.findall(_FUNCTION.pattern.format(name=name), header[:start], re.MULTILINE)
    kinds = {re.sub(r"_[sv]?\d+$", "", one) for one in declared}
    steps: dict[str, float] = {"code": 1.0, **{f"has {kind}": 1.0 for kind in kinds}}
    steps |= {f"call {kind}": n for kind, n in called.items()}
    cut = re.search(rf"const (?:FLASH )?(\w+) {name}_cuts_", header[:start])
    steps["has codes"] = float("regular" in header[:start])
    steps[f"has cuts {cut[1] if cut else ''}"] = 1.0
    steps["point"] = float(body.count("points["))
    return steps


def weigh(steps: Mapping[str, float], costs: Mapping[str, float]) -> float:
    """Return the sum of all steps with their costs; a step without a cost has none."""
    return sum(n * costs.get(name, 0.0) for name, n in steps.items())
