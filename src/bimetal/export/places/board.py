"""Chips without an operating system, on an emulated board: rows and records are files of the host.

A `Board` is data: compiler, flags, machine, where flash and RAM lie. The model is compiled alone,
with the flags of its user; the harness around it is ours and never in its counts and sizes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.export.places.build import CC, FIRST, STRICT, add, configure, found
from bimetal.export.places.data import read_records, row_bytes
from bimetal.export.places.elf import Binutils, sizes
from bimetal.export.places.qemu import plugin_words, read_counts
from bimetal.export.places.run import Run
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import Tool, call

__all__ = ["Board"]

HARNESS = ("rows.c", "stream.c", "semihosting.c", "bare.c", "mem.c")
OURS = ("-O2", "-ffreestanding", "-fno-tree-loop-distribute-patterns")
BLOCK_BYTES = 1024
TIMEOUT = 600


@dataclass(frozen=True)
class Board:
    """An emulated board with one core.

    Attributes
    ----------
    core, title : str
        Its core, and one line for people.
    binutils : Binutils
        Its compiler.
    flags, harness_flags : tuple of str
        Of the compiler, for this core: for the model, and for the harness and the link.
    start : str
        The template with its first steps.
    emulator : Tool
        QEMU.
    machine : tuple of str
        The words that choose the board.
    flash, ram : tuple of int
        Where each begins and how many bytes it has.
    optimize : str
        The level at which users of this core build.
    """

    core: str
    title: str
    binutils: Binutils
    flags: tuple[str, ...]
    harness_flags: tuple[str, ...]
    start: str
    emulator: Tool
    machine: tuple[str, ...]
    flash: tuple[int, int]
    ram: tuple[int, int]
    optimize: str = "-O3"

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All that it needs."""
        return self.binutils.tool("gcc"), self.emulator, CC

    def compile_model(self, job: Job, files: Files, folder: Path, optimize: str = "") -> None:
        """Compile the header alone, as its user would, into ``model.o``."""
        configure(job, files, folder, BLOCK_BYTES)
        add(folder, "model.c", "model.h")
        flags = [
            optimize or self.optimize,
            "-ffreestanding",
            "-ffunction-sections",
            "-fdata-sections",
            FIRST,
            *STRICT,
        ]
        call([self._gcc(), *self.flags, *flags, "-c", "model.c"], folder, TIMEOUT)

    def link(self, folder: Path) -> Path:
        """Build the harness around ``model.o``; return the finished file."""
        sources = (*HARNESS, self.start)
        add(folder, *sources, "board.ld", "stream.h", "bare.h")
        words = [*self.harness_flags, *OURS, *sources, "model.o"]
        link = [
            "-nostdlib",
            "-static",
            "-T",
            "board.ld",
            *self._memory(),
            "-Wl,--gc-sections",
            "-lgcc",
        ]
        call([self._gcc(), *words, *link, "-o", "run.elf"], folder, TIMEOUT)
        return folder / "run.elf"

    def _memory(self) -> list[str]:
        sizes = dict(zip(("flash_origin", "flash_bytes"), self.flash, strict=True))
        sizes |= dict(zip(("ram_origin", "ram_bytes"), self.ram, strict=True))
        return [f"-Wl,--defsym={name}={value:#x}" for name, value in sizes.items()]

    def execute(
        self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32], optimize: str = ""
    ) -> Run:
        """Build, run, and return all that can be measured."""
        self.compile_model(job, files, folder, optimize)
        binary = self.link(folder)
        (folder / "rows.bin").write_bytes(row_bytes(job, rows))
        quiet = ["-display", "none", "-monitor", "none", "-serial", "none", "-parallel", "none"]
        semihosting = ["-semihosting-config", "enable=on,target=native"]
        plugin = plugin_words(self.emulator, self.binutils, binary)
        words = [*self.machine, *quiet, *semihosting, *plugin, "-kernel", binary.name]
        call([found(self.emulator), *words], folder, TIMEOUT)
        sent = (folder / "records.bin").read_bytes()
        points, answers, stack = read_records(job, sent, len(rows))
        return Run(points, answers, read_counts(folder, len(rows)), stack=stack)

    def run(self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
        """Build and run; return what a place tells."""
        return self.execute(job, files, folder, rows).outcome()

    def sizes(self, folder: Path) -> tuple[int, int, int]:
        """Return bytes of code, tables and variables of the model alone, after `execute`."""
        link = ["-nostdlib", "-static", "-Wl,--gc-sections,-e,place_points"]
        words = [*self.harness_flags, *OURS, *link, "model.o", "mem.c", "-lgcc", "-o", "alone.elf"]
        call([self._gcc(), *words], folder, TIMEOUT)
        return sizes(self.binutils, folder / "alone.elf")

    def _gcc(self) -> str:
        return found(self.binutils.tool("gcc"))

    def place(self) -> Place:
        """Return it as a place of the target ``c``."""
        flash = self.flash[1] * 7 // 8
        return Place(
            f"qemu:{self.core}", self.title, self.tools, self.run, {"core": self.core}, flash
        )
