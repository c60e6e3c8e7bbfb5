"""Which doubles become a float32 that passes a test: a database keeps doubles, a Program reads float32.

A raw row is rounded to float32 before it is tested. Rounding keeps order, so "rounded, it is at least
the cut-point" is one comparison of doubles with a bound half-way to the float32 below; where that
half itself goes down (ties go to the even neighbour), the bound is the next double.
"""

from decimal import Decimal

import numpy as np

__all__ = ["dyadic", "highest", "is_plain", "lowest"]


def lowest(value: float | np.float32) -> float:
    """Return the lowest double that is at least `value` once it is rounded to float32.

    Examples
    --------
    >>> lowest(30.0), lowest(np.nextafter(np.float32(30), np.float32(31)))
    (29.999999046325684, 30.00000095367432)
    """
    cut = np.float32(value) + np.float32(0)  # −0.0 + 0.0 is 0.0
    with np.errstate(over="ignore"):
        below = float(np.nextafter(cut, np.float32(-np.inf)))
        below = below if np.isfinite(below) else -(2.0**128)  # where the next float32 would be
        middle = np.float64((float(cut) + below) / 2)  # 25 bits: exact
        goes_up = bool(middle.astype(np.float32) >= cut)
    return float(middle if goes_up else np.nextafter(middle, np.inf))


def highest(value: float | np.float32) -> float:
    """Return the highest double that is at most `value` once it is rounded to float32.

    Rounding to nearest does not know signs apart, so this is `lowest` in a mirror.
    """
    return -lowest(-np.float32(value))


def is_plain(value: float) -> bool:
    """Tell whether the shortest decimal form of a double is exact and short.

    With at most 15 digits and a power of ten up to 22, any reader of decimal numbers gets it right,
    even one that only multiplies or divides two doubles (Clinger 1990).
    """
    text = repr(value)
    digits, exponent = Decimal(text).as_tuple().digits, Decimal(text).as_tuple().exponent
    is_short = len(digits) <= 15 and isinstance(exponent, int) and abs(exponent) <= 22
    return is_short and Decimal(text) == Decimal(value)


def dyadic(value: float) -> tuple[int, int]:
    """Return (m, e) with `value` = m · 2**e and |m| odd and below 2**53, or m = 0.

    Examples
    --------
    >>> dyadic(0.75), dyadic(-6.0)
    ((3, -2), (-3, 1))
    """
    top, bottom = value.as_integer_ratio()
    twos = (top & -top).bit_length() - 1 if top else 0
    return (top >> twos, twos) if bottom == 1 else (top, 1 - bottom.bit_length())
