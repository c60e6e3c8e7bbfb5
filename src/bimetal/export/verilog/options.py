"""What a user may choose of the Verilog: how it is pipelined, and what a column looks like."""

import re
from dataclasses import dataclass
from typing import Literal

from bimetal.errors import ExportError

__all__ = ["Options", "check_options", "column_bits"]


@dataclass(frozen=True)
class Options:
    """Options of the `verilog` target.

    Attributes
    ----------
    pipeline : {"layer", "full", "none"}
        Registers after each operation; after every `levels` levels of logic, adder trees and
        comparisons included; or none, which is combinational.
    input : str
        A column of the row: "float32", or "int2" to "int32": a signed whole number of so many bits,
        of which the most negative means missing.
    levels : int
        1 to 16, for `full`: look-up tables and adders in a row between two registers. One is the
        fastest clock, two the shortest way through.
    lut : {"6", "4"}
        Inputs of the look-up tables of the chip in mind; it shapes the sums and changes no answer.
    reset : bool
        A synchronous reset `rst`, which clears what is in flight.
    rows : int
        1 to 100,000: rows that the test bench checks, golden ones first.
    """

    pipeline: Literal["layer", "full", "none"] = "layer"
    input: str = "float32"
    levels: int = 1
    lut: Literal["6", "4"] = "6"
    reset: bool = False
    rows: int = 200


_INPUT = re.compile(r"float32|int([2-9]|[12][0-9]|3[0-2])", re.ASCII)


def column_bits(options: Options) -> int:
    """Return how many bits a column of the row has.

    Examples
    --------
    >>> column_bits(Options(input="int12"))
    12
    """
    return int(options.input.removeprefix("int").removeprefix("float"))


def check_options(options: Options) -> None:
    """Raise `ExportError` when options contradict each other or leave their range."""
    if not _INPUT.fullmatch(options.input):
        raise ExportError(
            "option 'input' must be 'float32' or a whole number of 2 to 32 bits, such as 'int16', "
            f"got {options.input!r:.80}"
        )
    for name, (low, high) in {"levels": (1, 16), "rows": (1, 100_000)}.items():
        given = getattr(options, name)
        if not low <= given <= high:
            raise ExportError(f"option '{name}' must lie in {low} to {high:,}, got {given}")
    if options.reset and options.pipeline == "none":
        raise ExportError(
            "option 'reset' needs registers to clear, but pipeline is 'none'; "
            "choose pipeline='layer' or 'full', or leave reset out"
        )
