"""Small streams for tests of continual learning: of the top level of a module, so that workers find them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bimetal.continual.learners.learner import Learner, Method, Setting, Uses
from bimetal.continual.sequence import Sequence, Task

N_IN = 24


def patterns(seed: int, split: str, n_rows: int, number: int) -> Task:
    """Two classes of noisy patterns, which differ from task to task, learned in a few steps."""
    rng = np.random.default_rng((seed, number, split == "validation"))
    centre = rng.integers(0, 256, (2, N_IN))
    y = rng.integers(0, 2, n_rows + 60)
    y[:2] = y[-2:] = (0, 1)
    x = np.clip(centre[y] + rng.normal(0, 60, (len(y), N_IN)), 0, 255).astype(np.uint8)
    return Task(f"patterns {number}", x[:n_rows], y[:n_rows], x[n_rows:], y[n_rows:])


@dataclass(frozen=True)
class PatternMaker:
    """Makes `patterns`; asked for a part that it forbids, it raises."""

    name: str = "patterns"
    title: str = "noisy patterns"
    needs: tuple[str, ...] = ()
    n_tasks: int = 3
    most_tasks: int | None = None
    metric: Any = "accuracy"
    forbidden: str = ""

    def make(
        self,
        seed: int = 0,
        *,
        split: str = "test",
        n_tasks: int | None = None,
        n_rows: int | None = None,
    ) -> Sequence:
        assert split != self.forbidden, f"the {split} stream was asked for"
        make = partial(patterns, seed, split, n_rows or 100)
        return Sequence(
            self.name,
            self.title,
            n_tasks or self.n_tasks,
            N_IN,
            2,
            "domain",
            make,
            "made up",
            self.metric,
        )


PATTERNS = PatternMaker()


@dataclass
class Spy(Learner):
    """Notes all that it is told; answers by the sign of a sum of what it saw."""

    setting: Setting
    told: list[tuple[str, Any]] = field(default_factory=list)
    seen: Tensor = field(default_factory=lambda: torch.zeros(2, N_IN))

    def observe(self, x: Tensor, y: Tensor) -> None:
        self.told.append(("observe", (x.clone(), y.clone())))
        for c in (0, 1):
            self.seen[c] += x[y == c].float().sum(0) / 1e4

    def begin_task(self, number: int) -> None:
        self.told.append(("begin", number))

    def end_task(self, task: Task) -> None:
        self.told.append(("end", task.name))

    def scores(self, x: Tensor, task: int | None = None) -> Tensor:
        self.told.append(("scores", task))
        return x.float() @ self.seen.T

    def state_bytes(self) -> int:
        return 4 * self.seen.numel() + len(self.told)


NOTHING = Uses()


def spy_method(uses: Uses = NOTHING, found: list[Spy] | None = None, **changes: Any) -> Method:
    """Return a method whose learner is a `Spy`; those that were made are put into `found`."""
    make: Callable[[Setting, float], Learner] = partial(_spy, found)
    return replace(Method("spy", "a spy", "nobody", uses, (0.0,), "", make), **changes)


def _spy(found: list[Spy] | None, setting: Setting, strength: float) -> Spy:
    learner = Spy(setting)
    if found is not None:
        found.append(learner)
    return learner
