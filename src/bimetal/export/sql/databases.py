"""PostgreSQL, DuckDB and SQLite: what each says in its own way, and where each needs care."""

from collections.abc import Sequence

import numpy as np

from bimetal.errors import ExportError
from bimetal.export.doubles import dyadic, is_plain
from bimetal.export.names import sql_quote
from bimetal.export.sql.dialect import Bits, Dialect, total

__all__ = ["DIALECTS"]

_LOWEST = -(2**63)


class _PostgreSQL(Dialect):
    """PostgreSQL from version 14 on."""

    long = "bigint"
    name, double, real, text, big = "postgresql", "double precision", "real", "text", "numeric"
    width, most_columns = 64, 1_600
    fence = " OFFSET 0"
    folds_names = False
    longest_name = 63

    def string(self, value: str) -> str:
        # E'…' reads backslashes alike whatever standard_conforming_strings says.
        doubled = sql_quote(value.replace("\\", "\\\\"))
        return f"E{doubled}" if "\\" in value else doubled

    def number(self, value: float) -> str:
        if value == 0 and np.signbit(value):
            return "CAST('-0' AS double precision)"
        return f"({value!r})" if value < 0 else repr(value)

    def missing_is_null(self, column: str) -> str:
        return f"NULLIF(CAST({column} AS double precision), 'NaN')"

    def rounded(self, x: str) -> str:
        # A cast raises an error where float32 ends: at 2**128 - 2**103, and at 2**-150 and below.
        top, low = self.number(2.0**128 - 2.0**103), self.number(2.0**-150)
        return (
            f"CASE WHEN abs({x}) >= {top} THEN CAST(sign({x}) * 'Infinity' AS real)"
            f" WHEN abs({x}) <= {low} THEN CAST({x} * 0 AS real) ELSE CAST({x} AS real) END"
        )

    def constant(self, bits: Bits) -> str:
        return f"X'{sum(1 << int(i) for i in np.flatnonzero(bits)):016x}'"

    def whole(self, value: int) -> str:
        signed = super().whole(value)
        return signed if int(signed) != _LOWEST else f"CAST('{signed}' AS bigint)"

    def pack(self, conditions: Sequence[str]) -> str:
        return f"CAST(CAST(\n        {super().pack(conditions)} AS bigint) AS bit(64))"

    def differ(self, columns: Sequence[str], care: Bits, weights: Bits, known: str) -> str:
        terms = []
        for column, cared, weight in zip(
            columns, self.words(care), self.words(weights), strict=True
        ):
            if cared.any():
                seen = column if cared.all() else f"({column} & {self.constant(cared)})"
                terms.append(f"bit_count({seen} # {self.constant(weight)})")
        return total(terms)

    def count(self, columns: Sequence[str], bits: Bits) -> str:
        parts = zip(columns, self.words(bits), strict=True)
        return total([f"bit_count({c} & {self.constant(b)})" for c, b in parts if b.any()])

    def bit(self, column: str, i: int) -> str:
        return f"get_bit({column}, {63 - i})"


class _DuckDB(Dialect):
    """DuckDB."""

    long = "BIGINT"
    name, double, real, text, big = "duckdb", "DOUBLE", "FLOAT", "VARCHAR", "HUGEINT"
    width, most_columns = 64, 30_000

    def number(self, value: float) -> str:
        # Without an exponent a literal is a DECIMAL, whose way to a double rounds twice.
        text = repr(value) if "e" in repr(value) else f"{value!r}e0"
        if value == 0 and np.signbit(value):
            return "CAST('-0.0' AS DOUBLE)"
        return f"({text})" if value < 0 else text

    def missing_is_null(self, column: str) -> str:
        return f"NULLIF(CAST({column} AS DOUBLE), CAST('NaN' AS DOUBLE))"

    def rounded(self, x: str) -> str:
        top = self.number(2.0**128 - 2.0**103)  # from here on a cast is an error
        return (
            f"CASE WHEN abs({x}) >= {top} THEN CAST(sign({x}) * CAST('inf' AS DOUBLE) AS FLOAT)"
            f" ELSE CAST({x} AS FLOAT) END"
        )

    def whole(self, value: int) -> str:
        signed = super().whole(value)
        return f"CAST('{signed}' AS BIGINT)" if int(signed) == _LOWEST else f"({signed})"

    def pack(self, conditions: Sequence[str]) -> str:
        return f"CAST(0 AS BIGINT)\n      | {super().pack(conditions)}"

    def differ(self, columns: Sequence[str], care: Bits, weights: Bits, known: str) -> str:
        terms = []
        for column, cared, weight in zip(
            columns, self.words(care), self.words(weights), strict=True
        ):
            if cared.any():
                seen = column if cared.all() else f"({column} & {self.constant(cared)})"
                terms.append(f"bit_count(xor({seen}, {self.constant(weight)}))")
        return terms[0] if len(terms) == 1 else total([f"CAST({t} AS INTEGER)" for t in terms])

    def count(self, columns: Sequence[str], bits: Bits) -> str:
        parts = zip(columns, self.words(bits), strict=True)  # a TINYINT: adding two would overflow
        counts = [f"bit_count({c} & {self.constant(b)})" for c, b in parts if b.any()]
        return total([f"CAST({count} AS BIGINT)" for count in counts])

    def bit(self, column: str, i: int) -> str:
        return f"(({column} >> {i}) & 1)"

    def looked_up_far(self, table: Bits, address: str) -> str:
        return super().looked_up_far(table, f"CAST({address} AS INTEGER)")

    def bit_string(self, table: Bits) -> str:
        return f"CAST('{''.join('1' if bit else '0' for bit in table)}' AS BIT)"


class _SQLite(Dialect):
    """SQLite from version 3.35 on."""

    long = "INTEGER"
    name, double, real, text, big = "sqlite", "REAL", "REAL", "TEXT", ""
    width, most_columns = 8, 1_900
    fence = " LIMIT -1 OFFSET 0"
    _MOST = 31  # columns that add up below 255

    def exactly(self, text: str) -> str:
        return f"CAST({text} AS TEXT) COLLATE BINARY"

    def number(self, value: float) -> str:
        # SQLite's reading of decimals is not always the nearest double; whole numbers and powers of
        # two are exact, and so is their product.
        if is_plain(value):
            return f"({value!r})" if value < 0 else repr(value)
        m, e = dyadic(value)
        sign, steps = (" / " if e < 0 else " * "), [50] * (abs(e) // 50) + [abs(e) % 50]
        return "(" + sign.join([str(m), *(f"{2.0**step:.1f}" for step in steps if step)]) + ")"

    def missing_is_null(self, column: str) -> str:
        # Any value may stand in any column here. Text where a number belongs would be read as 0.0;
        # this stops with "integer overflow" instead.
        return (
            f"CASE WHEN typeof({column}) IN ('real', 'integer') THEN CAST({column} AS REAL)"
            f" WHEN {column} IS NOT NULL THEN abs(-9223372036854775807 - ({column} IS NOT NULL)) END"
        )

    def element(self, column: str, place: int) -> str:
        raise ExportError("sqlite has no arrays; choose dialect=postgresql or dialect=duckdb")

    def floor(self, x: str) -> str:
        return f"(CAST({x} AS INTEGER) - (CAST({x} AS INTEGER) > {x}))"

    def largest(self, terms: Sequence[str]) -> str:
        if len(terms) > 100:  # a function takes no more than 127
            return self.largest(
                [self.largest(terms[i : i + 100]) for i in range(0, len(terms), 100)]
            )
        return f"max({', '.join(terms)})" if len(terms) > 1 else terms[0]

    def rounded(self, x: str) -> str:
        # unit = 2**floor(log2 |x|) (Rump, Ogita & Oishi 2008, algorithm 3.5), at least 2**-126.
        # Adding 1.5 · 2**29 units leaves 24 bits of x in a double, rounded half to even.
        unit = (
            f"max(abs(4503599627370497 * {x} - {self.number(1 - 2.0**-53)} * "
            f"(4503599627370497 * {x})), {self.number(2.0**-126)})"
        )
        top = self.number(2.0**128 - 2.0**103)
        return (
            f"CASE WHEN {x} >= {top} THEN 9e999 WHEN {x} <= -{top} THEN -9e999"
            f" ELSE ({x} + 805306368 * {unit}) - 805306368 * {unit} END"
        )

    def weight(self, i: int) -> int:
        return 1 << (8 * i)

    def prepared(self, columns: Sequence[str], care: Bits) -> str:
        return self.count(columns, care)

    def differ(self, columns: Sequence[str], care: Bits, weights: Bits, known: str) -> str:
        # |a XOR w| = |a| + |w| - 2 |a AND w|, and |a| is counted once for all neurons.
        n = int(weights.sum())
        return f"{known} + {n} - 2 * ({self.count(columns, weights)})" if n else known

    def count(self, columns: Sequence[str], bits: Bits) -> str:
        parts = zip(columns, self.words(bits), strict=True)
        terms = [f"({c} & {self.constant(b)})" for c, b in parts if b.any()]
        groups = [terms[i : i + self._MOST] for i in range(0, len(terms), self._MOST)]
        return total([f"({' + '.join(group)}) % 255" for group in groups])

    def bit(self, column: str, i: int) -> str:
        return f"(({column} >> {8 * i}) & 1)"

    def looked_up_far(self, table: Bits, address: str) -> str:
        row = "".join("1" if bit else "0" for bit in table)
        return f"substr('{row}', 1 + {address}, 1) = '1'"


DIALECTS: dict[str, Dialect] = {d.name: d for d in (_PostgreSQL(), _DuckDB(), _SQLite())}
"""The databases by name."""
