"""The operations of a Program: what each is made of, and what it demands of its parts.

Each operation is a frozen dataclass: its arrays are checked and frozen when it is built, its wiring
when a Program takes it in (`value_of`). `reference.run` says what each one means, and
docs/program.md says it in words. To add an operation, write one dataclass and name it in `OPS`;
mypy's `assert_never` then points at every `match` that needs a new case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import n_bytes
from bimetal.errors import ProgramError

__all__ = [
    "EQ",
    "GE",
    "MISSING",
    "OPS",
    "Dense",
    "Encode",
    "Link",
    "Op",
    "Readout",
    "Rules",
    "Value",
]

GE, EQ, MISSING = 0, 1, 2
"""The tests an `Encode` bit can make: x >= value, x == value, x is missing."""

MAX_BITS = 32_768  # a literal is one uint16: 2 * bit + negated
INT32_MAX = 2**31 - 1


def _array(*dtypes: type, ndim: int = 1) -> Any:
    return field(metadata={"dtypes": tuple(np.dtype(d) for d in dtypes), "ndim": ndim})


def require(holds: bool, message: str) -> None:
    """Raise `ProgramError` with `message` unless `holds`."""
    if not holds:
        raise ProgramError(message)


def _is_index(given: Any) -> bool:
    return type(given) is int and 0 <= given < 2**31


@dataclass(frozen=True)
class Value:
    """What an operation makes: `n` numbers a row, of one kind."""

    kind: Literal["row", "bits", "ints", "floats"]
    n: int


@dataclass(frozen=True, eq=False)
class _Op:
    """Check the parts of an operation once, then freeze the arrays."""

    def __post_init__(self) -> None:
        for f in fields(self):
            if "dtypes" in f.metadata:
                object.__setattr__(self, f.name, self._checked(f.name, f.metadata))
            else:
                self._check_scalar(f.name, f.type)

    def _check_scalar(self, name: str, kind: Any) -> None:
        given = getattr(self, name)
        if kind is int:
            fits, wanted = _is_index(given), "a whole number (Python's int) from 0"
        elif kind == tuple[int, ...]:
            fits = isinstance(given, tuple) and all(map(_is_index, given))
            wanted = "a tuple of whole numbers (Python's int) from 0"
        else:
            fits, wanted = isinstance(given, str), "a string"
        require(fits, f"{type(self).__name__}.{name} must be {wanted}, got {given!r:.80}")

    def _checked(self, name: str, meta: Mapping[str, Any]) -> NDArray[Any]:
        given = getattr(self, name)
        dtypes, ndim = meta["dtypes"], meta["ndim"]
        if not isinstance(given, np.ndarray) or given.dtype not in dtypes or given.ndim != ndim:
            came = (
                f"{given.dtype} with {given.ndim} axes" if isinstance(given, np.ndarray) else given
            )
            raise ProgramError(
                f"{type(self).__name__}.{name} must be an array of "
                f"{' or '.join(map(str, dtypes))} with {ndim} axes, got {came!r}"
            )
        frozen = np.ascontiguousarray(given).copy()
        frozen.flags.writeable = False
        return frozen

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of this operation by name, in the order they are stored."""
        return {f.name: getattr(self, f.name) for f in fields(self) if "dtypes" in f.metadata}

    def scalars(self) -> dict[str, Any]:
        """Return what is not an array: wiring, sizes and names."""
        return {f.name: getattr(self, f.name) for f in fields(self) if "dtypes" not in f.metadata}


@dataclass(frozen=True, eq=False)
class Encode(_Op):
    """Raw row → bits: bit *i* tests column ``column[i]`` against ``value[i]``.

    ``kind[i]`` is `GE` (thermometer: x >= value), `EQ` (category or special code: x == value) or
    `MISSING` (x is NaN). NaN fails `GE` and `EQ`. A column may have special codes (−9 = "no bureau
    record"): a raw value equal to one of them counts as NaN for the `GE` tests of that column only.
    """

    column: NDArray[np.uint16] = _array(np.uint16)
    kind: NDArray[np.uint8] = _array(np.uint8)
    value: NDArray[np.float32] = _array(np.float32)
    special_column: NDArray[np.uint16] = _array(np.uint16)
    special_value: NDArray[np.float32] = _array(np.float32)


@dataclass(frozen=True, eq=False)
class Dense(_Op):
    """Bits → bits: neuron *o* fires when ``popcount(a XOR weights[o]) <= thresholds[o]``.

    With `groups` > 1 input and output are cut into that many equal parts, and each part of the
    output sees its part of the input only: an ensemble of members side by side.
    """

    input: int
    n_in: int  # bits of the whole input; each weight row holds n_in / groups of them
    weights: NDArray[np.uint8] = _array(np.uint8, ndim=2)  # (n_out, ceil(n_in / groups / 8))
    thresholds: NDArray[np.int32] = _array(np.int32)  # (n_out,), each in [-1, n_in / groups]
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Rules(_Op):
    """Bits → bits through sparse binary neurons: neuron *o* fires when all its literals hold.

    A literal is ``2 * bit + negated``; neuron *o* owns the next ``fan_in[o]`` of the `literals`.
    It is a binary neuron with `fan_in` connections and threshold 0: weight +1 for a plain bit and
    −1 for a negated one, fires when no connected bit differs from its weight.
    """

    input: int
    literals: NDArray[np.uint16] = _array(np.uint16)
    fan_in: NDArray[np.uint8] = _array(np.uint8)  # (n_out,), each at least 1


@dataclass(frozen=True, eq=False)
class Readout(_Op):
    """Bits → int32 points: ``bias[c] + sum of weights[c, i] over the bits i that are set``.

    The bits of all `inputs` stand side by side in the order named. No sum can overflow int32;
    `Program.validate` proves it from the weights.
    """

    inputs: tuple[int, ...]
    weights: NDArray[np.signedinteger[Any]] = _array(np.int8, np.int16, np.int32, ndim=2)
    bias: NDArray[np.int32] = _array(np.int32)  # (n_outputs,)


@dataclass(frozen=True, eq=False)
class Link(_Op):
    """int32 points → float32 answers, in float64 up to one last rounding.

    ``z[c] = offset[c] + scale[c] * points[c]``, then by `kind`: ``identity`` gives z; ``sigmoid``
    (one z) gives [1 − p, p]; ``softmax`` gives one probability a class; ``table`` (one output,
    scale and offset unused) gives [1 − p, p] with ``p = values[number of knots <= points]``,
    a calibrated staircase. The exponential is the polynomial of docs/program.md, so that every
    engine returns the same bits.
    """

    input: int
    kind: Literal["identity", "sigmoid", "softmax", "table"]
    scale: NDArray[np.float64] = _array(np.float64)
    offset: NDArray[np.float64] = _array(np.float64)
    knots: NDArray[np.int32] = _array(np.int32)  # (n_knots,), strictly increasing
    values: NDArray[np.float32] = _array(np.float32)  # (n_knots + 1,) for a table, else (0,)


Op = Encode | Dense | Rules | Readout | Link
OPS: tuple[type[Op], ...] = (Encode, Dense, Rules, Readout, Link)


def _input(values: Sequence[Value], index: int, kind: str) -> Value:
    require(0 <= index < len(values), f"reads value {index}, but only {len(values)} exist so far")
    require(values[index].kind == kind, f"reads {kind}, but value {index} is {values[index].kind}")
    return values[index]


def value_of(op: Op, values: Sequence[Value]) -> Value:
    """Return what `op` makes of earlier `values`, or raise `ProgramError` if they do not fit."""
    match op:
        case Encode():
            return _check_encode(op, values[0].n)
        case Dense():
            return _check_dense(op, _input(values, op.input, "bits").n)
        case Rules():
            return _check_rules(op, _input(values, op.input, "bits").n)
        case Readout():
            return _check_readout(op, sum(_input(values, i, "bits").n for i in op.inputs))
        case Link():
            return _check_link(op, _input(values, op.input, "ints").n)
        case _:
            assert_never(op)


def _check_encode(op: Encode, n_columns: int) -> Value:
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


def _check_dense(op: Dense, n_in: int) -> Value:
    n_out, groups = len(op.thresholds), op.groups
    require(op.n_in == n_in, f"expects {op.n_in} bits, but its input has {n_in}")
    require(0 < n_out <= MAX_BITS, f"1 to {MAX_BITS} neurons expected, got {n_out}")
    require(
        groups >= 1 and n_in % groups == 0 == n_out % groups,
        f"{n_in} bits and {n_out} neurons do not divide into {groups} groups",
    )
    k = n_in // groups
    require(
        op.weights.shape == (n_out, n_bytes(k)),
        f"weights must have shape {(n_out, n_bytes(k))}, got {op.weights.shape}",
    )
    tail = (0xFF << (k % 8)) & 0xFF if k % 8 else 0
    require(not (op.weights[:, -1] & tail).any(), "bits beyond the end of a weight row must be 0")
    low, high = int(op.thresholds.min()), int(op.thresholds.max())
    require(low >= -1 and high <= k, f"thresholds must lie in [-1, {k}], got [{low}, {high}]")
    return Value("bits", n_out)


def _check_rules(op: Rules, n_in: int) -> Value:
    n_out = len(op.fan_in)
    require(0 < n_out <= MAX_BITS, f"1 to {MAX_BITS} rules expected, got {n_out}")
    require(int(op.fan_in.min()) >= 1, "every rule needs at least one literal")
    total = int(op.fan_in.sum(dtype=np.int64))
    require(total == len(op.literals), f"fan_in adds to {total}, got {len(op.literals)} literals")
    require(int(op.literals.max()) < 2 * n_in, f"literals must be below {2 * n_in}")
    return Value("bits", n_out)


def _check_readout(op: Readout, n_in: int) -> Value:
    n_out = len(op.bias)
    require(n_out > 0, "at least one output expected")
    require(len(op.inputs) > 0, "at least one input expected")
    require(
        op.weights.shape == (n_out, n_in),
        f"weights must have shape {(n_out, n_in)}, got {op.weights.shape}",
    )
    zero = op.weights.dtype.type(0)  # positive and negative parts apart: no array of wider numbers
    positive = np.maximum(op.weights, zero).sum(axis=1, dtype=np.int64)
    negative = np.minimum(op.weights, zero).sum(axis=1, dtype=np.int64)
    bound = positive - negative + np.abs(op.bias.astype(np.int64))
    require(int(bound.max()) <= INT32_MAX, "the points can overflow int32; scale them down")
    return Value("ints", n_out)


def _check_link(op: Link, n_in: int) -> Value:
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
