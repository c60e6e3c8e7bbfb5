"""Rows of ±1 for whole numbers: categories, instruments, words.

A table of 32-bit rows is most of a small net with categories; of bits it is a thirty-second of that.
A row may have a scale of its own, as the embeddings of BiBERT have (Qin et al. 2022, arXiv:2203.06390).
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import embedding

from bimetal.errors import DataError
from bimetal.nn.binarizers import Binarizer
from bimetal.nn.layers import BinaryLayer

__all__ = ["BinaryEmbedding"]


class BinaryEmbedding(BinaryLayer):
    """A table of rows of ±1, one for each of the numbers 0 to `n_categories` − 1.

    Parameters
    ----------
    n_categories : int
        Rows of the table, one for each number.
    n_features : int
        Elements of a row.
    answer : {"rows", "mean"}, default "rows"
        The rows, or the mean over the last axis of the numbers (`torch.nn.EmbeddingBag`).
    absent : int, optional
        A number that stands for nothing: its row is 0 in all elements and does not count in a mean.
    binarizer : Binarizer or str, default "binarynet"
        How latent rows become binary; one with a scale gives each row its own.
    generator : torch.Generator, optional
        Source of the initial latent weights, uniform in ±`init_bound`.
    init_bound : float, default 0.1
        Small beside the clip of 1, so that early gradients can flip any weight.

    Raises
    ------
    DataError
        When a size is not positive or `absent` is no row; in a call, when numbers are not whole or
        have no row.

    Examples
    --------
    >>> table = BinaryEmbedding(10, 4)
    >>> table(torch.tensor([[3, 1], [3, 3]])).shape
    torch.Size([2, 2, 4])
    >>> BinaryEmbedding(10, 4, answer="mean")(torch.tensor([[3, 1], [3, 3]])).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        n_categories: int,
        n_features: int,
        answer: Literal["rows", "mean"] = "rows",
        absent: int | None = None,
        binarizer: Binarizer | str = "binarynet",
        generator: torch.Generator | None = None,
        init_bound: float = 0.1,
    ) -> None:
        if min(n_categories, n_features) < 1:
            raise DataError(f"a table needs rows and features, got {n_categories} and {n_features}")
        if answer not in ("rows", "mean"):
            raise DataError(f"answer must be 'rows' or 'mean', got {answer!r}")
        if absent is not None and not 0 <= absent < n_categories:
            raise DataError(f"absent must be a row, 0 to {n_categories - 1}, got {absent}")
        super().__init__((n_categories, n_features), n_categories, binarizer, generator, init_bound)
        self.n_categories, self.n_features, self.answer, self.absent = (
            n_categories,
            n_features,
            answer,
            absent,
        )

    def forward(self, numbers: Tensor) -> Tensor:
        """Map whole numbers (...) to rows (..., n_features), or (..., n) to (..., n_features)."""
        self._check(numbers)
        w, alpha = self._working()
        rows = embedding(numbers, w if alpha is None else w * alpha[:, None])
        if self.absent is None:
            return rows if self.answer == "rows" else rows.mean(-2)
        counts = (numbers != self.absent).to(rows.dtype).unsqueeze(-1)
        rows = rows * counts
        return rows if self.answer == "rows" else rows.sum(-2) / counts.sum(-2).clamp_min(1)

    def _check(self, numbers: Tensor) -> None:
        if numbers.dtype not in (torch.int32, torch.int64):
            raise DataError(f"rows are looked up by int32 or int64 numbers, got {numbers.dtype}")
        if (
            numbers.numel()
            and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.n_categories
        ):
            raise DataError(
                f"the table has rows 0 to {self.n_categories - 1}, but was asked for "
                f"{int(numbers.min())} to {int(numbers.max())}; give unknown ones a row of their own"
            )

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        absent = "" if self.absent is None else f", absent={self.absent}"
        return (
            f"{self.n_categories}, {self.n_features}, answer={self.answer!r}{absent}{self._how()}"
        )
