"""Bins in which a population is counted, then and now: of each column of a model, and of its score.

Number columns are cut where the model cuts (finer changes it cannot see), about ten bins of the
development rows; categories, special codes, what training never saw, and missing values have bins of
their own. Bins are plain JSON, so that a profile of the development can be kept without its rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.explain.grid import encode_of
from bimetal.program import EQ, GE, Program

__all__ = ["MOST_CATEGORIES", "Binning", "binnings_of", "score_binning"]

MOST_CATEGORIES = 20
"""Categories with a bin of their own; the rarer ones share "other known"."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Binning:
    """Where values of one column are cut.

    Bins are numbered: ranges, then each of `codes`, then (categories) "other known" and "unseen", then
    "missing".

    Attributes
    ----------
    name : str
    kind : {"number", "category"}
    edges : tuple of float
        Rising, of numbers: a value equal to an edge lies above it.
    codes : tuple of float
        Special codes of a number; codes of the categories that have a bin of their own.
    labels : tuple of str
        How each bin reads.
    """

    name: str
    kind: str
    edges: tuple[float, ...]
    codes: tuple[float, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        tail = 3 if self.kind == "category" else len(self.edges) + 2
        ok = self.kind in ("number", "category") and len(self.labels) == len(self.codes) + tail
        if not ok or list(self.edges) != sorted(set(self.edges)):
            raise DataError(
                f"bins of '{self.name}': number or category, rising edges and a label for each bin "
                f"expected, got {self.kind!r:.40}, {len(self.edges)} edges, {len(self.labels)} labels"
            )

    @property
    def n_ranges(self) -> int:
        """How many bins are ranges of numbers."""
        return len(self.edges) + 1 if self.kind == "number" else 0

    def place(self, values: ArrayLike) -> NDArray[np.intp]:
        """Return the bin of each raw value (a number, a category's code or NaN), intp (n_rows,)."""
        given = np.asarray(values, np.float64)
        n = len(self.labels)
        if self.kind == "number":
            found = np.searchsorted(np.asarray(self.edges), given, side="right")
        else:
            found = np.where(given < 0, n - 2, n - 3)
        for k, code in enumerate(self.codes):
            found = np.where(given == code, self.n_ranges + k, found)
        placed: NDArray[np.intp] = np.where(np.isnan(given), n - 1, found).astype(np.intp)
        return placed

    def counts(self, values: ArrayLike) -> NDArray[np.int64]:
        """Return how many values lie in each bin, int64 (n_bins,)."""
        return np.bincount(self.place(values), minlength=len(self.labels))

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Binning":
        """Build one from JSON values: its fields by name."""
        try:
            edges, codes = (tuple(float(v) for v in spec[k]) for k in ("edges", "codes"))
            labels = tuple(str(v) for v in spec["labels"])
            return cls(str(spec["name"]), str(spec["kind"]), edges, codes, labels)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"name, kind, edges, codes and labels of bins expected, got {spec!r:.120}"
            ) from error


def binnings_of(
    program: Program, rows: NDArray[np.float32], n_bins: int = 10
) -> tuple[Binning, ...]:
    """Return bins for every column of a Program, from rows of the development.

    Parameters
    ----------
    program : Program
        Of table rows.
    rows : numpy.ndarray
        float32 (n_rows, n_columns).
    n_bins : int
        Ranges of a number, about: each holds at least that share of the numbers, where cuts allow.
    """
    op = encode_of(program)
    found = []
    for j, column in enumerate(program.columns):
        values, mine = rows[:, j], op.column == j
        if column.kind == "category":
            found.append(_of_category(column.name, column.categories, values))
            continue
        special = {*op.special_value[op.special_column == j].tolist()}
        special |= set(op.value[mine & (op.kind == EQ)].tolist())
        plain = values[
            ~np.isnan(values) & ~np.isin(values, np.asarray(sorted(special), np.float32))
        ]
        cuts = np.unique(op.value[mine & (op.kind == GE)]).astype(np.float64)
        if not len(cuts):
            cuts = (
                np.unique(np.quantile(plain, np.linspace(0, 1, n_bins + 1)[1:-1]))
                if len(plain)
                else cuts
            )
        found.append(_of_number(column.name, _coarse(cuts, plain, n_bins), sorted(special)))
    return tuple(found)


def score_binning(points: NDArray[np.int64], unit: int, n_bins: int = 10) -> Binning:
    """Return bins of the score (points over `unit`) with about equally many development rows."""
    inner = np.linspace(0, 1, n_bins + 1)[1:-1]
    edges = np.unique(np.quantile(points, inner, method="inverted_cdf")) / unit
    return _of_number("score", edges, [])


def _of_number(name: str, edges: ArrayLike, special: Sequence[float]) -> Binning:
    cuts = tuple(float(e) for e in np.asarray(edges))
    shown = [f"{c:.6g}" for c in cuts]
    ranges = [f"{a} to {b}" for a, b in pairwise(shown)]
    ends = [f"below {shown[0]}", *ranges, f"{shown[-1]} or more"] if cuts else ["any number"]
    labels = (*ends, *(f"code {c:g}" for c in special), "missing")
    return Binning(name, "number", cuts, tuple(special), labels)


def _of_category(name: str, categories: Sequence[Any], values: NDArray[np.float32]) -> Binning:
    known = values[values >= 0].astype(np.intp)
    counts = np.bincount(known[known < len(categories)], minlength=len(categories))
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_CATEGORIES])
    labels = [*(str(categories[k]) for k in kept), "other known", "unseen", "missing"]
    return Binning(name, "category", (), tuple(float(k) for k in kept), tuple(labels))


def _coarse(cuts: Floats, values: NDArray[np.float32], n_bins: int) -> Floats:
    """Keep, of rising cuts, those that leave at least a share of the values on each side."""
    least, kept, at = len(values) / n_bins, [], 0
    below = np.searchsorted(np.sort(values), cuts)
    for cut, n in zip(cuts, below, strict=True):
        if n - at >= least and len(values) - n >= least:
            kept.append(cut)
            at = int(n)
    return np.asarray(kept if kept or not len(cuts) else cuts[:1], np.float64)
