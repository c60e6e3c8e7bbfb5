"""Deadlines of all requests by one timer: `asyncio.timeout` does the same at several microseconds each."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Late"]


class Late:
    """Cancels what runs for too long.

    Parameters
    ----------
    seconds : float
        From the beginning; a sweep comes about every twentieth of it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._every = seconds, min(0.25, seconds / 20)
        self._running: dict[asyncio.Task[object], float] = {}
        self._given_up: set[asyncio.Task[object]] = set()
        self._sweeps = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the current task within the block.

        Raises
        ------
        TimeoutError
            When it took too long.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._running[task] = loop.time() + self._seconds
        if not self._sweeps:
            self._sweeps = True
            loop.call_later(self._every, self._sweep, loop)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._given_up:
                raise  # somebody else wants it to end
            task.uncancel()
            raise TimeoutError from None
        finally:
            self._running.pop(task, None)
            self._given_up.discard(task)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, ends in list(self._running.items()):
            if ends > now:  # they stand in the order in which they began
                break
            del self._running[task]
            self._given_up.add(task)
            task.cancel()
        self._sweeps = bool(self._running)
        if self._sweeps:
            loop.call_later(self._every, self._sweep, loop)
