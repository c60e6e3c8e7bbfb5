"""Accuracy of the scorecard on every credit set: beside LightGBM, EBM, and the logistic WoE scorecard.

Protocol. Tables of up to 5,000 rows without a split of their own: `--seeds` repetitions of stratified
5-fold cross-validation; of up to 10,000, one repetition. Longer ones: one fixed hold-out (the publisher's split, or time, where there is
one; else a quarter of the rows, stratified), and `--seeds` seeds of each model; of the EBM, which bags
by itself and takes minutes, one. LightGBM is tuned by a random search on inner splits of each training
set, with a sensible default among the draws; the EBM is as its package has it; the WoE scorecard chooses
its penalty (and trend) by inner splits. `BinaryScorecard` is the default everywhere, trends found by
itself. The card is its points for bins alone, in whole numbers.

Needs the environment variable BIMETAL_DATA, or a network for the sets that can be downloaded.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from _frame import Row, options, report
from credit_accuracy import REGRESSIONS, Split, splits
from sklearn.metrics import brier_score_loss, roc_auc_score

from bimetal import datasets
from bimetal.errors import BimetalError
from bimetal.finance.credit.challengers import make
from bimetal.finance.credit.classing import fine_classing
from bimetal.finance.credit.scorecard import BinaryScorecard

SHORT, LARGE = 5_000, 10_000
OURS, CARD, LGBM, EBM, WOE = "scorecard", "card alone", "lightgbm", "ebm", "logistic woe"
MODELS = (OURS, CARD, LGBM, EBM, WOE)
RIVALS = {LGBM: "lightgbm", EBM: "ebm", WOE: "woe_logistic"}


def fit_ours(data: datasets.Dataset, split: Split) -> dict[str, Any]:
    """Fit the scorecard; its card comes with it."""
    a, b, seed = split
    missing = "always" if data.X.isna().to_numpy().any() else "auto"
    encoder = fine_classing(special_codes=data.special_codes, missing=missing)
    start = time.perf_counter()
    model = BinaryScorecard(encoder=encoder, random_state=seed).fit(data.X.iloc[a], data.y[a])
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    proof = model.certify()
    proved = {"seconds": time.perf_counter() - start, "is_proved": proof.is_proved}
    rows = model.engine_.rows(data.X.iloc[b])
    card = model.card_.assess(rows).probability
    return {
        OURS: scores(data.y[b], model.predict_proba(data.X.iloc[b])[:, 1])
        | {
            "seconds": seconds,
            "n_rules": model.report_.n_rules,
            "n_trends": len(model.trends_),
            "proof": proved,
            "bytes": len(model.model_.dumps()),
        },
        CARD: scores(data.y[b], card),
    }


def fit_rival(name: str, data: datasets.Dataset, split: Split) -> dict[str, Any]:
    """Fit one challenger."""
    a, b, seed = split
    start = time.perf_counter()
    model = make(RIVALS[name], random_state=seed, special_codes=data.special_codes)
    model.fit(data.X.iloc[a], data.y[a])
    seconds = time.perf_counter() - start
    p = model.predict_proba(data.X.iloc[b])[:, 1]
    return {name: scores(data.y[b], p) | {"seconds": seconds}}


def scores(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """AUC and Brier score of probabilities."""
    p = np.clip(np.asarray(p, np.float64), 0, 1)
    return {"auc": roc_auc_score(y, p), "brier": brier_score_loss(y, p)}


def run_set(
    name: str, n_seeds: int, wanted: Sequence[str], cache: Path | None
) -> dict[str, Any] | None:
    """Run the protocol on one data set; None where the data cannot be had."""
    try:
        data = datasets.load(name)
    except BimetalError as error:
        print(f"{name}: left out ({error})", file=sys.stderr)
        return None
    is_middling = SHORT < len(data.y) <= LARGE
    todo = splits(data, 1 if is_middling else n_seeds, LARGE)
    is_fixed = len({seed for _, _, seed in todo}) == len(todo)
    runs: dict[str, list[Any]] = {model: [] for model in MODELS}
    for i, split in enumerate(todo):
        for model in wanted:
            if model == EBM and is_fixed and i:
                continue
            found = kept(cache, f"{name}-{i}-{model}", model, data, split)
            for key, value in found.items():
                runs[key].append(value)
        print(f"{name}: {i + 1} of {len(todo)}", file=sys.stderr, flush=True)
    fits = {model: len(found) for model, found in runs.items()}
    return {"rows": len(data.y), "rate": float(np.mean(data.y)), "fits": fits, "runs": runs}


def kept(
    cache: Path | None, key: str, model: str, data: datasets.Dataset, split: Split
) -> dict[str, Any]:
    """Return figures from the cache, or fit and keep them: hours of fits may be interrupted."""
    path = cache / f"{key.replace(' ', '_')}.json" if cache else None
    if path and path.exists():
        return json.loads(path.read_text())
    found = fit_ours(data, split) if model == OURS else fit_rival(model, data, split)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
    return found


def table(results: dict[str, Any], measure: str) -> pd.DataFrame:
    """Mean of a measure by data set and model, and its spread over fits."""
    rows = {}
    for name, result in results.items():
        values = {m: [run[measure] for run in result["runs"][m]] for m in MODELS}
        rows[name] = {m: f"{np.mean(v):.4f} ± {np.std(v):.4f}" for m, v in values.items() if v}
    return pd.DataFrame(rows).T


def means(results: dict[str, Any], model: str, measure: str) -> np.ndarray:
    """Mean over fits, one entry a data set."""
    return np.array([np.mean([run[measure] for run in r["runs"][model]]) for r in results.values()])


def figures(results: dict[str, Any]) -> list[Row]:
    """Turn results into rows with the goals of the project."""
    ours, lgbm, ebm = (means(results, m, "auc") for m in (OURS, LGBM, EBM))
    rows = [
        Row("mean AUC, scorecard − lightgbm", float((ours - lgbm).mean()), "AUC", "higher", 0.0),
        Row("mean AUC, scorecard − ebm", float((ours - ebm).mean()), "AUC", "higher", 0.0),
    ]
    for i, name in enumerate(results):
        gap = float(ours[i] - max(lgbm[i], ebm[i]))
        rows.append(Row(f"{name}: AUC, scorecard − better of both", gap, "AUC", "higher", -0.004))
    brier = {m: means(results, m, "brier") for m in (OURS, LGBM, EBM)}
    for m in (LGBM, EBM):
        gap = float((brier[OURS] - brier[m]).mean())
        rows.append(Row(f"mean Brier, scorecard − {m}", gap, "Brier", "lower", 0.0))
    for i, name in enumerate(results):
        gap = float(brier[OURS][i] - min(brier[LGBM][i], brier[EBM][i]))
        rows.append(Row(f"{name}: Brier, scorecard − better of both", gap, "Brier", "lower", 0.004))
    card, woe = means(results, CARD, "auc"), means(results, WOE, "auc")
    rows.append(
        Row("mean AUC, card − logistic woe", float((card - woe).mean()), "AUC", "higher", 0.0)
    )
    rows.append(Row("least AUC, card − logistic woe", float((card - woe).min()), "AUC"))
    runs = [run for r in results.values() for run in r["runs"][OURS]]
    proofs = [run["proof"] for run in runs]
    rows.append(
        Row("share of fits whose trends are all proved", float(np.mean([p["is_proved"] for p in proofs])), "", "higher", 1.0)
    )  # fmt: skip
    slowest = max(p["seconds"] for p in proofs)
    rows.append(Row("slowest proof of all trends of a model", slowest, "s", "lower", 60))
    rows.append(Row("largest file", max(run["bytes"] for run in runs) / 1024, "KiB"))
    if "taiwan_default" in results:
        seconds = [run["seconds"] for run in results["taiwan_default"]["runs"][OURS]]
        rows.append(
            Row("taiwan_default: fit (75 % of 30,000 rows)", float(np.median(seconds)), "s")
        )
    return rows


def main() -> None:
    """Run and report."""
    args = options(
        __doc__.splitlines()[0],
        sets={"nargs": "*", "help": "data sets (default: all)"},
        only={"nargs": "*", "default": (OURS, LGBM, EBM, WOE), "help": "models to fit"},
        cache={"type": Path, "help": "folder for the figures of each fit, reused if there"},
    )
    names = args.sets or [n for n in datasets.names() if n not in REGRESSIONS]
    n_seeds = 1 if args.quick else args.seeds
    if args.quick and not args.sets:
        names = ["german_credit", "credit_approval_crx"]
    results: dict[str, Any] = {}
    for name in names:
        result = run_set(name, n_seeds, args.only, args.cache)
        if result is not None:
            results[name] = result
            print(table({name: result}, "auc").to_string(), flush=True)
    if set(args.only) < {OURS, LGBM, EBM, WOE}:
        return
    for measure in ("auc", "brier"):
        print(f"\n{measure}\n{table(results, measure).to_string()}")
    summary = {n: {k: v for k, v in r.items() if k != "runs"} for n, r in results.items()}
    tables = {m: table(results, m).to_dict("index") for m in ("auc", "brier")}
    report(figures(results), args.json, sets=summary, tables=tables)


if __name__ == "__main__":
    main()
