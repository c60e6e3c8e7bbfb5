r"""Java as text: strings that nothing escapes from, and arrays that no limit of a class file meets.

The file is plain ASCII. Java reads \\uXXXX before anything else, in comments and strings alike, so
that an escaped line feed or quotation mark would end them: control characters are octal escapes here,
and only what lies beyond ASCII is \\uXXXX. One constant holds 65,535 bytes and one method 64 KB of
code, which a few thousand array elements fill: arrays are Base64 in pieces, lists are filled by several
methods.
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError

__all__ = ["encoded", "filled", "java_string", "label", "narrow"]

PIECE = 60_000
LONGEST = 10_000
PER_METHOD = 500


def java_string(text: str, longest: int = LONGEST) -> str:
    r"""Return text as a Java literal in ASCII.

    Examples
    --------
    >>> print(java_string('a"b\\u000a\n'))
    "a\"b\\u000a\012"
    """
    if len(text) > longest:
        raise ExportError(
            f"java takes names and categories of up to {longest:,} characters, got {len(text):,} in "
            f"'{text[:40]}...'; shorten it in the table and in the model"
        )
    units = np.frombuffer(text.encode("utf-16-le"), "<u2")
    return '"' + "".join(_letter(int(unit)) for unit in units) + '"'


def _letter(unit: int) -> str:
    if unit in (34, 92):
        return "\\" + chr(unit)
    if 32 <= unit < 127:
        return chr(unit)
    return f"\\{unit:03o}" if unit < 128 else f"\\u{unit:04x}"


def label(value: str | int | float | bool) -> str:
    """Return a class label or a category as a String, Long, Double or Boolean."""
    if isinstance(value, str):
        return java_string(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value}L" if isinstance(value, int) else repr(value)


def encoded(kind: str, array: NDArray[Any], first: str = "") -> str:
    """Return the call that decodes an array; `kind` is the function, `first` its first argument.

    Examples
    --------
    >>> encoded("longs", np.array([1], np.uint64))
    'longs("AQAAAAAAAAA=")'
    """
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    text = base64.b64encode(little.tobytes()).decode()
    if len(text) <= 80:
        return f'{kind}({first}"{text}")'
    pieces = [text[i : i + PIECE] for i in range(0, len(text), PIECE)]
    return f"{kind}({first.rstrip()}\n" + ",\n".join(_piece(piece) for piece in pieces) + ")"


def narrow(array: NDArray[Any]) -> str:
    """Return the call that decodes whole numbers, stored in as few bytes each as hold them all.

    Examples
    --------
    >>> narrow(np.array([1, -1, 300]))
    'ints(2, "AQD//ywB")'
    """
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    width = next(w for w in (1, 2, 4) if -(2 ** (8 * w - 1)) <= low and high < 2 ** (8 * w - 1))
    return encoded("ints", array.astype(f"i{width}"), f"{width}, ")


def _piece(text: str) -> str:
    lines = [f'            "{text[i : i + 96]}"' for i in range(0, len(text), 96)]
    return "\n            + ".join([lines[0], *(line.strip() for line in lines[1:])])


def filled(name: str, kind: str, start: str, statements: Sequence[str]) -> str:
    """Return methods that make a list: `name`() makes it, further ones fill it piece by piece."""
    pieces = [statements[i : i + PER_METHOD] for i in range(0, len(statements), PER_METHOD)]
    calls = "".join(f"        {name}{i}(to);\n" for i in range(len(pieces)))
    methods = [
        f"    private static List<{kind}> {name}() {{\n"
        f"        List<{kind}> to = new ArrayList<>({start});\n{calls}"
        f"        return Collections.unmodifiableList(to);\n    }}\n"
    ]
    for i, piece in enumerate(pieces):
        body = "".join(f"        {statement}\n" for statement in piece)
        methods.append(f"    private static void {name}{i}(List<{kind}> to) {{\n{body}    }}\n")
    return "\n".join(methods)
