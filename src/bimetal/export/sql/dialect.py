"""What databases say differently: literals, names, words of bits, and how to count in them.

A value of n bits lives in columns of `width` bits each. PostgreSQL counts bits of a ``bit(64)``,
DuckDB of a BIGINT. SQLite cannot count: there a column holds eight bits, each alone in the lowest
bit of a byte, so that up to 31 columns add up byte by byte without a carry, and the remainder by 255
adds the bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.names import sql_quote

__all__ = ["Bits", "Dialect", "total"]

Bits = NDArray[np.bool_]


def total(terms: Sequence[str], sign: str = " + ") -> str:
    """Return a chain of terms in groups, as databases refuse expressions nested a thousand deep."""
    if len(terms) <= 64:
        return sign.join(terms)
    groups = [terms[i : i + 64] for i in range(0, len(terms), 64)]
    return total([f"({sign.join(group)})" for group in groups], sign)


class Dialect(ABC):
    """How one database says it."""

    name: str
    double: str
    real: str
    text: str
    long: str  # whole numbers of 64 bits
    big: str  # up to 2**80
    width: int  # bits of one column
    most_columns: int  # of one SELECT
    fence = ""  # ends a step, so that the planner does not paste its text into the next one
    folds_names = True  # "Age" and "age" are one column
    longest_name: int | None = None  # bytes

    def quoted(self, name: str) -> str:
        """Return a name as an identifier."""
        size = len(name.encode())
        if self.longest_name is not None and size > self.longest_name:
            raise ExportError(
                f"{self.name} cuts names after {self.longest_name} bytes, and '{name[:80]}' has "
                f"{size}; rename that column in the table and in the model"
            )
        return sql_quote(name, '"')

    def string(self, value: str) -> str:
        """Return text as a literal."""
        return sql_quote(value)

    def exactly(self, text: str) -> str:
        """Return an expression of text that compares letter by letter, whatever its collation."""
        return f'CAST({text} AS {self.text}) COLLATE "C"'

    @abstractmethod
    def number(self, value: float) -> str:
        """Return a finite double as a literal that is read as just this double."""

    @abstractmethod
    def missing_is_null(self, column: str) -> str:
        """Return a column of numbers as double, NULL where there is none."""

    def element(self, column: str, place: int) -> str:
        """Return one element of a column that is an array."""
        return f"({column})[{place + 1}]"

    def floor(self, x: str) -> str:
        """Return the largest whole number that is not above `x`."""
        return f"floor({x})"

    def largest(self, terms: Sequence[str]) -> str:
        """Return the largest of several numbers."""
        return f"greatest({', '.join(terms)})" if len(terms) > 1 else terms[0]

    @abstractmethod
    def rounded(self, x: str) -> str:
        """Return a double, rounded to float32."""

    # Bits

    def n_words(self, n_bits: int) -> int:
        """Return how many columns hold `n_bits`."""
        return -(-n_bits // self.width)

    def words(self, bits: Bits) -> list[Bits]:
        """Cut constants of one row into those of each column."""
        return [bits[i : i + self.width] for i in range(0, len(bits), self.width)]

    def weight(self, i: int) -> int:
        """Return a column with only bit `i` set."""
        return 1 << i

    def constant(self, bits: Bits) -> str:
        """Return a column of constant bits as a literal."""
        return self.whole(sum(self.weight(int(i)) for i in np.flatnonzero(bits)))

    def whole(self, value: int) -> str:
        """Return a whole number of 64 bits, given without sign, as a literal."""
        return str(value - 2**64 if value >= 2**63 else value)

    def pack(self, conditions: Sequence[str]) -> str:
        """Return one column of bits; NULL counts as 0. A condition may end in a comment."""
        lines = []
        for i, condition in enumerate(conditions):
            test, _, said = condition.partition("  -- ")
            lines.append(
                f"CASE WHEN {test} THEN {self.whole(self.weight(i))} ELSE 0 END"
                + (f"  -- {said}" if said else "")
            )
        return "\n      | ".join(lines) + "\n     "

    def prepared(self, columns: Sequence[str], care: Bits) -> str:
        """Return what `differ` needs to know of the bits in advance, or ""."""
        return ""

    @abstractmethod
    def differ(self, columns: Sequence[str], care: Bits, weights: Bits, known: str) -> str:
        """Return in how many of the bits `care` the columns differ from `weights`."""

    @abstractmethod
    def count(self, columns: Sequence[str], bits: Bits) -> str:
        """Return how many of `bits` are set in the columns, at least one of them asked for."""

    def holds(self, column: str, care: Bits, wanted: Bits) -> str:
        """Return the condition that the bits `care` of one column are as wanted."""
        return f"({column} & {self.constant(care)}) = {self.constant(wanted)}"

    @abstractmethod
    def bit(self, column: str, i: int) -> str:
        """Return bit `i` of a column as 0 or 1."""

    def looked_up(self, table: Bits, address: str) -> str:
        """Return the condition that a table of bits holds 1 at an address."""
        if len(table) > 64:
            return self.looked_up_far(table, address)
        # The cast matters: a small literal would be a 32-bit number, and shifted as one.
        number = self.whole(sum(1 << int(i) for i in np.flatnonzero(table)))
        return f"((CAST({number} AS {self.long}) >> {address}) & 1) = 1"

    def looked_up_far(self, table: Bits, address: str) -> str:
        """Return the same for a table that no 64 bits hold."""
        return f"get_bit({self.bit_string(table)}, {address}) = 1"

    def bit_string(self, table: Bits) -> str:
        """Return bits as a literal of the database's own type, the first one first."""
        return "B'" + "".join("1" if bit else "0" for bit in table) + "'"
