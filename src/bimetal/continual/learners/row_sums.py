"""Sums over rows of ±1 features, in whole numbers: the same in any order, and they can be undone.

They are all that an `AnalyticHead` knows of its rows. Kept are φφᵀ (its lower triangle, in blocks), and
for each class the sum of φ and the number of rows, from which the sums over all rows follow.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

__all__ = ["MOST_ROWS", "RowSums"]

BLOCK = 256  # features; of φφᵀ only blocks on and below the diagonal are kept
MOST_ROWS = 2**31 - 1
"""More would not fit the int32 of a sum."""


@dataclass
class RowSums:
    """Sums over rows; see `RowSums.none` for those over no rows.

    Attributes
    ----------
    gram : list of torch.Tensor
        int32: rows of the lower triangle of φφᵀ, `BLOCK` at a time, up to the end of the block.
    by_class : dict of int to torch.Tensor
        int32 (n_features,): the sum of φ over the rows of each class.
    n_rows : dict of int to int
        Rows of each class; a class without rows is in neither.

    Examples
    --------
    >>> sums = RowSums.none(3)
    >>> sums.add(torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, 1.0]]), torch.tensor([4, 4]))
    >>> sums.by_class[4].tolist(), sums.n
    ([2, 0, 2], 2)
    """

    gram: list[Tensor]
    by_class: dict[int, Tensor] = field(default_factory=dict)
    n_rows: dict[int, int] = field(default_factory=dict)

    @staticmethod
    def none(n_features: int) -> "RowSums":
        """Return the sums over no rows."""
        parts = torch.split(torch.arange(n_features), BLOCK)
        shapes = [(len(part), int(part[-1]) + 1) for part in parts]
        return RowSums([torch.zeros(shape, dtype=torch.int32) for shape in shapes])

    @property
    def n(self) -> int:
        """Rows of all classes."""
        return sum(self.n_rows.values())

    def add(self, phi: Tensor, y: Tensor) -> None:
        """Add rows φ of ±1, float32 (n_rows, n_features), at most 2**24 at once, and their classes."""
        start = 0
        for block in self.gram:
            end = block.shape[1]
            block += (phi[:, start:end].T @ phi[:, :end]).to(torch.int32)
            start = end
        for c in sorted(set(y.tolist())):
            of_class = phi[y == c]
            self._add_class(c, of_class.sum(0).to(torch.int32), len(of_class))

    def merge(self, other: "RowSums", sign: Literal[1, -1] = 1) -> None:
        """Add other sums, or take them away: then it is as if their rows had never been added."""
        for block, change in zip(self.gram, other.gram, strict=True):
            block.add_(change, alpha=sign)
        for c, total in other.by_class.items():
            self._add_class(c, sign * total, sign * other.n_rows[c])

    def _add_class(self, c: int, total: Tensor, n: int) -> None:
        self.by_class[c] = self.by_class[c] + total if c in self.by_class else total
        self.n_rows[c] = self.n_rows.get(c, 0) + n
        if not self.n_rows[c]:
            del self.by_class[c], self.n_rows[c]

    def could_hold(self, other: "RowSums") -> bool:
        """Return whether other sums can be part of these: what is left must be sums of ±1 again.

        A sum of n numbers of ±1 lies within ±n; it is even where n is, which holds by itself.
        """
        for c, total in other.by_class.items():
            left = self.n_rows.get(c, 0) - other.n_rows[c]
            if left < 0 or int((self.by_class[c] - total).abs().max()) > left:
                return False
        left = self.n - other.n
        pairs = zip(self.gram, other.gram, strict=True)
        return all(int((mine - theirs).abs().max()) <= left for mine, theirs in pairs)

    def whole_gram(self) -> Tensor:
        """Return φφᵀ, float64 (n_features, n_features), both triangles."""
        n, start = self.gram[-1].shape[1], 0
        whole = torch.zeros(n, n, dtype=torch.float64)
        for block in self.gram:
            end = block.shape[1]
            whole[start:end, :end] = block
            whole[:end, start:end] = block.T
            start = end
        return whole

    def n_bytes(self) -> int:
        """Return the bytes of all sums."""
        tensors = (*self.gram, *self.by_class.values())
        return sum(t.numel() * t.element_size() for t in tensors) + 8 * len(self.n_rows)
