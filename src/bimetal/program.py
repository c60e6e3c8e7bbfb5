"""Program: a trained binary net as a short list of bit operations, the meeting place of the house.

Whatever learns writes a Program; whatever runs, saves, explains or exports reads one. Value 0 is
the raw row (float32, categories as their codes, missing as NaN); operation *i* reads earlier values
and makes value *i* + 1; the last value is the answer. The operations live in `bimetal.ops` and
their costs in `bimetal.cost`; every name is to be had here.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import MAX_ELEMENTS, Column, is_portable, n_values
from bimetal.cost import Cost, CostRow, cost_of
from bimetal.errors import ProgramError
from bimetal.ops import (
    EQ,
    GE,
    MAX_BITS,
    MISSING,
    OPS,
    Add,
    Affine,
    ByteConv,
    Concat,
    Conv,
    Dense,
    Encode,
    Link,
    Lut,
    MapOp,
    Op,
    Planes,
    Pool,
    PReLU,
    Quantize,
    Readout,
    RowThreshold,
    Rules,
    Threshold,
    Value,
    frozen,
    require,
    value_of,
)

__all__ = [
    "EQ",
    "GE",
    "MAX_BITS",
    "MAX_COLUMNS",
    "MAX_ELEMENTS",
    "MISSING",
    "OPS",
    "VERSIONS",
    "Add",
    "Affine",
    "ByteConv",
    "Column",
    "Concat",
    "Conv",
    "Cost",
    "CostRow",
    "Dense",
    "Encode",
    "Link",
    "Lut",
    "Op",
    "PReLU",
    "Planes",
    "Pool",
    "Program",
    "Quantize",
    "Readout",
    "RowThreshold",
    "Rules",
    "Threshold",
    "Value",
    "from_parts",
]

VERSIONS = (1, 2, 3, 4)
"""The versions that this bimetal reads and writes; 2 has maps and columns that are arrays, 3 has also
`RowThreshold`, 4 has also `Lut`."""
MAX_COLUMNS = 65_535


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
        Who made it, when, from what: JSON values, keys strings. Not part of the `id`.
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
        for name in ("golden_x", "golden_y"):
            object.__setattr__(self, name, frozen(np.asarray(getattr(self, name))))
        self.validate()

    @cached_property
    def n_columns(self) -> int:
        """Numbers of the raw row: one for each column, `size` for one that is an array."""
        return n_values(self.columns)

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
                values.append(value_of(op, values))
            except ProgramError as error:
                raise ProgramError(f"operation {i} ({type(op).__name__}): {error}") from None
        return tuple(values)

    @property
    def version(self) -> int:
        """The oldest version of the format that can say this Program."""
        for version, newest in ((4, Lut), (3, RowThreshold)):
            if any(isinstance(op, newest) for op in self.ops):
                return version
        has_maps = any(isinstance(op, MapOp) for op in self.ops)
        return 2 if has_maps or any(column.kind == "array" for column in self.columns) else 1

    @cached_property
    def id(self) -> str:
        """sha256 of the columns, operations and classes: the same function has the same id."""
        digest = hashlib.sha256(self.spec_text().encode())
        for name, array in self.tensors().items():
            if name.startswith("ops."):
                little = array.astype(array.dtype.newbyteorder("<"), copy=False)
                digest.update(f"{name}{little.dtype.str}{little.shape}".encode())
                digest.update(little.data)
        return digest.hexdigest()

    def spec(self) -> dict[str, Any]:
        """Return the JSON half of the Program: everything but arrays and provenance."""
        ops = [{"op": type(op).__name__.lower(), **op.scalars()} for op in self.ops]
        return {
            "version": self.version,
            "columns": [column.spec() for column in self.columns],
            "ops": [{k: list(v) if isinstance(v, tuple) else v for k, v in o.items()} for o in ops],
            "classes": list(self.classes),
        }

    def spec_text(self) -> str:
        """Return `spec` as canonical JSON: what the id is made from and a file stores."""
        return json.dumps(self.spec(), sort_keys=True, allow_nan=False)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the array half of the Program, by the names used on disk."""
        named = {f"ops.{i}.{k}": a for i, op in enumerate(self.ops) for k, a in op.arrays().items()}
        return named | {"golden.x": self.golden_x, "golden.y": self.golden_y}

    def validate(self) -> None:
        """Raise `ProgramError` unless every part fits every other part."""
        names = [column.name for column in self.columns]
        require(
            0 < len(names) <= MAX_COLUMNS, f"1 to {MAX_COLUMNS} columns expected, got {len(names)}"
        )
        require(len(set(names)) == len(names), f"column names must differ, got {names}")
        require(
            self.n_columns <= MAX_ELEMENTS,
            f"a raw row has at most {MAX_ELEMENTS} numbers, got {self.n_columns}",
        )
        require(bool(self.ops), "at least one operation expected, got none")
        last = self.values[-1]
        name = type(self.ops[-1]).__name__
        require(name == "Link", f"the last operation must be a Link, got {name}")
        self._check_classes(last.n)
        self._check_golden(last.n)

    def _check_classes(self, n_outputs: int) -> None:
        n = len(self.classes)
        require(n in (0, n_outputs), f"{n_outputs} outputs need {n_outputs} classes, got {n}")
        require(len(set(map(repr, self.classes))) == n, "class labels must differ")
        for label in self.classes:
            require(
                type(label) in (str, int, float, bool) and is_portable(label),
                "a class label must be a string, a finite number or a bool of Python's own "
                f"(NumPy's have .item()), got {label!r}",
            )

    def _check_golden(self, n_outputs: int) -> None:
        n = len(self.golden_x)
        sizes = {"golden_x": self.n_columns, "golden_y": n_outputs}
        for name, n_wide in sizes.items():
            array = getattr(self, name)
            require(array.dtype == np.float32 and array.ndim == 2, f"{name} must be float32, 2-D")
            require(
                array.shape == (n, n_wide) or (n == 0 and array.shape == (0, 0)),
                f"{name} must have shape ({n}, {n_wide}), got {array.shape}",
            )
        require(not np.isnan(self.golden_y).any(), "golden_y must not hold NaN")

    def cost(self) -> Cost:
        """Return bits, bytes and operations, row by row."""
        rows = [cost_of(op, self.values, self.values[i + 1]) for i, op in enumerate(self.ops)]
        golden = self.golden_x.nbytes + self.golden_y.nbytes
        rows.append(CostRow("golden", self.n_columns, self.n_outputs, 0, golden, 0, 0, 0))
        return Cost(tuple(rows))


def from_parts(
    spec: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], provenance: Mapping[str, Any]
) -> Program:
    """Build a Program from its JSON half and its array half: the inverse of `spec` and `tensors`.

    Raises
    ------
    ProgramError
        When a part is missing, unknown, of the wrong type, or does not fit.
    """
    version = spec.get("version")
    require(version in VERSIONS, f"this bimetal reads Program versions {VERSIONS}, got {version!r}")
    require(
        set(spec) == {"version", "columns", "ops", "classes"}, f"unexpected keys: {sorted(spec)}"
    )
    for key in ("columns", "ops", "classes"):
        require(isinstance(spec[key], list), f"'{key}' must be a list")
    ops = tuple(_op_from(i, o, tensors) for i, o in enumerate(spec["ops"]))
    expected = {f"ops.{i}.{k}" for i, op in enumerate(ops) for k in op.arrays()}
    require(
        set(tensors) == expected | {"golden.x", "golden.y"}, "arrays and operations do not match"
    )
    program = Program(
        tuple(Column.from_spec(c) for c in spec["columns"]),
        ops,
        tuple(spec["classes"]),
        provenance,
        tensors["golden.x"],
        tensors["golden.y"],
    )
    require(
        version == program.version,
        f"the parts are of Program version {program.version}, but the description says {version!r}",
    )
    return program


def _op_from(i: int, given: Any, tensors: Mapping[str, NDArray[Any]]) -> Op:
    require(isinstance(given, dict), f"operation {i} must be an object, got {given!r:.80}")
    named: dict[Any, Callable[..., Op]] = {op.__name__.lower(): op for op in OPS}
    kind = given.get("op")
    require(
        isinstance(kind, str) and kind in named,
        f"operation {i} is {kind!r:.80}; this bimetal knows {sorted(named)}",
    )
    parts = fields(cast(Any, named[kind]))
    arrays = {f.name: f"ops.{i}.{f.name}" for f in parts if "dtypes" in f.metadata}
    scalars = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "op"}
    wanted = {f.name for f in parts} - set(arrays)
    require(
        set(scalars) == wanted, f"operation {i} needs {sorted(wanted)}, got {sorted(scalars)!r:.80}"
    )
    for name, stored in arrays.items():
        require(stored in tensors, f"operation {i} lacks its array '{name}'")
    try:
        return named[kind](**scalars, **{k: tensors[stored] for k, stored in arrays.items()})
    except ProgramError as error:
        raise ProgramError(f"operation {i}: {error}") from None
