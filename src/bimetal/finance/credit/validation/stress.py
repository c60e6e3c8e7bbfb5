"""Stress of a score: shocks that the user states on raw values, and what scores and decisions do.

"income=-20%" scales, "rate=+2" adds, "housing=rent" sets a category. The model answers each changed
row anew, exactly; missing values and special codes are not numbers, and no shock moves them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal import metrics
from bimetal.columns.column import Column, listed
from bimetal.errors import ColumnError, DataError
from bimetal.explain.grid import encode_of, has_missing_bit
from bimetal.finance.credit.model import Assessment, CreditModel

__all__ = [
    "Spread",
    "Stress",
    "StressResult",
    "auc_of_points",
    "parse_stress",
    "stressed",
    "stresses_of",
]

Rows = NDArray[np.float32]
SHOCK = re.compile(r"^(?P<sign>[+-]|\*)?(?P<number>\d+(\.\d+)?)(?P<percent>%)?$")


@dataclass(frozen=True)
class Stress:
    """A named shock.

    Attributes
    ----------
    name : str
        As it was stated.
    shocks : tuple of (str, str, float or str)
        Column, kind ("times", "plus", "set", "category", "missing") and by what.
    """

    name: str
    shocks: tuple[tuple[str, str, float | str], ...]


@dataclass(frozen=True)
class Spread:
    """Scores and decisions of one state of the rows."""

    mean_score: float
    quantiles: tuple[float, ...]
    mean_probability: float
    approved: float
    auc: float | None


@dataclass(frozen=True)
class StressResult:
    """Before and after a shock.

    Attributes
    ----------
    name : str
    n, n_changed : int
        Rows, and those whose raw values changed.
    before, after : Spread
        Quantiles are those of 5, 25, 50, 75 and 95 %.
    mean_change : float
        Mean |change| of the score.
    flipped, lost, won : float
        Shares of decisions that become another; that were approvals and are no more; that become so.
    n_beyond_limits : int
        Rows beyond the policy's limits after the shock: a service would refuse them.
    """

    name: str
    n: int
    n_changed: int
    before: Spread
    after: Spread
    mean_change: float
    flipped: float
    lost: float
    won: float
    n_beyond_limits: int


def parse_stress(text: str) -> Stress:
    """Read a shock: ``income=-20%``, several with commas: ``income=-20%,rate=+2``.

    ``+2`` and ``-2`` add, ``+10%`` and ``-20%`` scale, ``*1.5`` multiplies, ``35`` sets, ``missing``
    takes the value away, and other text sets a category.

    Raises
    ------
    DataError
        When the text has another form.

    Examples
    --------
    >>> parse_stress("income=-20%,housing=rent").shocks
    (('income', 'times', 0.8), ('housing', 'category', 'rent'))
    """
    shocks = []
    for part in text.split(","):
        column, equals, given = (s.strip() for s in part.partition("="))
        if not (column and equals and given):
            raise DataError(
                f"a stress reads column=shock such as income=-20%, rate=+2, housing=rent; got {part!r:.80}"
            )
        shocks.append((column, *_shock(given.replace("−", "-"))))
    return Stress(text, tuple(shocks))


def _shock(given: str) -> tuple[str, float | str]:
    found = SHOCK.match(given)
    if found is None:
        return ("missing", 0.0) if given == "missing" else ("category", given)
    number, sign = float(found["number"]), found["sign"]
    signed = -number if sign == "-" else number
    if found["percent"]:
        return "times", 1 + signed / 100 if sign != "*" else number / 100
    kind = {"+": "plus", "-": "plus", "*": "times", None: "set"}[sign]
    return kind, signed


def stressed(
    model: CreditModel, rows: Rows, stress: Stress, y: NDArray[Any] | None = None
) -> StressResult:
    """Apply a shock to raw rows and compare scores and decisions before and after.

    Raises
    ------
    ColumnError
        When a column is not the model's.
    DataError
        When a shock does not fit its column, or the model has no bit for the missing values it makes.
    """
    changed = _shocked(model, rows, stress)
    before, after = model.assess(rows), model.assess(changed)
    was, is_now = before.decision == "approve", after.decision == "approve"
    same = (rows == changed) | (np.isnan(rows) & np.isnan(changed))
    problems = {p.row for p in model.check(changed) if p.kind == "limit"}
    return StressResult(
        stress.name,
        len(rows),
        int((~same.all(axis=1)).sum()),
        _spread(before, y),
        _spread(after, y),
        float(np.abs(after.score - before.score).mean()),
        float((before.decision != after.decision).mean()),
        float((was & ~is_now).mean()),
        float((~was & is_now).mean()),
        len(problems),
    )


def stresses_of(given: Sequence[str | Stress] | Mapping[str, str]) -> tuple[Stress, ...]:
    """Return stresses of texts, or of a mapping from a name to a text; see `parse_stress`."""
    if isinstance(given, Mapping):
        return tuple(replace(parse_stress(text), name=name) for name, text in given.items())
    return tuple(s if isinstance(s, Stress) else parse_stress(s) for s in given)


def auc_of_points(y: NDArray[Any] | None, points: NDArray[np.int64]) -> float | None:
    """Return the AUC of points (higher is better), or None when outcomes are not of both kinds."""
    if y is None or len(np.unique(y)) < 2:
        return None
    return metrics.auc(y, -points)


def _shocked(model: CreditModel, rows: Rows, stress: Stress) -> Rows:
    changed, names = rows.copy(), [c.name for c in model.program.columns]
    op = encode_of(model.program)
    for name, kind, by in stress.shocks:
        if name not in names:
            raise ColumnError(f"stress '{stress.name}': no column '{name}' among {listed(names)}")
        j = names.index(name)
        column, values = model.program.columns[j], changed[:, j].astype(np.float64)
        codes = op.special_value[op.special_column == j]
        if kind == "missing":
            if not has_missing_bit(op, j):
                raise DataError(
                    f"the model has no bit for a missing '{name}': it refuses such rows"
                )
            changed[:, j] = np.nan
        elif (kind == "category") != (column.kind == "category"):
            what = "a category" if column.kind == "category" else "a number"
            raise DataError(f"stress '{stress.name}': '{name}' is {what}, got {by!r:.40}")
        elif kind == "category":
            changed[:, j] = _code(column, str(by))
        else:
            number = float(by)
            new = {"times": values * number, "plus": values + number}.get(kind, 0 * values + number)
            moves = ~np.isnan(values) & ~np.isin(values, codes)
            changed[moves, j] = new[moves].astype(np.float32)
    return changed


def _code(column: Column, name: str) -> float:
    known = [str(c) for c in column.categories]
    if name not in known:
        raise DataError(f"'{column.name}' has the categories {listed(known)}, got {name!r:.40}")
    return float(known.index(name))


def _spread(found: Assessment, y: NDArray[Any] | None) -> Spread:
    quantiles = np.quantile(found.score, [0.05, 0.25, 0.5, 0.75, 0.95])
    return Spread(
        float(found.score.mean()),
        tuple(float(q) for q in quantiles),
        float(found.probability.astype(np.float64).mean()),
        float((found.decision == "approve").mean()),
        auc_of_points(y, found.points),
    )
