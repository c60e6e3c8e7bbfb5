"""An 8051, clock by clock: SDCC's compiler and the simulator s51 of µCsim.

The simulator's own commands write each row into external RAM, run to a breakpoint and show the
points, so the chip needs no code for input or output. SDCC has no float64 here: points only. It keeps
temporaries of every function in 128 bytes of internal RAM; where the self-test has no room beside the
net, the net is run without it.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.places.build import add, configure, drop_selftest, found, n_points
from bimetal.export.places.data import check_selftest, row_bytes
from bimetal.export.places.run import Run
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import call, command

__all__ = ["MCS51", "MCS51_PLACES", "Mcs51", "addresses"]

COMPILER = command("sdcc", "apt-get install sdcc")
SIMULATOR = command("s51", "apt-get install sdcc-ucsim")
FLAGS = ("-mmcs51", "--model-large", "--std-c99")
SPEEDS = {"-Os": ("--opt-code-size",), "-O3": ("--opt-code-speed",)}
TICKS, LCALL = 12, 2
"""Ticks of the clock in a cycle of an 8051; cycles of the call after place_points."""
PAINT, LAST_IRAM, RETURN = 0xA5, 0xFF, 2
END_OF_FILE = 1
"""Of Intel hex: a record's type."""
NO_ROOM = "bytes in internal RAM"
"""What SDCC's linker says when the compiler's own temporaries do not fit beside each other."""
TIMEOUT = 600


@dataclass(frozen=True)
class Mcs51:
    """An 8051 with 64 KiB of code and external RAM."""

    core: str = "8051"
    tools = (COMPILER, SIMULATOR)

    def execute(
        self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32], optimize: str = ""
    ) -> Run:
        """Build, run, and return all that can be measured."""
        configure(job, files, folder, has_double=False)
        add(folder, "model.c", "model.h", "tiny.c")
        try:
            self._build(folder, optimize)
        except ExportError as error:
            if NO_ROOM not in str(error):
                raise
            self._build_without_selftest(folder, optimize)
        raw = row_bytes(job, rows)
        size = len(raw) // len(rows)
        each = [raw[at : at + size] for at in range(0, len(raw), size)]
        script = _script(addresses(folder), stack_bottom(folder), each, 4 * n_points(job))
        (folder / "script.txt").write_text(script)
        words = [found(SIMULATOR), "-b", "-t", "52", "-X", "12M", "-C", "script.txt"]
        said = call(words, folder, TIMEOUT).decode(errors="replace")
        return _read(said, len(rows), n_points(job))

    def run(self, job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
        """Build and run; return what a place tells."""
        return self.execute(job, files, folder, rows).outcome()

    def _build(self, folder: Path, optimize: str) -> None:
        words = [found(COMPILER), *FLAGS, *SPEEDS.get(optimize, ())]
        for source in ("tiny.c", "model.c"):  # it compiles one file at a time
            call([*words, "-c", source], folder, TIMEOUT)
        call([*words, "tiny.rel", "model.rel", "-o", "tiny.ihx"], folder, TIMEOUT)

    def _build_without_selftest(self, folder: Path, optimize: str) -> None:
        drop_selftest(folder)
        self._build(folder, optimize)

    def sizes(self, folder: Path, optimize: str = "") -> tuple[int, int, int]:
        """Return bytes of code, tables and variables of the model alone, after `execute`.

        SDCC leaves no unused function out, so the model is built again without its self-test. What it
        calls of the library is what the linked file has beside the model and the harness.
        """
        self._build_without_selftest(folder, optimize)
        whole, harness = _areas_of_map(folder / "tiny.map"), _areas_of_object(folder / "tiny.rel")
        model = _areas_of_object(folder / "model.rel")
        code = whole["CSEG"] - harness["CSEG"]
        tables = whole["CONST"] - harness["CONST"]
        # Of internal RAM a map shows all as taken; the library's share of it is a few bytes.
        ram = (
            whole["XSEG"] - harness["XSEG"] + sum(model[area] for area in ("DSEG", "OSEG", "ISEG"))
        )
        return code, tables, ram


def _areas_of_map(path: Path) -> Counter[str]:
    """Return the bytes of each area of a linked file."""
    found_there = re.findall(
        r"^(\w+)\s+[0-9A-F]{8}\s+([0-9A-F]{8}) =", path.read_text(errors="replace"), re.M
    )
    return Counter({area: int(size, 16) for area, size in found_there})


def _areas_of_object(path: Path) -> Counter[str]:
    """Return the bytes of each area of a compiled file."""
    found_there = re.findall(r"^A (\w+) size ([0-9A-F]+) ", path.read_text(errors="replace"), re.M)
    return Counter({area: int(size, 16) for area, size in found_there})


def addresses(folder: Path) -> dict[str, int]:
    """Return where the linker put the functions and variables of the harness."""
    text = (folder / "tiny.map").read_text(errors="replace")
    lines = re.findall(r"^\s*[A-Z]:\s+([0-9A-F]{8})\s+_(\w+)", text, re.M)
    return {name: int(address, 16) for address, name in lines}


def stack_bottom(folder: Path) -> int:
    """Return the stack pointer before anything is on the stack."""
    text = (folder / "tiny.mem").read_text(errors="replace")
    found_there = re.search(r"sp set to 0x([0-9a-f]+)", text)
    if not found_there:
        raise ExportError(f"SDCC's memory file says nothing of the stack: {text[-300:]}")
    return int(found_there[1], 16)


def _script(at: dict[str, int], bottom: int, rows: list[bytes], n_sums: int) -> str:
    """Return the simulator's commands: `_read` knows their order. The stack grows up from `bottom`."""
    failures, sums = at["place_failures"], at["place_sums"]
    lines = [
        'file "tiny.ihx"',
        f"break {at['place_pause']:#x}",
        f"break {at['place_points']:#x}",
        "run",
    ]
    lines += [f"dump /i xram {failures:#x} {failures + 3:#x}"]
    lines += [f"fill iram {bottom + RETURN + 1:#x} {LAST_IRAM:#x} {PAINT:#x}"]
    for row in rows:
        lines += _set_memory(at["place_row"], row)
        lines += ["run", "run", f"dump /i xram {sums:#x} {sums + n_sums - 1:#x}"]
    lines += [f"dump /i iram {bottom + 1:#x} {LAST_IRAM:#x}", "quit", ""]
    return "\n".join(lines)


def _set_memory(address: int, data: bytes) -> list[str]:
    parts = [(start, data[start : start + 32]) for start in range(0, len(data), 32)]
    return [f"set memory xram {address + start:#x} {' '.join(map(str, p))}" for start, p in parts]


def _read(said: str, n_rows: int, n: int) -> Run:
    stops = re.findall(r"^Stop at \w+: \(\d+\) (.*)$", said, re.M)
    if len(stops) != 1 + 2 * n_rows or set(stops) != {"Breakpoint"}:
        raise ExportError(
            f"s51 stopped {len(stops)} times, {1 + 2 * n_rows} expected: {said[-500:]}"
        )
    ticks = [int(t) for t in re.findall(r"^Simulated (\d+) ticks", said, re.M)]
    dumps = _dumps(said)
    check_selftest(int.from_bytes(dumps[0], "little", signed=True))
    points = np.frombuffer(b"".join(dumps[1:-1]), "<i4").reshape(n_rows, n)
    cycles = np.array(ticks[2::2], np.int64) // TICKS - LCALL
    stack = len(dumps[-1].rstrip(bytes([PAINT])))
    if stack == len(dumps[-1]):
        raise ExportError("the stack ran beyond the internal RAM")
    return Run(points.astype(np.int32), cycles=cycles, stack=stack)


def _dumps(said: str) -> list[bytes]:
    """Return the memory that was shown, as Intel hex, one item for each command."""
    dumps = [b""]
    for record in re.findall(r"^:([0-9A-F]+)", said, re.M):
        content = bytes.fromhex(record)
        if content[3] == END_OF_FILE:
            dumps.append(b"")
        else:
            dumps[-1] += content[4:-1]
    return dumps[:-1]


MCS51 = Mcs51()
"""The chip."""

MCS51_PLACES = (
    Place(
        "ucsim:8051",
        "8051, bare, s51 of µCsim (points only)",
        MCS51.tools,
        MCS51.run,
        {"core": MCS51.core},
        56 * 1024,
    ),
)
"""Its place."""
