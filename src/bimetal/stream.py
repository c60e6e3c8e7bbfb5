"""Stream: one row that changes a little at a time, as on every tick of a market.

An `Engine` never changes; a Stream is the state beside it: the row as it stands, every bit made from
it, the counts of every binary neuron, the unmet conditions of every rule, the points. An update
corrects what depends on the columns that changed and stops where nothing changes. The answers are
those of a full pass, bit for bit.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import _engine
from bimetal.columns.column import listed
from bimetal.errors import ColumnError, DataError, ProgramError
from bimetal.ops import TableOp
from bimetal.program import Program

__all__ = ["Changes", "Stream"]

Changes: TypeAlias = Mapping[str | int, float] | tuple[ArrayLike, ArrayLike]


class Stream:
    """A row and its answers, kept up to date. Made by `Engine.stream`.

    One thread at a time may use a Stream; any number of Streams may share an Engine.

    Attributes
    ----------
    update_into : callable
        ``update_into(indices, values, out)`` sets columns, writes the answers into `out` and returns
        None: the fast path. `indices` are the numbers of columns in the raw row, int32, int64 or
        uint16; `values` float32 of the same length; `out` float32 of shape (n_outputs,). All are
        C-contiguous arrays of one axis. Values are taken as `Engine.predict_into` takes them:
        categories as their codes, missing as NaN. Of several values for one column the last counts.
        Raises `DataError` when an array or an index does not fit; then nothing has changed.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> from bimetal.program import Encode, Link, Readout
    >>> from bimetal.runtime import Engine
    >>> no = np.array([], "f4")
    >>> rises = Encode(np.array([0, 1], "u2"), np.array([0, 0], "u1"), np.array([0.5, 7], "f4"),
    ...                no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[20, 3]], "i2"), np.array([600], "i4"))
    >>> score = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> engine = Engine(Program((Column("bid"), Column("volume")), (rises, points, score)))
    >>> stream = engine.stream(np.array([0.1, 9], "f4"))
    >>> stream.answers
    array([603.], dtype=float32)
    >>> stream.update({"bid": 0.6})
    array([623.], dtype=float32)
    """

    update_into: Callable[[NDArray[Any], NDArray[np.float32], NDArray[np.float32]], None]

    def __init__(
        self,
        program: Program,
        core: "_engine.Core | _engine.NetCore",
        row: NDArray[np.float32],
    ) -> None:
        _require_table(program)
        self.program = program
        self._n_columns, self._n_outputs = program.n_columns, program.n_outputs
        self._core = _engine.Stream(core, _checked(row, self._n_columns))
        self.update_into = self._core.update_into()
        self._index = _indices(program)

    def __repr__(self) -> str:
        return f"Stream({self.program.id[:12]})"

    @property
    def row(self) -> NDArray[np.float32]:
        """A copy of the raw row as it stands, float32 of shape (n_columns,)."""
        row = np.empty(self._n_columns, np.float32)
        self._core.copy_row(row)
        return row

    @property
    def answers(self) -> NDArray[np.float32]:
        """A copy of the answers for the row as it stands, float32 of shape (n_outputs,)."""
        answers = np.empty(self._n_outputs, np.float32)
        self._core.copy_answers(answers)
        return answers

    def start(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a whole new row, float32 of shape (n_columns,), and return its answers.

        Raises
        ------
        DataError
            When `row` has another shape or type.
        """
        self._core.start(_checked(row, self._n_columns))
        return self.answers

    def update(self, changed: Changes) -> NDArray[np.float32]:
        """Set the columns that changed and return the answers, exactly those of the full row.

        Parameters
        ----------
        changed : mapping or tuple of two array_like
            ``{column: value}``, a column by its name or its number in the raw row, or
            ``(indices, values)``: whole numbers and float32. Empty is allowed.

        Returns
        -------
        numpy.ndarray
            New array, float32 of shape (n_outputs,). `update_into` saves making it.

        Raises
        ------
        ColumnError
            When a column is unknown.
        DataError
            When indices or values are of the wrong type or number. Whatever is raised, the Stream
            stays as it was.
        """
        indices, values = self._pairs(changed) if isinstance(changed, Mapping) else _arrays(changed)
        out = np.empty(self._n_outputs, np.float32)
        self.update_into(indices, values, out)
        return out

    def _pairs(
        self, changed: Mapping[str | int, float]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        indices = [self._number(column) for column in changed]
        values = [_value(column, value) for column, value in changed.items()]
        return np.array(indices, np.int64), np.array(values, np.float32)

    def _number(self, column: Any) -> int:
        number = self._index.get(column) if isinstance(column, str) else None
        if number is not None:
            return number
        if isinstance(column, str):
            raise ColumnError(
                f"there is no column '{column}' of one number; there are "
                f"{listed(list(self._index))}; numbers of an array go by their place in the row"
            )
        try:
            number = operator.index(column)
        except TypeError:
            raise ColumnError(
                f"a column is a name or a whole number, got {type(column).__name__} {column!r:.80}"
            ) from None
        if not 0 <= number < self._n_columns:
            raise ColumnError(f"columns are numbered 0 to {self._n_columns - 1}, got {number}")
        return number


def _require_table(program: Program) -> None:
    for i, op in enumerate(program.ops):
        if not isinstance(op, TableOp):
            raise ProgramError(
                "streaming is for Programs of Encode, Dense, Rules, Lut, Readout and Link; "
                f"operation {i} is {type(op).__name__}: use Engine.predict_into"
            )


def _indices(program: Program) -> dict[str, int]:
    """Return where each column of one number stands in the raw row."""
    indices, at = {}, 0
    for column in program.columns:
        if column.size == 1:
            indices[column.name] = at
        at += column.size
    return indices


def _checked(row: Any, n_columns: int) -> NDArray[np.float32]:
    x = np.asarray(row)
    if x.dtype != np.float32 or x.shape != (n_columns,):
        raise DataError(
            f"row must be float32 of shape ({n_columns},), got {x.dtype} of shape {x.shape}; "
            f"convert it with numpy.asarray(row, dtype=numpy.float32)"
        )
    return np.ascontiguousarray(x)


def _value(column: Any, value: Any) -> float:
    if not isinstance(value, (str, bytes)):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise DataError(
        f"column {column!r}: a number expected, got {type(value).__name__} {value!r:.80}; "
        f"categories are given as their codes, missing values as NaN"
    )


def _arrays(changed: Any) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    try:
        indices, values = map(np.asarray, changed)
    except (TypeError, ValueError):
        raise DataError(
            f"changed must be a mapping of columns to values, or two arrays (indices, values), "
            f"got {type(changed).__name__}"
        ) from None
    if indices.shape == values.shape == (0,):
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    if indices.dtype.kind not in "iu" or values.dtype != np.float32:
        raise DataError(
            f"indices must be whole numbers and values float32, got {indices.dtype} and "
            f"{values.dtype}"
        )
    if indices.ndim != 1 or indices.shape != values.shape:
        raise DataError(
            f"indices and values must be of one length, got shapes {indices.shape} and "
            f"{values.shape}"
        )
    return indices.astype(np.int64), np.ascontiguousarray(values)
