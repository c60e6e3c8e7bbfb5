"""Rows that have come and are not learned yet: those of the warm-up, and those of a mini-batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.stream.incoming import Plain

__all__ = ["FirstRow", "Queue"]


@dataclass(frozen=True)
class FirstRow:
    """A row that came before there were bits: what it has, the number of its class, its weight."""

    values: dict[str, Plain]
    code: int
    weight: float


class Queue:
    """Raw rows that wait until their mini-batch is complete.

    Parameters
    ----------
    size : int
        Rows of a mini-batch.

    Examples
    --------
    >>> queue = Queue(size=2)
    >>> queue.add(np.zeros((1, 3), np.float32), [0], [1.0])
    >>> queue.room, len(queue)
    (1, 1)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._blocks: list[NDArray[np.float32]] = []
        self._codes: list[int] = []
        self._weights: list[float] = []

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def room(self) -> int:
        """Rows that are missing."""
        return self.size - len(self._codes)

    def add(
        self, rows: NDArray[np.float32], codes: Sequence[int], weights: Sequence[float]
    ) -> None:
        """Keep rows, at most as many as there is room for."""
        self._blocks.append(rows)
        self._codes += codes
        self._weights += weights

    def rows(
        self, n_columns: int
    ) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float64]]:
        """Return rows, classes and weights; a column that came after a row is missing in it."""
        rows = np.full((len(self), n_columns), np.nan, np.float32)
        start = 0
        for block in self._blocks:
            rows[start : start + len(block), : block.shape[1]] = block
            start += len(block)
        return rows, np.array(self._codes, np.intp), np.array(self._weights, np.float64)

    def clear(self) -> None:
        """Forget the rows: they are learned."""
        self._blocks, self._codes, self._weights = [], [], []
