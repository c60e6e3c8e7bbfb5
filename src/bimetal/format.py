"""Save and load a Program as one .bimetal file: a safetensors file, read without trusting a byte.

The file is eight bytes of header length (little-endian), a JSON header padded with spaces to a
multiple of eight, and a buffer that the arrays tile exactly. docs/program.md describes it in full.
Our reader needs NumPy and json only; every size is checked against what is really there before it
is used, and each way of being wrong raises `FormatError`. A file on disk is mapped into memory:
its arrays are read-only views of it, so that loading copies nothing and processes share one copy.
"""

import json
import math
import mmap
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import FormatError, ProgramError
from bimetal.files import atomic_write
from bimetal.program import VERSIONS, Program, from_parts
from bimetal.strict_json import ADVICE, parse_object, require

__all__ = ["dumps", "load", "loads", "save"]

MAX_HEADER = 2**23
DTYPES = {"F64": "f8", "F32": "f4", "I32": "i4", "I16": "i2", "U16": "u2", "I8": "i1", "U8": "u1"}


def save(program: Program, path: str | os.PathLike[str]) -> None:
    """Write a Program to `path`, whole or not at all.

    Raises
    ------
    ProgramError
        When the provenance holds something that JSON cannot.
    OSError
        When the disk is full or the folder cannot be written; nothing is left behind.
    """
    data = dumps(program)
    with atomic_write(path) as file:
        file.write(data)


def load(path: str | os.PathLike[str]) -> Program:
    """Read a Program from a regular file, without a copy: its arrays are views of the mapped file.

    The file may be replaced (as `save` does, whole) or deleted while the Program lives; it must
    not be written into, nor cut short.

    Raises
    ------
    FormatError
        When the file is truncated, damaged, hostile, or of a newer version.
    OSError
        When there is no such file or it cannot be read.
    """
    with Path(path).open("rb") as file:
        try:
            _require_size(os.fstat(file.fileno()).st_size)
            return _read(_mapped(file))
        except FormatError as error:
            raise FormatError(f"'{path}': {error}") from None


def loads(data: bytes) -> Program:
    """Read a Program from bytes: the inverse of `dumps`.

    Raises
    ------
    FormatError
        When the bytes are not a .bimetal file; no other error comes out, whatever they are.
    """
    _require_size(len(data))
    return _read(data)


def dumps(program: Program) -> bytes:
    """Return the bytes of the .bimetal file: the same Program and provenance, the same bytes.

    Raises
    ------
    ProgramError
        When the provenance holds something that JSON cannot.
    FormatError
        When the description is too large or too deep for any reader.
    """
    # As safetensors does: wide numbers first, so that each array lies on a multiple of its width.
    arrays = sorted(program.tensors().items(), key=lambda named: (-named[1].itemsize, named[0]))
    header = {"__metadata__": _metadata(program)} | _entries(arrays)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    little = [a.astype(a.dtype.newbyteorder("<"), copy=False).data for _, a in arrays]
    data = b"".join([len(text).to_bytes(8, "little"), text, *little])
    loads(data)  # what could not be read again is never written
    return data


def _entries(arrays: list[tuple[str, NDArray[Any]]]) -> dict[str, dict[str, Any]]:
    names = {code: name for name, code in DTYPES.items()}
    entries, end = {}, 0
    for name, array in arrays:
        begin, end = end, end + array.nbytes
        dtype = names[f"{array.dtype.kind}{array.itemsize}"]
        entries[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (begin, end)}
    return entries


def _metadata(program: Program) -> dict[str, str]:
    try:
        provenance = json.dumps(dict(program.provenance), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ProgramError(f"provenance must hold finite JSON values: {error}") from None
    return {"bimetal": program.spec_text(), "id": program.id, "provenance": provenance}


def _mapped(file: BinaryIO) -> mmap.mmap | bytes:
    """Map a file read-only, or read it where that is not to be had.

    Some file systems map nothing, and Windows never replaces a file that is mapped.
    """
    with suppress(OSError):
        if os.name != "nt":
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return file.read()


def _require_size(size: int) -> None:
    require(size >= 8, "a file of at least 8 bytes", size)


def _read(data: mmap.mmap | bytes) -> Program:
    n_header = int.from_bytes(data[:8], "little")
    require(2 <= n_header <= MAX_HEADER, f"a header of 2 to {MAX_HEADER} bytes", n_header)
    begin = 8 + n_header
    n_data = len(data) - begin
    require(n_data >= 0, f"a header of {n_header} bytes", f"{len(data) - 8} bytes in all")
    header = parse_object(data[8:begin], "the header")
    metadata = _checked_metadata(header.pop("__metadata__", None))
    spec = parse_object(metadata["bimetal"].encode(), "the description")
    version, known = spec.get("version"), " or ".join(map(str, VERSIONS))
    require(version in VERSIONS, f"Program version {known} (or a newer bimetal)", version)
    slots = [_slot(name, entry) for name, entry in header.items()]
    _check_tiling(slots, n_data)
    return _checked_program(spec, {s.name: s.array(data, begin) for s in slots}, metadata)


def _checked_program(
    spec: dict[str, Any], tensors: dict[str, NDArray[Any]], metadata: dict[str, str]
) -> Program:
    provenance = parse_object(metadata["provenance"].encode(), "the provenance")
    try:
        with np.errstate(all="ignore"):  # a signalling NaN is refused by value, not by a warning
            program = from_parts(spec, tensors, provenance)
    except ProgramError as error:
        raise FormatError(f"the Program contradicts itself: {str(error)[:500]}; {ADVICE}") from None
    canonical = metadata["bimetal"] == program.spec_text()
    require(canonical, "a description in canonical JSON", "another spelling of it")
    require(metadata["id"] == program.id, f"the id {program.id} of its content", metadata["id"])
    return program


def _checked_metadata(given: Any) -> dict[str, str]:
    keys = {"bimetal", "id", "provenance"}
    require(isinstance(given, dict), "'__metadata__' in the header", given)
    require(set(given) == keys, f"metadata named {sorted(keys)}", sorted(given))
    for key, text in given.items():
        require(isinstance(text, str), f"a string as metadata '{key}'", text)
    return dict(given)


@dataclass(frozen=True)
class _Slot:
    """Where one array lies in the buffer."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int

    def array(self, data: mmap.mmap | bytes, origin: int) -> NDArray[Any]:
        stored: NDArray[Any] = np.ndarray(self.shape, self.dtype, data, origin + self.begin)
        return stored.astype(self.dtype.newbyteorder("="), copy=False)


def _slot(name: str, entry: Any) -> _Slot:
    keys = {"dtype", "shape", "data_offsets"}
    require(isinstance(entry, dict), f"an object for the array '{name:.80}'", entry)
    require(set(entry) == keys, f"{sorted(keys)} for the array '{name:.80}'", sorted(entry))
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    known = isinstance(dtype, str) and dtype in DTYPES
    require(known, f"a dtype of {list(DTYPES)} for '{name:.80}'", dtype)
    require(_are_sizes(shape) and len(shape) <= 2, f"at most two sizes for '{name:.80}'", shape)
    require(_are_sizes(offsets) and len(offsets) == 2, f"two offsets for '{name:.80}'", offsets)
    stored = np.dtype(DTYPES[dtype]).newbyteorder("<")
    n_claimed, n_given = math.prod(shape) * stored.itemsize, offsets[1] - offsets[0]
    require(n_claimed == n_given, f"{n_claimed} bytes for '{name:.80}' ({dtype}, {shape})", n_given)
    return _Slot(name, stored, tuple(shape), offsets[0], offsets[1])


def _are_sizes(given: Any) -> bool:
    return isinstance(given, list) and all(type(n) is int and 0 <= n < 2**40 for n in given)


def _check_tiling(slots: list[_Slot], n_data: int) -> None:
    end = 0
    for slot in sorted(slots, key=lambda s: (s.begin, s.end)):
        require(slot.begin == end, f"'{slot.name:.80}' to begin at byte {end}", slot.begin)
        end = slot.end
    require(end == n_data, f"{end} bytes of data", n_data)
