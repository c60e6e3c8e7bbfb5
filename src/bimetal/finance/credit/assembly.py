"""Card and interactions in whole points → one Program whose integer is the credit score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.columns import Column
from bimetal.estimators.assemble import N_GOLDEN, golden_rows
from bimetal.finance.credit.scaling import Scaling
from bimetal.program import Encode, Link, Op, Program, Readout, Rules

__all__ = ["Tree", "WholeModel", "assemble", "merged"]

Tree = Sequence[tuple[tuple[int, ...], int]]
"""All leaves of a tree: literals that hold there, and points of score."""
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WholeModel:
    """``bias + direct · bits + weights · rules``, in whole points of score.

    Attributes
    ----------
    direct : numpy.ndarray
        int64 (n_bits,).
    bias : int
    rules : mapping of tuple of int to int
        Points by path, none of them 0.
    """

    direct: Ints
    bias: int
    rules: dict[tuple[int, ...], int]


def merged(direct: Ints, bias: int, trees: Sequence[Tree]) -> WholeModel:
    """Add trees to a card.

    The leaves of a tree exclude each other, so one leaf a tree, the one of most literals, needs no
    neuron: its points go to the bias and are taken from the others. A path of one literal is a bit.
    """
    direct, rules = direct.copy(), dict[tuple[int, ...], int]()
    for leaves in trees:
        free = max(range(len(leaves)), key=lambda k: len(leaves[k][0]))
        base = leaves[free][1]
        bias += base
        for k, (path, value) in enumerate(leaves):
            if k == free or value == base:
                continue
            if len(path) > 1:
                rules[path] = rules.get(path, 0) + value - base
                continue
            literal = path[0]
            direct[literal >> 1] += base - value if literal & 1 else value - base
            bias += value - base if literal & 1 else 0
    return WholeModel(direct, bias, {path: w for path, w in rules.items() if w})


def assemble(
    columns: tuple[Column, ...],
    encode: Encode,
    model: WholeModel,
    scaling: Scaling,
    classes: tuple[Any, ...],
    provenance: dict[str, Any],
) -> Program:
    """Build the Program: bits, rules, points, and the sigmoid that the scaling states."""
    paths = sorted(model.rules, key=lambda path: (len(path), path))
    ops: list[Op] = [encode]
    weights = model.direct
    if paths:
        literals = np.array([literal for path in paths for literal in path], np.uint16)
        ops.append(Rules(1, literals, np.array([len(path) for path in paths], np.uint8)))
        weights = np.r_[weights, [model.rules[path] for path in paths]]
    inputs = (1, 2) if paths else (1,)
    ops.append(Readout(inputs, _narrow(weights)[None], np.array([model.bias], np.int32)))
    scale, offset = scaling.link()
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    ops.append(Link(len(ops), "sigmoid", np.array([scale]), np.array([offset]), *none))
    program = Program(columns, tuple(ops), classes, provenance)
    golden_x = golden_rows(program, N_GOLDEN)
    return replace(program, golden_x=golden_x, golden_y=reference.run(program, golden_x))


def _narrow(weights: Ints) -> NDArray[Any]:
    return weights.astype(np.int16 if np.abs(weights).max(initial=0) < 2**15 else np.int32)
