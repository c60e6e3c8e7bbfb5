"""The one convention: what a bit means, how bits lie in bytes, and how two rows of bits meet.

Bit 1 means +1, bit 0 means −1. Element *i* of a row is bit ``i % 8`` of byte ``i // 8``, least
significant first; bits beyond the end of a row are 0 in every operand, so they never change a sum.
Everything else in the house imports these meanings from here.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["n_bytes", "pack", "sign", "unpack", "xor_popcount"]


def sign(x: ArrayLike) -> NDArray[np.int8]:
    """Return +1 where ``x >= 0`` and −1 elsewhere; 0.0 and −0.0 give +1.

    Parameters
    ----------
    x : array_like
        Real numbers of any shape; NaN is not allowed here (encoders give it a bit of its own).

    Returns
    -------
    numpy.ndarray
        int8 array of −1 and +1 with the shape of `x`.

    Examples
    --------
    >>> sign([-0.5, 0.0, 2.0])
    array([-1,  1,  1], dtype=int8)
    """
    return np.where(np.asarray(x) >= 0, 1, -1).astype(np.int8)


def n_bytes(n_bits: int) -> int:
    """Return how many bytes hold `n_bits` bits."""
    return (n_bits + 7) // 8


def pack(bits: ArrayLike) -> NDArray[np.uint8]:
    """Pack the last axis of a boolean array into bytes, least significant bit first.

    Parameters
    ----------
    bits : array_like
        Boolean array of shape (..., n_bits); True is +1.

    Returns
    -------
    numpy.ndarray
        uint8 array of shape (..., ceil(n_bits / 8)); tail bits are 0.

    Examples
    --------
    >>> pack([True, False, False, True])
    array([9], dtype=uint8)
    """
    return np.packbits(np.asarray(bits, dtype=bool), axis=-1, bitorder="little")


def unpack(packed: ArrayLike, n_bits: int) -> NDArray[np.bool_]:
    """Undo `pack`: bytes of shape (..., n_bytes) to booleans of shape (..., n_bits).

    Examples
    --------
    >>> unpack([9], 4)
    array([ True, False, False,  True])
    """
    raw = np.asarray(packed, dtype=np.uint8)
    return np.unpackbits(raw, axis=-1, count=n_bits, bitorder="little").astype(bool)


def xor_popcount(a: NDArray[np.uint8], w: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Count the bits in which each row of `a` differs from each row of `w`.

    With *n* the true row length, ``n - 2 * xor_popcount(a, w)`` is the dot product of the ±1 rows.

    Parameters
    ----------
    a : numpy.ndarray
        Packed rows, uint8 of shape (n_rows, n_bytes).
    w : numpy.ndarray
        Packed rows, uint8 of shape (n_out, n_bytes).

    Returns
    -------
    numpy.ndarray
        int32 array of shape (n_rows, n_out).
    """
    counts = np.zeros((a.shape[0], w.shape[0]), dtype=np.int32)
    for a_byte, w_byte in zip(a.T, w.T, strict=True):
        counts += np.bitwise_count(a_byte[:, None] ^ w_byte[None, :])
    return counts
