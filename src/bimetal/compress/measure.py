"""Accuracy, bytes and latency of candidates, alike for all of them.

Latencies are taken by turns (A B C A B C ...), so that whatever disturbs the machine disturbs all
alike, on one thread, and their medians are told.
"""

import re
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bimetal.compress.data import CompressData, Part
from bimetal.compress.deploy import Deployed
from bimetal.compress.lesson import answers
from bimetal.compress.result import Candidate, Latency, Result
from bimetal.compress.runtimes import Call, Floats

__all__ = ["Measured", "judged", "slug", "take_turns", "with_latencies"]

N_AT_ONCE = 1024
TURN_SECONDS = 0.02
N_ROUNDS = 7

Measured = tuple[Result, Deployed]
Key = TypeVar("Key", bound=Hashable)


def judged(candidate: Candidate, data: CompressData, folder: Path) -> Measured:
    """Write the file of a candidate and let what is in it answer the validation and the test rows."""
    deployed = candidate.deploy(candidate.model, folder / slug(candidate.name), data)
    valid, test = (_classes(deployed, part) for part in (data.valid, data.test))
    n_differ = None
    if not deployed.is_torch:
        ours = answers(candidate.model, data, data.test.x, candidate.reads).argmax(1).numpy()
        n_differ = int((ours != test).sum())
    result = Result(
        candidate.name,
        candidate.family,
        "; ".join(text for text in (candidate.note, deployed.remark) if text),
        accuracy=float((test == data.test.y.numpy()).mean()),
        valid_accuracy=float((valid == data.valid.y.numpy()).mean()),
        n_test=len(test),
        n_bytes=deployed.path.stat().st_size,
        stored=deployed.stored,
        raw_bytes=deployed.raw_bytes,
        seconds=candidate.seconds,
        n_differ=n_differ,
        file=str(deployed.path),
    )
    return result, deployed


def with_latencies(
    measured: Sequence[Measured], data: CompressData, batch_size: int, n_rounds: int = N_ROUNDS
) -> list[Result]:
    """Return the results with the latencies of one row and of a batch of test rows, on one thread."""
    calls: dict[tuple[int, str, int], Call] = {}
    sizes = (1, min(batch_size, len(data.test.y)))
    with _one_thread():
        for i, (_, deployed) in enumerate(measured):
            for size in sizes:
                rows = deployed.prepare(data.test.x[:size])
                calls |= {(i, name, size): start(rows) for name, start in deployed.starts.items()}
        taken = take_turns(calls, n_rounds)
    return [
        replace(result, latency={
            name: Latency(*(1e6 * taken[i, name, size] / size for size in sizes))
            for name in deployed.starts
        })
        for i, (result, deployed) in enumerate(measured)
    ]  # fmt: skip


def take_turns(calls: Mapping[Key, Callable[[], object]], n_rounds: int) -> dict[Key, float]:
    """Return the median seconds of a call of each, over all calls of all rounds.

    Each turn is one call that is not timed, and as many timed ones as fill it, at least one.
    """
    times: dict[Key, list[float]] = {key: [] for key in calls}
    for _ in range(n_rounds):
        for key, call in calls.items():
            call()
            end = time.perf_counter() + TURN_SECONDS
            while True:
                start = time.perf_counter()
                call()
                stop = time.perf_counter()
                times[key].append(stop - start)
                if stop > end:
                    break
    return {key: float(np.median(taken)) for key, taken in times.items()}


def slug(name: str) -> str:
    """Return a name as a file's.

    Examples
    --------
    >>> slug("pruned, 90 % + 8 bit")
    'pruned_90_8_bit'
    """
    return re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("._")


def _classes(deployed: Deployed, part: Part) -> NDArray[np.intp]:
    start = next(iter(deployed.starts.values()))
    parts = [deployed.prepare(x) for x in torch.split(part.x, N_AT_ONCE)]
    logits: list[Floats] = [np.array(start(x)()) for x in parts]
    return np.asarray(np.concatenate(logits).argmax(1))


@contextmanager
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
