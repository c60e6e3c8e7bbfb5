"""The operations on rows of a table in ONNX: tests, binary neurons, rules, look-up tables, points.

All sums are exact whatever the order in which a runtime adds, and none can saturate: kernels for x86
without VNNI add pairs of uint8 · int8 products in int16, and here a uint8 is 0 or 1, so a pair is at
most 256 in magnitude. With floating-point products every partial sum is a whole number that the
type holds exactly.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.export.form import table_bits, weight_bits
from bimetal.export.onnx.graph import Graph
from bimetal.ops import EQ, GE, MISSING, Dense, Encode, Lut, Readout, Rules

__all__ = ["FLOAT32_WHOLE", "dense", "encode", "lut", "readout", "rules"]

FLOAT32_WHOLE = 2**24  # up to here float32 holds every whole number


def encode(g: Graph, op: Encode) -> str:
    """Return the bits of the input "row", test by test, kind by kind, then in their own order."""
    of_kind = [np.flatnonzero(op.kind == kind) for kind in (GE, EQ, MISSING)]
    parts = []
    if of_kind[0].size:
        parts.append(_reaches(g, op, of_kind[0]))
    if of_kind[1].size:
        values = op.value[of_kind[1]]
        parts.append(g.op("Equal", g.gathered("row", op.column[of_kind[1]]), values))
    if of_kind[2].size:
        parts.append(g.op("IsNaN", g.gathered("row", op.column[of_kind[2]])))
    return _in_order(g, [g.bits(part) for part in parts], np.concatenate(of_kind))


def _reaches(g: Graph, op: Encode, places: NDArray[np.intp]) -> str:
    """Return x >= value; a special code of its column first becomes NaN, which reaches nothing."""
    used, column = np.unique(op.column[places], return_inverse=True)
    x = g.gathered("row", used)
    for codes in _rounds(op, used):
        x = g.op("Where", g.op("Equal", x, codes), np.float32(np.nan), x)
    return g.op("GreaterOrEqual", g.gathered(x, column), op.value[places])


def _rounds(op: Encode, columns: NDArray[np.uint16]) -> list[NDArray[np.float32]]:
    """Return special codes as rows of one for each column, NaN (equal to nothing) for none."""
    codes = [np.unique(op.special_value[op.special_column == column]) for column in columns]
    rounds = np.full((max(map(len, codes)), len(columns)), np.nan, np.float32)
    for i, known in enumerate(codes):
        rounds[: len(known), i] = known
    return list(rounds)


def _in_order(g: Graph, parts: list[str], places: NDArray[np.intp]) -> str:
    """Return parts side by side, element i of them put at ``places[i]``."""
    joined = g.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    order = np.argsort(places)
    return joined if (order == np.arange(len(order))).all() else g.gathered(joined, order)


def dense(g: Graph, op: Dense, bits: str) -> str:
    """Return what each neuron says.

    Of the weights w as bits, popcount(x XOR w) = popcount(w) − sum of x · (2w − 1); so it is at most
    t exactly when the sum is at least popcount(w) − t.
    """
    n_out, groups, k = len(op.thresholds), op.groups, op.n_in // op.groups
    w = weight_bits(op)
    bounds = w.sum(axis=1, dtype=np.int64) - op.thresholds
    if groups == 1:
        return g.at_least(_product(g, bits, g.signs(w.T)), bounds)
    by_group = w.reshape(groups, n_out // groups, k).transpose(0, 2, 1)
    x = g.op("Transpose", g.shaped(bits, groups, k), perm=[1, 0, 2])
    sums = g.op("Transpose", _product(g, x, g.signs(by_group)), perm=[1, 0, 2])
    return g.at_least(g.shaped(sums, n_out), bounds)


def _product(g: Graph, x: str, weights: str) -> str:
    if g.weights == "float":
        return g.op("MatMul", g.cast(x, np.float32), weights)
    return g.op("MatMulInteger", x, weights)


def rules(g: Graph, op: Rules, bits: str, n_in: int) -> str:
    """Return what each rule says: the least of its literals, read from the bits and their opposites.

    Rules of about one length stand together, so that a long one makes no others longer.
    """
    x = g.op("Concat", bits, g.op("BitwiseXor", bits, np.uint8(1)), axis=1)
    literals = (op.literals >> 1) + n_in * (op.literals & 1).astype(np.int64)
    starts = np.cumsum(op.fan_in, dtype=np.int64) - op.fan_in
    size_class = np.ceil(np.log2(op.fan_in)).astype(int)  # 1, 2, 3–4, 5–8, … literals
    of_class = [np.flatnonzero(size_class == c) for c in np.unique(size_class)]
    parts = [_all_of(g, x, literals, starts[who], op.fan_in[who]) for who in of_class]
    return _in_order(g, parts, np.concatenate(of_class))


def _all_of(
    g: Graph,
    x: str,
    literals: NDArray[np.int64],
    starts: NDArray[np.int64],
    fan_in: NDArray[np.uint8],
) -> str:
    """Return the least of each run of literals; shorter runs repeat their last."""
    step = np.minimum(np.arange(fan_in.max()), fan_in[:, None].astype(np.int64) - 1)
    read = g.gathered(x, literals[starts[:, None] + step])
    return g.op("ReduceMin", read, np.array([2], np.int64), keepdims=0)


def lut(g: Graph, op: Lut, bits: str) -> str:
    """Return what each table says: its bits are shifted into an address, all tables lie in a row."""
    n_out, fan_in = op.places.shape
    address = g.gathered(bits, op.places[:, 0])
    for j in range(1, fan_in):
        bit = g.op("BitShift", g.gathered(bits, op.places[:, j]), np.uint8(j), direction="LEFT")
        address = g.op("BitwiseOr", address, bit)
    ends = (np.int32(n) for n in (0, n_out << fan_in, 1 << fan_in))
    at = g.op("Add", g.cast(address, np.int32), g.op("Range", *ends))
    tables = g.unpacked(table_bits(op).reshape(-1))
    return g.op("Gather", tables, at, axis=0)


def readout(g: Graph, op: Readout, inputs: list[str]) -> str:
    """Return the points, int32.

    int8 weights go to `MatMulInteger`, wider ones to `MatMul` of int32: as |bias| plus the sum of
    |weight| is below 2**31, no sum overflows in any order.
    """
    bits = g.op("Concat", *inputs, axis=1) if len(inputs) > 1 else inputs[0]
    weights = op.weights.astype(np.int64).T
    if g.weights == "float":
        sums = _float_sums(g, bits, op)
    elif weights.min() >= -128 and weights.max() <= 127:
        sums = g.op("MatMulInteger", bits, weights.astype(np.int8))
    else:
        sums = g.op("MatMul", g.cast(bits, np.int32), g.whole(weights))
    return g.op("Add", sums, g.whole(op.bias))


def _float_sums(g: Graph, bits: str, op: Readout) -> str:
    largest = int(np.abs(op.weights.astype(np.int64)).sum(axis=1).max())
    kind = np.float32 if largest <= FLOAT32_WHOLE else np.float64
    return g.cast(g.op("MatMul", g.cast(bits, kind), op.weights.T.astype(kind)), np.int32)
