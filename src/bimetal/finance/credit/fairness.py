"""Fairness by groups: approval, errors and calibration of each, side by side, with counts and intervals.

Measures by group come from fairlearn's MetricFrame. The outcome that matters is approval of a good
applicant (equal opportunity: Hardt, Price and Srebro 2016); the adverse impact ratio is a group's
approval rate over the reference group's, with 0.80 (the "four-fifths" of US hiring guidelines, 1978)
shown as the convention that it is. Groups need not be columns of the model. A group of few rows is not
shown: its numbers would say nothing, and might say something about a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.columns.column import listed
from bimetal.errors import DataError, MissingExtraError
from bimetal.finance.credit.validation.calibration import expected_and_actual
from bimetal.finance.credit.validation.discrimination import delong
from bimetal.finance.credit.validation.estimate import Estimate, scipy_part

__all__ = [
    "FOUR_FIFTHS",
    "SMALLEST_GROUP",
    "Attribute",
    "Group",
    "by_group",
    "shown_groups",
    "uncertainty_coefficient",
    "wilson",
]

SMALLEST_GROUP = 30
FOUR_FIFTHS = 0.8
NOT_GIVEN = "(not given)"
MOST_GROUPS = 50

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """One group; what has no meaning for it is None.

    Attributes
    ----------
    name : str
    n : int or None
        Rows; None when the group is too small to be shown.
    n_bad : int or None
        Rows in default.
    is_suppressed : bool
    approved : Estimate or None
        Approval rate, Wilson's interval.
    referred : float or None
        Share that goes to a human: counted as not approved.
    adverse_impact : Estimate or None
        Approval rate over that of the reference group, with the log interval of Katz et al. (1978).
    approval_z : float or None
        Difference of approval rates to the reference, in pooled standard errors.
    true_positive, false_positive, precision : Estimate or None
        Approved among goods; approved among bads; good among approved. Wilson's intervals.
    expected : float or None
        Mean probability of default.
    actual : Estimate or None
        Default rate, Jeffreys' interval.
    calibration_p : float or None
        Of equal means.
    auc : Estimate or None
        DeLong; None with fewer than 10 of a class.
    mean_score : float or None
    score_gap : float or None
        Mean score less that of the reference, in standard deviations of all scores.
    """

    name: str
    is_suppressed: bool = False
    n: int | None = None
    n_bad: int | None = None
    approved: Estimate | None = None
    referred: float | None = None
    adverse_impact: Estimate | None = None
    approval_z: float | None = None
    true_positive: Estimate | None = None
    false_positive: Estimate | None = None
    precision: Estimate | None = None
    expected: float | None = None
    actual: Estimate | None = None
    calibration_p: float | None = None
    auc: Estimate | None = None
    mean_score: float | None = None
    score_gap: float | None = None


@dataclass(frozen=True)
class Attribute:
    """All groups of one attribute.

    Attributes
    ----------
    name : str
    reference : str
        The group that others are held to: the user's, or the one with the highest approval rate.
    groups : tuple of Group
    equal_opportunity_gap : float or None
        Largest less smallest true positive rate among the groups shown.
    smallest_ratio : float or None
        The least adverse impact ratio.
    """

    name: str
    reference: str
    groups: tuple[Group, ...]
    equal_opportunity_gap: float | None
    smallest_ratio: float | None


def by_group(
    name: str,
    groups: ArrayLike,
    y: ArrayLike,
    p: ArrayLike,
    score: ArrayLike,
    decision: ArrayLike,
    *,
    reference: str | None = None,
    smallest: int = SMALLEST_GROUP,
) -> Attribute:
    """Measure every group of an attribute.

    Parameters
    ----------
    name : str
        Of the attribute.
    groups : array_like of shape (n_rows,)
        The group of each row, any labels; missing ones are a group of their own.
    y : array_like
        1 for bad.
    p, score : array_like
        Probability of bad; score, higher is better.
    decision : array_like of str
        "approve", "refer", "decline".
    reference : str, optional
        Group to compare with.
    smallest : int
        Rows below which a group is not shown.

    Raises
    ------
    DataError
        When lengths differ, there are more than 50 groups, no group is large enough, or the reference
        is not among those shown.
    MissingExtraError
        When fairlearn is not installed.

    Examples
    --------
    >>> n = 100
    >>> found = by_group("sex", ["f", "m"] * n, [0, 1] * n, [0.1, 0.3] * n, [620, 590] * n,
    ...                  ["approve", "decline"] * n)
    >>> found.reference, found.groups[1].approved.value
    ('f', 0.0)
    """
    labels = _labels(groups)
    is_bad, given = np.asarray(y) == 1, np.asarray(p, np.float64)
    scores, decided = np.asarray(score, np.float64), np.asarray(decision, str)
    if {a.shape for a in (labels, is_bad, given, scores, decided)} != {(len(labels),)}:
        raise DataError(f"groups of '{name}': one value for each row of the table expected")
    names, shown = shown_groups(name, labels, smallest)
    frame = _frame(labels, ~is_bad, decided == "approve")
    held = _reference(name, reference, shown, frame)
    spread = float(scores.std()) or 1.0
    found = []
    for group in names:
        here = labels == group
        if group not in shown:
            found.append(Group(group, is_suppressed=True))
            continue
        found.append(
            _group(group, here, labels == held, frame, is_bad, given, scores, decided, spread)
        )
    rates = [g.true_positive.value for g in found if g.true_positive is not None]
    ratios = [g.adverse_impact.value for g in found if g.adverse_impact is not None]
    gap = max(rates) - min(rates) if rates else None
    return Attribute(name, held, tuple(found), gap, min(ratios, default=None))


def shown_groups(
    name: str, groups: ArrayLike, smallest: int = SMALLEST_GROUP
) -> tuple[list[str], list[str]]:
    """Return the groups of an attribute, and those that are large enough to be shown.

    Raises
    ------
    DataError
        When there are more than 50 groups, or none is large enough.
    """
    names, n = np.unique(_labels(groups), return_counts=True)
    shown = [str(g) for g, k in zip(names, n, strict=True) if k >= smallest]
    if len(names) > MOST_GROUPS or not shown:
        raise DataError(
            f"groups of '{name}': at most {MOST_GROUPS} groups, one of at least {smallest} rows, "
            f"expected, got {len(names)} of {n.max(initial=0)} rows at most; cut numbers into bands"
        )
    return [str(group) for group in names], shown


def _frame(labels: NDArray[np.str_], is_good: Bools, is_approved: Bools) -> Any:
    """Rates by group, by fairlearn; a rate without rows to take it of is 0 there, and unused here."""
    try:
        from fairlearn import metrics as fair
    except ImportError as error:
        raise MissingExtraError("fairlearn", "credit", "fairness by groups") from error
    measures = {
        "approved": fair.selection_rate,
        "true_positive": fair.true_positive_rate,
        "false_positive": fair.false_positive_rate,
        "precision": _precision,
    }
    frame = fair.MetricFrame(
        metrics=measures, y_true=is_good.astype(int), y_pred=is_approved.astype(int),
        sensitive_features=labels,
    )  # fmt: skip
    return frame.by_group


def _precision(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    chosen = np.asarray(y_pred) == 1
    return float(np.asarray(y_true)[chosen].mean()) if chosen.any() else 0.0


def _group(
    group: str, here: Bools, held: Bools, frame: Any, is_bad: Bools, p: NDArray[np.float64],
    scores: NDArray[np.float64], decided: NDArray[np.str_], spread: float,
) -> Group:  # fmt: skip
    approved = decided == "approve"
    n, n_bad = int(here.sum()), int(is_bad[here].sum())
    of = {
        "approved": n,
        "true_positive": n - n_bad,
        "false_positive": n_bad,
        "precision": int(approved[here].sum()),
    }
    rates = {k: _rate(float(frame.loc[group, k]), m) for k, m in of.items()}
    parts = expected_and_actual(is_bad[here], p[here])
    counts = [int(c.sum()) for c in (approved[here], here, approved[held], held)]
    is_reference = bool((here == held).all())
    mean = float(scores[here].mean())
    return Group(
        name=group,
        n=n,
        n_bad=n_bad,
        referred=float((decided[here] == "refer").mean()),
        adverse_impact=None if is_reference else _ratio(*counts),
        approval_z=None if is_reference else _pooled_z(*counts),
        expected=parts.expected,
        actual=parts.actual,
        calibration_p=parts.test.p_value,
        auc=delong(is_bad[here], [-scores[here]]).interval()
        if min(n_bad, n - n_bad) >= 10
        else None,
        mean_score=mean,
        score_gap=None if is_reference else (mean - float(scores[held].mean())) / spread,
        approved=rates["approved"],
        true_positive=rates["true_positive"],
        false_positive=rates["false_positive"],
        precision=rates["precision"],
    )


def wilson(n_hits: int, n: int, level: float = 0.95) -> Estimate:
    """Return a share with Wilson's interval (1927, Journal of the American Statistical Association 22).

    Examples
    --------
    >>> e = wilson(8, 10)
    >>> round(e.low, 4), round(e.high, 4)
    (0.4902, 0.9433)
    """
    found = scipy_part("stats").binomtest(n_hits, n).proportion_ci(level, method="wilson")
    return Estimate(n_hits / n, float(found.low), float(found.high), n, f"Wilson {level:.0%}")


def _rate(rate: float, n: int) -> Estimate | None:
    return wilson(round(rate * n), n) if n else None


def _ratio(hits: int, n: int, held_hits: int, held_n: int) -> Estimate | None:
    """Ratio of two shares, with the interval of its logarithm (Katz et al. 1978, Biometrics 34).

    Where one has no hits, half a hit is added to both for the interval (the logarithm of 0 has none).
    """
    if not held_hits:
        return None
    extra = 0.0 if hits else 0.5
    a, b = hits + extra, held_hits + extra
    log_ratio = float(np.log((a / (n + extra)) / (b / (held_n + extra))))
    error = float(np.sqrt(max(0.0, 1 / a - 1 / (n + extra) + 1 / b - 1 / (held_n + extra))))
    low, high = np.exp(log_ratio - 1.959964 * error), np.exp(log_ratio + 1.959964 * error)
    value = (hits / n) / (held_hits / held_n)
    return Estimate(value, float(low) if hits else 0.0, float(high), n + held_n, "Katz log 95 %")


def _pooled_z(hits: int, n: int, held_hits: int, held_n: int) -> float | None:
    share = (hits + held_hits) / (n + held_n)
    error = np.sqrt(share * (1 - share) * (1 / n + 1 / held_n))
    return float((hits / n - held_hits / held_n) / error) if error > 0 else None


def _labels(groups: ArrayLike) -> NDArray[np.str_]:
    given = np.asarray(groups)
    if given.dtype.kind == "f":
        given = given.astype(object)
    names = [
        NOT_GIVEN if v is None or v != v else str(int(v)) if isinstance(v, float) and v.is_integer() else str(v)
        for v in given.tolist()
    ]  # fmt: skip
    return np.asarray(names, str)


def _reference(name: str, wanted: str | None, shown: Sequence[str], frame: Any) -> str:
    if wanted is not None and wanted not in shown:
        raise DataError(
            f"the reference group of '{name}' must be one of those shown, {listed(shown)}; got {wanted!r}"
        )
    candidates = [g for g in shown if g != NOT_GIVEN] or list(shown)
    return wanted or max(candidates, key=lambda g: float(frame.loc[g, "approved"]))


def uncertainty_coefficient(groups: ArrayLike, values: ArrayLike, n_bins: int = 20) -> float:
    """Return how much of what there is to know about the group a column tells: 0 nothing, 1 all.

    Theil's coefficient, ``(H(group) − H(group | value)) / H(group)`` with entropies H (Theil 1970,
    American Journal of Sociology 76). A number of more distinct values is cut into `n_bins` of equal
    counts; few rows make it too high, by about ``(bins − 1)(groups − 1) / (2 n H)``.

    Parameters
    ----------
    groups : array_like of shape (n_rows,)
        Labels.
    values : array_like of shape (n_rows,)
        Raw values of the column: a number, a category's code, or NaN.
    n_bins : int

    Examples
    --------
    >>> ages = np.arange(100) % 50 + 20.0
    >>> uncertainty_coefficient(np.where(ages < 40, "young", "old"), ages)
    1.0
    """
    labels, given = _labels(groups), np.asarray(values, np.float64)
    if len(np.unique(given)) > n_bins:
        cuts = np.unique(np.nanquantile(given, np.linspace(0, 1, n_bins + 1)[1:-1]))
        given = np.where(np.isnan(given), np.nan, np.searchsorted(cuts, given, side="right"))
    _, row = np.unique(labels, return_inverse=True)
    _, column = np.unique(given, return_inverse=True)
    joint = np.zeros((row.max() + 1, column.max() + 1))
    np.add.at(joint, (row, column), 1 / len(labels))
    h_group = _entropy(joint.sum(axis=1))
    told = h_group + _entropy(joint.sum(axis=0)) - _entropy(joint.ravel())
    return float(np.clip(told / h_group, 0, 1)) if h_group > 0 else 0.0


def _entropy(shares: NDArray[np.float64]) -> float:
    known = shares[shares > 0]
    return float(-(known * np.log(known)).sum())
