"""What a header takes on a chip, measured from what was built and run: flash, RAM, stack, steps.

Sizes are those of `NAME_points` alone, linked with whatever it calls and nothing else; the stack is
measured by painting (or by the simulator), over a few rows. Counts are exact.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.places.avr import AVR, Avr
from bimetal.export.places.board import Board
from bimetal.export.places.cortex_m import CORTEX_M
from bimetal.export.places.linux import LINUX, Linux
from bimetal.export.places.mcs51 import MCS51, Mcs51
from bimetal.export.places.riscv import RISCV
from bimetal.export.places.run import Run
from bimetal.export.rows import some_rows
from bimetal.export.target import Files, Job
from bimetal.export.tools import require

__all__ = ["CHIPS", "Footprint", "count_each", "footprint", "measured"]

Chip = Board | Linux | Avr | Mcs51
CHIPS: Mapping[str, Chip] = {chip.core: chip for chip in (*LINUX, *CORTEX_M, *RISCV, AVR, MCS51)}
"""What can be measured, by core. A 64-bit RISC-V is the bare one."""
N_STACK_ROWS = 4


@dataclass(frozen=True)
class Footprint:
    """What `NAME_points` takes on a chip, in bytes.

    Attributes
    ----------
    flash_code : int
        Instructions, and constants without a name of their own.
    flash_tables : int
        The net's constants.
    ram : int
        Variables that stay.
    stack : int
        The deepest that was seen.
    """

    flash_code: int
    flash_tables: int
    ram: int
    stack: int

    @property
    def flash(self) -> int:
        """All of the flash."""
        return self.flash_code + self.flash_tables


def footprint(job: Job, files: Files, core: str, optimize: str = "") -> Footprint:
    """Build and run a header for a core, and return what it takes there.

    Parameters
    ----------
    job, files
        What was asked for and written.
    core : str
        A core with a simulator of its own: of Cortex-M, RISC-V, "avr" or "8051".
    optimize : str, optional
        The compiler's level ("-Os"); by default that of the core's place.

    Raises
    ------
    ExportError
        When the core has no such simulator, or the header does not build or run.
    MissingToolError
        When a compiler or simulator is not here.
    """
    return measured(job, files, core, optimize, N_STACK_ROWS)[0]


def count_each(
    job: Job, files: Files, rows: NDArray[np.float32], core: str, optimize: str = ""
) -> NDArray[np.int64]:
    """Run rows on a simulated core and return the steps that each took, (n_rows,).

    Steps are instructions, and cycles where the simulator knows them ("avr", "8051").

    Raises
    ------
    ExportError
        When the core has no simulator, or the header does not build or run.
    MissingToolError
        When a compiler or simulator is not here.
    """
    chip = chip_of(core)
    require(chip.tools, f"counting on {core}")
    with tempfile.TemporaryDirectory(prefix="bimetal-") as folder:
        run = chip.execute(job, files, Path(folder), rows, optimize)
    return run.steps


def measured(
    job: Job, files: Files, core: str, optimize: str, n_rows: int
) -> tuple[Footprint, Run]:
    """Build and run a header once; return what it takes on a bare core, and what the run gave.

    Raises
    ------
    ExportError, MissingToolError
        As `footprint`.
    """
    chip = chip_of(core)
    if isinstance(chip, Linux):
        raise ExportError(f"'{core}' has no flash to measure; {_with_flash()}")
    require(chip.tools, f"measuring on {core}")
    with tempfile.TemporaryDirectory(prefix="bimetal-") as name:
        folder = Path(name)
        run = chip.execute(job, files, folder, some_rows(job, n_rows), optimize)
        code, tables, ram = chip.sizes(folder)
    return Footprint(code, tables, ram, run.stack), run


def chip_of(core: str) -> Chip:
    """Return the simulated chip of a core.

    Raises
    ------
    ExportError
        When there is none.
    """
    if core not in CHIPS:
        raise ExportError(f"no simulator of core '{core}'; there are {', '.join(CHIPS)}")
    return CHIPS[core]


def _with_flash() -> str:
    return "cores that have: " + ", ".join(
        name for name, chip in CHIPS.items() if not isinstance(chip, Linux)
    )
