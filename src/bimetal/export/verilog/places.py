"""Where Verilog runs without a chip: Icarus interprets it, Verilator makes C++ of it.

Icarus runs the very test bench that is delivered, told to write answers instead of checking them, and
takes nothing but Verilog-2001.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import call, command
from bimetal.export.verilog import bench
from bimetal.export.verilog.layers import Design, design
from bimetal.program import Program

__all__ = ["PLACES", "run_icarus", "run_verilator"]

_ICARUS = (
    command("iverilog", "apt-get install iverilog"),
    command("vvp", "apt-get install iverilog"),
)
_VERILATOR = (
    command("verilator", "apt-get install verilator"),
    command("g++", "apt-get install g++"),
    command("make", "apt-get install make"),
)


def run_icarus(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    """Run the delivered test bench over other rows."""
    _write(job, files, folder)
    lines = bench.row_lines(job.options.input, rows)
    (folder / f"{job.stem}_rows.hex").write_text(lines, encoding="ascii")
    tb = f"{job.name}_tb"
    given = [f"-P{tb}.ROWS={len(rows)}", f"-P{tb}.DUMP=1", "-s", tb, "-o", "bench.vvp"]
    call(["iverilog", "-g2001", *given, f"./{job.stem}.v", f"./{job.stem}_tb.v"], folder)
    call(["vvp", "-n", "bench.vvp"], folder, timeout=600)
    answers = (folder / f"{job.stem}_dump.hex").read_text(encoding="ascii").split()
    made = design(job)
    bits = bench.bits_of_lines(answers, bench.answer_bits(made))
    return _outcome(job.program, made, bits, rows)


def run_verilator(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    """Build a C++ program around the module, and feed it the rows."""
    _write(job, files, folder)
    made = design(job)
    sizes = {"ROW_BITS": made.bits * job.program.n_columns, "ANSWER_BITS": bench.answer_bits(made)}
    words = {"NAME": job.name, "// INSTANCE": bench.instance(job, made)}
    words |= {f"N_{name}": str(size) for name, size in sizes.items()}
    (folder / "top.v").write_text(bench.template("top.v", words), encoding="ascii")
    (folder / "harness.cpp").write_text(bench.template("verilator.cpp", {}), encoding="ascii")
    defined = " ".join(f"-D{n}={v}" for n, v in (sizes | {"LATENCY": made.latency}).items())
    how = ["--cc", "--exe", "--build", "--prefix", "Vtop", "--top-module", f"{job.name}_top"]
    how += ["-Wno-lint", "-CFLAGS", defined, "-MAKEFLAGS", "OPT_GLOBAL=-O0", "--Mdir", "made"]
    call(["verilator", *how, f"./{job.stem}.v", "top.v", "harness.cpp"], folder, timeout=600)
    given = _words(bench.row_bits(job.options.input, rows))
    raw = np.frombuffer(call([folder / "made" / "Vtop"], folder, stdin=given, timeout=600), "<u4")
    bits = np.unpackbits(raw.view(np.uint8), bitorder="little")
    n_bits = -(-sizes["ANSWER_BITS"] // 32) * 32
    bits = bits.reshape(-1, n_bits)[:, : sizes["ANSWER_BITS"]]
    return _outcome(job.program, made, bits, rows)


def _words(bits: NDArray[np.uint8]) -> bytes:
    padded = np.pad(bits, [(0, 0), (0, -bits.shape[1] % 32)])
    return np.packbits(padded, axis=1, bitorder="little").tobytes()


def _write(job: Job, files: Files, folder: Path) -> None:
    for suffix, content in files.items():
        (folder / f"{job.stem}{suffix}").write_bytes(content)


def _outcome(
    program: Program, made: Design, bits: NDArray[np.uint8], rows: NDArray[np.float32]
) -> Outcome:
    """Return the points, and how many rows were given another class than the largest answer's."""
    points, best = bench.sums_of(bits, made)
    notes = {"cycles": made.latency}
    if made.class_bits and len(best) == len(rows):
        expected = reference.run(program, rows).argmax(axis=1)
        notes["classes_differ"] = int((best != expected).sum())
    return Outcome(points=points, notes=notes)


PLACES = (
    Place("icarus", "Icarus Verilog: the delivered test bench, interpreted", _ICARUS, run_icarus),
    Place("verilator", "Verilator: the module as C++, compiled", _VERILATOR, run_verilator),
)
