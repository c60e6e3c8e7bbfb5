"""Build what a target writes, run it, and hold it against the reference, bit for bit.

A copy of a Program in another language is only worth something when it has been run. `verify` draws
rows that hit the Program's own cut-points (`rows_for`), runs the built files in a place of this
machine (a compiler, an emulator, a database), and counts the rows that differ.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import reference
from bimetal.errors import DataError, ExportError
from bimetal.export.form import link_of
from bimetal.export.rows import some_rows
from bimetal.export.target import Job, Outcome, Place, Target
from bimetal.export.tools import require
from bimetal.program import Program

__all__ = ["Verification", "hold"]


@dataclass(frozen=True)
class Verification:
    """What came of holding built files against the reference.

    Attributes
    ----------
    target, place : str
        What was written, and where it ran.
    program_id : str
        Of the Program.
    n_rows : int
        Rows that were run.
    n_points_differ, n_answers_differ : int or None
        Rows whose points (int32), or answers (float32, as bits), are not those of the reference;
        None where the target does not give them.
    instructions : float or None
        Of one row, where they are counted.
    notes : mapping
        What else the place measured.
    """

    target: str
    place: str
    program_id: str
    n_rows: int
    n_points_differ: int | None
    n_answers_differ: int | None
    instructions: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs."""
        return not self.n_points_differ and not self.n_answers_differ


def hold(
    target: Target,
    place: Place,
    job: Job,
    n: int,
    seed: int,
    rows: ArrayLike | None = None,
) -> Verification:
    """Write, build, run and compare; see `bimetal.export.verify`."""
    require(place.tools, f"running '{target.name}' on {place.name}")
    size = job.program.cost().bytes
    if place.largest is not None and size > place.largest:
        raise ExportError(
            f"{place.name} holds {place.largest:,} bytes of arrays, but this Program has {size:,}; "
            "choose a larger core, or a smaller net"
        )
    x = _rows(job, n, seed, rows)
    with tempfile.TemporaryDirectory(prefix="bimetal-") as folder:
        outcome = place.run(job, target.write(job), Path(folder), x)
    return _compare(target, place, job.program, x, outcome)


def _rows(job: Job, n: int, seed: int, rows: ArrayLike | None) -> NDArray[np.float32]:
    program = job.program
    if rows is not None:
        x = np.ascontiguousarray(rows, np.float32)
        if x.ndim != 2 or x.shape[1] != program.n_columns or not len(x):
            raise DataError(
                f"rows must have shape (n_rows, {program.n_columns}), at least one, got {x.shape}"
            )
        return x
    if n < 1:
        raise DataError(f"at least one vector expected, got {n}")
    return some_rows(job, n, seed)


def _compare(
    target: Target, place: Place, program: Program, x: NDArray[np.float32], outcome: Outcome
) -> Verification:
    if outcome.points is None and outcome.answers is None:
        raise ExportError(f"{place.name} gave neither points nor answers")
    points, answers = [], []
    for start in range(0, len(x), 4096):  # the reference keeps every value: some rows at a time
        values = reference.trace(program, x[start : start + 4096])
        points.append(values[link_of(program).input])
        answers.append(values[-1])
    return Verification(
        target.name,
        place.name,
        program.id,
        len(x),
        _differ(np.concatenate(points), outcome.points, place),
        _differ(np.concatenate(answers), outcome.answers, place),
        outcome.instructions,
        outcome.notes,
    )


def _differ(expected: NDArray[Any], came: NDArray[Any] | None, place: Place) -> int | None:
    if came is None:
        return None
    if came.shape != expected.shape or came.dtype != expected.dtype:
        raise ExportError(
            f"{place.name} gave {came.dtype} of shape {came.shape}, "
            f"expected {expected.dtype} of shape {expected.shape}"
        )
    same = np.ascontiguousarray(came).view(np.uint32) == np.ascontiguousarray(expected).view(
        np.uint32
    )
    return int((~same.all(axis=1)).sum())
