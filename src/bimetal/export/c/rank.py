"""The threshold of rows in C: what stands out of its pixel, in whole numbers of 64 bits."""

from bimetal.export.c.plan import Part, Plan
from bimetal.export.c.template import template
from bimetal.ops import RowThreshold

__all__ = ["row_threshold"]


def row_threshold(plan: Plan, value: int, op: RowThreshold) -> Part:
    """Return the part of one threshold of rows."""
    n_pixels = plan.value(value).n // op.channels
    call = (
        f"name_row_threshold({plan.places[op.input]}, {n_pixels}, {op.channels}, "
        f"{op.top}, {op.bottom}, {plan.places[value]});"
    )
    return Part(call, "", (template("row_threshold.c"),))
