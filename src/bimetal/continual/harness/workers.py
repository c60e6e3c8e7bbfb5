"""Jobs side by side in processes of their own, and an end by Ctrl-C that loses nothing finished.

A job that is stopped may still hand in what it has: its `progress` raises KeyboardInterrupt, and what
it returns after that is a result like any other. All jobs compute on one thread, whatever the number
of workers, so that their number changes nothing in any result.
"""

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import TypeVar

import torch

from bimetal.errors import DataError, TrainingError

__all__ = ["Progress", "done", "one_thread"]

Progress = Callable[[str], None]
Job = TypeVar("Job")
Result = TypeVar("Result")
_stop: Event | None = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread inside the block: the order of its sums is part of a result."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def done(
    function: Callable[[Job, Progress], Result],
    jobs: Sequence[Job],
    n_workers: int = 1,
    progress: Progress = lambda text: None,
) -> Iterator[tuple[int, Result]]:
    """Yield the number of each job and its result, as they are done.

    Parameters
    ----------
    function : callable
        (job, progress) → result; for several workers it and the jobs must be of the top level of a
        module, so that another process can import them.
    jobs : sequence
        What is to be done.
    n_workers : int, default 1
        Processes; 1 stays in this one.
    progress : callable, optional
        Takes a line on what is being done: from the job itself where there is one worker.

    Raises
    ------
    DataError
        When `n_workers` is below 1, or a job cannot be sent to another process.
    TrainingError
        When a worker was killed (by the system, for its memory, say).
    KeyboardInterrupt
        After Ctrl-C, once the jobs under way have handed in what they have.

    Examples
    --------
    >>> list(done(lambda job, progress: job + 1, [1, 2]))
    [(0, 2), (1, 3)]
    """
    if n_workers < 1:
        raise DataError(f"workers must be 1 or more, got {n_workers}")
    if n_workers == 1 or len(jobs) < 2:
        with one_thread():
            for number, job in enumerate(jobs):
                yield number, function(job, progress)
        return
    _require_mobile(function, jobs)
    yield from _side_by_side(function, jobs, n_workers, progress)


def _side_by_side(
    function: Callable[[Job, Progress], Result],
    jobs: Sequence[Job],
    n_workers: int,
    progress: Progress,
) -> Iterator[tuple[int, Result]]:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    stop = context.Event()
    pool = ProcessPoolExecutor(
        min(n_workers, len(jobs)), context, initializer=_begin, initargs=(stop,)
    )
    left = {pool.submit(_work, function, job): number for number, job in enumerate(jobs)}
    try:
        yield from _collected(left, progress)
    except KeyboardInterrupt:
        stop.set()
        _cancel(left)
        progress("stopping: the runs under way hand in what they have")
        yield from _collected(left, progress)
        raise
    except BrokenProcessPool as error:
        raise TrainingError(
            "a worker was killed, most likely for want of memory; take fewer workers"
        ) from error
    finally:
        stop.set()
        _cancel(left)
        pool.shutdown()


def _collected(
    left: dict["Future[Result | None]", int], progress: Progress
) -> Iterator[tuple[int, Result]]:
    """Yield results as they come, and forget the jobs they are of."""
    n = len(left)
    for future in as_completed(list(left)):
        result = future.result()
        if result is not None:
            yield left[future], result
        del left[future]
        progress(f"{n - len(left)} of {n} done")


def _cancel(left: dict["Future[Result | None]", int]) -> None:
    """Let jobs go that have not begun."""
    for future in [f for f in left if f.cancel()]:
        del left[future]


def _begin(stop: Event) -> None:
    """Make a worker of this process: Ctrl-C is the business of the one that started it."""
    global _stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _stop = stop


def _work(function: Callable[[Job, Progress], Result], job: Job) -> Result | None:
    try:
        return function(job, _check_stop)
    except KeyboardInterrupt:
        return None


def _check_stop(text: str) -> None:
    del text
    if _stop is not None and _stop.is_set():
        raise KeyboardInterrupt


def _require_mobile(function: object, jobs: Sequence[object]) -> None:
    try:
        pickle.dumps((function, *jobs))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise DataError(
            f"with several workers, methods and sequences must be made by functions of the top level of a "
            f"module ({error}); take workers=1, or move them there"
        ) from error
