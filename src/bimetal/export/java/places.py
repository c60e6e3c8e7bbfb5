"""Where the class can be compiled and run: a JDK."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import call, command

__all__ = ["JAVA", "JAVAC", "PLACES", "compiled", "read_rows"]

INSTALL = "apt-get install openjdk-17-jdk-headless"
JAVAC, JAVA = command("javac", INSTALL), command("java", INSTALL)


def compiled(job: Job, files: Files, folder: Path) -> list[str]:
    """Compile the class, warnings as errors, and return the words that run it."""
    source = folder / f"{job.stem}.java"
    source.write_bytes(files[".java"])
    flags = ["-Xlint:all", "-Werror", "--release", "11", "-encoding", "US-ASCII", "-d", "classes"]
    call([str(JAVAC.find()), *flags, source.name], folder)
    package = f"{job.options.package}." if job.options.package else ""
    return [str(JAVA.find()), "-XX:+UseSerialGC", "-cp", "classes", f"{package}{job.name}"]


def read_rows(rows: NDArray[np.float32]) -> bytes:
    """Return raw rows as the class reads them: a row a line, numbers parted by commas."""
    names = {"nan": "", "inf": "Infinity", "-inf": "-Infinity"}
    shown = ([names.get(text, text) for text in map(repr, row)] for row in rows.tolist())
    return "".join(f"{','.join(row)}\n" for row in shown).encode()


def _run(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    printed = call(compiled(job, files, folder), folder, stdin=read_rows(rows)).decode()
    halves = [line.split(";") for line in printed.splitlines()]
    points = np.array([half[0].split(",") for half in halves], np.int64).astype(np.int32)
    answers = np.array([half[1].split(",") for half in halves]).astype(np.float32)
    return Outcome(points, answers)


PLACES = (Place("java", "javac and java of a JDK from 11 on", (JAVAC, JAVA), _run),)
