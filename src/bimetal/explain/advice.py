"""How a counterfactual reads: "income: from 12,000 to 15,500 or more", and only where that is true."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.grid import Bin, ColumnBins
from bimetal.explain.nearest import Choice, Found

__all__ = ["Applicant", "Change", "Counterfactual", "worded"]

MAX_BEYOND = 4096
"""Combinations of bins beyond the nearest ones that are looked at for the words "or more"."""


@dataclass(frozen=True)
class Change:
    """One column, from what it is to what it would have to be.

    Attributes
    ----------
    column : str
        Its name.
    before, after : str
        The bins' labels: "10000 to 15500".
    own, value : float or None
        The applicant's raw value, and the nearest to it in the bin `after`. None is missing.
    text : str
        "income: from 12,000 to 15,500 or more". The open end is only said where all bins further on
        reach the target, too, together with the other changes at or beyond theirs.
    """

    column: str
    before: str
    after: str
    own: float | None
    value: float | None
    text: str


@dataclass(frozen=True)
class Counterfactual:
    """Changes that together reach the target.

    Attributes
    ----------
    changes : tuple of Change
        In the order of the columns.
    points : int
        What the Program gives then.
    cost : float
        Steps over bins, as shares of the ordered bins of a column and weighted; a category is 1.
    """

    changes: tuple[Change, ...]
    points: int
    cost: float


@dataclass(frozen=True, eq=False)
class Applicant:
    """Whom a search is for.

    Attributes
    ----------
    row : numpy.ndarray
        float32 (n_columns,).
    bins : tuple of int
        Where it is, column by column.
    columns : tuple of ColumnBins
        All columns.
    reaches : callable
        Raw rows → whether all of them reach the target.
    """

    row: NDArray[np.float32]
    bins: tuple[int, ...]
    columns: tuple[ColumnBins, ...]
    reaches: Callable[[NDArray[np.float32]], bool]


def worded(who: Applicant, choices: Mapping[int, Choice], found: Found) -> Counterfactual:
    """Put what was found into words."""
    columns = [who.columns[j] for j in found.columns]
    moved = [int(choices[j].bins[k]) for j, k in zip(found.columns, found.picks, strict=True)]
    is_open = _reach_beyond(who, columns, moved)
    changes = []
    for c, k, pick in zip(columns, moved, found.picks, strict=True):
        at, own = who.bins[c.index], float(who.row[c.index])
        value, after = float(choices[c.index].values[pick]), c.bins[k]
        goal = _open_end(after, k > at) if is_open and _is_step(c, at, k) else _goal(after)
        before = _own_label(c, at, own)
        text = f"{c.name}: from {_number(own) if c.bins[at].kind == 'range' else before} to {goal}"
        changes.append(Change(c.name, before, after.label, _or_none(own), _or_none(value), text))
    return Counterfactual(tuple(changes), found.points, found.cost)


def _own_label(column: ColumnBins, at: int, own: float) -> str:
    """Return the label of the applicant's bin, or the very category where the bin has several."""
    categories = column.column.categories
    return str(categories[int(own)]) if 0 <= own < len(categories) else column.bins[at].label


def _is_step(column: ColumnBins, at: int, to: int) -> bool:
    return max(at, to) < column.n_ordered and column.bins[to].kind == "range"


def _reach_beyond(who: Applicant, columns: Sequence[ColumnBins], moved: Sequence[int]) -> bool:
    """Tell whether going further in the same directions, in any combination, reaches the target too."""
    ways = []
    for c, k in zip(columns, moved, strict=True):
        at = who.bins[c.index]
        further = (range(k, c.n_ordered) if k > at else range(k + 1)) if _is_step(c, at, k) else [k]
        ways.append([c.bins[b].value for b in further])
    if prod(map(len, ways)) > MAX_BEYOND:
        return False
    rows = np.repeat(who.row[None], prod(map(len, ways)), axis=0)
    rows[:, [c.index for c in columns]] = list(product(*ways))
    return who.reaches(rows)


def _number(value: float) -> str:
    """Show a float32 with as many digits as tell it from its neighbours, and commas at thousands."""
    text = str(np.float32(value)).removesuffix(".0")
    whole, dot, rest = text.partition(".")
    is_plain = whole.lstrip("-").isdigit() and "e" not in rest
    return f"{int(whole):,}{dot}{rest}" if is_plain and whole != "-0" else text


def _open_end(b: Bin, is_up: bool) -> str:
    return f"{_number(b.low)} or more" if is_up else f"below {_number(b.high)}"


def _goal(b: Bin) -> str:
    if b.kind != "range" or not np.isfinite([b.low, b.high]).any():
        return b.label
    if np.isinf(b.low) or np.isinf(b.high):
        return _open_end(b, np.isinf(b.high))
    return f"at least {_number(b.low)} and below {_number(b.high)}"


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
