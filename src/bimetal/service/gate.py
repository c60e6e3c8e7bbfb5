"""Who may pass: a key, its scope, its rate. All of it before a byte of the body is read."""

import logging
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from bimetal.errors import DataError
from bimetal.service.keys import SCOPES, ForwardClock, Key, KeyFile, Keyring
from bimetal.service.limits import Buckets, Limits
from bimetal.service.problem import Problem

__all__ = ["ANYBODY", "Gate"]

logger = logging.getLogger("bimetal.service")
Headers = Mapping[bytes, bytes]

ANYBODY = Key("anybody", "anybody", b"", frozenset(SCOPES), 0.0)
"""Who asks a service that was started without keys."""
_CHALLENGE = {b"www-authenticate": b'Bearer realm="bimetal"'}


class Gate:
    """Lets requests pass, or says why not.

    Parameters
    ----------
    path : path-like or None
        The file of keys, read again when it changes; None lets everybody do everything.
    limits : Limits
    clock : callable
        Seconds since 1970; made to run forward only.

    Raises
    ------
    DataError
        When the file is not there, is no file of keys, or may be read by others.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        limits: Limits,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._path = None if path is None else Path(path)
        self._clock = ForwardClock(*(() if clock is None else (clock,)))
        self._buckets = Buckets(limits.requests_per_second, limits.burst)
        self._ring = Keyring([])
        self._seen: tuple[int, ...] = ()
        self.failure: str | None = None
        if self._path is not None:
            self._ring = Keyring(KeyFile(self._path).entries())
            self._seen = self._signature()

    def refresh(self) -> None:
        """Read the keys again if the file changed; if it cannot be read, the keys stay as they were."""
        if self._path is None:
            return
        try:
            signature = self._signature()
            if signature != self._seen or self.failure:
                self._ring, self._seen = Keyring(KeyFile(self._path).entries()), signature
                self.failure = None
                logger.info("keys read again: %d", len(self._ring))
        except (DataError, OSError) as error:
            if self.failure is None:
                logger.error("the keys cannot be read; those known before stay: %s", error)
            self.failure = "the file of keys cannot be read; those known before stay"

    def admit(self, headers: Headers, scope: str | None) -> Key:
        """Return the key of a request that may pass.

        Parameters
        ----------
        headers : mapping
            Lower-case names, as ASGI has them.
        scope : str or None
            What the key must be good for; None for anything.

        Raises
        ------
        Problem
            401 without a valid key, 403 without the scope, 429 when it asks too often.
        """
        key = self.find(headers)
        if scope is not None and scope not in key.scopes:
            raise Problem(403, "scope", f"a key with the scope '{scope}' expected")
        wait = self._buckets.take(key.id, key.rate)
        if wait:
            seconds = str(max(1, round(wait + 0.5))).encode()
            raise Problem(429, "rate", "fewer requests expected; wait as Retry-After says",
                          headers={b"retry-after": seconds})  # fmt: skip
        return key

    def find(self, headers: Headers) -> Key:
        """Return the active key of a request, whatever its scopes. Raises `Problem` 401."""
        if self._path is None:
            return ANYBODY
        token = _token(headers)
        if token is None:
            raise Problem(401, "key", "a key expected: Authorization: Bearer bmk_…", (), _CHALLENGE)
        key = self._ring.find(token)
        state = "unknown" if key is None else key.state(self._clock())
        if key is None or state != "active":
            raise Problem(
                401, "key", f"an active key expected; this one is {state}", (), _CHALLENGE
            )
        return key

    def charge(self, key: Key, requests: float) -> None:
        """Count a large batch as so many requests more."""
        self._buckets.charge(key.id, requests, key.rate)

    def _signature(self) -> tuple[int, ...]:
        assert self._path is not None
        status = self._path.stat()
        mode = stat.S_IMODE(status.st_mode)
        return status.st_mtime_ns, status.st_ino, status.st_size, mode


def _token(headers: Headers) -> str | None:
    given = headers.get(b"authorization")
    if given is not None:
        kind, _, token = given.partition(b" ")
        return token.strip().decode("latin-1") if kind.lower() == b"bearer" else None
    given = headers.get(b"x-api-key")
    return None if given is None else given.decode("latin-1")
