"""Which rows train and which are held out: in time order where there is a time, else at random."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError

__all__ = ["at_random", "in_time_order"]

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


def at_random(y: NDArray[Any], share: float, seed: int, *, is_stratified: bool) -> Split:
    """Return the rows to train on and those held out; stratified, each class gives its share."""
    _check(share)
    rng = np.random.default_rng(seed)
    groups = np.unique(y, return_inverse=True)[1] if is_stratified else np.zeros(len(y), np.intp)
    held = [
        rng.permutation(rows)[: round(share * len(rows))]
        for rows in (np.flatnonzero(groups == g) for g in range(groups.max(initial=0) + 1))
    ]
    test = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(y)), test), test


def in_time_order(time: NDArray[Any], share: float) -> Split:
    """Return the earlier rows to train on, and the latest, about this share, held out.

    Rows of one moment stay together.

    Raises
    ------
    DataError
        When all rows are of one moment.
    """
    _check(share)
    order = np.argsort(time, kind="stable")
    cut = time[order[len(time) - max(1, round(share * len(time)))]]
    is_late = time >= cut
    if is_late.all():
        is_late = time > cut
    if is_late.all() or not is_late.any():
        raise DataError("rows of more than one moment expected to split in time; all have the same")
    return np.flatnonzero(~is_late), np.flatnonzero(is_late)


def _check(share: float) -> None:
    if not 0 < share < 1:
        raise DataError(f"--holdout is a share between 0 and 1, got {share}")
