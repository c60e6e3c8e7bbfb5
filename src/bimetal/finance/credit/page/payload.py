"""What a device sends: the text that it signs, and the strict reading of what comes in.

The device signs lines of plain ASCII, never JSON, so that there is exactly one text for each result
and nothing to canonicalise. The bits are those of the Program's encoder, packed least significant
first; the key is a JSON Web Key (RFC 7517), its name the thumbprint of RFC 7638.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from bimetal.columns.column import is_portable
from bimetal.errors import DataError, FormatError
from bimetal.strict_json import parse_object

__all__ = ["RESULT_SCHEMA", "VERSION", "Cause", "Payload", "ResultError", "read_payload"]

VERSION = "bimetal-credit-result/1"
LARGEST = 2**18  # characters of a payload; the bits of the widest Program have 11 kB

Cause = Literal[
    "malformed", "model", "signature", "bits", "limits", "points", "decision", "values",
    "stale", "future", "replayed",
]  # fmt: skip
"""Why a result is refused."""

_HEX, _BASE64 = r"^[0-9a-f]{64}$", r"^[A-Za-z0-9+/]+={0,2}$"
_COORDINATE = r"^[A-Za-z0-9_-]{43}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
_KEY_PROPERTIES = {
    "kty": {"const": "EC"},
    "crv": {"const": "P-256"},
    "x": {"type": "string", "pattern": _COORDINATE},
    "y": {"type": "string", "pattern": _COORDINATE},
}
_PROPERTIES: dict[str, dict[str, Any]] = {
    "version": {"const": VERSION},
    "program": {"type": "string", "pattern": _HEX, "description": "the Program's id"},
    "file": {"type": "string", "pattern": _HEX, "description": "sha256 of the model's file"},
    "policy": {"type": "string", "pattern": _HEX, "description": "the policy's id"},
    "bits": {"type": "string", "pattern": _BASE64, "maxLength": 16_384},
    "points": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "decision": {"enum": ["approve", "refer", "decline"]},
    "time": {"type": "string", "pattern": _TIME, "description": "by the device's clock, UTC"},
    "nonce": {"type": "string", "pattern": r"^[0-9a-f]{32}$"},
    "values": {"type": "string", "maxLength": 131_072, "description": "answers, as JSON, or ''"},
    "key": {
        "type": "object",
        "properties": _KEY_PROPERTIES,
        "required": list(_KEY_PROPERTIES),
        "additionalProperties": False,
    },
    "signature": {"type": "string", "pattern": r"^[A-Za-z0-9+/]{86}==$"},
}
RESULT_SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A credit result, scored and signed on a device",
    "type": "object",
    "properties": _PROPERTIES,
    "required": list(_PROPERTIES),
    "additionalProperties": False,
}
"""The JSON Schema of a signed result; `read_payload` holds to it."""


class ResultError(DataError):
    """A signed result that is not to be believed; `cause` says why in one word."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class Payload:
    """A signed result, well-formed but not yet believed.

    Attributes
    ----------
    program, file, policy : str
        Which model the device says it used.
    bits : bytes
        Encoder bits, packed, least significant first.
    points : int
    decision : str
    time : datetime
        By the device's clock.
    nonce : str
        32 hexadecimal digits, drawn once for this result.
    values : str
        The applicant's answers as JSON text, or "" where he kept them.
    x, y : bytes
        The public key: 32 bytes each, big-endian.
    signature : bytes
        r and s, 32 bytes each.
    text : bytes
        What is signed.
    thumbprint : str
        Of the key, RFC 7638.
    """

    program: str
    file: str
    policy: str
    bits: bytes
    points: int
    decision: str
    time: datetime
    nonce: str
    values: str
    x: bytes
    y: bytes
    signature: bytes
    text: bytes
    thumbprint: str


def read_payload(given: Mapping[str, Any] | str | bytes) -> Payload:
    """Read a signed result, as JSON text or parsed already.

    Raises
    ------
    ResultError
        With the cause "malformed", when a part is missing, unknown or of another form.

    Examples
    --------
    >>> read_payload('{"version": "bimetal-credit-result/1"}')  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    bimetal.finance.credit.page.payload.ResultError: ... expected, got ['version']; ...
    """
    parts = _object(given)
    if set(parts) != set(_PROPERTIES):
        raise _malformed(f"the keys {sorted(_PROPERTIES)} expected, got {sorted(parts)!r:.300}")
    _hold("", parts, _PROPERTIES)
    key = parts["key"]
    if not isinstance(key, Mapping) or set(key) != set(_KEY_PROPERTIES):
        raise _malformed(f"a key of {sorted(_KEY_PROPERTIES)} expected, got {key!r:.200}")
    _hold("key.", key, _KEY_PROPERTIES)
    return Payload(
        **{name: parts[name] for name in ("program", "file", "policy", "points", "decision")},
        bits=_decoded("bits", parts["bits"]),
        time=_moment(parts["time"]),
        nonce=parts["nonce"],
        values=parts["values"],
        x=_coordinate("x", key["x"]),
        y=_coordinate("y", key["y"]),
        signature=_decoded("signature", parts["signature"]),
        text=signed_text(parts),
        thumbprint=thumbprint(key),
    )


def signed_text(parts: Mapping[str, Any]) -> bytes:
    r"""Return the lines that are signed: fixed names in a fixed order, the answers in base64.

    Examples
    --------
    >>> names = ("program", "file", "policy", "bits", "points", "decision", "time", "nonce")
    >>> signed_text(dict.fromkeys(names, 1) | {"values": ""})[:34]
    b'bimetal-credit-result/1\nprogram=1\n'
    """
    names = ("program", "file", "policy", "bits", "points", "decision", "time", "nonce")
    values = base64.b64encode(parts["values"].encode()).decode()
    lines = [VERSION, *(f"{name}={parts[name]}" for name in names), f"values={values}"]
    return ("\n".join(lines) + "\n").encode()


def thumbprint(key: Mapping[str, Any]) -> str:
    """Return the name of a public key: sha256 over its required members in order (RFC 7638)."""
    required = {name: key[name] for name in ("crv", "kty", "x", "y")}
    text = json.dumps(required, separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _object(given: Mapping[str, Any] | str | bytes) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    if len(given) > LARGEST:
        raise _malformed(f"at most {LARGEST} characters expected, got {len(given)}")
    try:
        raw = given.encode() if isinstance(given, str) else given
        return parse_object(raw.strip(), "a signed result")
    except (FormatError, UnicodeError) as error:
        raise _malformed(f"one JSON object expected: {error}") from None


def _hold(where: str, parts: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Hold each part against its part of the schema; the few words of it that we use."""
    for name, rule in wanted.items():
        value = parts[name]
        if "const" in rule:
            fits, expected = value == rule["const"], repr(rule["const"])
        elif "enum" in rule:
            fits, expected = value in rule["enum"], f"one of {rule['enum']}"
        elif rule["type"] == "integer":
            fits = type(value) is int and rule["minimum"] <= value <= rule["maximum"]
            expected = "a whole number of 32 bits"
        elif rule["type"] == "string":
            pattern, most = rule.get("pattern", ""), rule.get("maxLength", 128)
            fits = isinstance(value, str) and len(value) <= most and is_portable(value)
            fits = fits and bool(re.search(pattern, value, re.ASCII)) and not value.endswith("\n")
            expected = f"text like {pattern}" if pattern else f"text of at most {most} characters"
        else:
            continue
        if not fits:
            raise _malformed(f"'{where}{name}': {expected} expected, got {value!r:.100}")


def _malformed(message: str) -> ResultError:
    return ResultError(
        "malformed", f"{message}; send the text as the page made it, without changes"
    )


def _decoded(name: str, text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if base64.b64encode(data).decode() != text:  # one text for each array of bytes
        raise _malformed(f"'{name}': base64 expected, got {text!r:.100}")
    return data


def _coordinate(name: str, text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=")
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
        raise _malformed(f"'key.{name}': 32 bytes in base64url expected, got {text!r:.100}")
    return data


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        raise _malformed(f"'time': a day and time expected, got {text!r:.100}") from None
