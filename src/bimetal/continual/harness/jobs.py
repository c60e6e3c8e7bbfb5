"""A comparison cut into jobs: one strength and one seed each, that any process can carry out.

What a job gives is written into the folder of the comparison as soon as it is done, with all that
decided it, so that an interrupted comparison can be taken up again without doing anything twice.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bimetal.continual.harness.record import Run
from bimetal.continual.harness.run import Evaluates, run
from bimetal.continual.harness.tuning import Maker, Trial, trial_of
from bimetal.continual.harness.workers import Progress
from bimetal.continual.learners.learner import Method
from bimetal.errors import BimetalError, DataError
from bimetal.files import atomic_write
from bimetal.format import save
from bimetal.program import Program

__all__ = ["Failure", "Job", "carry_out"]


@dataclass(frozen=True)
class Failure:
    """A job that came to nothing, and why."""

    method: str
    seed: int
    reason: str


@dataclass(frozen=True, eq=False)
class Job:
    """One strength and one seed of a method.

    Attributes
    ----------
    maker : Maker
        Makes the sequence.
    method : Method
        Learns it.
    strength : float
        Its free number.
    seed : int
        Of the stream and of the learner.
    is_trial : bool
        Whether it is tried on the validation stream, to choose a strength.
    n_tasks, n_rows : int or None
        Of the sequence.
    evaluates : {"seen", "all", "last"} or int
        What is asked after each task; of a trial always "last".
    options : mapping
        Of `Setting`.
    folder : str or None
        Where what it gives is written.
    resumes : bool
        Whether it is taken from there if it is there.
    """

    maker: Maker
    method: Method
    strength: float
    seed: int
    is_trial: bool = False
    n_tasks: int | None = None
    n_rows: int | None = None
    evaluates: Evaluates = "seen"
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: str | None = None
    resumes: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """What decides its result, as JSON values."""
        evaluates = "last" if self.is_trial else self.evaluates
        values = {
            "sequence": self.maker.name, "method": self.method.name, "strength": self.strength,
            "seed": self.seed, "is_trial": self.is_trial, "n_tasks": self.n_tasks, "n_rows": self.n_rows,
            "evaluates": evaluates, "options": dict(self.options),
            "versions": [version("bimetal"), torch.__version__],
        }  # fmt: skip
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

    @property
    def path(self) -> Path | None:
        """Where its result is written."""
        if self.folder is None:
            return None
        kind = "trials" if self.is_trial else "runs"
        return Path(self.folder, kind, f"{self.method.name}-{self.strength:g}-seed{self.seed}.json")


def carry_out(job: Job, progress: Progress) -> Run | Trial | Failure:
    """Return what a job gives: from its file, if it is to be taken up again and has one.

    Parameters
    ----------
    job : Job
        What to do.
    progress : callable
        Takes a line on what is being done.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C in a trial; a run gives what it has.
    """
    found = _kept(job) if job.resumes else None
    if found is not None:
        return found
    try:
        given = _trial(job, progress) if job.is_trial else _run(job, progress)
    except BimetalError as error:
        return Failure(job.method.name, job.seed, " ".join(str(error).split()))
    _keep(job, given)
    return given


def _trial(job: Job, progress: Progress) -> Trial:
    return trial_of(
        job.maker, job.method, job.strength, job.seed,
        n_tasks=job.n_tasks, n_rows=job.n_rows, progress=progress, **job.options,
    )  # fmt: skip


def _run(job: Job, progress: Progress) -> Run:
    sequence = job.maker.make(job.seed, split="test", n_tasks=job.n_tasks, n_rows=job.n_rows)
    return run(
        sequence, job.method, job.strength,
        evaluates=job.evaluates, progress=progress, seed=job.seed, **job.options,
    )  # fmt: skip


def _keep(job: Job, given: Run | Trial) -> None:
    """Write what is finished; a run that was interrupted is not, and would be taken for finished."""
    path = job.path
    if path is None or (isinstance(given, Run) and given.was_interrupted):
        return
    values = given.values() if isinstance(given, Run) else asdict(given)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        text = json.dumps({"key": job.key, "given": values}, indent=1, allow_nan=False)
        file.write(text.encode())
    if isinstance(given, Run):
        _keep_programs(given.programs, path.parent.parent / "programs", path.stem)


def _keep_programs(programs: tuple[Program, ...], folder: Path, stem: str) -> None:
    if programs:
        folder.mkdir(parents=True, exist_ok=True)
    for number, program in enumerate(programs):
        place = f"-task{number + 1}" if len(programs) > 1 else ""
        save(program, folder / f"{stem}{place}.bimetal")


def _kept(job: Job) -> Run | Trial | None:
    """Return what the file of a job holds; None if there is none, or it is that of another job."""
    path = job.path
    if path is None or not path.is_file():
        return None
    try:
        values = json.loads(path.read_text())
        if values["key"] != job.key:
            return None
        return Trial(**values["given"]) if job.is_trial else Run.from_values(values["given"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"'{path}' cannot be taken up again ({type(error).__name__}: {error}); remove it"
        ) from error
