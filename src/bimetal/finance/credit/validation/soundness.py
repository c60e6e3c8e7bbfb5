"""What a modeller reads of the model itself: points by bin, rules in words, promised trends and proofs.

Everything here is a property of the Program, not of any rows: exact, in score points.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from bimetal.explain.bounds import bounds
from bimetal.explain.certificate import Certificate, check_certificate
from bimetal.explain.form import PointsForm
from bimetal.explain.grid import Bin
from bimetal.explain.monotone import Proof, prove_monotone
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.validation.case import Facts
from bimetal.finance.credit.validation.thresholds import Finding, Light
from bimetal.wording import bit_names

__all__ = ["CardBin", "CardColumn", "ReadRule", "points_table", "rules_read", "sound"]

SECONDS = 30.0


@dataclass(frozen=True)
class CardBin:
    """A bin and the score points that it gives by itself."""

    kind: str
    label: str
    points: float


@dataclass(frozen=True)
class CardColumn:
    """A column of the points table.

    Attributes
    ----------
    name : str
    bins : tuple of CardBin
    range : float
        Most less least points by itself.
    trend : int or None
        As the policy promises: +1, the score never falls when the column rises.
    n_rules : int
        Rules with points that read the column.
    """

    name: str
    bins: tuple[CardBin, ...]
    range: float
    trend: int | None
    n_rules: int


@dataclass(frozen=True)
class ReadRule:
    """A rule in words: all of `conditions` at once give `points`."""

    conditions: tuple[str, ...]
    points: float


def points_table(model: CreditModel) -> tuple[CardColumn, ...]:
    """Return what each bin of each column gives by itself, the widest column first.

    Neighbouring ranges with the same points are one (rules may still tell them apart).
    """
    form, unit = model.form, model.policy.scaling.unit
    readers = _readers(form)
    found = []
    for column in form.columns:
        points = column.bits @ form.direct[column.positions] / unit
        bins = tuple(_merged(column.bins, points.tolist()))
        span = float(points.max() - points.min()) if len(points) else 0.0
        trend = model.policy.trends.get(column.name)
        found.append(CardColumn(column.name, bins, span, trend, readers.get(column.index, 0)))
    return tuple(sorted(found, key=lambda c: (-c.range, c.name)))


def rules_read(model: CreditModel, most: int = 20) -> tuple[ReadRule, ...]:
    """Return the rules with the most points either way, in words."""
    form, unit = model.form, model.policy.scaling.unit
    names = bit_names(model.program.columns, form.encode)
    order = np.argsort(-np.abs(form.weights), kind="stable")[:most]
    found = []
    for r in order.tolist():
        literals = form.literals[form.starts[r] : form.starts[r + 1]].tolist()
        words = tuple(("not " if literal & 1 else "") + names[literal >> 1] for literal in literals)
        found.append(ReadRule(words, float(form.weights[r]) / unit))
    return tuple(found)


def sound(model: CreditModel, certificate: Certificate | None = None) -> Facts:
    """Return the section: points, rules, bounds of each column, promised trends and what is proved.

    A certificate is not believed: what it states is proved anew, with its trees for a witness.

    Raises
    ------
    ProgramError
        When the certificate is of another model, or what it states cannot be proved.
    """
    trends, blocks = model.policy.trends, certificate.blocks if certificate else ()
    proofs: Sequence[Proof] = ()
    if certificate is not None:
        proofs = check_certificate(model.program, certificate, SECONDS)
    elif trends:
        proofs = prove_monotone(model.program, trends, seconds=SECONDS)
    form, unit = model.form, model.policy.scaling.unit
    facts: dict[str, Any] = {
        "card": points_table(model),
        "rules": rules_read(model),
        "n_rules": form.n_rules,
        "n_bits": len(form.direct),
        "has_dense_layers": form.rest is not None,
        "bias": form.bias / unit,
        "operations": [type(op).__name__ for op in model.program.ops],
        "proofs": [proof.spec() for proof in proofs],
        "certificate": None if certificate is None else certificate.id,
        "bounds": [
            {"column": b.column, "points": b.high / unit, "is_exact": b.is_exact}
            for b in sorted(bounds(model.program, blocks), key=lambda b: -b.high)
        ],
    }
    return facts, [_finding(trends, proofs)] if trends else []


def _finding(trends: Mapping[str, int], proofs: Sequence[Proof]) -> Finding:
    """Red when a promise is refuted, amber when one is not proved."""
    verdicts = {p.column: p.verdict for p in proofs}
    proved = [c for c in trends if verdicts.get(c) == "proved"]
    refuted = [c for c in trends if verdicts.get(c) == "refuted"]
    light: Light = "red" if refuted else "green" if len(proved) == len(trends) else "amber"
    text = f"{len(proved)} of {len(trends)} promised trends are proved"
    text += f"; refuted: {', '.join(refuted)}" if refuted else ""
    n_open = len(trends) - len(proved)
    return Finding("soundness", "promised trends", light, n_open, None, None, text)


def _merged(bins: Sequence[Bin], points: Sequence[float]) -> Iterator[CardBin]:
    for (is_range, p), run in groupby(
        zip(bins, points, strict=True), key=lambda pair: (pair[0].kind == "range", pair[1])
    ):
        same = [b for b, _ in run]
        if is_range and len(same) > 1:
            yield CardBin("range", _span(same[0].low, same[-1].high), p)
        else:
            yield from (CardBin(b.kind, b.label, p) for b in same)


def _span(low: float, high: float) -> str:
    a, b = (str(np.float32(v)).removesuffix(".0") for v in (low, high))
    if np.isinf(low):
        return "any number" if np.isinf(high) else f"below {b}"
    return f"{a} or more" if np.isinf(high) else f"{a} to {b}"


def _readers(form: PointsForm) -> dict[int, int]:
    """Count, for each column, the rules that read it."""
    readers: dict[int, int] = {}
    for r in range(form.n_rules):
        for j in set(form.literal_columns[form.starts[r] : form.starts[r + 1]].tolist()):
            readers[int(j)] = readers.get(int(j), 0) + 1
    return readers
