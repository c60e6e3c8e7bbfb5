"""Interactions: boosted trees beside the card, as sparse binary neurons of whole points.

They begin at nothing and share the weight with the card, or begin at its scores and learn what is
missing; validation chooses among a few ways. The leaves of a tree are conjunctions of bits; their values
are rounded to whole points tree by tree. Rounding keeps order, so a tree that is monotone in a column stays
so, and so does the sum: each tree is one block of the proof.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.estimators.ingredients import Rows, is_level
from bimetal.estimators.stacking import stack
from bimetal.estimators.tasks import Floats, row_losses
from bimetal.estimators.trees import GROWTHS, grow, leaves_of, tree_scores
from bimetal.finance.credit.card import BINARY, Card, Sample

__all__ = ["Bag", "Grown", "Leaf", "fit_interactions", "whole"]

Start = tuple[Floats, Floats | None] | None
"""Scores to begin from, of the rows and of those held out; None for nothing."""
Leaf = tuple[tuple[int, ...], float]
"""Literals ``2 * bit + negated`` that must hold, and the log-odds of bad that the leaf adds."""


def _growth(leaves: int, rate: float, least: int, l2: float, columns: float) -> dict[str, float]:
    return {
        "num_leaves": leaves,
        "learning_rate": rate,
        "min_data_in_leaf": least,
        "lambda_l2": l2,
        "feature_fraction": columns,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
    }


_SMALL = (_growth(4, 0.1, 8, 0, 0.5), _growth(8, 0.1, 8, 1, 0.3))
_SLOW = (_growth(16, 0.05, 20, 10, 0.3), _growth(4, 0.05, 8, 0, 0.5))
_FAST = GROWTHS[2:]
_MOST_TREES = 1_500
_PATIENCE = 100
"""Trees that may come to nothing before growth stops: with slow trees an AUC rests for dozens."""
_ENOUGH_BAGS = 3
"""Forests from which a mean of bags, each without a fifth of the rows, beats learning from them all."""


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
    """How trees grow: from the card's scores or from nothing, and in LightGBM's words.

    A forest has trees of each growth; their mean steadies short tables, which do not tell growths apart.
    """

    begins_at_card: bool
    growths: tuple[dict[str, float], ...]

    def most_trees(self, max_rules: int) -> list[int]:
        """Return how many trees of each growth a number of rules allows."""
        share = max_rules // len(self.growths)
        return [min(_MOST_TREES, max(1, share // _n_rules(g))) for g in self.growths]

    def fits(self, max_rules: int) -> bool:
        """Tell whether a number of rules allows a tree of each growth."""
        return sum(map(_n_rules, self.growths)) <= max_rules


def _n_rules(growth: dict[str, float]) -> int:
    return int(growth["num_leaves"] - 1)


_WAYS = (
    _Way(False, _SMALL),
    *(_Way(False, (growth,)) for growth in (*_SLOW, *_FAST)),
    *(_Way(True, (growth,)) for growth in _FAST),
)
"""In the order in which they are preferred where validation sees no difference."""


@dataclass(frozen=True, eq=False)
class Bag:
    """Rows to learn from, rows left out (if any) with their numbers, and the card of the former."""

    fitting: Sample
    held: Sample | None
    rows: Rows
    card: Card

    def start(self, begins_at_card: bool) -> Start:
        """Return the scores that trees begin from, of the rows and of those left out."""
        if not begins_at_card:
            return None
        left = None if self.held is None else self.card.scores(self.held.data)[:, 0]
        return self.card.scores(self.fitting.data)[:, 0], left


def fit_interactions(
    sample: Sample,
    folds: Sequence[Bag],
    bags: Sequence[Bag],
    card: Card,
    max_rules: int,
    max_forests: int,
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
    max_rules, max_forests : int
        Sparse binary neurons in all, and forests that are averaged, at most.
    seed : int
    progress : callable
    only : int, optional
        The number of the one way to try.
    """
    ways = [way for way in (_WAYS if only is None else (_WAYS[only],)) if way.fits(max_rules)]
    alone, scores = np.empty(sample.bad.shape), [np.empty(sample.bad.shape) for _ in ways]
    lengths: list[list[list[int]]] = [[] for _ in ways]
    for k, fold in enumerate(folds):
        progress(f"interactions, fold {k + 1} of {len(folds)}")
        assert fold.held is not None
        alone[fold.rows] = fold.card.scores(fold.held.data)
        for i, way in enumerate(ways):
            boosters = _boosted(fold, way, way.most_trees(max_rules), seed)
            lengths[i].append([_length(booster) for booster in boosters])
            each = [tree_scores(booster, fold.held.data, BINARY) for booster in boosters]
            scores[i][fold.rows] = np.mean(each, axis=0)
    without = Grown(1.0, [], alone, None, {"n_trees": 0, "n_forests": 0})
    if not ways:
        return without
    i, weights, intercept = _choose(sample, alone, scores)
    if weights[1] == 0:
        return without
    way, n_trees = ways[i], [max(1, round(n)) for n in np.mean(lengths[i], axis=0)]
    forests = _forests(sample, bags, card, way, n_trees, max_rules, max_forests, seed, progress)
    trees = [t for forest in forests for t in _scaled(forest, weights[1] / len(forests))]
    choices = {
        "begins_at_card": way.begins_at_card,
        "growths": [dict(growth) for growth in way.growths],
        "n_trees": sum(n_trees),
        "n_forests": len(forests),
        "card_weight": float(weights[0]),
        "trees_weight": float(weights[1]),
    }
    out_of_fold = weights[0] * alone + weights[1] * scores[i] + intercept
    return Grown(float(weights[0]), trees, out_of_fold, _WAYS.index(way), choices)


def _forests(
    sample: Sample,
    bags: Sequence[Bag],
    card: Card,
    way: _Way,
    n_trees: Sequence[int],
    max_rules: int,
    max_forests: int,
    seed: int,
    progress: Callable[[str], None],
) -> list[list[list[Leaf]]]:
    """Grow the forests that are averaged.

    Where several fit, each leaves a share of the rows out and stops when those get no better
    (bagging: Breiman 1996), which steadies trees on short tables. Else one or two learn from all rows.
    """
    n_rules = sum(n * _n_rules(growth) for n, growth in zip(n_trees, way.growths, strict=True))
    n_forests = int(np.clip(max_rules // max(1, n_rules), 1, min(max_forests, len(bags))))
    everything = Bag(sample, None, np.arange(len(sample.bad)), card)
    is_bagged = n_forests >= min(_ENOUGH_BAGS, len(bags))
    most, forests = way.most_trees(max_rules // n_forests) if is_bagged else n_trees, []
    for f in range(n_forests):
        progress(f"interactions, forest {f + 1} of {n_forests}")
        boosters = _boosted(bags[f] if is_bagged else everything, way, most, seed + f)
        grown = [
            leaves_of(booster, sample.data, _length(booster) if is_bagged else None)
            for booster in boosters
        ]
        forests.append([tree for trees in grown for tree in _scaled(trees, 1 / len(grown))])
    return forests


def _choose(sample: Sample, alone: Floats, scores: Sequence[Floats]) -> tuple[int, Floats, float]:
    """Return the first way that is level with the best, and the weights of card and trees there.

    On a short table the least of nine losses is mostly luck; what is preferred averages well.
    """
    stacked = [stack([alone, s], sample.bad, sample.weight, BINARY) for s in scores]
    losses = [
        row_losses(BINARY, w[0] * alone + w[1] * s + b, sample.bad)
        for (w, b), s in zip(stacked, scores, strict=True)
    ]
    share = sample.weight / sample.weight.sum()
    least = min(losses, key=lambda loss: float(share @ loss))
    i = next(i for i, loss in enumerate(losses) if is_level(loss - least, share))
    return i, stacked[i][0], float(stacked[i][1][0])


def _boosted(bag: Bag, way: _Way, most: Sequence[int], seed: int) -> list[Any]:
    """Boost trees of each growth; with rows left out, until those get no better."""
    held, start = bag.held, bag.start(way.begins_at_card)
    return [
        grow(
            bag.fitting.data,
            bag.fitting.bad,
            bag.fitting.weight,
            BINARY,
            growth,
            n,
            seed,
            None if held is None else (held.data, held.bad, held.weight),
            start=start,
            signs=bag.fitting.feature_signs,
            patience=_PATIENCE,
        )
        for growth, n in zip(way.growths, most, strict=True)
    ]


def _length(booster: Any) -> int:
    return max(1, int(booster.best_iteration))


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
