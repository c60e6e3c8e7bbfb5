"""Challengers on the same rows: any model with `predict_proba`, or a name, which is trained here.

Differences of AUC are DeLong's, paired; those of the Brier score are means over rows of the difference
of squared errors, paired as well. The dull baseline belongs into the table, and is told when it wins.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import metrics
from bimetal.errors import DataError
from bimetal.finance.credit.validation.calibration import mean_loss
from bimetal.finance.credit.validation.case import Case, Facts
from bimetal.finance.credit.validation.discrimination import (
    auc_difference,
    delong,
    h_measure,
)
from bimetal.finance.credit.validation.estimate import Estimate
from bimetal.finance.credit.validation.thresholds import Finding, above, worst

__all__ = ["compared", "made", "trained"]

SHORT = {"woe": "woe_logistic", "logistic": "woe_logistic", "lgbm": "lightgbm"}
OURS = "this model"


def made(given: Mapping[str, Any] | Sequence[str] | None, case: Case) -> dict[str, Any]:
    """Return fitted challengers by title; names are trained on the rows of the development.

    Raises
    ------
    DataError
        When names come without a development, or a model has no `predict_proba`.
    """
    if not given:
        return {}
    if isinstance(given, Mapping):
        odd = [name for name, model in given.items() if not hasattr(model, "predict_proba")]
        if odd:
            raise DataError(f"challengers with predict_proba expected; {odd[0]!r} has none")
        return dict(given)
    if case.development is None:
        raise DataError(
            f"challengers by name ({', '.join(given)}) are trained on rows of the development: give "
            "these, or fitted models"
        )
    names = [c.name for c in case.model.program.columns]
    sample = case.development
    return trained(given, sample.table, sample.y, names, seed=case.seed, progress=case.progress)


def trained(
    names: Sequence[str],
    table: Any,
    y: ArrayLike,
    columns: Sequence[str],
    *,
    seed: int = 0,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Train challengers by name, on the columns that the model reads; returned by title.

    Parameters
    ----------
    names : sequence of str
        "woe", "lightgbm", "lightgbm_default", "ebm".
    table, y
        Rows, and outcomes of 0 and 1.
    columns : sequence of str
        Of a frame: which to learn from.
    seed : int
    progress : callable

    Raises
    ------
    DataError
        When a name is unknown.
    MissingExtraError
        When its package is not installed.
    """
    from bimetal.finance.credit.challengers import LABELS, make

    found = {}
    for name in names:
        known = SHORT.get(name, name)
        rival = make(known, random_state=seed)
        progress(f"training the challenger {name}")
        found[LABELS.get(known, known)] = rival.fit(_selected(table, columns), y)
    return found


def compared(case: Case, rivals: Mapping[str, Any]) -> Facts:
    """Return the table, the model first, and who leads it."""
    if not rivals:
        return {"not_computed": "no challengers were given"}, []
    sample = case.sample
    p = [_probability(model, title, sample.table, len(sample.y)) for title, model in rivals.items()]
    found = delong(sample.y, [sample.risk, *p])
    rows = [_row(OURS, found.interval(0), sample.y, sample.risk, sample.p)]
    ours = (sample.p - sample.y) ** 2
    lights, pair = [], case.thresholds.challenger
    for k, (title, theirs) in enumerate(zip(rivals, p, strict=True), 1):
        test = auc_difference(found, k, 0)
        gap = test.difference.value
        lights.append(above(gap, pair, test.p_value < 0.05))
        rows.append(
            _row(title, found.interval(k), sample.y, theirs, theirs)
            | {"lead": test, "brier_lead": _mean(ours - (theirs - sample.y) ** 2)}
        )
    leads = [row["lead"].difference.value for row in rows[1:]]
    best = int(np.argmax(leads))
    nearest = rows[best + 1]
    text = (
        f"best of them, {nearest['name']}: AUC {leads[best]:+.4f} beside this model "
        f"(p {nearest['lead'].p_value:.3g})"
    )
    finding = Finding("challengers", "challengers", worst(lights), leads[best], *pair, text)
    return {"models": rows, "n": len(sample.y)}, [finding]


def _row(
    name: str, auc: Estimate, y: NDArray[Any], risk: NDArray[Any], p: NDArray[np.float64]
) -> dict[str, Any]:
    return {
        "name": name,
        "auc": auc,
        "ks": metrics.ks(y, risk),
        "h": h_measure(y, risk),
        "brier": mean_loss(y, p, "brier"),
        "log_loss": mean_loss(y, p, "log_loss"),
    }


def _mean(differences: NDArray[np.float64]) -> Estimate:
    value, n = float(differences.mean()), len(differences)
    half = 1.959964 * float(differences.std(ddof=1)) / np.sqrt(n)
    return Estimate(value, value - half, value + half, n, "normal 95 %, paired")


def _probability(model: Any, title: str, table: Any, n: int) -> NDArray[np.float64]:
    p = np.asarray(model.predict_proba(table), np.float64)
    if p.shape != (n, 2) or not ((p >= 0) & (p <= 1)).all():
        raise DataError(
            f"challenger '{title}': two probabilities a row expected, shape ({n}, 2), got {p.shape}"
        )
    return p[:, 1]


def _selected(table: Any, columns: Sequence[str]) -> Any:
    """Return these columns of a frame; an array as it is."""
    import narwhals as nw

    frame = nw.from_native(table, eager_only=True, pass_through=True)
    return frame.select(columns).to_native() if isinstance(frame, nw.DataFrame) else table
