"""An ONNX graph while it is written: nodes, constants, and binary weights in the chosen form.

Every node is a stock operator of opset 18. Between operations a bit is a uint8 of 0 or 1, in an array
(batch, n); sums are int32. Nothing here needs the package `onnx`; `writer` hands the nodes to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import pack
from bimetal.export.onnx.options import Weights

__all__ = ["Graph", "Node"]

TYPE_CODES = {
    np.dtype(kind): code
    for kind, code in (
        (np.float32, 1), (np.uint8, 2), (np.int8, 3), (np.uint16, 4), (np.int16, 5), (np.int32, 6),
        (np.int64, 7), (np.bool_, 9), (np.float64, 11), (np.uint32, 12),
    )
}  # fmt: skip
"""The numbers by which ONNX names types (TensorProto.DataType)."""
SMALL_INTS: tuple[Any, ...] = (np.int8, np.uint8, np.int16, np.uint16, np.int32)

Input = str | NDArray[Any] | np.generic


@dataclass(frozen=True)
class Node:
    """One operator: its kind, the names that it reads and makes, and its attributes."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass
class Graph:
    """Nodes and constants, in the order they are asked for.

    Examples
    --------
    >>> graph = Graph("packed")
    >>> graph.op("Add", "points", np.int32(1))
    'v0'
    >>> graph.constants
    {'c0': array(1, dtype=int32)}
    """

    weights: Weights
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    _names: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _n_values: int = 0

    def op(self, kind: str, *inputs: Input, **attributes: Any) -> str:
        """Add an operator and return the name of what it makes; arrays become constants."""
        return self.split(kind, 1, *inputs, **attributes)[0]

    def split(self, kind: str, n_outputs: int, *inputs: Input, **attributes: Any) -> list[str]:
        """Add an operator of several outputs and return their names."""
        made = [f"v{self._n_values + i}" for i in range(n_outputs)]
        self._n_values += n_outputs
        self._add(kind, inputs, made, attributes)
        return made

    def name(self, value: str, name: str) -> None:
        """Give a value that a node makes the name of an output of the graph."""
        renamed = {value: name}
        for i, node in enumerate(self.nodes):
            names = [tuple(renamed.get(x, x) for x in side) for side in (node.inputs, node.outputs)]
            self.nodes[i] = Node(node.kind, names[0], names[1], node.attributes)

    def _add(
        self, kind: str, inputs: Sequence[Input], made: Sequence[str], attributes: dict[str, Any]
    ) -> None:
        read = tuple(x if isinstance(x, str) else self.constant(x) for x in inputs)
        self.nodes.append(Node(kind, read, tuple(made), attributes))

    def constant(self, array: NDArray[Any] | np.generic) -> str:
        """Return the name of a constant; equal constants are stored once."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, sha256(array.tobytes()).digest())
        if key not in self._names:
            self._names[key] = f"c{len(self.constants)}"
            self.constants[self._names[key]] = array
        return self._names[key]

    def cast(self, x: Input, kind: type) -> str:
        """Return `x` as another type."""
        return self.op("Cast", x, to=TYPE_CODES[np.dtype(kind)])

    def whole(self, numbers: NDArray[Any], kind: type = np.int32) -> str:
        """Return a constant of whole numbers, stored in the narrowest type that holds them."""
        low, high = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, 0)
        fits = (t for t in SMALL_INTS if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
        narrow = np.dtype(next(fits, kind))
        if narrow.itemsize >= np.dtype(kind).itemsize or numbers.size < 16:
            return self.constant(numbers.astype(kind))
        return self.cast(numbers.astype(narrow), kind)

    def shaped(self, x: str, *shape: int) -> str:
        """Return `x` with another shape for each row of the batch."""
        return self.op("Reshape", x, np.array([0, *shape], np.int64))

    def gathered(self, x: Input, places: NDArray[Any], axis: int = 1) -> str:
        """Return the elements of `x` at `places` along an axis."""
        return self.op("Gather", x, self.whole(places), axis=axis)

    def bits(self, is_set: str) -> str:
        """Return booleans as uint8 of 0 or 1."""
        return self.cast(is_set, np.uint8)

    def sum(self, first: str, *rest: str) -> str:
        """Return a sum, added from left to right."""
        for x in rest:
            first = self.op("Add", first, x)
        return first

    def wrapped(self, x: str) -> str:
        """Return int64 below 2**62 in magnitude modulo 2**32, as int32.

        The bias makes it positive, so that the quotient is a floor; what is cast fits, as runtimes
        differ in what they do with ints that do not (a sum of int32 saturates in onnxruntime).
        """
        lifted = self.op("Add", x, np.int64(2**62 + 2**31))
        whole = self.op("Mul", self.op("Div", lifted, np.int64(2**32)), np.int64(2**32))
        low = self.op("Sub", lifted, whole)
        return self.cast(self.op("Sub", low, np.int64(2**31)), np.int32)

    def unpacked(self, bits: NDArray[np.bool_]) -> str:
        """Return constant bits as uint8 of 0 or 1, stored as one bit each.

        Each byte is shifted right by 0 … 7 and its lowest bit kept; bits of the last byte that are
        not ours are cut off.
        """
        packed = pack(bits.reshape(-1))
        shifted = self.op(
            "BitShift", packed[:, None], np.arange(8, dtype=np.uint8), direction="RIGHT"
        )
        flat = self.op("BitwiseAnd", shifted, np.uint8(1))
        if 8 * len(packed) != bits.size:
            row = self.op("Reshape", flat, np.array([-1], np.int64))
            ends = (np.array([n], np.int64) for n in (0, bits.size, 0))
            flat = self.op("Slice", row, *ends)
        return self.op("Reshape", flat, np.array(bits.shape, np.int64))

    def signs(self, bits: NDArray[np.bool_]) -> str:
        """Return constant bits as ±1: int8, or float32 where the products are of floats."""
        if self.weights == "packed":
            x = self.cast(self.unpacked(bits), np.int32)
            return self.cast(self.op("Sub", self.op("Add", x, x), np.int32(1)), np.int8)
        kind = np.int8 if self.weights == "int8" else np.float32
        return self.constant(np.where(bits, 1, -1).astype(kind))

    def at_least(self, sums: str, bounds: NDArray[Any]) -> str:
        """Return bits: which sums (int32, or float32 with floating-point products) reach a bound."""
        known = bounds.astype(np.float32) if self.weights == "float" else self.whole(bounds)
        return self.bits(self.op("GreaterOrEqual", sums, known))
