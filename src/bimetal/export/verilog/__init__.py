"""Verilog-2001 for FPGAs and ASICs: one row a clock, exact points and class, no vendor's tool needed.

The module holds the encoder too, so what it takes is the raw row and what it costs is all there is.
Beside it stand a self-checking test bench with rows and expected answers, and a script for yosys;
`bimetal.export.verilog.report` asks open tools for area and speed.
"""

from bimetal.errors import ExportError
from bimetal.export.target import Job, Target
from bimetal.export.verilog.bench import bench_files
from bimetal.export.verilog.layers import design
from bimetal.export.verilog.options import Options, check_options, column_bits
from bimetal.export.verilog.places import PLACES
from bimetal.export.verilog.text import module_text
from bimetal.ops import Dense, Encode, Link, Lut, Readout, Rules

__all__ = ["MOST_BITS", "MOST_TERMS", "TARGET", "Options", "check", "write"]

MOST_BITS = 65_536
"""The width of a port up to which Verilog promises vectors."""
MOST_TERMS = 4_000_000
"""Synapses and points in one module: beyond, no tool finishes."""


def write(job: Job) -> dict[str, bytes]:
    """Return the module and what stands beside it: what is appended to the stem → bytes."""
    check(job)
    made = design(job)
    return {".v": module_text(job, made).encode("ascii"), **bench_files(job, made)}


def check(job: Job) -> None:
    """Raise `ExportError` for options that contradict each other, and for what is too large."""
    check_options(job.options)
    if set(job.stem) & set('"\\') or not job.stem.isprintable():
        raise ExportError(
            "the script for yosys cannot hold a file name with quotation marks, backslashes or control "
            f"characters, got {job.stem!r:.80}; choose another"
        )
    row = column_bits(job.options) * job.program.n_columns
    if row > MOST_BITS:
        raise ExportError(
            f"a row of {job.program.n_columns:,} numbers is {row:,} bits wide, and Verilog promises "
            f"ports up to {MOST_BITS:,}; leave columns out, or make them narrower (input='int16')"
        )
    terms = sum(
        op.weights.size * (8 if isinstance(op, Dense) else 1)
        for op in job.program.ops
        if isinstance(op, Dense | Readout)
    )
    if terms > MOST_TERMS:
        raise ExportError(
            f"the Program has {terms:,} synapses and points, and a module takes up to {MOST_TERMS:,}: "
            "no tool would place it; train a smaller or sparser net (fan_in=6)"
        )


TARGET = Target(
    "verilog",
    "a Verilog-2001 module with its encoder, a test bench and a script for yosys",
    ".v",
    (Encode, Dense, Rules, Lut, Readout, Link),
    Options,
    write,
    PLACES,
    language="verilog",
    check=check,
)
