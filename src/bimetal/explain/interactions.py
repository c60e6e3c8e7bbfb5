"""What columns can add together, beyond what they add alone: bounds around one row, proved from the rules.

Around a row the points fall apart into what each column adds by itself, what each two add beyond that,
each three, and so on: the anchored decomposition (Kuo, Sloan, Wasilkowski & Woźniakowski 2010, Math.
Comp. 79). A rule has a part in a set of columns only when it reads all of them.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.boxes import Box, Boxes

__all__ = ["Bounds", "Interactions"]

Ints = NDArray[np.int64]


class Interactions:
    """Bounds, at any row, of what two or three columns can add beyond their parts.

    A box whose sides hold at the row but for the columns F gives points w only once all of F have
    moved in. Of a set T of columns it reads, F within T, its anchored part is w times one factor a
    column: 1 or 0 for those of F (moved in or not), 0 or −1 for the others (stayed in, or left). So
    it lies between 0 and w · (−1)^(size of T − size of F), and no other sets have a part.

    Parameters
    ----------
    boxes : dict of Box to int
        The points.
    n_columns, n_bins : int
        Columns, and bins of the column that has most.
    slack : int
        What dense layers can take away or add at most.
    """

    def __init__(self, boxes: Boxes, n_columns: int, n_bins: int, slack: int) -> None:
        wide = [(box, w) for box, w in boxes.items() if len(box) > 1]
        sides = [side for box, _ in wide for side in box]
        self._column = np.array([j for j, _ in sides], np.intp)
        self._inside = np.array(
            [[held >> b & 1 for b in range(n_bins)] for _, held in sides], bool
        ).reshape(len(sides), n_bins)
        self._starts = np.cumsum([0, *(len(box) for box, _ in wide)]).astype(np.intp)
        self._weights = np.array([w for _, w in wide], np.float64)
        self._slack, self._n = slack, n_columns
        self._sets = {size: self._subsets([box for box, _ in wide], size) for size in (2, 3)}

    def _subsets(self, boxes: Sequence[Box], size: int) -> tuple[Ints, ...]:
        """Return the box, the sides and the columns (as one number) of each set of `size` sides."""
        owner, members, code = [], [], []
        for r, (box, start) in enumerate(zip(boxes, self._starts.tolist(), strict=False)):
            for some in combinations(range(len(box)), size):
                owner.append(r)
                members.append([start + k for k in some])
                code.append(sum(box[k][0] * self._n**p for p, k in enumerate(reversed(some))))
        shaped = np.array(members, np.int64).reshape(len(owner), size)
        return np.array(owner, np.int64), shaped, np.array(code, np.int64)

    def at(self, bins: NDArray[np.intp], size: int) -> Ints:
        """Return the most that each set of `size` columns can add beyond its parts.

        Parameters
        ----------
        bins : numpy.ndarray
            intp (n_columns,): where the row is.
        size : {2, 3}
            Of the sets.

        Returns
        -------
        numpy.ndarray
            int64 of `size` axes of n_columns, for rising columns; 0 elsewhere.
        """
        shape = (self._n,) * size
        most = np.full(shape, 2 ** (size - 1) * self._slack, np.int64)
        owner, members, code = self._sets[size]
        if len(owner):
            fails = ~self._inside[np.arange(len(self._column)), bins[self._column]]
            n_fails = np.add.reduceat(fails, self._starts[:-1], dtype=np.int64)
            n_here = fails[members].sum(axis=1)
            sign = 1 - 2 * ((size - n_here) & 1)
            part = np.maximum(0, sign * self._weights[owner]) * (n_here == n_fails[owner])
            most += np.bincount(code, part, self._n**size).astype(np.int64).reshape(shape)
        return most


class Bounds:
    """The most that three columns can add: all known parts, and bounds for those that are not.

    Parameters
    ----------
    single, together : dict
        What was asked: see `Nearest`.
    pairs, triples : numpy.ndarray
        Bounds of `Interactions.at`.
    """

    def __init__(
        self,
        single: dict[int, Ints],
        together: dict[tuple[int, int], Ints],
        pairs: Ints,
        triples: Ints,
    ) -> None:
        self._single, self._together = single, together
        self._pairs, self._triples = pairs, triples

    def reaching(self, sets: NDArray[np.intp], gap: int) -> NDArray[np.intp]:
        """Keep the sets of three columns, intp (n_sets, 3), that may add `gap` points.

        Three columns add at most what the best choice of two adds together, what the third adds
        alone, and what it adds beyond that with each of the two and with both.
        """
        most = np.zeros(len(self._pairs), np.int64)
        for j, adds in self._single.items():
            most[j] = adds.max()
        beyond, both = self._pairs.copy(), self._pairs + most[:, None] + most
        for (i, j), adds in self._together.items():
            beyond[i, j] = adds.max()
            both[i, j] = (self._single[i][:, None] + self._single[j] + adds).max()
        i, j, k = sets.T
        ij, ik, jk = beyond[i, j], beyond[i, k], beyond[j, k]
        bound = np.minimum.reduce(
            [
                both[i, j] + most[k] + ik + jk,
                both[i, k] + most[j] + ij + jk,
                both[j, k] + most[i] + ij + ik,
            ]
        )
        kept: NDArray[np.intp] = sets[bound + self._triples[i, j, k] >= gap]
        return kept

    def of(self, columns: tuple[int, ...], counts: Sequence[int]) -> Ints:
        """Return the most that the first choices of three columns can add, int64 of shape `counts`."""
        i, j, k = columns
        a, b, c = map(slice, counts)
        one = self._single[i][a, None] + self._single[j][b] + self._beyond(i, j)[a, b]
        two = self._single[k][c] + self._beyond(i, k)[a, c] + self._triples[columns]
        total: Ints = one[:, :, None] + two[:, None, :] + self._beyond(j, k)[None, b, c]
        return total

    def _beyond(self, i: int, j: int) -> Ints:
        known = self._together.get((i, j))
        return np.full((1, 1), self._pairs[i, j]) if known is None else known
