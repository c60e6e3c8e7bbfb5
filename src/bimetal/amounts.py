"""How numbers read, on a page and on a terminal."""

from collections.abc import Callable
from typing import Any

__all__ = ["FILTERS", "amount", "duration", "points", "short", "signed", "size", "times"]


def amount(n: float) -> str:
    """Show a whole number in groups of three digits.

    Examples
    --------
    >>> amount(12345)
    '12,345'
    """
    return f"{round(n):,}"


def signed(x: float) -> str:
    """Show four decimals and a true minus sign.

    Examples
    --------
    >>> signed(-0.01234)
    '−0.0123'
    """
    return f"{x:+.4f}".replace("-", "−")


def points(n: int) -> str:
    """Show a whole number with its sign.

    Examples
    --------
    >>> points(-8191)
    '−8,191'
    """
    return f"{n:+,}".replace("-", "−")


def size(n_bytes: int) -> str:
    """Show bytes in KiB.

    Examples
    --------
    >>> size(11_932)
    '11.7 KiB'
    """
    return f"{n_bytes / 1024:,.1f} KiB" if n_bytes < 102_400 else f"{n_bytes / 1024:,.0f} KiB"


def duration(microseconds: float) -> str:
    """Show a time in the unit that suits it, with two digits that count.

    Examples
    --------
    >>> duration(0.3177), duration(44.81), duration(2110)
    ('0.32 µs', '45 µs', '2.1 ms')
    """
    value, unit = (microseconds / 1000, "ms") if microseconds >= 1000 else (microseconds, "µs")
    return f"{_two_digits(value)} {unit}"


def short(n: float) -> str:
    """Show a large number in thousands or millions.

    Examples
    --------
    >>> short(29_258_000), short(924_100)
    ('29 M', '920 k')
    """
    if n >= 1e6:
        return f"{_two_digits(n / 1e6)} M"
    return f"{_two_digits(n / 1e3)} k" if n >= 1e3 else _two_digits(n)


def times(ratio: float) -> str:
    """Show a ratio with two digits that count.

    Examples
    --------
    >>> times(139.7), times(1.26)
    ('140 ×', '1.3 ×')
    """
    return f"{_two_digits(ratio)} ×"


FILTERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (amount, duration, points, short, signed, size, times)
}


def _two_digits(value: float) -> str:
    if value == 0:
        return "0"
    rounded = float(f"{value:.2g}")
    return (
        f"{rounded:,.0f}"
        if abs(rounded) >= 10
        else f"{rounded:.1f}"
        if rounded >= 1
        else f"{rounded:g}"
    )
