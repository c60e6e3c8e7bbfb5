"""Joint training, the ceiling: every row of every task is kept and shown again.

No method of continual learning is allowed this; it tells what the net could know if it forgot nothing.
It takes as many steps a task as every other method. A step shows the new rows and as many drawn
from all rows of all earlier tasks, which is replay with a memory that has no bound. To draw the whole
batch from the union instead would cost half, but leave the last of T tasks with a T-th of its rows:
no ceiling for what was learned last.
"""

import torch
from torch import Tensor

from bimetal.continual.learners.gradient import tensor_bytes
from bimetal.continual.learners.learner import Method, Setting, Uses
from bimetal.continual.learners.metaplastic import ADAPTIVITY
from bimetal.continual.learners.replay import ReplayLearner
from bimetal.continual.learners.rivals import adam, row_net_of
from bimetal.continual.sequence import Task

__all__ = ["JOINT", "Archive", "make_joint"]


class Archive:
    """All rows of all tasks that have ended; each is as likely to be drawn as any other.

    Parameters
    ----------
    seed : int, default 0
        Of what is drawn.

    Examples
    --------
    >>> len(Archive())
    0
    """

    def __init__(self, seed: int = 0) -> None:
        self._x = torch.zeros(0, 0, dtype=torch.uint8)
        self._y = torch.zeros(0, dtype=torch.int64)
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self._y)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Do nothing: rows come whole, and once, at the end of their task."""
        del x, y

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """Return as many rows and classes, or all if there are no more."""
        if n >= len(self):
            return self._x, self._y
        places = torch.randint(len(self), (n,), generator=self._generator)
        return self._x[places], self._y[places]

    def end_task(self, task: Task) -> None:
        """Keep the rows of a task."""
        x, y = torch.tensor(task.x_train), torch.tensor(task.y_train)
        self._x = torch.cat([self._x, x]) if len(self) else x
        self._y = torch.cat([self._y, y])

    def state_bytes(self) -> int:
        """Return the bytes of rows and classes."""
        return tensor_bytes(self._x) + tensor_bytes(self._y)


def make_joint(setting: Setting, strength: float) -> ReplayLearner:
    """Return our net with an `Archive` and Adam.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    strength : float
        Nothing: there is nothing to tune.

    Examples
    --------
    >>> len(make_joint(Setting(4, 2, hidden=(8,)), 0.0).memory)
    0
    """
    del strength
    return ReplayLearner(
        setting, row_net_of(setting), adam(setting, adaptivity=ADAPTIVITY), Archive(setting.seed)
    )


JOINT = Method(
    name="joint",
    title="joint training, the ceiling",
    source="",
    uses=Uses(boundaries=True, stored_data=True),
    strengths=(0.0,),
    strength_name="",
    make=make_joint,
)
