"""A state as bytes: named arrays and a text in the container of `bimetal.container`, and a digest of both.

Nothing in it is ever executed, and the digest tells whether it is what was written.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from bimetal.container import arrays_of, header_of, to_bytes
from bimetal.errors import CheckpointError, FormatError
from bimetal.strict_json import require

__all__ = ["dumps", "loads"]

KEY = "bimetal"


def dumps(text: str, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the bytes.

    Examples
    --------
    >>> import numpy as np
    >>> loads(dumps("{}", {"w": np.array([1.5])}))
    ('{}', {'w': array([1.5])})
    """
    return to_bytes(arrays, {KEY: text, "sha256": _digest(text, arrays)})


def loads(data: bytes) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return text and arrays, which may be written to: the inverse of `dumps`.

    Raises
    ------
    CheckpointError
        When the bytes are damaged.
    """
    try:
        metadata, entries, begin = header_of(data)
        known = isinstance(metadata, dict) and set(metadata) == {KEY, "sha256"}
        require(known and isinstance(metadata[KEY], str), "text and digest as metadata", metadata)
        arrays = arrays_of(entries, data, begin)
        digest = _digest(metadata[KEY], arrays)
        require(metadata["sha256"] == digest, f"content of digest {digest}", metadata["sha256"])
    except FormatError as error:
        raise CheckpointError(f"the state cannot be read: {error}") from None
    return metadata[KEY], {name: array.copy() for name, array in arrays.items()}


def _digest(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the sha256 of the file as it would be without a digest."""
    return hashlib.sha256(to_bytes(arrays, {KEY: text})).hexdigest()
