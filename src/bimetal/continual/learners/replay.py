"""Experience replay: a few rows of the past are kept and shown again beside new ones.

The memory is a reservoir (Vitter 1985, ACM TOMS 11:37): whatever the length of the stream, each row of it is
in memory with the same probability, and nothing is known of tasks. What it costs is that rows are kept,
which a regulator may not allow.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bimetal.continual.learners.gradient import GradientLearner, tensor_bytes
from bimetal.continual.learners.learner import Method, Setting, Uses
from bimetal.continual.learners.metaplastic import ADAPTIVITY
from bimetal.continual.learners.rivals import adam, row_net_of
from bimetal.continual.sequence import Task
from bimetal.errors import DataError

__all__ = ["REPLAY", "Memory", "ReplayLearner", "Reservoir", "make_replay"]


class Memory(Protocol):
    """Rows of the past."""

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """Return as many rows and classes, no row twice, or all if there are no more."""
        ...

    def add(self, x: Tensor, y: Tensor) -> None:
        """Look at rows that were shown."""
        ...

    def end_task(self, task: Task) -> None:
        """Be told that a task has ended, if the method uses boundaries."""
        ...

    def state_bytes(self) -> int:
        """Return the bytes that are kept."""
        ...


class Reservoir:
    """A sample of fixed size of all rows seen so far, each with equal probability.

    The t-th row of the stream is kept in place of one drawn at random with probability
    capacity / t (algorithm R). How the stream is cut into pieces makes no difference.

    Parameters
    ----------
    capacity : int, default 200
        Rows.
    seed : int, default 0
        Of what is drawn.

    Raises
    ------
    DataError
        When the capacity is below 1.

    Examples
    --------
    >>> reservoir = Reservoir(2)
    >>> reservoir.add(torch.zeros(5, 3, dtype=torch.uint8), torch.arange(5))
    >>> len(reservoir), reservoir.n_seen
    (2, 5)
    """

    def __init__(self, capacity: int = 200, seed: int = 0) -> None:
        if capacity < 1:
            raise DataError(f"a reservoir holds one row at least, got a capacity of {capacity}")
        self.capacity, self.n_seen = capacity, 0
        self._x = torch.zeros(0, 0, dtype=torch.uint8)
        self._y = torch.zeros(0, dtype=torch.int64)
        self._keeps = np.random.default_rng((seed, 0))
        self._draws = np.random.default_rng((seed, 1))

    def __len__(self) -> int:
        return min(self.n_seen, self.capacity)

    @property
    def rows(self) -> tuple[Tensor, Tensor]:
        """Rows and classes that are kept."""
        return self._x[: len(self)], self._y[: len(self)]

    def add(self, x: Tensor, y: Tensor) -> None:
        """Let rows pass by, and keep some."""
        if not self.n_seen:
            self._x = torch.zeros(self.capacity, x.shape[1], dtype=x.dtype)
            self._y = torch.zeros(self.capacity, dtype=y.dtype)
        t = self.n_seen + np.arange(1, len(x) + 1)
        places = np.where(t <= self.capacity, t - 1, (self._keeps.random(len(x)) * t).astype(int))
        for i in np.flatnonzero(places < self.capacity):
            self._x[places[i]], self._y[places[i]] = x[i], y[i]
        self.n_seen += len(x)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """Return as many rows and classes, no row twice, or all if there are no more."""
        places = torch.from_numpy(self._draws.permutation(len(self))[:n])
        return self._x[places], self._y[places]

    def end_task(self, task: Task) -> None:
        """Do nothing: a reservoir knows no tasks."""
        del task

    def state_bytes(self) -> int:
        """Return the bytes of rows and classes."""
        return tensor_bytes(self._x) + tensor_bytes(self._y)


class ReplayLearner(GradientLearner):
    """A net that is shown as many rows of a memory as new ones at each step.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    net : torch.nn.Sequential
        As of `GradientLearner`.
    make_optimizer : callable
        Net → optimizer.
    memory : Memory
        Rows of the past.
    """

    def __init__(
        self,
        setting: Setting,
        net: nn.Sequential,
        make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        memory: Memory,
    ) -> None:
        super().__init__(setting, net, make_optimizer)
        self.memory = memory

    def observe(self, x: Tensor, y: Tensor) -> None:
        """Learn from new rows and as many of the memory: one step."""
        old_x, old_y = self.memory.draw(len(x))
        if len(old_x):
            super().observe(torch.cat([x, old_x]), torch.cat([y, old_y]))
        else:
            super().observe(x, y)
        self.memory.add(x, y)

    def end_task(self, task: Task) -> None:
        """Pass it on to the memory."""
        self.memory.end_task(task)

    def state_bytes(self) -> int:
        """Return the bytes of the net, its optimizer and the memory."""
        return super().state_bytes() + self.memory.state_bytes()


def make_replay(setting: Setting, strength: float) -> ReplayLearner:
    """Return our net with a reservoir and Adam.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    strength : float
        Rows of the reservoir.

    Examples
    --------
    >>> make_replay(Setting(4, 2, hidden=(8,)), 200).memory.capacity
    200
    """
    memory = Reservoir(int(strength), setting.seed)
    return ReplayLearner(setting, row_net_of(setting), adam(setting, adaptivity=ADAPTIVITY), memory)


REPLAY = Method(
    name="replay",
    title="replay of 200 rows",
    source="Vitter 1985; Chaudhry et al. 2019",
    uses=Uses(stored_data=True),
    strengths=(200.0,),
    strength_name="rows",
    make=make_replay,
)
