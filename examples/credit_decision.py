"""A credit decision, whole: trained, proved, explained, written down, and made again from the log.

A scorecard with interactions is trained on German credit data, without the columns that tell sex and
nationality. Its trends are proved for every applicant there can be. Three applicants are decided; whoever
is turned down hears why, and what would have changed it. Each decision goes into an append-only log, from
which an auditor makes it again, bit for bit.

    python examples/credit_decision.py
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _story import tell
from sklearn.model_selection import train_test_split

from bimetal import metrics
from bimetal.datasets import load_or_simulate
from bimetal.finance.credit import BinaryScorecard, CreditModel, fine_classing
from bimetal.service.audit import replay
from bimetal.service.log import Record, open_log
from bimetal.service.log.verifying import verify

FORBIDDEN = ("personal_status", "foreign_worker", "region")
IMMUTABLE = ("age", "credit_history", "unemployment_rate")
TEXTS = {
    "checking_status": "Balance of the current account too low",
    "duration": "Term too long",
    "credit_amount": "Amount too high",
    "savings_status": "Savings too low",
    "debt_to_income": "Debt too high for the income",
    "bureau_score": "Bureau score too low",
    "monthly_income": "Income too low",
    "late_payments_24m": "Payments were late in the last two years",
    "months_since_late": "A late payment not long ago",
    "other_payment_plans": "Other instalment plans",
    "purpose": "Purpose of the loan",
    "utilisation": "Much of the credit lines in use",
    "years_in_job": "Little time in the present job",
}


def main() -> None:
    """Train, prove, decide, write down, make again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=4_000, help="of the table, to train and test on"
    )
    parser.add_argument("--rules", type=int, default=300, help="interactions at most")
    parser.add_argument("--out", type=Path, default=Path("runs/credit"))
    given = parser.parse_args()

    data = load_or_simulate("german_credit", offline=True)
    X = data.X[: given.rows].drop(columns=[c for c in FORBIDDEN if c in data.X])
    train, late, y, outcome = train_test_split(
        X, data.y[: given.rows], test_size=0.25, random_state=0
    )
    card = trained(train, y, data.special_codes, given.rules)
    model = card.model_
    tell(
        "The scorecard",
        data=data.title,
        AUC_on_rows_held_out=f"{metrics.auc(outcome, -card.score_points(late)):.4f}",
        interactions=card.report_.n_rules,
        cut_off=f"{model.policy.cutoff / 100:.2f}, where a bad costs five goods",
        model=model.id,
    )

    given.out.mkdir(parents=True, exist_ok=True)
    model.save(given.out / "credit.bimetal")
    certificate = card.certify()
    certificate.save(given.out / "credit.certificate.json")
    tell(
        "Proved of every applicant there can be",
        **{
            f"the_score_{'rises' if p.direction > 0 else 'falls'}_with_{p.column}": f"{p.verdict}, by {p.method}"
            for p in certificate.proofs
        },
    )

    rows = three_of(model, model.rows(late))
    for name, row in zip(("Just approved", "Just declined", "The weakest"), rows, strict=True):
        tell(name, **decided(model, row))
    tell("Written down and made again", **audited(model, rows, given.out / "decisions.db"))


def trained(X: Any, y: Any, special_codes: Any, n_rules: int) -> BinaryScorecard:
    """Fit a scorecard with the lender's words around it."""
    policy = {
        "name": "personal loans",
        "texts": {c: TEXTS.get(c, c.replace("_", " ").capitalize()) for c in X.columns},
        "immutable": [column for column in IMMUTABLE if column in X],
        "limits": {"age": [18, 110]},
    }
    card = BinaryScorecard(
        encoder=fine_classing(special_codes=special_codes or None),
        max_rules=n_rules,
        max_forests=1,
        n_folds=3,
        policy=policy,
        random_state=0,
    )
    return card.fit(X, y)


def three_of(model: CreditModel, rows: Any) -> Any:
    """Return the nearest to the cut-off on either side, and the one with the lowest score."""
    away = model.points(rows) - model.policy.cutoff
    approved, declined = np.flatnonzero(away >= 0), np.flatnonzero(away < 0)
    nearest = approved[away[approved].argmin()], declined[away[declined].argmax()]
    return rows[[*nearest, away.argmin()]]


def decided(model: CreditModel, row: Any) -> dict[str, str]:
    """Return decision, reasons and what would have changed it, in words."""
    said = model.assess(row[None])
    words = {
        "decision": f"{said.decision[0]}, score {said.score[0]:.2f}, bad {said.probability[0]:.1%}"
    }
    for k, reason in enumerate(model.reasons(row[None])[0], 1):
        words[f"reason {k}"] = f"{reason.text} ({reason.points:+.2f})"
    for k, found in enumerate(model.counterfactuals(row, n=2).counterfactuals, 1):
        changes = "; ".join(change.text for change in found.changes)
        words[f"or {k}"] = f"{changes} ({found.points / 100:.2f})"
    return words


def audited(model: CreditModel, rows: Any, path: Path) -> dict[str, str]:
    """Write the decisions into a log as the service does, then make them again from it."""
    said, reasons = model.assess(rows), model.reasons(rows)
    log = open_log(str(path))
    log.archive_model(model.file_hash, model.dumps())
    entries = log.write(
        [
            Record(
                f"{model.file_hash[:12]}-{k}", "personal-loans", model.id, model.policy_id, model.file_hash,
                "champion", row.astype("<f4").tobytes(), int(said.points[k]), float(said.probability[k]),
                str(said.decision[k]), tuple(reasons[k]),
            )
            for k, row in enumerate(rows)
        ]
    )  # fmt: skip
    found, chain = replay(log, entries), verify(log)
    log.close()
    if found.differences or not chain.is_sound:
        raise SystemExit(f"the log does not hold: {found.differences}, {chain}")
    return {
        "log": f"{path}, {chain.n_entries} entries, chain sound",
        "replayed": f"{found.n_same} of {found.n_decisions} decisions equal the reference, bit for bit",
    }


if __name__ == "__main__":
    main()
