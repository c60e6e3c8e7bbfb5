"""API keys: 256 random bits each, of which the service keeps only a hash.

A key reads ``bmk_<id>_<secret>``: the id finds the entry and may stand in logs, the secret is compared
in constant time with its SHA-256. A slow hash would add nothing: it protects what people can guess,
and nobody guesses 256 random bits, however fast a guess is; here it would only let strangers keep the
service busy. The file is SQLite with mode 0600, so that commands and running servers may share it.
"""

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bimetal.errors import DataError

__all__ = ["SCOPES", "ForwardClock", "Key", "KeyFile", "Keyring"]

SCOPES = ("score", "batch", "audit", "admin")
"""What a key may do: one application, many, read decisions, reload models and see failures."""

_TOKEN = re.compile(r"bmk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NOBODY = hashlib.sha256(b"no key has this hash").digest()
_TABLE = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL, scopes TEXT NOT NULL, rate REAL,
    created REAL NOT NULL, expires REAL, revoked REAL, replaces TEXT
)"""


@dataclass(frozen=True)
class Key:
    """What is kept of a key.

    Attributes
    ----------
    id : str
        Twelve hexadecimal digits: finds the key, and names it in logs.
    name : str
        Whose it is.
    hash : bytes
        SHA-256 of the whole key.
    scopes : frozenset of str
        Some of `SCOPES`.
    created : float
        Seconds since 1970.
    expires, revoked : float or None
        Seconds since 1970 from which it is refused.
    rate : float or None
        Requests a second; None for what the service allows everyone.
    replaces : str or None
        The id of the key that was rotated into this one.
    """

    id: str
    name: str
    hash: bytes = field(repr=False)
    scopes: frozenset[str]
    created: float
    expires: float | None = None
    revoked: float | None = None
    rate: float | None = None
    replaces: str | None = None

    def state(self, now: float) -> str:
        """Return "active", "expired" or "revoked"."""
        if self.revoked is not None and now >= self.revoked:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "active"


class ForwardClock:
    """A wall clock that never runs backwards: an expired key stays expired when the clock is set back.

    Examples
    --------
    >>> times = iter([100.0, 50.0, 101.0])
    >>> clock = ForwardClock(lambda: next(times))
    >>> [clock(), clock(), clock()]
    [100.0, 100.0, 101.0]
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._latest = clock, -float("inf")

    def __call__(self) -> float:
        """Return seconds since 1970, never less than before."""
        self._latest = max(self._latest, self._clock())
        return self._latest


class KeyFile:
    """The file of keys, as the commands of ``bimetal keys`` use it.

    Parameters
    ----------
    path : path-like
        Created with mode 0600 when first written.
    clock : callable
        Seconds since 1970.

    Examples
    --------
    >>> import tempfile
    >>> file = KeyFile(Path(tempfile.mkdtemp()) / "keys.sqlite")
    >>> key, token = file.create("the web shop", ["score"])
    >>> Keyring(file.entries()).find(token).name
    'the web shop'
    """

    def __init__(
        self, path: str | os.PathLike[str], clock: Callable[[], float] = time.time
    ) -> None:
        self.path, self._clock = Path(path), clock

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        days: float | None = None,
        rate: float | None = None,
        replaces: str | None = None,
    ) -> tuple[Key, str]:
        """Add a key; return its entry and the key itself, which is never to be had again.

        Parameters
        ----------
        name : str
            Whose it is, for people.
        scopes : sequence of str
            Some of `SCOPES`.
        days : float, optional
            After which it expires; by default never.
        rate : float, optional
            Requests a second; by default what the service allows everyone.
        replaces : str, optional
            The id of the key it takes over from.

        Raises
        ------
        DataError
            When a scope is unknown, or a number is not above 0.
        OSError
            When the file cannot be written.
        """
        _check(name, scopes, days, rate)
        number, now = secrets.token_hex(6), self._clock()
        token = f"bmk_{number}_{secrets.token_urlsafe(32)}"
        expires = None if days is None else now + days * 86_400
        digest = hashlib.sha256(token.encode()).digest()
        key = Key(number, name, digest, frozenset(scopes), now, expires, None, rate, replaces)
        with self._open(creates=True) as db:
            db.execute("INSERT INTO keys VALUES (?,?,?,?,?,?,?,?,?)", _row(key))
        return key, token

    def entries(self) -> list[Key]:
        """Return all keys, oldest first.

        Raises
        ------
        DataError
            When there is no such file, others may read it, or it is no file of keys.
        """
        with self._open() as db:
            columns = "id, name, hash, scopes, created, expires, revoked, rate, replaces"
            found = db.execute(f"SELECT {columns} FROM keys ORDER BY created, id").fetchall()
        return [Key(r[0], r[1], bytes(r[2]), frozenset(r[3].split()), *r[4:]) for r in found]

    def rotate(
        self, number: str, *, overlap_hours: float = 24, days: float | None = None
    ) -> tuple[Key, str]:
        """Make a key's successor: same name, scopes and rate; the old one ends after the overlap.

        Raises
        ------
        DataError
            When there is no such key, or it is no longer active.
        """
        old, now = self._active(number), self._clock()
        new, token = self.create(
            old.name, sorted(old.scopes), days=days, rate=old.rate, replaces=old.id
        )
        ends = now + overlap_hours * 3_600
        if old.expires is not None:
            ends = min(ends, old.expires)
        with self._open() as db:
            db.execute("UPDATE keys SET expires = ? WHERE id = ?", (ends, old.id))
        return new, token

    def revoke(self, number: str) -> Key:
        """End a key at once; servers see it within a second or two.

        Raises
        ------
        DataError
            When there is no such key, or it is no longer active.
        """
        key = self._active(number)
        with self._open() as db:
            db.execute("UPDATE keys SET revoked = ? WHERE id = ?", (self._clock(), key.id))
        return next(k for k in self.entries() if k.id == key.id)

    def _active(self, number: str) -> Key:
        found = {key.id: key for key in self.entries()}.get(number)
        state = "unknown" if found is None else found.state(self._clock())
        if found is None or state != "active":
            raise DataError(f"an active key expected, '{number:.40}' is {state}; see: keys list")
        return found

    @contextlib.contextmanager
    def _open(self, *, creates: bool = False) -> Iterator[sqlite3.Connection]:
        if creates and not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._check_file()
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as db, db:
                db.execute("PRAGMA synchronous = FULL")
                if creates:
                    db.execute(_TABLE)
                yield db
        except sqlite3.DatabaseError as error:
            raise DataError(f"a file of keys expected in '{self.path}', got: {error}") from None

    def _check_file(self) -> None:
        try:
            mode = self.path.stat().st_mode
        except OSError as error:
            raise DataError(
                f"a file of keys expected at '{self.path}' ({error.strerror}); "
                "make the first with: bimetal keys create NAME"
            ) from None
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise DataError(
                f"'{self.path}' can be read by others (mode {stat.S_IMODE(mode):o}); "
                f"run: chmod 600 '{self.path}'"
            )


class Keyring:
    """The keys as a server holds them: found by id, compared by hash.

    Parameters
    ----------
    keys : sequence of Key
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys: Mapping[str, Key] = {key.id: key for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, token: str) -> Key | None:
        """Return the key of a token, whatever its state; None when no key has this secret.

        An unknown id takes as long as a wrong secret.
        """
        match = _TOKEN.fullmatch(token)
        key = self._keys.get(match[1]) if match else None
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        is_it = hmac.compare_digest(digest, _NOBODY if key is None else key.hash)
        return key if is_it else None


def _row(key: Key) -> tuple[object, ...]:
    scopes = " ".join(sorted(key.scopes))
    return (key.id, key.name, key.hash, scopes, key.rate, key.created, key.expires, key.revoked,
            key.replaces)  # fmt: skip


def _check(name: str, scopes: Sequence[str], days: float | None, rate: float | None) -> None:
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise DataError(f"a name of 1 to 100 printable characters expected, got {name!r:.120}")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise DataError(f"some of the scopes {', '.join(SCOPES)} expected, got {unknown or 'none'}")
    for what, value in (("days", days), ("rate", rate)):
        if value is not None and not 0 < value < float("inf"):
            raise DataError(f"{what} above 0 expected, got {value}")
