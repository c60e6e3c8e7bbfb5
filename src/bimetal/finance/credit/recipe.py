"""The recipe of a scorecard: bits, trends, a card, interactions, whole points."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bimetal.errors import DataError
from bimetal.estimators.base import RowsTable
from bimetal.estimators.ingredients import Rows, is_level
from bimetal.estimators.linear import PENALTIES
from bimetal.estimators.tasks import row_losses
from bimetal.finance.credit.assembly import Tree, WholeModel, assemble, merged
from bimetal.finance.credit.card import BINARY, Fold, Plan, Sample, bags, mean_card, plan_card
from bimetal.finance.credit.interactions import Bag, fit_interactions, whole
from bimetal.finance.credit.scaling import Scaling
from bimetal.finance.credit.trends import check_trends, kept_shares, likely_trends, signs_of
from bimetal.program import Program

__all__ = ["Baked", "Options", "bake"]

Floats = NDArray[np.float64]
_N_BAGS = 5
"""Cards, and forests where they fit, that are averaged; each leaves a fifth of the rows out."""
_TRIES = ((0.65, 0.5), (0.85, 1.0))
"""Trends found are tried from generous to strict: which share of a free model's movement must go along
each, and how many standard errors of the out-of-fold loss they may cost together."""
_LITTLE = 0.001
"""The share of the loss that trends may cost besides: of many rows a standard error is next to nothing, and
a promise is worth more than that."""


@dataclass(frozen=True)
class Options:
    """See `BinaryScorecard` for the meaning of each."""

    trends: Mapping[str, int] | str | None
    max_rules: int
    max_forests: int
    n_folds: int
    scaling: Scaling
    bad_rate: float | None
    seed: int


@dataclass(frozen=True, eq=False)
class Baked:
    """What came out.

    Attributes
    ----------
    encoder : Encoder
    card, model : WholeModel
        The card alone, and with interactions; each calibrated to the mean of the training rows.
    card_direct : numpy.ndarray
        int64 (n_bits,): the block of the card in the proof.
    trees : list of Tree
        The blocks of the interactions.
    trends : dict
    oof_points : numpy.ndarray
        float64 (n_rows,): out-of-fold points, not rounded.
    choices : dict
    way : int or None
        See `Grown`.
    penalty : float
        Of the card's ridge regression.
    """

    encoder: Any
    card: WholeModel
    model: WholeModel
    card_direct: NDArray[np.int64]
    trees: Sequence[Tree]
    trends: dict[str, int]
    oof_points: Floats
    choices: dict[str, Any]
    way: int | None
    penalty: float


def bake(
    table: RowsTable,
    bad: Floats,
    weight: Floats,
    options: Options,
    progress: Callable[[str], None],
) -> Baked:
    """Fit a scorecard.

    Parameters
    ----------
    table : RowsTable
        The rows.
    bad : numpy.ndarray
        float64 (n_rows,): 1 for bad.
    weight : numpy.ndarray
        float64 (n_rows,).

    Raises
    ------
    DataError
        When a class has fewer than two rows.
    """
    return _Oven(table, bad, weight, options, progress).bake()


class _Oven:
    def __init__(
        self,
        table: RowsTable,
        bad: Floats,
        weight: Floats,
        options: Options,
        progress: Callable[[str], None],
    ) -> None:
        self.table, self.bad, self.weight = table, bad, weight
        self.options, self.progress = options, progress
        self.everything = np.arange(len(bad))
        self.encoder = table.fit_encoder(self.everything)
        self.trends: dict[str, int] = {}

    def bake(self) -> Baked:
        given = self.options.trends
        if isinstance(given, str):
            if given != "auto":
                raise DataError(f"trends must be 'auto', None or signs by column, got {given!r}")
            return self._with_trends_found(self._baked())
        if given:
            check_trends(given, self.encoder.columns_, self.encoder.op_)
            self.trends = dict(given)
        return self._baked()

    def _with_trends_found(self, free: Baked) -> Baked:
        """Promise what data and a free model agree on, unless that costs accuracy out of fold."""
        columns, op = self.encoder.columns_, self.encoder.op_
        data = self.table.bits(self.encoder, self.everything)
        likely = likely_trends(columns, op, data, self.bad, self.weight)
        kept = kept_shares(self._program(free), self.table.training.rows, likely)
        for least, errors in _TRIES:
            trends = {name: sign for name, sign in likely.items() if kept[name] >= least}
            if trends and trends != self.trends:
                self.trends = trends
                held = self._baked(free)
                if self._costs_little(held, free, errors):
                    return held
        self.trends = {}
        return free

    def _costs_little(self, held: Baked, free: Baked, errors: float) -> bool:
        """Tell whether the out-of-fold loss rises by at most so many standard errors and a little."""
        scale, offset = self.options.scaling.link()
        losses = [
            row_losses(BINARY, (offset + scale * baked.oof_points)[:, None], self.bad[:, None])
            for baked in (held, free)
        ]
        share = self.weight / self.weight.sum()
        little = _LITTLE * float(share @ losses[1])
        return is_level(losses[0] - losses[1] - little, share, errors)

    def _program(self, baked: Baked) -> Program:
        return assemble(
            baked.encoder.columns_, baked.encoder.op_, baked.model, self.options.scaling, (0, 1), {}
        )

    def _baked(self, like: Baked | None = None) -> Baked:
        """Bake; in the way, and with the penalty, of a model that was baked before."""
        options = self.options
        way, penalties = (like.way, (like.penalty,)) if like else (None, PENALTIES)
        sample = self._sample(self.encoder, self.everything)
        splits = bags(sample, options.n_folds, options.seed)
        folds = [self._fold(fitting, held) for fitting, held in splits]
        plan = plan_card(sample, folds, options.seed, self.progress, penalties)
        parts = [
            self._bag(plan, sample, k, *rows)
            for k, rows in enumerate(bags(sample, _N_BAGS, options.seed))
        ]
        card = mean_card([part.card for part in parts])
        grown = fit_interactions(
            sample,
            [Bag(*fold, card) for fold, card in zip(folds, plan.cards, strict=True)],
            parts,
            card,
            options.max_rules,
            options.max_forests,
            options.seed,
            self.progress,
            way,
        )
        per = options.scaling.points_per_log_odds
        blocks = whole(grown.trees, per)
        direct = np.rint(-per * grown.card_weight * card.direct).astype(np.int64)
        alone = merged(np.rint(-per * card.direct).astype(np.int64), 0, [])
        together = merged(direct, 0, blocks)
        return Baked(
            self.encoder,
            self._centred(alone, sample),
            self._centred(together, sample),
            direct,
            blocks,
            dict(self.trends),
            options.scaling.points(grown.scores[:, 0]),
            plan.choices() | grown.choices,
            grown.way,
            plan.penalty,
        )

    def _sample(self, encoder: Any, rows: Rows) -> Sample:
        data = self.table.bits(encoder, rows)
        signs = signs_of(self.trends, encoder.columns_, encoder.op_, data)
        return Sample(data, self.bad[rows, None], self.weight[rows], *signs)

    def _fold(self, fitting: Rows, held: Rows) -> Fold:
        encoder = self.table.fit_encoder(fitting)
        return self._sample(encoder, fitting), self._sample(encoder, held), held

    def _bag(self, plan: Plan, sample: Sample, k: int, fitting: Rows, left: Rows) -> Bag:
        within, held = sample.take(fitting), sample.take(left)
        return Bag(within, held, left, plan.fit(within, held, self.options.seed + k))

    def _centred(self, model: WholeModel, sample: Sample) -> WholeModel:
        """Set the bias so that the mean probability of the rows is their bad rate, or the one given."""
        points = _points(model, sample.data.bits)
        scale, offset = self.options.scaling.link()
        rate = self.options.bad_rate or float(np.average(self.bad, weights=self.weight))
        shift = _bias(offset + scale * points, scale, rate, self.weight)
        return WholeModel(model.direct, model.bias + shift, model.rules)


def _points(model: WholeModel, bits: NDArray[np.bool_]) -> Floats:
    points = (bits @ model.direct + model.bias).astype(np.float64)
    for path, value in model.rules.items():
        held = np.ones(len(bits), bool)
        for literal in path:
            held &= bits[:, literal >> 1] != bool(literal & 1)
        points[held] += value
    return points


def _bias(log_odds: Floats, scale: float, rate: float, weight: Floats) -> int:
    """Solve mean(sigmoid(log_odds + scale * bias)) = rate by bisection, in whole points."""
    low, high = -(2**22), 2**22
    while high - low > 1:
        middle = (low + high) // 2
        mean = np.average(expit(log_odds + scale * middle), weights=weight)
        low, high = (middle, high) if mean > rate else (low, middle)
    return high
