"""One call: methods and seeds on one sequence, on equal terms, and the table of what came of it.

Every method sees the same streams and starts from the same seeds; the strength of each is chosen on
the validation stream, if at all, from as many candidates as that of any other.
"""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from bimetal.continual.harness.jobs import Failure, Job, carry_out
from bimetal.continual.harness.record import Run
from bimetal.continual.harness.run import Evaluates, check_evaluates, method_named, middle
from bimetal.continual.harness.study import Skipped, Study
from bimetal.continual.harness.table import described
from bimetal.continual.harness.tuning import Maker, Trial, Tuning, best_of
from bimetal.continual.harness.workers import done
from bimetal.continual.learners.learner import Method
from bimetal.errors import DataError, TrainingError

__all__ = ["compare"]


def compare(
    maker: Maker,
    methods: Sequence[Method | str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    n_tasks: int | None = None,
    n_rows: int | None = None,
    strengths: Mapping[str, float] | None = None,
    tunes: bool = False,
    tuning_seeds: Sequence[int] = (0,),
    tuning_tasks: int | None = None,
    evaluates: Evaluates = "seen",
    workers: int = 1,
    folder: str | os.PathLike[str] | None = None,
    resumes: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Study:
    """Let methods learn the same streams, and measure them.

    Parameters
    ----------
    maker : Maker
        Makes the sequence: one of `SEQUENCES`, or what has `name` and `make` as they do.
    methods : sequence of Method or str, optional
        The methods or their names; by default all of `METHODS`.
    seeds : sequence of int, default (0, 1, 2)
        Of streams, weights and orders; the same for all methods.
    n_tasks, n_rows : int, optional
        Of the sequence, as `maker.make` takes them.
    strengths : mapping of str to float, optional
        Of some methods by name; they are not tuned. The others take the middle of those that they list
        unless they are tuned.
    tunes : bool, default False
        Whether strengths are chosen on the validation stream first.
    tuning_seeds : sequence of int, default (0,)
        For which each strength is tried.
    tuning_tasks : int, optional
        Tasks of the validation stream; by default `n_tasks`.
    evaluates : {"seen", "all", "last"} or int, default "seen"
        What is asked after each task, see `run`; forward transfer needs "all".
    workers : int, default 1
        Processes. torch has one thread in each, and their number changes no result but times. A script
        that asks for more than one needs the usual ``if __name__ == "__main__":``.
    folder : str or path-like, optional
        Where each run and its Programs are written as soon as it is finished; by default nowhere.
    resumes : bool, default False
        Whether runs are taken from there that are there already, with the same options and versions.
    progress : callable, optional
        Takes a line on what is being done.
    **options
        Of `Setting`: hidden, learning_rate, batch_size, n_epochs.

    Returns
    -------
    Study
        After Ctrl-C, of what was finished.

    Raises
    ------
    DataError
        When an argument does not fit, or the data of the sequence is not at hand.
    TrainingError
        When no method came to anything.

    Examples
    --------
    >>> from bimetal.continual.sequences import SEQUENCES
    >>> study = compare(
    ...     SEQUENCES["digits"], ["row_plain"], seeds=[0], n_tasks=2, n_rows=100, hidden=(16,), n_epochs=1
    ... )
    >>> [row.name for row in study.rows()]
    ['row_plain']
    """
    check_evaluates(evaluates)
    chosen = _chosen(methods)
    given = dict(strengths or {})
    _check(chosen, seeds, tuning_seeds, given, resumes=resumes, folder=folder)
    sequence = maker.make(seeds[0], split="test", n_tasks=n_tasks, n_rows=n_rows)
    chosen[0].setting(
        sequence, **options
    )  # says what is wrong with options before anything is learned
    work = _Work(chosen, tuple(seeds), workers, progress)
    work.common = {
        "maker": maker, "n_rows": n_rows, "options": options, "resumes": resumes,
        "folder": None if folder is None else os.fspath(folder),
    }  # fmt: skip
    work.go(
        given, tuple(tuning_seeds) if tunes else (), n_tasks, tuning_tasks or n_tasks, evaluates
    )
    facts = {
        "sequence": sequence.values(),
        "n_rows": n_rows,
        "methods": {method.name: described(method) for method in chosen},
        "seeds": list(seeds),
        "strengths": given,
        "evaluates": evaluates,
        "tuning": {"seeds": list(tuning_seeds), "n_tasks": tuning_tasks or n_tasks}
        if tunes
        else None,
        "setting": _plain(chosen[0].setting(sequence, **options)),
        "workers": workers,
        "machine": _machine(),
        "seconds": time.perf_counter() - work.start,
    }
    return work.study(facts)


class _Work:
    """A comparison under way: what is finished stays, whatever ends it."""

    def __init__(
        self,
        methods: Sequence[Method],
        seeds: tuple[int, ...],
        workers: int,
        progress: Callable[[str], None],
    ) -> None:
        self.methods, self.seeds, self.workers, self.say = methods, seeds, workers, progress
        self.common: dict[str, Any] = {}
        self.start = time.perf_counter()
        self.runs: dict[int, Run] = {}
        self.tunings: list[Tuning] = []
        self.failures: list[Failure] = []
        self.was_interrupted = False

    def go(
        self,
        strengths: dict[str, float],
        tuning_seeds: tuple[int, ...],
        n_tasks: int | None,
        tuning_tasks: int | None,
        evaluates: Evaluates,
    ) -> None:
        """Tune, then run; Ctrl-C ends it."""
        try:
            if tuning_seeds:
                self.tune(strengths, tuning_seeds, tuning_tasks)
            best = {tuning.method: tuning.best for tuning in self.tunings} | strengths
            jobs = [
                Job(
                    method=method, strength=best.get(method.name, middle(method)), seed=seed,
                    n_tasks=n_tasks, evaluates=evaluates, **self.common,
                )
                for method in self.left for seed in self.seeds
            ]  # fmt: skip
            for number, given in self.done(jobs):
                if isinstance(given, Run):
                    self.runs[number] = given
        except KeyboardInterrupt:
            self.was_interrupted = True

    @property
    def left(self) -> list[Method]:
        """The methods that have not failed."""
        failed = {failure.method for failure in self.failures}
        return [method for method in self.methods if method.name not in failed]

    def tune(self, given: Mapping[str, float], seeds: tuple[int, ...], n_tasks: int | None) -> None:
        """Try all strengths of all methods that have several, and choose."""
        methods = [m for m in self.methods if len(m.strengths) > 1 and m.name not in given]
        jobs = [
            Job(
                method=method, strength=strength, seed=seed, is_trial=True, n_tasks=n_tasks, **self.common
            )
            for method in methods for strength in method.strengths for seed in seeds
        ]  # fmt: skip
        trials = {n: given for n, given in self.done(jobs) if isinstance(given, Trial)}
        for method in self.left:
            found = [
                trials[n] for n, job in enumerate(jobs) if job.method is method and n in trials
            ]
            if found:
                self.choose(method, found)

    def choose(self, method: Method, trials: Sequence[Trial]) -> None:
        try:
            self.tunings.append(best_of(method, trials))
        except TrainingError as error:
            self.failures.append(Failure(method.name, trials[0].seed, str(error)))

    def done(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Run | Trial]]:
        """Yield what jobs give; failures are noted, and a run that was interrupted ends it."""
        for number, given in done(carry_out, jobs, self.workers, self.say):
            if isinstance(given, Failure):
                self.failures.append(given)
                continue
            yield number, given
            if isinstance(given, Run) and given.was_interrupted and self.workers == 1:
                raise KeyboardInterrupt

    def study(self, facts: Mapping[str, Any]) -> Study:
        runs = tuple(self.runs[n] for n in sorted(self.runs) if self.runs[n].n_finished)
        skipped = {f.method: Skipped(f.method, f"seed {f.seed}: {f.reason}") for f in self.failures}
        if self.failures and not runs and not self.was_interrupted:
            told = "; ".join(f"{s.name}: {s.reason}" for s in skipped.values())
            raise TrainingError(f"no method came to anything: {told}")
        return Study(
            runs, tuple(self.tunings), tuple(skipped.values()), facts, self.was_interrupted
        )


def _chosen(methods: Sequence[Method | str] | None) -> list[Method]:
    if methods is None:
        from bimetal.continual.learners.methods import METHODS

        return list(METHODS.values())
    return [method_named(m) if isinstance(m, str) else m for m in methods]


def _check(
    methods: Sequence[Method],
    seeds: Sequence[int],
    tuning_seeds: Sequence[int],
    strengths: Mapping[str, float],
    *,
    resumes: bool,
    folder: object,
) -> None:
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise DataError(f"methods must be one or more, each once, got {names}")
    for what, found in (("seeds", seeds), ("tuning_seeds", tuning_seeds)):
        if not found or len(set(found)) < len(found) or min(found) < 0:
            raise DataError(
                f"{what} must be one or more whole numbers from 0, each once, got {list(found)}"
            )
    unknown = sorted(set(strengths) - set(names))
    if unknown:
        raise DataError(
            f"strengths are given for {unknown}, which are not among the methods {names}"
        )
    if resumes and folder is None:
        raise DataError("to take up a comparison again, its folder must be named")


def _plain(setting: Any) -> dict[str, Any]:
    """Return what is common to all runs: the setting but for its seed."""
    values = {name: value for name, value in vars(setting).items() if name != "seed"}
    return values | {"hidden": list(setting.hidden)}


def _machine() -> str:
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}, bimetal "
        f"{version('bimetal')}"
    )
