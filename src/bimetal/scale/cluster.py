"""Scoring on a Ray cluster: workers read and score parts of a file, this process writes them in order.

Ray (Moritz et al., "Ray: a distributed framework for emerging AI applications", OSDI 2018) starts the
workers, carries the bytes, and tries a part again when a worker dies. The work itself is that of
`job.Job` and `scores.Scores`, as in one process.
"""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from bimetal.errors import DataError, MissingExtraError
from bimetal.scale.job import Job, Recipe
from bimetal.tables import Part, Source, open_part, parts_of

__all__ = ["PART_ROWS", "Cluster", "in_order"]

PART_ROWS = 262_144
"""Rows that a worker reads, scores and sends back at once, where row groups are smaller."""

_MAX_RETRIES = 3


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that scores.

    Parameters
    ----------
    recipe : Recipe
        The model, sent once.
    address : str, optional
        Of a running cluster, such as "auto" or "ray://host:10001"; by default one is started on this
        machine and stopped afterwards. A Ray that this process has joined already is used as it is.
    workers : int, optional
        Parts that are scored at once; by default as many as the cluster has processors.
    part_rows : int
        See `PART_ROWS`.

    Raises
    ------
    DataError
        When `workers` is below 1.
    """

    recipe: Recipe
    address: str | None = None
    workers: int | None = None
    part_rows: int = PART_ROWS

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise DataError(f"at least one worker expected, got {self.workers}")

    def scored(self, job: Job, source: Source) -> Generator[Any]:
        """Yield the scores of a file in the order of its rows, as record batches.

        Parquet and Arrow files are read by the workers, which must find them at the same path; CSV and
        Arrow streams are read here, and their rows are sent.

        Raises
        ------
        DataError
            When the table does not fit the model.
        MissingExtraError
            When Ray is not installed.
        OSError
            When the cluster cannot be reached, or loses a worker more often than is tried again.
        """
        import pyarrow as pa

        ray = _ray()
        parts = parts_of(job.path, self.part_rows)
        with self._joined(ray):
            workers = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            of_all = ray.put(self.recipe), ray.put(job)
            task = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES)(score_part)
            work = _rows_of(source) if parts is None else ((part, None) for part in parts)
            submitted = (partial(task.remote, *of_all, *one) for one in work)
            for answer in in_order(ray, submitted, workers):
                with pa.ipc.open_stream(answer) as reader:
                    yield from reader

    @contextmanager
    def _joined(self, ray: Any) -> Iterator[None]:
        """Join a cluster, or start one here, and leave it as it was found."""
        if ray.is_initialized():
            yield
            return
        _start(ray, self.address, self.workers)
        try:
            yield
        finally:
            ray.shutdown()


def _start(ray: Any, address: str | None, workers: int | None) -> None:
    # Ray tells its makers about each cluster that starts, unless told not to; a bank's job does not.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    where: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
    if address:
        _require_answer(address)
        where = {"address": address}
    try:
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:
        raise ConnectionError(f"the Ray cluster cannot be joined: {error}") from error


def _require_answer(address: str) -> None:
    """Ask once whether anything listens at host:port: Ray itself would try for two minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdigit()):
        return  # "auto", say
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(
            f"no Ray cluster answers at '{address}' ({error}); start one with `ray start --head`, "
            "or give no address: then one is started on this machine"
        ) from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "scale", "scoring on a cluster") from error
    return ray


def in_order(ray: Any, submits: Iterable[Callable[[], Any]], workers: int) -> Iterator[Any]:
    """Yield the results of tasks in their order; `workers` run at once, a few more wait to be taken.

    Raises
    ------
    Exception
        What a task raised, once the results before it are taken; the tasks still running are cancelled.
    OSError
        When Ray itself failed.
    """
    left = iter(submits)
    running: list[Any] = []
    waiting: deque[Any] = deque()
    try:
        while True:
            while len(running) < workers and len(waiting) < 4 * workers:
                submit = next(left, None)
                if submit is None:
                    break
                running.append(submit())
                waiting.append(running[-1])
            if not waiting:
                return
            if running:
                _, running = ray.wait(running, num_returns=1)
            while waiting and waiting[0] not in running:
                yield _result(ray, waiting.popleft())
    finally:
        for task in running:
            ray.cancel(task)


def _result(ray: Any, task: Any) -> Any:
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise ConnectionError(
            f"the Ray cluster lost a task {_MAX_RETRIES + 1} times ({error}); look at its logs, "
            "or give its workers more memory"
        ) from error


def _rows_of(source: Source) -> Iterator[tuple[Part, bytes]]:
    """Yield rows to be sent, each batch with its place in the file."""
    first_row = 0
    for number, batch in enumerate(source.batches):
        yield Part((number,), first_row, batch.num_rows), _packed([batch], source.schema)
        first_row += batch.num_rows


def score_part(recipe: Recipe, job: Job, part: Part, rows: Any) -> Any:
    """Return the scores of a part as the bytes of an Arrow stream: what a worker does.

    Parameters
    ----------
    recipe, job
        What to score with, and how.
    part : Part
        Which rows of the file.
    rows : bytes or None
        The rows themselves as an Arrow stream, where the worker does not read them from the file.

    Raises
    ------
    DataError
        When the table does not fit the model.
    OSError
        When the file cannot be read on the worker's machine.
    """
    import pyarrow as pa

    scores = recipe.scores()
    if rows is not None:
        with pa.ipc.open_stream(rows) as reader:
            return _packed(job.scored(scores, reader, part.first_row), job.schema)
    try:
        keep = [*job.keep, *job.others]
        with open_part(job.path, part, job.columns, keep, job.batch_rows) as source:
            return _packed(job.scored(scores, source.batches, part.first_row), job.schema)
    except FileNotFoundError as error:
        error.add_note("every worker must find the file at this path: put it on a shared disk")
        raise


def _packed(batches: Iterable[Any], schema: Any) -> Any:
    """Return batches as the bytes of an Arrow stream: only the rows themselves, however they were cut."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()
