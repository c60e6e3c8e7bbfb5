"""The keeper: the one process that writes the decision log for all processes of a service.

Python runs one thread at a time. A thread that writes takes turns with the one that answers, and each turn is
waited for: that cost more than everything else of a decision together (benchmarks/service_load.py). A process
of its own waits for nobody; and where several processes answer, theirs is one queue, so that a sync of the disk
is shared by all.

`bimetal.service.log.keeping` starts it. It lives no longer than who started it: a pipe from there is its standard
input, and when that ends it writes what came, then goes. Signals are for the service; the keeper ignores them, for
those who still answer need it to the last.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bimetal.service.log.committer import Committer
from bimetal.service.log.letters import Mailbag, read_records, written_outcome
from bimetal.service.log.opening import committer_of
from bimetal.service.log.record import Record
from bimetal.service.log.writer import MAX_GROUP

__all__ = ["READY", "keep"]

READY = "ready\n"
"""What the keeper says once it takes letters."""

_Job = tuple[asyncio.Transport, list[Record]]


class _Keeper:
    """Commits what came since the last commit."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._jobs: list[_Job] = []

    def take(self, job: _Job) -> None:
        """Put a letter's records to those that are committed next."""
        if not self._jobs:
            asyncio.get_running_loop().call_soon(self.commit)
        self._jobs.append(job)

    def commit(self) -> None:
        """Write all that came. Nothing is read meanwhile: what comes then is the next group."""
        jobs, self._jobs = self._jobs, []
        for group in _groups(jobs):
            outcomes = self._committer.write([records for _, records in group])
            for (link, records), outcome in zip(group, outcomes, strict=True):
                link.write(written_outcome(outcome, records))


class _Link(asyncio.Protocol):
    """One process of the service."""

    def __init__(self, keeper: _Keeper) -> None:
        self._keeper, self._bag = keeper, Mailbag()

    def connection_made(self, transport: Any) -> None:
        """Remember where answers go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take the letters that are whole."""
        for body in self._bag.take(data):
            self._keeper.take((self._transport, read_records(body)))


def _groups(jobs: list[_Job]) -> Iterator[list[_Job]]:
    """Cut jobs into transactions of about `MAX_GROUP` records."""
    group: list[_Job] = []
    n = 0
    for job in jobs:
        group.append(job)
        n += len(job[1])
        if n >= MAX_GROUP:
            yield group
            group, n = [], 0
    if group:
        yield group


async def keep(url: str, address: str) -> None:
    """Keep a log until standard input ends.

    Parameters
    ----------
    url : str
        See `open_log`.
    address : str
        Path of the socket to listen at, in a folder of its own, which is removed at the end.
    """
    loop, is_over = asyncio.get_running_loop(), asyncio.Event()
    committer = committer_of(url)
    keeper = _Keeper(committer)
    server = await loop.create_unix_server(lambda: _Link(keeper), address)
    loop.set_exception_handler(_end)
    loop.add_reader(sys.stdin.fileno(), is_over.set)  # nothing comes but the end
    sys.stdout.write(READY)
    sys.stdout.flush()
    await is_over.wait()
    server.close()
    keeper.commit()
    committer.close()
    shutil.rmtree(Path(address).parent, ignore_errors=True)  # who made it may be dead


def _end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End at once: answers go in the order of letters, and one that is missing would shift the others.

    Whoever waits is refused, and another keeper begins. The message may hold personal data and is not told.
    """
    kind = type(context.get("exception")).__name__
    sys.stderr.write(f"the process that writes the decision log failed: {kind}\n")
    sys.stderr.flush()
    os._exit(1)


def main() -> None:
    """Read an order from standard input, then keep."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    order = json.loads(sys.stdin.readline())
    runner: Any = asyncio
    with contextlib.suppress(ImportError):
        import uvloop as runner
    runner.run(keep(order["url"], order["address"]))


if __name__ == "__main__":
    main()
