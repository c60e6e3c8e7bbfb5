r"""Canonical JSON: one spelling for a value, so that a hash of it means something in any language.

ASCII only (``\uXXXX`` for the rest), keys sorted, no spaces. A number with a point is written as C writes ``%a``
(Python's `float.hex`), within ``{"float": "0x1.8000000000000p+1"}``, so that no two printers can differ on it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

try:
    import msgspec
except ImportError:  # a log is read, verified and replayed without what a server needs
    msgspec = None  # type: ignore[assignment]

from bimetal.errors import DataError

__all__ = ["canonical", "encode", "of_list", "plain", "restored"]

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


def of_list(values: Sequence[Any]) -> str:
    """Return the canonical JSON of a list, quickly where its dataclasses differ in one number only.

    So do a scorer's reasons: from one applicant to the next the texts are the same.

    Examples
    --------
    >>> of_list(["a", 1.0]) == canonical(["a", 1.0])
    True
    """
    return f"[{','.join([_from_template(value) or canonical(value) for value in values])}]"


def _from_template(value: Any) -> str | None:
    """Return a dataclass of texts, tuples of texts, and one float; None of anything else."""
    kind: Any = type(value)
    parts = _parts(kind)
    if parts is None:
        return None
    texts_of, number_of = parts
    number = number_of(value)
    try:
        pieces = _template(kind, texts_of(value))
    except TypeError:  # something that cannot be looked up
        return None
    if pieces is None or type(number) is not float:
        return None
    return f"{pieces[0]}{number.hex()}{pieces[1]}"


@lru_cache(256)
def _parts(kind: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]] | None:
    """Return what reads the fields of a dataclass that are no float, and what reads the one that is."""
    fields = getattr(kind, "__dataclass_fields__", {})
    floats = [name for name, field in fields.items() if field.type in (float, "float")]
    texts = [name for name in fields if name not in floats]
    return (attrgetter(*texts), attrgetter(*floats)) if len(texts) > 1 == len(floats) else None


@lru_cache(4096)
def _template(kind: Any, texts: tuple[Any, ...]) -> tuple[str, str] | None:
    """Return the canonical JSON before and after the number; None where a field is no text.

    What equals a text is a text: whoever finds a template by equal fields is written as it says.
    """
    parts = [part for one in texts for part in (one if type(one) is tuple else (one,))]
    if not all(type(part) is str for part in parts):
        return None
    left, value = iter(texts), dict[str, Any]()
    for name, field in kind.__dataclass_fields__.items():
        value[name] = 0.0 if field.type in (float, "float") else next(left)
    # Within a text a quote has a backslash before it, so that this is the number.
    before, after = canonical(value).split('{"float":"0x0.0p+0"}')
    return f'{before}{{"float":"', f'"}}{after}'


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
