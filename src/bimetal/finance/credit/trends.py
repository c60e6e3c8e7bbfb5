"""Which columns may be promised to be monotone: given, or found in the data and asked of a free model.

A trend is the sign of the change of the *score* when a column rises: +1 for income, −1 for arrears. Two
witnesses must agree before one is promised. The bad rates over a column's bins must not contradict a
monotone curve (the likelihood lost by isotonic regression is no more than chance gives; Barlow et al.
1972). And a model fitted without trends, with each row's column moved over its bins and the rest held
(individual conditional expectation: Goldstein et al. 2015), must mostly move that way. Validation has
the last word on all of them together.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import chi2
from sklearn.isotonic import IsotonicRegression

from bimetal.columns import Column
from bimetal.columns.column import listed
from bimetal.errors import DataError
from bimetal.estimators.parts import Bits
from bimetal.explain.form import points_program
from bimetal.explain.grid import ColumnBins, bins_of
from bimetal.program import GE, Encode, Program
from bimetal.runtime import Engine

__all__ = ["check_trends", "kept_shares", "likely_trends", "signs_of"]

_MOST_ROWS = 400
_N_GROUPS = 10
_LEVEL = 0.05
"""How unlikely the violations must be, were the truth monotone, for a column to be left free."""
_LEAST_GAIN = 2.0
"""Log-likelihood that a trend must explain at all; a flat column is promised nothing."""

Floats = NDArray[np.float64]


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


def likely_trends(
    columns: tuple[Column, ...], encode: Encode, data: Bits, bad: Floats, weight: Floats
) -> dict[str, int]:
    """Return the trends that bad rates by bin do not contradict, by column name.

    Parameters
    ----------
    columns, encode : tuple of Column, Encode
    data : Bits
        The encoded rows.
    bad, weight : numpy.ndarray
        float64 (n_rows,): 1 for bad; how much each row counts.
    """
    found = {}
    for f, (first, *_) in enumerate(data.features):
        if encode.kind[first] != GE:
            continue
        j = int(encode.column[first])
        regular = _regular(data, encode, j)
        levels = data.levels[regular, f].astype(np.intp)
        if sign := _trend(levels, bad[regular], weight[regular]):
            found[columns[j].name] = sign
    return found


def kept_shares(
    program: Program, rows: NDArray[np.float32], trends: Mapping[str, int], seed: int = 0
) -> dict[str, float]:
    """Return which share of its movement a free model makes along each trend, by column name.

    Parameters
    ----------
    program : Program
        A scorecard fitted without trends.
    rows : numpy.ndarray
        float32 (n_rows, n_columns): some of them are drawn.
    trends : mapping of str to int
        What to ask for.
    """
    rng = np.random.default_rng(seed)
    drawn = rows[rng.permutation(len(rows))[:_MOST_ROWS]]
    engine, shares = Engine(points_program(program)), {}
    for column in bins_of(program):
        if column.name in trends and column.n_ordered > 1:
            rise, fall = _movement(engine, column, drawn)
            along = rise if trends[column.name] > 0 else fall
            shares[column.name] = along / (rise + fall) if rise + fall else 0.0
    return shares


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
    """Return points gained and lost by a row when a column rises through where rows live.

    Steps go from one tenth of the rows to the next: a step over a narrow bin would be noise.
    """
    values = np.array([b.value for b in column.bins[: column.n_ordered]], np.float32)
    lows = np.array([b.low if b.kind == "range" else b.value for b in column.bins])
    here = np.searchsorted(lows[: column.n_ordered], rows[:, column.index], side="right") - 1
    deciles = np.quantile(here.clip(0), np.linspace(0.05, 0.95, _N_GROUPS), method="nearest")
    values = values[np.unique(deciles.astype(int))]
    moved = np.repeat(rows, len(values), axis=0)
    moved[:, column.index] = np.tile(values, len(rows))
    steps = np.diff(engine.run(moved)[:, 0].reshape(len(rows), len(values)), axis=1)
    return float(steps.clip(min=0).sum()), float(-steps.clip(max=0).sum())


def _regular(data: Bits, encode: Encode, j: int) -> NDArray[np.bool_]:
    """Tell which rows hold a value in order: no missing, no special bit of the column is set."""
    others = np.flatnonzero((encode.column == j) & (encode.kind != GE))
    return np.asarray(~data.bits[:, others].any(axis=1))


def _trend(levels: NDArray[np.intp], bad: Floats, weight: Floats) -> int:
    n, rate = _groups(levels, bad, weight)
    if len(n) < 2:
        return 0
    curves = {
        sign: np.asarray(
            IsotonicRegression(increasing=sign < 0).fit_transform(
                np.arange(len(n)), rate, sample_weight=n
            ),
            np.float64,
        )
        for sign in (1, -1)  # a rising bad rate is a falling score
    }
    fits = {sign: _likelihood(n, rate, curve) for sign, curve in curves.items()}
    sign = max(fits, key=lambda s: fits[s])
    if fits[sign] - _likelihood(n, rate, np.full(len(n), rate @ n / n.sum())) < _LEAST_GAIN:
        return 0
    pooled = len(n) - len(np.unique(curves[sign]))
    lost = 2 * (_likelihood(n, rate, rate) - fits[sign])
    return sign if not pooled or lost <= chi2.ppf(1 - _LEVEL, pooled) else 0


def _groups(levels: NDArray[np.intp], bad: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return weight and bad rate of groups of neighbouring bins.

    An encoder chooses cut-points where rates differ, so that narrow bins differ by choice: groups of
    a tenth of the rows are asked instead.
    """
    by_level = np.bincount(levels, weight)
    before = np.cumsum(by_level) - by_level
    group = np.minimum((_N_GROUPS * (before + by_level / 2) / weight.sum()).astype(int), 9)
    n = np.bincount(group[levels], weight).astype(np.float64)
    used = n > 0
    return n[used], np.bincount(group[levels], weight * bad)[used] / n[used]


def _likelihood(n: Floats, rate: Floats, curve: Floats) -> float:
    return float((n * (xlogy(rate, curve) + xlogy(1 - rate, 1 - curve))).sum())
