"""From an address to a log: a file for SQLite, a URL for PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bimetal.errors import DataError
from bimetal.service.log.chained import ChainedLog
from bimetal.service.log.committer import Committer
from bimetal.service.log.store import Store
from bimetal.service.log.writer import MAX_WAITING

__all__ = ["committer_of", "open_log"]


def open_log(
    url: str,
    *,
    creates: bool = True,
    is_read_only: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    max_waiting: int = MAX_WAITING,
    keeper: str | None = None,
) -> ChainedLog:
    """Open a decision log, or make one.

    Parameters
    ----------
    url : str
        ``sqlite:///decisions.db`` (relative), ``sqlite:////var/lib/bimetal/decisions.db``, a plain path, or
        ``postgresql+psycopg://user@host/database``.
    creates : bool, default True
        Whether to make the log if there is none.
    is_read_only : bool, default False
        Whether nothing is ever to be written.
    clock : callable, optional
        Returns an aware datetime.
    max_waiting : int
        How many records may wait to be written.
    keeper : str, optional
        Where the process listens that writes what is appended (`bimetal.service.log.keeping`); its clock
        is the one that counts. Without, a thread of this process writes.

    Raises
    ------
    LogUnavailable
        When it cannot be opened now, or there is none and none may be made.
    DataError
        When the address is of another kind, or the file is no decision log.
    MissingExtraError
        When PostgreSQL is asked for and its packages are not installed.

    Examples
    --------
    >>> import struct, tempfile
    >>> from bimetal.service.log import Record
    >>> log = open_log(f"sqlite:///{tempfile.mkdtemp()}/decisions.db")
    >>> log.archive_model("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", b"")
    >>> model = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    >>> row = struct.pack("<2f", 41.0, 2500.0)
    >>> record = Record("r-1", "cards", "ab12", None, model, "champion", row, 61250, 0.03125, "approve")
    >>> [entry.sequence for entry in log.write([record, record])], log.head()[0]
    ([1, 1], 1)
    >>> log.close()
    """
    place = _place(url)
    read_only = is_read_only

    def connect(may_create: bool) -> Store:
        return place(creates=creates and may_create, is_read_only=read_only)

    if keeper is not None:
        from bimetal.service.log.kept import KeptLog

        return KeptLog(keeper, connect, max_waiting=max_waiting)
    return ChainedLog(connect, clock=clock, max_waiting=max_waiting)


def committer_of(url: str) -> Committer:
    """Return who writes to a log that is there: see `open_log`."""
    place = _place(url)
    return Committer(lambda: place(creates=False, is_read_only=False), lambda: datetime.now(UTC))


def _place(url: str) -> Callable[..., Store]:
    scheme, mark, rest = url.partition("://")
    if not mark or scheme == "sqlite":
        path = rest.removeprefix("/") if mark else url
        return _sqlite(path, url)
    if scheme in ("postgresql", "postgresql+psycopg"):
        address = f"postgresql+psycopg://{rest}"
        return _postgresql(address)
    raise DataError(
        f"a decision log is sqlite:///path or postgresql+psycopg://user@host/database, got {scheme!r}://…"
    )


def _sqlite(path: str, url: str) -> Callable[..., Store]:
    from bimetal.service.log.sqlite import SqliteStore

    if path in ("", ":memory:"):
        raise DataError(f"a decision log lives in a file, got {url!r}; sqlite:///decisions.db, say")

    def connect(**options: Any) -> Store:
        return SqliteStore(path, **options)

    return connect


def _postgresql(address: str) -> Callable[..., Store]:
    from bimetal.service.log.postgresql import PostgresqlStore

    def connect(**options: Any) -> Store:
        return PostgresqlStore(address, **options)

    return connect
