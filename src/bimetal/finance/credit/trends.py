"""Which columns may be promised to be monotone: given, or found by asking a free model.

A trend is the sign of the change of the *score* when a column rises: +1 for income, −1 for arrears. To
find trends, a model is fitted without any; each row's column is then moved over all its bins, the rest
held (individual conditional expectation: Goldstein et al. 2015). Where nearly all movement goes one way,
a promise costs nearly nothing, and is made; validation has the last word on all of them together.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.columns.column import listed
from bimetal.errors import DataError
from bimetal.estimators.parts import Bits
from bimetal.explain.form import points_program
from bimetal.explain.grid import ColumnBins, bins_of
from bimetal.program import GE, Encode, Program
from bimetal.runtime import Engine

__all__ = ["check_trends", "kept_trends", "signs_of"]

_MOST_ROWS = 400
_LEAST_MOVEMENT = 0.5
"""Score points that a column must move on the mean for a promise to be worth making."""


def check_trends(given: Mapping[str, int], columns: tuple[Column, ...], encode: Encode) -> None:
    """Refuse trends of columns that have no order.

    Raises
    ------
    DataError
        Naming the column.
    """
    names = [column.name for column in columns]
    for name, sign in given.items():
        if name not in names:
            raise DataError(f"trends names '{name}', but the columns are {listed(names)}")
        if sign not in (1, -1):
            raise DataError(f"the trend of '{name}' must be 1 or -1, got {sign!r}")
        mine = encode.column == names.index(name)
        if not (mine & (encode.kind == GE)).any():
            raise DataError(
                f"trends names '{name}', which has no ordered bins; name its order in `ordinal`, "
                "or leave the trend out"
            )


def kept_trends(
    program: Program, rows: NDArray[np.float32], unit: int, most_wrong: float, seed: int = 0
) -> dict[str, int]:
    """Return the trends that a free model nearly keeps, by column name.

    Parameters
    ----------
    program : Program
        A scorecard fitted without trends.
    rows : numpy.ndarray
        float32 (n_rows, n_columns): some of them are drawn.
    unit : int
        Whole numbers in one score point.
    most_wrong : float
        Share of a column's movement that may go the other way.
    """
    rng = np.random.default_rng(seed)
    drawn = rows[rng.permutation(len(rows))[:_MOST_ROWS]]
    engine, found = Engine(points_program(program)), {}
    for column in bins_of(program):
        if column.n_ordered < 2:
            continue
        rise, fall = _movement(engine, column, drawn)
        if rise + fall < _LEAST_MOVEMENT * unit:
            continue
        if min(rise, fall) <= most_wrong * (rise + fall):
            found[column.name] = 1 if rise >= fall else -1
    return found


def signs_of(
    trends: Mapping[str, int], columns: tuple[Column, ...], encode: Encode, data: Bits
) -> tuple[NDArray[np.int8], list[int]]:
    """Return what trends mean for the log-odds of bad: a sign for each bit, and for each feature."""
    bits, features = np.zeros(len(encode.column), np.int8), [0] * len(data.features)
    for f, (first, *_) in enumerate(data.features):
        if encode.kind[first] == GE:
            features[f] = -trends.get(columns[int(encode.column[first])].name, 0)
            bits[list(data.features[f])] = features[f]
    return bits, features


def _movement(engine: Engine, column: ColumnBins, rows: NDArray[np.float32]) -> tuple[float, float]:
    """Return points gained and lost, a row, over all steps of a column, by how many rows live there."""
    values = np.array([b.value for b in column.bins[: column.n_ordered]], np.float32)
    moved = np.repeat(rows, len(values), axis=0)
    moved[:, column.index] = np.tile(values, len(rows))
    points = engine.run(moved)[:, 0].reshape(len(rows), len(values))
    lows = np.array([b.low if b.kind == "range" else b.value for b in column.bins])
    here = np.searchsorted(lows[: column.n_ordered], rows[:, column.index], side="right") - 1
    n = np.bincount(here.clip(0), minlength=len(values))[: len(values)].astype(np.float64)
    lived = np.minimum(n[1:], n[:-1]) / max(1.0, n.max())
    steps = np.diff(points, axis=1).mean(axis=0), np.abs(np.diff(points, axis=1)).mean(axis=0)
    rise, fall = (steps[1] + steps[0]) / 2, (steps[1] - steps[0]) / 2
    return float(lived @ rise), float(lived @ fall)
