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

from bimetal.estimators.ingredients import Candidates, Rows, is_level
from bimetal.estimators.stacking import stack
from bimetal.estimators.tasks import Floats, row_losses
from bimetal.estimators.trees import GROWTHS, grow, leaves_of, tree_scores
from bimetal.finance.credit.card import BINARY, Card, Sample

__all__ = ["Bag", "Grown", "Leaf", "fit_interactions", "whole"]

Start = tuple[Floats, Floats | None] | None
"""Scores to begin from, of the rows and of those held out; None for nothing."""
Leaf = tuple[tuple[int, ...], float]
"""Literals ``2 * bit + negated`` that must hold, and the log-odds of bad that the leaf adds."""


def _slow(leaves: int, least: int, l2: float, columns: float) -> dict[str, float]:
    return {
        "num_leaves": leaves,
        "learning_rate": 0.05,
        "min_data_in_leaf": least,
        "lambda_l2": l2,
        "feature_fraction": columns,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
    }


_SLOW = (_slow(8, 8, 1, 0.3), _slow(16, 20, 10, 0.3), _slow(4, 8, 0, 0.5))
_FAST = GROWTHS[2:]
_MOST_TREES = 1_500
_PATIENCE = 100
_ENOUGH_BAGS = 3


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


_WAYS = (
    *(_Way(False, growth) for growth in (*_SLOW, *_FAST)),
    *(_Way(True, growth) for growth in _FAST),
)
"""In the order in which they are preferred where validation sees no difference."""


@dataclass(frozen=True, eq=False)
class Bag:
    """Rows to learn from, rows left out and their numbers, and the card of the former."""

    fitting: Sample
    held: Sample
    rows: Rows
    card: Card

    def start(self, begins_at_card: bool) -> Start:
        """Return the scores that trees begin from."""
        if not begins_at_card:
            return None
        return self.card.scores(self.fitting.data), self.card.scores(self.held.data)


def fit_interactions(
    sample: Sample,
    folds: Sequence[Bag],
    bags: Sequence[Bag],
    card: Card,
    max_rules: int,
    seed: int,
    progress: Callable[[str], None],
    only: int | None = None,
) -> Grown:
    """Grow trees beside a card, in the way that validation likes best; none where no rule is allowed.

    Parameters
    ----------
    sample : Sample
        All rows.
    folds : sequence of Bag
        To choose by.
    bags : sequence of Bag
        To learn from.
    card : Card
        The mean of those of the bags.
    max_rules : int
    seed : int
    progress : callable
    only : int, optional
        The number of the one way to try.
    """
    ways = _WAYS if only is None else (_WAYS[only],)
    candidates, alone = Candidates(len(ways), sample.bad.shape), np.empty(sample.bad.shape)
    for k, fold in enumerate(folds):
        progress(f"interactions, fold {k + 1} of {len(folds)}")
        alone[fold.rows] = fold.card.scores(fold.held.data)
        for i, way in enumerate(ways if max_rules else ()):
            booster = _grow(
                fold.fitting,
                fold.start(way.begins_at_card),
                way.growth,
                way.most_trees(max_rules),
                seed,
                fold.held,
            )
            candidates.lengths[i].append(max(1, booster.best_iteration))
            candidates.scores[i][fold.rows] = tree_scores(booster, fold.held.data, BINARY)
    without = Grown(1.0, [], alone, None, {"n_trees": 0, "n_forests": 0})
    if not max_rules:
        return without
    i, weights, intercept = _choose(sample, alone, candidates, ways)
    if weights[1] == 0:
        return without
    way, n_trees = ways[i], candidates.length(i)
    forests = _forests(sample, bags, card, way, n_trees, max_rules, seed, progress)
    trees = [t for forest in forests for t in _scaled(forest, weights[1] / len(forests))]
    choices = {
        "begins_at_card": way.begins_at_card,
        "growth": dict(way.growth),
        "n_trees": n_trees,
        "n_forests": len(forests),
        "card_weight": float(weights[0]),
        "trees_weight": float(weights[1]),
    }
    scores = weights[0] * alone + weights[1] * candidates.scores[i] + intercept
    return Grown(float(weights[0]), trees, scores, _WAYS.index(way), choices)


def _forests(
    sample: Sample,
    bags: Sequence[Bag],
    card: Card,
    way: _Way,
    n_trees: int,
    max_rules: int,
    seed: int,
    progress: Callable[[str], None],
) -> list[list[list[Leaf]]]:
    """Grow the forests that are averaged.

    Where all of them fit, each leaves a share of the rows out and stops when those get no better
    (bagging: Breiman 1996), which steadies trees on short tables. Else as many as fit learn from all rows.
    """
    n_rules = max(1, n_trees * int(way.growth["num_leaves"] - 1))
    n_forests = int(np.clip(max_rules // n_rules, 1, len(bags)))
    most, forests = way.most_trees(max_rules // n_forests), []
    for f in range(n_forests):
        progress(f"interactions, forest {f + 1} of {n_forests}")
        if n_forests >= min(_ENOUGH_BAGS, len(bags)) > 1:
            bag = bags[f]
            start = bag.start(way.begins_at_card)
            booster = _grow(bag.fitting, start, way.growth, most, seed + f, bag.held)
            forests.append(leaves_of(booster, sample.data, max(1, booster.best_iteration)))
        else:
            start = (card.scores(sample.data), None) if way.begins_at_card else None
            booster = _grow(sample, start, way.growth, n_trees, seed + f)
            forests.append(leaves_of(booster, sample.data))
    return forests


def _choose(
    sample: Sample, alone: Floats, candidates: Candidates, ways: Sequence[_Way]
) -> tuple[int, Floats, float]:
    """Return the first way that is level with the best, and the weights of card and trees there.

    On a short table the least of nine losses is mostly luck; what is preferred averages well.
    """
    stacked = [stack([alone, s], sample.bad, sample.weight, BINARY) for s in candidates.scores]
    losses = [
        row_losses(BINARY, w[0] * alone + w[1] * s + b, sample.bad)
        for (w, b), s in zip(stacked, candidates.scores, strict=True)
    ]
    share = sample.weight / sample.weight.sum()
    least = min(losses, key=lambda loss: float(share @ loss))
    i = next(i for i, loss in enumerate(losses) if is_level(loss - least, share))
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
        patience=_PATIENCE,
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
