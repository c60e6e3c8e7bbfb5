"""`validate`: a credit model, rows with outcomes, and out comes the pack that a validator reads.

The pack is one JSON document. Its sections follow the headings of SR 26-2 (formerly SR 11-7), with a
table that points from Annex IV of the EU AI Act to them. It measures and it says what it did not
measure; what only people can state is left blank. `bimetal.report.validation.write_validation` makes a
page of it.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bimetal.errors import DataError
from bimetal.explain.certificate import Certificate
from bimetal.files import atomic_write
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.validation.case import Case, Sample
from bimetal.finance.credit.validation.estimate import finite
from bimetal.finance.credit.validation.grades import MasterScale
from bimetal.finance.credit.validation.groups import fair, groups_of, require_groups
from bimetal.finance.credit.validation.limits import limitations
from bimetal.finance.credit.validation.lineage import lineage
from bimetal.finance.credit.validation.outcomes import (
    calibrated,
    graded,
    moved,
    over_time,
    ranked,
    stable,
)
from bimetal.finance.credit.validation.rivals import compared, made
from bimetal.finance.credit.validation.sensitivity import missing_stress, movements
from bimetal.finance.credit.validation.soundness import sound
from bimetal.finance.credit.validation.stress import Stress, stressed, stresses_of
from bimetal.finance.credit.validation.thresholds import Finding, Light, Thresholds, worst

__all__ = ["HEADINGS", "SCHEMA", "ValidationPack", "validate"]

SCHEMA = {"name": "bimetal.credit.validation", "version": 1}
HEADINGS = {
    "purpose": "Model purpose and materiality",
    "lineage": "Development and data lineage",
    "soundness": "Conceptual soundness",
    "outcomes": "Outcomes analysis",
    "sensitivity": "Sensitivity and stress",
    "challengers": "Challengers",
    "fairness": "Fairness by groups",
    "monitoring": "Ongoing monitoring plan",
    "limitations": "Limitations and assumptions",
    "governance": "Governance",
    "annex_iv": "Cross-reference to Annex IV of the EU AI Act",
}
"""Sections in their order, under the headings of SR 26-2 (formerly SR 11-7)."""


@dataclass(frozen=True)
class ValidationPack:
    """All that was measured, as JSON values.

    Attributes
    ----------
    facts : dict
        Keys "schema", "summary" and those of `HEADINGS`.
    """

    facts: Mapping[str, Any]

    @property
    def light(self) -> Light:
        """The worst finding."""
        found: Light = self.facts["summary"]["light"]
        return found

    @property
    def findings(self) -> list[dict[str, Any]]:
        """All findings."""
        return list(self.facts["summary"]["findings"])

    def json(self) -> str:
        """Return the pack as JSON text; all numbers in it are finite."""
        return json.dumps(self.facts, indent=1, allow_nan=False, ensure_ascii=False)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the JSON to a file, whole or not at all."""
        with atomic_write(Path(path)) as file:
            file.write(self.json().encode())


def validate(
    model: CreditModel,
    X: Any,
    y: ArrayLike,
    *,
    development: tuple[Any, ArrayLike] | None = None,
    dates: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    groups: Mapping[str, ArrayLike] | Sequence[str] | None = None,
    reference_groups: Mapping[str, str] | None = None,
    challengers: Mapping[str, Any] | Sequence[str] | None = None,
    jurisdiction: str | None = None,
    force_on: Sequence[str] = (),
    force_off: Sequence[str] = (),
    stresses: Sequence[str | Stress] | Mapping[str, str] = (),
    scale: MasterScale | None = None,
    asset_correlation: float = 0.0,
    certificate: Certificate | None = None,
    statements: Mapping[str, str] | None = None,
    data_files: Mapping[str, str | os.PathLike[str]] | None = None,
    thresholds: Thresholds | None = None,
    n_resamples: int = 500,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> ValidationPack:
    """Validate a credit model on rows that it was not trained on.

    Parameters
    ----------
    model : CreditModel
    X : table
        Columns of the model, and further ones for groups.
    y : array_like of shape (n_rows,)
        0 good, 1 bad, or the classes of the Program.
    development : (table, outcomes), optional
        What the model was trained on: needed for stability and for challengers by name.
    dates : array_like, optional
        When each row was known; see `periods_of`.
    ids : array_like, optional
        Whose row it is: with dates, grades of the same applicants at two dates are compared.
    groups : sequence of str, or mapping of str to array_like; optional
        Columns of `X` ("sex+age_band" crosses two), or labels of each row.
    reference_groups : mapping of str to str, optional
        By attribute, the group to hold others to; by default the one with the highest approval rate.
    challengers : mapping of str to model, or sequence of names; optional
        Fitted, with `predict_proba`; or of "woe", "lightgbm", "ebm", trained on the development.
    jurisdiction : str, optional
        By default the policy's; see `bimetal.finance.credit.jurisdictions`.
    force_on, force_off : sequence of {"effects", "treatment", "reasons"}
        Sections switched by hand.
    stresses : sequence of str or Stress, or mapping of name to str
        Shocks such as "income=-20%"; see `parse_stress`.
    scale : MasterScale, optional
        By default one is made from the development, or else from `X`.
    asset_correlation : float
        Of the binomial test by grade.
    certificate : Certificate, optional
        Of the promised trends: checked anew, with its trees for a witness. Without one the trends are
        proved now, which for a large model may leave some undecided.
    statements : mapping of str to str, optional
        What people state, by the keys of ``statements.json``; the rest stays blank.
    data_files : mapping of str to path, optional
        Files to hash, by role: "validation", "development".
    thresholds : Thresholds, optional
    n_resamples : int
        Of each bootstrap.
    seed : int
        Of resampling, shuffling, and challengers.
    progress : callable, optional
        Told in words what is being done.

    Raises
    ------
    DataError
        When tables, outcomes or options do not fit.
    ProgramError
        When the certificate is of another model.
    MissingExtraError
        When SciPy, fairlearn or a challenger is needed and not installed.
    """
    told = progress or _silent
    told("scoring")
    case = Case(
        model,
        Sample.of(model, X, y),
        None if development is None else Sample.of(model, *development),
        thresholds or Thresholds(),
        n_resamples,
        seed,
        told,
    )
    _check(n_resamples, statements)
    place = jurisdiction or model.policy.jurisdiction
    group_labels = groups_of(groups, X, len(case.sample.y))
    require_groups(group_labels, place, force_on, force_off)
    rivals = made(challengers, case)
    findings: list[Finding] = []

    def taken(facts: tuple[Any, list[Finding]]) -> Any:
        findings.extend(facts[1])
        return facts[0]

    told("outcomes")
    by_grade = taken(graded(case, scale, asset_correlation))
    outcomes = {
        "discrimination": taken(ranked(case)),
        "calibration": taken(calibrated(case)),
        "grades": by_grade,
        "stability": taken(stable(case)),
        "over_time": taken(over_time(case, dates)),
        "migration": moved(case, MasterScale(tuple(by_grade["scale"]["bounds"])), dates, ids),
    }
    told("sensitivity and stress")
    sensitivity = {
        "movements": movements(model, case.sample.rows, case.sample.y, seed),
        "missing": missing_stress(model, case.sample.rows, case.sample.y),
        "stresses": [
            stressed(model, case.sample.rows, s, case.sample.y) for s in stresses_of(stresses)
        ],
    }
    told("challengers")
    beside = taken(compared(case, rivals))
    told("fairness")
    fairness = taken(fair(case, place, group_labels, reference_groups or {}, force_on, force_off))
    told("soundness")
    soundness = taken(sound(model, certificate))
    samples = {"validation": case.sample, "development": case.development}
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": {},
        "purpose": _purpose(model, case.sample),
        "lineage": lineage(
            model,
            {k: (s.rows, s.y) for k, s in samples.items() if s is not None},
            data_files or {},
            seed,
        ),
        "soundness": soundness,
        "outcomes": outcomes,
        "sensitivity": sensitivity,
        "challengers": beside,
        "fairness": fairness,
        "monitoring": _plan(case.thresholds),
        "limitations": [],
        "governance": {},
        "annex_iv": _read("annex_iv.json"),
    }
    facts["limitations"] = limitations(facts, case)
    facts["statements"] = _stated(statements or {})
    facts["summary"] = {
        "light": worst(f.light for f in findings),
        "findings": [f.spec() for f in findings],
        "thresholds": case.thresholds.spec(),
        "headings": HEADINGS,
    }
    return ValidationPack(finite(facts))


def _purpose(model: CreditModel, sample: Sample) -> dict[str, Any]:
    """Say what the file itself tells of its use, and what it decides on these rows."""
    policy, said = model.policy, sample.said
    problems = model.check(sample.rows)
    return {
        "name": policy.name,
        "jurisdiction": policy.jurisdiction,
        "classes": list(model.program.classes),
        "scaling": policy.scaling.spec(),
        "cutoff_points": policy.cutoff,
        "cutoff_score": float(policy.scaling.score(policy.cutoff)),
        "refer_points": policy.refer,
        "coverage": policy.coverage,
        "columns": [c.spec() for c in model.program.columns],
        "max_reasons": policy.max_reasons,
        "n": len(sample.y),
        "decisions": {
            d: float((said.decision == d).mean()) for d in ("approve", "refer", "decline")
        },
        "bad_rate_of_approved": _rate(sample.y[sample.is_approved]),
        "problems": {
            "rows_beyond_limits": len({p.row for p in problems if p.kind == "limit"}),
            "rows_with_unseen_categories": len({p.row for p in problems if p.kind == "category"}),
        },
    }


def _rate(y: Any) -> float | None:
    return float(np.mean(y)) if len(y) else None


def _plan(thresholds: Thresholds) -> dict[str, Any]:
    """List what `bimetal credit monitor` watches, and from where on it calls."""
    of = thresholds.spec()
    measures = [
        ("psi", "population stability index of the score"),
        ("csi", "characteristic stability index of each column"),
        ("approval", "change of the approval rate"),
        ("unseen", "rise of the share of rows with categories that training never saw"),
        ("missing", "change of the share missing, by column"),
        ("beyond", "rise of the share of rows beyond the policy's limits"),
        ("ratio", "actual over expected defaults, once outcomes are known"),
        ("grade", "Jeffreys' test by grade, Holm-adjusted"),
        ("auc_drop", "fall of the AUC, DeLong's test of two samples"),
    ]
    return {
        "command": "bimetal credit monitor MODEL DATA --reference profile.json",
        "exit_codes": {"green": 0, "amber": 3, "red": 4},
        "measures": [
            {"key": k, "what": what, "amber": of[k][0], "red": of[k][1]} for k, what in measures
        ],
    }


def _stated(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{**field, "text": given.get(field["key"], "")} for field in _read("statements.json")]


def _check(n_resamples: int, statements: Mapping[str, str] | None) -> None:
    if n_resamples < 20:
        raise DataError(f"at least 20 resamples expected, got {n_resamples}")
    keys = [field["key"] for field in _read("statements.json")]
    unknown = sorted(set(statements or {}) - set(keys))
    if unknown:
        raise DataError(f"statements of {', '.join(keys)} expected, got {unknown[0]!r}")


def _read(name: str) -> Any:
    return json.loads((files(__package__) / name).read_text(encoding="utf-8"))


def _silent(text: str) -> None:
    pass
