"""The rules part: the paths of boosted trees as sparse binary neurons.

A leaf of a tree that splits on bits is reached when certain bits are set and others are not: a binary
neuron with few connections and threshold 0 (RuleFit, Friedman & Popescu 2008, arXiv:0811.1679, reads
trees this way; He et al. 2014 feed the leaves to a linear model). LightGBM grows the trees on the
encoder's levels, so nothing is lost on the way to bits.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bimetal.errors import MissingExtraError
from bimetal.estimators.parts import Bits, Part
from bimetal.estimators.tasks import Floats, Task
from bimetal.program import Rules

try:
    import lightgbm
except ImportError as error:
    raise MissingExtraError("lightgbm", "train", "growing rules and teachers") from error

__all__ = ["GROWTHS", "grow", "leaves_of", "n_rules", "rules_part", "tree_scores"]


def _growth(
    num_leaves: int, rate: float, least: int, l2: float, columns: float = 1.0, rows: float = 1.0
) -> dict[str, float]:
    """Name a way to grow trees in LightGBM's words; `columns` and `rows` are the shares tried."""
    return {
        "num_leaves": num_leaves,
        "learning_rate": rate,
        "min_data_in_leaf": least,
        "lambda_l2": l2,
        "feature_fraction": columns,
        "bagging_fraction": rows,
        "bagging_freq": 1,
    }


GROWTHS: tuple[dict[str, float], ...] = (
    _growth(8, 0.05, least=10, l2=1, columns=0.5, rows=0.8),
    _growth(16, 0.05, least=20, l2=10, columns=0.5, rows=0.8),
    _growth(16, 0.08, least=20, l2=1, columns=0.5),
    _growth(31, 0.07, least=20, l2=0),
    _growth(31, 0.20, least=20, l2=0),
)
"""Ways to grow trees, from shallow to deep; validation chooses."""

ENOUGH_TO_RANK = 1_000
"""Held-out rows from which an AUC is steady enough to stop on."""

_OBJECTIVES = {"binary": "cross_entropy", "multiclass": "multiclass", "regression": "regression"}


def grow(
    data: Bits,
    targets: Floats,
    weight: Floats,
    task: Task,
    growth: dict[str, float],
    max_trees: int,
    seed: int,
    valid: tuple[Bits, Floats, Floats] | None = None,
    *,
    start: tuple[Floats, Floats | None] | None = None,
    signs: Sequence[int] | None = None,
    patience: int = 40,
) -> lightgbm.Booster:
    """Boost trees on levels; stop after `patience` trees that make `valid` no better.

    `valid` are data, targets and weight.
    `start` are scores to begin from, of the rows and of those in `valid`; `signs` say for each
    feature whether the score must not fall (1) or not rise (−1) with it, or is free (0).

    Where enough rows are held out, two classes stop on the ranking (AUC): trees go on to rank better
    long after they became too sure of themselves, and stacking puts their scale right.
    """
    few = max(1, min(int(growth["min_data_in_leaf"]), len(targets) // 10))
    params: dict[str, Any] = {
        **growth,
        "objective": _OBJECTIVES[task.kind],
        "min_data_in_leaf": few,
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "feature_pre_filter": False,
        "min_data_in_bin": 1,
        "max_bin": 255,
    }
    if task.kind == "multiclass":
        params["num_class"] = task.n_outputs
    if signs is not None and any(signs):
        params |= {
            "monotone_constraints": list(signs),
            "monotone_constraints_method": "intermediate",
        }
    begin, begin_valid = start or (None, None)
    train = lightgbm.Dataset(data.levels, _labels(task, targets), weight=weight, init_score=begin)
    if valid is None:
        return lightgbm.train(params, train, max_trees)
    vdata, vtargets, vweight = valid
    if task.kind == "binary" and len(vtargets) >= ENOUGH_TO_RANK:
        params["metric"] = "auc"
        vtargets = (vtargets > 0.5).astype(np.float64)
    vset = lightgbm.Dataset(
        vdata.levels,
        _labels(task, vtargets),
        weight=vweight,
        reference=train,
        init_score=begin_valid,
    )
    stop = lightgbm.early_stopping(patience, verbose=False)
    return lightgbm.train(params, train, max_trees, valid_sets=[vset], callbacks=[stop])


def _labels(task: Task, targets: Floats) -> Floats:
    return np.argmax(targets, axis=1) if task.kind == "multiclass" else targets[:, 0]


def tree_scores(
    booster: lightgbm.Booster, data: Bits, task: Task, n_trees: int | None = None
) -> Floats:
    """Scores of rows, float64 (n_rows, n_outputs)."""
    raw = booster.predict(data.levels, raw_score=True, num_iteration=n_trees, num_threads=1)
    return np.asarray(raw, dtype=np.float64).reshape(len(data.levels), task.n_outputs)


def n_rules(task: Task, growth: dict[str, float]) -> int:
    """Rules that one round of boosting adds at most: one leaf a tree is free (see `rules_part`)."""
    return task.n_outputs * int(growth["num_leaves"] - 1)


def rules_part(
    booster: lightgbm.Booster, data: Bits, task: Task, n_trees: int | None = None
) -> Part:
    """Turn trees, the first `n_trees` rounds of them or all, into sparse binary neurons.

    The leaves of a tree exclude each other, so one leaf a tree needs no neuron: its value goes to
    the bias and is subtracted from the others; the leaf with most literals is chosen. A path of one
    literal is the encoder's own bit and goes to `direct`. Equal paths of several trees are merged.
    """
    n_outputs, n_bits = task.n_outputs, data.bits.shape[1]
    bias, direct = np.zeros(n_outputs), np.zeros((n_outputs, n_bits))
    readout: dict[tuple[int, ...], Floats] = {}
    for i, leaves in enumerate(leaves_of(booster, data, n_trees)):
        free = max(range(len(leaves)), key=lambda k: len(leaves[k][0]))
        base, c = leaves[free][1], i % n_outputs
        bias[c] += base
        for path, value in leaves[:free] + leaves[free + 1 :]:
            readout.setdefault(path, np.zeros(n_outputs))[c] += value - base
    for path in [p for p in readout if len(p) == 1]:
        weight, (literal,) = readout.pop(path), path
        direct[:, literal >> 1] += -weight if literal & 1 else weight
        bias += weight if literal & 1 else 0.0
    rules = sorted(readout, key=lambda path: (len(path), path))
    if not rules:
        return Part("rules", (), direct, np.zeros((n_outputs, 0)), bias)
    op = Rules(
        1,
        np.array([literal for path in rules for literal in path], np.uint16),
        np.array([len(path) for path in rules], np.uint8),
    )
    return Part("rules", (op,), direct, np.stack([readout[p] for p in rules], axis=1), bias)


def leaves_of(
    booster: lightgbm.Booster, data: Bits, n_trees: int | None = None
) -> list[list[tuple[tuple[int, ...], float]]]:
    """Return the leaves of each tree: its path as literals ``2 * bit + negated``, and its value."""
    place = {bit: (f, at) for f, bits in enumerate(data.features) for at, bit in enumerate(bits)}
    trees = booster.dump_model(num_iteration=n_trees)["tree_info"]
    return [
        [(_tidy(path, place), value) for path, value in _paths(tree["tree_structure"], data)]
        for tree in trees
    ]


def _paths(node: dict[str, Any], data: Bits) -> Iterator[tuple[tuple[int, ...], float]]:
    stack: list[tuple[dict[str, Any], tuple[int, ...]]] = [(node, ())]
    while stack:
        here, path = stack.pop()
        if "leaf_value" in here and "left_child" not in here:
            yield path, float(here["leaf_value"])
            continue
        # level <= threshold goes left; level > threshold means that this cut's bit is set
        bit = data.features[here["split_feature"]][int(np.floor(here["threshold"]))]
        stack.append((here["left_child"], (*path, 2 * bit + 1)))
        stack.append((here["right_child"], (*path, 2 * bit)))


def _tidy(path: tuple[int, ...], place: dict[int, tuple[int, int]]) -> tuple[int, ...]:
    """Drop literals that others imply: of a thermometer only the highest set and the lowest clear."""
    kept: dict[tuple[int, int], tuple[int, int]] = {}
    for literal in path:
        feature, at = place[literal >> 1]
        negated = literal & 1
        tightest = kept.get((feature, negated), (at, literal))
        is_tighter = at < tightest[0] if negated else at > tightest[0]
        kept[feature, negated] = (at, literal) if is_tighter else tightest
    return tuple(sorted(literal for _, literal in kept.values()))
