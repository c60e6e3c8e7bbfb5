"""The operations on rows of a table: tests, binary neurons, rules, points, answers."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import n_bytes
from bimetal.ops.base import INT32_MAX, MAX_BITS, BaseOp, Value, array_of, require, tail_mask

__all__ = [
    "EQ",
    "GE",
    "MAX_FAN_IN",
    "MISSING",
    "Dense",
    "Encode",
    "Link",
    "Lut",
    "Readout",
    "Rules",
    "check_dense",
    "check_encode",
    "check_link",
    "check_lut",
    "check_readout",
    "check_rules",
]

GE, EQ, MISSING = 0, 1, 2
"""The tests an `Encode` bit can make: x >= value, x == value, x is missing."""
MAX_FAN_IN = 8
"""The most bits that one table of a `Lut` reads."""


@dataclass(frozen=True, eq=False)
class Encode(BaseOp):
    """Raw row → bits: bit *i* tests column ``column[i]`` against ``value[i]``.

    ``kind[i]`` is `GE` (thermometer: x >= value), `EQ` (category or special code: x == value) or
    `MISSING` (x is NaN). NaN fails `GE` and `EQ`. A column may have special codes (−9 = "no bureau
    record"): a raw value equal to one of them counts as NaN for the `GE` tests of that column only.
    """

    column: NDArray[np.uint16] = array_of(np.uint16)
    kind: NDArray[np.uint8] = array_of(np.uint8)
    value: NDArray[np.float32] = array_of(np.float32)
    special_column: NDArray[np.uint16] = array_of(np.uint16)
    special_value: NDArray[np.float32] = array_of(np.float32)


@dataclass(frozen=True, eq=False)
class Dense(BaseOp):
    """Bits → bits: neuron *o* fires when ``popcount(a XOR weights[o]) <= thresholds[o]``.

    With `groups` > 1 input and output are cut into that many equal parts, and each part of the
    output sees its part of the input only: an ensemble of members side by side.
    """

    input: int
    n_in: int  # bits of the whole input; each weight row holds n_in / groups of them
    weights: NDArray[np.uint8] = array_of(np.uint8, ndim=2)  # (n_out, ceil(n_in / groups / 8))
    thresholds: NDArray[np.int32] = array_of(np.int32)  # (n_out,), each in [-1, n_in / groups]
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Rules(BaseOp):
    """Bits → bits through sparse binary neurons: neuron *o* fires when all its literals hold.

    A literal is ``2 * bit + negated``; neuron *o* owns the next ``fan_in[o]`` of the `literals`.
    It is a binary neuron with `fan_in` connections and threshold 0: weight +1 for a plain bit and
    −1 for a negated one, fires when no connected bit differs from its weight.
    """

    input: int
    literals: NDArray[np.uint16] = array_of(np.uint16)
    fan_in: NDArray[np.uint8] = array_of(np.uint8)  # (n_out,), each at least 1


@dataclass(frozen=True, eq=False)
class Lut(BaseOp):
    """Bits → bits through look-up tables: each output is any function of its own few input bits.

    Output *o* is bit ``a`` of ``tables[o]`` with ``a = sum of bit[places[o, j]] << j``. It is what an
    FPGA is made of, and what LogicNets (Umuroglu et al. 2020, arXiv:2004.03021) lowers to.
    """

    input: int
    places: NDArray[np.uint16] = array_of(np.uint16, ndim=2)  # (n_out, fan_in), fan_in 1 to 8
    tables: NDArray[np.uint8] = array_of(np.uint8, ndim=2)  # (n_out, ceil(2**fan_in / 8))


@dataclass(frozen=True, eq=False)
class Readout(BaseOp):
    """Bits → int32 points: ``bias[c] + sum of weights[c, i] over the bits i that are set``.

    The bits of all `inputs` stand side by side in the order named. No sum can overflow int32;
    `Program.validate` proves it from the weights.
    """

    inputs: tuple[int, ...]
    weights: NDArray[np.signedinteger[Any]] = array_of(np.int8, np.int16, np.int32, ndim=2)
    bias: NDArray[np.int32] = array_of(np.int32)  # (n_outputs,)


@dataclass(frozen=True, eq=False)
class Link(BaseOp):
    """int32 points → float32 answers, in float64 up to one last rounding.

    ``z[c] = offset[c] + scale[c] * points[c]``, then by `kind`: ``identity`` gives z; ``sigmoid``
    (one z) gives [1 − p, p]; ``softmax`` gives one probability a class; ``table`` (one output,
    scale and offset unused) gives [1 − p, p] with ``p = values[number of knots <= points]``,
    a calibrated staircase. The exponential is the polynomial of docs/program.md, so that every
    engine returns the same bits.
    """

    input: int
    kind: Literal["identity", "sigmoid", "softmax", "table"]
    scale: NDArray[np.float64] = array_of(np.float64)
    offset: NDArray[np.float64] = array_of(np.float64)
    knots: NDArray[np.int32] = array_of(np.int32)  # (n_knots,), strictly increasing
    values: NDArray[np.float32] = array_of(np.float32)  # (n_knots + 1,) for a table, else (0,)


def check_encode(op: Encode, n_columns: int) -> Value:
    """Return the bits that are made of the raw row."""
    n = len(op.column)
    require(0 < n <= MAX_BITS, f"1 to {MAX_BITS} bits expected, got {n}")
    require(len(op.kind) == n == len(op.value), "column, kind and value must be of one length")
    require(len(op.special_column) == len(op.special_value), "specials must be of one length")
    for column in (op.column, op.special_column):
        require(bool((column < n_columns).all()), f"columns must be below {n_columns}")
    require(bool((op.kind <= MISSING).all()), "kinds must be 0 (>=), 1 (==) or 2 (missing)")
    for value in (op.value, op.special_value):
        require(bool(np.isfinite(value).all()), "values must be finite")
    return Value("bits", n)


def check_dense(op: Dense, n_in: int) -> Value:
    """Return the bits that are made of `n_in` bits."""
    n_out, groups = len(op.thresholds), op.groups
    require(op.n_in == n_in, f"expects {op.n_in} bits, but its input has {n_in}")
    require(0 < n_out <= MAX_BITS, f"1 to {MAX_BITS} neurons expected, got {n_out}")
    require(
        groups >= 1 and n_in % groups == 0 == n_out % groups,
        f"{n_in} bits and {n_out} neurons do not divide into {groups} groups",
    )
    k = n_in // groups
    require(k <= MAX_BITS, f"a neuron reads at most {MAX_BITS} bits, got {k}")
    require(
        op.weights.shape == (n_out, n_bytes(k)),
        f"weights must have shape {(n_out, n_bytes(k))}, got {op.weights.shape}",
    )
    is_clean = not (op.weights[:, -1] & tail_mask(k)).any()
    require(is_clean, "bits beyond the end of a weight row must be 0")
    low, high = int(op.thresholds.min()), int(op.thresholds.max())
    require(low >= -1 and high <= k, f"thresholds must lie in [-1, {k}], got [{low}, {high}]")
    return Value("bits", n_out)


def check_rules(op: Rules, n_in: int) -> Value:
    """Return the bits that are made of `n_in` bits."""
    n_out = len(op.fan_in)
    require(n_in <= MAX_BITS, f"rules read at most {MAX_BITS} bits, got {n_in}")
    require(0 < n_out <= MAX_BITS, f"1 to {MAX_BITS} rules expected, got {n_out}")
    require(int(op.fan_in.min()) >= 1, "every rule needs at least one literal")
    total = int(op.fan_in.sum(dtype=np.int64))
    require(total == len(op.literals), f"fan_in adds to {total}, got {len(op.literals)} literals")
    require(int(op.literals.max()) < 2 * n_in, f"literals must be below {2 * n_in}")
    return Value("bits", n_out)


def check_lut(op: Lut, n_in: int) -> Value:
    """Return the bits that are made of `n_in` bits."""
    n_out, fan_in = op.places.shape
    require(n_in <= MAX_BITS, f"tables read at most {MAX_BITS} bits, got {n_in}")
    require(0 < n_out <= MAX_BITS, f"1 to {MAX_BITS} tables expected, got {n_out}")
    require(1 <= fan_in <= MAX_FAN_IN, f"1 to {MAX_FAN_IN} places a table expected, got {fan_in}")
    require(int(op.places.max()) < n_in, f"places must be below {n_in}")
    shape = (n_out, n_bytes(2**fan_in))
    require(op.tables.shape == shape, f"tables must have shape {shape}, got {op.tables.shape}")
    is_clean = not (op.tables[:, -1] & tail_mask(2**fan_in)).any()
    require(is_clean, "bits beyond the end of a table must be 0")
    return Value("bits", n_out)


def check_readout(op: Readout, n_in: int) -> Value:
    """Return the points that are made of `n_in` bits."""
    n_out = len(op.bias)
    require(n_out > 0, "at least one output expected")
    require(len(op.inputs) > 0, "at least one input expected")
    require(
        op.weights.shape == (n_out, n_in),
        f"weights must have shape {(n_out, n_in)}, got {op.weights.shape}",
    )
    require(_largest_points(op) <= INT32_MAX, "the points can overflow int32; scale them down")
    return Value("ints", n_out)


def _largest_points(op: Readout) -> int:
    biases = np.abs(op.bias.astype(np.int64))
    lowest = int(np.iinfo(op.weights.dtype).min)
    widest = int(-lowest * op.weights.shape[1] + biases.max())
    if widest <= INT32_MAX:
        return widest  # so narrow that no weights of this type could overflow
    zero = op.weights.dtype.type(0)  # positive and negative parts apart: no array of wider numbers
    positive = np.maximum(op.weights, zero).sum(axis=1, dtype=np.int64)
    negative = np.minimum(op.weights, zero).sum(axis=1, dtype=np.int64)
    return int((positive - negative + biases).max())


def check_link(op: Link, n_in: int) -> Value:
    """Return the answers that are made of `n_in` points."""
    kinds = ("identity", "sigmoid", "softmax", "table")
    require(op.kind in kinds, f"kind must be one of {kinds}, got {op.kind!r}")
    require(op.scale.shape == op.offset.shape == (n_in,), f"scale and offset need {n_in} entries")
    require(
        bool((np.abs(op.scale) < 1e280).all() and (np.abs(op.offset) < 1e290).all()),
        "scale must stay below 1e280 and offset below 1e290",
    )
    is_table = op.kind == "table"
    require(len(op.values) == (len(op.knots) + 1 if is_table else 0), "values do not fit the knots")
    require(is_table or not len(op.knots), "only a table has knots")
    require(bool((np.diff(op.knots.astype(np.int64)) > 0).all()), "knots must increase")
    require(bool(((op.values >= 0) & (op.values <= 1)).all()), "table values must lie in [0, 1]")
    require(bool((np.diff(op.values) >= 0).all()), "table values must not decrease")
    if op.kind in ("sigmoid", "table"):
        require(n_in == 1, f"a {op.kind} reads one output, got {n_in}")
        return Value("floats", 2)
    require(op.kind != "softmax" or n_in >= 2, "a softmax reads two outputs or more")
    return Value("floats", n_in)
