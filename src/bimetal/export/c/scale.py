"""How the numbers of a raw row are compared in C: which whole number stands for each cut-point."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.export.c.text import int_type
from bimetal.ops import EQ, GE, MISSING, Encode

__all__ = ["Scale", "scale_for", "signed_key"]

LOWEST = -(2**31)
HALF = 2**16
EXACT = 2**24
"""Whole numbers below it are float32 as they are; beyond, neighbours become one."""


@dataclass(frozen=True)
class Scale:
    """How numbers of the raw row are compared.

    Attributes
    ----------
    input : str
        "float", "int16" or "int32".
    is_direct : bool
        Whether whole numbers are compared as they are, and not by the key of their float32.
    unit : int
        What a stored cut-point counts: 65,536 where only upper halves of keys are stored, else 1.
    cut_type : str
        The C type of a stored cut-point.
    """

    input: str
    is_direct: bool
    unit: int = 1
    cut_type: str = "int32_t"

    @property
    def key(self) -> str:
        """The template that turns a number into a key; none where it is one already."""
        if self.is_direct:
            return ""
        return "key_float.c" if self.input == "float" else "key_whole.c"

    @property
    def key_call(self) -> str:
        """The C expression of a number's key, of the row and its place there."""
        return "{0}[{1}]" if self.is_direct else "name_key(&{0}[{1}])"

    @property
    def lowest(self) -> str:
        """What a raw row has where a number is missing, if it is of whole numbers."""
        return "INT16_MIN" if self.input == "int16" else "INT32_MIN"

    @property
    def missing(self) -> str:
        """The key of a missing number."""
        return self.lowest if self.is_direct else "INT32_MIN"

    @property
    def title(self) -> str:
        """What the table of cut-points holds."""
        what = "cut-points" if self.is_direct else "cut-points as keys"
        return f"{what}, upper halves (the lower are 0)" if self.unit != 1 else what

    @property
    def cut_key(self) -> str:
        """The C expression of a cut-point's key, of what is stored."""
        return f"(int32_t){{0}} * {self.unit}" if self.unit != 1 else "{0}"

    def specials(self, op: Encode, column: int) -> tuple[float, ...]:
        """Return the special codes of a column that a raw number can be."""
        codes = np.unique(op.special_value[op.special_column == column]).tolist()
        return tuple(
            c for c in codes if not self.is_direct or _direct(self.input, EQ, c) is not None
        )

    def cut(self, kind: int, value: float) -> int:
        """Return what is stored for a question."""
        if self.is_direct:
            cut = _direct(self.input, kind, value)
            assert cut is not None
            return cut
        return LOWEST // self.unit if kind == MISSING else int(signed_key(value)) // self.unit


def scale_for(given: str, encoders: Sequence[Encode]) -> Scale:
    """Return how the numbers of a header with these encoders are compared."""
    kinds = np.concatenate([op.kind for op in encoders])
    values = np.concatenate([op.value for op in encoders])
    codes = np.concatenate([op.special_value for op in encoders])
    asked = list(zip(kinds.tolist(), values.tolist(), strict=True))
    if given != "float" and all(abs(c) < EXACT or c != int(c) for c in codes.tolist()):
        cuts = [_direct(given, kind, value) for kind, value in asked]
        known = [c for c in (_direct(given, EQ, c) for c in codes.tolist()) if c is not None]
        if None not in cuts:
            return Scale(given, True, 1, int_type([c for c in cuts if c is not None], known))
    keys = np.where(kinds == MISSING, LOWEST, signed_key(values))
    is_half = not (keys % HALF).any() and not (signed_key(codes) % HALF).any()
    return Scale(given, False, HALF, "int16_t") if is_half else Scale(given, False)


def signed_key(x: ArrayLike) -> NDArray[np.int64]:
    """Return whole numbers that order as float32 do: their bits as sign and size; −0 and 0 are 0.

    Examples
    --------
    >>> signed_key([-1.0, -0.0, 1.0])
    array([-1065353216,           0,  1065353216])
    """
    raw = np.asarray(x, np.float32).view(np.int32).astype(np.int64)
    size = raw & 0x7FFFFFFF
    return np.where(raw < 0, -size, size)


def _direct(given: str, kind: int, value: float) -> int | None:
    """Return the whole number that a question compares with, or None if there is none.

    An int32 x counts as the float32 nearest to it. As rounding keeps order, and keeps what is below
    2**24, x >= value and the like mean the same of x itself while |value| < 2**24.
    """
    low, high = (-(2**15), 2**15 - 1) if given == "int16" else (-(2**31), 2**31 - 1)
    if kind == MISSING:
        return low
    if kind == GE and value <= low:
        return low + 1  # any number at all
    is_within = low < value <= high and abs(value) < EXACT
    if not is_within or (kind == EQ and value != int(value)):
        return None
    return ceil(value)
