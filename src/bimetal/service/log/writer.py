"""Writer: one thread that writes for all who wait (group commit).

A sync of the disk costs about a millisecond and does not care how much it syncs. So whoever appends joins a
queue; the writer takes all that waits, has it committed at once, and only then lets them go on.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bimetal.service.log.committer import Committer, Work
from bimetal.service.log.group import ErasureOrder
from bimetal.service.log.record import LogUnavailable
from bimetal.service.log.store import Store

__all__ = ["MAX_GROUP", "MAX_WAITING", "Writer"]

MAX_WAITING = 20_000
"""Records that may wait; more are refused at once. One call alone may bring any number."""
MAX_GROUP = 4_096
"""Records of one transaction, about: a call is never split."""

_CROWD = 2
"""Jobs in a group from which others are given time to join the next."""
_PAUSE_S = 0.002


@dataclass(frozen=True, eq=False)
class _Job:
    work: Work
    loop: asyncio.AbstractEventLoop | None
    future: Any

    @property
    def n(self) -> int:
        return 1 if isinstance(self.work, ErasureOrder) else len(self.work)


class Writer:
    """The one who writes, of one process.

    Parameters
    ----------
    connect : callable
        Returns a new `Store`.
    clock : callable
        Returns an aware datetime.
    max_waiting : int
        How many records may wait.
    """

    def __init__(
        self, connect: Callable[[], Store], clock: Callable[[], datetime], max_waiting: int
    ) -> None:
        self._committer, self._max_waiting = Committer(connect, clock), max_waiting
        self._entering = threading.Lock()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._n_waiting = 0
        self._thread: threading.Thread | None = None
        self._is_closed = False

    async def take(self, work: Work) -> Any:
        """Write, and return the entries (of an erasure, the entry) once they are on the disk.

        Raises
        ------
        LogUnavailable, DuplicateRequest, DataError
            See `DecisionLog.append` and `ChainedLog.erase`.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._enqueue(_Job(work, loop, future))
        return await future

    def take_now(self, work: Work) -> Any:
        """Do what `take` does, for callers without an event loop."""
        future: Future[Any] = Future()
        self._enqueue(_Job(work, None, future))
        return future.result()

    def close(self) -> None:
        """Write what waits, and let go."""
        with self._entering:
            is_first, self._is_closed = not self._is_closed, True
            if is_first:
                self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        self._committer.close()

    def _enqueue(self, job: _Job) -> None:
        with self._entering:
            if self._is_closed:
                raise LogUnavailable("the decision log is closed")
            if self._n_waiting and self._n_waiting + job.n > self._max_waiting:
                raise LogUnavailable(
                    f"{self._n_waiting} records wait for the decision log already; try again later"
                )
            self._n_waiting += job.n
            self._queue.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="decision log", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        n_before = 0
        while jobs := self._take(n_before):
            n_before = len(jobs)
            outcomes = self._committer.write([job.work for job in jobs])
            with self._entering:
                self._n_waiting -= sum(job.n for job in jobs)
            _settle(jobs, outcomes)

    def _take(self, n_before: int) -> list[_Job]:
        """Return all that waits, at least one job; nothing when the log is closed.

        In a crowd a pause lets more come, so that a commit is shared by more; a lone one never waits.
        """
        job = self._queue.get()
        if n_before >= _CROWD:
            time.sleep(_PAUSE_S)
        jobs: list[_Job] = []
        n = 0
        with suppress(queue.Empty):
            while job is not None:
                jobs.append(job)
                n += job.n
                if n >= MAX_GROUP:
                    return jobs
                job = self._queue.get_nowait()
            self._queue.put(None)  # the end: what came before it is written first
        return jobs


def _settle(jobs: Sequence[_Job], outcomes: Sequence[Any]) -> None:
    """Hand over outcomes: those of an event loop with one wake-up."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[Any, Any]]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        by_loop.setdefault(job.loop, []).append((job.future, outcome))
    for loop, pairs in by_loop.items():
        if loop is None:
            _hand_over(pairs)
        else:
            with suppress(RuntimeError):  # a loop that was closed: nobody waits there any more
                loop.call_soon_threadsafe(_hand_over, pairs)


def _hand_over(pairs: Sequence[tuple[Any, Any]]) -> None:
    for future, outcome in pairs:
        # A caller who gave up has cancelled it; his record is written all the same.
        if not future.done():
            is_error = isinstance(outcome, Exception)
            (future.set_exception if is_error else future.set_result)(outcome)
