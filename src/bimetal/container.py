"""Named arrays and some text as the bytes of a safetensors file, written and read without any library.

The file is eight bytes of header length (little-endian), a JSON header padded with spaces to a multiple
of eight, and a buffer that the arrays tile exactly. Nothing is trusted: every size is checked against
what is really there before it is used, and each way of being wrong raises `FormatError`. Programs
(`bimetal.format`) and states of what goes on learning are kept so.
"""

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.strict_json import parse_object, require

__all__ = ["DTYPES", "MAX_HEADER", "arrays_of", "header_of", "require_size", "to_bytes"]

MAX_HEADER = 2**23
DTYPES = {
    "F64": "f8", "F32": "f4", "I64": "i8", "I32": "i4", "I16": "i2", "U16": "u2", "I8": "i1", "U8": "u1",
    "BOOL": "b1",
}  # fmt: skip
"""Types of arrays, by their names in the header."""

WORDS = {2: "two"}
Buffer = mmap.mmap | bytes


def to_bytes(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Return the bytes: the same arrays and metadata, the same bytes.

    Examples
    --------
    >>> data = to_bytes({"w": np.array([1.5])}, {"what": "a test"})
    >>> metadata, entries, begin = header_of(data)
    >>> metadata["what"], arrays_of(entries, data, begin)
    ('a test', {'w': array([1.5])})
    """
    # As safetensors does: wide numbers first, so that each array lies on a multiple of its width.
    ordered = sorted(arrays.items(), key=lambda named: (-named[1].itemsize, named[0]))
    header = {"__metadata__": dict(metadata)} | _entries(ordered)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    little = [a.astype(a.dtype.newbyteorder("<"), order="C", copy=False).data for _, a in ordered]
    return b"".join([len(text).to_bytes(8, "little"), text, *little])


def _entries(arrays: list[tuple[str, NDArray[Any]]]) -> dict[str, dict[str, Any]]:
    names = {code: name for name, code in DTYPES.items()}
    entries, end = {}, 0
    for name, array in arrays:
        begin, end = end, end + array.nbytes
        dtype = names[f"{array.dtype.kind}{array.itemsize}"]
        entries[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (begin, end)}
    return entries


def require_size(size: int) -> None:
    """Raise `FormatError` for a file too small to say how long its header is."""
    require(size >= 8, "a file of at least 8 bytes", size)


def header_of(data: Buffer) -> tuple[Any, dict[str, Any], int]:
    """Return metadata, entries of arrays, and where the buffer begins; entries are not checked yet.

    Raises
    ------
    FormatError
        When the bytes are cut off, or their header is no JSON object.
    """
    require_size(len(data))
    n_header = int.from_bytes(data[:8], "little")
    require(2 <= n_header <= MAX_HEADER, f"a header of 2 to {MAX_HEADER} bytes", n_header)
    begin = 8 + n_header
    require(begin <= len(data), f"a header of {n_header} bytes", f"{len(data) - 8} bytes in all")
    entries = parse_object(data[8:begin], "the header")
    return entries.pop("__metadata__", None), entries, begin


def arrays_of(
    entries: Mapping[str, Any],
    data: Buffer,
    begin: int,
    *,
    dtypes: Mapping[str, str] = DTYPES,
    most_axes: int = 8,
) -> dict[str, NDArray[Any]]:
    """Return the arrays, views of the data.

    Parameters
    ----------
    entries, begin
        From `header_of`.
    data : bytes or mmap.mmap
        The whole file.
    dtypes : mapping, default DTYPES
        Those that are expected.
    most_axes : int, default 8
        Of an array.

    Raises
    ------
    FormatError
        When an entry is none, or the arrays do not tile the buffer.
    """
    slots = [_slot(name, entry, dtypes, most_axes) for name, entry in entries.items()]
    _check_tiling(slots, len(data) - begin)
    return {slot.name: slot.array(data, begin) for slot in slots}


@dataclass(frozen=True)
class _Slot:
    """Where one array lies in the buffer."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int

    def array(self, data: Buffer, origin: int) -> NDArray[Any]:
        stored: NDArray[Any] = np.ndarray(self.shape, self.dtype, data, origin + self.begin)
        return stored.astype(self.dtype.newbyteorder("="), copy=False)


def _slot(name: str, entry: Any, dtypes: Mapping[str, str], most_axes: int) -> _Slot:
    keys = {"dtype", "shape", "data_offsets"}
    require(isinstance(entry, dict), f"an object for the array '{name:.80}'", entry)
    require(set(entry) == keys, f"{sorted(keys)} for the array '{name:.80}'", sorted(entry))
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    known = isinstance(dtype, str) and dtype in dtypes
    require(known, f"a dtype of {list(dtypes)} for '{name:.80}'", dtype)
    fits = _are_sizes(shape) and len(shape) <= most_axes
    require(fits, f"at most {WORDS.get(most_axes, most_axes)} sizes for '{name:.80}'", shape)
    require(_are_sizes(offsets) and len(offsets) == 2, f"two offsets for '{name:.80}'", offsets)
    stored = np.dtype(dtypes[dtype]).newbyteorder("<")
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
