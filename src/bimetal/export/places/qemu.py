"""QEMU with a plugin that counts the instructions of each row exactly.

The plugin is ``templates/insn.c``, built here for the QEMU that is here. It counts between two points
of the built file, so neither start-up nor reading rows nor writing records is in the count.
"""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.places.build import CC, add, found
from bimetal.export.places.elf import Binutils, symbols
from bimetal.export.tools import Tool, call

__all__ = ["plugin_words", "read_counts"]

COUNTS = "counts.bin"
CODE = -2  # bit 0 of the address of a function of Thumb is no part of it
LATEST_WITH_1 = 8
"""QEMU 9 knows the interface of plugins from version 2 on."""


def plugin_words(emulator: Tool, binutils: Binutils, binary: Path) -> list[str]:
    """Build the plugin beside `binary` and return the words that load it into an emulator.

    Raises
    ------
    ExportError
        When it does not build.
    """
    folder = binary.parent
    version = call([found(emulator), "--version"], folder).decode().split("version ")[1]
    api = 1 if int(version.split(".")[0]) <= LATEST_WITH_1 else 2
    (folder / "insn.so").write_bytes(_plugin(api))
    has = symbols(binutils, binary)
    rows, points = has["place_rows"], has["place_points"]
    given = {
        "out": COUNTS,
        "entry": points.address & CODE,
        "from": rows.address & CODE,
        "to": (rows.address & CODE) + rows.size,
    }
    return [
        "-plugin",
        ",".join(["./insn.so", *(f"{name}={value}" for name, value in given.items())]),
    ]


@cache
def _plugin(api: int) -> bytes:
    """Build the plugin, once for a process."""
    flags = ["-O2", "-shared", "-fPIC", f"-DPLUGIN_VERSION={api}"]
    with tempfile.TemporaryDirectory(prefix="bimetal-") as name:
        folder = Path(name)
        add(folder, "insn.c")
        call([found(CC), *flags, "insn.c", "-o", "insn.so"], folder)
        return (folder / "insn.so").read_bytes()


def read_counts(folder: Path, n_rows: int) -> NDArray[np.int64]:
    """Return the instructions of each row.

    Raises
    ------
    ExportError
        When there is not one count for each row.
    """
    counts = np.fromfile(folder / COUNTS, np.uint64).astype(np.int64)
    if len(counts) != n_rows:
        raise ExportError(f"{n_rows} counts of instructions expected, got {len(counts)}")
    return counts
