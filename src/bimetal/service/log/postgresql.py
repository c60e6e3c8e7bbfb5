"""The decision log in PostgreSQL, for services on several machines: SQLAlchemy Core over psycopg.

One advisory lock makes the writers of all machines take turns, so that the chain has no forks. The server must
sync (``fsync = on``, its default); ``synchronous_commit`` is set here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import Any

from bimetal.errors import DataError, MissingExtraError
from bimetal.service.log.record import LogUnavailable
from bimetal.service.log.store import Row, Store, missing_triggers

__all__ = ["PostgresqlStore"]

LOCK = 0x626D6C67  # "bmlg": the key of the advisory lock
SETTINGS = "-c synchronous_commit=on -c lock_timeout=5000 -c statement_timeout=30000"
CONNECTION = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 10_000, "application_name": "bimetal decision log",
}  # fmt: skip
HERE = "SELECT to_regclass('decision_model')"
SEEN = "SELECT DISTINCT request_id FROM decision_entry WHERE request_id = ANY(:ids)"
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'decision%' AND tgenabled = 'O'"


class PostgresqlStore(Store):
    """A connection to a log in a PostgreSQL database.

    Parameters
    ----------
    url : str
        As SQLAlchemy has it: ``postgresql+psycopg://user:password@host/database``.
    creates : bool, default True
        Whether to make the tables and triggers if they are not there.
    is_read_only : bool, default False
        Whether each transaction is one that only reads.

    Raises
    ------
    LogUnavailable
        When the server cannot be reached, or has no log.
    MissingExtraError
        When SQLAlchemy or psycopg is not installed.
    DataError
        When the address is none.
    """

    def __init__(self, url: str, *, creates: bool = True, is_read_only: bool = False) -> None:
        sql = self._sql = _sqlalchemy()
        settings = SETTINGS + (" -c default_transaction_read_only=on" if is_read_only else "")
        try:
            self._engine = sql.create_engine(
                url, poolclass=sql.pool.NullPool, connect_args={**CONNECTION, "options": settings}
            )
        except (sql.exc.ArgumentError, ValueError):  # the message may not quote the password
            raise DataError(
                "an address of a log is a URL such as postgresql+psycopg://user@host:5432/database"
            ) from None
        self.name = self._engine.url.render_as_string(hide_password=True)
        self._statements: dict[str, Any] = {}
        with self._translated():
            self._base = self._engine.connect()
        try:
            if creates and not is_read_only:
                self._create()
            elif self.ask(HERE)[0][0] is None:
                raise LogUnavailable(f"there is no decision log in {self.name}")
        except BaseException:
            self.close()
            raise

    def _create(self) -> None:
        if self.ask(HERE)[0][0] is not None:
            return
        self.begin()
        with self._translated():
            self._base.exec_driver_sql(_schema())
        self.commit()

    def begin(self) -> None:
        """Begin, and wait for the turn of this process."""
        self.ask("SELECT pg_advisory_xact_lock(:key)", ends=False, key=LOCK)

    def commit(self) -> None:
        """Commit; the server answers when its write-ahead log was synced."""
        with self._translated():
            self._base.commit()

    def rollback(self) -> None:
        """Undo what was not committed."""
        with self._translated():
            self._base.rollback()

    def ask(self, query: str, ends: bool | None = None, **values: Any) -> list[Row]:
        """Return all rows of a query; outside of `begin` and `commit` the transaction ends with it."""
        alone = (not self._base.in_transaction()) if ends is None else ends
        with self._translated():
            found = [tuple(row) for row in self._base.execute(self._text(query), values)]
            if alone:
                self._base.rollback()
            return found

    def put(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement for each row."""
        with self._translated():
            self._base.execute(self._text(statement), list(rows))

    def seen(self, request_ids: Sequence[str]) -> list[str]:
        """Return which of the ids have entries."""
        return [found for (found,) in self.ask(SEEN, ids=list(request_ids))]

    def check(self) -> list[str]:
        """Return triggers that are gone or switched off; pages are the server's own matter."""
        return missing_triggers([name for (name,) in self.ask(TRIGGERS)], _schema())

    def wipe(self) -> None:
        """Do nothing: VACUUM, the server's logs and its backups are the database's own matter."""

    def close(self) -> None:
        """Close the connection."""
        with suppress(self._sql.exc.SQLAlchemyError):
            self._base.close()
        self._engine.dispose()

    def _text(self, query: str) -> Any:
        if query not in self._statements:
            self._statements[query] = self._sql.text(query)
        return self._statements[query]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._sql.exc.SQLAlchemyError as error:
            said = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
            raise LogUnavailable(
                f"the decision log in {self.name} cannot be used now: {said}"
            ) from error


def _schema() -> str:
    return (files("bimetal.service.log") / "postgresql.sql").read_text()


def _sqlalchemy() -> Any:
    try:
        import psycopg  # noqa: F401
        import sqlalchemy
    except ModuleNotFoundError as error:
        missing = str(error.name).split(".")[0]
        raise MissingExtraError(missing, "postgres", "a decision log in PostgreSQL") from None
    return sqlalchemy
