"""Tests of the raw row as comparators of whole numbers; no float is ever compared.

A float32 with the lower 31 bits turned over when it is negative, and its sign turned over always, is
an unsigned number of the same order (see `bimetal.export.keys`). −0.0 is the number just below 0.0
there, so a test against zero names both. A whole-number column stands for the float32 nearest to it,
so a cut-point becomes the smallest whole number whose float32 reaches it.
"""

from dataclasses import dataclass, field

import numpy as np

from bimetal.export.keys import key_of
from bimetal.export.names import comment
from bimetal.export.verilog.compare import at_least, equals
from bimetal.export.verilog.logic import all_of
from bimetal.export.verilog.netlist import ZERO, Netlist
from bimetal.ops import EQ, GE, Encode
from bimetal.program import Program

__all__ = ["Columns", "first_whole", "value_names"]

BUS = "x"  # of the comparators' bits


def value_names(program: Program) -> list[str]:
    """Return a harmless name for each number of the raw row; those of an array are numbered."""
    names: list[str] = []
    for column in program.columns:
        plain = comment(column.name, 60)
        is_array = column.kind == "array"
        names += [f"{plain} {j}" for j in range(column.size)] if is_array else [plain]
    return names


def first_whole(value: float, bits: int) -> int:
    """Return the smallest whole number of `bits` bits whose float32 is at least `value`.

    The most negative one means missing and does not count; where none is large enough, it is the
    first that has no `bits` bits.

    Examples
    --------
    >>> first_whole(2.5, 16), first_whole(-1e9, 16), first_whole(1e9, 16)
    (3, -32767, 32768)
    >>> first_whole(16777220.0, 32)  # 16,777,219 lies between two float32 and goes to the even one
    16777219
    """
    high = 1 << (bits - 1)
    low = 1 - high
    while low < high:
        middle = (low + high) // 2
        if np.float32(middle) >= np.float32(value):
            high = middle
        else:
            low = middle + 1
    return low


@dataclass
class Columns:
    """The comparators that a netlist has for the columns of a Program."""

    net: Netlist
    program: Program
    bits: int
    is_float: bool
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = value_names(self.program)

    def encoded(self, op: Encode) -> list[int]:
        """Return the bits of an `Encode`."""
        made = []
        for j, kind, value in zip(op.column.tolist(), op.kind, op.value.tolist(), strict=True):
            if kind == GE:
                made.append(self._at_least(op, j, value))
            elif kind == EQ:
                made.append(self.equal(j, value))
            else:
                made.append(self.missing(j))
        return made

    def raw(self, j: int) -> int:
        """Return number `j` of the row as it came."""
        part = f"row[{self.bits * (j + 1) - 1}:{self.bits * j}]"
        return self.net.port(part, 0, (1 << self.bits) - 1, "c", f"c{j}")

    def missing(self, j: int) -> int:
        """Return the bit that says that number `j` is missing."""
        raw, note = self.raw(j), f"{self.names[j]} missing"
        if self.is_float:
            parts = ("(&", raw, "[30:23]) & (|", raw, "[22:0])")
            return self.net.add(*parts, bus=BUS, cost=2, note=note)
        return equals(self.net, raw, 1 << (self.bits - 1), BUS, note)

    def equal(self, j: int, value: float) -> int:
        """Return the bit that says that number `j` equals `value`."""
        raw, note = self.raw(j), f"{self.names[j]} == {value:.9g}"
        if not self.is_float:
            return self._equal_whole(j, value, note)
        if value == 0:
            return self.net.add("~|", raw, "[30:0]", bus=BUS, cost=2, note=note)
        pattern = int(np.float32(value).view(np.uint32))
        return equals(self.net, raw, pattern, BUS, note)

    def _equal_whole(self, j: int, value: float, note: str) -> int:
        beyond = float(np.nextafter(np.float32(value), np.float32(np.inf)))
        first, end = first_whole(value, self.bits), first_whole(beyond, self.bits)
        if end - first == 1:
            return equals(self.net, self.raw(j), first % (1 << self.bits), BUS, note)
        reaches, passes = self._reaches(j, first, ""), self._reaches(j, end, "")
        return all_of(self.net, [(reaches, False), (passes, True)], BUS)

    def _at_least(self, op: Encode, j: int, value: float) -> int:
        note = f"{self.names[j]} >= {value:.9g}"
        if self.is_float:
            cut = int(key_of(value)) + (1 << 31) - (value == 0)
            reaches = at_least(self.net, self._order(j), cut, BUS, note)
        else:
            reaches = self._reaches(j, first_whole(value, self.bits), note)
        specials = op.special_value[op.special_column == j].tolist()
        excluded = [self.equal(j, special) for special in specials]
        excluded += [self.missing(j)] if self.is_float else []
        return all_of(self.net, [(reaches, False), *((bit, True) for bit in excluded)], BUS)

    def _reaches(self, j: int, first: int, note: str) -> int:
        """Return the bit that says that whole number `j` is at least `first`."""
        if first >= 1 << (self.bits - 1):
            return ZERO
        return at_least(self.net, self._order(j), first + (1 << (self.bits - 1)), BUS, note)

    def _order(self, j: int) -> int:
        """Return number `j` as an unsigned word of the same order."""
        raw, top = self.raw(j), self.bits - 1
        lower = f"[{top - 1}:0]" if top > 1 else "[0]"
        turned = (f" ^ {{{top}{{", raw, f"[{top}]}}}}") if self.is_float else ()
        parts = ("{~", raw, f"[{top}], ", raw, lower, *turned, "}")
        return self.net.add(*parts, bus="c", high=(1 << self.bits) - 1, cost=0, name=f"c{j}_order")
