"""All that the page knows of a model, as JSON values: fields, bins, points, rules, policy, and proofs of itself.

The scorer is exported beside it. This is what explains: the same whole numbers as in Python, and rows
with their points and contributions by which the page tests its own arithmetic before it speaks.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.explain.grid import Bin, ColumnBins, has_missing_bit
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.page.settings import PageSettings

__all__ = ["LARGEST_SAFE", "facts_of", "rows_of_bins"]

LARGEST_SAFE = 2**53 - 1
"""Up to here float64, and so JavaScript, has every whole number."""
N_PROOFS = 16
"""Rows whose points and contributions the page recomputes when it loads."""
N_CHANGES = 4
"""Rows of these for which it also looks for the nearest approval."""
MOST_OPTIONS = 3
"""Ways to approval that it shows."""
MOST_LISTED = 1000
"""Categories of a column up to which a bin names those that share it."""


def facts_of(model: CreditModel, settings: PageSettings) -> dict[str, Any]:
    """Return what the page knows.

    Raises
    ------
    ExportError
        When the model has dense layers, which a page cannot explain, or numbers beyond float64's.
    DataError
        When the settings speak of other columns, or the policy has no references.
    """
    settings.require_columns(model.program.columns, [date.column for date in model.policy.dates])
    _require_explainable(model)
    return {
        **{name: getattr(settings, name) for name in ("title", "lender", "notice")},
        "verifyUrl": settings.verify_url,
        "needsKey": settings.needs_key,
        "program": model.id,
        "file": model.file_hash,
        "policy": model.policy_id,
        "rules": _rules(model),
        "columns": [_column(model, settings, bins) for bins in model.form.columns],
        "sections": _sections(model, settings),
        "example": dict(settings.example),
        "encode": _encode(model),
        "form": _form(model),
        "players": _players(model),
        "references": [list(row) for row in model.policy.references],
        "denominator": model.explainer.denominator,
        "proofs": _proofs(model),
    }


def rows_of_bins(model: CreditModel, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Return raw rows drawn from the bins of the columns, float32 (n, n_columns), NaN where missing."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n, model.program.n_columns), np.float32)
    for column in model.form.columns:
        allowed = [
            b.value for b in column.bins if b.kind != "missing" or _allows_missing(model, column)
        ]
        rows[:, column.index] = rng.choice(np.array(allowed, np.float32), n)
    return rows


def _require_explainable(model: CreditModel) -> None:
    if model.form.rest is not None:
        raise ExportError(
            "a page explains points and rules, but this Program has dense layers as well; export it "
            "with `bimetal export` instead, or train a BinaryScorecard, which has none"
        )
    form = model.form
    total = abs(form.bias) + int(np.abs(form.direct).sum()) + int(np.abs(form.weights).sum())
    largest = 2 * total * model.explainer.denominator
    if largest > LARGEST_SAFE:  # each sum in explain.js is of at most these terms, once or twice
        raise ExportError(
            f"contributions up to {largest} do not fit into float64's whole numbers; use coarser points, "
            "shorter rules or fewer references"
        )
    for column in model.program.columns:
        if any(isinstance(c, int) and abs(c) > LARGEST_SAFE for c in column.categories):
            raise ExportError(
                f"category codes of '{column.name}' beyond 2**53 are no numbers of a page; use text for them"
            )


def _rules(model: CreditModel) -> dict[str, Any]:
    policy = model.policy
    return {
        "unit": policy.scaling.unit,
        "pdo": policy.scaling.pdo,
        "cutoff": policy.cutoff,
        "refer": None if policy.refer is None else list(policy.refer),
        "approval": policy.approval_points,
        "maxReasons": policy.max_reasons,
        "immutable": list(policy.immutable),
        "oneWay": dict(policy.one_way),
    }


def _column(model: CreditModel, settings: PageSettings, bins: ColumnBins) -> dict[str, Any]:
    column, names = bins.column, settings.categories.get(bins.name, {})
    date = next((d for d in model.policy.dates if d.name == column.name), None)
    asked = column.name if date is None else date.column
    least, greatest = model.policy.limits.get(column.name, (None, None))
    allows_other = column.kind == "category" and model.policy.unknown_category == "other"
    return {
        "name": column.name,
        "label": settings.label(asked),
        "hint": settings.hints.get(asked, ""),
        "unit": settings.units.get(column.name, "" if date is None else date.unit),
        "date": None if date is None else date.unit,
        "kind": column.kind,
        "categories": [names.get(str(c), str(c)) for c in column.categories],
        "values": list(column.categories),
        "allowsMissing": _allows_missing(model, bins),
        "other": _stranger(column.categories) if allows_other else None,
        "isWhole": date is not None or column.name in settings.whole,
        "least": least,
        "greatest": greatest,
        "isImmutable": column.name in model.policy.immutable,
        "nOrdered": bins.n_ordered,
        "bins": [_bin(b, _bin_label(model, bins, k, names)) for k, b in enumerate(bins.bins)],
    }


def _stranger(categories: tuple[str | int, ...]) -> str | int:
    """Return a value that is no category: what a page sends for "other"."""
    if categories and all(isinstance(c, int) for c in categories):
        return next(n for n in range(-1, -len(categories) - 2, -1) if n not in categories)
    text = "(not listed)"
    while text in categories:
        text += "'"
    return text


def _allows_missing(model: CreditModel, bins: ColumnBins) -> bool:
    return has_missing_bit(model.form.encode, bins.index)


def _bin(b: Bin, label: str) -> dict[str, Any]:
    """Return a bin; its edges as people write them, its value exactly."""
    return {
        "kind": b.kind,
        "label": label,
        "plain": b.label,
        "value": None if math.isnan(b.value) else b.value,
        "low": _edge(b.low),
        "high": _edge(b.high),
    }


def _bin_label(model: CreditModel, bins: ColumnBins, k: int, names: Mapping[str, str]) -> str:
    """Return how a bin reads; one that several categories share names the first of them."""
    b, categories = bins.bins[k], bins.column.categories
    if b.kind == "special":
        return names.get(_plain(b.value), b.label)
    if b.kind != "category" or len(categories) > MOST_LISTED:
        return names.get(b.label, b.label)
    rows = np.zeros((len(categories), model.program.n_columns), np.float32)
    rows[:, bins.index] = np.arange(len(categories))
    same = (model.form.bits(rows)[:, bins.positions] == bins.bits[k]).all(axis=1)
    shared = [names.get(str(categories[c]), str(categories[c])) for c in np.flatnonzero(same)]
    return ", ".join(shared[:3]) + (" or another" if shared[3:] else "")


def _edge(number: float) -> float | None:
    return float(str(np.float32(number))) if math.isfinite(number) else None


def _plain(number: float) -> str:
    return str(np.float32(number)).removesuffix(".0")


def _sections(model: CreditModel, settings: PageSettings) -> list[dict[str, Any]]:
    names = [column.name for column in model.program.columns]
    placed = {name for columns in settings.sections.values() for name in columns}
    rest = [name for name in names if name not in placed]
    sections = [*settings.sections.items(), *([("", rest)] if rest else [])]
    return [
        {"title": title, "columns": [names.index(name) for name in columns]}
        for title, columns in sections
    ]


def _encode(model: CreditModel) -> dict[str, list[Any]]:
    op = model.form.encode
    names = ("column", "kind", "value", "special_column", "special_value")
    return {name: getattr(op, name).tolist() for name in names}


def _form(model: CreditModel) -> dict[str, Any]:
    form = model.form
    arrays = {
        name: getattr(form, name).tolist() for name in ("direct", "literals", "starts", "weights")
    }
    return {"bias": form.bias, **arrays}


def _players(model: CreditModel) -> list[dict[str, Any]]:
    texts, codes = model.policy.texts, model.policy.codes
    return [
        {
            "name": name,
            "text": texts.get(name, name),
            "code": codes.get(name, ""),
            "columns": list(columns),
        }
        for name, columns in model.players
    ]


def _proofs(model: CreditModel) -> dict[str, Any]:
    """Return rows with their points and contributions, by which the page tests itself."""
    rows = rows_of_bins(model, N_PROOFS)
    found = model.contributions(rows)
    return {
        "rows": [[None if math.isnan(v) else v for v in row] for row in rows.tolist()],
        "points": model.points(rows).tolist(),
        "numerators": found.numerators.tolist(),
        "base": found.base_numerator,
        "changes": [_changes(model, row) for row in rows[:N_CHANGES]],
    }


def _changes(model: CreditModel, row: NDArray[np.float32]) -> list[list[Any]]:
    """Return the nearest changes as [columns, labels of the bins, points]."""
    found = model.counterfactuals(row, MOST_OPTIONS, max_changes=2).counterfactuals
    return [[[c.column for c in f.changes], [c.after for c in f.changes], f.points] for f in found]
