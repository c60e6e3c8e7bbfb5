"""The sections on fairness: which are on, by whose choice, and what they find."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bimetal.errors import DataError
from bimetal.finance.credit.fairness import (
    FOUR_FIFTHS,
    SMALLEST_GROUP,
    Attribute,
    by_group,
    shown_groups,
    uncertainty_coefficient,
)
from bimetal.finance.credit.jurisdictions import NOTE, jurisdiction_named, switches
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.validation.case import Case, Facts, Sample, column_of
from bimetal.finance.credit.validation.thresholds import Finding, Light, above, below, worst

__all__ = ["fair", "groups_of", "require_groups"]

MOST_REASONED = 500
STAND_IN = 0.5
"""Uncertainty coefficient from which a column all but tells a group."""


def groups_of(
    given: Mapping[str, ArrayLike] | Sequence[str] | None, table: Any, n: int
) -> dict[str, Any]:
    """Return the group of each row by attribute; names are read from the table, "a+b" crosses two.

    Raises
    ------
    ColumnError
        When the table has no such column.
    DataError
        When an array has another length.
    """
    if not given:
        return {}
    if isinstance(given, Mapping):
        found = {str(k): np.asarray(v) for k, v in given.items()}
    else:
        found = {name: _crossed(table, name) for name in given}
    for name, values in found.items():
        if values.shape != (n,):
            raise DataError(f"groups of '{name}': {n} values expected, got shape {values.shape}")
    return found


def require_groups(
    groups: Mapping[str, Any],
    jurisdiction: str,
    force_on: Sequence[str] = (),
    force_off: Sequence[str] = (),
) -> None:
    """Refuse groups that the section on effects could not compare, before anything is computed.

    Raises
    ------
    DataError
        When it is on, and an attribute has too many groups or none that is large enough.
    """
    chosen = switches(jurisdiction, force_on, force_off)
    if any(s.section == "effects" and s.is_on for s in chosen):
        for name, labels in groups.items():
            shown_groups(name, labels)


def _crossed(table: Any, name: str) -> Any:
    parts = [column_of(table, part.strip()) for part in name.split("+")]
    if len(parts) == 1:
        return parts[0]
    rows = zip(*(p.tolist() for p in parts), strict=True)
    return np.asarray([" / ".join("(not given)" if v is None else str(v) for v in r) for r in rows])


def fair(
    case: Case,
    jurisdiction: str,
    groups: Mapping[str, Any],
    references: Mapping[str, str],
    force_on: Sequence[str] = (),
    force_off: Sequence[str] = (),
) -> Facts:
    """Return the switches and the sections that are on."""
    entry = jurisdiction_named(jurisdiction)
    chosen = switches(jurisdiction, force_on, force_off)
    on = {s.section for s in chosen if s.is_on}
    facts: dict[str, Any] = {
        "jurisdiction": entry,
        "switches": chosen,
        "note": NOTE,
        "attributes": list(groups),
        "smallest_group": SMALLEST_GROUP,
        "four_fifths": FOUR_FIFTHS,
    }
    findings: list[Finding] = []
    if "effects" in on:
        facts["effects"], found = _effects(case, groups, references)
        findings += found
    if "treatment" in on:
        facts["treatment"], found = _treatment(case, groups)
        findings += found
    if "reasons" in on:
        facts["reasons"], found = _reasons(case.model, case.sample)
        findings += found
    return facts, findings


def _effects(case: Case, groups: Mapping[str, Any], references: Mapping[str, str]) -> Facts:
    if not groups:
        return {"not_computed": "no groups were given"}, []
    sample = case.sample
    found: list[Attribute] = [
        by_group(
            name, values, sample.y, sample.p, sample.said.score, sample.said.decision,
            reference=references.get(name),
        )
        for name, values in groups.items()
    ]  # fmt: skip
    return {"groups": found}, [f for a in found for f in _found(case, a)]


def _found(case: Case, attribute: Attribute) -> list[Finding]:
    pair, findings = case.thresholds.adverse_impact, []
    compared = [g for g in attribute.groups if g.adverse_impact is not None]
    # A ratio is called low when its interval stays under 1: few rows alone make no finding.
    lights: list[Light] = [
        below(g.adverse_impact.value, pair, (g.adverse_impact.high or 0) < 1)
        for g in compared
        if g.adverse_impact is not None
    ]
    if attribute.smallest_ratio is not None:
        ratio = attribute.smallest_ratio
        text = f"{attribute.name}: least adverse impact ratio {ratio:.3f} against '{attribute.reference}'"
        findings.append(
            Finding("fairness", f"approval by {attribute.name}", worst(lights), ratio, *pair, text)
        )
    limits, off = case.thresholds.group_ratio, []
    shown = [g for g in attribute.groups if g.actual is not None and g.expected]
    for g in shown:
        assert g.actual is not None and g.expected and g.calibration_p is not None
        ratio = g.actual.value / g.expected
        far = max(ratio, 1 / ratio if ratio else np.inf)
        off.append(above(far, limits, g.calibration_p * len(shown) < 0.05))
    n_off = sum(light != "green" for light in off)
    text = (
        f"{attribute.name}: {n_off} of {len(shown)} groups with a default rate other than expected"
    )
    what = f"calibration by {attribute.name}"
    return [*findings, Finding("fairness", what, worst(off), n_off, None, None, text)]


def _treatment(case: Case, groups: Mapping[str, Any]) -> Facts:
    """Tell which attributes the model reads, and which columns of the model all but tell them."""
    columns = [c.name for c in case.model.program.columns]
    read = sorted({p for a in groups for p in a.split("+") if p.strip() in columns})
    told: list[dict[str, Any]] = [
        {"attribute": a, "column": name, "coefficient": uncertainty_coefficient(labels, values)}
        for a, labels in groups.items()
        for name, values in zip(columns, case.sample.rows.T, strict=True)
    ]
    told.sort(key=lambda s: (list(groups).index(s["attribute"]), -s["coefficient"]))
    close = [s for s in told if s["coefficient"] >= STAND_IN]
    light: Light = "red" if read else "amber" if close else "green"
    text = (
        f"the model reads {', '.join(read)}" if read
        else f"none of {', '.join(groups) or 'the groups (none were named)'} is a column of the model"
    )  # fmt: skip
    if close:
        text += "; " + ", ".join(f"'{s['column']}' all but tells {s['attribute']}" for s in close)
    finding = Finding("fairness", "attributes as inputs", light, len(read), None, None, text)
    shown = [s for a in groups for s in [t for t in told if t["attribute"] == a][:3]]
    return {"read": read, "stand_ins": shown, "n": len(case.sample.y)}, [finding]


def _reasons(model: CreditModel, sample: Sample) -> Facts:
    """Count reasons of those not approved: up to 500 of them, evenly over the rows."""
    declined = np.flatnonzero(~sample.is_approved)
    if not len(declined):
        return {"not_computed": "every application is approved"}, []
    if not model.policy.references:
        text = "the policy has no references: no reasons can be given"
        finding = Finding("fairness", "reasons", "red", None, None, None, text)
        return {"not_computed": text}, [finding]
    picked = declined[np.unique(np.linspace(0, len(declined) - 1, MOST_REASONED).astype(int))]
    given = model.reasons(sample.rows[picked])
    n_without = sum(not reasons for reasons in given)
    counts = Counter(reason.group for reasons in given for reason in reasons)
    worded = {*model.policy.texts}
    unworded = sorted(g for g in counts if g not in worded)
    light: Light = "red" if n_without else "amber" if unworded else "green"
    text = (
        f"{n_without} of {len(picked)} not approved have no reason; at most "
        f"{max(map(len, given))} a person; {len(unworded)} reasons have no text of their own"
    )
    facts = {
        "n": len(picked),
        "n_without": n_without,
        "most": max(map(len, given)),
        "shares": {g: n / len(picked) for g, n in counts.most_common()},
        "unworded": unworded,
    }
    return facts, [Finding("fairness", "reasons", light, n_without, None, None, text)]
