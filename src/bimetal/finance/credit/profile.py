"""Profile: what the development looked like, counted, so that today can be held to it without its rows.

Score and columns in bins, decisions, and (with outcomes) grades and the AUC with its variance: a JSON
file of some kilobytes, written at training, read by `monitor` for years. No row can be read out of it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.files import atomic_write
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.validation.binning import Binning, binnings_of, score_binning
from bimetal.finance.credit.validation.case import known_outcomes
from bimetal.finance.credit.validation.discrimination import Delong, delong
from bimetal.finance.credit.validation.estimate import finite
from bimetal.finance.credit.validation.grades import MasterScale
from bimetal.strict_json import parse_object

__all__ = ["SCHEMA", "Counted", "Outcomes", "Profile"]

SCHEMA = {"name": "bimetal.credit.profile", "version": 1}

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counted:
    """A column (or the score) in bins: how many rows of the development lie in each."""

    bins: Binning
    counts: Ints

    def __post_init__(self) -> None:
        if self.counts.shape != (len(self.bins.labels),) or self.counts.min(initial=0) < 0:
            raise DataError(
                f"profile: counts for the {len(self.bins.labels)} bins of '{self.bins.name}' expected, "
                f"got shape {self.counts.shape}"
            )

    def spec(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**dict(finite(self.bins)), "counts": self.counts.tolist()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Counted":
        """Build one from JSON values."""
        return cls(Binning.from_spec(spec), np.asarray(spec["counts"], np.int64))


@dataclass(frozen=True, eq=False)
class Outcomes:
    """How well it ranked and held at the development.

    Attributes
    ----------
    scale : MasterScale
    n, n_bad : int
    mean_probability : float
    auc, auc_variance : float
        The variance is DeLong's.
    """

    scale: MasterScale
    n: int
    n_bad: int
    mean_probability: float
    auc: float
    auc_variance: float

    @property
    def delong(self) -> Delong:
        """The AUC as `unpaired_auc_test` takes it."""
        return Delong(np.array([self.auc]), np.array([[self.auc_variance]]), self.n)


@dataclass(frozen=True, eq=False)
class Profile:
    """The development, counted.

    Attributes
    ----------
    model_id, policy_id : str
    n : int
        Rows.
    score : Counted
    columns : tuple of Counted
        In the order of the model.
    decisions : dict
        Rows approved, referred, declined.
    n_beyond : int
        Rows beyond the policy's limits.
    outcomes : Outcomes or None
    """

    model_id: str
    policy_id: str
    n: int
    score: Counted
    columns: tuple[Counted, ...]
    decisions: Mapping[str, int]
    n_beyond: int
    outcomes: Outcomes | None

    @classmethod
    def of(
        cls,
        model: CreditModel,
        table: Any,
        y: ArrayLike | None = None,
        *,
        n_bins: int = 10,
        scale: MasterScale | None = None,
    ) -> "Profile":
        """Count a table, best that of the development.

        Parameters
        ----------
        model : CreditModel
        table : table
            With the model's columns.
        y : array_like, optional
            Outcomes as `validate` takes them; missing ones are not known.
        n_bins : int
            Of the score, and of numbers at most.
        scale : MasterScale, optional
            By default one is made.

        Raises
        ------
        DataError
            When there are no rows, or outcomes do not fit.
        """
        rows = model.rows(table)
        if not len(rows):
            raise DataError("rows to make a profile of expected, got none")
        said, unit = model.assess(rows), model.policy.scaling.unit
        score = score_binning(said.points, unit, n_bins)
        columns = binnings_of(model.program, rows, n_bins)
        outcomes = None
        if y is not None:
            known, labels = known_outcomes(y, model.program.classes, len(rows))
            p = said.probability[known].astype(np.float64)
            outcomes = _outcomes(labels, p, said.points[known], scale)
        return cls(
            model.id,
            model.policy_id,
            len(rows),
            Counted(score, score.counts(said.points / unit)),
            tuple(Counted(b, b.counts(rows[:, j])) for j, b in enumerate(columns)),
            {d: int((said.decision == d).sum()) for d in ("approve", "refer", "decline")},
            len({p.row for p in model.check(rows) if p.kind == "limit"}),
            outcomes,
        )

    def json(self) -> str:
        """Return the profile as JSON text."""
        facts = {
            "schema": SCHEMA,
            "model_id": self.model_id,
            "policy_id": self.policy_id,
            "n": self.n,
            "score": self.score.spec(),
            "columns": [c.spec() for c in self.columns],
            "decisions": dict(self.decisions),
            "n_beyond": self.n_beyond,
            "outcomes": None if self.outcomes is None else finite(self.outcomes),
        }
        return json.dumps(facts, indent=1, allow_nan=False, ensure_ascii=False)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all."""
        with atomic_write(path) as file:
            file.write(self.json().encode())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Profile":
        """Read a file that `write` made.

        Raises
        ------
        FormatError
            When it is no JSON object as bimetal writes it.
        DataError
            When it is no profile, or of another version.
        OSError
            When it cannot be read.
        """
        facts = parse_object(Path(path).read_bytes(), f"the profile '{path}'")
        if facts.get("schema") != SCHEMA:
            raise DataError(
                f"'{path}': a profile with schema {SCHEMA} expected, got {facts.get('schema')!r:.80}"
            )
        try:
            return cls._from(facts)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"'{path}' is no whole profile: {error!r:.200}; make it again"
            ) from error

    @classmethod
    def _from(cls, facts: Mapping[str, Any]) -> "Profile":
        given = facts["outcomes"]
        outcomes = None
        if given is not None:
            scale = MasterScale(tuple(given["scale"]["bounds"]))
            outcomes = Outcomes(**{**given, "scale": scale})
        return cls(
            str(facts["model_id"]),
            str(facts["policy_id"]),
            int(facts["n"]),
            Counted.from_spec(facts["score"]),
            tuple(Counted.from_spec(c) for c in facts["columns"]),
            {str(k): int(v) for k, v in facts["decisions"].items()},
            int(facts["n_beyond"]),
            outcomes,
        )


def _outcomes(
    labels: Ints, p: NDArray[np.float64], points: Ints, scale: MasterScale | None
) -> Outcomes:
    found = delong(labels, [-points.astype(np.float64)])
    used = scale or MasterScale.made(p, smallest=max(30, min(200, len(p) // 20)))
    return Outcomes(
        used,
        len(labels),
        int(labels.sum()),
        float(p.mean()),
        float(found.auc[0]),
        float(found.covariance[0, 0]),
    )
