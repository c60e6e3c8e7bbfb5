"""Choosing the strength of a method on a stream that no table is made on.

Every method that has a strength gets the same chance: the same number of candidates, the same seeds, the
same number of tasks, and the validation stream of a sequence: other permutations, and training rows
that were held out in place of test rows.
"""

import math
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Items
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from bimetal.continual.harness.run import Run, method_named, run
from bimetal.continual.learners.learner import Method
from bimetal.continual.sequence import Sequence
from bimetal.errors import DataError, TrainingError

__all__ = ["Maker", "Trial", "Tuning", "best_of", "trial_of", "tune"]

VALIDATION = "validation"


class Maker(Protocol):
    """What makes a sequence: see `bimetal.continual.sequences.SequenceMaker`."""

    @property
    def name(self) -> str:
        """Name of the sequence."""
        ...

    @property
    def make(self) -> Callable[..., Sequence]:
        """(seed, split=, n_tasks=, n_rows=) → `Sequence`."""
        ...


@dataclass(frozen=True)
class Trial:
    """One strength and one seed, tried on the validation stream.

    Attributes
    ----------
    strength, seed
        What was tried.
    average : float or None
        Mean over all tasks after the last one, by the metric of the sequence; None where the training
        came to nothing.
    learned : float or None
        Mean over tasks of what was known of each right after it was learned.
    note : str
        What went wrong, if something did.
    """

    strength: float
    seed: int
    average: float | None
    learned: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Tuning:
    """What was tried for a method, and what was chosen.

    Attributes
    ----------
    method : str
        Name of the method.
    best : float
        The strength chosen: the highest mean average over seeds, the first tried among equals.
    trials : tuple of Trial
        All that was tried.
    """

    method: str
    best: float
    trials: tuple[Trial, ...]

    @property
    def strengths(self) -> tuple[float, ...]:
        """The strengths that were tried."""
        return tuple(dict.fromkeys(trial.strength for trial in self.trials))

    def average(self, strength: float) -> float | None:
        """Return the mean over seeds of a strength; None where one of its trainings came to nothing."""
        found = [trial.average for trial in self.trials if trial.strength == strength]
        known = [average for average in found if average is not None]
        return float(np.mean(known)) if known and len(known) == len(found) else None

    @property
    def is_at_an_end(self) -> bool:
        """Whether the best is the first or last that was tried, so that beyond may be better."""
        return len(self.strengths) > 1 and self.best in (min(self.strengths), max(self.strengths))

    def values(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {**asdict(self), "trials": [asdict(trial) for trial in self.trials]}

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> "Tuning":
        """Return what `values` was taken of."""
        trials = tuple(Trial(**trial) for trial in values["trials"])
        return Tuning(values["method"], values["best"], trials)


def tune(
    maker: Maker,
    method: Method | str,
    seeds: Items[int] = (0,),
    *,
    n_tasks: int | None = None,
    n_rows: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Tuning | None:
    """Try all strengths of a method on the validation stream, and choose one.

    The test stream is never made.

    Parameters
    ----------
    maker : Maker
        Makes the stream, with ``split="validation"``.
    method : Method or str
        The method, or its name.
    seeds : sequence of int, default (0,)
        Each strength is tried with all of them.
    n_tasks, n_rows : int, optional
        Of the stream, as `maker.make` takes them.
    progress : callable, optional
        Takes a line on what is being done.
    **options
        Of `Setting`: hidden, learning_rate, batch_size, n_epochs.

    Returns
    -------
    Tuning or None
        None of a method that has one strength: there is nothing to choose.

    Raises
    ------
    DataError
        When there are no seeds.
    TrainingError
        When no strength came to anything.
    KeyboardInterrupt
        After Ctrl-C: half of the strengths choose nothing.

    Examples
    --------
    >>> from bimetal.continual.sequences import SEQUENCES
    >>> tune(SEQUENCES["digits"], "plain") is None
    True
    """
    method = method_named(method) if isinstance(method, str) else method
    if len(method.strengths) < 2:
        return None
    if not seeds:
        raise DataError("tuning needs one seed at least, got none")
    trials = [
        trial_of(
            maker,
            method,
            strength,
            seed,
            n_tasks=n_tasks,
            n_rows=n_rows,
            progress=progress,
            **options,
        )
        for strength in method.strengths
        for seed in seeds
    ]
    return best_of(method, trials)


def trial_of(
    maker: Maker,
    method: Method,
    strength: float,
    seed: int,
    *,
    n_tasks: int | None = None,
    n_rows: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Trial:
    """Try one strength with one seed; parameters are those of `tune`."""
    sequence = maker.make(seed, split=VALIDATION, n_tasks=n_tasks, n_rows=n_rows)

    def say(text: str) -> None:
        progress(f"{text} (validation, {method.strength_name or 'strength'} {strength:g})")

    try:
        found = run(
            sequence, method, strength, evaluates="last", checks="never", progress=say, seed=seed, **options
        )  # fmt: skip
    except TrainingError as error:
        return Trial(strength, seed, None, None, str(error))
    if found.was_interrupted:
        raise KeyboardInterrupt
    return _trial(found)


def best_of(method: Method, trials: Items[Trial]) -> Tuning:
    """Return the `Tuning` of these trials.

    Raises
    ------
    TrainingError
        When none of them came to anything.
    """
    found = Tuning(method.name, math.nan, tuple(trials))
    averages = {s: found.average(s) for s in found.strengths}
    known = {strength: average for strength, average in averages.items() if average is not None}
    if not known:
        raise TrainingError(
            f"no strength of {method.name!r} came to anything; the first: {trials[0].note}"
        )
    return Tuning(method.name, max(known, key=lambda s: known[s]), tuple(trials))


def _trial(found: Run) -> Trial:
    average = float(found.scores[-1].mean())
    return Trial(
        found.strength, found.setting.seed, average, float(np.diagonal(found.scores).mean())
    )
