r"""Canonical JSON: one spelling for a value, so that a hash of it means something in any language.

ASCII only (``\uXXXX`` for the rest), keys sorted, no spaces. A number with a point is written as C writes ``%a``
(Python's `float.hex`), within ``{"float": "0x1.8000000000000p+1"}``, so that no two printers can differ on it.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

try:
    import msgspec
except ImportError:  # a log is read, verified and replayed without what a server needs
    msgspec = None  # type: ignore[assignment]

from bimetal.errors import DataError

__all__ = ["canonical", "encode", "plain", "restored"]

_slowly = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_quickly = None if msgspec is None else msgspec.json.Encoder(order="sorted").encode

_AS_IS = frozenset((str, int, bool, type(None)))


def canonical(value: Any) -> str:
    r"""Return canonical JSON of dataclasses, mappings, sequences, texts, whole and other numbers.

    Examples
    --------
    >>> canonical({"b": [1, 2.5], "a": "é"})
    '{"a":"\\u00e9","b":[1,{"float":"0x1.4000000000000p+1"}]}'
    """
    return encode(plain(value))


def encode(value: Any) -> str:
    """Return canonical JSON of values that are JSON values already.

    The two encoders write the same but for what they escape (anything but ASCII, DEL, and what needs a
    backslash), so that the quick one is believed where nothing of the kind is in the text.
    """
    if _quickly is None:
        return _slowly(value)
    try:
        written = _quickly(value)
    except (ValueError, OverflowError):  # half a surrogate pair, a number beyond 64 bits
        return _slowly(value)
    if written.isascii() and b"\\" not in written and b"\x7f" not in written:
        return written.decode("ascii")
    return _slowly(value)


def plain(value: Any) -> Any:
    """Return a value as JSON values; a float becomes ``{"float": hex}``.

    Raises
    ------
    DataError
        When it is of another type, or a mapping with the key "float".
    """
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind is float:
        return {"float": value.hex()}
    if kind in (list, tuple):
        return [v if type(v) in _AS_IS else plain(v) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        return _of_pairs((name, getattr(value, name)) for name in value.__dataclass_fields__)
    if isinstance(value, Mapping) and "float" not in value:
        return _of_pairs((str(name), inner) for name, inner in value.items())
    if hasattr(value, "item"):  # a NumPy scalar
        return plain(value.item())
    raise DataError(f"the log takes JSON values and dataclasses, got {value!r:.80}")


def _of_pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: v if type(v) in _AS_IS else plain(v) for name, v in pairs}


def restored(value: Any) -> Any:
    """Return what `plain` was given: floats are floats, sequences tuples, dataclasses mappings.

    Examples
    --------
    >>> restored(plain({"points": -12.5, "columns": ("age",)}))
    {'points': -12.5, 'columns': ('age',)}
    """
    if isinstance(value, list):
        return tuple(restored(inner) for inner in value)
    if isinstance(value, dict):
        if set(value) == {"float"}:
            return float.fromhex(value["float"])
        return {key: restored(inner) for key, inner in value.items()}
    return value
