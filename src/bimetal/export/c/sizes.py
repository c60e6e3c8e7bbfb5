"""The first section of a header: its numbers, and how constants are read; and whether it fits its core."""

from bimetal.errors import ExportError
from bimetal.export.c.cores import CORES
from bimetal.export.c.plan import Plan
from bimetal.export.c.template import template

__all__ = ["check_fits", "sizes_text"]

CODE = 1536  # bytes of flash for everything but constants, on the small cores
FRAME = 192  # bytes of RAM for everything but values
NUMBER = {"float": 4, "int16": 2, "int32": 4}


def sizes_text(plan: Plan) -> str:
    """Return the sizes, and the ways to read constants of cores that need some."""
    program = plan.program
    said = {
        mark: f"{plan.job.name.upper()}{mark[6:]}"
        for mark in ("HEADER_NO_DOUBLE", "HEADER_NO_SELFTEST")
    }
    lines = [
        "#include <stdint.h>",
        "",
        f"#define NAME_N_COLUMNS {program.n_columns} /* numbers of a raw row */",
        f"#define NAME_N_POINTS {plan.value(plan.link.input).n} /* int32 sums that the link reads */",
        f"#define NAME_N_ANSWERS {program.n_outputs} /* float32 answers */",
        f'#define NAME_ID "{program.id}"',
        "",
        template("no_double.c" if plan.core.has_double else "no_double_here.c", said),
    ]
    if plan.is_large:
        lines += ["", template("storage.c", {"VALUES": f"{plan.n_buffer_bytes:,} bytes of values"})]
    memory = {"avr": ["", template("memory_avr.c")]}.get(plan.core.memory, [])
    return "\n".join([*lines, *memory])


def check_fits(plan: Plan, n_bytes: int) -> None:
    """Raise `ExportError` when constants or values are beyond what the core has."""
    core, program = plan.core, plan.program
    row = program.n_columns * NUMBER[plan.options.input]
    ram = (
        plan.n_buffer_bytes + row + 4 * (plan.value(plan.link.input).n + program.n_outputs) + FRAME
    )
    needs = (("flash", n_bytes + CODE, core.flash), ("RAM", ram, core.ram))
    for what, needed, there in needs:
        if there is not None and needed > there:
            raise ExportError(
                f"the net needs about {needed:,} bytes of {what}, but {core.title} has {there:,}; "
                f"choose a larger core ({', '.join(_larger(plan, what, needed))}) or a smaller net"
            )


def _larger(plan: Plan, what: str, needed: int) -> list[str]:
    rooms = {c.name: c.flash if what == "flash" else c.ram for c in CORES.values()}
    return [name for name, room in rooms.items() if room is None or room >= needed][:6]
