"""The vocabulary of the recipe: what goes in, what comes out, and what is kept on the way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bimetal.estimators.members import MembersConfig
from bimetal.estimators.parts import Bits, Part
from bimetal.estimators.tasks import Floats
from bimetal.nn import History

__all__ = ["Candidates", "Fitted", "Progress", "Recipe", "Rows", "Table", "is_level"]

Rows = NDArray[np.intp]
Progress = Callable[[str, float], None]


class Table(Protocol):
    """Rows that can be encoded: what the recipe needs of the data."""

    def fit_encoder(self, rows: Rows) -> Any:
        """Fit an encoder on some rows."""

    def bits(self, encoder: Any, rows: Rows) -> Bits:
        """Encode some rows."""


@dataclass(frozen=True)
class Recipe:
    """What to cook; see `BinaryClassifier` for the meaning of each ingredient."""

    use_linear: bool
    max_rules: int
    max_bytes: int  # of the parts, the encoder included
    members: MembersConfig | None
    distil: float  # share of the teacher in the soft targets; 0 without a teacher
    n_folds: int
    seed: int


@dataclass
class Fitted:
    """What came out: the encoder, the parts with their weights, and how each did out of fold."""

    encoder: Any
    parts: list[Part]
    weights: Floats
    intercept: Floats
    losses: dict[str, float] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    oof_scores: Floats | None = None
    teacher_scores: Floats | None = None
    histories: list[History] = field(default_factory=list)


class Candidates:
    """Out-of-fold scores of the ways to fit one part, and how long each way learned."""

    def __init__(self, n: int, shape: tuple[int, ...]) -> None:
        self.scores = [np.full(shape, np.nan) for _ in range(n)]
        self.lengths: list[list[int]] = [[] for _ in range(n)]

    def best(self, rows: Rows, weight: Floats, losses: Callable[[Floats, Rows], Floats]) -> int:
        """Return the simplest way that is as good as the best, within one standard error.

        Ways are listed from simple to elaborate. The error is that of the mean difference of the
        `losses` of the same rows (Breiman et al. 1984, "Classification and Regression Trees").
        """
        each = [losses(scores[rows], rows) for scores in self.scores]
        share = weight[rows] / weight[rows].sum()
        least = min(each, key=lambda loss: float(share @ loss))
        return next(i for i, loss in enumerate(each) if is_level(loss - least, share))

    def length(self, i: int) -> int:
        """Return how long way `i` learned, the mean over folds."""
        return max(1, round(float(np.mean(self.lengths[i]))))


def is_level(excess: Floats, share: Floats, errors: float = 1.0) -> bool:
    """Tell whether a mean difference of losses is at most so many standard errors above 0."""
    mean = float(share @ excess)
    return mean <= errors * float(np.sqrt(share**2 @ (excess - mean) ** 2))
