"""What ``bimetal credit train`` learns from: a table, its split, dates as numbers, inferred rejects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.cli.splits import at_random
from bimetal.errors import BimetalError, ColumnError, DataError
from bimetal.finance.credit import reject
from bimetal.finance.credit.dates import DateSpec, apply_dates, to_days
from bimetal.finance.credit.reject_bands import Inferred
from bimetal.finance.credit.splits import known_dates, mature_at, split_in_time
from bimetal.finance.credit.validation.case import column_of, known_outcomes
from bimetal.tables import read_table

__all__ = ["Lesson", "Window", "dates_of", "read_lesson", "trends_of", "with_rejects"]

WAYS = {"up": 1, "down": -1}
_UNITS = ("days", "months", "years")

Split = tuple[NDArray[np.intp], NDArray[np.intp], str]
"""Rows to learn from, rows held out, and how they were told apart."""


@dataclass(frozen=True)
class Window:
    """How rows are held out: by time where `column` names one, else at random.

    Attributes
    ----------
    column : str or None
        When each application was decided.
    cut, as_of : str or None
        First day out of time; when outcomes were looked at.
    months : int
        Until an outcome counts.
    share : float
        Held out; 0 holds nothing out.

    Raises
    ------
    DataError
        When something is told of a time that no column has.
    """

    column: str | None
    cut: str | None
    as_of: str | None
    months: int
    share: float

    def __post_init__(self) -> None:
        if self.column is None and (self.cut or self.months):
            raise DataError(
                "--out-of-time and --window-months speak of the day of each application: name its "
                "column with --time"
            )


@dataclass(frozen=True, eq=False)
class Lesson:
    """Rows to learn from and rows held out.

    Attributes
    ----------
    table : pyarrow.Table
        Columns to learn from, and those that only describe.
    names : list of str
        Columns to learn from.
    y : numpy.ndarray
        int64 (n_rows,): 1 for bad; −1 where it is not known, in rows of neither part.
    classes : tuple
        Labels of good and bad.
    train, held : numpy.ndarray
        Row numbers; `held` is empty where nothing is held out.
    split : str
        In words.
    moments : numpy.ndarray or None
        When each row was decided.
    """

    table: Any
    names: list[str]
    y: NDArray[np.int64]
    classes: tuple[Any, Any]
    train: NDArray[np.intp]
    held: NDArray[np.intp]
    split: str
    moments: NDArray[Any] | None

    def rows(self, which: NDArray[np.intp]) -> tuple[Any, NDArray[np.int64]]:
        """Return the columns to learn from and the outcomes of some rows."""
        return self.table.select(self.names).take(which), self.y[which]

    def whole(self, which: NDArray[np.intp]) -> tuple[Any, NDArray[np.int64]]:
        """Return all columns and the outcomes of some rows."""
        return self.table.take(which), self.y[which]


def read_lesson(
    path: Path,
    target: str,
    *,
    bad: str | None,
    drop: Sequence[str],
    dates: Sequence[DateSpec],
    missing: Sequence[str],
    window: Window,
    seed: int,
) -> Lesson:
    """Read a table of applications and split it.

    Raises
    ------
    ColumnError
        When a column named is not there, or none is left to learn from.
    DataError
        When the target has no two outcomes, one of them is missing in a part, an outcome is not
        known, a date lies in the future, or a part comes out empty.
    """
    table = read_table(path, missing)
    outcomes = column_of(table, target)
    classes = _classes(outcomes, bad, target)
    known, labels = known_outcomes(outcomes, classes, table.num_rows)
    y = np.full(table.num_rows, -1, np.int64)
    y[known] = labels
    moments = _moments(table, window.column)
    train, held, said = _split(moments, y, window, seed)
    _require_outcomes(y, {"to learn from": train, "held out": held}, target)
    for name in drop:
        column_of(table, name)
    if dates:
        table = apply_dates(table, dates, window.as_of)
    leave = {target, window.column, *drop}
    names = [name for name in table.column_names if name not in leave]
    if not names:
        raise ColumnError(f"no column of '{path}' is left to learn from besides {sorted(drop)}")
    return Lesson(table, names, y, classes, train, held, said, moments)


def with_rejects(
    lesson: Lesson,
    path: Path,
    method: str,
    prudence: float,
    *,
    dates: Sequence[DateSpec],
    as_of: str | None,
    missing: Sequence[str],
    seed: int,
) -> Inferred:
    """Return the training rows with what is assumed of applicants who were declined.

    Raises
    ------
    ColumnError
        When the rejects lack a column.
    DataError
        When the method is unknown, or the assumptions do not fit.
    """
    import pyarrow as pa

    methods: dict[str, Callable[..., Inferred]] = {f.__name__: f for f in reject.METHODS}
    if method not in methods:
        raise DataError(f"--reject-method is one of {', '.join(methods)}; got {method!r}")
    declined = _declined(path, lesson.names, dates, as_of, missing)
    accepted, y = lesson.rows(lesson.train)
    try:
        both = pa.concat_tables([accepted, declined], promote_options="permissive")
    except pa.ArrowException as error:
        raise ColumnError(
            f"'{path}': columns of the same types as of the accepted expected; {error}"
        ) from error
    is_accepted = np.arange(both.num_rows) < accepted.num_rows
    outcomes = np.r_[y.astype(float), np.full(declined.num_rows, np.nan)]
    options: dict[str, Any] = {} if method == "augment" else {"prudence": prudence}
    return methods[method](both, outcomes, is_accepted, seed=seed, **options)


def _declined(
    path: Path,
    names: Sequence[str],
    dates: Sequence[DateSpec],
    as_of: str | None,
    missing: Sequence[str],
) -> Any:
    declined = read_table(path, missing)
    try:
        if dates:
            declined = apply_dates(declined, dates, as_of)
        for name in names:
            column_of(declined, name)
    except BimetalError as error:
        error.add_note(f"in '{path}'")
        raise
    return declined.select(list(names))


def dates_of(given: Sequence[str], as_of_column: str | None) -> tuple[DateSpec, ...]:
    """Read ``birth_date=years:age``: a column of dates, the unit, and the number it becomes.

    Raises
    ------
    DataError
        When the text is of another form.

    Examples
    --------
    >>> dates_of(["employed_since=months"], None)[0].name
    'employed_since_months'
    """
    found = []
    for text in given:
        column, _, rest = text.partition("=")
        unit, _, name = rest.partition(":")
        if not column or unit not in _UNITS:
            raise DataError(
                f"--date expects column=unit[:name] such as birth_date=years:age, the unit one of "
                f"{', '.join(_UNITS)}; got {text!r}"
            )
        spec: Any = unit
        found.append(DateSpec(column, name or f"{column}_{unit}", spec, as_of_column))
    return tuple(found)


def trends_of(given: Sequence[str]) -> str | Mapping[str, int] | None:
    """Read ``income=up``, "auto" or "none".

    Raises
    ------
    DataError
        When the text is of another form.

    Examples
    --------
    >>> trends_of(["income=up", "arrears=down"]), trends_of(["auto"]), trends_of(["none"])
    ({'income': 1, 'arrears': -1}, 'auto', None)
    """
    if not given or list(given) == ["auto"]:
        return "auto"
    if list(given) == ["none"]:
        return None
    found = {}
    for text in given:
        name, _, way = text.rpartition("=")
        if not name or way not in WAYS:
            raise DataError(f"--trend expects auto, none, or column=up|down; got {text!r}")
        found[name] = WAYS[way]
    return found


def _classes(outcomes: NDArray[Any], bad: str | None, target: str) -> tuple[Any, Any]:
    labels = [label for label in dict.fromkeys(outcomes.tolist()) if label is not None]
    labels = [label for label in labels if label == label]
    if all(isinstance(label, float) and label.is_integer() for label in labels):
        labels = [int(label) for label in labels]  # whole numbers beside empty cells
    if len(labels) != 2:
        raise DataError(
            f"target '{target}': two outcomes, good and bad, expected, got {len(labels)}: "
            f"{labels[:5]!r:.120}"
        )
    low, high = sorted(labels)
    if bad is None or bad == str(high):
        return low, high
    if bad != str(low):
        raise DataError(f"--bad is one of the outcomes {[str(low), str(high)]}, got {bad!r}")
    return high, low


def _split(moments: NDArray[Any] | None, y: NDArray[np.int64], window: Window, seed: int) -> Split:
    if not window.share:
        return _all(moments, y, window)
    if moments is None:
        train, held = at_random(y, window.share, seed, is_stratified=True)
        return train, held, f"a random {window.share:.0%} of goods and of bads held out"
    found = split_in_time(
        moments,
        cut=window.cut,
        share=window.share,
        as_of=window.as_of,
        window_months=window.months,
    )
    said = f"out of time from {found.cut}"
    return found.train, found.out_of_time, said + _of_young(len(found.immature))


def _all(moments: NDArray[Any] | None, y: NDArray[np.int64], window: Window) -> Split:
    """Take every row whose outcome counts."""
    rows = np.arange(len(y))
    if moments is not None:
        days = known_dates(moments, window.as_of)
        seen = days.max() if window.as_of is None else to_days("--as-of", [window.as_of])[0]
        rows = np.flatnonzero(mature_at(days, seen, window.months))
        if not len(rows):
            raise DataError(
                "no row has had its whole performance window; state a later --as-of, or a shorter "
                "--window-months"
            )
    return rows, np.zeros(0, np.intp), "nothing held out" + _of_young(len(y) - len(rows))


def _of_young(n: int) -> str:
    return f"; {n:,} rows left out whose outcome is not known yet" if n else ""


def _moments(table: Any, column: str | None) -> NDArray[Any] | None:
    return None if column is None else to_days(column, column_of(table, column))


def _require_outcomes(
    y: NDArray[np.int64], parts: Mapping[str, NDArray[np.intp]], target: str
) -> None:
    for part, rows in parts.items():
        unknown = rows[y[rows] < 0]
        if len(unknown):
            raise DataError(
                f"target '{target}': {len(unknown):,} rows {part} have no outcome, the first is row "
                f"{unknown[0]}; leave them out, or tell with --time, --as-of and --window-months "
                "which are too young to have one"
            )
        n_bad = int(y[rows].sum())
        if len(rows) and min(n_bad, len(rows) - n_bad) < 2:
            raise DataError(
                f"target '{target}': two good and two bad rows {part} at least expected, got "
                f"{len(rows) - n_bad} good and {n_bad} bad; hold out another share, or move the cut"
            )
