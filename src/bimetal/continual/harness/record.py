"""What is known of one method on one sequence, with one strength and one seed: the `Run`.

It holds what was measured and all that is needed to measure it again, and goes through JSON unchanged.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.harness.asking import Lowered
from bimetal.continual.harness.matrix import AccuracyMatrix
from bimetal.continual.learners.learner import Setting
from bimetal.errors import DataError
from bimetal.program import Program

__all__ = ["Run"]

Floats = NDArray[np.float64]
TUPLES = ("task_names", "task_seconds", "insights", "checks")


@dataclass(frozen=True, eq=False)
class Run:
    """What was measured of one method, with one strength and one seed, on one sequence.

    Attributes
    ----------
    sequence : mapping
        What describes the sequence (`Sequence.values`).
    method : str
        Name of the method.
    strength : float
        Its free number.
    setting : Setting
        What all methods have in common; the seed is in it.
    scores : numpy.ndarray
        R (n_finished, n_tasks): how good the answers are for the test rows of task j after task i was
        learned; NaN where nothing was asked.
    baseline : numpy.ndarray
        (n_tasks,): the same before anything was learned.
    task_names : tuple of str
        Of the tasks that were learned.
    task_seconds : tuple of float
        CPU seconds of learning each of them: steps and what is done at boundaries, nothing else.
    n_steps : int
        Steps of all of them.
    state_bytes : int
        The most that had to be kept to go on learning.
    insights : tuple of mapping
        What the learner said of itself after each task.
    lowered : tuple of Lowered
        Its Programs at the end, each held against the net.
    checks : tuple of int or None
        Rows that its Programs answered otherwise: after each task, or after the last alone; None where
        it has none.
    not_lowered : str
        Why there is no Program, if so.
    was_interrupted : bool
        Whether Ctrl-C ended it before its last task.
    programs : tuple of Program
        Those of `lowered`; they are not part of the JSON.
    """

    sequence: Mapping[str, Any]
    method: str
    strength: float
    setting: Setting
    scores: Floats
    baseline: Floats
    task_names: tuple[str, ...] = ()
    task_seconds: tuple[float, ...] = ()
    n_steps: int = 0
    state_bytes: int = 0
    insights: tuple[Mapping[str, float], ...] = ()
    lowered: tuple[Lowered, ...] = ()
    checks: tuple[int | None, ...] = ()
    not_lowered: str = ""
    was_interrupted: bool = False
    programs: tuple[Program, ...] = field(default=(), repr=False)

    @property
    def matrix(self) -> AccuracyMatrix:
        """R of the tasks that were learned, with its measures.

        Raises
        ------
        DataError
            When none was.
        """
        n = self.n_finished
        baseline = None if np.isnan(self.baseline).all() else self.baseline[:n]
        return AccuracyMatrix(
            self.scores[:, :n], baseline, self.task_names, self.sequence["metric"]
        )

    @property
    def n_finished(self) -> int:
        """Tasks that were learned."""
        return len(self.scores)

    @property
    def is_whole(self) -> bool:
        """Whether all tasks were learned."""
        return self.n_finished == int(self.sequence["n_tasks"])

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of learning, all tasks."""
        return float(sum(self.task_seconds))

    @property
    def step_seconds(self) -> float:
        """CPU seconds of a step."""
        return self.cpu_seconds / max(1, self.n_steps)

    @property
    def n_differ(self) -> int | None:
        """Test rows that a Program answers otherwise than the net; None where there is no Program."""
        return sum(p.n_differ for p in self.lowered) if self.lowered else None

    @property
    def n_packed_bytes(self) -> int | None:
        """Bytes of all its Programs; None where there is none."""
        return sum(p.n_bytes for p in self.lowered) if self.lowered else None

    def values(self) -> dict[str, Any]:
        """Return everything but the Programs themselves as JSON values."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "programs"}
        return kept | {
            "sequence": dict(self.sequence),
            "setting": asdict(self.setting),
            "scores": [_numbers(row) for row in self.scores],
            "baseline": _numbers(self.baseline),
            "insights": [dict(said) for said in self.insights],
            "lowered": [asdict(program) for program in self.lowered],
            "task_names": list(self.task_names),
            "task_seconds": list(self.task_seconds),
            "checks": list(self.checks),
        }

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> "Run":
        """Return the run that `values` was taken of, without its Programs.

        Raises
        ------
        DataError
            When something is missing.
        """
        try:
            n_tasks = int(values["sequence"]["n_tasks"])
            setting = {**values["setting"], "hidden": tuple(values["setting"]["hidden"])}
            return Run(
                **{
                    **values,
                    "setting": Setting(**setting),
                    "scores": _floats(values["scores"]).reshape(-1, n_tasks),
                    "baseline": _floats(values["baseline"]),
                    "lowered": tuple(Lowered(**program) for program in values["lowered"]),
                    **{name: tuple(values[name]) for name in TUPLES},
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"this is no run as bimetal writes it ({type(error).__name__}: {error})"
            ) from error


def _numbers(row: Floats) -> list[float | None]:
    """Return numbers as JSON has them: None for NaN."""
    return [None if np.isnan(v) else float(v) for v in row]


def _floats(values: Any) -> Floats:
    return np.array(values, dtype=np.float64)
