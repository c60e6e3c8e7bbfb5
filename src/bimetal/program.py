"""Program: a trained binary net as a short list of bit operations, the meeting place of the house.

Whatever learns writes a Program; whatever runs, saves, explains or exports reads one. Value 0 is the
raw row (float32, categories as their codes, missing as NaN); operation *i* reads earlier values and
makes value *i* + 1; the last value is the answer. `reference.run` says what each operation means,
and docs/program.md says it in words. To add an operation, write one dataclass and name it in `OPS`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal, assert_never, cast

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import n_bytes
from bimetal.columns import Column
from bimetal.errors import ProgramError

__all__ = ["GE", "EQ", "MISSING", "OPS", "Cost", "Dense", "Encode", "Link", "Op", "Program",
           "Readout", "Rules", "Value"]

VERSION = 1
GE, EQ, MISSING = 0, 1, 2
"""The tests an `Encode` bit can make: x >= value, x == value, x is missing."""

MAX_BITS = 32_768  # a literal is one uint16: 2 * bit + negated
MAX_COLUMNS = 65_535
INT32_MAX = 2**31 - 1


def _array(*dtypes: type, ndim: int = 1) -> Any:
    return field(metadata={"dtypes": tuple(np.dtype(d) for d in dtypes), "ndim": ndim})


@dataclass(frozen=True)
class Value:
    """What an operation makes: `n` numbers a row, of one kind."""

    kind: Literal["row", "bits", "ints", "floats"]
    n: int


@dataclass(frozen=True, eq=False)
class _Op:
    """Check the arrays of an operation once, then freeze them."""

    def __post_init__(self) -> None:
        for f in fields(self):
            if "dtypes" in f.metadata:
                object.__setattr__(self, f.name, self._checked(f.name, f.metadata))

    def _checked(self, name: str, meta: Mapping[str, Any]) -> NDArray[Any]:
        given = getattr(self, name)
        dtypes, ndim = meta["dtypes"], meta["ndim"]
        if not isinstance(given, np.ndarray) or given.dtype not in dtypes or given.ndim != ndim:
            came = f"{given.dtype} with {given.ndim} axes" if isinstance(given, np.ndarray) else given
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

    A literal is ``2 * bit + negated``; neuron *o* owns the next ``fan_in[o]`` entries of `literals`.
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


@dataclass(frozen=True)
class CostRow:
    """What one operation costs: see `Cost`."""

    op: str
    n_in: int
    n_out: int
    binary_weights: int
    bytes: int
    bit_ops: int
    int_ops: int
    float_ops: int


@dataclass(frozen=True)
class Cost:
    """Size and work of a Program.

    Attributes
    ----------
    rows : tuple of CostRow
        One row an operation, then one for the golden vectors.
    bits : int
        Binary weights, one bit each.
    bytes : int
        Bytes of all arrays: the file on disk but for its header.
    bit_ops : int
        XOR-popcount-accumulates (one a synapse) and literal tests for one row.
    int_ops, float_ops : int
        Integer additions, and float comparisons and formula steps, for one row.
    """

    rows: tuple[CostRow, ...]

    @property
    def bits(self) -> int:
        return sum(row.binary_weights for row in self.rows)

    @property
    def bytes(self) -> int:
        return sum(row.bytes for row in self.rows)

    @property
    def bit_ops(self) -> int:
        return sum(row.bit_ops for row in self.rows)

    @property
    def int_ops(self) -> int:
        return sum(row.int_ops for row in self.rows)

    @property
    def float_ops(self) -> int:
        return sum(row.float_ops for row in self.rows)


@dataclass(frozen=True, eq=False)
class Program:
    """A trained binary net: columns in, operations, answers out.

    Parameters
    ----------
    columns : tuple of Column
        Names, kinds and categories of the raw row, in order.
    ops : tuple of Op
        The operations; operation *i* makes value *i* + 1 and reads values up to *i*.
    classes : tuple
        The labels of a classifier in the order of its outputs; empty for a regressor.
    provenance : mapping
        Who made it, when, from what: JSON values. Not part of the `id`.
    golden_x, golden_y : numpy.ndarray
        A few raw rows, float32 (n_golden, n_columns), and their answers, float32
        (n_golden, n_outputs), by which any copy anywhere can test itself.

    Raises
    ------
    ProgramError
        When the parts contradict each other.

    Examples
    --------
    >>> import numpy as np
    >>> from bimetal.columns import Column
    >>> older_than_30 = Encode(np.array([0], "u2"), np.array([GE], "u1"), np.array([30], "f4"),
    ...                        np.array([], "u2"), np.array([], "f4"))
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> score = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), np.array([], "f4"))
    >>> Program((Column("age"),), (older_than_30, points, score)).cost().bytes
    29
    """

    columns: tuple[Column, ...]
    ops: tuple[Op, ...]
    classes: tuple[str | int | float | bool, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    golden_x: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    golden_y: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __post_init__(self) -> None:
        self.validate()

    @property
    def n_columns(self) -> int:
        """Columns of the raw row."""
        return len(self.columns)

    @property
    def n_outputs(self) -> int:
        """Float32 answers a row: classes of a classifier, targets of a regressor."""
        return self.values[-1].n

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """What each value is: the raw row first, then one for each operation."""
        values = [Value("row", self.n_columns)]
        for i, op in enumerate(self.ops):
            try:
                values.append(_value_of(op, values))
            except ProgramError as error:
                raise ProgramError(f"operation {i} ({type(op).__name__}): {error}") from None
        return tuple(values)

    @cached_property
    def id(self) -> str:
        """sha256 of the columns, operations and classes: the same function has the same id."""
        digest = hashlib.sha256(json.dumps(self.spec(), sort_keys=True).encode())
        for name, array in self.tensors().items():
            if name.startswith("ops."):
                digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
                digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def spec(self) -> dict[str, Any]:
        """Return the JSON half of the Program: everything but arrays and provenance."""
        ops = [{"op": type(op).__name__.lower(), **op.scalars()} for op in self.ops]
        return {
            "version": VERSION,
            "columns": [column.spec() for column in self.columns],
            "ops": [{k: list(v) if isinstance(v, tuple) else v for k, v in o.items()} for o in ops],
            "classes": list(self.classes),
        }

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the array half of the Program, by the names used on disk."""
        named = {f"ops.{i}.{k}": a for i, op in enumerate(self.ops) for k, a in op.arrays().items()}
        return named | {"golden.x": self.golden_x, "golden.y": self.golden_y}

    def validate(self) -> None:
        """Raise `ProgramError` unless every part fits every other part."""
        names = [column.name for column in self.columns]
        _require(0 < len(names) <= MAX_COLUMNS, f"1 to {MAX_COLUMNS} columns expected, got {len(names)}")
        _require(len(set(names)) == len(names), f"column names must differ, got {names}")
        _require(bool(self.ops), "at least one operation expected, got none")
        last = self.values[-1]
        _require(last.kind == "floats", f"the last operation must be a Link, got {last.kind}")
        if self.classes:
            _require(len(self.classes) == last.n,
                     f"{last.n} outputs need {last.n} classes, got {len(self.classes)}")
            _require(len(set(map(repr, self.classes))) == last.n, "class labels must differ")
        n_golden = len(self.golden_x)
        for name, array, n in (("golden_x", self.golden_x, self.n_columns),
                               ("golden_y", self.golden_y, last.n)):
            _require(array.dtype == np.float32 and array.ndim == 2, f"{name} must be float32, 2-D")
            _require(array.shape == (n_golden, n) or (not n_golden and not array.size),
                     f"{name} must have shape ({n_golden}, {n}), got {array.shape}")

    def cost(self) -> Cost:
        """Return bits, bytes and operations, row by row."""
        rows = [_cost_of(op, self.values) for op in self.ops]
        golden = self.golden_x.nbytes + self.golden_y.nbytes
        rows.append(CostRow("golden", self.n_columns, self.n_outputs, 0, golden, 0, 0, 0))
        return Cost(tuple(rows))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ProgramError(message)


def _input(values: list[Value], index: int, kind: str) -> Value:
    _require(0 <= index < len(values), f"reads value {index}, but only {len(values)} exist so far")
    _require(values[index].kind == kind, f"reads {kind}, but value {index} is {values[index].kind}")
    return values[index]


def _value_of(op: Op, values: list[Value]) -> Value:
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
    _require(0 < n <= MAX_BITS, f"1 to {MAX_BITS} bits expected, got {n}")
    _require(len(op.kind) == n == len(op.value), "column, kind and value must be of one length")
    _require(len(op.special_column) == len(op.special_value), "specials must be of one length")
    for column in (op.column, op.special_column):
        _require(bool((column < n_columns).all()), f"columns must be below {n_columns}")
    _require(bool((op.kind <= MISSING).all()), "kinds must be 0 (>=), 1 (==) or 2 (missing)")
    for value in (op.value, op.special_value):
        _require(bool(np.isfinite(value).all()), "values must be finite")
    return Value("bits", n)


def _check_dense(op: Dense, n_in: int) -> Value:
    n_out, groups = len(op.thresholds), op.groups
    _require(op.n_in == n_in, f"expects {op.n_in} bits, but its input has {n_in}")
    _require(0 < n_out <= MAX_BITS, f"1 to {MAX_BITS} neurons expected, got {n_out}")
    _require(groups >= 1 and n_in % groups == 0 == n_out % groups,
             f"{n_in} bits and {n_out} neurons do not divide into {groups} groups")
    k = n_in // groups
    _require(op.weights.shape == (n_out, n_bytes(k)),
             f"weights must have shape {(n_out, n_bytes(k))}, got {op.weights.shape}")
    tail = (0xFF << (k % 8)) & 0xFF if k % 8 else 0
    _require(not (op.weights[:, -1] & tail).any(), "bits beyond the end of a weight row must be 0")
    low, high = int(op.thresholds.min()), int(op.thresholds.max())
    _require(-1 <= low and high <= k, f"thresholds must lie in [-1, {k}], got [{low}, {high}]")
    return Value("bits", n_out)


def _check_rules(op: Rules, n_in: int) -> Value:
    n_out = len(op.fan_in)
    _require(0 < n_out <= MAX_BITS, f"1 to {MAX_BITS} rules expected, got {n_out}")
    _require(int(op.fan_in.min()) >= 1, "every rule needs at least one literal")
    total = int(op.fan_in.sum(dtype=np.int64))
    _require(total == len(op.literals), f"fan_in adds to {total}, got {len(op.literals)} literals")
    _require(int(op.literals.max()) < 2 * n_in, f"literals must be below {2 * n_in}")
    return Value("bits", n_out)


def _check_readout(op: Readout, n_in: int) -> Value:
    n_out = len(op.bias)
    _require(n_out > 0, "at least one output expected")
    _require(len(op.inputs) > 0, "at least one input expected")
    _require(op.weights.shape == (n_out, n_in),
             f"weights must have shape {(n_out, n_in)}, got {op.weights.shape}")
    bound = np.abs(op.weights.astype(np.int64)).sum(axis=1) + np.abs(op.bias.astype(np.int64))
    _require(int(bound.max()) <= INT32_MAX, "the points can overflow int32; scale them down")
    return Value("ints", n_out)


def _check_link(op: Link, n_in: int) -> Value:
    kinds = ("identity", "sigmoid", "softmax", "table")
    _require(op.kind in kinds, f"kind must be one of {kinds}, got {op.kind!r}")
    _require(op.scale.shape == op.offset.shape == (n_in,), f"scale and offset need {n_in} entries")
    _require(bool((np.abs(op.scale) < 1e280).all() and (np.abs(op.offset) < 1e290).all()),
             "scale must stay below 1e280 and offset below 1e290")
    is_table = op.kind == "table"
    _require(len(op.values) == (len(op.knots) + 1 if is_table else 0), "values do not fit the knots")
    _require(is_table or not len(op.knots), "only a table has knots")
    _require(bool((np.diff(op.knots.astype(np.int64)) > 0).all()), "knots must increase")
    _require(bool(((op.values >= 0) & (op.values <= 1)).all()), "table values must lie in [0, 1]")
    _require(bool((np.diff(op.values) >= 0).all()), "table values must not decrease")
    if op.kind in ("sigmoid", "table"):
        _require(n_in == 1, f"a {op.kind} reads one output, got {n_in}")
        return Value("floats", 2)
    _require(op.kind != "softmax" or n_in >= 2, "a softmax reads two outputs or more")
    return Value("floats", n_in)


def _cost_of(op: Op, values: tuple[Value, ...]) -> CostRow:
    size = sum(array.nbytes for array in op.arrays().values())
    name = type(op).__name__.lower()
    match op:
        case Encode():
            n = len(op.column)
            return CostRow(name, values[0].n, n, 0, size, 0, 0, n)
        case Dense():
            n_out = len(op.thresholds)
            synapses = n_out * (op.n_in // op.groups)
            return CostRow(name, op.n_in, n_out, synapses, size, synapses, n_out, 0)
        case Rules():
            n_literals = len(op.literals)
            return CostRow(name, values[op.input].n, len(op.fan_in), n_literals, size, n_literals, 0, 0)
        case Readout():
            n_out, n_in = op.weights.shape
            return CostRow(name, n_in, n_out, 0, size, 0, n_in * n_out, 0)
        case Link():
            return CostRow(name, len(op.scale), _check_link(op, len(op.scale)).n, 0, size, 0, 0,
                           len(op.scale))
        case _:
            assert_never(op)


def from_parts(spec: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]],
               provenance: Mapping[str, Any]) -> Program:
    """Build a Program from its JSON half and its array half: the inverse of `spec` and `tensors`.

    Raises
    ------
    ProgramError
        When a part is missing, unknown, of the wrong type, or does not fit.
    """
    _require(spec.get("version") == VERSION,
             f"this bimetal reads Program version {VERSION}, got {spec.get('version')!r}")
    _require(set(spec) == {"version", "columns", "ops", "classes"}, f"unexpected keys: {sorted(spec)}")
    for key in ("columns", "ops", "classes"):
        _require(isinstance(spec[key], list), f"'{key}' must be a list")
    ops = tuple(_op_from(i, o, tensors) for i, o in enumerate(spec["ops"]))
    expected = {f"ops.{i}.{k}" for i, op in enumerate(ops) for k in op.arrays()}
    _require(set(tensors) == expected | {"golden.x", "golden.y"}, "arrays and operations do not match")
    for label in spec["classes"]:
        _require(isinstance(label, str | int | float | bool), f"class label {label!r} is no scalar")
    return Program(tuple(Column.from_spec(c) for c in spec["columns"]), ops, tuple(spec["classes"]),
                   provenance, tensors["golden.x"], tensors["golden.y"])


def _op_from(i: int, given: Any, tensors: Mapping[str, NDArray[Any]]) -> Op:
    _require(isinstance(given, dict), f"operation {i} must be an object")
    named: dict[Any, Callable[..., Op]] = {op.__name__.lower(): op for op in OPS}
    kind = given.get("op")
    _require(isinstance(kind, str) and kind in named,
             f"operation {i} is {kind!r}; this bimetal knows {sorted(named)}")
    scalars = {k: v for k, v in given.items() if k != "op"}
    arrays, kinds = {}, {}
    for f in fields(cast(Any, named[kind])):
        if "dtypes" in f.metadata:
            _require(f"ops.{i}.{f.name}" in tensors, f"operation {i} lacks its array '{f.name}'")
            arrays[f.name] = tensors[f"ops.{i}.{f.name}"]
        else:
            kinds[f.name] = f.type
    _require(set(scalars) == set(kinds), f"operation {i} needs {sorted(kinds)}, got {sorted(scalars)}")
    for name, kind_ in kinds.items():
        scalars[name] = _scalar(f"operation {i}: '{name}'", scalars[name], kind_)
    return named[kind](**scalars, **arrays)


def _scalar(what: str, given: Any, kind: Any) -> Any:
    def is_index(x: Any) -> bool:
        return type(x) is int and 0 <= x < 2**31

    if kind is int:
        _require(is_index(given), f"{what} must be a whole number, got {given!r}")
    elif kind == tuple[int, ...]:
        _require(isinstance(given, list) and all(map(is_index, given)), f"{what} must be whole numbers")
        return tuple(given)
    else:
        _require(isinstance(given, str), f"{what} must be a string, got {given!r}")
    return given
