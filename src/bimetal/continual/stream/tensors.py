"""Named arrays and a text as the bytes of a safetensors file, written and read without any library.

Eight bytes of header length, a JSON header, and a buffer that the arrays tile exactly: the layout of a
.bimetal file, and of safetensors, whose library reads it. Nothing in it is ever executed, and a digest
tells whether it is what was written.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import CheckpointError, FormatError
from bimetal.strict_json import parse_object, require

__all__ = ["dumps", "loads"]

DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "U16": "<u2", "U8": "|u1"}
KEY = "bimetal"


def dumps(text: str, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the bytes.

    Examples
    --------
    >>> loads(dumps("{}", {"w": np.array([1.5])}))
    ('{}', {'w': array([1.5])})
    """
    codes = {np.dtype(dtype): code for code, dtype in DTYPES.items()}
    header: dict[str, Any] = {}
    parts, end = [], 0
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])):
        little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
        begin, end = end, end + little.nbytes
        header[name] = {
            "dtype": codes[little.dtype], "shape": list(array.shape), "data_offsets": [begin, end],
        }  # fmt: skip
        parts.append(little.tobytes())
    digest = _digest(text, header, b"".join(parts))
    header["__metadata__"] = {KEY: text, "sha256": digest}
    head = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    head += b" " * (-len(head) % 8)
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])


def loads(data: bytes) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return text and arrays: the inverse of `dumps`.

    Raises
    ------
    CheckpointError
        When the bytes are damaged.
    """
    try:
        return _loads(data)
    except FormatError as error:
        raise CheckpointError(f"the state cannot be read: {error}") from None


def _loads(data: bytes) -> tuple[str, dict[str, NDArray[Any]]]:
    begin = 8 + int.from_bytes(data[:8], "little")
    require(8 < begin <= len(data), "a header within the bytes", len(data))
    header = parse_object(data[8:begin], "the header")
    metadata = header.pop("__metadata__", None)
    known = isinstance(metadata, dict) and set(metadata) == {KEY, "sha256"}
    require(known and isinstance(metadata[KEY], str), "text and digest as metadata", metadata)
    digest = _digest(metadata[KEY], header, data[begin:])
    require(metadata["sha256"] == digest, f"content of digest {digest}", metadata["sha256"])
    slots = [_slot(name, entry) for name, entry in header.items()]
    end = 0
    for name, _, _, first, last in sorted(slots, key=lambda slot: slot[3:]):
        require(first == end, f"'{name:.80}' to begin at byte {end}", first)
        end = last
    require(end == len(data) - begin, f"{end} bytes of data", len(data) - begin)
    arrays = {
        name: np.frombuffer(data, dtype, math.prod(shape), begin + first).reshape(shape).copy()
        for name, dtype, shape, first, _ in slots
    }
    return metadata[KEY], arrays


def _digest(text: str, entries: Mapping[str, Any], buffer: bytes) -> str:
    described = json.dumps([text, entries], sort_keys=True).encode()
    return hashlib.sha256(described + buffer).hexdigest()


def _slot(name: str, entry: Any) -> tuple[str, np.dtype[Any], list[int], int, int]:
    keys = {"dtype", "shape", "data_offsets"}
    require(
        isinstance(entry, dict) and set(entry) == keys, f"{sorted(keys)} for '{name:.80}'", entry
    )
    known = isinstance(entry["dtype"], str) and entry["dtype"] in DTYPES
    require(known, f"a dtype of {list(DTYPES)} for '{name:.80}'", entry["dtype"])
    shape, offsets = entry["shape"], entry["data_offsets"]
    for sizes in (shape, offsets):
        fits = isinstance(sizes, list) and all(type(n) is int and 0 <= n < 2**40 for n in sizes)
        require(fits, f"sizes for '{name:.80}'", sizes)
    dtype = np.dtype(DTYPES[entry["dtype"]])
    fits = len(offsets) == 2 and math.prod(shape) * dtype.itemsize == offsets[1] - offsets[0]
    require(fits, f"bytes that fit {shape} of {dtype} for '{name:.80}'", offsets)
    return name, dtype, shape, offsets[0], offsets[1]
