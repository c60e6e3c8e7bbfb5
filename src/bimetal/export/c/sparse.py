"""Layers whose neurons see few bits, in C: rules and look-up tables."""

import numpy as np

from bimetal.export.c.plan import Part, Plan
from bimetal.export.c.template import template
from bimetal.export.c.text import literals, read_of, table, uint_type
from bimetal.ops import Lut, Rules

__all__ = ["lut", "rules"]


def rules(plan: Plan, value: int, op: Rules) -> Part:
    """Return the part of one layer of rules."""
    kind = uint_type(*(other.literals for _, other in plan.all(Rules)))
    n_out = len(op.fan_in)
    ends = np.cumsum(op.fan_in, dtype=np.int64)
    each = [
        literals(op.literals[end - n : end], kind) for end, n in zip(ends, op.fan_in, strict=True)
    ]
    tables = [
        table(
            kind, f"name_literals_{value}", each, "rule by rule: 2 * bit, + 1 where it must be 0"
        ),
        table("uint8_t", f"name_fan_in_{value}", [literals(op.fan_in, "uint8_t")], "(rules,)"),
    ]
    call = (
        f"name_rules({plan.places[op.input]}, name_literals_{value}, name_fan_in_{value}, "
        f"{n_out}, {plan.places[value]});"
    )
    words = {"LITERAL_T": kind, "AT_LITERAL": read_of(kind)}
    return Part(call, "\n\n".join(tables), (template("apart.c"), template("rules.c", words)))


def lut(plan: Plan, value: int, op: Lut) -> Part:
    """Return the part of one layer of look-up tables."""
    kind = uint_type(*(other.places for _, other in plan.all(Lut)))
    n_out, fan_in = op.places.shape
    n_bytes = op.tables.shape[1]
    stored = [f"0x{byte:02X}" for byte in op.tables.ravel()]
    tables = [
        table(
            kind,
            f"name_places_{value}",
            [literals(op.places, kind)],
            f"({n_out} tables, {fan_in} places)",
        ),
        table("uint8_t", f"name_tables_{value}", [stored], f"({n_out} tables, {n_bytes} bytes)"),
    ]
    call = (
        f"name_lut({plan.places[op.input]}, name_places_{value}, name_tables_{value}, "
        f"{fan_in}, {n_out}, {plan.places[value]});"
    )
    words = {"PLACE_T": kind, "AT_PLACE": read_of(kind)}
    return Part(call, "\n\n".join(tables), (template("apart.c"), template("lut.c", words)))
