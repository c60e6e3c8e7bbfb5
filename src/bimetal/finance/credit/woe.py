"""Weight of evidence: bins of a column, and the log of how many goods a bad costs in each.

The dull, trusted way to a scorecard: optimal binning with a monotone, peaked or valley trend
(Navas-Palencia, "Optimal binning: mathematical programming formulation", 2020, arXiv:2001.08025),
then one number a bin. Missing values, special codes and categories never seen have bins of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.errors import DataError, MissingExtraError

__all__ = ["WoeColumn", "learn_woe"]

Floats = NDArray[np.float64]
MAX_PREBINS = 20
SMALLEST_PREBIN = 0.05
RARE = 0.01
SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class WoeColumn:
    """The bins of one column.

    Bins are numbered: ranges or groups of categories first, then each special code, then "other"
    (categories only: never seen, or unknown), then "missing".

    Attributes
    ----------
    column : Column
    cuts : numpy.ndarray
        float64, rising: a number v is in range k when ``cuts[k-1] <= v < cuts[k]``.
    groups : numpy.ndarray
        intp (n_categories,): the group of each category; −1 for one without training rows.
    codes : tuple of float
        Special codes of a number.
    goods, bads : numpy.ndarray
        Weight of the training rows in each bin, float64 (n_bins,).
    smoothing : float
        Rows of average risk added to each bin: a bin of few rows is near 0, an empty one at 0.
    """

    column: Column
    cuts: Floats
    groups: NDArray[np.intp]
    codes: tuple[float, ...]
    goods: Floats
    bads: Floats
    smoothing: float = 1.0

    @property
    def n_regular(self) -> int:
        """How many ranges or groups there are."""
        if self.column.kind == "number":
            return len(self.cuts) + 1
        return int(self.groups.max(initial=-1)) + 1

    @property
    def n_bins(self) -> int:
        """How many bins there are, special codes, "other" and "missing" among them."""
        return self.n_regular + len(self.codes) + (self.column.kind == "category") + 1

    @property
    def woe(self) -> Floats:
        """Weight of evidence of each bin: ``log(share of goods / share of bads)``; high is good."""
        total = self.goods.sum() + self.bads.sum()
        good, bad = self.goods.sum(), self.bads.sum()
        goods = (self.goods + self.smoothing * good / total) / good
        bads = (self.bads + self.smoothing * bad / total) / bad
        woe: Floats = np.log(goods / bads)
        return woe

    @property
    def iv(self) -> float:
        """Information value: the sum over bins of (share of goods − share of bads) · WoE."""
        shares = self.goods / self.goods.sum() - self.bads / self.bads.sum()
        return float(shares @ self.woe)

    def bin_of(self, values: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the bin of each raw value (a number, a category's code, or NaN), intp (n_rows,)."""
        known = np.nan_to_num(values.astype(np.float64), nan=-1.0)
        if self.column.kind == "number":
            bins = np.searchsorted(self.cuts, known, side="right")
        else:
            inside = (known >= 0) & (known < len(self.groups))
            group = np.r_[self.groups, -1][np.where(inside, known, -1).astype(np.intp)]
            bins = np.where(group < 0, self.n_bins - 2, group)
        for k, code in enumerate(self.codes):
            bins = np.where(values == np.float32(code), self.n_regular + k, bins)
        found: NDArray[np.intp] = np.where(np.isnan(values), self.n_bins - 1, bins)
        return found

    def labels(self) -> list[str]:
        """Return how each bin reads."""
        edges = ["-inf", *(f"{cut:.6g}" for cut in self.cuts), "inf"]
        if self.column.kind == "number":
            regular = [f"[{a}, {b})" for a, b in pairwise(edges)]
            regular += [f"code {code:g}" for code in self.codes]
            return [*regular, "missing"]
        named = [
            ", ".join(
                str(c)
                for c, g in zip(self.column.categories, self.groups, strict=True)
                if int(g) == k
            )
            for k in range(self.n_regular)
        ]
        return [*named, "other", "missing"]


def learn_woe(
    rows: NDArray[np.float32],
    y: NDArray[np.int64],
    columns: Sequence[Column],
    *,
    weight: NDArray[np.float64] | None = None,
    special_codes: Mapping[str, Sequence[float]] | None = None,
    trend: str | None = "auto",
    smoothing: float = 1.0,
) -> tuple[WoeColumn, ...]:
    """Bin each column and take the weight of evidence of its bins.

    Parameters
    ----------
    rows : numpy.ndarray
        Raw rows, float32 (n_rows, n_columns).
    y : numpy.ndarray
        0 good, 1 bad, int64 (n_rows,).
    columns : sequence of Column
    weight : numpy.ndarray, optional
        Of the rows. It counts in cutting numbers and in the WoE of all bins; categories are grouped
        without it.
    special_codes : mapping of str to sequence of float, optional
        Numbers that mean something else, by column.
    trend : str or None
        As optbinning names it: "auto" (the best of rising, falling, peak and valley),
        "auto_asc_desc", "ascending", "descending", ...; None asks for none.
    smoothing : float
        Rows of average risk added to each bin.

    Raises
    ------
    DataError
        When `y` or the weights leave only one class, or `smoothing` is not positive.
    MissingExtraError
        When optbinning is not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> income = rng.normal(size=(500, 1)).astype("f4")
    >>> y = (rng.random(500) < 1 / (1 + np.exp(3 * income[:, 0]))).astype(int)
    >>> (column,) = learn_woe(income, y, [Column("income")], trend="auto_asc_desc")
    >>> bool((np.diff(column.woe[: column.n_regular]) > 0).all())
    True
    """
    w = np.ones(len(y)) if weight is None else weight
    if not (w[y == 0].sum() > 0 and w[y == 1].sum() > 0):
        raise DataError("good and bad rows of positive weight expected, got one class only")
    if smoothing <= 0:
        raise DataError(f"smoothing must be positive, got {smoothing}; an empty bin has no WoE")
    found = []
    for j, column in enumerate(columns):
        codes = tuple(float(code) for code in (special_codes or {}).get(column.name, ()))
        cuts, groups = _learn_bins(rows[:, j], y, w, column, codes, trend)
        empty = WoeColumn(column, cuts, groups, codes, w[:0], w[:0], smoothing)
        found.append(_counted(empty, empty.bin_of(rows[:, j]), y, w))
    return tuple(found)


def _counted(
    empty: WoeColumn, bins: NDArray[np.intp], y: NDArray[np.int64], w: Floats
) -> WoeColumn:
    goods: Floats = np.bincount(bins, w * (1.0 - y), empty.n_bins).astype(np.float64)
    bads: Floats = np.bincount(bins, w * y, empty.n_bins).astype(np.float64)
    return replace(empty, goods=goods, bads=bads)


def _learn_bins(
    values: NDArray[np.float32],
    y: NDArray[np.int64],
    w: Floats,
    column: Column,
    codes: tuple[float, ...],
    trend: str | None,
) -> tuple[Floats, NDArray[np.intp]]:
    """Return cut-points of a number, or groups of categories; one bin when nothing can be learned."""
    is_number = column.kind == "number"
    regular = ~np.isnan(values) & ~np.isin(values, np.asarray(codes, np.float32)) & (w > 0)
    regular &= (values >= 0) | is_number
    given, target = values[regular].astype(np.float64), y[regular]
    if len(np.unique(target)) < 2 or len(np.unique(given)) < 2:
        return np.empty(0), np.zeros(len(column.categories), np.intp)
    binning = _binning(is_number, trend)
    if is_number:
        # A constant weight changes nothing; leaving it out lets optbinning use its quicker way.
        weighted = {} if np.ptp(w) == 0 else {"sample_weight": w[regular]}
        binning.fit(given, target, **weighted)
        return np.asarray(binning.splits, np.float64), np.empty(0, np.intp)
    binning.fit(given.astype(np.int64).astype(str), target)
    groups = np.full(len(column.categories), -1, np.intp)
    for k, names in enumerate(binning.splits):
        groups[[int(name) for name in names]] = k
    return np.empty(0), groups


def _binning(is_number: bool, trend: str | None) -> Any:
    try:
        from optbinning import OptimalBinning
    except ImportError as error:
        raise MissingExtraError("optbinning", "binning", "weight of evidence") from error
    return OptimalBinning(
        dtype="numerical" if is_number else "categorical",
        monotonic_trend=trend,
        max_n_prebins=MAX_PREBINS,
        min_prebin_size=SMALLEST_PREBIN,
        cat_cutoff=None if is_number else RARE,
        time_limit=SECONDS,
    )
