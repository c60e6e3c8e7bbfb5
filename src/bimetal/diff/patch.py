"""A patch: the bytes that turn one Program into another, and the other into the one.

Arrays of the same name, type and size are kept as their exclusive or, which is its own inverse and
nearly all zeros where little changed; whatever has no such counterpart is kept from both sides. So one
patch rolls forward and back, and a log of patches holds every Program that ever was.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError, FormatError, ProgramError
from bimetal.format import DTYPES, dumps
from bimetal.program import Program, from_parts
from bimetal.strict_json import parse_object, require

__all__ = ["Patch", "fingerprint"]

Array = NDArray[Any]
MAX_BYTES = 2**31
"""A patch that claims to unpack to more is refused."""


def fingerprint(program: Program) -> str:
    """Return the sha256 of the file that `bimetal.save` writes: golden rows and provenance included."""
    return hashlib.sha256(dumps(program)).hexdigest()


@dataclass(frozen=True, eq=False)
class Patch:
    """What turns the Program with one fingerprint into the one with another, and back.

    Attributes
    ----------
    before, after : str
        sha256 of the two files, see `fingerprint`.
    described : list of two dict, or None
        What is no array (`Program.spec` and provenance), before and after; None if it stayed the same.
    xors : dict of str to numpy.ndarray
        By the names of `Program.tensors`, uint8: exclusive or of the bytes.
    replaced : dict of str to tuple
        Arrays before and after where they have no counterpart of their form; None where there is none.

    Examples
    --------
    See `bimetal.diff.diff`, whose result has an `apply` and a `revert`.
    """

    before: str
    after: str
    described: list[dict[str, Any]] | None
    xors: dict[str, Array]
    replaced: dict[str, tuple[Array | None, Array | None]]

    @classmethod
    def between(cls, a: Program, b: Program) -> "Patch":
        """Return what turns `a` into `b`."""
        old, new = a.tensors(), b.tensors()
        xors, replaced = {}, {}
        for name in sorted(old.keys() | new.keys()):
            x, y = old.get(name), new.get(name)
            if x is None or y is None or x.shape != y.shape or x.dtype != y.dtype:
                replaced[name] = (x, y)
            elif (difference := _bytes(x) ^ _bytes(y)).any():
                xors[name] = difference
        described = [{"spec": p.spec(), "provenance": dict(p.provenance)} for p in (a, b)]
        is_same = json.dumps(described[0], sort_keys=True) == json.dumps(
            described[1], sort_keys=True
        )
        return cls(fingerprint(a), fingerprint(b), None if is_same else described, xors, replaced)

    def apply(self, program: Program) -> Program:
        """Return what the patch makes of the Program that was before.

        Raises
        ------
        DataError
            When the patch was not made for this very Program, golden rows and provenance included.
        FormatError
            When the patch is damaged.
        """
        return self._turned(program, self.before, self.after, 1)

    def revert(self, program: Program) -> Program:
        """Return what was before, from the Program that the patch makes. Raises what `apply` does."""
        return self._turned(program, self.after, self.before, 0)

    def _turned(self, program: Program, given: str, wanted: str, side: int) -> Program:
        if (came := fingerprint(program)) != given:
            raise DataError(
                f"the patch is for the Program whose file has sha256 {given[:12]}…, got one with "
                f"{came[:12]}… (id {program.id[:12]}…); apply the patches of a log in their order, from the "
                "Program that the first one names"
            )
        tensors = program.tensors()
        try:
            for name, bits in self.xors.items():
                tensors[name] = _xored(tensors[name], bits)
            for name, sides in self.replaced.items():
                tensors.pop(name, None)
                if (array := sides[side]) is not None:
                    tensors[name] = array
            now = {"spec": program.spec(), "provenance": dict(program.provenance)}
            now = self.described[side] if self.described else now
            made = from_parts(now["spec"], tensors, now["provenance"])
            is_right = fingerprint(made) == wanted
        except (ProgramError, KeyError, ValueError, TypeError) as error:
            raise FormatError(f"the patch is damaged: {error}; take it from its source") from None
        if not is_right:
            raise FormatError("the patch is damaged: it makes another Program than it says")
        return made

    def to_bytes(self) -> bytes:
        """Return it compressed, for a file or a line of a log."""
        sides = {
            name: [None if x is None else [_code(x), list(x.shape)] for x in pair]
            for name, pair in self.replaced.items()
        }
        header = {
            "patch": 1, "before": self.before, "after": self.after, "described": self.described,
            "xors": {name: len(bits) for name, bits in self.xors.items()}, "replaced": sides,
        }  # fmt: skip
        text = json.dumps(header, sort_keys=True, allow_nan=False).encode()
        arrays = [
            *self.xors.values(),
            *(x for p in self.replaced.values() for x in p if x is not None),
        ]
        body = b"".join(_bytes(x).tobytes() for x in arrays)
        return zlib.compress(len(text).to_bytes(8, "little") + text + body, 9)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Patch":
        """Return the patch that `to_bytes` wrote.

        Raises
        ------
        FormatError
            When the bytes are no patch.
        """
        try:
            raw = zlib.decompressobj().decompress(data, MAX_BYTES)
        except zlib.error as error:
            raise FormatError(
                f"expected a compressed patch, got {error}; take it from its source"
            ) from None
        n = int.from_bytes(raw[:8], "little")
        require(len(raw) >= 8 and n <= len(raw) - 8, "a whole patch", f"{len(raw)} bytes")
        try:
            return cls._read(parse_object(raw[8 : 8 + n], "the patch"), raw[8 + n :])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(
                f"the patch is damaged: {str(error)[:200]}; take it from its source"
            ) from None

    @classmethod
    def _read(cls, header: dict[str, Any], body: bytes) -> "Patch":
        require(header["patch"] == 1, "a patch of version 1", header["patch"])
        reader = _Reader(body)
        xors = {name: reader.take("u1", [n]) for name, n in header["xors"].items()}
        replaced = {
            name: tuple(None if form is None else reader.take(*form) for form in forms)
            for name, forms in header["replaced"].items()
        }
        require(reader.at == len(body), f"{reader.at} bytes of arrays", len(body))
        return cls(header["before"], header["after"], header["described"], xors, replaced)  # type: ignore[arg-type]


class _Reader:
    """Takes arrays from bytes, one behind the other."""

    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    def take(self, code: str, shape: list[int]) -> Array:
        require(code in DTYPES.values(), f"a type of {sorted(DTYPES.values())}", code)
        dtype = np.dtype(code).newbyteorder("<")
        n = int(np.prod(shape, dtype=object)) * dtype.itemsize
        require(
            0 <= n <= len(self.body) - self.at, f"{n} bytes of an array", len(self.body) - self.at
        )
        array: Array = np.frombuffer(self.body, dtype, n // dtype.itemsize, self.at).reshape(shape)
        self.at += n
        return array.astype(dtype.newbyteorder("="))


def _bytes(array: Array) -> NDArray[np.uint8]:
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    return little.reshape(-1).view(np.uint8)


def _xored(array: Array, bits: Array) -> Array:
    little = array.dtype.newbyteorder("<")
    changed: Array = (_bytes(array) ^ bits).view(little).reshape(array.shape)
    return changed.astype(array.dtype)


def _code(array: Array) -> str:
    return f"{array.dtype.kind}{array.itemsize}"
