"""The columns of a stream: which have bits, which wait for them, and how a row is read by both."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Lists
from bimetal.columns.column import listed
from bimetal.continual.stream.encoding import Encoding, ReachingEncoder
from bimetal.continual.stream.incoming import Plain, RowReader, Source, known_rows, plain_value
from bimetal.continual.stream.labels import Label
from bimetal.continual.stream.pending import Pending
from bimetal.encoders import Encoder
from bimetal.errors import ColumnError
from bimetal.ops import MAX_BITS

__all__ = ["StreamColumns"]


class StreamColumns:
    """Columns that come, stay and go.

    Parameters
    ----------
    encoder : Encoder
        Fitted: its bits are used from the first row on. Not fitted: it will be, on the first rows.
    enough : int
        Values of a column that emerges after which it gets bits.
    are_fixed : bool
        Whether every row must have the columns of the first.

    Attributes
    ----------
    names : list of str
        All columns that have come, in the order in which they came.
    are_named : bool
        Whether they came with names of their own (in a frame), not by position.
    encoding : Encoding or None
        Of the columns that have bits; None before the encoder is fitted.
    pending : Pending
        Values of those that have none.
    """

    def __init__(self, encoder: Encoder, enough: int, are_fixed: bool) -> None:
        self.encoder, self.are_fixed = encoder, are_fixed
        self.names: list[str] = []
        self.are_named = False
        self.pending = Pending(enough)
        self.encoding: Encoding | None = None
        self._reader = RowReader(())
        if hasattr(encoder, "op_"):
            self.names = [column.name for column in encoder.columns_]
            self.use(Encoding.of(encoder))

    def use(self, encoding: Encoding) -> None:
        """Read rows by this encoding from now on."""
        self.encoding, self._reader = encoding, RowReader(encoding.columns)

    def notice(self, names: Iterable[str]) -> None:
        """Know that these columns exist."""
        self.names += [name for name in names if name not in self.names]

    def in_order(self) -> list[str]:
        """Return the columns in an order that does not depend on that of the names in a row."""
        return sorted(self.names) if self.are_named else list(self.names)

    def rows(self, source: Source) -> NDArray[np.float32]:
        """Return raw rows, float32 (n_rows, n_columns), of a table; there must be an encoding.

        Raises
        ------
        ColumnError, NotFiniteError
            As `known_rows`; `ColumnError` also where columns are fixed and differ.
        """
        assert self.encoding is not None
        self.require(source.names)
        return known_rows(source, self.encoding.columns)

    def row(self, x: Mapping[Any, Any]) -> tuple[NDArray[np.float32], dict[str, Plain | None]]:
        """Return the raw row of one mapping, and the values of columns without bits, checked."""
        if self.are_fixed:
            self.require([str(name) for name in x])
        row, further = self._reader.read(x)
        if not further:
            return row, {}
        plain = {name: plain_value(name, value) for name, value in further.items()}
        for name, value in plain.items():
            self.pending.check(name, value)
        return row, plain

    def check(self, source: Source) -> None:
        """Raise for whatever is wrong in a table, so that it is refused as a whole."""
        if self.encoding is not None:
            self.rows(source)
        else:
            self.require(source.names)
            source = source.part(0, self.pending.enough)
        for name in self.without_bits(source.names):
            column = [value for value in source.plain(name) if value is not None]
            first = Pending(1, {name: column[:1]})
            for value in column:
                first.check(name, value)
            if column:
                self.pending.check(name, column[0])

    def require(self, names: Sequence[str]) -> None:
        """Raise `ColumnError` where columns are fixed and these are not those of the first row."""
        if not self.are_fixed or not self.names:
            return
        further = [name for name in names if name not in self.names]
        missing = [name for name in self.names if name not in names]
        if further or missing:
            raise ColumnError(
                f"columns='fixed': expected the columns {listed(self.names)}; missing {listed(missing)}, "
                f"not there at first {listed(further)}; columns='open' lets them come and go"
            )

    def without_bits(self, names: Iterable[str]) -> list[str]:
        """Return those of the columns that wait for bits, or may."""
        known = {column.name for column in self.encoding.columns} if self.encoding else set()
        return [name for name in names if name not in known and self.pending.room(name)]

    def fit(self, source: Source, labels: Sequence[Label], weights: Sequence[float]) -> None:
        """Fit the encoder; a column without any value waits until it has some."""
        names = [name for name in source.names if source.has_values(name)]
        table = source.table
        if len(names) < len(source.names):
            table = Lists({name: source.plain(name) for name in names})
        encoder = copy.deepcopy(self.encoder)
        encoder.fit(table, np.array(labels), np.asarray(weights, np.float64))
        if isinstance(table, np.ndarray):  # whose columns the encoder calls x0, x1, ...
            renamed = tuple(
                replace(c, name=name) for c, name in zip(encoder.columns_, names, strict=True)
            )
            encoder.columns_ = renamed
        self.use(Encoding.of(encoder))
        for name in names:
            self.pending.drop(name)

    def waiting_values(self, source: Source) -> tuple[dict[str, list[Plain | None]], int]:
        """Return the values of columns without bits, and how many rows there are until one is ready."""
        found = {name: source.plain(name) for name in self.without_bits(source.names)}
        n = len(source)
        for name, column in found.items():
            present = [i for i, value in enumerate(column) if value is not None]
            n = min([n, *(i + 1 for i in present[self.pending.room(name) - 1 :][:1])])
        return found, n

    def gather(self, values: Mapping[str, Sequence[Plain | None]]) -> list[list[int]]:
        """Keep values of columns without bits; a column that has enough gets them.

        Returns
        -------
        list of list of int
            For each column that has, its new bits in the order of `Encoding.thermometer_first`.
        """
        self.notice(values)
        grown = []
        for name, column in sorted(values.items()):
            if any([self.pending.add(name, value) for value in column]):
                grown += self._admit(name)
        return grown

    def _admit(self, name: str) -> list[list[int]]:
        assert self.encoding is not None
        encoder = ReachingEncoder().fit(Lists({name: self.pending.take(name)}))
        grown = self.encoding.with_columns(encoder)
        if grown.n_bits > MAX_BITS:
            return []  # no Program could hold it
        order = list(grown.thermometer_first(self.encoding.n_bits))
        self.use(grown)
        return [order]
