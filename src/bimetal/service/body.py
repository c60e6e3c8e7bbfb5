"""The body of a request, counted while it comes: with or without a stated length."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from bimetal.service.problem import Problem

__all__ = ["Gone", "Receive", "take"]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Gone(Exception):  # noqa: N818
    """The client left before it had said what it wanted."""


async def take(
    scope: MutableMapping[str, Any],
    headers: Mapping[bytes, bytes],
    receive: Receive,
    most: int,
    kinds: tuple[bytes, ...] = (b"application/json",),
) -> bytes:
    """Return the body of a request.

    Parameters
    ----------
    scope : mapping
        ASGI's; it is marked when the body has come whole.
    headers : mapping
    receive : callable
    most : int
        Bytes at most.
    kinds : tuple of bytes
        Media types that are read here.

    Raises
    ------
    Problem
        413 when it is longer, 415 when it is of another kind or compressed.
    Gone
        When the client left.
    """
    _require_kind(headers, kinds)
    length = headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > most:
        raise _too_large(most)
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
        if not message.get("more_body", False):
            scope["bimetal.has_body"] = True
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _require_kind(headers: Mapping[bytes, bytes], kinds: tuple[bytes, ...]) -> None:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in kinds:
        names = " or ".join(k.decode() for k in kinds)
        raise Problem(415, "media-type", f"Content-Type: {names} expected", headers=_CLOSE)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(415, "media-type", "an uncompressed body expected", headers=_CLOSE)


def _too_large(most: int) -> Problem:
    return Problem(413, "body", f"a body of at most {most} bytes expected", headers=_CLOSE)


_CLOSE = {b"connection": b"close"}
