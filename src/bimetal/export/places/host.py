"""The compilers of this machine: warnings as errors, and a run with every sanitizer."""

import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.export.places.build import CC, FIRST, STRICT, add, configure, found
from bimetal.export.places.data import read_records, row_bytes
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import Tool, call, command

__all__ = ["HOST_PLACES"]

CLANG = command("clang", "apt-get install clang")
C99 = ("-std=c99", "-pedantic", *STRICT)
CHECKED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SOURCES = ("model.c", "rows.c", "stream.c", "io_stdio.c")
BLOCK_BYTES = 65536
TIMEOUT = 300


@dataclass(frozen=True)
class Host:
    """A compiler of this machine and its flags."""

    compiler: Tool
    flags: tuple[str, ...]

    def run(self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
        """Build and run."""
        configure(job, files, folder, BLOCK_BYTES)
        add(folder, *SOURCES, "model.h", "stream.h")
        call([found(self.compiler), *self.flags, *SOURCES, "-o", "run"], folder, TIMEOUT)
        # There is nothing to leak, and where processes may not be traced the search for leaks fails.
        quiet = {"ASAN_OPTIONS": "detect_leaks=0"}
        sent = call([folder / "run"], folder, TIMEOUT, row_bytes(job, rows), quiet)
        points, answers, _ = read_records(job, sent, len(rows))
        return Outcome(points, answers)


def _own_core() -> str:
    machine = {"AMD64": "x86-64", "x86_64": "x86-64", "arm64": "aarch64"}
    return machine.get(platform.machine(), "generic")


HOST_PLACES = (
    Place(
        "host:gcc",
        "gcc on this machine, C99, warnings as errors",
        (CC,),
        Host(CC, ("-O2", FIRST, *C99)).run,
    ),
    Place(
        "host:clang",
        "clang on this machine, C99, warnings as errors",
        (CLANG,),
        Host(CLANG, ("-O2", "-ferror-limit=1", *C99)).run,
        {"core": _own_core()},
    ),
    Place(
        "host:sanitizers",
        "gcc on this machine, with its address and undefined-behaviour sanitizers",
        (CC,),
        Host(CC, ("-O1", FIRST, *C99, *CHECKED)).run,
    ),
)
"""The places of this machine itself."""
