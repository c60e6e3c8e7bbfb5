"""An AVR, cycle by cycle: the ATmega328P of many small boards, by simavr's library.

The simulator is a program of our own (``templates/simulate_avr.c``) that writes each row into the
chip's memory and takes the points out, so a run has as many rows as one likes. avr-gcc has no
float64: points only.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.places.build import CC, FIRST, STRICT, add, configure, found, n_points
from bimetal.export.places.data import HEAD_BYTES, check_head, row_bytes
from bimetal.export.places.elf import Binutils, sizes, symbols
from bimetal.export.places.run import Run
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import Tool, call

__all__ = ["AVR", "AVR_PLACES", "Avr"]

BINUTILS = Binutils("avr", "apt-get install gcc-avr avr-libc")
COMPILER = BINUTILS.tool("gcc")
DATA = 0x800000
"""Where avr-gcc counts the addresses of RAM from."""
TIMEOUT = 600


def _library() -> str | None:
    headers = [
        Path(folder, "simavr/sim_avr.h") for folder in ("/usr/include", "/usr/local/include")
    ]
    return next((str(header) for header in headers if header.is_file()), None)


SIMAVR = Tool("libsimavr", "apt-get install libsimavr-dev", _library)


@dataclass(frozen=True)
class Avr:
    """An AVR."""

    chip: str
    core: str = "avr"
    optimize: str = "-O3"

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All that it needs."""
        return COMPILER, SIMAVR, CC

    def compile_model(self, job: Job, files: Files, folder: Path, optimize: str = "") -> None:
        """Compile the header alone, as its user would, into ``model.o``."""
        configure(job, files, folder, has_double=False)
        add(folder, "model.c", "model.h")
        flags = [
            "-std=gnu99",
            optimize or self.optimize,
            "-ffunction-sections",
            "-fdata-sections",
            FIRST,
            *STRICT,
        ]
        call([*self._gcc(), *flags, "-c", "model.c"], folder, TIMEOUT)

    def execute(
        self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32], optimize: str = ""
    ) -> Run:
        """Build, run, and return all that can be measured."""
        self.compile_model(job, files, folder, optimize)
        add(folder, "tiny.c", "simulate_avr.c")
        call(
            [*self._gcc(), "-Os", "-Wl,--gc-sections", "tiny.c", "model.o", "-o", "run.elf"],
            folder,
            TIMEOUT,
        )
        call([found(BINUTILS.tool("objcopy")), "-O", "binary", "run.elf", "flash.bin"], folder)
        call([found(CC), "-O2", "simulate_avr.c", "-lsimavr", "-lm", "-o", "simulate"], folder)
        has = symbols(BINUTILS, folder / "run.elf")
        names = ("place_pause", "place_points", "place_row", "place_sums", "place_failures")
        lengths = [has[name].size for name in ("place_row", "place_sums")]
        places = [has[name].address % DATA for name in names]
        floor = max(has[name].address + has[name].size for name in names[2:]) % DATA
        words = ["./simulate", self.chip, "flash.bin", *map(str, [*lengths, *places, floor])]
        return _read(job, call(words, folder, TIMEOUT, row_bytes(job, rows)), len(rows))

    def run(self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
        """Build and run; return what a place tells."""
        return self.execute(job, files, folder, rows).outcome()

    def sizes(self, folder: Path) -> tuple[int, int, int]:
        """Return bytes of code, tables and variables of the model alone, after `execute`."""
        link = ["-nostartfiles", "-Wl,--gc-sections,-e,place_points"]
        call([*self._gcc(), *link, "model.o", "-o", "alone.elf"], folder, TIMEOUT)
        return sizes(BINUTILS, folder / "alone.elf")

    def _gcc(self) -> list[str]:
        return [found(COMPILER), f"-mmcu={self.chip}"]


def _read(job: Job, sent: bytes, n_rows: int) -> Run:
    stack = check_head(sent, n_rows)
    table = np.frombuffer(sent, "<i4", offset=HEAD_BYTES)
    n = n_points(job)
    if len(table) != n_rows * (n + 2):
        raise ExportError(f"{n_rows} records expected, got {len(table) / (n + 2):g}")
    table = table.reshape(n_rows, n + 2)
    cycles, counts = table[:, n].astype(np.int64), table[:, n + 1].astype(np.int64)
    return Run(table[:, :n].astype(np.int32), None, counts, cycles, stack)


AVR = Avr("atmega328p")
"""The chip."""

AVR_PLACES = (
    Place(
        f"simavr:{AVR.chip}",
        "AVR ATmega328P, bare, simavr (points only)",
        AVR.tools,
        AVR.run,
        {"core": AVR.core},
        28 * 1024,
    ),
)
"""Its place."""
