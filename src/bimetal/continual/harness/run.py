"""One learner, one sequence: task after task is learned, and what is still known is asked after each.

All methods are shown the same rows in the same order, a function of the seed and the number of the
task; a method that does not use boundaries or task ids is never told them. What is measured of a run
is a `Run`, which can be written as JSON; Ctrl-C keeps what the finished tasks have given.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Items
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bimetal.continual.harness.asking import Lowered, TestRows, agreement, mark
from bimetal.continual.harness.record import Run
from bimetal.continual.learners.learner import Method, Setting
from bimetal.continual.sequence import Sequence, Task
from bimetal.errors import DataError, ProgramError
from bimetal.program import Program

__all__ = [
    "Checks",
    "Evaluates",
    "Run",
    "batches",
    "check_evaluates",
    "method_named",
    "middle",
    "run",
]

Evaluates = Literal["seen", "all", "last"] | int
"""What is asked after a task: all tasks so far, all there are, only the task itself, or the tasks so far
after every k-th one. After the last task all tasks are asked about in any case."""

Checks = Literal["last", "each", "never"]
"""After which tasks Programs are held against the net."""

Floats = NDArray[np.float64]
EVERY = 10  # steps between two words of progress


def run(
    sequence: Sequence,
    method: Method | str,
    strength: float | None = None,
    *,
    evaluates: Evaluates = "seen",
    checks: Checks = "last",
    progress: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Run:
    """Let a method learn a sequence, and measure it.

    Rows of a task come in batches of nearly equal size, `batch_size` at most, in an order that is drawn
    anew for each pass from the seed and the number of the task, and from nothing else.

    Parameters
    ----------
    sequence : Sequence
        The tasks.
    method : Method or str
        The method, or its name in `METHODS`.
    strength : float, optional
        Of the method; by default the middle one of those that it lists.
    evaluates : {"seen", "all", "last"} or int, default "seen"
        What is asked after each task; an int k: all tasks so far after every k-th one.
    checks : {"last", "each", "never"}, default "last"
        After which tasks its Programs are held against the net.
    progress : callable, optional
        Takes a line on what is being done.
    **options
        Of `Setting`: hidden, learning_rate, batch_size, n_epochs, seed.

    Returns
    -------
    Run
        After Ctrl-C, of the tasks that were finished.

    Raises
    ------
    DataError
        When an argument does not fit.
    TrainingError
        When the loss is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> def task(number):
    ...     x = rng.integers(0, 2, (40, 8), dtype=np.uint8)
    ...     return Task(f"column {number}", x, x[:, number].astype(int), x, x[:, number].astype(int))
    >>> bits = Sequence("bits", "Bits", 2, 8, 2, "domain", task)
    >>> run(bits, "row_plain", hidden=(16,), n_epochs=2).scores.shape
    (2, 2)
    """
    method = method_named(method) if isinstance(method, str) else method
    check_evaluates(evaluates)
    if checks not in get_args(Checks):
        raise DataError(f"checks must be one of {get_args(Checks)}, got {checks!r}")
    setting = method.setting(sequence, **options)
    value = middle(method) if strength is None else float(strength)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        work = _Work(sequence, method, value, setting, evaluates, progress)
        return work.go(checks)


def method_named(name: str) -> Method:
    """Return the method of this name.

    Raises
    ------
    DataError
        When there is none; the message tells the nearest, and all of them.

    Examples
    --------
    >>> method_named("plain").title
    'plain BNN, a norm for each task'
    """
    from bimetal.continual.learners.methods import (
        METHODS,  # they import learners; we are imported by some
    )
    from bimetal.datasets.files import named

    return named(name, tuple(METHODS.values()), "method")


def middle(method: Method) -> float:
    """Return the strength that is taken where none is given and nothing is tuned.

    Examples
    --------
    >>> middle(method_named("metaplastic")) in method_named("metaplastic").strengths
    True
    """
    return method.strengths[len(method.strengths) // 2]


def batches(n_rows: int, setting: Setting, number: int) -> Iterator[Tensor]:
    """Yield the places of the rows of each step of a task.

    Examples
    --------
    >>> [len(places) for places in batches(250, Setting(1, 2, n_epochs=1), 0)]
    [84, 83, 83]
    """
    rng = np.random.default_rng((setting.seed, number))
    n_parts = -(-n_rows // setting.batch_size)
    for _ in range(setting.n_epochs):
        for part in np.array_split(rng.permutation(n_rows), n_parts):
            yield torch.from_numpy(part)


class _Work:
    """A run under way: what finished tasks have given stays, whatever ends it."""

    def __init__(
        self,
        sequence: Sequence,
        method: Method,
        strength: float,
        setting: Setting,
        evaluates: Evaluates,
        progress: Callable[[str], None],
    ) -> None:
        self.sequence, self.method, self.strength = sequence, method, strength
        self.setting, self.evaluates, self.say = setting, evaluates, progress
        self.tests = TestRows(sequence)
        self.learner = method.make(setting, strength)
        self.rows: list[Floats] = []
        self.names: list[str] = []
        self.seconds: list[float] = []
        self.checks: list[int | None] = []
        self.insights: list[Mapping[str, float]] = []
        self.n_steps = self.n_finished_steps = self.state_bytes = 0
        self.lowered: tuple[Lowered, ...] = ()
        self.programs: tuple[Program, ...] = ()
        self.not_lowered = ""
        self.baseline = np.full(sequence.n_tasks, np.nan)
        self.was_interrupted = False

    def go(self, checks: Checks) -> Run:
        """Learn all tasks; Ctrl-C ends it."""
        n = self.sequence.n_tasks
        try:
            if self.evaluates == "all":
                self.say(f"{self._name}: before anything is learned")
                self.baseline = self._asked(list(range(n)))
            for number in range(n):
                self._task(number)
                if checks == "each" or (checks == "last" and number == n - 1):
                    self.checks.append(self._packed(range(number + 1)))
        except KeyboardInterrupt:
            self.was_interrupted = True
        return self._measured()

    @property
    def _name(self) -> str:
        return f"{self.method.name}, seed {self.setting.seed}"

    def _task(self, number: int) -> None:
        """Learn a task and ask what is known after it; an interrupted task leaves nothing."""
        place = f"task {number + 1} of {self.sequence.n_tasks}"
        self.say(f"{self._name}: {place}")
        task = self.sequence.task(number)
        seconds = self._learned(number, task)
        self.tests.of(number, task)
        self.say(f"{self._name}: {place}, asking")
        scores = self._asked(_asked_after(number, self.sequence.n_tasks, self.evaluates))
        insight, size = dict(self.learner.insight()), self.learner.state_bytes()
        # Together, so that Ctrl-C finds all of a task or nothing.
        self.state_bytes, self.n_finished_steps = max(self.state_bytes, size), self.n_steps
        self.names.append(task.name)
        self.seconds.append(seconds)
        self.insights.append(insight)
        self.rows.append(scores)

    def _learned(self, number: int, task: Task) -> float:
        """Show a task to the learner and return the CPU seconds that it took."""
        x, y = torch.tensor(task.x_train), torch.tensor(task.y_train)
        n_steps = self.setting.n_epochs * -(-len(x) // self.setting.batch_size)
        place = f"task {number + 1} of {self.sequence.n_tasks}"
        start = time.process_time()
        if self.method.uses.boundaries:
            self.learner.begin_task(number)
        for step, places in enumerate(batches(len(x), self.setting, number)):
            if step % EVERY == 0:
                self.say(f"{self._name}: {place}, step {step + 1:,} of {n_steps:,}")
            self.learner.observe(x[places], y[places])
            self.n_steps += 1
        if self.method.uses.boundaries:
            self.learner.end_task(task)
        return time.process_time() - start

    def _asked(self, numbers: Items[int]) -> Floats:
        """Return a row of R: how good the answers for these tasks are, NaN for the others."""
        row = np.full(self.sequence.n_tasks, np.nan)
        known: dict[object, float] = {}  # pieces of a stream share their test rows
        for number in numbers:
            x, y, key = self.tests[number]
            told = number if self.method.uses.task_ids else None
            if (key, told) not in known:
                known[key, told] = self._marked(number, self.learner.scores(x, told), y)
            row[number] = known[key, told]
        return row

    def _marked(self, number: int, scores: Tensor, y: NDArray[np.int64]) -> float:
        try:
            return mark(scores, y, self.sequence.metric)
        except DataError as error:
            raise DataError(f"task {number + 1} of {self.sequence.name!r}: {error}") from error

    def _packed(self, tasks: range) -> int | None:
        """Hold the Programs against the net; return how many rows differ, None where there is none."""
        self.say(f"{self._name}: the same rows, answered by its Programs")
        try:
            programs = tuple(self.learner.programs())
            told = self.method.uses.task_ids
            self.lowered = (
                agreement(self.learner, programs, self.tests, tasks, told=told) if programs else ()
            )
            self.programs, self.not_lowered = (
                programs,
                "" if programs else "its weights are no bits",
            )
        except ProgramError as error:
            self.lowered, self.programs, self.not_lowered = (), (), str(error)
        return sum(program.n_differ for program in self.lowered) if self.lowered else None

    def _measured(self) -> Run:
        n = len(self.rows)  # the row of a task is the last of what is kept of it
        return Run(
            sequence=self.sequence.values(),
            method=self.method.name,
            strength=self.strength,
            setting=self.setting,
            scores=np.array(self.rows).reshape(n, self.sequence.n_tasks),
            baseline=self.baseline,
            task_names=tuple(self.names[:n]),
            task_seconds=tuple(self.seconds[:n]),
            n_steps=self.n_finished_steps,
            state_bytes=self.state_bytes,
            insights=tuple(self.insights[:n]),
            lowered=self.lowered,
            checks=tuple(self.checks),
            not_lowered=self.not_lowered,
            was_interrupted=self.was_interrupted,
            programs=self.programs,
        )


def _asked_after(number: int, n_tasks: int, evaluates: Evaluates) -> list[int]:
    if evaluates == "all" or number == n_tasks - 1:
        return list(range(n_tasks))
    is_due = evaluates == "seen" or (isinstance(evaluates, int) and (number + 1) % evaluates == 0)
    return list(range(number + 1)) if is_due else [number]


def check_evaluates(evaluates: Evaluates) -> None:
    """Raise `DataError` unless this says what is asked after each task."""
    is_every = isinstance(evaluates, int) and not isinstance(evaluates, bool) and evaluates >= 1
    if not is_every and evaluates not in ("seen", "all", "last"):
        raise DataError(
            f"evaluates must be 'seen', 'all', 'last' or a number of tasks from 1, got {evaluates!r}"
        )
