"""Where a library is loaded and called on this machine: from Python, C, C#, Java and Rust.

Each place is a small program in that language (``templates/``) which reads raw rows from a file and
writes points and answers to files. What this machine cannot run (a library of Windows, macOS or
Android) is looked at instead, in the tests: its format, and the functions that it offers.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.clang import CLANG, llvm
from bimetal.export.form import link_of
from bimetal.export.library.platforms import platform_named
from bimetal.export.library.writer import named
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import Tool, call, command, package

__all__ = ["PLACES"]

Run = Callable[[Job, Files, Path, NDArray[np.float32]], Outcome]
ARM_ROOT = "/usr/aarch64-linux-gnu"
ARM_CC = command(
    "aarch64-linux-gnu-gcc", "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
)
ARM = command("qemu-aarch64", "apt-get install qemu-user")
CC = command("cc", "apt-get install gcc")
RUSTC = command("rustc", "apt-get install rustc", f"{Path.home()}/.cargo/bin")
MCS = command("mcs", "apt-get install mono-mcs")
MONO = command("mono", "apt-get install mono-runtime")
NUMBA = package("numba", "pip install numba")
JAVA_FOLDERS = ("usr/lib/jvm/*", "opt/*jdk*", "Library/Java/JavaVirtualMachines/*/Contents/Home")
LEAST_JAVA = 22  # the first whose foreign functions are no preview


def _own_linker() -> str | None:
    try:
        return llvm(platform_named("host").linker).find()
    except ExportError:
        return None


def _new_java() -> str | None:
    """Return a java of version 22 or newer, by the release file of its home."""
    for home in (path for pattern in JAVA_FOLDERS for path in sorted(Path("/").glob(pattern))):
        release, binary = home / "release", home / "bin" / "java"
        if release.is_file() and binary.is_file():
            version = re.search(r'JAVA_VERSION="(\d+)', release.read_text(errors="replace"))
            if version and int(version[1]) >= LEAST_JAVA:
                return str(binary)
    return None


JAVA = Tool(
    "java",
    f"a JDK of version {LEAST_JAVA} or newer (apt-get install openjdk-25-jdk-headless)",
    _new_java,
)

BUILDS = (CLANG, Tool("lld", "apt-get install lld", _own_linker))


def _place(run: Callable[[Job, str, Path], None]) -> Run:
    """Return what a place runs: files in, `run` with the library's name, files out."""

    def rows_through(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
        for end, content in files.items():
            (folder / f"{job.stem}{end}").write_bytes(content)
        (folder / "rows.f32").write_bytes(rows.tobytes())
        run(job, f"{job.stem}{next(iter(files))}", folder)
        return _outcome(job, folder, len(rows))

    return rows_through


def _outcome(job: Job, folder: Path, n_rows: int) -> Outcome:
    ident, n_wrong = (folder / "said.txt").read_text().split()
    if (ident, n_wrong) != (job.program.id, "0"):
        raise ExportError(
            f"'{job.name}' says that it is {ident} with {n_wrong} wrong golden rows, "
            f"expected {job.program.id} with none"
        )
    points = np.fromfile(folder / "points.i32", np.int32)
    answers = np.fromfile(folder / "answers.f32", np.float32)
    return Outcome(
        points.reshape(n_rows, len(link_of(job.program).scale)),
        answers.reshape(n_rows, job.program.n_outputs),
    )


def _put(job: Job, folder: Path, template: str, **words: str) -> None:
    """Write a program of ``templates/`` that calls this job's functions."""
    text = named(template, job.name)
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    (folder / template).write_text(text, encoding="utf-8")


def _python(template: str) -> Callable[[Job, str, Path], None]:
    def run(job: Job, library: str, folder: Path) -> None:
        _put(job, folder, template)
        call([sys.executable, template, library, job.name], folder)

    return run


def _c(compiler: Tool, *start: str) -> Callable[[Job, str, Path], None]:
    def run(job: Job, library: str, folder: Path) -> None:
        _put(job, folder, "run_dlopen.c", **{"library.h": f"{job.stem}.h"})
        words = [
            "-std=c99",
            "-D_DEFAULT_SOURCE",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "run_dlopen.c",
        ]
        call([str(compiler.find()), *words, "-o", "run", "-ldl"], folder)
        call([*(start and (str(ARM.find()), *start)), "./run", f"./{library}"], folder)

    return run


def _csharp(job: Job, library: str, folder: Path) -> None:
    path = str((folder / library).resolve()).replace("\\", "\\\\").replace('"', '\\"')
    _put(job, folder, "Run.cs", LIBRARY_PATH=path)
    call([str(MCS.find()), "-nologo", "-warnaserror", "Run.cs"], folder)
    call([str(MONO.find()), "Run.exe"], folder)


def _java(job: Job, library: str, folder: Path) -> None:
    _put(job, folder, "Run.java")
    java = [
        str(JAVA.find()),
        "--enable-native-access=ALL-UNNAMED",
        "-Xshare:auto",
        "-XX:TieredStopAtLevel=1",
    ]
    call([*java, "Run.java", f"./{library}", job.name], folder)


def _rust(job: Job, library: str, folder: Path) -> None:
    _put(job, folder, "run.rs")
    linked = ["-C", f"link-arg=./{library}", "-C", "link-arg=-Wl,-rpath,$ORIGIN", "-D", "warnings"]
    call([str(RUSTC.find()), "--edition", "2021", "-O", "run.rs", *linked, "-o", "run"], folder)
    call(["./run"], folder)


PLACES = (
    Place("ctypes", "Python's ctypes", BUILDS, _place(_python("run_ctypes.py"))),
    Place("dlopen", "a C program that loads it", (CC, *BUILDS), _place(_c(CC))),
    Place(
        "qemu:aarch64", "a C program of 64-bit Arm, QEMU", (ARM_CC, ARM, *BUILDS),
        _place(_c(ARM_CC, "-L", ARM_ROOT)), {"platform": "linux-aarch64"},
    ),
    Place("rust", "Rust", (RUSTC, *BUILDS), _place(_rust)),
    Place("mono", "C# on Mono", (MCS, MONO, *BUILDS), _place(_csharp)),
    Place("java-ffm", "Java's foreign functions", (JAVA, *BUILDS), _place(_java)),
    Place("numba", "Numba", (NUMBA, *BUILDS), _place(_python("run_numba.py"))),
)  # fmt: skip
"""The places of the target ``library``."""
