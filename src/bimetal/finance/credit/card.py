"""The card: points for bins, the part of the model that a scorecard modeller knows.

Two additive fits share it: a ridge regression on all bits, and boosted stumps (one split a tree), which
find steps that the ridge smooths away. Their out-of-fold scores give each its non-negative weight, so that
signs promised for a column hold for the sum. What comes out is one weight a bit: the mean of cards that
each left a share of the rows out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from bimetal.errors import DataError
from bimetal.estimators.ingredients import Candidates, Rows
from bimetal.estimators.linear import PENALTIES, linear_path, linear_scores
from bimetal.estimators.parts import Bits
from bimetal.estimators.stacking import stack
from bimetal.estimators.tasks import Floats, Task, row_losses
from bimetal.estimators.trees import grow, rules_part

__all__ = ["BINARY", "Card", "Fold", "Plan", "Sample", "bags", "mean_card", "plan_card"]

BINARY = Task("binary", 1)
_STUMPS = {
    "num_leaves": 2,
    "learning_rate": 0.1,
    "min_data_in_leaf": 4,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}
_MOST_STUMPS = 2_000


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows to learn from: encoded, whether bad, how much each counts, and the signs promised.

    Attributes
    ----------
    data : Bits
    bad : numpy.ndarray
        float64 (n_rows, 1): 1 for bad, or a probability.
    weight : numpy.ndarray
        float64 (n_rows,).
    bit_signs : numpy.ndarray
        int8 (n_bits,): of weights in log-odds of bad.
    feature_signs : list of int
        The same for the features of `data`.
    """

    data: Bits
    bad: Floats
    weight: Floats
    bit_signs: NDArray[np.int8]
    feature_signs: Sequence[int]

    def take(self, rows: Rows) -> "Sample":
        """Return some of the rows."""
        return replace(
            self, data=self.data.take(rows), bad=self.bad[rows], weight=self.weight[rows]
        )


Fold = tuple[Sample, Sample, Rows]
"""Rows to fit on, rows held out, and the numbers of the latter."""


@dataclass(frozen=True, eq=False)
class Card:
    """Weights of bits in log-odds of bad.

    Attributes
    ----------
    direct : numpy.ndarray
        float64 (n_bits,).
    bias : float
    n_stumps : int
        How many stumps it was made of.
    """

    direct: Floats
    bias: float
    n_stumps: int = 0

    def scores(self, data: Bits) -> Floats:
        """Log-odds of bad, float64 (n_rows, 1)."""
        return (data.bits @ self.direct + self.bias)[:, None]


@dataclass(frozen=True)
class Plan:
    """What validation chose for a card.

    Attributes
    ----------
    penalty : float
    n_stumps : int
    weights : numpy.ndarray
        float64 (2,): of ridge and stumps.
    intercept : float
    cards : list of Card
        The card of each fold.
    """

    penalty: float
    n_stumps: int
    weights: Floats
    intercept: float
    cards: list[Card]

    def fit(self, sample: Sample, held: Sample, seed: int) -> Card:
        """Fit a card; its stumps stop when the rows held out get no better."""
        ridge = _ridge(sample, (self.penalty,))[-1]
        return _sum(ridge, _stumps(sample, held, seed), self.weights, self.intercept)

    def choices(self) -> dict[str, float]:
        """Return what was chosen, for the record."""
        return {
            "penalty": self.penalty,
            "n_stumps": self.n_stumps,
            "ridge_weight": float(self.weights[0]),
            "stumps_weight": float(self.weights[1]),
        }


def bags(sample: Sample, n: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Split the rows `n` times into those to fit on and those left out; each is left out once.

    Raises
    ------
    DataError
        When a class has fewer than two rows.
    """
    labels = (sample.bad[:, 0] > 0.5).astype(int)
    fewest = int(np.bincount(labels, minlength=2).min())
    if fewest < 2:
        raise DataError(
            f"at least two good and two bad rows are needed, got {fewest} of the rarer class"
        )
    splitter = StratifiedKFold(min(n, fewest), shuffle=True, random_state=seed)
    return list(splitter.split(labels, labels))


def plan_card(
    sample: Sample,
    folds: Sequence[Fold],
    seed: int,
    progress: Callable[[str], None],
    penalties: Sequence[float] = PENALTIES,
) -> Plan:
    """Choose how a card is fitted, by scores of rows that were not fitted on."""
    shape = sample.bad.shape
    ridge, stumps = Candidates(len(penalties), shape), Candidates(1, shape)
    paths, steps = [], []
    for k, (fitting, held, rows) in enumerate(folds):
        progress(f"card, fold {k + 1} of {len(folds)}")
        paths.append(_ridge(fitting, penalties))
        steps.append(_stumps(fitting, held, seed))
        for i, coefficients in enumerate(paths[-1]):
            ridge.scores[i][rows] = linear_scores(coefficients, held.data.bits)
        stumps.scores[0][rows] = steps[-1].scores(held.data)
        stumps.lengths[0].append(steps[-1].n_stumps)

    def losses(scores: Floats, asked: Rows) -> Floats:
        return row_losses(BINARY, scores, sample.bad[asked])

    i = ridge.best(np.arange(len(sample.bad)), sample.weight, losses)
    parts = [ridge.scores[i], stumps.scores[0]]
    weights, intercept = stack(parts, sample.bad, sample.weight, BINARY)
    b = float(intercept[0])
    cards = [_sum(path[i], s, weights, b) for path, s in zip(paths, steps, strict=True)]
    return Plan(penalties[i], stumps.length(0), weights, b, cards)


def _ridge(sample: Sample, penalties: Sequence[float]) -> list[Floats]:
    """Fit ridge regressions from strong to weak penalties, beginning at the strongest of all."""
    tried = tuple(dict.fromkeys((PENALTIES[0], *penalties)))
    path = linear_path(sample.data.bits, sample.bad, sample.weight, BINARY, tried, sample.bit_signs)
    return path[-len(penalties) :]


def _sum(ridge: Floats, stumps: Card, weights: Floats, intercept: float) -> Card:
    direct = weights[0] * ridge[0, :-1] + weights[1] * stumps.direct
    bias = weights[0] * ridge[0, -1] + weights[1] * stumps.bias + intercept
    return Card(direct, float(bias), stumps.n_stumps)


def mean_card(cards: Sequence[Card]) -> Card:
    """Return the mean of cards of the same bits."""
    direct = np.mean([card.direct for card in cards], axis=0)
    return Card(direct, float(np.mean([card.bias for card in cards])))


def _stumps(sample: Sample, held: Sample, seed: int) -> Card:
    booster = _boost(sample, held, seed)
    n = max(1, booster.best_iteration)
    part = rules_part(booster, sample.data, BINARY, n)
    assert not part.ops  # one split a tree: each leaf is a bit or its absence
    return Card(part.direct[0], float(part.bias[0]), n)


def _boost(sample: Sample, held: Sample, seed: int) -> Any:
    return grow(
        sample.data,
        sample.bad,
        sample.weight,
        BINARY,
        _STUMPS,
        _MOST_STUMPS,
        seed,
        (held.data, held.bad, held.weight),
        signs=sample.feature_signs,
    )
