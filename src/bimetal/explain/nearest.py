"""The nearest rows that reach a score, by exact search: one column, then every two, then every three.

Around one row the points fall apart into what each column adds by itself, what each two add beyond
that, and each three (the anchored decomposition). What single columns and pairs add is asked of the
engine; what a pair or three could add beyond is bounded by the rules that read all of them, so that
most of the millions of triples need no look. The bounds are proved, hence so is what is nearest.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.interactions import Bounds

__all__ = ["Choice", "Found", "Nearest"]

Ints = NDArray[np.int64]
Key = tuple[int, ...]
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Choice:
    """What one column may become.

    Attributes
    ----------
    column : int
        Its place in the row.
    bins : numpy.ndarray
        intp (n,), nearest first.
    values : numpy.ndarray
        float32 (n,): a raw value in each.
    costs : numpy.ndarray
        float64 (n,), rising.
    """

    column: int
    bins: NDArray[np.intp]
    values: NDArray[np.float32]
    costs: NDArray[np.float64]


@dataclass(frozen=True, order=True)
class Found:
    """A set of columns, and the cheapest of their bins that reach the target; sorts nearest first."""

    n_changes: int
    cost: float
    columns: Key
    picks: Key = field(compare=True)  # places in `Choice.bins`
    points: int = field(compare=False)


class Nearest:
    """One search, from one row.

    Parameters
    ----------
    ask : callable
        Raw rows → points, int64.
    row : numpy.ndarray
        float32 (n_columns,).
    choices : sequence of Choice
        Of the columns that may change, in their order.
    gap : int
        Points that are missing, above 0.
    beyond : callable
        Size → the bounds of `Interactions.at` this row.
    budget : int
        Rows to ask about at most.
    """

    def __init__(
        self,
        ask: Callable[[NDArray[np.float32]], Ints],
        row: NDArray[np.float32],
        choices: Sequence[Choice],
        gap: int,
        beyond: Callable[[int], Ints],
        budget: int,
    ) -> None:
        self._ask, self._row, self._gap = ask, row, gap
        self._base = int(ask(row[None])[0])
        self._beyond = beyond
        self._left = self._budget = budget
        self._choices = {c.column: c for c in choices if len(c.bins)}
        self._single: dict[int, Ints] = {}  # points that each choice adds
        self._together: dict[tuple[int, int], Ints] = {}  # what two choices add beyond that
        self.is_complete = True

    @property
    def n_tried(self) -> int:
        """Rows that were asked about."""
        return self._budget - self._left

    def find(self, n: int, max_changes: int) -> list[Found]:
        """Return the `n` nearest; none changes all columns of another, and more."""
        found = self._singles()
        if max_changes >= 2 and len(found) < n:
            found += self._of_two(self._rest(found))
        if max_changes >= 3 and len(found) < n:
            found += self._of_three(found, n)
        return sorted(found)[:n]

    def _rest(self, found: Sequence[Found]) -> list[int]:
        """Columns that do not reach the target alone: with them a set would be larger than needed."""
        alone = {f.columns[0] for f in found if f.n_changes == 1}
        return [j for j in self._choices if j not in alone]

    def _singles(self) -> list[Found]:
        columns = [(j,) for j in self._choices]
        picks = [np.arange(len(self._choices[j].bins))[:, None] for (j,) in columns]
        points = self._points(columns, picks)
        self._single = {j: p - self._base for (j,), p in zip(columns, points, strict=True)}
        return [
            f for c, p, n in zip(columns, picks, points, strict=True) for f in self._first(c, p, n)
        ]

    def _first(self, columns: Key, picks: NDArray[np.intp], points: Ints) -> Iterator[Found]:
        """Yield the nearest of some picks that reaches the target, if one does."""
        reached = np.flatnonzero(points >= self._base + self._gap)
        if len(reached):
            costs = self._costs(columns, picks[reached])
            best = np.lexsort([*picks[reached].T[::-1], costs])[0]
            at = reached[best]
            yield Found(
                len(columns),
                float(costs[best]),
                columns,
                tuple(picks[at].tolist()),
                int(points[at]),
            )

    def _of_two(self, columns: Sequence[int]) -> list[Found]:
        beyond = self._beyond(2)
        most = {j: int(self._single[j].max()) for j in columns}
        pairs = [
            (i, j)
            for i, j in combinations(columns, 2)
            if most[i] + most[j] + beyond[i, j] >= self._gap
        ]
        learned = self._learn(pairs)
        self.is_complete &= len(learned) == len(pairs)
        return [f for pair, (picks, n) in learned.items() for f in self._first(pair, picks, n)]

    def _learn(
        self, pairs: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], tuple[NDArray[np.intp], Ints]]:
        """Ask about all choices of some pairs of columns, as far as the budget reaches."""
        sizes = [len(self._single[i]) * len(self._single[j]) for i, j in pairs]
        pairs = pairs[: int(np.searchsorted(np.cumsum(sizes), self._left, side="right"))]
        picks = [
            np.indices((len(self._single[i]), len(self._single[j]))).reshape(2, -1).T
            for i, j in pairs
        ]
        answers = self._points(pairs, picks)
        for (i, j), points in zip(pairs, answers, strict=True):
            apart = self._base + self._single[i][:, None] + self._single[j]
            self._together[i, j] = points.reshape(apart.shape) - apart
        return {p: (pick, points) for p, pick, points in zip(pairs, picks, answers, strict=True)}

    def _of_three(self, found: Sequence[Found], n: int) -> list[Found]:
        taken, wanted = {f.columns for f in found}, n - len(found)
        candidates = [
            t for t in combinations(self._rest(found), 3) if taken.isdisjoint(combinations(t, 2))
        ]
        bounds = Bounds(self._single, self._together, self._beyond(2), self._beyond(3))
        sets = bounds.reaching(np.array(candidates, np.intp).reshape(-1, 3), self._gap)
        pairs = {p for t in sets.tolist() for p in combinations(t, 2)} - self._together.keys()
        self._learn(sorted(pairs))
        sets = bounds.reaching(sets, self._gap)
        cheapest = {j: float(c.costs[0]) for j, c in self._choices.items()}
        queue = sorted((round(sum(cheapest[j] for j in t), 12), tuple(t)) for t in sets.tolist())
        best: list[Found] = []
        for least, columns in queue:
            most = best[wanted - 1].cost if len(best) >= wanted else np.inf
            if least > most:
                break
            best = sorted([*best, *self._try(columns, bounds, most)])
        return best

    def _try(self, columns: Key, bounds: Bounds, most: float) -> Iterator[Found]:
        """Ask about the choices of three columns that may reach the target, the nearest first."""
        costs = [self._choices[j].costs for j in columns]
        spare = most - sum(float(c[0]) for c in costs) + 1e-9  # what rounding could hide
        counts = [int(np.searchsorted(c, c[0] + spare, side="right")) for c in costs]
        picks = np.argwhere(bounds.of(columns, counts) >= self._gap)
        if not len(picks):
            return
        total = self._costs(columns, picks)
        kept = np.flatnonzero(total <= most)
        order = kept[np.lexsort([*picks[kept].T[::-1], total[kept]])]
        for start in range(0, len(order), CHUNK):
            some = picks[order[start : start + CHUNK]]
            if len(some) > self._left:
                self.is_complete = False
                return
            hit = list(self._first(columns, some, self._points([columns], [some])[0]))
            if hit:
                yield from hit
                return

    def _costs(self, columns: Key, picks: NDArray[np.intp]) -> NDArray[np.float64]:
        parts = [self._choices[j].costs[picks[:, k]] for k, j in enumerate(columns)]
        total: NDArray[np.float64] = np.round(np.sum(parts, axis=0), 12)  # equal costs are equal
        return total

    def _points(self, columns: Sequence[Key], picks: Sequence[NDArray[np.intp]]) -> list[Ints]:
        """Ask about rows in bulk: for each set of columns its picks, intp (n, n_columns)."""
        ends = np.cumsum([0, *map(len, picks)]).tolist()
        rows = np.repeat(self._row[None], ends[-1], axis=0)
        for of, pick, start, end in zip(columns, picks, ends, ends[1:], strict=False):
            for k, j in enumerate(of):
                rows[start:end, j] = self._choices[j].values[pick[:, k]]
        self._left -= len(rows)
        points = self._ask(rows) if len(rows) else np.zeros(0, np.int64)
        return [points[a:b] for a, b in pairwise(ends)]
