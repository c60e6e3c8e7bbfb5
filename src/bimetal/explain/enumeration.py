"""Shapley values by their definition: every coalition is asked. For what has no closed form, such as dense layers.

Players whose bits are the same in row and reference change nothing and are left out; the others make 2**d coalitions.
Sixteen of them cost 65,536 rows through the engine for each row and reference: exact, or refused, never sampled.
"""

from collections.abc import Callable, Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError

__all__ = ["MOST_ENUMERATED", "enumerated", "require_few"]

MOST_ENUMERATED = 16
"""Players that may differ between a row and a reference."""

Ints = NDArray[np.int64]
Rows = NDArray[np.float32]


def require_few(n_differing: int, row: int, reference: int) -> None:
    """Refuse what would take too long.

    Raises
    ------
    DataError
        When more than `MOST_ENUMERATED` players differ.
    """
    if n_differing > MOST_ENUMERATED:
        raise DataError(
            f"at most {MOST_ENUMERATED} players may differ between a row and a reference of a Program with dense "
            f"layers, whose reasons are found by asking every coalition; row {row} and reference {reference} differ "
            f"in {n_differing}. Put columns into fewer groups, or train with n_members=0"
        )


def enumerated(
    points: Callable[[Rows], Ints],
    row: Rows,
    reference: Rows,
    players: Sequence[Sequence[int]],
    unit: int,
) -> Ints:
    """Return the Shapley value of each player, times `unit`.

    Parameters
    ----------
    points : callable
        Raw rows → whole points, int64 (n_rows,).
    row, reference : numpy.ndarray
        float32 (n_columns,).
    players : sequence of sequence of int
        Columns of each player: d of them, and `unit` is a multiple of lcm(1..d).

    Returns
    -------
    numpy.ndarray
        int64 (d,).

    Examples
    --------
    Two columns that only count together share what they bring:

    >>> product = lambda rows: (rows[:, 0] * rows[:, 1]).astype(np.int64)
    >>> enumerated(product, np.array([3, 5], "f4"), np.zeros(2, "f4"), [[0], [1]], unit=2)
    array([15, 15])
    """
    d = len(players)
    numbers = np.arange(2**d)
    rows = np.repeat(reference[None], 2**d, axis=0)
    for j, columns in enumerate(players):
        joined = numbers >> j & 1 == 1
        rows[np.ix_(joined, columns)] = row[list(columns)]
    values = points(rows)
    n_members = (numbers[:, None] >> np.arange(d) & 1).sum(axis=1)
    # A coalition of s players meets one more with weight s! (d − 1 − s)! / d! = 1 / (d C(d − 1, s)).
    weights = np.array([unit // (d * comb(d - 1, s)) for s in range(d)], np.int64)
    found = np.zeros(d, np.int64)
    for j in range(d):
        without = numbers[numbers >> j & 1 == 0]
        brings = values[without | 1 << j] - values[without]
        found[j] = (weights[n_members[without]] * brings).sum()
    return found
