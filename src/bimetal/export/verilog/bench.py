"""What stands beside the module: a self-checking test bench with its rows, and a script for synthesis.

A row or an answer in a hexadecimal file is one number, its first column or sum in the lowest bits.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.errors import DataError, ExportError
from bimetal.export.form import link_of
from bimetal.export.names import c_string
from bimetal.export.rows import rows_for, whole_rows_for
from bimetal.export.target import Job
from bimetal.export.verilog.layers import Design

__all__ = [
    "answer_bits",
    "bench_files",
    "bits_of_lines",
    "instance",
    "row_bits",
    "row_lines",
    "script",
    "sums_of",
    "template",
]


def template(name: str, words: dict[str, str]) -> str:
    """Return a template of this package with its words replaced, all at once: what is put in is not read."""
    text = files("bimetal.export.verilog").joinpath("templates", name).read_text(encoding="utf-8")
    if not words:
        return text
    longest_first = sorted(words, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda m: words[m[0]], text)


def bench_files(job: Job, design: Design) -> dict[str, bytes]:
    """Return the test bench, its rows, its answers, and the script for yosys."""
    rows = _rows(job)
    return {
        "_tb.v": _bench(job, design).encode(),
        "_rows.hex": row_lines(job.options.input, rows).encode(),
        "_points.hex": _answer_lines(job, design, rows).encode(),
        "_synth.ys": (script(job.name, f"{job.stem}.v", "synth_ecp5") + "stat\n").encode(),
    }


def _rows(job: Job) -> NDArray[np.float32]:
    kind, n = job.options.input, job.options.rows
    if kind == "float32":
        return rows_for(job.program, n)
    return whole_rows_for(job.program, n, bits=int(kind.removeprefix("int")))


def _bench(job: Job, design: Design) -> str:
    parts = "{class_index, points}" if design.class_bits else "points"
    words = {
        "NAME": job.name,
        "ROWS_HEX": c_string(f"{job.stem}_rows.hex"),
        "POINTS_HEX": c_string(f"{job.stem}_points.hex"),
        "DUMP_HEX": c_string(f"{job.stem}_dump.hex"),
        "N_ROWS": str(job.options.rows),
        "N_CYCLES": str(design.latency),
        "N_ROW_BITS": str(design.bits * job.program.n_columns),
        "N_ANSWER_BITS": str(answer_bits(design)),
        "NOTE_OF_ANSWER": parts,
        "// INSTANCE": instance(job, design),
    }
    return template("bench.v", words)


def instance(job: Job, design: Design) -> str:
    """Return the text that puts the module between nets clk, rst, valid_in, row, valid_out and answer."""
    n_points = design.point_bits * len(design.points)
    ends = [(".points", f"answer[{n_points - 1}:0]")]
    if design.class_bits:
        ends.append((".class_index", f"answer[{n_points + design.class_bits - 1}:{n_points}]"))
    if design.latency:
        ends = [(".clk", "clk"), (".valid_in", "valid_in"), (".valid_out", "valid_out"), *ends]
    ends += [(".rst", "rst")] if job.options.reset else []
    listed = ", ".join(f"{port}({net})" for port, net in [(".row", "row"), *ends])
    through = "" if design.latency else "assign valid_out = valid_in;\n    "
    return f"{through}{job.name} dut ({listed});"


def answer_bits(design: Design) -> int:
    """Return the bits of points and class."""
    return design.point_bits * len(design.points) + design.class_bits


def _answer_lines(job: Job, design: Design, rows: NDArray[np.float32]) -> str:
    values = reference.trace(job.program, rows)
    points = values[link_of(job.program).input].astype(np.int64)
    bits = _bits_of(points, design.point_bits)
    if design.class_bits:
        best = values[-1].argmax(axis=1).astype(np.int64)  # the first of equals
        bits = np.concatenate([bits, _bits_of(best[:, None], design.class_bits)], axis=1)
    return _hex_lines(bits)


def row_lines(kind: str, rows: NDArray[np.float32]) -> str:
    """Return raw rows as lines of hexadecimal, for columns of a `kind` such as "int16"."""
    return _hex_lines(row_bits(kind, rows))


def row_bits(kind: str, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return raw rows as bits (n_rows, n_columns · bits of a column), the lowest of each column first.

    Raises
    ------
    DataError
        When a column that takes whole numbers is given another number.
    """
    if kind == "float32":
        return _bits_of(np.ascontiguousarray(rows, np.float32).view(np.uint32), 32)
    bits = int(kind.removeprefix("int"))
    most = 2 ** (bits - 1) - 1
    fits = np.isnan(rows) | ((np.abs(rows) <= most) & (rows == np.rint(rows)))
    if not fits.all():
        raise DataError(
            f"a column of '{kind}' takes whole numbers from {-most} to {most}, or NaN, "
            f"got {float(rows[~fits][0])!r}; write the module with input='float32' for such rows"
        )
    whole = np.where(np.isnan(rows), -most - 1, rows.astype(np.float64))
    return _bits_of(whole.astype(np.int64), bits)


def _bits_of(numbers: NDArray[Any], n_bits: int) -> NDArray[np.uint8]:
    """Return whole numbers (n, m) as bits (n, m · n_bits), in two's complement, lowest bits first."""
    little = np.ascontiguousarray(numbers.astype("<i8")).view(np.uint8)
    bits = np.unpackbits(little.reshape(len(numbers), -1, 8), axis=2, bitorder="little")
    return bits[:, :, :n_bits].reshape(len(numbers), -1)


def _hex_lines(bits: NDArray[np.uint8]) -> str:
    packed = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
    n_digits = -(-bits.shape[1] // 4)
    return "".join(f"{line.tobytes().hex()[-n_digits:]}\n" for line in packed)


def bits_of_lines(lines: Sequence[str], n_bits: int) -> NDArray[np.uint8]:
    """Return lines of hexadecimal as bits (n_lines, n_bits), the lowest first.

    Raises
    ------
    ExportError
        When a line is none: a simulator prints x for a signal that nobody drives.
    """
    n_bytes = -(-n_bits // 8)
    try:
        raw = b"".join(bytes.fromhex(line.strip().zfill(2 * n_bytes)) for line in lines)
        packed = np.frombuffer(raw, np.uint8).reshape(len(lines), n_bytes)[:, ::-1]
    except ValueError as error:
        raise ExportError(f"the simulator printed no hexadecimal answers: {error}") from error
    return np.unpackbits(packed, axis=1, bitorder="little")[:, :n_bits]


def sums_of(bits: NDArray[np.uint8], design: Design) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return points (n_rows, n_points) and class indices (n_rows,), 0 without a class, from answers."""
    n_points = len(design.points) * design.point_bits
    parts = bits[:, :n_points].reshape(len(bits), len(design.points), design.point_bits)
    places = 1 << np.arange(design.point_bits, dtype=np.int64)
    places[-1] = -places[-1]  # the sign
    best = bits[:, n_points:] @ (1 << np.arange(design.class_bits, dtype=np.int64))
    return (parts @ places).astype(np.int32), best.astype(np.int32)


def script(name: str, file: str, synth: str) -> str:
    """Return a script for yosys that maps the module of `file` with `synth`."""
    words = {"NAME": name, "MODULE_FILE": c_string(file), "SYNTH": synth}
    return template("synth.ys", words | {"MAP_VERILOG": template("map.v", {}).rstrip()})
