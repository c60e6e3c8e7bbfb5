"""What an applicant asks of a scorecard, timed: why, what would change it; and what a validator asks: proofs.

The model is the default `BinaryScorecard` of Taiwan (30,000 rows, 23 columns), fitted on three quarters of the rows, with the trends
that it finds. Reasons are exact Shapley values of the whole points against 32 references near
the cut-off, from Python, one applicant a call. Beside it, on the same applicants and against the same
references, shap's interventional TreeExplainer of a LightGBM of 200 trees. Contestants take turns; figures
are medians (and 99th percentiles) of wall-clock times on one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import warnings
from collections.abc import Callable

import lightgbm
import numpy as np
import shap
from _frame import Row, options, report

from bimetal import datasets
from bimetal.explain import bounds, check_certificate, form_of
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.scorecard import BinaryScorecard


def timed(calls: dict[str, Callable[[int], object]], n: int) -> dict[str, np.ndarray]:
    """Milliseconds of each call for each of `n` applicants, in turns."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(n):
        for name, call in calls.items():
            start = time.perf_counter()
            call(i)
            spent[name].append(1e3 * (time.perf_counter() - start))
    return {name: np.array(times) for name, times in spent.items()}


def once(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rival(X: np.ndarray, y: np.ndarray, references: np.ndarray) -> Callable[[np.ndarray], object]:
    """Return shap's interventional explanation of boosted trees, by raw row."""
    trees = lightgbm.LGBMClassifier(n_estimators=200, learning_rate=0.05, n_jobs=1, verbose=-1)
    trees.fit(X, y)
    explainer = shap.TreeExplainer(trees, references, feature_perturbation="interventional")
    return lambda row: explainer.shap_values(row[None], check_additivity=False)


def figures(card: BinaryScorecard, model: CreditModel, rows: np.ndarray, n: int) -> list[Row]:
    """Time everything on applicants that were not approved."""
    asked = rows[model.assess(rows).decision != "approve"][:n]
    model.reasons(asked[:1]), model.counterfactuals(asked[0])  # tables are made at the first call
    references = np.array(model.policy.references, np.float32)
    fitted = model.rows(card.bench_X)
    explain = rival(fitted, card.bench_y, np.nan_to_num(references))
    calls = {
        "reasons": lambda i: model.reasons(asked[i : i + 1]),
        "shap": lambda i: explain(asked[i]),
        "counterfactual": lambda i: model.counterfactuals(asked[i]),
    }
    spent = timed(calls, len(asked))
    found = [model.counterfactuals(row) for row in asked[:50]]
    certificate = card.certify()
    form = form_of(model.program)
    ratio = float(np.median(spent["shap"]) / np.median(spent["reasons"]))
    return [
        Row("columns / bits / rules", len(model.program.columns), f"/ {len(form.direct)} / {form.n_rules}"),
        Row("exact reasons of one applicant, median", float(np.median(spent["reasons"])), "ms", "lower", 5),
        Row("exact reasons of one applicant, p99", float(np.quantile(spent["reasons"], 0.99)), "ms", "lower", 5),
        Row("shap, interventional, same references, over it", ratio, "x"),
        Row("counterfactual of one applicant, median", float(np.median(spent["counterfactual"])), "ms", "lower", 50),
        Row("counterfactual of one applicant, p99", float(np.quantile(spent["counterfactual"], 0.99)), "ms", "lower", 50),
        Row("counterfactuals proved nearest", float(np.mean([a.is_proved_nearest for a in found])), "share"),
        Row("trends proved", sum(p.verdict == "proved" for p in certificate.proofs), f"of {len(certificate.proofs)}"),
        Row("proof of all trends", once(card.certify), "s", "lower", 60),
        Row("checking the certificate", once(lambda: check_certificate(model.program, certificate)), "s", "lower", 60),
        Row("bounds of every column", once(lambda: bounds(model.program, card.blocks_)), "s"),
    ]  # fmt: skip


def main() -> None:
    """Train, time, report."""
    warnings.simplefilter("ignore")
    args = options(__doc__.splitlines()[0], name={"default": "taiwan_default", "help": "data set"})
    data = datasets.load(args.name)
    n = len(data.y) if not args.quick else 4_000
    cut = n * 3 // 4
    settings = {"max_rules": 500} if args.quick else {}
    card = BinaryScorecard(random_state=0, **settings)
    card.fit(data.X[:cut], data.y[:cut])
    card.bench_X, card.bench_y = data.X[:cut], data.y[:cut]
    rows = card.engine_.rows(data.X[cut:n])
    report(figures(card, card.model_, rows, 60 if args.quick else 400), args.json, set=args.name)


if __name__ == "__main__":
    main()
