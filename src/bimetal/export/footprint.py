"""What a Program needs on a chip, told before anything is built: flash, RAM, stack, instructions.

Constants are counted exactly from the header; code and instructions are sums of steps with costs that
were fitted to builds and counts under emulation (`bimetal.export.c.steps`), with GCC 12. Another
compiler may make a little more or less of the same C.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from bimetal.amounts import amount
from bimetal.errors import ExportError
from bimetal.export.c.plan import Plan, plan_for
from bimetal.export.c.steps import MODELLED, code_steps, dense_cost, row_steps, weigh
from bimetal.export.c.text import table_bytes
from bimetal.export.c.writer import header
from bimetal.export.target import Job

__all__ = ["Size", "known_cores", "size_of"]

CYCLES_PER_INSTRUCTION: Mapping[str, float] = {"cortex-m0": 1.15}
"""Measured on a cycle model of the Cortex-M0+ in the RP2040; other cores are not modelled."""


@dataclass(frozen=True)
class Size:
    """What `NAME_points` needs on a core.

    Attributes
    ----------
    core : str
        The core.
    optimize : str
        The compiler's level.
    constants, code : int
        Bytes of flash: the net's constants (exact), and instructions (predicted).
    ram : int
        Bytes of variables that stay: none, nothing is remembered between rows.
    stack : int
        Bytes at the deepest (predicted; beyond the row and the points, which are the caller's).
    instructions : float or None
        Of one row (predicted); None where an operation has no fitted cost.
    """

    core: str
    optimize: str
    constants: int
    code: int
    ram: int
    stack: int
    instructions: float | None

    @property
    def flash(self) -> int:
        """All bytes of flash."""
        return self.constants + self.code

    def milliseconds(self, clock_mhz: float) -> float | None:
        """Return the time of one row at a clock, where the core's cycles are known."""
        cycles = CYCLES_PER_INSTRUCTION.get(self.core)
        if self.instructions is None or cycles is None:
            return None
        return self.instructions * cycles / clock_mhz / 1000

    def facts(self) -> dict[str, str]:
        """Return what a person wants to know, as text."""
        counted = "not modelled" if self.instructions is None else amount(round(self.instructions))
        told = {
            "flash": f"{amount(self.flash)} bytes: {amount(self.constants)} of constants, "
            f"{amount(self.code)} of code",
            "RAM": f"{amount(self.ram)} bytes, and {amount(self.stack)} of stack",
            "instructions a row": counted,
        }
        time = self.milliseconds(48)
        return told | ({"at 48 MHz": f"about {time:.3g} ms a row"} if time is not None else {})


def known_cores() -> tuple[str, ...]:
    """Return the cores whose costs are known."""
    return tuple(_costs())


def size_of(job: Job, optimize: str) -> Size:
    """Return what a job of the target ``c`` needs; see `bimetal.export.size`."""
    core = job.options.core
    levels = _costs().get(core)
    if levels is None:
        raise ExportError(
            f"no costs of core '{core}' are known; of these they are: {', '.join(known_cores())}"
        )
    if optimize not in levels:
        raise ExportError(f"optimize must be one of {', '.join(levels)}, got {optimize!r}")
    plan, text, costs = plan_for(job), header(job), levels[optimize]
    points = text[: text.index("Golden vectors and self-test")]
    return Size(
        core,
        optimize,
        table_bytes(points[: points.index(f"static inline void {job.name}_points(")]),
        round(weigh(code_steps(plan, text), costs["code"])),
        0,
        plan.n_buffer_bytes + costs["stack"],
        _instructions(plan, optimize, costs["instructions"]),
    )


def _instructions(plan: Plan, optimize: str, costs: Mapping[str, float]) -> float | None:
    ops = (plan.program.ops[i] for i in plan.live)
    dense = dense_cost(plan, optimize)
    if dense is None or not all(isinstance(op, MODELLED) for op in ops):
        return None
    return dense + weigh(row_steps(plan), costs)


@cache
def _costs() -> dict[str, Any]:
    found = json.loads((files("bimetal.export.c") / "costs.json").read_text())
    return dict(found)
