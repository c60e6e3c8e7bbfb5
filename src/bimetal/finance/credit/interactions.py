"""Interactions: what the card leaves over, as sparse binary neurons of whole points.

Boosted trees begin at the card's scores and learn what is missing. The leaves of a tree are
conjunctions of bits; their values are rounded to whole points tree by tree. Rounding keeps order, so a
tree that is monotone in a column stays so, and so does the sum: each tree is one block of the proof.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.estimators.ingredients import Candidates, is_level
from bimetal.estimators.stacking import stack
from bimetal.estimators.tasks import Floats, row_losses
from bimetal.estimators.trees import GROWTHS, grow, leaves_of, tree_scores
from bimetal.finance.credit.card import BINARY, Fold, Plan, Sample

__all__ = ["Grown", "Leaf", "fit_interactions", "whole"]

Start = tuple[Floats, Floats | None] | None
"""Scores to begin from, of the rows and of those held out; None for nothing."""
Leaf = tuple[tuple[int, ...], float]
"""Literals ``2 * bit + negated`` that must hold, and the log-odds of bad that the leaf adds."""
_PAIRS: dict[str, float] = {
    "num_leaves": 4,
    "learning_rate": 0.05,
    "min_data_in_leaf": 10,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}
_GROWTHS = (_PAIRS, *GROWTHS)
"""From pairs of columns to deep trees; validation chooses."""
_MOST_TREES = 1_500
_ERRORS = 0.5


@dataclass(frozen=True, eq=False)
class Grown:
    """What grew.

    Attributes
    ----------
    card_weight : float
        How much of the card is left beside the trees.
    trees : list of list of Leaf
        Values already carry the weight of the trees; empty when the card is as good alone.
    scores : numpy.ndarray
        Out-of-fold scores of card and trees, float64 (n_rows, 1).
    way : int or None
        The number of the way that was taken, None without trees.
    choices : dict
    """

    card_weight: float
    trees: list[list[Leaf]]
    scores: Floats
    way: int | None
    choices: dict[str, Any]


@dataclass(frozen=True)
class _Way:
    """How trees grow: from the card's scores or from nothing, and in LightGBM's words."""

    begins_at_card: bool
    growth: dict[str, float]

    def most_trees(self, max_rules: int) -> int:
        return min(_MOST_TREES, max(1, max_rules // int(self.growth["num_leaves"] - 1)))


_WAYS = tuple(_Way(begins, growth) for begins in (True, False) for growth in _GROWTHS)


def fit_interactions(
    sample: Sample,
    plan: Plan,
    folds: Sequence[Fold],
    max_rules: int,
    max_forests: int,
    seed: int,
    progress: Callable[[str], None],
    only: int | None = None,
) -> Grown:
    """Grow trees beside a card, in the way that validation likes best; none where `max_rules` is 0.

    `only` is the number of the one way to try.
    """
    shape = sample.bad.shape
    ways = _WAYS if only is None else (_WAYS[only],)
    candidates, alone = Candidates(len(ways), shape), np.zeros(shape)
    for k, (fitting, held, rows) in enumerate(folds):
        progress(f"interactions, fold {k + 1} of {len(folds)}")
        alone[rows] = plan.fit(fitting, seed).scores(held.data)
        if not max_rules:
            continue
        unseen = plan.unseen(fitting, seed)
        for i, way in enumerate(ways):
            start: Start = (unseen, alone[rows]) if way.begins_at_card else None
            booster = _grow(fitting, start, way.growth, way.most_trees(max_rules), seed, held)
            candidates.lengths[i].append(max(1, booster.best_iteration))
            candidates.scores[i][rows] = tree_scores(booster, held.data, BINARY)
    if not max_rules:
        return Grown(1.0, [], alone, None, {"n_trees": 0, "n_forests": 0})
    i, weights, intercept = _choose(sample, alone, candidates, ways)
    if weights[1] == 0:
        return Grown(1.0, [], alone, None, {"n_trees": 0, "n_forests": 0})
    way, n_trees = ways[i], candidates.length(i)
    n_rules = n_trees * int(way.growth["num_leaves"] - 1)
    n_forests = int(np.clip(max_rules // max(1, n_rules), 1, max_forests))
    start = (plan.unseen(sample, seed), None) if way.begins_at_card else None
    trees = []
    for f in range(n_forests):
        progress(f"interactions, forest {f + 1} of {n_forests}")
        booster = _grow(sample, start, way.growth, n_trees, seed + f)
        trees += _scaled(leaves_of(booster, sample.data), weights[1] / n_forests)
    choices = {
        "begins_at_card": way.begins_at_card,
        "growth": dict(way.growth),
        "n_trees": n_trees,
        "n_forests": n_forests,
        "card_weight": float(weights[0]),
        "trees_weight": float(weights[1]),
    }
    scores = weights[0] * alone + weights[1] * candidates.scores[i] + intercept
    return Grown(float(weights[0]), trees, scores, _WAYS.index(way), choices)


def _choose(
    sample: Sample, alone: Floats, candidates: Candidates, ways: Sequence[_Way]
) -> tuple[int, Floats, float]:
    """Return the way of least out-of-fold loss, and the weights of card and trees there.

    Where beginning at the card is as good, it is taken: more of the model then stands in the card.
    """
    stacked = [stack([alone, s], sample.bad, sample.weight, BINARY) for s in candidates.scores]
    losses = [
        row_losses(BINARY, w[0] * alone + w[1] * s + b, sample.bad)
        for (w, b), s in zip(stacked, candidates.scores, strict=True)
    ]
    share = sample.weight / sample.weight.sum()
    order = sorted(range(len(ways)), key=lambda i: float(share @ losses[i]))
    at_card = next((i for i in order if ways[i].begins_at_card), order[0])
    is_as_good = is_level(losses[at_card] - losses[order[0]], share, _ERRORS)
    i = at_card if is_as_good else order[0]
    return i, stacked[i][0], float(stacked[i][1][0])


def _grow(
    sample: Sample,
    start: Start,
    growth: dict[str, float],
    n_trees: int,
    seed: int,
    held: Sample | None = None,
) -> Any:
    valid = None if held is None else (held.data, held.bad, held.weight)
    if start is not None:
        start = start[0][:, 0], None if start[1] is None else start[1][:, 0]
    return grow(
        sample.data,
        sample.bad,
        sample.weight,
        BINARY,
        growth,
        n_trees,
        seed,
        valid,
        start=start,
        signs=sample.feature_signs,
    )


def _scaled(trees: list[list[Leaf]], by: float) -> list[list[Leaf]]:
    return [[(path, by * value) for path, value in leaves] for leaves in trees]


def whole(
    trees: Sequence[Sequence[Leaf]], per_log_odds: float
) -> list[list[tuple[tuple[int, ...], int]]]:
    """Round the leaves of each tree to whole points of score (which falls as log-odds of bad rise)."""
    rounded: NDArray[np.float64]
    out = []
    for leaves in trees:
        rounded = np.rint([-per_log_odds * value for _, value in leaves])
        out.append([(path, int(v)) for (path, _), v in zip(leaves, rounded, strict=True)])
    return out
