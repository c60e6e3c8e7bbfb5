"""The recipe of the default estimators: three parts, judged on rows they have not seen, then stacked.

For each fold the encoder and every part are fitted on the other folds and scored on this one, so that
each row gets an out-of-fold score from each part. Those scores choose the penalty of the linear part
and the growth of the trees, and a non-negative regression on them gives each part its weight
(stacking: Wolpert 1992; non-negative: Breiman 1996). A part that adds nothing gets weight 0 and leaves
no trace in the Program. Then everything is fitted again on all rows.

With a teacher, the linear part and the members learn from a mix of labels and the teacher's answers.
The "auto" teacher is the boosted trees themselves, asked only about rows they were not grown on:
otherwise it would teach its own overfitting.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from bimetal.estimators.ingredients import Candidates, Fitted, Progress, Recipe, Rows, Table
from bimetal.estimators.linear import PENALTIES, linear_part, linear_path, linear_scores
from bimetal.estimators.members import (
    fit_members,
    member_scores,
    members_bytes,
    members_part,
)
from bimetal.estimators.parts import Bits, Part
from bimetal.estimators.stacking import stack
from bimetal.estimators.tasks import Floats, Task, mean_loss, probabilities, row_losses
from bimetal.estimators.trees import GROWTHS, grow, n_rules, rules_part, tree_scores
from bimetal.nn import Epoch, History

__all__ = ["cook"]

MAX_TREES = 1_500
N_INNER = 3
ENCODE_BYTES, POINT_BYTES = 7, 2  # of one encoder bit, of one int16 point
LARGE = 4_000
"""Rows above which three folds suffice."""


def cook(
    table: Table,
    targets: Floats,
    labels: NDArray[np.intp] | None,
    weight: Floats,
    soft: Floats | None,
    task: Task,
    recipe: Recipe,
    progress: Progress,
) -> Fitted:
    """Fit a model by the recipe.

    Parameters
    ----------
    table : Table
        The rows.
    targets : numpy.ndarray
        float64 (n_rows, n_outputs): 0 and 1, or standardised numbers.
    labels : numpy.ndarray or None
        Class numbers for stratified folds; None for a regression.
    weight : numpy.ndarray
        float64 (n_rows,).
    soft : numpy.ndarray or None
        Answers of an outside teacher, in the space of `targets`.
    task, recipe : Task, Recipe
        What is learned, and how.
    progress : callable
        Called with a text and the share of the work done, 0 to 1.
    """
    return _Kitchen(table, targets, weight, soft, task, recipe, progress).cook(labels)


class _Kitchen:
    def __init__(
        self,
        table: Table,
        targets: Floats,
        weight: Floats,
        soft: Floats | None,
        task: Task,
        recipe: Recipe,
        progress: Progress,
    ) -> None:
        self.table, self.targets, self.weight, self.soft = table, targets, weight, soft
        self.task, self.recipe, self.progress = task, recipe, progress
        self.linear = Candidates(len(PENALTIES), targets.shape)
        self.rules = Candidates(len(GROWTHS), targets.shape)
        self.members = Candidates(1, targets.shape)
        self.histories: list[History] = []
        self.seen = np.zeros(len(targets), dtype=bool)

    def cook(self, labels: NDArray[np.intp] | None) -> Fitted:
        folds = _folds(len(self.targets), labels, self.recipe)
        if not folds:
            return self._only_linear()
        for number, (fitting, held_out) in enumerate(folds):
            self.progress(f"fold {number + 1} of {len(folds)}", number / (len(folds) + 1))
            self._fold(fitting, held_out)
            if self._was_interrupted:
                break
        self.progress("all rows", len(folds) / (len(folds) + 1))
        return self._all_rows()

    @property
    def _was_interrupted(self) -> bool:
        return any(history.was_interrupted for history in self.histories)

    def _loss(self, scores: Floats, rows: Rows) -> float:
        return mean_loss(self.task, scores, self.targets[rows], self.weight[rows])

    def _scaled_losses(self, scores: Floats, rows: Rows) -> Floats:
        """Losses of rows after the best scale and shift: stacking will find them anyway."""
        targets = self.targets[rows]
        (scale,), shift = stack([scores], targets, self.weight[rows], self.task)
        return row_losses(self.task, scale * scores + shift, targets)

    def _best(self, candidates: Candidates, rows: Rows) -> int:
        return candidates.best(rows, self.weight, self._scaled_losses)

    def _max_trees(self, i: int) -> int:
        return max(1, min(MAX_TREES, self.recipe.max_rules // n_rules(self.task, GROWTHS[i])))

    def _fold(self, fitting: Rows, held_out: Rows) -> None:
        """Fit everything on some rows and score it on the others."""
        encoder = self.table.fit_encoder(fitting)
        data, other = self.table.bits(encoder, fitting), self.table.bits(encoder, held_out)
        valid = self.targets[held_out], self.weight[held_out]
        if self.recipe.max_rules:
            for i in range(len(GROWTHS)):
                booster = self._grow(data, fitting, i, self._max_trees(i), (other, *valid))
                self.rules.lengths[i].append(max(1, booster.best_iteration))
                self.rules.scores[i][held_out] = tree_scores(booster, other, self.task)
        mixed = self._mixed(fitting, self._taught(data, fitting, held_out))
        if self.recipe.use_linear:
            path = linear_path(data.bits, mixed, self.weight[fitting], self.task)
            for i in range(len(PENALTIES)):
                self.linear.scores[i][held_out] = linear_scores(path[i], other.bits)
        if self.recipe.members:
            net, history = fit_members(
                data.bits,
                mixed,
                self.weight[fitting],
                self.task,
                self.recipe.members,
                (other.bits, *valid),
                progress=self._epoch,
            )
            self.histories.append(history)
            self.members.lengths[0].append(max(1, history.best_epoch))
            self.members.scores[0][held_out] = member_scores(net, other.bits)
        self.seen[held_out] = True

    def _epoch(self, epoch: Epoch) -> None:
        self.progress(f"members, epoch {epoch.number}", math.nan)

    def _grow(
        self,
        data: Bits,
        rows: Rows,
        i: int,
        n_trees: int,
        valid: tuple[Bits, Floats, Floats] | None = None,
    ) -> Any:
        targets = self.targets[rows]
        if self.soft is not None and self.task.kind != "multiclass":
            targets = self._mixed(rows, self.soft[rows])
        return grow(
            data,
            targets,
            self.weight[rows],
            self.task,
            GROWTHS[i],
            n_trees,
            self.recipe.seed,
            valid,
        )

    def _taught(self, data: Bits, rows: Rows, held_out: Rows) -> Floats | None:
        """Return the teacher's answers on `rows`; the auto teacher never saw `held_out`."""
        if not self.recipe.distil:
            return None
        if self.soft is not None:
            return self.soft[rows]
        i = self._best(self.rules, held_out)
        n_trees = self.rules.lengths[i][-1]
        answers = np.empty((len(rows), self.task.n_outputs))
        for fitting, asked in KFold(N_INNER, shuffle=True, random_state=self.recipe.seed).split(
            rows
        ):
            booster = self._grow(data.take(fitting), rows[fitting], i, n_trees)
            answers[asked] = tree_scores(booster, data.take(asked), self.task)
        return probabilities(self.task, answers)

    def _mixed(self, rows: Rows, taught: Floats | None) -> Floats:
        if taught is None:
            return self.targets[rows]
        return (1 - self.recipe.distil) * self.targets[rows] + self.recipe.distil * taught

    def _all_rows(self) -> Fitted:
        """Weigh the parts by their out-of-fold scores, then fit those that count on all rows."""
        seen = np.flatnonzero(self.seen)
        chosen = {name: self._best(c, seen) for name, c in self._candidates().items()}
        scores = [self._candidates()[name].scores[i][seen] for name, i in chosen.items()]
        weights, intercept = stack(scores, self.targets[seen], self.weight[seen], self.task)
        total = np.tensordot(weights, np.stack(scores), axes=1) + intercept
        losses = {name: self._loss(s, seen) for name, s in zip(chosen, scores, strict=True)}
        teacher = self._teacher_scores(chosen)
        everything = np.arange(len(self.targets))
        encoder = self.table.fit_encoder(everything)
        data = self.table.bits(encoder, everything)
        taught = None if teacher is None else probabilities(self.task, teacher)
        counting = {name: i for (name, i), w in zip(chosen.items(), weights, strict=True) if w > 0}
        room = self._room(data, "members" in counting)
        parts = [
            self._part(name, i, data, taught, room)
            if name in counting
            else _nothing(name, data, self.task)
            for name, i in chosen.items()
        ]
        oof = np.full(self.targets.shape, np.nan)
        oof[seen] = total
        return Fitted(
            encoder,
            parts,
            weights,
            intercept,
            losses | {"stacked": self._loss(total, seen)},
            self._choices(chosen),
            oof,
            teacher,
            self.histories,
        )

    def _candidates(self) -> dict[str, Candidates]:
        recipe = self.recipe
        used = {
            "linear": recipe.use_linear,
            "rules": recipe.max_rules > 0,
            "members": recipe.members is not None,
        }
        return {name: getattr(self, name) for name, is_used in used.items() if is_used}

    def _teacher_scores(self, chosen: dict[str, int]) -> Floats | None:
        if not self.recipe.distil:
            return None
        if self.soft is None:
            scores = self.rules.scores[chosen["rules"]]
            unseen = ~self.seen[:, None]  # after Ctrl-C some rows have no out-of-fold score
            fallback = np.nanmean(scores, axis=0, keepdims=True)
            return np.where(unseen, fallback, scores)
        if self.task.kind == "regression":
            return self.soft
        p = np.clip(self.soft, 1e-6, 1 - 1e-6)
        return np.asarray(np.log(p) - (np.log1p(-p) if self.task.kind == "binary" else 0.0))

    def _room(self, data: Bits, has_members: bool) -> int:
        """Bytes left for rules when everything else is in the file."""
        n_in, n_outputs = data.bits.shape[1], self.task.n_outputs
        taken: int = n_in * (ENCODE_BYTES + POINT_BYTES * n_outputs)
        if has_members and self.recipe.members:
            taken += members_bytes(self.recipe.members, n_in, n_outputs)
        return self.recipe.max_bytes - taken

    def _rules_within(self, data: Bits, i: int, room: int) -> Part:
        """Grow trees on all rows and keep as many, from the first, as fit the room."""
        n_trees = self.rules.length(i)
        booster = self._grow(data, np.arange(len(self.targets)), i, n_trees)
        while True:
            part = rules_part(booster, data, self.task, n_trees)
            size = sum(a.nbytes for op in part.ops for a in op.arrays().values())
            size += POINT_BYTES * part.hidden.size
            if size <= max(room, 0) or n_trees == 1:
                return part
            n_trees = max(1, int(n_trees * min(0.97, room / size)))

    def _part(self, name: str, i: int, data: Bits, taught: Floats | None, room: int) -> Part:
        rows = np.arange(len(self.targets))
        mixed = self._mixed(rows, taught)
        if name == "rules":
            return self._rules_within(data, i, room)
        if name == "linear":
            path = linear_path(data.bits, mixed, self.weight, self.task, PENALTIES[: i + 1])
            return linear_part(path[-1])
        assert self.recipe.members is not None
        net, history = fit_members(
            data.bits,
            mixed,
            self.weight,
            self.task,
            self.recipe.members,
            n_epochs=self.members.length(0),
            progress=self._epoch,
        )
        self.histories.append(history)
        return members_part(net)

    def _choices(self, chosen: dict[str, int]) -> dict[str, Any]:
        choices: dict[str, Any] = {}
        if "linear" in chosen:
            choices["penalty"] = PENALTIES[chosen["linear"]]
        if "rules" in chosen:
            choices["growth"] = dict(GROWTHS[chosen["rules"]])
            choices["n_trees"] = self.rules.length(chosen["rules"])
        if "members" in chosen:
            choices["n_epochs"] = self.members.length(0)
        return choices

    def _only_linear(self) -> Fitted:
        """Fit too few rows for folds: the linear part alone, at a middling penalty."""
        rows = np.arange(len(self.targets))
        encoder = self.table.fit_encoder(rows)
        data = self.table.bits(encoder, rows)
        path = linear_path(data.bits, self.targets, self.weight, self.task, [1.0])
        return Fitted(
            encoder,
            [linear_part(path[0])],
            np.ones(1),
            np.zeros(self.task.n_outputs),
            choices={"penalty": 1.0},
        )


def _folds(n: int, labels: NDArray[np.intp] | None, recipe: Recipe) -> list[tuple[Rows, Rows]]:
    wanted = min(recipe.n_folds, 3) if n > LARGE else recipe.n_folds
    if n < 20:
        return []
    if labels is None:
        return list(
            KFold(min(wanted, n), shuffle=True, random_state=recipe.seed).split(np.zeros(n))
        )
    counts = np.bincount(labels)
    if (counts > 1).sum() < 2:
        return []
    labels = np.where(counts[labels] > 1, labels, counts.argmax())  # a lone row goes with the most
    fewest = int(counts[counts > 1].min())
    splitter = StratifiedKFold(min(wanted, fewest), shuffle=True, random_state=recipe.seed)
    return list(splitter.split(np.zeros(n), labels))


def _nothing(name: str, data: Bits, task: Task) -> Part:
    zeros = np.zeros((task.n_outputs, data.bits.shape[1]))
    return Part(name, (), zeros, np.zeros((task.n_outputs, 0)), np.zeros(task.n_outputs))
