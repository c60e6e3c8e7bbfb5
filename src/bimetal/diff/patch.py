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

from bimetal.container import arrays_of, header_of, to_bytes
from bimetal.errors import DataError, FormatError, ProgramError
from bimetal.format import dumps
from bimetal.program import Program, from_parts
from bimetal.strict_json import parse_object, require

__all__ = ["Patch", "fingerprint"]

Array = NDArray[Any]
SIDES = ("before", "after")
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
        told = {
            "patch": 1, "before": self.before, "after": self.after, "described": self.described,
        }  # fmt: skip
        arrays = {f"xor:{name}": bits for name, bits in self.xors.items()}
        for name, pair in self.replaced.items():
            sides = zip(SIDES, pair, strict=True)
            arrays |= {f"{side}:{name}": x for side, x in sides if x is not None}
        text = json.dumps(told, sort_keys=True, allow_nan=False)
        return zlib.compress(to_bytes(arrays, {"patch": text}), 9)

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
        try:
            return cls._read(raw)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(
                f"the patch is damaged: {str(error)[:200]}; take it from its source"
            ) from None

    @classmethod
    def _read(cls, raw: bytes) -> "Patch":
        metadata, entries, begin = header_of(raw)
        require(isinstance(metadata, dict) and set(metadata) == {"patch"}, "a patch", metadata)
        told = parse_object(metadata["patch"].encode(), "the patch")
        require(told["patch"] == 1, "a patch of version 1", told["patch"])
        xors: dict[str, Array] = {}
        pairs: dict[str, dict[str, Array]] = {}
        for key, array in arrays_of(entries, raw, begin).items():
            kind, _, name = key.partition(":")
            require(kind in ("xor", *SIDES), "'xor', 'before' or 'after' of an array", kind)
            if kind == "xor":
                xors[name] = array
            else:
                pairs.setdefault(name, {})[kind] = array
        replaced = {name: (pair.get("before"), pair.get("after")) for name, pair in pairs.items()}
        return cls(told["before"], told["after"], told["described"], xors, replaced)


def _bytes(array: Array) -> NDArray[np.uint8]:
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    return little.reshape(-1).view(np.uint8)


def _xored(array: Array, bits: Array) -> Array:
    little = array.dtype.newbyteorder("<")
    changed: Array = (_bytes(array) ^ bits).view(little).reshape(array.shape)
    return changed.astype(array.dtype)
