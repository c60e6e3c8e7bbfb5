"""float32 as whole numbers of the same order, so that a chip without floats can compare them.

A float32 read as an int32, with the lower 31 bits turned over when it is negative, orders as floats
do. −0.0 is made 0.0 first and any NaN becomes the lowest key, which no number has: with it the three
tests of an `Encode` are ``key >= cut``, ``key == value`` and ``key == NAN_KEY``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NAN_KEY", "key_of"]

NAN_KEY = -(2**31)
"""The key of every NaN: below that of −infinity, −2139095041."""


def key_of(x: ArrayLike) -> NDArray[np.int32]:
    """Return int32 keys that order as the float32 of `x` do; NaN has `NAN_KEY`.

    Examples
    --------
    >>> key_of([-1.0, -0.0, 0.0, 1.0, np.nan])
    array([-1065353217,           0,           0,  1065353216, -2147483648], dtype=int32)
    """
    floats = np.asarray(x, np.float32) + np.float32(0)  # −0.0 + 0.0 is 0.0
    raw = floats.view(np.int32)
    keys = np.where(raw < 0, raw ^ np.int32(0x7FFFFFFF), raw)
    return np.where(np.isnan(floats), np.int32(NAN_KEY), keys)
