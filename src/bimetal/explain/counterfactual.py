"""What would have changed the decision: the nearest rows on the grid of bins that reach a score.

Counterfactual explanations after Wachter, Mittelstadt & Russell (2018, arXiv:1711.00399), with changes
that people can make after Ustun, Spangher & Liu (2019, arXiv:1809.06514). The grid is finite and the
points are whole numbers, so that "nearest" can be proved, and each answer is true of the very Program.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import listed
from bimetal.errors import DataError
from bimetal.explain.advice import Applicant, Change, Counterfactual, worded
from bimetal.explain.case import Case
from bimetal.explain.form import PointsForm
from bimetal.explain.grid import Bin, ColumnBins
from bimetal.explain.interactions import Interactions
from bimetal.explain.nearest import Choice, Nearest

__all__ = ["BUDGET", "Answer", "Change", "Counterfactual", "counterfactuals"]

MAX_CHANGES = 3
BUDGET = 500_000
"""Rows that one search asks about at most: beyond, it says that nothing is proved."""

Way = Literal["up", "down"]


@dataclass(frozen=True)
class Answer:
    """What `counterfactuals` found.

    Attributes
    ----------
    counterfactuals : tuple of Counterfactual
        Fewest changes first, then least cost. Each has another set of columns, and none contains
        that of another. Empty when the target is reached already, or cannot be.
    is_proved_nearest : bool
        Whether nothing nearer exists (and, when there are fewer than asked for, nothing else).
    n_tried : int
        Rows that were asked about; all others were ruled out by bounds.
    points, target : int
        What the applicant has, and what was to be reached.
    """

    counterfactuals: tuple[Counterfactual, ...]
    is_proved_nearest: bool
    n_tried: int
    points: int
    target: int


def counterfactuals(
    form: PointsForm,
    row: NDArray[np.float32],
    target_points: int,
    *,
    immutable: Iterable[str] = (),
    one_way: Mapping[str, Way] | None = None,
    n: int = 3,
    max_changes: int = MAX_CHANGES,
    weights: Mapping[str, float] | None = None,
    allow_missing: bool = False,
    budget: int = BUDGET,
) -> Answer:
    """Find the nearest changes with which a row would have reached a score.

    Nearest: fewest columns; then the least sum of steps between ordered bins, each divided by the
    number of steps of its column and times its weight (another category, or leaving "missing", counts
    1); then the first columns, then the first bins.

    Parameters
    ----------
    form : PointsForm
        See `form_of`.
    row : numpy.ndarray
        float32 (n_columns,): categories as their codes, missing as NaN.
    target_points : int
        Points to reach.
    immutable : iterable of str
        Columns that stay.
    one_way : mapping of str to {"up", "down"}
        Columns that only rise, or fall. From "missing" they do not move.
    n : int
        Answers at most.
    max_changes : {1, 2, 3}
        Columns at most.
    weights : mapping of str to float
        How dear a full sweep of a column is; 1 for those not named.
    allow_missing : bool
        Whether a column may become missing, another category or a special code.
    budget : int
        Rows to ask about at most.

    Raises
    ------
    DataError
        When an option names a column that is not there or has no order, or does not fit.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> from bimetal.explain.form import form_of
    >>> from bimetal.program import Encode, Link, Program, Readout
    >>> no = np.array([], "f4")
    >>> encode = Encode(np.array([0, 0], "u2"), np.array([0, 0], "u1"), np.array([15_500, 40_000], "f4"),
    ...                 no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[40, 10]], "i2"), np.array([500], "i4"))
    >>> link = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> form = form_of(Program((Column("income"),), (encode, points, link)))
    >>> answer = counterfactuals(form, np.array([12_000], "f4"), 530)
    >>> answer.counterfactuals[0].changes[0].text, answer.counterfactuals[0].points
    ('income: from 12,000 to 15,500 or more', 540)
    """
    row, fixed = np.asarray(row, np.float32), tuple(immutable)
    _check(form, row, n, max_changes, fixed, one_way or {}, weights or {})
    desk = _desk(form)
    points = int(desk.ask(row[None])[0])
    if points >= target_points:
        return Answer((), True, 0, points, target_points)
    at = desk.bins_of(row)
    choices = {
        c.index: _choice(
            c,
            at[c.index],
            (one_way or {}).get(c.name),
            (weights or {}).get(c.name, 1.0),
            allow_missing,
        )
        for c in form.columns
        if c.name not in fixed
    }
    search = Nearest(
        desk.ask,
        row,
        list(choices.values()),
        target_points - points,
        lambda size: desk.interactions.at(np.array(at, np.intp), size),
        budget,
    )
    found = search.find(n, max_changes)
    who = Applicant(
        row, at, form.columns, lambda rows: bool((desk.ask(rows) >= target_points).all())
    )
    shown = tuple(worded(who, choices, f) for f in found)
    return Answer(shown, search.is_complete, search.n_tried, points, target_points)


class _Desk:
    """What all searches of one Program share."""

    def __init__(self, form: PointsForm) -> None:
        case = Case.of(form.program)
        n_bins = max(len(c.bins) for c in form.columns)
        self.form, self.ask = form, case.ask
        self.interactions = Interactions(case.boxes, len(form.columns), n_bins, case.slack)

    def bins_of(self, row: NDArray[np.float32]) -> tuple[int, ...]:
        """Return the bin of each column of a raw row."""
        bits = self.form.bits(row[None])
        return tuple(
            _bin_at(c, value, int(c.bin_of(bits)[0]))
            for c, value in zip(self.form.columns, row.tolist(), strict=True)
        )


@lru_cache(maxsize=8)
def _desk(form: PointsForm) -> _Desk:
    return _Desk(form)


def _check(
    form: PointsForm,
    row: NDArray[np.float32],
    n: int,
    max_changes: int,
    immutable: Sequence[str],
    one_way: Mapping[str, Way],
    weights: Mapping[str, float],
) -> None:
    columns = {c.name: c for c in form.columns}
    if row.shape != (len(columns),):
        raise DataError(f"one row of {len(columns)} numbers expected, got shape {row.shape}")
    if n < 1 or not 1 <= max_changes <= MAX_CHANGES:
        raise DataError(
            f"n of at least 1 and max_changes of 1 to {MAX_CHANGES} expected, got {n} and {max_changes}"
        )
    named = {"immutable": immutable, "one_way": one_way, "weights": weights}
    for option, names in named.items():
        unknown = [name for name in names if name not in columns]
        if unknown:
            raise DataError(
                f"{option} names '{unknown[0]}', but columns are {listed(list(columns))}"
            )
    for name, way in one_way.items():
        if way not in ("up", "down") or not columns[name].n_ordered:
            raise DataError(
                f"one_way of '{name}': 'up' or 'down' of an ordered column expected, got {way!r}"
            )
    for name, weight in weights.items():
        if not 0 < weight < np.inf:
            raise DataError(f"the weight of '{name}' is a number above 0, got {weight!r}")


def _bin_at(column: ColumnBins, value: float, alike: int) -> int:
    """Return the bin of a raw value: where several have the same bits as `alike`, the one that names it."""
    for k, b in enumerate(column.bins):
        is_named = (
            np.isnan(value) if b.kind == "missing" else b.kind != "range" and b.value == value
        )
        if is_named:
            return k
    return alike


def _choice(
    column: ColumnBins, at: int, way: Way | None, weight: float, allow_missing: bool
) -> Choice:
    """Return the bins that a column may move to, nearest first."""
    n_steps = max(1, column.n_ordered - 1)
    found = []
    for k, b in enumerate(column.bins):
        is_step = max(at, k) < column.n_ordered
        is_plain = b.kind in ("range", "category")
        if k == at or not (is_plain or allow_missing):
            continue
        if way is not None and not (is_step and (k > at) == (way == "up")):
            continue
        cost = weight * (abs(k - at) / n_steps if is_step else 1.0)
        is_from_above = is_step and k < at and b.kind == "range"
        found.append((cost, k, _top(column, b) if is_from_above else b.value))
    found.sort(key=lambda f: f[:2])
    return Choice(
        column.index,
        np.array([k for _, k, _ in found], np.intp),
        np.array([value for *_, value in found], np.float32),
        np.array([cost for cost, _, _ in found], np.float64),
    )


def _top(column: ColumnBins, b: Bin) -> float:
    """Return the largest float32 of a range that is no special code."""
    specials = {other.value for other in column.bins if other.kind == "special"}
    value = np.nextafter(np.float32(b.high), np.float32(-np.inf))
    while float(value) in specials:
        value = np.nextafter(value, np.float32(-np.inf))
    return float(value)
