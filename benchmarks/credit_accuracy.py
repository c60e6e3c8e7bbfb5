"""Accuracy on every credit set at hand: the default BinaryClassifier beside what people use today.

Protocol. Tables of up to 5,000 rows without a split of their own: `--seeds` repetitions of stratified
5-fold cross-validation. Longer ones: one fixed hold-out (the publisher's split, or time, where there is
one; else a quarter of the rows, stratified, the same in every run) and `--seeds` seeds of each model;
LightGBM and the float net are tuned by the same random search (`--draws` settings and a sensible default,
judged on inner splits): once for a fixed hold-out, on its training rows, and once a repetition of
cross-validation, on the training rows of its first fold, which if anything favours them. The
BinaryClassifier is never tuned: it is the default, everywhere.

Needs the environment variable BIMETAL_DATA, or a network for the sets that can be downloaded.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from _frame import Row, options, report
from _rivals import LogisticOnBits, LogisticOneHot, TunedLightGBM, TunedMLP
from joblib import Parallel, delayed
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from bimetal import datasets
from bimetal.encoders import QuantileEncoder, TreeEncoder
from bimetal.errors import BimetalError
from bimetal.estimators import BinaryClassifier
from bimetal.format import dumps

LARGE = 5_000
OURS, LGBM, MLP = "bimetal", "lightgbm", "float mlp"
CONTROL, BITS, ONE_HOT = "linear, same bits", "logistic, quantile bits", "logistic, one-hot"
MODELS = (OURS, LGBM, MLP, CONTROL, BITS, ONE_HOT)
REGRESSIONS = ("openintro_loans",)
Split = tuple[np.ndarray, np.ndarray, int]


def splits(data: datasets.Dataset, n_seeds: int, large: int = LARGE) -> list[Split]:
    """Return (training rows, test rows, seed) for every fit of the protocol."""
    n = len(data.y)
    if data.split is not None:
        one = np.flatnonzero(data.split == "train"), np.flatnonzero(data.split == "test")
        return [(*one, seed) for seed in range(n_seeds)]
    if data.time is not None:
        order = np.argsort(data.time, kind="stable")
        one = order[: n * 3 // 4], order[n * 3 // 4 :]
        return [(*one, seed) for seed in range(n_seeds)]
    if n > large:
        a, b = train_test_split(np.arange(n), test_size=0.25, stratify=data.y, random_state=0)
        return [(a, b, seed) for seed in range(n_seeds)]
    return [
        (a, b, seed)
        for seed in range(n_seeds)
        for a, b in StratifiedKFold(5, shuffle=True, random_state=seed).split(data.y, data.y)
    ]


def fit_all(
    data: datasets.Dataset, split: Split, n_draws: int, tuned: dict[str, Any], wanted: Sequence[str]
) -> dict[str, Any]:
    """Fit the wanted models on one split and return their figures."""
    a, b, seed = split
    X, y, test = data.X.iloc[a], data.y[a], data.X.iloc[b]
    models = {
        OURS: BinaryClassifier(encoder=_encoder(data), random_state=seed),
        LGBM: TunedLightGBM(n_draws, seed),
        MLP: TunedMLP(n_draws, seed),
        **linear_models(data, seed),
    }
    figures: dict[str, Any] = {}
    for name in wanted:
        model, known = models[name], tuned.get(name)
        if isinstance(known, dict) and "auc" in known:
            figures[name] = known  # nothing in it depends on the seed: fitted once
            continue
        start = time.perf_counter()
        model.fit(X, y, known) if known else model.fit(X, y)
        seconds = time.perf_counter() - start
        p = model.predict_proba(test)[:, 1] if name == OURS else model.predict(test)
        figures[name] = {**scores(data.y[b], np.asarray(p, np.float64)), "seconds": seconds}
        if name == OURS:
            figures[name] |= {"bytes": len(dumps(model.program_)), "weights": model.report_.weights}
        elif name == LGBM:
            figures[name]["bytes"] = model.n_bytes
    return figures


def scores(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """AUC, Brier score and log loss of probabilities."""
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return {"auc": roc_auc_score(y, p), "brier": brier_score_loss(y, p), "log_loss": log_loss(y, p)}


def _encoder(data: datasets.Dataset) -> TreeEncoder:
    # A table that misses values anywhere may miss them in columns that were whole in training.
    missing = "always" if data.X.isna().to_numpy().any() else "auto"
    return TreeEncoder(special_codes=data.special_codes, missing=missing)


def tune(
    data: datasets.Dataset, split: Split, n_draws: int, wanted: Sequence[str], is_fixed: bool
) -> dict[str, Any]:
    """Tune the rivals on training rows; for a fixed hold-out also fit what no seed changes."""
    a, b, seed = split
    X, y = data.X.iloc[a], data.y[a]
    tuned: dict[str, Any] = {
        name: kind(n_draws, seed).tune(X, y)
        for name, kind in ((LGBM, TunedLightGBM), (MLP, TunedMLP))
        if name in wanted
    }
    for name, model in linear_models(data, seed).items():
        if name in wanted and is_fixed:
            start = time.perf_counter()
            p = model.fit(X, y).predict(data.X.iloc[b])
            tuned[name] = {**scores(data.y[b], p), "seconds": time.perf_counter() - start}
    return tuned


def linear_models(data: datasets.Dataset, seed: int) -> dict[str, Any]:
    """The controls: logistic regression on three views of the table."""
    return {
        CONTROL: LogisticOnBits(_encoder(data), seed),
        BITS: LogisticOnBits(QuantileEncoder(special_codes=data.special_codes), seed),
        ONE_HOT: LogisticOneHot(seed),
    }


def run_set(
    name: str, n_seeds: int, n_draws: int, jobs: int, wanted: Sequence[str]
) -> dict[str, Any] | None:
    """Run the protocol on one data set; None where the data cannot be had."""
    try:
        data = datasets.load(name)
    except BimetalError as error:
        print(f"{name}: left out ({error})", file=sys.stderr)
        return None
    todo = splits(data, n_seeds)
    is_fixed = len(todo) == n_seeds
    first = {split[2]: split for split in reversed(todo[:1] if is_fixed else todo)}
    found = Parallel(jobs)(
        delayed(tune)(data, split, n_draws, wanted, is_fixed) for split in first.values()
    )
    tuned = dict(zip(first, found, strict=True))
    done = Parallel(jobs)(
        delayed(fit_all)(data, s, n_draws, tuned[0 if is_fixed else s[2]], wanted) for s in todo
    )
    return {"rows": len(data.y), "rate": float(np.mean(data.y)), "fits": len(todo), "runs": done}


def cached(
    name: str, folder: Path | None, run: Callable[[Sequence[str]], Any], again: Sequence[str]
) -> Any:
    """Return the results of a set from its cache, running what is not there or wanted again."""
    path = folder / f"{name}.json" if folder else None
    kept = json.loads(path.read_text()) if path and path.exists() else None
    wanted = again if kept else MODELS
    result = run(wanted) if wanted else kept
    if kept and wanted:
        result["runs"] = [old | new for old, new in zip(kept["runs"], result["runs"], strict=True)]
    if path and result:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result))
    return result


def table(results: dict[str, Any], measure: str) -> pd.DataFrame:
    """Mean of a measure by data set and model, and its spread over fits."""
    rows = {}
    for name, result in results.items():
        values = {m: [run[m][measure] for run in result["runs"]] for m in MODELS}
        rows[name] = {m: f"{np.mean(v):.4f} ± {np.std(v):.4f}" for m, v in values.items()}
    return pd.DataFrame(rows).T


def means(results: dict[str, Any], model: str, measure: str) -> np.ndarray:
    """Mean over fits, one entry a data set."""
    return np.array([np.mean([run[model][measure] for run in r["runs"]]) for r in results.values()])


def figures(results: dict[str, Any]) -> list[Row]:
    """Turn results into rows with the goals of the project."""
    ours = means(results, OURS, "auc")
    rows = [
        Row(
            f"mean AUC, bimetal − {m}",
            float((ours - means(results, m, "auc")).mean()),
            "AUC",
            "higher",
            0.0 if m != MLP else None,
        )
        for m in MODELS[1:]
    ]
    middle = float(np.median(ours - means(results, LGBM, "auc")))
    rows.append(Row("median AUC, bimetal − lightgbm", middle, "AUC"))
    for i, name in enumerate(results):
        gap = float((ours - means(results, LGBM, "auc"))[i])
        rows.append(Row(f"{name}: AUC, bimetal − lightgbm", gap, "AUC", "higher", -0.005))
    for m in (ONE_HOT, BITS):
        worst = float((ours - means(results, m, "auc")).min())
        rows.append(Row(f"least AUC, bimetal − {m}", worst, "AUC", "higher", 0.0))
    for measure in ("brier", "log_loss"):
        gap = float((means(results, OURS, measure) - means(results, LGBM, measure)).mean())
        rows.append(Row(f"mean {measure}, bimetal − lightgbm", gap, measure, "lower", 0.0))
    largest = max(run[OURS]["bytes"] for r in results.values() for run in r["runs"])
    rows.append(Row("largest file", largest / 1024, "KiB", "lower", 64))
    ratio = np.mean(means(results, LGBM, "bytes") / means(results, OURS, "bytes"))
    rows.append(Row("LightGBM's file over ours, mean", float(ratio), "x"))
    if "taiwan_default" in results:
        seconds = [run[OURS]["seconds"] for run in results["taiwan_default"]["runs"]]
        rows.append(
            Row(
                "taiwan_default: fit (75 % of 30,000 rows)",
                float(np.median(seconds)),
                "s",
                "lower",
                60,
            )
        )
    return rows


def main() -> None:
    """Run and report."""
    args = options(
        __doc__.splitlines()[0],
        sets={"nargs": "*", "help": "data sets (default: all)"},
        draws={"type": int, "default": 6, "help": "settings in the random search"},
        jobs={"type": int, "default": 2, "help": "fits at once"},
        again={
            "nargs": "*",
            "default": [],
            "choices": MODELS,
            "help": "models to fit again where the cache has them",
        },
        cache={"type": Path, "help": "folder for the results of each set, reused if there"},
    )
    names = args.sets or [n for n in datasets.names() if n not in REGRESSIONS]
    n_seeds, n_draws = (1, 2) if args.quick else (args.seeds, args.draws)
    if args.quick and not args.sets:
        names = ["german_credit", "credit_approval_crx"]
    results: dict[str, Any] = {}
    for name in names:
        result = cached(
            name,
            args.cache,
            lambda wanted, name=name: run_set(name, n_seeds, n_draws, args.jobs, wanted),
            args.again,
        )
        if result is not None:
            results[name] = result
            print(table({name: result}, "auc").to_string(), flush=True)
    for measure in ("auc", "brier", "log_loss"):
        print(f"\n{measure}\n{table(results, measure).to_string()}")
    summary = {n: {k: v for k, v in r.items() if k != "runs"} for n, r in results.items()}
    tables = {m: table(results, m).to_dict("index") for m in ("auc", "brier", "log_loss")}
    report(figures(results), args.json, sets=summary, tables=tables)


if __name__ == "__main__":
    main()
