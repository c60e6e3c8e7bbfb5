"""Other processors with Linux, by a cross compiler and QEMU: 64-bit Arm, 32-bit Arm, IBM Z, RISC-V.

IBM Z is big-endian, which finds every cast of a buffer. All are built as a careless user would build
them (GNU C, -O3), where the compiler may fuse a multiplication and an addition unless the header
keeps it from doing so.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.export.places.build import CC, FIRST, STRICT, add, configure, found
from bimetal.export.places.data import read_records, row_bytes
from bimetal.export.places.elf import Binutils
from bimetal.export.places.qemu import plugin_words, read_counts
from bimetal.export.places.run import Run
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import Tool, call, command

__all__ = ["LINUX", "LINUX_PLACES", "Linux"]

SOURCES = ("model.c", "rows.c", "stream.c", "io_stdio.c")
BLOCK_BYTES = 65536
TIMEOUT = 600


@dataclass(frozen=True)
class Linux:
    """A processor with Linux.

    Attributes
    ----------
    name, core, title : str
        Of the place; of the chip; one line for people.
    binutils : Binutils
        Its compiler.
    emulator : Tool
        QEMU for programs of this processor.
    order : {"<", ">"}
        Which byte of a number comes first: the low one, or the high one.
    """

    name: str
    core: str
    title: str
    binutils: Binutils
    emulator: Tool
    order: str = "<"

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All that it needs."""
        return self.binutils.tool("gcc"), self.emulator, CC

    def execute(
        self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32], optimize: str = ""
    ) -> Run:
        """Build, run, and return all that can be measured."""
        configure(job, files, folder, BLOCK_BYTES)
        add(folder, *SOURCES, "model.h", "stream.h")
        words = [found(self.binutils.tool("gcc")), optimize or "-O3", "-static", FIRST]
        call([*words, *STRICT, *SOURCES, "-o", "run"], folder, TIMEOUT)
        plugin = plugin_words(self.emulator, self.binutils, folder / "run")
        run = [found(self.emulator), *plugin, "./run"]
        sent = call(run, folder, TIMEOUT, row_bytes(job, rows, self.order))
        points, answers, _ = read_records(job, sent, len(rows), self.order)
        return Run(points, answers, read_counts(folder, len(rows)))

    def run(self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
        """Build and run; return what a place tells."""
        return self.execute(job, files, folder, rows).outcome()

    def place(self) -> Place:
        """Return it as a place of the target ``c``."""
        title = f"{self.title}, Linux, QEMU"
        return Place(f"qemu:{self.name}", title, self.tools, self.run, {"core": self.core})


def _linux(
    name: str, core: str, title: str, prefix: str, package: str, emulator: str, order: str = "<"
) -> Linux:
    binutils = Binutils(prefix, f"apt-get install gcc-{prefix} libc6-dev-{package}-cross")
    qemu = command(emulator, "apt-get install qemu-user")
    return Linux(name, core, title, binutils, qemu, order)


LINUX = (
    _linux(
        "aarch64", "aarch64", "64-bit Arm with NEON", "aarch64-linux-gnu", "arm64", "qemu-aarch64"
    ),
    _linux("armhf", "armhf", "32-bit Arm", "arm-linux-gnueabihf", "armhf", "qemu-arm"),
    _linux("s390x", "s390x", "IBM Z (big-endian)", "s390x-linux-gnu", "s390x", "qemu-s390x", ">"),
    _linux("riscv64", "rv64gc", "64-bit RISC-V", "riscv64-linux-gnu", "riscv64", "qemu-riscv64"),
)
"""The processors with Linux."""

LINUX_PLACES = tuple(linux.place() for linux in LINUX)
"""Their places."""
