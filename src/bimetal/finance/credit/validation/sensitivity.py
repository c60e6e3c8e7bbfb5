"""How far scores and decisions follow each column by itself: moved one bin, dealt out anew, missing.

A shift of one bin is the smallest change that the model can see. Dealing a column out anew among the
rows is permutation importance (Breiman 2001, Machine Learning 45). All of it is counted on the rows of
the validation: the model answers each changed row anew.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.grid import ColumnBins, bins_of, encode_of, has_missing_bit
from bimetal.finance.credit.model import Assessment, CreditModel
from bimetal.finance.credit.validation.stress import auc_of_points

__all__ = ["MissingStress", "Movement", "missing_stress", "movements"]

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Movement:
    """How far the score follows one column.

    Attributes
    ----------
    column : str
    up, down : float or None
        Mean |change| of the score (points as people write them) when each ordered value moves one bin;
        None for columns without an order.
    flipped_up, flipped_down : float or None
        Share of decisions that become another one.
    shuffled : float
        Mean |change| when the column is dealt out anew among the rows.
    flipped_shuffled : float
    auc_drop : float or None
        AUC lost by shuffling; None when outcomes are of one kind.
    n : int
    """

    column: str
    up: float | None
    down: float | None
    flipped_up: float | None
    flipped_down: float | None
    shuffled: float
    flipped_shuffled: float
    auc_drop: float | None
    n: int


@dataclass(frozen=True)
class MissingStress:
    """One column missing in every row.

    Attributes
    ----------
    column : str
    is_refused : bool
        Whether the model has no answer for it (no bit for missing values): then the rest is None.
    mean_change, flipped, approved, auc : float or None
    n : int
    """

    column: str
    is_refused: bool
    mean_change: float | None
    flipped: float | None
    approved: float | None
    auc: float | None
    n: int


def movements(
    model: CreditModel, rows: Rows, y: NDArray[Any] | None = None, seed: int = 0
) -> tuple[Movement, ...]:
    """Move each column by itself, and tell how score and decisions follow; the most moving first."""
    rng, base = np.random.default_rng(seed), model.assess(rows)
    base_auc = auc_of_points(y, base.points)
    found = []
    for j, bins in enumerate(bins_of(model.program)):
        moved = [_compare(model, base, _one_bin(rows, bins, step)) for step in (1, -1)]
        steps = moved if bins.n_ordered > 1 else [(None, None)] * 2
        dealt = rows.copy()
        dealt[:, j] = rng.permutation(dealt[:, j])
        change, flipped = _compare(model, base, dealt)
        auc = auc_of_points(y, model.points(dealt)) if base_auc is not None else None
        drop = None if base_auc is None or auc is None else base_auc - auc
        (up, flip_up), (down, flip_down) = steps
        found.append(
            Movement(bins.name, up, down, flip_up, flip_down, change, flipped, drop, len(rows))
        )
    return tuple(sorted(found, key=lambda m: -m.shuffled))


def missing_stress(
    model: CreditModel, rows: Rows, y: NDArray[Any] | None = None
) -> tuple[MissingStress, ...]:
    """Take each column away from all rows; the model refuses where it has no bit for that."""
    base, op = model.assess(rows), encode_of(model.program)
    found = []
    for j, column in enumerate(model.program.columns):
        if not has_missing_bit(op, j):
            found.append(MissingStress(column.name, True, None, None, None, None, len(rows)))
            continue
        empty = rows.copy()
        empty[:, j] = np.nan
        after = model.assess(empty)
        found.append(
            MissingStress(
                column.name,
                False,
                float(np.abs(after.score - base.score).mean()),
                float((after.decision != base.decision).mean()),
                float((after.decision == "approve").mean()),
                auc_of_points(y, after.points),
                len(rows),
            )
        )
    return tuple(found)


def _one_bin(rows: Rows, bins: ColumnBins, step: int) -> Rows:
    """Move ordered values one bin; those at the end, and unordered ones, stay."""
    moved, values = rows.copy(), rows[:, bins.index]
    ordered = bins.bins[: bins.n_ordered]
    stand_ins = np.array([b.value for b in ordered], np.float32)
    if bins.column.kind == "category":
        place, moves = values.astype(np.float64), (values >= 0) & (values < bins.n_ordered)
    else:
        place = np.searchsorted([b.high for b in ordered[:-1]], values, side="right").astype(float)
        codes = np.array(
            [b.value for b in bins.bins[bins.n_ordered :] if b.kind == "special"], np.float32
        )
        moves = ~np.isnan(values) & ~np.isin(values, codes)
    target = np.where(moves, place, 0).astype(np.intp) + step
    moves &= (target >= 0) & (target < len(ordered))
    moved[moves, bins.index] = stand_ins[target[moves]]
    return moved


def _compare(model: CreditModel, base: Assessment, rows: Rows) -> tuple[float, float]:
    after = model.assess(rows)
    change = float(np.abs(after.score - base.score).mean())
    return change, float((after.decision != base.decision).mean())
