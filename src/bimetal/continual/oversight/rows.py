"""The sha256 of rows and labels: proof of what was learned from, without keeping any of it.

A digest is of values, column by column, so it is the same for the same table whenever it is made by the
same kind of frame. It proves something to those who have the rows; to all others it says nothing, unless
a row is easily guessed: then a salt, kept apart from the log, keeps the guess from being checked.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from bimetal.errors import DataError

__all__ = ["RowsDigest", "rows_digest"]


@dataclass(frozen=True)
class RowsDigest:
    """How many rows, and the sha256 of them and their labels.

    Attributes
    ----------
    n : int
        Rows.
    sha256 : str
        64 hexadecimal digits.
    """

    n: int
    sha256: str


def rows_digest(X: Any, y: Any = None, salt: bytes = b"") -> RowsDigest:
    """Return the number of rows and the sha256 of rows and labels.

    Parameters
    ----------
    X : frame or array_like of shape (n_rows, ...)
        pandas, Polars, Arrow, NumPy or torch.
    y : array_like of shape (n_rows,), optional
        Labels.
    salt : bytes, default b""
        Enters the sha256 first.

    Raises
    ------
    DataError
        When rows and labels differ in number.

    Examples
    --------
    >>> rows_digest(np.zeros((2, 3)), [0, 1]).sha256[:8] != rows_digest(np.zeros((2, 3)), [1, 0]).sha256[:8]
    True
    """
    digest = hashlib.sha256(salt)
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        for name in frame.columns:
            _enter(digest, name, frame.get_column(name).to_numpy())
        n = len(frame)
    else:
        array = np.asarray(X)
        _enter(digest, "rows", array)
        n = len(array)
    if y is not None:
        labels = np.asarray(y)
        if len(labels) != n:
            raise DataError(f"one label for each of {n} rows expected, got {len(labels)}")
        _enter(digest, "labels", labels)
    return RowsDigest(n, digest.hexdigest())


def _enter(digest: Any, name: str, array: Any) -> None:
    """Add an array with its name, type and shape: what is one thing can never read as another."""
    if array.dtype.kind in "biufM":
        little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
        form, body = little.dtype.str, little.tobytes()
    else:
        form, body = "text", json.dumps(array.tolist(), default=str).encode()
    digest.update(json.dumps([name, form, list(array.shape), len(body)]).encode())
    digest.update(body)
