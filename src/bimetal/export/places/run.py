"""What one run on a simulated chip gives, before it is told to whoever asked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.export.target import Outcome

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """Points and answers of each row, and what they cost.

    Attributes
    ----------
    points, answers : numpy.ndarray
        int32 (n_rows, n_points); float32 (n_rows, n_outputs), or None where C has no float64.
    instructions, cycles : numpy.ndarray or None
        Of `NAME_points`, for each row, where the simulator knows them.
    stack : int
        The most bytes of stack that were seen; −1 where nobody looked.
    """

    points: NDArray[np.int32]
    answers: NDArray[np.float32] | None = None
    instructions: NDArray[np.int64] | None = None
    cycles: NDArray[np.int64] | None = None
    stack: int = -1

    @property
    def steps(self) -> NDArray[np.int64]:
        """Cycles where they are known, else instructions."""
        steps = self.instructions if self.cycles is None else self.cycles
        assert steps is not None  # every simulator counts one of the two
        return steps

    def outcome(self) -> Outcome:
        """Return it as a place tells it."""
        notes: dict[str, Any] = {} if self.stack < 0 else {"stack": self.stack}
        mean = None
        if self.instructions is not None:
            mean = float(self.instructions.mean())
            notes |= _spread("instructions", self.instructions)
        if self.cycles is not None:
            notes |= {"cycles": float(self.cycles.mean()), **_spread("cycles", self.cycles)}
        return Outcome(self.points, self.answers, mean, notes)


def _spread(name: str, counts: NDArray[np.int64]) -> dict[str, int]:
    return {f"{name}_min": int(counts.min()), f"{name}_max": int(counts.max())}
