"""Reading a training table: the target, the time, and the columns to learn from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import listed
from bimetal.errors import ColumnError, DataError
from bimetal.tables import read_table

__all__ = ["MAX_CLASSES", "Lesson", "read_lesson", "suspected_times"]

MAX_CLASSES = 20
"""Whole numbers with more distinct values than this are taken for a regression's target."""
TIME_NAME = re.compile(r"(^|_)(date|datetime|timestamp|vintage|yyyymm)($|_)|^time$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What to learn from a file: a pyarrow table, a target, and the moments of the rows if known."""

    X: Any
    y: NDArray[Any]
    task: str
    time: NDArray[Any] | None


def read_lesson(
    path: Path,
    target: str,
    *,
    drop: Sequence[str],
    time: str | None,
    task: str,
    missing: Sequence[str],
) -> Lesson:
    """Read a file to train on.

    Raises
    ------
    ColumnError
        When the target, the time or a column to drop is not there, or nothing is left to learn from.
    DataError
        When there are no rows, or the target has missing values or does not fit the task.
    """
    table = read_table(path, missing)
    for name in (target, *drop, *([time] if time else [])):
        _require(name, table.column_names)
    if not table.num_rows:
        raise DataError(f"'{path}' has no rows; a model needs some hundreds to learn from")
    y = _target(table.column(target), target)
    leave = {target, time, *drop}
    names = [name for name in table.column_names if name not in leave]
    if not names:
        raise ColumnError(
            f"no column is left to learn from besides {listed(sorted(filter(None, leave)))}"
        )
    moments = _moments(table.column(time), time) if time else None
    return Lesson(table.select(names), y, _task(y, task, target), moments)


def suspected_times(X: Any) -> list[str]:
    """Return the columns that look like a time: dates, text that holds dates, or a name that says so."""
    import pyarrow as pa

    return [
        field.name
        for field in X.schema
        if pa.types.is_temporal(field.type)
        or TIME_NAME.search(field.name)
        or _is_date_text(X.column(field.name), field.type)
    ]


def _is_date_text(column: Any, kind: Any) -> bool:
    import pyarrow as pa

    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    first = next((v for v in column.slice(0, 100).to_pylist() if v), "")
    try:
        datetime.fromisoformat(first)
    except ValueError:
        return False
    return True


def _require(name: str, names: Sequence[str]) -> None:
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ColumnError(f"there is no column '{name}' among {listed(names)}{hint}")


def _target(column: Any, name: str) -> NDArray[Any]:
    import pyarrow as pa

    n_missing = sum(column.is_null(nan_is_null=True).to_pylist())
    if n_missing:
        raise DataError(
            f"the target '{name}' is missing in {n_missing} of {len(column)} rows; "
            "leave these rows out"
        )
    if pa.types.is_temporal(column.type):
        raise DataError(f"the target '{name}' holds times; text, numbers or booleans expected")
    values = np.array(column.to_pylist())
    return np.asarray(values.astype(np.float64) if values.dtype.kind == "O" else values)


def _task(y: NDArray[Any], wanted: str, name: str) -> str:
    if wanted not in ("auto", "classification", "regression"):
        raise DataError(f"--task is auto, classification or regression, got {wanted!r}")
    if wanted == "regression" and y.dtype.kind not in "biuf":
        raise DataError(f"a regression needs numbers as its target, '{name}' holds text")
    if wanted != "auto":
        return wanted
    if y.dtype.kind not in "iuf":
        return "classification"
    is_whole = y.dtype.kind in "iu" or bool((y == np.round(y)).all())
    return "classification" if is_whole and len(np.unique(y)) <= MAX_CLASSES else "regression"


def _moments(column: Any, name: str) -> NDArray[Any]:
    if column.null_count:
        raise DataError(
            f"the time '{name}' is missing in {column.null_count} of {len(column)} rows"
        )
    return np.array(column.to_pylist())
