"""C text: tables of numbers with their shapes, the smallest types that hold them, sections."""

import re
from collections.abc import Sequence
from math import copysign, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "array",
    "counted",
    "double",
    "float_text",
    "floats",
    "int_type",
    "literals",
    "read_of",
    "section",
    "table",
    "table_bytes",
    "uint_type",
    "words_of",
    "wrapped",
]

WIDTH = 100
_DECLARED = re.compile(
    r"\bstatic const (?:\w+ )?(?:u?int(8|16|32|64)_t|float|(double)) \w+((?:\[\d+\])+) = \{"
)


def int_type(*arrays: Any) -> str:
    """Return the smallest signed type of C that holds every number."""
    numbers = [np.asarray(a, np.int64).ravel() for a in arrays]
    flat = np.concatenate([np.zeros(1, np.int64), *numbers])
    low, high = int(flat.min()), int(flat.max())
    for bits in (8, 16):
        if -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1):
            return f"int{bits}_t"
    return "int32_t"


def uint_type(*arrays: Any) -> str:
    """Return the smallest unsigned type of C that holds every number.

    Examples
    --------
    >>> uint_type([3, 255]), uint_type([256])
    ('uint8_t', 'uint16_t')
    """
    most = max((int(np.asarray(a).max()) for a in arrays if np.asarray(a).size), default=0)
    return next(f"uint{bits}_t" for bits in (8, 16, 32) if most < 2**bits)


def read_of(ctype: str) -> str:
    """Return the mark that reads a constant of a type: AT16 for uint16_t, ATI16 for int16_t."""
    if ctype == "float":
        return "ATF"
    return f"AT{'' if ctype[0] == 'u' else 'I'}{ctype.strip('uint_')}"


def literals(array: Any, ctype: str) -> list[str]:
    """Return numbers as C writes them; the lowest of a type has no literal of its own."""
    lowest = {"int16_t": -(2**15), "int32_t": -(2**31)}.get(ctype)
    names = {"int16_t": "INT16_MIN", "int32_t": "INT32_MIN"}
    return [names[ctype] if int(n) == lowest else str(int(n)) for n in np.asarray(array).ravel()]


def wrapped(words: Sequence[str], indent: int = 4) -> str:
    """Return words between commas, in lines of at most `WIDTH`, with a comma behind each."""
    lines, line = [], ""
    for word in words:
        if line and indent + len(line) + len(word) + 2 > WIDTH:
            lines.append(line)
            line = ""
        line += (" " if line else "") + f"{word},"
    return "\n".join(" " * indent + text for text in [*lines, line] if text)


def words_of(bits: NDArray[np.bool_]) -> list[int]:
    """Return bits as 32-bit words, least significant first.

    Examples
    --------
    >>> words_of(np.array([True, False, True]))
    [5]
    """
    packed = np.packbits(bits, bitorder="little")
    padded = np.pad(packed, (0, -len(packed) % 4))
    return [int(word) for word in padded.view("<u4")]


def table(
    ctype: str, symbol: str, rows: Sequence[Sequence[str]], shape: str, head: Sequence[str] = ()
) -> str:
    """Return a flat array of constants, one row of numbers after the other.

    Parameters
    ----------
    ctype, symbol : str
        Of the array.
    rows : sequence of sequences of str
        The numbers, as C writes them.
    shape : str
        What its axes are: "(3 outputs, 64 bits)".
    head : sequence of str
        A comment over each row, harmless already; or none.
    """
    n = sum(map(len, rows))
    lines = [f"static const FLASH {ctype} {symbol}[{n}] = {{ /* {shape} */"]
    for i, row in enumerate(rows):
        lines += [f"    /* {head[i]} */"] if head else []
        lines.append(wrapped(row))
    return "\n".join([*lines, "};"])


def array(ctype: str, symbol: str, numbers: NDArray[Any], shape: str) -> str:
    """Return a flat array of whole numbers.

    Examples
    --------
    >>> print(array("int8_t", "net_w", np.array([1, -2]), "(2 bits)"))
    static const FLASH int8_t net_w[2] = { /* (2 bits) */
        1, -2,
    };
    """
    return table(ctype, symbol, [literals(numbers, ctype)], shape)


def float_text(x: float) -> str:
    """Return a float32 as the shortest constant that a compiler reads back, by way of a float64 or not.

    Examples
    --------
    >>> float_text(np.float32(0.1)), float_text(3), float_text(1e-30)
    ('0.1f', '3.0f', '1e-30f')
    """
    short = str(np.float32(x))
    is_safe = np.float32(float(short)) == np.float32(x)
    return f"{short if is_safe else float(np.float32(x))}f"


def floats(symbol: str, numbers: NDArray[np.float32], shape: str) -> str:
    """Return a flat array of float32."""
    return table("float", symbol, [[float_text(x) for x in numbers]], shape)


def double(number: float) -> str:
    """Return a float64 as an exact constant of C: whole where it is, else hexadecimal.

    Examples
    --------
    >>> double(1 / 64), double(-3.0), double(0.1)
    ('0x1p-6', '-3.0', '0x1.999999999999ap-4')
    """
    is_plain = (number == 0 and copysign(1, number) > 0) or number != 0
    if is_plain and abs(number) < 2**53 and number == int(number):
        return f"{int(number)}.0"
    return re.sub(r"\.?0*p", "p", float(number).hex())


def section(number: int, title: str) -> str:
    """Return the heading of a section."""
    return f"/* {number}. {title} {'-' * (WIDTH - len(title) - 12)} */"


def table_bytes(text: str) -> int:
    """Return how many bytes the constants of a header take: exactly, as no padding is needed.

    Examples
    --------
    >>> table_bytes("static const int16_t a[3][2] = {...};  static const uint32_t b[4] = {...};")
    28
    """
    return sum(
        int(width or (64 if double else 32)) // 8 * prod(map(int, re.findall(r"\d+", sizes)))
        for width, double, sizes in _DECLARED.findall(text)
    )


def counted(n: int, what: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "bits"), counted(64, "bits")
    ('1 bit', '64 bits')
    """
    return f"{n:,} {what.removesuffix('s') if n == 1 else what}"
