"""CreditModel: a Program and a policy, from an application to a decision and its reasons.

This is what a service, a batch job, a validator and an auditor hold in their hands. It needs NumPy
and nothing that trains.
"""

import datetime
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Lists
from bimetal.columns.reading import read
from bimetal.errors import DataError
from bimetal.explain.counterfactual import Answer, counterfactuals
from bimetal.explain.form import PointsForm, form_of, points_program
from bimetal.explain.grid import encode_of
from bimetal.explain.reasons import principal_reasons
from bimetal.explain.shapley import Contributions, Explainer
from bimetal.files import atomic_write
from bimetal.finance.credit.dates import DateSpec, apply_dates
from bimetal.finance.credit.policy import Policy
from bimetal.format import dumps, loads
from bimetal.program import Link, Program
from bimetal.runtime import Engine

__all__ = ["Assessment", "CreditModel", "Problem", "Reason"]


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a model says of some rows.

    Attributes
    ----------
    points : numpy.ndarray
        int64 (n_rows,): the exact score, in units of ``1 / scaling.unit``; higher is better.
    score : numpy.ndarray
        float64 (n_rows,): as people write it.
    probability : numpy.ndarray
        float32 (n_rows,): of bad.
    decision : numpy.ndarray
        str (n_rows,): "approve", "refer", "decline".
    """

    points: NDArray[np.int64]
    score: NDArray[np.float64]
    probability: NDArray[np.float32]
    decision: NDArray[np.str_]


@dataclass(frozen=True)
class Reason:
    """One principal reason.

    Attributes
    ----------
    group : str
        The group of columns, or the column.
    code, text : str
        As the policy words it.
    points : float
        Score points that this group cost against the approved applicants near the cut-off; below 0.
    columns : tuple of str
    """

    group: str
    code: str
    text: str
    points: float
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """A value that the policy does not take as it is.

    Attributes
    ----------
    row : int
    column : str
    kind : {"limit", "category", "date"}
    message : str
        What was expected and what came.
    is_refused : bool
        Whether the application must be refused; else it is a warning.
    """

    row: int
    column: str
    kind: str
    message: str
    is_refused: bool


class CreditModel:
    """A credit scorer.

    Parameters
    ----------
    program : Program
        Two classes, the second bad; its points are a score: higher is better.
    policy : Policy, optional
        By default the one in the Program's provenance.
    file_hash : str, optional
        sha256 of the file it came from; by default that of the file it would be saved as.

    Raises
    ------
    DataError
        When there is no policy, the policy speaks of other columns, or more points mean more risk.
    ProgramError
        When the Program has no single integer score.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> from bimetal.finance.credit.scaling import Scaling
    >>> from bimetal.program import Encode, Readout
    >>> no, scaling = np.array([], "f4"), Scaling()
    >>> encode = Encode(np.array([0], "u2"), np.array([0], "u1"), np.array([30_000], "f4"),
    ...                 no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[4_000]], "i4"), np.array([52_000], "i4"))
    >>> scale, offset = scaling.link()
    >>> link = Link(2, "sigmoid", np.array([scale]), np.array([offset]), no.astype("i4"), no)
    >>> program = Program((Column("income"),), (encode, points, link), ("good", "bad"))
    >>> model = CreditModel(program, Policy(cutoff=54_000))
    >>> model.assess(np.array([[20_000], [45_000]], "f4")).decision
    array(['decline', 'approve'], dtype='<U7')
    """

    def __init__(
        self, program: Program, policy: Policy | None = None, file_hash: str | None = None
    ) -> None:
        if policy is None:
            spec = program.provenance.get("credit")
            if not isinstance(spec, dict):
                raise DataError(
                    "a credit model needs a policy (cut-off, scaling, reasons), but the file has "
                    "none; make it with BinaryScorecard or `bimetal credit train`"
                )
            policy = Policy.from_spec(spec)
        policy.require_columns(tuple(column.name for column in program.columns))
        link = program.ops[-1]
        if not isinstance(link, Link) or len(program.classes) != 2:
            raise DataError(f"two classes, good and bad, expected, got {program.classes!r}")
        self.policy = policy
        carried = {**program.provenance, "credit": policy.spec()}
        self.program = replace(program, provenance=json.loads(json.dumps(carried)))
        self._require_orientation(link)
        self.policy_id = policy.id
        self._file_hash = file_hash
        self._answers = Engine(self.program)
        self._points = Engine(points_program(self.program))

    @staticmethod
    def _require_orientation(link: Link) -> None:
        falls = link.kind == "sigmoid" and link.scale[0] < 0
        if not falls:
            raise DataError(
                "points of a credit score fall with risk: a sigmoid link with a negative scale "
                f"expected, got {link.kind} with scale {link.scale.tolist()}; BinaryScorecard makes such"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "CreditModel":
        """Read a model from a file, all of it into memory.

        Raises
        ------
        FormatError
            When the file is damaged or hostile.
        DataError
            When it holds no credit model.
        OSError
            When it cannot be read.
        """
        return cls.loads(Path(path).read_bytes())

    @classmethod
    def loads(cls, data: bytes) -> "CreditModel":
        """Read a model from the bytes of a file. Raises what `load` does."""
        return cls(loads(data), file_hash=hashlib.sha256(data).hexdigest())

    def dumps(self) -> bytes:
        """Return the bytes of its file."""
        return dumps(self.program)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all."""
        data = self.dumps()
        with atomic_write(path) as file:
            file.write(data)

    @property
    def id(self) -> str:
        """The Program's id: that of the function from row to probability."""
        return self.program.id

    @property
    def engine(self) -> Engine:
        """The engine that gives probabilities, and checks tables."""
        return self._answers

    @property
    def file_hash(self) -> str:
        """sha256 of the file: Program, policy and provenance."""
        if self._file_hash is None:
            self._file_hash = hashlib.sha256(self.dumps()).hexdigest()
        return self._file_hash

    @cached_property
    def form(self) -> PointsForm:
        """The score taken apart."""
        return form_of(self.program)

    @cached_property
    def players(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Reason groups: name and columns of each; a column in no group is its own."""
        names = [column.name for column in self.program.columns]
        grouped = {c: g for g, columns in self.policy.groups.items() for c in columns}
        found: dict[str, list[int]] = {}
        for j, name in enumerate(names):
            found.setdefault(grouped.get(name, name), []).append(j)
        return tuple((group, tuple(columns)) for group, columns in found.items())

    @cached_property
    def explainer(self) -> Explainer:
        """Exact contributions against the policy's references."""
        if not self.policy.references:
            raise DataError(
                "reasons compare an applicant with approved ones near the cut-off, but the policy "
                "has no references; `Policy(references=...)` takes up to 32 raw rows"
            )
        rows = [[np.nan if v is None else v for v in row] for row in self.policy.references]
        groups = [columns for _, columns in self.players]
        return Explainer(self.form, np.array(rows, np.float32), groups=groups)

    def rows(self, table: Any, as_of: str | datetime.date | None = None) -> NDArray[np.float32]:
        """Return the raw rows of a table, checked: see `Engine.rows`.

        Dates become numbers as the policy says, counted back from `as_of` where it names no column.
        A table that has the number and not the date is taken as it is, and so is an array.

        Raises
        ------
        ColumnError, MissingValueError, NotFiniteError
            When the table does not fit the model.
        DataError
            When a date lies in the future, or `as_of` is needed and not given.
        """
        given = Lists(table) if isinstance(table, Mapping) else table
        if dates := self.dates_in(given):
            given = apply_dates(given, dates, as_of)
        return self._answers.rows(given)

    def dates_in(self, table: Any) -> list[DateSpec]:
        """Return the dates of the policy that are still to be made numbers in a table."""
        frame = read(table) if self.policy.dates else table
        if not self.policy.dates or isinstance(frame, np.ndarray):
            return []
        return self.policy.dates_among([str(name) for name in frame.columns])

    def check(self, rows: NDArray[np.float32]) -> list[Problem]:
        """Return what the policy does not take as it is: limits passed, categories never seen.

        Special codes are no values: no limit holds for them.
        """
        found = []
        for j, column in enumerate(self.program.columns):
            if column.name in self.policy.limits:
                found += self._beyond(rows[:, j], j)
            if column.kind == "category":
                found += self._unseen(rows[:, j], column.name)
        return found

    @cached_property
    def _codes(self) -> tuple[NDArray[np.float32], ...]:
        """Special codes of each column."""
        op = encode_of(self.program)
        return tuple(
            op.special_value[op.special_column == j] for j in range(self.program.n_columns)
        )

    def _beyond(self, values: NDArray[np.float32], j: int) -> list[Problem]:
        name = self.program.columns[j].name
        least, greatest = self.policy.limits[name]
        low, high = (
            (-np.inf if least is None else least),
            (np.inf if greatest is None else greatest),
        )
        wrong = np.flatnonzero(
            ((values < low) | (values > high)) & ~np.isin(values, self._codes[j])
        )
        expected = f"{'any' if least is None else f'{least:g}'} to {'any' if greatest is None else f'{greatest:g}'}"
        return [
            Problem(int(i), name, "limit", f"{expected} expected, got {values[i]:g}", True)
            for i in wrong
        ]

    def _unseen(self, codes: NDArray[np.float32], name: str) -> list[Problem]:
        is_refused = self.policy.unknown_category == "refuse"
        message = "a category that training never saw" + (
            "; it is scored as 'other'" if not is_refused else ""
        )
        return [
            Problem(int(i), name, "category", message, is_refused)
            for i in np.flatnonzero(codes == -1)
        ]

    def points(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the exact points of raw rows, int64 (n_rows,)."""
        return self._points.run(rows)[:, 0].astype(np.int64)

    def assess(self, rows: NDArray[np.float32]) -> Assessment:
        """Score and decide raw rows, float32 (n_rows, n_columns)."""
        points = self.points(rows)
        return Assessment(
            points,
            self.policy.scaling.score(points),
            self._answers.run(rows)[:, 1],
            self._decisions(points),
        )

    def _decisions(self, points: NDArray[np.int64]) -> NDArray[np.str_]:
        policy = self.policy
        decided = np.where(points >= policy.cutoff, "approve", "decline")
        if policy.refer is not None:
            low, high = policy.refer
            decided = np.where((points >= low) & (points < high), "refer", decided)
        return decided

    def contributions(self, rows: NDArray[np.float32]) -> Contributions:
        """Return exact Shapley values of the points, one for each of `players`."""
        return self.explainer.contributions(rows)

    def reasons(self, rows: NDArray[np.float32]) -> list[list[Reason]]:
        """Return the principal reasons of each row that is not approved; none for one that is."""
        decisions = self._decisions(self.points(rows))
        wanted = np.flatnonzero(decisions != "approve")
        found: list[list[Reason]] = [[] for _ in decisions]
        for i, reasons in zip(wanted, self.reasons_against(rows[wanted]), strict=True):
            found[i] = reasons
        return found

    def reasons_against(self, rows: NDArray[np.float32]) -> list[list[Reason]]:
        """Return what cost each row most against the references, whatever was decided."""
        if not len(rows):
            return []
        told = self.contributions(rows)
        return [self._worded(numerators, told.denominator) for numerators in told.numerators]

    def _worded(self, numerators: NDArray[np.int64], denominator: int) -> list[Reason]:
        units = denominator * self.policy.scaling.unit
        return [
            Reason(name, code, text, int(numerators[k]) / units, columns)
            for k in principal_reasons(numerators, self.policy.max_reasons)
            for name, code, text, columns in (self._words[k],)
        ]

    @cached_property
    def _words(self) -> list[tuple[str, str, str, tuple[str, ...]]]:
        """Name, code, text and columns of each player."""
        policy, columns = self.policy, self.program.columns
        return [
            (
                name,
                policy.codes.get(name, ""),
                policy.texts.get(name, name),
                tuple(columns[j].name for j in indices),
            )
            for name, indices in self.players
        ]

    def counterfactuals(self, row: NDArray[np.float32], n: int = 3, **options: Any) -> Answer:
        """Return the nearest rows that would be approved; immutable and one-way columns respected."""
        return counterfactuals(
            self.form,
            row,
            self.policy.approval_points,
            immutable=self.policy.immutable,
            one_way=self.policy.one_way,
            n=n,
            **options,
        )

    def points_of_bits(self, bits: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the points of encoded rows, bool (n_rows, n_bits), as a device sends them."""
        return self.form.points_of_bits(bits)
