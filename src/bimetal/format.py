"""Save and load a Program as one .bimetal file: a safetensors file, read without trusting a byte.

`bimetal.container` has the container, docs/program.md describes the file in full. Each way of being
wrong raises `FormatError`. A file on disk is mapped into memory:
its arrays are read-only views of it, so that loading copies nothing and processes share one copy.
"""

import json
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bimetal.container import DTYPES, arrays_of, header_of, require_size, to_bytes
from bimetal.errors import FormatError, ProgramError
from bimetal.files import atomic_write
from bimetal.program import VERSIONS, Program, from_parts
from bimetal.strict_json import ADVICE, parse_object, require

__all__ = ["dumps", "load", "loads", "save"]

OF_PROGRAMS = {name: code for name, code in DTYPES.items() if name not in ("I64", "BOOL")}


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
            require_size(os.fstat(file.fileno()).st_size)  # an empty file cannot be mapped
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
    data = to_bytes(program.tensors(), _metadata(program))
    loads(data)  # what could not be read again is never written
    return data


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


def _read(data: mmap.mmap | bytes) -> Program:
    given, entries, begin = header_of(data)
    metadata = _checked_metadata(given)
    spec = parse_object(metadata["bimetal"].encode(), "the description")
    version, known = spec.get("version"), " or ".join(map(str, VERSIONS))
    require(version in VERSIONS, f"Program version {known} (or a newer bimetal)", version)
    tensors = arrays_of(entries, data, begin, dtypes=OF_PROGRAMS, most_axes=2)
    return _checked_program(spec, tensors, metadata)


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
