"""Monitoring: whether today's applicants are those of the development, and the probabilities still hold.

Rows of today are held to a `Profile`: PSI of score, CSI of columns, categories never seen, missing
values, limits, approvals; and, of rows whose outcome is known by now, expected against actual defaults,
Jeffreys' test by grade and the fall of the AUC. The worst finding is the exit code of a scheduler.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.model import Assessment, CreditModel
from bimetal.finance.credit.profile import Outcomes, Profile
from bimetal.finance.credit.validation.calibration import expected_and_actual
from bimetal.finance.credit.validation.case import known_outcomes
from bimetal.finance.credit.validation.discrimination import delong, unpaired_auc_test
from bimetal.finance.credit.validation.estimate import finite
from bimetal.finance.credit.validation.grades import grade_tests, holm
from bimetal.finance.credit.validation.lineage import versions
from bimetal.finance.credit.validation.stability import SMOOTHING, Shift, shift_of_counts
from bimetal.finance.credit.validation.thresholds import (
    Finding,
    Light,
    Thresholds,
    above,
    below,
    worst,
)

__all__ = ["EXIT_CODES", "SCHEMA", "Monitoring", "monitor"]

SCHEMA = {"name": "bimetal.credit.monitoring", "version": 1}
EXIT_CODES: dict[Light, int] = {"green": 0, "amber": 3, "red": 4}
"""What a scheduler is told; 1 and 2 are left to mistakes."""
FEWEST_OF_A_CLASS = 10


@dataclass(frozen=True)
class Monitoring:
    """What was seen, as JSON values.

    Attributes
    ----------
    facts : dict
        Keys "schema", "summary", "shifts", "outcomes" and more.
    """

    facts: Mapping[str, Any]

    @property
    def light(self) -> Light:
        """The worst finding."""
        found: Light = self.facts["summary"]["light"]
        return found

    @property
    def exit_code(self) -> int:
        """0 green, 3 amber, 4 red."""
        return EXIT_CODES[self.light]

    @property
    def findings(self) -> list[dict[str, Any]]:
        """All findings."""
        return list(self.facts["summary"]["findings"])

    def json(self) -> str:
        """Return it as JSON text; all numbers in it are finite."""
        return json.dumps(self.facts, indent=1, allow_nan=False, ensure_ascii=False)


def monitor(
    model: CreditModel,
    reference: Any,
    table: Any,
    y: ArrayLike | None = None,
    *,
    thresholds: Thresholds | None = None,
) -> Monitoring:
    """Hold rows of today to those of the development.

    Parameters
    ----------
    model : CreditModel
    reference : Profile, or table, or (table, outcomes)
        Of the development.
    table : table
        Rows of today, with the model's columns.
    y : array_like, optional
        Outcomes of today's rows; None or NaN where not yet known.
    thresholds : Thresholds, optional

    Returns
    -------
    Monitoring

    Raises
    ------
    DataError
        When there are no rows, outcomes do not fit, or the profile is of another model or damaged.
    """
    limits, profile = thresholds or Thresholds(), _profile(model, reference)
    if profile.model_id != model.id:
        raise DataError(
            f"the profile is of model {profile.model_id[:12]}, this one is {model.id[:12]}: make a "
            "profile of the development with this model (Profile.of)"
        )
    if [c.bins.name for c in profile.columns] != [c.name for c in model.program.columns]:
        raise DataError("the profile counts other columns than the model has; make it again")
    rows = model.rows(table)
    if not len(rows):
        raise DataError("rows of today expected, got none")
    said = model.assess(rows)
    shifts, findings = _shifts(model, profile, rows, said, limits)
    data, more = _data(model, profile, rows, limits)
    decided, decisions = _decided(profile, said, limits)
    findings += [*more, *decisions]
    outcomes: dict[str, Any] = {"not_computed": "no outcomes were given"}
    if y is not None:
        known, labels = known_outcomes(y, model.program.classes, len(rows))
        outcomes, found = _outcomes(profile.outcomes, said, known, labels, limits)
        findings += found
    facts = {
        "schema": SCHEMA,
        "summary": {
            "light": worst(f.light for f in findings),
            "findings": [f.spec() for f in findings],
            "thresholds": limits.spec(),
            "exit_codes": EXIT_CODES,
        },
        "model_id": model.id,
        "policy_id": model.policy_id,
        "policy_id_of_reference": profile.policy_id,
        "name": model.policy.name,
        "n": len(rows),
        "n_reference": profile.n,
        "smoothing": SMOOTHING,
        "shifts": shifts,
        "data": data,
        "decisions": decided,
        "outcomes": outcomes,
        "versions": versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Monitoring(finite(facts))


def _profile(model: CreditModel, reference: Any) -> Profile:
    if isinstance(reference, Profile):
        return reference
    if isinstance(reference, tuple) and len(reference) == 2:
        return Profile.of(model, *reference)
    return Profile.of(model, reference)


def _shifts(
    model: CreditModel,
    profile: Profile,
    rows: NDArray[np.float32],
    said: Assessment,
    limits: Thresholds,
) -> tuple[dict[str, Any], list[Finding]]:
    """PSI of the score and CSI of each column, a finding for each."""
    now = profile.score.bins.counts(said.points / model.policy.scaling.unit)
    score = shift_of_counts(profile.score.bins, profile.score.counts, now)
    columns = [
        shift_of_counts(c.bins, c.counts, c.bins.counts(rows[:, j]))
        for j, c in enumerate(profile.columns)
    ]
    findings = [_shifted("PSI of the score", score, limits.psi)]
    findings += [_shifted(f"CSI of {s.name}", s, limits.csi) for s in columns]
    columns.sort(key=lambda s: -s.index)
    return {"score": score, "columns": columns}, findings


def _shifted(what: str, shift: Shift, pair: tuple[float, float]) -> Finding:
    light = above(shift.index, pair, shift.index > shift.by_chance)
    text = f"{what} is {shift.index:.4f} ({shift.by_chance:.4f} by chance at 95 %), {shift.n_actual:,} rows"
    return Finding("shifts", what, light, shift.index, *pair, text)


def _data(
    model: CreditModel, profile: Profile, rows: NDArray[np.float32], limits: Thresholds
) -> tuple[dict[str, Any], list[Finding]]:
    """Unseen categories, missing values and values beyond limits."""
    n, columns, findings = len(rows), [], []
    for j, counted in enumerate(profile.columns):
        is_category = counted.bins.kind == "category"
        unseen = float((rows[:, j] < 0).mean()) if is_category else 0.0
        missing = float(np.isnan(rows[:, j]).mean())
        before = counted.counts[-1] / profile.n
        name = counted.bins.name
        columns.append(
            {"name": name, "unseen": unseen, "missing": missing, "missing_before": before}
        )
        was = counted.counts[-2] / profile.n if is_category else 0.0
        if is_category:
            light = above(unseen - was, limits.unseen)
            text = (
                f"{name}: {unseen:.2%} of {n:,} rows have a category never seen, {was:.2%} before"
            )
            findings.append(
                Finding("data", f"unseen in {name}", light, unseen - was, *limits.unseen, text)
            )
        change = abs(missing - before)
        if change:
            text = f"{name}: {missing:.2%} of {n:,} rows are missing, {before:.2%} before"
            light = above(change, limits.missing)
            findings.append(
                Finding("data", f"missing in {name}", light, change, *limits.missing, text)
            )
    n_beyond = len({p.row for p in model.check(rows) if p.kind == "limit"})
    share, was = n_beyond / n, profile.n_beyond / profile.n
    text = f"{n_beyond:,} of {n:,} rows are beyond the policy's limits, {was:.2%} before"
    light = above(share - was, limits.beyond)
    findings.append(Finding("data", "beyond limits", light, share - was, *limits.beyond, text))
    return {"columns": columns, "beyond": share, "beyond_before": was}, findings


def _decided(
    profile: Profile, said: Assessment, limits: Thresholds
) -> tuple[dict[str, Any], list[Finding]]:
    n = len(said.points)
    now = {d: float((said.decision == d).mean()) for d in ("approve", "refer", "decline")}
    before = {d: profile.decisions.get(d, 0) / profile.n for d in now}
    change = now["approve"] - before["approve"]
    pooled = (now["approve"] * n + before["approve"] * profile.n) / (n + profile.n)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / profile.n))
    text = f"{now['approve']:.2%} of {n:,} are approved, {before['approve']:.2%} of {profile.n:,} before"
    light = above(abs(change), limits.approval, abs(change) > 1.96 * error)
    finding = Finding("decisions", "approval rate", light, change, *limits.approval, text)
    return {"now": now, "before": before}, [finding]


def _outcomes(
    before: Outcomes | None,
    said: Assessment,
    known: NDArray[np.intp],
    labels: NDArray[np.int64],
    limits: Thresholds,
) -> tuple[dict[str, Any], list[Finding]]:
    """Calibration and ranking on the rows whose outcome is known."""
    if not len(labels):
        return {"not_computed": "no outcome is known yet"}, []
    p = said.probability[known].astype(np.float64)
    parts = expected_and_actual(labels, p)
    far = max(parts.ratio, 1 / parts.ratio) if parts.ratio else np.inf
    text = (
        f"{int(labels.sum()):,} defaults where {p.sum():,.1f} were expected, {len(labels):,} rows: "
        f"ratio {parts.ratio:.3f} (p {parts.test.p_value:.3g})"
    )
    light = above(far, limits.ratio, parts.test.p_value < 0.05)
    findings = [Finding("outcomes", "level of default", light, parts.ratio, *limits.ratio, text)]
    facts: dict[str, Any] = {"n": len(labels), "expected_and_actual": parts, "before": before}
    if before is None:
        facts["note"] = "the reference has no outcomes: grades and the AUC were not looked at"
        return facts, findings
    grades = grade_tests(before.scale, labels, p)
    adjusted = holm([g.jeffreys for g in grades])
    text = f"least Jeffreys p of {len(grades)} grades {min(adjusted):.3g}, Holm-adjusted"
    held = worst(below(v, limits.grade) for v in adjusted)
    findings.append(
        Finding("outcomes", "calibration by grade", held, min(adjusted), *limits.grade, text)
    )
    facts["grades"] = [{**finite(g), "holm": a} for g, a in zip(grades, adjusted, strict=True)]
    ones = int(labels.sum())
    if min(ones, len(labels) - ones) >= FEWEST_OF_A_CLASS:
        now = delong(labels, [-said.points[known].astype(np.float64)])
        test = unpaired_auc_test(before.delong, now)
        gap = test.difference.value
        text = (
            f"AUC {now.auc[0]:.4f}, {before.auc:.4f} before: {gap:+.4f} lost (p {test.p_value:.3g})"
        )
        light = above(gap, limits.auc_drop, test.p_value < 0.05)
        findings.append(Finding("outcomes", "fall of the AUC", light, gap, *limits.auc_drop, text))
        facts |= {"auc": now.interval(), "auc_test": test}
    else:
        facts["auc"] = None
        facts["note"] = f"fewer than {FEWEST_OF_A_CLASS} goods or bads: no AUC was taken"
    return facts, findings
