"""The table a scorecard modeller reads: column by column, bin by bin, what was seen and what it scores.

Weight of evidence is the logarithm of the share of the goods over the share of the bads in a bin,
information value the sum of their differences times it (Siddiqi 2006); half a row is added to each
count, so that an empty cell stays finite.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.form import PointsForm
from bimetal.explain.grid import ColumnBins

__all__ = ["BinRow", "bin_table", "information_values"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BinRow:
    """One bin of one column.

    Attributes
    ----------
    column, bin, kind : str
        Its name, how the bin reads, and what it is: range, category, special, missing, other.
    n, bad : float
        Weight of all rows and of the bad ones.
    share, bad_rate : float
        Of all rows; NaN where the bin is empty.
    woe, iv : float
        Weight of evidence; the bin's part of the column's information value.
    points : float
        Score points that the card gives the bin, against the column's weighted mean.
    """

    column: str
    bin: str
    kind: str
    n: float
    bad: float
    share: float
    bad_rate: float
    woe: float
    iv: float
    points: float

    def spec(self) -> dict[str, Any]:
        """Return the row as JSON values, None where there is no number."""
        return {k: None if v != v else v for k, v in asdict(self).items()}


def bin_table(
    form: PointsForm, rows: NDArray[np.float32], bad: Floats, weight: Floats, unit: int
) -> tuple[BinRow, ...]:
    """Count rows by bin and read off the points.

    Parameters
    ----------
    form : PointsForm
        Of the card.
    rows : numpy.ndarray
        float32 (n_rows, n_columns).
    bad, weight : numpy.ndarray
        float64 (n_rows,): 1 for bad; how much each row counts.
    unit : int
        Whole numbers in one score point.
    """
    bits = form.bits(rows)
    table: list[BinRow] = []
    for column in form.columns:
        table += _rows_of(column, column.bin_of(bits), form, bad, weight, unit)
    return tuple(table)


def information_values(table: Sequence[BinRow]) -> dict[str, float]:
    """Return the information value of each column, highest first."""
    total: dict[str, float] = {}
    for row in table:
        total[row.column] = total.get(row.column, 0.0) + row.iv
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def _rows_of(
    column: ColumnBins,
    which: NDArray[np.intp],
    form: PointsForm,
    bad: Floats,
    weight: Floats,
    unit: int,
) -> list[BinRow]:
    n_bins = len(column.bins)
    n = np.bincount(which, weight, n_bins)
    bads = np.bincount(which, weight * bad, n_bins)
    goods = n - bads
    p_good, p_bad = (goods + 0.5) / (goods.sum() + 0.5), (bads + 0.5) / (bads.sum() + 0.5)
    woe = np.where(n > 0, np.log(p_good / p_bad), 0.0)
    iv = np.where(n > 0, (p_good - p_bad) * woe, 0.0)
    points = column.bits @ form.direct[column.positions] / unit
    points = points - np.average(points, weights=n)
    rate = np.divide(bads, n, out=np.full(n_bins, np.nan), where=n > 0)
    return [
        BinRow(
            column.name,
            b.label,
            b.kind,
            float(n[k]),
            float(bads[k]),
            float(n[k] / n.sum()),
            float(rate[k]),
            float(woe[k]),
            float(iv[k]),
            float(points[k]),
        )
        for k, b in enumerate(column.bins)
        if n[k] > 0 or b.kind in ("range", "category")
    ]
