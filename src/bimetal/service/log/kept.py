"""KeptLog: a decision log whose writing is done by its keeper, a process of its own."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bimetal.service.log.chained import ChainedLog
from bimetal.service.log.letters import Mailbag, read_outcome, written_records
from bimetal.service.log.record import Entry, LogUnavailable, Record
from bimetal.service.log.store import Store
from bimetal.service.log.writer import MAX_WAITING

__all__ = ["KeptLog"]


class KeptLog(ChainedLog):
    """Reads by itself and lets a keeper append; for one event loop.

    Parameters
    ----------
    keeper : str
        Path of the socket where it listens.
    connect : callable
        See `ChainedLog`.
    max_waiting : int
        How many records may wait to be written.
    """

    def __init__(
        self, keeper: str, connect: Callable[[bool], Store], *, max_waiting: int = MAX_WAITING
    ) -> None:
        super().__init__(connect, max_waiting=max_waiting)
        self._keeper, self._max_waiting = keeper, max_waiting
        self._n_waiting = 0
        self._link: _Link | None = None
        self._linking: asyncio.Task[_Link] | None = None

    async def append(self, records: Sequence[Record]) -> list[Entry]:
        """Have records written, all or none: see `DecisionLog.append`."""
        records = list(records)
        letter = written_records(records)
        if self._n_waiting and self._n_waiting + len(records) > self._max_waiting:
            raise LogUnavailable(
                f"{self._n_waiting} records wait for the decision log already; try again later"
            )
        self._n_waiting += len(records)
        try:
            link = self._link
            if link is None or link.is_lost:
                link = self._link = await self._linked()
            body = await link.ask(letter)
        finally:
            self._n_waiting -= len(records)
        outcome = read_outcome(body, records)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """Let go. What waits for the keeper is written by it, and told to nobody."""
        super().close()
        if self._link is not None:
            self._link.close()

    async def _linked(self) -> "_Link":
        """Return a new link; whoever comes meanwhile waits for the same."""
        if self._linking is None:
            self._linking = asyncio.get_running_loop().create_task(_connected(self._keeper))
        linking = self._linking
        try:
            return await asyncio.shield(linking)
        finally:
            if self._linking is linking and linking.done():
                self._linking = None


async def _connected(address: str) -> "_Link":
    loop = asyncio.get_running_loop()
    try:
        _, link = await loop.create_unix_connection(lambda: _Link(loop), address)
    except OSError as error:
        raise LogUnavailable(
            f"the process that writes the decision log is not there: {error}"
        ) from error
    return link


class _Link(asyncio.Protocol):
    """A connection to the keeper; answers come in the order of the letters."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._bag = loop, Mailbag()
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self.is_lost = False

    def connection_made(self, transport: Any) -> None:
        """Remember where letters go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand answers to those who wait."""
        for body in self._bag.take(data):
            future = self._waiting.popleft()
            if not future.done():  # a caller who gave up: his record is written all the same
                future.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait that nobody knows whether their records are written."""
        self.is_lost = True
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_exception(
                    LogUnavailable("the process that writes the decision log ended; ask again")
                )

    async def ask(self, letter: bytes) -> bytes:
        """Send a letter and return the answer to it."""
        if self.is_lost:
            raise LogUnavailable("the process that writes the decision log ended; ask again")
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting.append(future)
        self._transport.write(letter)
        return await future

    def close(self) -> None:
        """Close; from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and its connections with it
            self._loop.call_soon_threadsafe(self._transport.close)
