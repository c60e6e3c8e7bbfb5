"""Programs made of monotone boosted trees, and the trees as blocks, as a scorecard's training makes them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.estimators.parts import Bits, levels_of
from bimetal.explain.blocks import Block
from bimetal.program import EQ, GE, MISSING, Encode, Link, Op, Program, Readout, Rules
from bimetal.reference import tables

SCALE = 200.0
"""Points of one unit of log-odds."""


def small_encode(n_numbers: int = 3, n_cuts: int = 4) -> tuple[tuple[Column, ...], Encode]:
    """Numbers with cut-points 1, 2, …, a missing bit and a special code, and a category of four."""
    columns = (
        *(Column(f"x{j}") for j in range(n_numbers)),
        Column("home", "category", tuple("abcd")),
    )
    tests = [
        test
        for j in range(n_numbers)
        for test in [*((j, GE, c + 1) for c in range(n_cuts)), (j, EQ, -9), (j, MISSING, 0)]
    ]
    tests += [(n_numbers, EQ, 0), (n_numbers, EQ, 2), (n_numbers, MISSING, 0)]
    column, kind, value = zip(*tests, strict=True)
    specials = np.arange(n_numbers, dtype="u2"), np.full(n_numbers, -9, "f4")
    return columns, Encode(
        np.array(column, "u2"), np.array(kind, "u1"), np.array(value, "f4"), *specials
    )


def small_rows(n: int, seed: int, n_numbers: int = 3, n_cuts: int = 4) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows = np.empty((n, n_numbers + 1), np.float32)
    for j in range(n_numbers):
        rows[:, j] = rng.choice([*np.arange(n_cuts + 1) + 0.5, -9, np.nan], n)
    rows[:, -1] = rng.choice([-1, 0, 1, 2, 3, np.nan], n)
    return rows


def program_of(
    columns: tuple[Column, ...],
    encode: Encode,
    blocks: Sequence[Block] = (),
    direct: Sequence[int] | NDArray[np.int64] | None = None,
    bias: int = 0,
) -> Program:
    """Add trees up: one leaf of each goes to the bias, equal leaves are one rule, single literals bits."""
    points = (
        np.zeros(len(encode.column), np.int64) if direct is None else np.array(direct, np.int64)
    )
    rules: dict[tuple[int, ...], int] = {}
    for block in blocks:
        free = max(range(len(block.leaves)), key=lambda k: len(block.leaves[k][0]))
        base = block.leaves[free][1]
        bias += base
        for k, (path, value) in enumerate(block.leaves):
            if k != free:
                rules[path] = rules.get(path, 0) + value - base
    for path in [p for p in rules if len(p) == 1]:
        weight, (literal,) = rules.pop(path), path
        points[literal >> 1] += -weight if literal & 1 else weight
        bias += weight if literal & 1 else 0
    return from_rules(columns, encode, rules, points, bias)


def from_rules(
    columns: tuple[Column, ...],
    encode: Encode,
    rules: dict[tuple[int, ...], int],
    direct: NDArray[np.int64],
    bias: int,
) -> Program:
    ops: list[Op] = [encode]
    if rules:
        literals = np.array([n for path in rules for n in path], "u2")
        ops.append(Rules(1, literals, np.array([len(path) for path in rules], "u1")))
    weights = np.array([[*direct.tolist(), *rules.values()]], "i4")
    ops.append(Readout((1, 2) if rules else (1,), weights, np.array([bias], "i4")))
    no = np.zeros(0, "f4")
    ops.append(Link(len(ops), "sigmoid", np.full(1, -1 / SCALE), np.zeros(1), no.astype("i4"), no))
    return Program(columns, tuple(ops), ("good", "bad"))


def grown(
    encode: Encode,
    rows: NDArray[np.float32],
    bad: NDArray[Any],
    trends: dict[int, int],
    n_trees: int = 20,
    leaves: int = 8,
) -> list[Block]:
    """Boost trees whose points never fall (+1) or rise (−1) with a column, rounded tree by tree."""
    import lightgbm

    data = levels_of(tables.encode(encode, rows), encode)
    of = [
        int(encode.column[bits[0]]) if encode.kind[bits[0]] == GE else -1 for bits in data.features
    ]
    params = {
        "objective": "binary",
        "num_leaves": leaves,
        "min_data_in_leaf": 5,
        "monotone_constraints": [-trends.get(j, 0) for j in of],  # points fall as the log-odds rise
        "seed": 0,
        "num_threads": 1,
        "verbosity": -1,
    }
    booster = lightgbm.train(params, lightgbm.Dataset(data.levels, bad), n_trees)
    return [_block(t["tree_structure"], data) for t in booster.dump_model()["tree_info"]]


def _block(tree: dict[str, Any], data: Bits) -> Block:
    return Block(tuple((path, -round(SCALE * value)) for path, value in _leaves(tree, data, ())))


def _leaves(
    node: dict[str, Any], data: Bits, path: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], float]]:
    if "left_child" not in node:
        yield _tight(path, data), float(node["leaf_value"])
        return
    bit = data.features[node["split_feature"]][int(np.floor(node["threshold"]))]
    yield from _leaves(node["left_child"], data, (*path, 2 * bit + 1))
    yield from _leaves(node["right_child"], data, (*path, 2 * bit))


def _tight(path: tuple[int, ...], data: Bits) -> tuple[int, ...]:
    kept = []
    for bits in data.features:
        mine = [n for n in path if n >> 1 in bits]
        for negated in (0, 1):
            signed = [n for n in mine if n & 1 == negated]
            kept += (
                [(min if negated else max)(signed, key=lambda n: bits.index(n >> 1))]
                if signed
                else []
            )
    return tuple(sorted(kept))
