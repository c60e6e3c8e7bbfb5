"""Dense layers in C: a kernel for each group of neurons, and the bits carried to it and from it."""

from collections.abc import Iterator

from bimetal.errors import ExportError
from bimetal.export.c.kernels import KERNELS, Emitted, Kernel, choose
from bimetal.export.c.plan import Part, Plan, n_words
from bimetal.export.c.template import template
from bimetal.export.form import weight_bits
from bimetal.ops import Dense

__all__ = ["dense", "kernel_for"]


def kernel_for(plan: Plan) -> tuple[str, Kernel]:
    """Return the kernel of a header and its name.

    Raises
    ------
    ExportError
        When there is no kernel of that name.
    """
    options = plan.options
    name = options.kernel
    chosen = choose(options.core, options.constant_time) if name == "auto" else name
    if chosen not in KERNELS:
        raise ExportError(f"no kernel '{chosen}'; there are auto, {', '.join(KERNELS)}")
    return chosen, KERNELS[chosen]


def dense(plan: Plan, value: int, op: Dense) -> Part:
    """Return the part of one dense layer."""
    groups = list(_groups(plan, value, op))
    x, y = plan.places[op.input], plan.places[value]
    tables = "\n\n".join(group.tables.strip() for group in groups)
    shared = dict.fromkeys(text for group in groups for text in group.shared)
    if op.groups == 1:
        return Part(_statement(groups[0], x, y), tables, tuple(shared))
    k, n = op.n_in // op.groups, len(op.thresholds) // op.groups
    if k % 32 == 0 == n % 32:
        calls = [
            _statement(group, f"{x} + {g * k // 32}", f"({y} + {g * n // 32})")
            for g, group in enumerate(groups)
        ]
        return Part("\n".join(calls), tables, tuple(shared))
    return Part(
        _carried(groups, x, y, k, n),
        tables,
        (template("apart.c"), template("copy_bits.c"), *shared),
    )


def _groups(plan: Plan, value: int, op: Dense) -> Iterator[Emitted]:
    _, kernel = kernel_for(plan)
    weights, n = weight_bits(op), len(op.thresholds) // op.groups
    for g in range(op.groups):
        own = slice(g * n, (g + 1) * n)
        symbol = f"name_dense_{value}" + (f"_{g}" if op.groups > 1 else "")
        yield kernel.emit(
            weights[own], op.thresholds[own], symbol, plan.core.name, plan.options.constant_time
        )


def _statement(group: Emitted, x: str, y: str) -> str:
    return group.call.format(x=x, y=y)


def _carried(groups: list[Emitted], x: str, y: str, k: int, n: int) -> str:
    """Return calls where groups begin within words: their bits are copied to a place of their own."""
    lines = ["{", f"    uint32_t x[{n_words(k)}], y[{n_words(n)}]; /* of one group */"]
    for g, group in enumerate(groups):
        lines += [
            f"    name_copy_bits({x}, {g * k}, x, 0, {k});",
            f"    {_statement(group, 'x', 'y')}",
            f"    name_copy_bits(y, 0, {y}, {g * n}, {n});",
        ]
    return "\n".join([*lines, "}"])
