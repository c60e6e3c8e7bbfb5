"""From tables to tasks of bits: one encoder, fitted on what was known when the first task began.

A sequence of tables is cut into pieces, each piece into training and test rows, and every row is turned
into bits by cut-points of the first piece's training rows. So no bit of an early task depends on a late
row. Later columns may drift beyond the cut-points; that is what happens to a scorecard in use, too.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.sequence import Sequence as TaskSequence
from bimetal.continual.sequence import Task
from bimetal.continual.sequences.maker import Split, drawn_order
from bimetal.datasets.files import FOLDER_VARIABLE, find, how_to_get, read_folder
from bimetal.encoders import QuantileEncoder
from bimetal.errors import ColumnError, DataError

__all__ = [
    "NO_LOOK_AHEAD",
    "Piece",
    "Splitter",
    "at_random",
    "in_folder",
    "in_time",
    "read_table",
    "require_columns",
    "table_sequence",
]

Indices = NDArray[np.intp]
Splitter = Callable[[NDArray[np.int64]], tuple[Indices, Indices]]
"""Classes of rows in their order → places of training rows and of test rows."""

TEST_SHARE = 0.3
LEVELS = 16
NO_LOOK_AHEAD = (
    "Cut-points (16 a column) are those of the first task's training rows; no later row has a say."
)


@dataclass(frozen=True, eq=False)
class Piece:
    """Rows that become one task.

    Attributes
    ----------
    name : str
        Of the task.
    table : frame or array
        What `QuantileEncoder` reads; a pandas table or float array of n_rows rows.
    y : numpy.ndarray
        int64 (n_rows,), 0 or 1.
    """

    name: str
    table: Any
    y: NDArray[np.int64]


def in_time(gap: int = 0) -> Splitter:
    """Return a splitter that tests on the later 30 % of the rows, after a gap that nobody uses.

    Parameters
    ----------
    gap : int, default 0
        Rows left out between the two, for outcomes that reach into the rows after them.

    Examples
    --------
    >>> train, test = in_time(gap=1)(np.zeros(10, np.int64))
    >>> train.tolist(), test.tolist()
    ([0, 1, 2, 3, 4, 5], [7, 8, 9])
    """

    def split(y: NDArray[np.int64]) -> tuple[Indices, Indices]:
        cut = len(y) - round(TEST_SHARE * len(y))
        return np.arange(max(cut - gap, 0)), np.arange(cut, len(y))

    return split


def at_random(*key: object) -> Splitter:
    """Return a splitter that draws 30 % of each class by a key, for rows that have no time.

    Examples
    --------
    >>> train, test = at_random("example", 0)(np.repeat([0, 1], 10))
    >>> len(train), len(test)
    (14, 6)
    """

    def split(y: NDArray[np.int64]) -> tuple[Indices, Indices]:
        is_test = np.zeros(len(y), bool)
        for label in (0, 1):
            rows = np.flatnonzero(y == label)
            rows = rows[drawn_order(len(rows), *key, label)]
            is_test[rows[: round(TEST_SHARE * len(rows))]] = True
        return np.flatnonzero(~is_test), np.flatnonzero(is_test)

    return split


def table_sequence(
    name: str,
    title: str,
    pieces: Sequence[Piece],
    splitter: Callable[[int], Splitter],
    *,
    split: Split = "test",
    n_tasks: int | None = None,
    n_rows: int | None = None,
    note: str = "",
    metric: Literal["accuracy", "auc"] = "auc",
    transform: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]] | None = None,
    special_codes: Mapping[str, Sequence[float]] | None = None,
) -> TaskSequence:
    """Return the sequence whose tasks are these pieces, as bits.

    Parameters
    ----------
    name, title, note, metric
        As in `bimetal.continual.sequence.Sequence`.
    pieces : sequence of Piece
        In the order of tasks.
    splitter : callable
        Number of a task → its `Splitter`.
    split : {"test", "validation"}
        With "validation" the test rows are put away, and part of the training rows takes their place.
    n_tasks, n_rows : int, optional
        The first tasks only; the first training rows of each only.
    transform : callable, optional
        Bits of a piece and the number of its task → bits (a permutation, say).
    special_codes : mapping of str to sequence of float, optional
        As of `QuantileEncoder`.

    Raises
    ------
    DataError
        When there are fewer pieces than asked for, or a part of one lacks a class.
    """
    kept = list(pieces[:n_tasks])
    if n_tasks is not None and n_tasks > len(kept):
        raise DataError(f"{name} has 1 to {len(kept)} tasks here, not {n_tasks}")
    parts = [_parts(piece, splitter(i), split, n_rows) for i, piece in enumerate(kept)]
    encoder = QuantileEncoder(
        max_bits_per_column=LEVELS, missing="always", special_codes=special_codes
    )
    encoder.fit(_rows(kept[0].table, parts[0][0]))

    def make(number: int) -> Task:
        piece, (train, test) = kept[number], parts[number]
        bits = encoder.transform(piece.table).astype(np.uint8)
        bits = bits if transform is None else transform(bits, number)
        return Task(piece.name, bits[train], piece.y[train], bits[test], piece.y[test])

    return TaskSequence(
        name=name, title=title, n_tasks=len(kept), n_in=encoder.n_bits_, n_classes=2, scenario="domain",
        make=make, note=f"{note} {NO_LOOK_AHEAD}".strip(), metric=metric,
    )  # fmt: skip


def _parts(
    piece: Piece, splitter: Splitter, split: Split, n_rows: int | None
) -> tuple[Indices, Indices]:
    train, test = splitter(piece.y)
    if split == "validation":
        inner, held_out = splitter(piece.y[train])
        train, test = train[inner], train[held_out]
    train = train[:n_rows]
    for rows, what in ((train, "training"), (test, "test")):
        if len(np.unique(piece.y[rows])) < 2:
            raise DataError(
                f"the {len(rows)} {what} rows of task {piece.name!r} are all of one class; "
                "take more rows or fewer tasks"
            )
    return train, test


def _rows(table: Any, places: Indices) -> Any:
    return table.iloc[places] if hasattr(table, "iloc") else table[places]


def in_folder(name: str, file: str) -> Path | None:
    """Return the path of a file in the folder that ``BIMETAL_DATA`` names, or None."""
    folder = os.environ.get(FOLDER_VARIABLE)
    path = Path(folder or ".") / name / file
    return path if folder and path.is_file() else None


def read_table(name: str, columns: tuple[str, ...], page: str) -> Any:
    """Return a pandas table of the folder.

    Raises
    ------
    DataError
        When it is not there; the message tells where to get it.
    ColumnError
        When it lacks one of the columns.
    """
    path = find(name)
    if path is None:
        file = f"{name}/{name}.parquet (or .csv)"
        raise DataError(how_to_get(name, f"there is no {file} in the folder", page, file))
    table = read_folder(path)
    require_columns(table, columns, path)
    return table


def require_columns(table: Any, columns: tuple[str, ...], path: Path) -> None:
    """Raise a `ColumnError` if a table that was read from `path` lacks one of the columns."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        dots = " ..." if len(columns) > 6 else ""
        raise ColumnError(
            f"{path} should have the columns {', '.join(columns[:6])}{dots}; missing: "
            f"{', '.join(missing[:6])}; got {list(table.columns)[:8]}"
        )
