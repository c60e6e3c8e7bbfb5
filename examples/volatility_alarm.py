"""An alarm on the wrist: will fear ease? A net for a watch that tells a coming fall of volatility.

Each evening the watch gets one number, the close of the VIX with its high and low, and answers whether
the index will close at least a tenth lower five days on. Everything is whole numbers after the
encoder; the split is in time, with the gap that the horizon demands; the base rate and a logistic
regression stand in the same table.

    python examples/volatility_alarm.py
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from _story import proved, tell
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bimetal
from bimetal import export

CORE, HORIZON_DAYS, FALL = "cortex-m4", 5, 0.10


def main() -> None:
    """Train on the past, test on what came after it, write, prove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--vectors", type=int, default=2_000, help="to run on the emulated watch")
    parser.add_argument("--out", type=Path, default=Path("runs/watch"))
    given = parser.parse_args()

    title, X, y = evenings()
    cut = len(y) * 7 // 10
    train, test = slice(0, cut - HORIZON_DAYS), slice(cut, None)  # no label looks into the test
    models = [small_net(seed).fit(X[train], y[train]) for seed in range(given.seeds)]
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
        X[train], y[train]
    )
    nets = np.array([scores(model, X[test], y[test]) for model in models])
    tell(
        f"{title}: {cut:,} evenings to learn from, {len(y) - cut:,} after them",
        always_the_same=f"AUC 0.5000  average precision {y[test].mean():.4f}",
        logistic_regression="AUC {:.4f}  average precision {:.4f}".format(
            *scores(plain, X[test], y[test])
        ),
        binary_net="AUC {:.4f}  average precision {:.4f}".format(*nets.mean(axis=0))
        + f"  (AUC ± {nets[:, 0].std():.4f} over {given.seeds} seeds)",
    )
    program = models[0].program_
    tell(
        f"What it needs on a {CORE}, before anything is built", **export.size(program, CORE).facts()
    )
    given.out.mkdir(parents=True, exist_ok=True)
    [written] = export.export(program, given.out / "alarm.h", core=CORE)
    tell("Written", header=f"{written} ({written.stat().st_size:,} bytes)")
    tell("Proved", watch=proved(program, f"qemu:{CORE}", given.vectors))


def small_net(seed: int) -> bimetal.BinaryClassifier:
    """Return a classifier that stays small: no rules, two members."""
    encoder = bimetal.QuantileEncoder(max_bits_per_column=8)
    return bimetal.BinaryClassifier(
        encoder=encoder, max_rules=0, n_members=2, hidden=(32, 16), teacher=None, random_state=seed
    )


def scores(model: object, X: pd.DataFrame, y: np.ndarray) -> tuple[float, float]:
    """Return AUC and average precision."""
    p = model.predict_proba(X)[:, 1]  # type: ignore[attr-defined]
    return float(roc_auc_score(y, p)), float(average_precision_score(y, p))


def evenings() -> tuple[str, pd.DataFrame, np.ndarray]:
    """Return what the watch knows each evening, and whether the index fell within the horizon."""
    title, close, high, low = index()
    log = np.log(close)
    known = {
        "level": close,
        "change_1d": log.diff(),
        "change_5d": log.diff(5),
        "change_21d": log.diff(21),
        "range": np.log(high / low),
        "above_year_mean": log - log.rolling(252).mean(),
        "share_of_year_below": close.rolling(252).rank(pct=True),
    }
    table = pd.DataFrame(known).astype(np.float32)
    falls = (close.shift(-HORIZON_DAYS) / close - 1) <= -FALL
    kept = table.notna().all(axis=1) & close.shift(-HORIZON_DAYS).notna()
    return title, table[kept].reset_index(drop=True), falls[kept].to_numpy().astype(int)


def index() -> tuple[str, pd.Series, pd.Series, pd.Series]:
    """Return close, high and low of the VIX, or of a made-up index that reverts to its mean."""
    file = Path(os.environ.get("BIMETAL_DATA", "")) / "vix_daily" / "vix_daily.parquet"
    if file.is_file():
        table = pd.read_parquet(file).rename(columns=str.lower)
        return "VIX, 1990 to 2026", table["close"], table["high"], table["low"]
    rng = np.random.default_rng(0)
    log = np.zeros(4000)
    for t in range(1, len(log)):
        log[t] = 0.97 * log[t - 1] + rng.normal(0, 0.07) + 0.3 * (rng.random() < 0.01)
    close = pd.Series(19 * np.exp(log))
    spread = pd.Series(np.exp(rng.gamma(2, 0.03, len(log))))
    return "A MADE-UP index (set BIMETAL_DATA for the VIX)", close, close * spread, close / spread


if __name__ == "__main__":
    main()
