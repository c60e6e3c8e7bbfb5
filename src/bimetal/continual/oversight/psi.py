"""The population stability index: how far the rows of today are from those of the approval.

``PSI = sum over bins of (a − e) · ln(a / e)`` with e the share of a bin then and a its share now; the bins
are tenths of the reference, categories, and one for what is missing. Below 0.1 is customarily taken for
stable, above 0.25 for another population. Even the same population gives about (bins − 1) · (1/n + 1/m)
by chance, so few rows prove nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.metrics import stability_index

__all__ = ["Bins", "psi"]

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bins:
    """Where a column is cut, and how many rows of the reference lie in each bin; the last one is missing.

    Attributes
    ----------
    edges : numpy.ndarray or None
        float64, rising; a value equal to an edge lies above it. None for categories.
    categories : tuple
        Of text and the like; a bin for all others follows them.
    expected : numpy.ndarray
        int64 (n_bins,).
    """

    edges: NDArray[np.float64] | None
    categories: tuple[Any, ...]
    expected: Counts

    @classmethod
    def of(cls, values: ArrayLike, n_bins: int = 10) -> "Bins":
        """Cut a reference into bins of equally many rows, or by category.

        Raises
        ------
        DataError
            When there are no values.
        """
        given = np.asarray(values)
        if given.ndim != 1 or not len(given):
            raise DataError(f"a column of reference values expected, got shape {given.shape}")
        if given.dtype.kind in "biuf":
            known = given[np.isfinite(given)].astype(np.float64)
            cuts = np.quantile(known, np.linspace(0, 1, n_bins + 1)[1:-1]) if len(known) else known
            bins = cls(np.unique(cuts), (), np.zeros(0, np.int64))
        else:
            bins = cls(
                None,
                tuple(sorted({str(v) for v in given if not _is_missing(v)})),
                np.zeros(0, np.int64),
            )
        return cls(bins.edges, bins.categories, bins.counts(given))

    def counts(self, values: ArrayLike) -> Counts:
        """Return how many values lie in each bin."""
        given = np.asarray(values)
        if self.edges is not None:
            numbers = given.astype(np.float64)
            n, which = len(self.edges) + 2, np.searchsorted(self.edges, numbers, side="right")
            which[np.isnan(numbers)] = n - 1
        else:
            n, known = len(self.categories) + 2, {name: i for i, name in enumerate(self.categories)}
            which = np.array(
                [n - 1 if _is_missing(v) else known.get(str(v), n - 2) for v in given], np.intp
            )
        return np.bincount(which, minlength=n)

    def psi(self, counts: Counts) -> float:
        """Return the index of counts of today; see `bimetal.metrics.stability_index`."""
        return stability_index(self.expected, counts)


def psi(reference: ArrayLike, values: ArrayLike, n_bins: int = 10) -> float:
    """Return the population stability index of values against a reference.

    Examples
    --------
    >>> ages = np.arange(1000) % 60 + 20
    >>> round(psi(ages, ages), 3), psi(ages, ages + 15) > 0.25
    (0.0, True)
    """
    bins = Bins.of(reference, n_bins)
    return bins.psi(bins.counts(values))


def _is_missing(value: Any) -> bool:
    """Tell None and NaN, of whatever library, from a value: NaN is the one that is not itself."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value
