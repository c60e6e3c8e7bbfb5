"""What an encoder learns from: the raw rows of a training table and how each column is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column, infer_columns, require_finite, to_rows
from bimetal.columns.column import listed
from bimetal.columns.reading import read
from bimetal.errors import ColumnError, DataError, NotFiniteError

__all__ = ["Training", "finite_numbers", "keep_frequent", "read_training", "require_columns"]


@dataclass(frozen=True)
class Training:
    """Raw rows to learn an encoding from.

    Attributes
    ----------
    columns : tuple of Column
        The columns of the raw row.
    rows : numpy.ndarray
        float32 array of shape (n_rows, n_columns).
    weight : numpy.ndarray
        float64 array of shape (n_rows,); every weight is above 0.
    y : numpy.ndarray or None
        The target, of shape (n_rows,).
    ordinal : frozenset of int
        Category columns whose codes are in a meaningful order.
    specials : tuple of (int, float)
        Column and special code, one pair a code.
    kept : mapping of int to tuple of int
        For each one-hot column, the codes that get a bit.
    is_coded : bool
        Whether the table was an array of numbers, whose categories are codes already.
    """

    columns: tuple[Column, ...]
    rows: NDArray[np.float32]
    weight: NDArray[np.float64]
    y: NDArray[Any] | None
    ordinal: frozenset[int] = frozenset()
    specials: tuple[tuple[int, float], ...] = ()
    kept: Mapping[int, tuple[int, ...]] | None = None
    is_coded: bool = False

    def take(self, rows: NDArray[np.intp]) -> "Training":
        """Return the same table with some of its rows only."""
        y = None if self.y is None else self.y[rows]
        return replace(self, rows=self.rows[rows], weight=self.weight[rows], y=y)

    @cached_property
    def regular(self) -> NDArray[np.float32]:
        """The rows with special codes and unseen ordinals made missing: what thermometers see."""
        regular = self.rows.copy()
        for j, code in self.specials:
            regular[self.rows[:, j] == np.float32(code), j] = np.nan
        for j in self.ordinal:
            regular[self.rows[:, j] < 0, j] = np.nan
        return regular

    @property
    def thermometers(self) -> tuple[int, ...]:
        """The columns that are compared with cut-points and have two regular values or more."""
        wanted = (j for j, c in enumerate(self.columns) if c.kind == "number" or j in self.ordinal)
        return tuple(j for j in wanted if self._has_two_values(self.regular[:, j]))

    def values(self, j: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the distinct regular values of column `j`, ascending, and the weight of each."""
        given = self.regular[:, j]
        present = ~np.isnan(given)
        distinct, index = np.unique(given[present], return_inverse=True)
        weights = np.bincount(index, weights=self.weight[present])
        return distinct, weights.astype(np.float64)

    @staticmethod
    def _has_two_values(given: NDArray[np.float32]) -> bool:
        present = given[~np.isnan(given)]
        return len(present) > 0 and bool((present != present[0]).any())


def read_training(
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    categorical: Sequence[str] | None,
    ordinal: Mapping[str, Sequence[str | int]] | None,
    special_codes: Mapping[str, Sequence[float]] | None,
) -> Training:
    """Read a training table, its target and its weights; rows of weight 0 count as not there."""
    table, orders = read(X), dict(ordinal or {})
    columns = infer_columns(table, [*(categorical or ()), *_numbered(orders)])
    require_columns("ordinal", orders, columns)
    columns = tuple(
        Column(c.name, "category", tuple(orders[c.name])) if c.name in orders else c
        for c in columns
    )
    rows = to_rows(table, columns)
    if not len(rows):
        raise DataError("a table to learn from needs at least one row, got none")
    weight = _weight(sample_weight, len(rows))
    target = _target(y, len(rows))
    used = weight > 0
    training = Training(
        columns,
        rows[used],
        weight[used],
        None if target is None else target[used],
        frozenset(j for j, c in enumerate(columns) if c.name in orders),
        _specials(special_codes or {}, columns),
        is_coded=isinstance(table, np.ndarray) and table.dtype.kind in "biuf",
    )
    require_finite(training.rows, columns)
    _require_present(training)
    return training


def keep_frequent(training: Training, most: int, least: int) -> Training:
    """Choose the categories that get a bit: the `most` heaviest with at least `least` rows.

    The others become unseen (−1) where codes are ours to give; the codes of an array stay.
    """
    columns, rows = list(training.columns), training.rows.copy()
    kept: dict[int, tuple[int, ...]] = {}
    for j, column in enumerate(columns):
        if column.kind == "number" or j in training.ordinal:
            continue
        codes = _frequent(rows[:, j], training.weight, len(column.categories), most, least)
        kept[j] = codes
        if not training.is_coded:
            kept[j] = tuple(range(len(codes)))
            columns[j] = replace(column, categories=tuple(column.categories[c] for c in codes))
            rows[:, j] = _recoded(rows[:, j], codes)
    return replace(training, columns=tuple(columns), rows=rows, kept=kept)


def require_columns(what: str, names: Iterable[str], columns: Sequence[Column]) -> None:
    """Refuse an option that names columns the table does not have."""
    known = [c.name for c in columns]
    if unknown := [name for name in names if name not in known]:
        raise ColumnError(f"{what} names {listed(unknown)}, but the columns are {listed(known)}")


def finite_numbers(what: str, given: Sequence[float]) -> NDArray[np.float32]:
    """Return numbers that a user listed as float32, or refuse them by name."""
    try:
        with np.errstate(over="ignore"):
            numbers = np.asarray(given, dtype=np.float64).astype(np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be a list of numbers, got {given!r:.200}") from error
    if numbers.ndim != 1:
        raise DataError(f"{what} must be a list of numbers, got {given!r:.200}")
    if not np.isfinite(numbers).all():
        raise NotFiniteError(f"{what} must be finite as float32, got {given!r:.200}")
    return numbers


def _numbered(orders: Mapping[str, Sequence[str | int]]) -> list[str]:
    # Whole numbers must be asked to be categories; text is one anyway.
    return [name for name, order in orders.items() if any(isinstance(c, int) for c in order)]


def _frequent(
    codes: NDArray[np.float32], weight: NDArray[np.float64], n: int, most: int, least: int
) -> tuple[int, ...]:
    known = codes >= 0
    index = codes[known].astype(np.int64)
    index, heaviness = index[index < n], weight[known][index < n]
    counts = np.bincount(index, minlength=n)
    weights = np.bincount(index, weights=heaviness, minlength=n)
    heaviest = np.argsort(-weights, kind="stable")
    chosen = heaviest[counts[heaviest] >= max(least, 1)][:most]
    return tuple(sorted(chosen.tolist()))


def _recoded(codes: NDArray[np.float32], kept: Sequence[int]) -> NDArray[np.float32]:
    new = np.where(np.isnan(codes), np.nan, -1.0).astype(np.float32)
    for position, code in enumerate(kept):
        new[codes == code] = position
    return new


def _weight(sample_weight: Any, n_rows: int) -> NDArray[np.float64]:
    if sample_weight is None:
        return np.ones(n_rows)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n_rows,):
        raise DataError(f"sample_weight needs {n_rows} numbers, one a row, got {weight.shape}")
    if not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise DataError("sample_weight must be finite, 0 or more, and not 0 everywhere")
    return weight


def _target(y: Any, n_rows: int) -> NDArray[Any] | None:
    if y is None:
        return None
    target = np.asarray(y)
    if target.shape != (n_rows,):
        raise DataError(f"y needs one value a row ({n_rows}), got shape {target.shape}")
    return target


def _specials(
    special_codes: Mapping[str, Sequence[float]], columns: Sequence[Column]
) -> tuple[tuple[int, float], ...]:
    require_columns("special_codes", special_codes, columns)
    pairs = []
    for j, column in enumerate(columns):
        given = special_codes.get(column.name, ())
        codes = set(finite_numbers(f"the special codes of '{column.name}'", given).tolist())
        if codes and column.kind != "number":
            raise ColumnError(
                f"special_codes names '{column.name}', which holds categories; "
                "a category needs no special code: it has a bit already"
            )
        pairs += [(j, code) for code in sorted(codes)]
    return tuple(pairs)


def _require_present(training: Training) -> None:
    empty = np.isnan(training.rows).all(axis=0)
    if empty.any():
        names = [training.columns[int(j)].name for j in np.flatnonzero(empty)]
        raise DataError(
            f"every column needs a value to learn from, but all are missing in {listed(names)}; "
            "drop what is empty"
        )
