"""Outcomes analysis: does the score rank, do its probabilities hold, by grade and by period."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import metrics
from bimetal.finance.credit.validation import calibration as cal
from bimetal.finance.credit.validation.case import Case, Facts, Sample, tried
from bimetal.finance.credit.validation.discrimination import (
    auc_alone,
    delong,
    discrimination,
    unpaired_auc_test,
)
from bimetal.finance.credit.validation.grades import (
    Concentration,
    Grade,
    MasterScale,
    grade_tests,
    holm,
    migration,
)
from bimetal.finance.credit.validation.stability import (
    SMOOTHING,
    periods_of,
    shift_of_counts,
    vintages,
)
from bimetal.finance.credit.validation.thresholds import Finding, Light, above, below, worst

__all__ = ["calibrated", "graded", "moved", "over_time", "ranked", "stable"]

CURVE_POINTS = 200


def ranked(case: Case) -> Facts:
    """Discrimination, its curves, and its fall since development."""
    sample, pair = case.sample, case.thresholds.auc
    found = discrimination(sample.y, sample.risk, n_resamples=case.n_resamples, seed=case.seed)
    auc = found["auc"]
    text = f"AUC {auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f}, {auc.n:,} rows)"
    findings = [
        Finding("outcomes", "discrimination", below(auc.value, pair), auc.value, *pair, text)
    ]
    facts: dict[str, Any] = {"measures": found, "curves": _curves(sample)}
    if case.development is not None:
        more, finding = _fallen(case, case.development)
        facts |= more
        findings.append(finding)
    return facts, findings


def _fallen(case: Case, development: Sample) -> tuple[dict[str, Any], Finding]:
    """Compare the AUC of the development with that of the validation.

    A model ranks the very rows that it learned from too well, so that their AUC would fall even
    where nothing has changed. The one out of fold, which the trainer left in the file, is taken
    where there is one.
    """
    out_of_fold = _auc_out_of_fold(case)
    if out_of_fold is None:
        then, source = delong(development.y, [development.risk]), "in sample"
    else:
        then, source = auc_alone(out_of_fold, development.y), "out of fold"
    test = unpaired_auc_test(then, delong(case.sample.y, [case.sample.risk]))
    gap, pair = test.difference.value, case.thresholds.auc_drop
    text = (
        f"AUC of the development, {source}, less that of the validation {gap:+.4f} "
        f"(p {test.p_value:.3g})"
    )
    facts = {
        "development_auc": then.interval(),
        "development_auc_source": source,
        "development_test": test,
    }
    light = above(gap, pair, test.p_value < 0.05)
    return facts, Finding("outcomes", "fall of the AUC", light, gap, *pair, text)


def _auc_out_of_fold(case: Case) -> float | None:
    measures = case.model.program.provenance.get("measures")
    value = measures.get("auc") if isinstance(measures, dict) else None
    return value if isinstance(value, float) and 0 <= value <= 1 else None


def calibrated(case: Case) -> Facts:
    """Calibration over all rows."""
    y, p = case.sample.y, case.sample.p
    bins = metrics.reliability(y, p)
    place = np.searchsorted(np.unique(np.quantile(p, np.linspace(0, 1, 11)[1:-1])), p, "right")
    parts = cal.expected_and_actual(y, p)
    slope = tried(lambda: cal.cox(y, p))
    facts: dict[str, Any] = {
        "brier": cal.mean_loss(y, p, "brier"),
        "log_loss": cal.mean_loss(y, p, "log_loss"),
        "brier_parts": cal.brier_parts(y, p, place),
        "expected_and_actual": parts,
        "cox": slope if isinstance(slope, dict) else {"intercept": slope[0], "slope": slope[1]},
        "hosmer_lemeshow": tried(lambda: cal.hosmer_lemeshow(y, p)),
        "spiegelhalter": tried(lambda: cal.spiegelhalter(y, p)),
        "reliability": {k: getattr(bins, k) for k in ("predicted", "observed", "low", "high", "n")},
    }
    pair, far = case.thresholds.ratio, max(parts.ratio, 1 / parts.ratio)
    text = (
        f"{int(y.sum()):,} defaults where {p.sum():,.1f} were expected: ratio {parts.ratio:.3f} "
        f"(p {parts.test.p_value:.3g})"
    )
    light = above(far, pair, parts.test.p_value < 0.05)
    findings = [Finding("outcomes", "level of default", light, parts.ratio, *pair, text)]
    for key, name in (("hosmer_lemeshow", "Hosmer–Lemeshow"), ("spiegelhalter", "Spiegelhalter")):
        if not isinstance(facts[key], dict):
            value, limits = facts[key].p_value, case.thresholds.calibration_test
            said = f"{name}: p {value:.3g} on {len(y):,} rows"
            findings.append(Finding("outcomes", name, below(value, limits), value, *limits, said))
    return facts, findings


def graded(case: Case, scale: MasterScale | None, asset_correlation: float) -> Facts:
    """Test grade by grade, and measure concentration."""
    sample, reference = case.sample, case.reference
    smallest = max(30, min(200, len(reference.p) // 20))
    used = scale or MasterScale.made(reference.p, smallest=smallest)
    found = grade_tests(used, sample.y, sample.p, asset_correlation=asset_correlation)
    counts = np.bincount(used.grade(sample.p), minlength=used.n_grades + 1)[1:]
    spread = Concentration.of(counts)
    adjusted, pair = holm([g.jeffreys for g in found]), case.thresholds.grade
    light, least = worst(below(v, pair) for v in adjusted), min(adjusted)
    text = f"least Jeffreys p of {len(found)} grades {least:.3g}, Holm-adjusted"
    findings = [Finding("outcomes", "calibration by grade", light, least, *pair, text)]
    limits = case.thresholds.concentration
    text = (
        f"normalised Herfindahl index {spread.normalised:.3f} over {used.n_grades} grades; "
        f"{spread.largest:.1%} in the fullest"
    )
    held = above(spread.normalised, limits)
    findings.append(Finding("outcomes", "concentration", held, spread.normalised, *limits, text))
    facts = {
        "scale": {"bounds": list(used.bounds), "is_given": scale is not None},
        "asset_correlation": asset_correlation,
        "grades": [_with(g, a) for g, a in zip(found, adjusted, strict=True)],
        "concentration": spread,
    }
    return facts, findings


def stable(case: Case) -> Facts:
    """PSI of the score and CSI of every column, against the development."""
    if case.development is None:
        return {"not_computed": "no rows of the development were given"}, []
    then, now, unit = case.development, case.sample, case.model.policy.scaling.unit
    bins = case.score_bins()
    score = shift_of_counts(
        bins, bins.counts(then.said.points / unit), bins.counts(now.said.points / unit)
    )
    columns = [
        shift_of_counts(b, b.counts(then.rows[:, j]), b.counts(now.rows[:, j]))
        for j, b in enumerate(case.binnings())
    ]
    columns.sort(key=lambda s: -s.index)
    findings = []
    for name, shifts, pair in (
        ("PSI of the score", [score], case.thresholds.psi),
        ("CSI of the columns", columns, case.thresholds.csi),
    ):
        lights: list[Light] = [above(s.index, pair, s.index > s.by_chance) for s in shifts]
        most = shifts[0]
        text = f"{name}: at most {most.index:.4f} ({most.name}; {most.by_chance:.4f} by chance at 95 %)"
        findings.append(Finding("outcomes", name, worst(lights), most.index, *pair, text))
    return {"score": score, "columns": columns, "smoothing": SMOOTHING}, findings


def over_time(case: Case, dates: ArrayLike | None) -> Facts:
    """AUC, default rate and PSI period by period."""
    if dates is None:
        return {"not_computed": "no column of dates was given"}, []
    sample, bins = case.sample, case.score_bins()
    unit = case.model.policy.scaling.unit
    reference = bins.counts(case.reference.said.points / unit)
    found = vintages(
        periods_of(dates), sample.y, sample.p, sample.said.points / unit, sample.is_approved,
        bins, reference,
    )  # fmt: skip
    pair = case.thresholds.ratio
    adjusted = holm([v.p_value for v in found])
    lights: list[Light] = []
    for v, p_value in zip(found, adjusted, strict=True):
        ratio = v.actual.value / v.expected if v.expected else 1.0
        lights.append(above(max(ratio, 1 / ratio if ratio else np.inf), pair, p_value < 0.05))
    n_off = sum(light != "green" for light in lights)
    text = (
        f"{n_off} of {len(found)} periods have a default rate other than expected (Holm-adjusted)"
    )
    finding = Finding("outcomes", "default rate by period", worst(lights), n_off, None, None, text)
    return {"vintages": found}, [finding]


def moved(case: Case, scale: MasterScale, dates: ArrayLike | None, ids: ArrayLike | None) -> Any:
    """Migration of the same applicants from their first date to their last."""
    if dates is None or ids is None:
        return {"not_computed": "applicants at two dates need a column of dates and one of ids"}
    first, last = _ends(np.asarray(dates), np.asarray(ids).astype(str))
    if not len(first):
        return {"not_computed": "no id occurs at two dates"}
    grades = scale.grade(case.sample.p)
    return migration(grades[first], grades[last], scale.n_grades)


def _ends(dates: NDArray[Any], ids: NDArray[np.str_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of the first and of the last date of each id that has two dates."""
    order = np.lexsort((np.unique(dates.astype(str), return_inverse=True)[1], ids))
    sorted_ids = ids[order]
    starts = np.flatnonzero(np.r_[True, sorted_ids[1:] != sorted_ids[:-1]])
    ends = np.r_[starts[1:], len(ids)] - 1
    first, last = order[starts], order[ends]
    moved_on = dates[first].astype(str) != dates[last].astype(str)
    return first[moved_on], last[moved_on]


def _with(grade: Grade, adjusted: float) -> dict[str, Any]:
    return {**{k: getattr(grade, k) for k in grade.__dataclass_fields__}, "holm": adjusted}


def _curves(sample: Sample) -> dict[str, Any]:
    """ROC and score distributions, few enough points to be drawn."""
    curve = metrics.roc(sample.y, sample.risk)
    kept = np.unique(np.linspace(0, len(curve.threshold) - 1, CURVE_POINTS).round().astype(int))
    score = sample.said.score
    edges = np.linspace(score.min(), max(score.max(), score.min() + 1), 41)
    return {
        "false_positive": curve.false_positive[kept],
        "true_positive": curve.true_positive[kept],
        "score_edges": edges,
        "goods": np.histogram(score[sample.y == 0], edges)[0],
        "bads": np.histogram(score[sample.y == 1], edges)[0],
    }
