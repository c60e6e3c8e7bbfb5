"""What the service asks of a model, and the two kinds that a .bimetal file may hold.

A file with a policy is a credit model: score, decision, reasons. One without is a plain classifier:
probability and class, and nothing is decided. Another scorer can be plugged in at the same place.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.model import CreditModel, Reason
from bimetal.format import loads
from bimetal.program import Program
from bimetal.runtime import Engine
from bimetal.service.applications import Form
from bimetal.service.limits import Limits

__all__ = ["ClassScorer", "CreditScorer", "Outcome", "Scorer", "scorer_of"]

_MOST_KNOWN = 100_000
"""Probabilities by points that are remembered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model says of one row.

    Attributes
    ----------
    points : int or None
        The exact score; None of a plain classifier.
    score : float or None
        As people write it.
    probability : float
        A float32 value: of the second class (bad); of more than two classes, of the likeliest.
    decision : str or None
        "approve", "refer" or "decline"; None when there is no policy.
    label : str, int, float, bool or None
        The likeliest class of a plain classifier.
    reasons : tuple of Reason
        At most four, for what is not approved.
    """

    points: int | None
    score: float | None
    probability: float
    decision: str | None
    label: Any = None
    reasons: tuple[Reason, ...] = ()


class Scorer(Protocol):
    """What the service asks of a model."""

    id: str
    policy_id: str | None
    file_hash: str
    form: Form
    cutoff: int | None
    unit: int

    def score(self, rows: NDArray[np.float32]) -> list[Outcome]:
        """Score raw rows, float32 (n_rows, n_columns)."""
        ...

    def counterfactuals(self, row: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the nearest rows that would be approved, as JSON values."""
        ...

    def self_test(self) -> None:
        """Run the golden rows, then a few more to warm up.

        Raises
        ------
        BimetalError
            When an answer is not what the file says.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return what may be known of the model, as JSON values."""
        ...


class CreditScorer:
    """A credit model as a scorer.

    Parameters
    ----------
    model : CreditModel
    """

    def __init__(self, model: CreditModel) -> None:
        policy = model.policy
        self.model = model
        self.id, self.file_hash = model.id, model.file_hash
        self.policy_id: str | None = model.policy_id
        is_strict = policy.unknown_category == "refuse"
        self.form = Form(model.program, policy.limits, is_strict, policy.dates)
        self.cutoff: int | None = policy.cutoff
        self.unit = policy.scaling.unit
        self._probability: dict[int, float] = {}

    def score(self, rows: NDArray[np.float32]) -> list[Outcome]:
        """Score, decide and explain raw rows."""
        model, unit = self.model, self.unit
        points: list[int] = model.points(rows).tolist()
        decisions = [model.policy.decide(one) for one in points]
        reasons: list[tuple[Reason, ...]] = [()] * len(points)
        wanted = [i for i, decision in enumerate(decisions) if decision != "approve"]
        if wanted and model.policy.references:
            told = model.reasons_against(rows if len(wanted) == len(rows) else rows[wanted])
            for i, of_row in zip(wanted, told, strict=True):
                reasons[i] = tuple(of_row)
        return [
            Outcome(one, one / unit, probability, decision, None, why)
            for one, probability, decision, why in zip(
                points, self._probabilities(points, rows), decisions, reasons, strict=True
            )
        ]

    def _probabilities(self, points: list[int], rows: NDArray[np.float32]) -> list[float]:
        """Return what the Program says: a function of the points, which is asked once for each value."""
        known = self._probability
        with contextlib.suppress(KeyError):
            return [known[one] for one in points]
        found: list[float] = self.model.engine.run(rows)[:, 1].tolist()
        if len(known) > _MOST_KNOWN:
            self._probability = known = {}  # another thread may be reading the old one
        known.update(zip(points, found, strict=True))
        return found

    def counterfactuals(self, row: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the nearest rows that would be approved, as JSON values."""
        return [
            {
                "score": found.points / self.unit,
                "changes": [
                    {"field": c.column, "from": c.before, "to": c.after, "text": c.text}
                    for c in found.changes
                ],
            }
            for found in self.model.counterfactuals(row).counterfactuals
        ]

    def self_test(self) -> None:
        """Run the golden rows, then references or zeros."""
        program = self.model.program
        Engine(program).self_test()
        rows = np.zeros((2, program.n_columns), np.float32)
        if len(program.golden_x):
            rows = np.ascontiguousarray(program.golden_x[:2])
        self.score(rows)
        if self.model.policy.references:
            self.model.reasons(rows)

    def describe(self) -> dict[str, Any]:
        """Return columns, policy, provenance and cost; of the reference applicants only how many."""
        policy = self.model.policy.spec()
        policy["n_references"] = len(policy.pop("references"))
        return _described(self.model.program, self.form) | {"policy": policy}


class ClassScorer:
    """A plain classifier as a scorer.

    Parameters
    ----------
    program : Program
    file_hash : str
        sha256 of its file.

    Raises
    ------
    DataError
        When it is no classifier.
    """

    def __init__(self, program: Program, file_hash: str) -> None:
        if len(program.classes) < 2:
            raise DataError("the service takes credit models and classifiers, not regressors")
        self.engine = Engine(program)
        self.id, self.file_hash = program.id, file_hash
        self.policy_id: str | None = None
        self.form = Form(program)
        self.cutoff: int | None = None
        self.unit = 1

    def score(self, rows: NDArray[np.float32]) -> list[Outcome]:
        """Return class and probability of raw rows."""
        answers, classes = self.engine.run(rows), self.engine.program.classes
        labels = answers.argmax(axis=1)
        chosen = answers[:, 1] if len(classes) == 2 else answers.max(axis=1)
        return [
            Outcome(None, None, probability, None, classes[label])
            for probability, label in zip(chosen.tolist(), labels.tolist(), strict=True)
        ]

    def counterfactuals(self, row: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return nothing: without a policy nothing is approved."""
        return []

    def self_test(self) -> None:
        """Run the golden rows."""
        self.engine.self_test()
        self.score(np.zeros((2, self.engine.program.n_columns), np.float32))

    def describe(self) -> dict[str, Any]:
        """Return columns, classes, provenance and cost."""
        program = self.engine.program
        return _described(program, self.form) | {"classes": list(program.classes)}


def scorer_of(data: bytes, limits: Limits) -> Scorer:
    """Return the scorer of a file's bytes, tested and warm.

    Raises
    ------
    BimetalError
        When the file is damaged, hostile, too expensive, or its golden rows disagree.
    """
    program = loads(data)
    _require_affordable(program, limits)
    scorer: Scorer
    if "credit" in program.provenance:
        scorer = CreditScorer(CreditModel.loads(data))
    else:
        scorer = ClassScorer(program, hashlib.sha256(data).hexdigest())
    scorer.self_test()
    return scorer


def _require_affordable(program: Program, limits: Limits) -> None:
    cost = program.cost()
    steps = cost.bit_ops + cost.int_ops + cost.float_ops
    for what, n, most in (("numbers a row", program.n_columns, limits.columns),
                          ("operations a row", steps, limits.model_steps)):  # fmt: skip
        if n > most:
            raise DataError(f"at most {most} {what} expected, got {n}; see the service's limits")


def _described(program: Program, form: Form) -> dict[str, Any]:
    cost = program.cost()
    provenance = {k: v for k, v in program.provenance.items() if k != "credit"}
    counts: Sequence[str] = ("bits", "bytes", "bit_ops", "int_ops", "float_ops")
    return {
        "columns": [field.spec() for field in form.fields],
        "dates": [spec.spec() for spec in form.dates],
        "n_golden": len(program.golden_x),
        "provenance": provenance,
        "cost": {name: getattr(cost, name) for name in counts},
    }
