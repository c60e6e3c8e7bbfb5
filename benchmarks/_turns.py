"""Timing by turns: A B C A B C ..., so that whatever disturbs the machine disturbs all alike."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Calls = Mapping[str, Callable[[], Any]]
TURN = 0.05  # seconds a turn lasts at least


def pin(n_threads: int) -> list[int]:
    """Keep the process, and all threads it will start, on the last `n_threads` cores."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0))[-n_threads:]
    os.sched_setaffinity(0, set(cores))
    return cores


def take_turns(calls: Calls, n_rounds: int, turn: float = TURN) -> dict[str, float]:
    """Return the median seconds of a call of each, over all calls of all rounds.

    A turn is a pause, in which the threads of the one before go to sleep, a call that is not timed
    (none where a call takes a second), and as many timed calls as last `turn` seconds, at least one.
    """
    n_calls, is_long = {}, {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        taken = time.perf_counter() - start
        n_calls[name], is_long[name] = max(1, min(1000, int(turn / taken))), taken > 1
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(n_rounds):
        for name, call in calls.items():
            time.sleep(0.01)
            if not is_long[name]:
                call()
            for _ in range(n_calls[name]):
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: float(np.median(taken)) for name, taken in times.items()}
