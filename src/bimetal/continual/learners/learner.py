"""What every method of continual learning is to the harness: a learner that is shown rows.

A learner says what it uses besides the rows (`Uses`): boundaries between tasks, the number of a task
at test time, stored rows. The harness gives it that and nothing more, so a table can say who was told
what. To add a method, write one file and name its `Method` in `bimetal.continual.METHODS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bimetal.continual.sequence import Sequence, Task
from bimetal.errors import DataError
from bimetal.program import Program

__all__ = ["Learner", "Method", "Setting", "Uses"]


@dataclass(frozen=True)
class Uses:
    """What a method is told besides the rows themselves.

    Attributes
    ----------
    boundaries : bool
        That a task has ended (and its training rows, once, at that moment).
    task_ids : bool
        Which task a test row is from.
    stored_data : bool
        Rows of the past are kept.
    """

    boundaries: bool = False
    task_ids: bool = False
    stored_data: bool = False

    def words(self) -> str:
        """Return it as a table says it: "boundaries, task ids", or "nothing"."""
        names = [name.replace("_", " ") for name, is_used in vars(self).items() if is_used]
        return ", ".join(names) or "nothing"


@dataclass(frozen=True)
class Setting:
    """What all methods have in common in one comparison.

    Attributes
    ----------
    n_in, n_classes : int
        Of the sequence.
    hidden : tuple of int
        Units of each hidden layer.
    learning_rate : float
        Of latent weights.
    batch_size : int
        Rows of a step.
    n_epochs : int
        Passes over the training rows of a task.
    seed : int
        Of weights, of the order of rows, and of all else that is drawn.
    n_tasks : int
        Of the sequence; only methods that use task ids may look.
    """

    n_in: int
    n_classes: int
    hidden: tuple[int, ...] = (512, 512)
    learning_rate: float = 0.005
    batch_size: int = 100
    n_epochs: int = 3
    seed: int = 0
    n_tasks: int = 1

    def __post_init__(self) -> None:
        least = {"n_in": 1, "n_classes": 2, "batch_size": 1, "n_epochs": 1, "n_tasks": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise DataError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if not self.hidden or min(self.hidden) < 1:
            raise DataError(f"hidden must name one layer of one unit at least, got {self.hidden}")
        if not self.learning_rate > 0:
            raise DataError(f"learning_rate must be above 0, got {self.learning_rate}")


class Learner(ABC):
    """Something that learns row after row. Rows are uint8 tensors (n_rows, n_in), classes int64."""

    @abstractmethod
    def observe(self, x: Tensor, y: Tensor) -> None:
        """Learn from a few rows: one step."""

    def end_task(self, task: Task) -> None:
        """Be told that a task has ended; called only if the method uses boundaries."""
        del task

    def begin_task(self, number: int) -> None:
        """Be told which task begins; called only if the method uses boundaries."""
        del number

    @abstractmethod
    def scores(self, x: Tensor, task: int | None = None) -> Tensor:
        """Return float scores (n_rows, n_classes), the largest of the predicted class.

        Changes nothing in the learner, and the answer for a row does not depend on the other rows.
        `task` is given only if the method uses task ids.
        """

    @abstractmethod
    def state_bytes(self) -> int:
        """Return the bytes that must be kept to go on learning: weights, optimizer, memory, all of it."""

    def programs(self) -> list[Program]:
        """Return what is deployed: one Program, or one for each task if the method uses task ids.

        An empty list says that the learner has none (its weights are real).
        """
        return []

    def insight(self) -> dict[str, float]:
        """Return what a reader may want to see beside accuracies ("frozen share", say)."""
        return {}


@dataclass(frozen=True)
class Method:
    """A method of continual learning as tables name it.

    Attributes
    ----------
    name, title : str
        Of the command line, and of tables.
    source : str
        The paper.
    uses : Uses
        What it is told.
    strengths : tuple of float
        What is tried for its one free number on a validation stream: equally many for all methods that
        have one. A single entry says that there is nothing to tune.
    strength_name : str
        What the number is ("lambda", "m", ...).
    make : callable
        (Setting, strength) → `Learner`.
    """

    name: str
    title: str
    source: str
    uses: Uses
    strengths: tuple[float, ...]
    strength_name: str
    make: Callable[[Setting, float], Learner]

    def setting(self, sequence: Sequence, **options: Any) -> Setting:
        """Return the `Setting` of this method for a sequence."""
        return Setting(
            n_in=sequence.n_in, n_classes=sequence.n_classes, n_tasks=sequence.n_tasks, **options
        )
