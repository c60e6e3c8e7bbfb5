"""Hypothesis strategies that draw random valid Programs, and raw rows that try their patience.

Structure (widths, wiring, kinds) is drawn by hypothesis, so that it shrinks; bulk constants come
from a NumPy generator with a drawn seed.
"""

import numpy as np
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray

from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.ops import TableOp
from bimetal.program import EQ, GE, MISSING, Dense, Encode, Link, Lut, Program, Readout, Rules

INT32_MAX = 2**31 - 1
WIDTHS = (
    1,
    2,
    3,
    7,
    8,
    9,
    12,
    31,
    63,
    64,
    65,
    96,
    127,
    128,
    129,
    200,
    240,
    256,
    257,
    511,
    513,
    600,
)
STRANGE = np.array(
    [0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan], np.float32
)
EDGES = np.array([-9, -8, -1.5, -1, -0.25, 0, 0.25, 1, 1.5, 2, 3, 7, 1e-45], np.float32)


def widths(largest: int = 600) -> st.SearchStrategy[int]:
    return st.sampled_from([n for n in WIDTHS if n <= largest])


def seeds() -> st.SearchStrategy[int]:
    return st.integers(0, 2**32 - 1)


def random_encode(rng: Generator, n_columns: int, n_bits: int) -> Encode:
    column = rng.integers(0, n_columns, n_bits, dtype=np.uint16)
    if rng.random() < 0.5:
        column.sort()
    n_specials = int(rng.integers(0, 4)) if rng.random() < 0.5 else 0
    return Encode(
        column,
        rng.choice([GE, GE, EQ, MISSING], n_bits).astype(np.uint8),
        rng.choice(EDGES, n_bits),
        rng.integers(0, n_columns, n_specials, dtype=np.uint16),
        rng.choice(EDGES, n_specials),
    )


def random_dense(rng: Generator, source: int, n_in: int, n_out: int, groups: int) -> Dense:
    k = n_in // groups
    weights = pack(rng.random((n_out, k)) < 0.5)
    thresholds = np.clip(rng.normal(k / 2, 1 + k**0.5 / 2, n_out).round(), -1, k).astype(np.int32)
    thresholds[rng.random(n_out) < 0.1] = -1
    thresholds[rng.random(n_out) < 0.1] = k
    return Dense(source, n_in, weights, thresholds, groups)


def random_rules(rng: Generator, source: int, n_in: int, n_out: int, max_fan_in: int = 9) -> Rules:
    fan_in = rng.integers(1, max_fan_in + 1, n_out).astype(np.uint8)
    if rng.random() < 0.5:
        fan_in.sort()
    literals = rng.integers(0, 2 * n_in, int(fan_in.sum(dtype=np.int64)), dtype=np.uint16)
    return Rules(source, literals, fan_in)


def random_lut(rng: Generator, source: int, n_in: int, n_out: int, fan_in: int) -> Lut:
    places = rng.integers(0, n_in, (n_out, fan_in), dtype=np.uint16)
    return Lut(source, places, pack(rng.random((n_out, 2**fan_in)) < rng.random()))


def random_readout(
    rng: Generator, sources: tuple[int, ...], n_in: int, n_out: int, dtype: type
) -> Readout:
    info = np.iinfo(dtype)
    weights = rng.integers(info.min, info.max, (n_out, n_in), dtype=np.int64, endpoint=True)
    weights[rng.random((n_out, n_in)) < 0.2] = 0
    bias = rng.integers(-1000, 1000, n_out)
    bound = np.abs(weights).sum(axis=1) + np.abs(bias)
    if bound.max() > INT32_MAX:
        weights //= int(bound.max() // INT32_MAX + 2)
    if dtype is np.int32:  # come as close to the bound as the contract allows
        rest = INT32_MAX - np.abs(weights[:, 1:]).sum(axis=1) - np.abs(bias)
        weights[:, 0] = rest * rng.choice([-1, 1], n_out)
    return Readout(sources, weights.astype(dtype), bias.astype(np.int32))


def random_link(rng: Generator, source: int, n_points: int, kind: str) -> Link:
    no_knots, no_values = np.zeros(0, np.int32), np.zeros(0, np.float32)
    scale = rng.choice([1e-9, 1e-4, 3e-3, -0.05, 1.0, 0.0], n_points)
    offset = rng.choice([0.0, -1.5, 0.3, 1e6], n_points)
    if kind != "table":
        return Link(source, kind, scale, offset, no_knots, no_values)
    knots = np.unique(rng.integers(-3000, 3000, int(rng.integers(0, 20)))).astype(np.int32)
    values = np.sort(rng.random(len(knots) + 1)).astype(np.float32)
    return Link(source, kind, scale, offset, knots, values)


def link_kinds(n_points: int) -> st.SearchStrategy[str]:
    if n_points == 1:
        return st.sampled_from(["sigmoid", "table", "identity"])
    return st.sampled_from(["softmax", "identity"])


@st.composite
def programs(draw: st.DrawFn, largest: int = 300, max_hidden: int = 4) -> Program:
    """Draw a Program: encoders, hidden operations in any wiring, readouts, and a link at the end."""
    rng = np.random.default_rng(draw(seeds()))
    n_columns = draw(st.sampled_from([1, 2, 5, 16, 17, 23, 40]))
    n_bits = draw(widths(largest))
    ops: list[TableOp] = [random_encode(rng, n_columns, n_bits)]
    sizes = {1: n_bits}  # bits of each value that holds bits
    for _ in range(draw(st.integers(0, max_hidden))):
        source = draw(st.sampled_from(sorted(sizes)))
        kind = draw(st.sampled_from(["dense", "rules", "lut", "encode"]))
        n_in, n_out = sizes[source], draw(widths(largest))
        if kind == "dense":
            groups = draw(st.sampled_from([g for g in (1, 2, 3, 8) if n_in % g == 0]))
            n_out = max(1, n_out // groups) * groups
            ops.append(random_dense(rng, source, n_in, n_out, groups))
        elif kind == "rules":
            ops.append(random_rules(rng, source, n_in, n_out, draw(st.sampled_from([1, 4, 9]))))
        elif kind == "lut":
            ops.append(random_lut(rng, source, n_in, n_out, draw(st.integers(1, 8))))
        else:
            ops.append(random_encode(rng, n_columns, n_out))
        sizes[len(ops)] = n_out
    for _ in range(draw(st.integers(1, 2))):
        sources = tuple(draw(st.lists(st.sampled_from(sorted(sizes)), min_size=1, max_size=4)))
        n_points = draw(st.sampled_from([1, 1, 2, 3, 5]))
        dtype = draw(st.sampled_from([np.int8, np.int16, np.int32]))
        ops.append(random_readout(rng, sources, sum(sizes[s] for s in sources), n_points, dtype))
    ops.append(random_link(rng, len(ops), n_points, draw(link_kinds(n_points))))
    return Program(tuple(Column(f"x{i}") for i in range(n_columns)), tuple(ops))


def random_rows(rng: Generator, n_rows: int, n_columns: int) -> NDArray[np.float32]:
    """Return raw rows of plain numbers, cut-points hit exactly, and every strange float there is."""
    rows = rng.normal(0, 2, (n_rows, n_columns)).astype(np.float32)
    edge, strange = rng.random(rows.shape) < 0.4, rng.random(rows.shape) < 0.15
    rows[edge] = rng.choice(EDGES, int(edge.sum()))
    rows[strange] = rng.choice(STRANGE, int(strange.sum()))
    return rows


def row_counts() -> st.SearchStrategy[int]:
    """Draw a number of rows that meets both forms of evaluation and their borders."""
    return st.one_of(st.integers(0, 5), st.sampled_from([63, 64, 127, 129, 256, 511, 513, 700]))
