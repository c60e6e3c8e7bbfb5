"""JSON from a stranger: one object, parsed by stricter rules than JSON's own.

Keys are unique, numbers are finite and short, strings are whole characters, and nothing nests
deeper than `MAX_DEPTH`, so that nothing downstream has to think of these again.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from bimetal.columns.column import is_portable
from bimetal.errors import FormatError

__all__ = ["ADVICE", "parse_object", "require"]

MAX_DEPTH = 32
MAX_DIGITS = 20  # no longer number is even parsed: that could cost quadratic time
ADVICE = "the file is damaged or not from bimetal: copy it again from its source, or save it again"


def require(holds: bool, expected: str, came: object) -> None:
    """Raise `FormatError`, saying what was expected and what came, unless `holds`."""
    if not holds:
        raise FormatError(f"expected {expected}, got {came!r:.200}; {ADVICE}")


def parse_object(raw: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in `raw`; `what` names it in errors.

    Raises
    ------
    FormatError
        When `raw` is not UTF-8, not one JSON object, or breaks one of the stricter rules.

    Examples
    --------
    >>> parse_object(b'{"n": 1}', "the example")
    {'n': 1}
    """
    require(raw[:1] == b"{", f"{what} to begin with a brace", raw[:8])
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_number,
            parse_float=_number,
            parse_int=_whole,
        )
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"expected JSON in {what}, got {str(error)[:200]}; {ADVICE}") from None
    _check_nesting(value, what)
    return dict(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        repeated = [key for key, n in Counter(key for key, _ in pairs).items() if n > 1]
        require(not repeated, "each key once", repeated)
    return unique


def _number(text: str) -> float:
    require(math.isfinite(float(text)), "finite numbers", text)
    return float(text)


def _whole(text: str) -> int:
    fits = len(text) <= MAX_DIGITS and is_portable(int(text))
    require(fits, "whole numbers of 64 bits", text)
    return int(text)


def _check_nesting(value: Any, what: str) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer, what)]
        if not level:
            return
    raise FormatError(f"expected {what} at most {MAX_DEPTH} deep, got a deeper one; {ADVICE}")


def _inside(value: Any, what: str) -> Iterable[Any]:
    if isinstance(value, str):
        require(is_portable(value), f"whole characters in {what}", "half of one (a surrogate)")
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else ()
