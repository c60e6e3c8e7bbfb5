"""What every operation is made of: checked scalars, frozen arrays, and the values between them."""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import MAX_ELEMENTS
from bimetal.errors import ProgramError

__all__ = [
    "INT32_MAX",
    "MAX_BITS",
    "MAX_ELEMENTS",
    "BaseOp",
    "Value",
    "array_of",
    "frozen",
    "input_value",
    "require",
    "tail_mask",
]

MAX_BITS = 32_768  # a literal is one uint16: 2 * bit + negated
INT32_MAX = 2**31 - 1


def tail_mask(n_bits: int) -> int:
    """Return the bits of the last byte of a packed row that lie beyond its `n_bits`."""
    return (0xFF << (n_bits % 8)) & 0xFF if n_bits % 8 else 0


def array_of(*dtypes: type, ndim: int = 1) -> Any:
    """Declare an array of an operation: its types and its number of axes."""
    return field(metadata={"dtypes": tuple(np.dtype(d) for d in dtypes), "ndim": ndim})


def require(holds: bool, message: str) -> None:
    """Raise `ProgramError` with `message` unless `holds`."""
    if not holds:
        raise ProgramError(message)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that nobody can change: a copy, or a view of a file mapped read-only."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and _is_mapped_read_only(array):
        return array
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy


def _is_mapped_read_only(array: NDArray[Any]) -> bool:
    """Tell whether the memory of an array is a read-only map of a file, which stays read-only.

    `flags.writeable` alone says nothing: a read-only view may look at memory that others write.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap) and memoryview(base).readonly


def _is_index(given: Any) -> bool:
    return type(given) is int and 0 <= given < 2**31


@dataclass(frozen=True)
class Value:
    """What an operation makes: `n` numbers a row, of one kind."""

    kind: Literal["row", "bits", "bytes", "ints", "floats"]
    n: int


@dataclass(frozen=True, eq=False)
class BaseOp:
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
        return frozen(given)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of this operation by name, in the order they are stored."""
        return {f.name: getattr(self, f.name) for f in fields(self) if "dtypes" in f.metadata}

    def scalars(self) -> dict[str, Any]:
        """Return what is not an array: wiring, sizes and names."""
        return {f.name: getattr(self, f.name) for f in fields(self) if "dtypes" not in f.metadata}


def input_value(values: Sequence[Value], index: int, *kinds: str) -> Value:
    """Return the value that an operation reads, or raise `ProgramError` if it is not there."""
    require(0 <= index < len(values), f"reads value {index}, but only {len(values)} exist so far")
    kind = values[index].kind
    require(kind in kinds, f"reads {' or '.join(kinds)}, but value {index} is {kind}")
    return values[index]
