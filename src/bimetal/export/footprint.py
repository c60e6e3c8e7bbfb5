"""What a Program needs on a chip, told before anything is built: flash, RAM, stack, instructions.

Constants are counted exactly from the header, functions have the sizes that GCC 12 gave them, and
instructions are sums of steps with costs fitted to counts under emulation (`bimetal.export.c.steps`).
Another compiler may make a little more or less of the same C: `size_of` can build and count instead.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from bimetal.amounts import amount
from bimetal.errors import ExportError
from bimetal.export.c.plan import Plan, plan_for
from bimetal.export.c.steps import (
    MODELLED,
    call_steps,
    carried_bytes,
    dense_cost,
    functions,
    row_steps,
    weigh,
)
from bimetal.export.c.text import table_bytes
from bimetal.export.c.writer import header
from bimetal.export.places.measure import measured
from bimetal.export.rows import some_rows
from bimetal.export.target import Job

__all__ = ["Size", "known_cores", "size_of"]

CYCLES_PER_INSTRUCTION: Mapping[str, float] = {"cortex-m0": 1.15}
"""Measured on a cycle model of the Cortex-M0+ in the RP2040; other cores are not modelled."""
CLOCKS_MHZ: Mapping[str, int] = {"avr": 16, "8051": 24}
"""A common clock of a core, where it is not 48 MHz."""
N_ROWS = 16
UNKNOWN = "not modelled; measure it"


@dataclass(frozen=True)
class Size:
    """What `NAME_points` needs on a core.

    Attributes
    ----------
    core : str
        The core.
    optimize : str
        The compiler's level.
    constants : int
        Bytes of flash for the net's constants: exact.
    code : int or None
        Bytes of flash for instructions, and for constants and gaps that the compiler adds; None
        where an operation or a form of the header is not modelled.
    ram : int
        Bytes of variables that stay. There are none but for maps too large for a stack.
    stack : int or None
        Bytes at the deepest, beyond the row and the points, which are the caller's. What is
        predicted is seldom exceeded and mostly a little too much.
    instructions : float or None
        Of one row, the mean over rows that differ much; None as for `code`.
    how : {"predicted", "measured"}
        Whether it was told from costs, or built and counted here.
    cycles : float or None
        Of one row, where a simulator counts them: "avr" and "8051".
    """

    core: str
    optimize: str
    constants: int
    code: int | None
    ram: int
    stack: int | None
    instructions: float | None
    how: Literal["predicted", "measured"] = "predicted"
    cycles: float | None = None

    @property
    def flash(self) -> int | None:
        """All bytes of flash, or None where `code` is."""
        return None if self.code is None else self.constants + self.code

    def milliseconds(self, clock_mhz: float) -> float | None:
        """Return the time of one row at a clock, where the core's cycles are known."""
        each, cycles = CYCLES_PER_INSTRUCTION.get(self.core), self.cycles
        if self.instructions is not None and each is not None:
            cycles = self.instructions * each
        return None if cycles is None else cycles / clock_mhz / 1000

    def facts(self) -> dict[str, str]:
        """Return what a person wants to know, as text."""
        code = UNKNOWN if self.code is None else f"{amount(self.code)} bytes"
        flash = f"{amount(self.constants)} bytes of constants; code: {code}"
        if self.flash is not None:
            flash = f"{amount(self.flash)} bytes: {flash}"
        stack = UNKNOWN if self.stack is None else f"{amount(self.stack)} bytes"
        counted = UNKNOWN if self.instructions is None else amount(round(self.instructions))
        told = {"flash": flash, "RAM": f"{amount(self.ram)} bytes; stack: {stack}"}
        if self.cycles is None:
            told["instructions a row"] = counted
        else:
            told["cycles a row"] = amount(round(self.cycles))
        clock = CLOCKS_MHZ.get(self.core, 48)
        time = self.milliseconds(clock)
        at = {f"at {clock} MHz": f"about {time:.3g} ms a row"} if time is not None else {}
        return told | at | {"these numbers are": self.how}


def known_cores() -> tuple[str, ...]:
    """Return the cores whose costs are known."""
    return tuple(_costs())


def size_of(job: Job, optimize: str, measure: bool = False) -> Size:
    """Return what a job of the target ``c`` needs; see `bimetal.export.size`."""
    core = job.options.core
    if measure:
        return _measured(job, optimize)
    levels = _costs().get(core)
    if levels is None:
        raise ExportError(
            f"no costs of core '{core}' are known; of these they are: {', '.join(known_cores())}"
        )
    if optimize not in levels:
        raise ExportError(f"optimize must be one of {', '.join(levels)}, got {optimize!r}")
    return _predicted(job, optimize, levels[optimize])


def _predicted(job: Job, optimize: str, costs: Mapping[str, Any]) -> Size:
    plan, text = plan_for(job), header(job)
    code = stack = instructions = None
    if all(isinstance(plan.program.ops[i], MODELLED) for i in plan.live):
        own = functions(plan, text)
        code = _code(plan, text, own, costs)
        stack = _stack(plan, own, costs["stack"])
        instructions = _instructions(plan, optimize, costs["instructions"])
    constants, ram = _constants(job, text), plan.n_buffer_bytes if plan.is_large else 0
    return Size(job.options.core, optimize, constants, code, ram, stack, instructions)


def _constants(job: Job, text: str) -> int:
    return table_bytes(text[: text.index(f"static inline void {job.name}_points(")])


def _code(plan: Plan, text: str, own: Mapping[str, str], costs: Mapping[str, Any]) -> int | None:
    points = weigh(call_steps(plan, text), costs["points"])
    sizes: Mapping[str, int] = costs["functions"]
    if points is None or not set(own.values()) <= sizes.keys():
        return None
    return round(points) + sum(sizes[kind] for kind in own.values())


def _stack(plan: Plan, own: Mapping[str, str], costs: Mapping[str, int]) -> int | None:
    if any(name not in costs for name in own):
        return None
    values = 0 if plan.is_large else plan.n_buffer_bytes
    return values + carried_bytes(plan) + costs["left"] + max(costs[name] for name in own)


def _instructions(plan: Plan, optimize: str, costs: Mapping[str, float]) -> float | None:
    rows = some_rows(plan.job, N_ROWS)
    dense, rest = dense_cost(plan, optimize), weigh(row_steps(plan, optimize, rows), costs)
    return None if dense is None or rest is None else dense + rest


def _measured(job: Job, optimize: str) -> Size:
    """Build and run it; compilers may put some constants into code, which only the sum shows."""
    core, text = job.options.core, header(job)
    found, run = measured(job, {".h": text.encode()}, core, optimize, N_ROWS)
    constants = _constants(job, text)
    means = [None if n is None else float(np.mean(n)) for n in (run.instructions, run.cycles)]
    code = found.flash - constants
    return Size(
        core, optimize, constants, code, found.ram, found.stack, means[0], "measured", means[1]
    )


@cache
def _costs() -> dict[str, Any]:
    found = json.loads((files("bimetal.export.c") / "costs.json").read_text())
    return dict(found)
