"""The card: points for bins, the part of the model that a scorecard modeller knows.

Two additive fits share it: a ridge regression on all bits, and boosted stumps (one split a tree), which
find steps that the ridge smooths away. Their out-of-fold scores give each its non-negative weight, so that
signs promised for a column hold for the sum. What comes out is one weight a bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from bimetal.estimators.ingredients import Candidates, Rows
from bimetal.estimators.linear import PENALTIES, linear_path, linear_scores
from bimetal.estimators.parts import Bits
from bimetal.estimators.stacking import stack
from bimetal.estimators.tasks import Floats, Task, row_losses
from bimetal.estimators.trees import grow, rules_part, tree_scores

__all__ = ["BINARY", "Card", "Fold", "Plan", "Sample", "plan_card"]

BINARY = Task("binary", 1)
_STUMPS = {
    "num_leaves": 2,
    "learning_rate": 0.1,
    "min_data_in_leaf": 10,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}
_MOST_STUMPS = 2_000
_N_INNER = 3


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
    """

    direct: Floats
    bias: float

    def scores(self, data: Bits) -> Floats:
        """Log-odds of bad, float64 (n_rows, 1)."""
        return (data.bits @ self.direct + self.bias)[:, None]


@dataclass(frozen=True)
class Plan:
    """What validation chose for a card."""

    penalty: int
    n_stumps: int
    weights: Floats
    intercept: float

    def fit(self, sample: Sample, seed: int) -> Card:
        """Fit a card on some rows."""
        path = linear_path(
            sample.data.bits,
            sample.bad,
            sample.weight,
            BINARY,
            PENALTIES[: self.penalty + 1],
            sample.bit_signs,
        )
        ridge, stumps = path[-1][0], _stumps(sample, self.n_stumps, seed)
        direct = self.weights[0] * ridge[:-1] + self.weights[1] * stumps.direct
        bias = self.weights[0] * ridge[-1] + self.weights[1] * stumps.bias + self.intercept
        return Card(direct, float(bias))

    def choices(self) -> dict[str, float]:
        """Return what was chosen, for the record."""
        return {
            "penalty": PENALTIES[self.penalty],
            "n_stumps": self.n_stumps,
            "ridge_weight": float(self.weights[0]),
            "stumps_weight": float(self.weights[1]),
        }

    def unseen(self, sample: Sample, seed: int) -> Floats:
        """Scores of rows by cards that did not learn from them, float64 (n_rows, 1).

        Trees grown on what a card leaves over must not take its overfitting for the truth.
        """
        scores = np.empty(sample.bad.shape)
        labels = (sample.bad[:, 0] > 0.5).astype(int)
        n_inner = min(_N_INNER, int(np.bincount(labels, minlength=2).min()))
        if n_inner < 2:
            return self.fit(sample, seed).scores(sample.data)
        splitter = StratifiedKFold(n_inner, shuffle=True, random_state=seed)
        for fitting, asked in splitter.split(labels, labels):
            card = self.fit(sample.take(fitting), seed)
            scores[asked] = card.scores(sample.data.take(asked))
        return scores


def plan_card(
    sample: Sample, folds: Sequence[Fold], seed: int, progress: Callable[[str], None]
) -> Plan:
    """Choose how a card is fitted, by scores of rows that were not fitted on."""
    shape = sample.bad.shape
    ridge, stumps = Candidates(len(PENALTIES), shape), Candidates(1, shape)
    for k, (fitting, held, rows) in enumerate(folds):
        progress(f"card, fold {k + 1} of {len(folds)}")
        path = linear_path(
            fitting.data.bits, fitting.bad, fitting.weight, BINARY, PENALTIES, fitting.bit_signs
        )
        for i, coefficients in enumerate(path):
            ridge.scores[i][rows] = linear_scores(coefficients, held.data.bits)
        booster = _boost(fitting, seed, _MOST_STUMPS, held)
        stumps.lengths[0].append(max(1, booster.best_iteration))
        stumps.scores[0][rows] = tree_scores(booster, held.data, BINARY)
    return _plan(sample, ridge, stumps)


def _plan(sample: Sample, ridge: Candidates, stumps: Candidates) -> Plan:
    seen = np.arange(len(sample.bad))

    def losses(scores: Floats, rows: Rows) -> Floats:
        return row_losses(BINARY, scores, sample.bad[rows])

    penalty = ridge.best(seen, sample.weight, losses)
    parts = [ridge.scores[penalty], stumps.scores[0]]
    weights, intercept = stack(parts, sample.bad, sample.weight, BINARY)
    return Plan(penalty, stumps.length(0), weights, float(intercept[0]))


def _stumps(sample: Sample, n: int, seed: int) -> Card:
    part = rules_part(_boost(sample, seed, n), sample.data, BINARY, n)
    assert not part.ops  # one split a tree: each leaf is a bit or its absence
    return Card(part.direct[0], float(part.bias[0]))


def _boost(sample: Sample, seed: int, n: int, held: Sample | None = None) -> Any:
    valid = None if held is None else (held.data, held.bad, held.weight)
    return grow(
        sample.data,
        sample.bad,
        sample.weight,
        BINARY,
        _STUMPS,
        n,
        seed,
        valid,
        signs=sample.feature_signs,
    )
