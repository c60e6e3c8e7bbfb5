"""Latency and throughput of one scorer from Python: the default model beside LightGBM and ONNX Runtime.

All are fitted on the same rows of one data set (Taiwan, else a simulated portfolio). One core, one
thread each; the contestants take turns in every round, rows vary from call to call, and the figure is
the ratio of medians over rounds. The float net of equal accuracy is the smallest of a few, on the same bits
computed inside its ONNX graph, whose test AUC comes within 0.002 of ours, or else the best of them; a
small float net on standardised raw columns, less accurate, stands beside it.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _frame import Row, options, report
from _onnx import Graph, bits_in_graph_order, layers, standardise, thermometer
from _rivals import TunedLightGBM
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from bimetal import datasets
from bimetal.columns import to_rows
from bimetal.estimators import BinaryClassifier
from bimetal.format import dumps
from bimetal.runtime import Engine, isas

WIDTHS = ((32,), (64,), (64, 64), (128, 64), (256, 128))
N_BATCH = 16_384
Contestants = dict[str, Callable[[int], Any]]


def pin() -> int | None:
    """Stay on one core, where the system lets us choose."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def medians(contestants: Contestants, n_rounds: int, n_calls: int) -> dict[str, float]:
    """Seconds a call, the median over rounds; contestants take turns within each round."""
    for call in contestants.values():
        for i in range(min(n_calls, 50)):
            call(i)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for r in range(n_rounds):
        for name, call in contestants.items():
            start = time.perf_counter()
            for i in range(r * n_calls, (r + 1) * n_calls):
                call(i)
            times[name].append((time.perf_counter() - start) / n_calls)
    return {name: float(np.median(t)) for name, t in times.items()}


def float_net(inputs: np.ndarray, y: np.ndarray, widths: tuple[int, ...]) -> MLPClassifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MLPClassifier(
            widths, alpha=0.1, early_stopping=True, max_iter=40, n_iter_no_change=5, random_state=0
        ).fit(inputs, y)


def equal_float_net(
    ours: BinaryClassifier,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    target: float,
    quick: bool,
) -> tuple[Any, str, float]:
    """Fit float nets on our bits, narrow to wide, until one is as accurate as ours."""
    best: tuple[float, Any, tuple[int, ...]] | None = None
    encoder = ours.encoder_
    bits = [
        bits_in_graph_order(encoder, encoder.transform_rows(rows)).astype(np.float32)
        for rows in (train[0], test[0])
    ]
    for widths in WIDTHS[:2] if quick else WIDTHS:
        net = float_net(bits[0], train[1], widths)
        auc = roc_auc_score(test[1], net.predict_proba(bits[1])[:, 1])
        if best is None or auc > best[0]:
            best = auc, net, widths
        if auc >= target - 0.002:
            break
    assert best is not None
    graph = Graph()
    thermometer(graph, encoder)
    layers(graph, best[1].coefs_, best[1].intercepts_)
    return graph.session(train[0].shape[1]), "-".join(map(str, best[2])), best[0]


def small_float_net(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> tuple[Any, float]:
    """Fit a 64-64 float net on standardised raw columns."""
    mean, scale = np.nanmean(train[0], axis=0), np.nanstd(train[0], axis=0) + 1e-9
    x, t = (np.nan_to_num((rows - mean) / scale) for rows in (train[0], test[0]))
    net = float_net(x, train[1], (64, 64))
    graph = Graph()
    standardise(graph, mean, scale)
    layers(graph, net.coefs_, net.intercepts_)
    return graph.session(x.shape[1]), roc_auc_score(test[1], net.predict_proba(t)[:, 1])


def main() -> None:
    """Fit, measure, report."""
    args = options(__doc__.splitlines()[0], set={"default": "taiwan_default", "help": "data set"})
    data = datasets.load_or_simulate(args.set)
    n = 4_000 if args.quick else len(data.y)
    a, b = train_test_split(np.arange(n), test_size=0.25, stratify=data.y[:n], random_state=0)
    cheap: dict[str, Any] = (
        {"n_members": 2, "max_epochs": 3, "max_rules": 300} if args.quick else {}
    )
    ours = BinaryClassifier(random_state=0, **cheap).fit(data.X.iloc[a], data.y[a])
    booster = TunedLightGBM(1 if args.quick else 6, 0).fit(data.X.iloc[a], data.y[a])
    columns = ours.program_.columns
    train, test = ((to_rows(data.X.iloc[i], columns), data.y[i]) for i in (a, b))
    auc = roc_auc_score(test[1], ours.predict_proba(data.X.iloc[b])[:, 1])
    equal, widths, auc_equal = equal_float_net(ours, train, test, auc, args.quick)
    small, auc_small = small_float_net(train, test)
    auc_lgbm = roc_auc_score(test[1], booster.predict(data.X.iloc[b]))
    print(
        f"test AUC: bimetal {auc:.4f}, LightGBM {auc_lgbm:.4f}, float net {widths} on the same bits "
        f"{auc_equal:.4f}, float net 64-64 on raw columns {auc_small:.4f}"
    )
    pinned = pin()
    rows = measure(ours, booster, equal, small, test[0], args.quick)
    rows += [
        Row("AUC: bimetal", auc, "AUC"),
        Row("AUC: LightGBM", auc_lgbm, "AUC"),
        Row(f"AUC: float net {widths} on the same bits", auc_equal, "AUC"),
        Row("AUC: float net 64-64 on raw columns", auc_small, "AUC"),
        Row("file: bimetal", len(dumps(ours.program_)) / 1024, "KiB", "lower", 64),
        Row("file: LightGBM", booster.n_bytes / 1024, "KiB", "lower"),
    ]
    report(
        rows,
        args.json,
        data=data.name,
        origin=data.origin,
        core=pinned,
        weights=ours.report_.weights,
    )


def measure(
    ours: BinaryClassifier,
    booster: TunedLightGBM,
    equal: Any,
    small: Any,
    rows: np.ndarray,
    quick: bool,
) -> list[Row]:
    """Time one row and a batch, and return times and ratios."""
    one = [np.ascontiguousarray(row[None]) for row in rows]
    flat = [row[0] for row in one]
    wide = [row.astype(np.float64) for row in one]
    out = np.empty(2, np.float32)
    engines = {isa: Engine(ours.program_, isa=isa) for isa in isas()}
    n, model = len(one), booster.model
    single: Contestants = {
        f"bimetal, {isa}": lambda i, f=e.predict_into: f(flat[i % n], out)
        for isa, e in engines.items()
    }
    best = f"bimetal, {isas()[0]}"
    single |= {
        "LightGBM": lambda i: model.predict(wide[i % n], num_threads=1),
        "float net, equal accuracy": lambda i: equal.run(None, {"x": one[i % n]}),
        "float net, raw columns": lambda i: small.run(None, {"x": one[i % n]}),
    }
    times = medians(single, 5 if quick else 31, 100 if quick else 1000)
    figures = [Row(f"one row: {k}", t * 1e6, "us", "lower") for k, t in times.items()]
    figures += [
        Row("one row: LightGBM over bimetal", times["LightGBM"] / times[best], "x", "higher", 15),
        Row(
            "one row: float net of equal accuracy over bimetal",
            times["float net, equal accuracy"] / times[best],
            "x",
            "higher",
            10,
        ),
        Row(
            "one row: float net on raw columns over bimetal",
            times["float net, raw columns"] / times[best],
            "x",
        ),
    ]
    many = np.ascontiguousarray(np.resize(rows, (N_BATCH, rows.shape[1])))
    many64, result = many.astype(np.float64), np.empty((N_BATCH, 2), np.float32)
    batch: Contestants = {
        f"bimetal, {isa}": lambda i, f=e.predict_into: f(many, result) for isa, e in engines.items()
    }
    batch |= {
        "LightGBM": lambda i: model.predict(many64, num_threads=1),
        "float net, equal accuracy": lambda i: equal.run(None, {"x": many}),
        "float net, raw columns": lambda i: small.run(None, {"x": many}),
    }
    times = medians(batch, 3 if quick else 21, 1)
    figures += [Row(f"batch: {k}", N_BATCH / t / 1e6, "M rows/s") for k, t in times.items()]
    figures += [
        Row("batch: bimetal over LightGBM", times["LightGBM"] / times[best], "x"),
        Row(
            "batch: bimetal over float net of equal accuracy",
            times["float net, equal accuracy"] / times[best],
            "x",
            "higher",
            20,
        ),
        Row(
            "batch: bimetal over float net on raw columns",
            times["float net, raw columns"] / times[best],
            "x",
        ),
    ]
    return figures


if __name__ == "__main__":
    main()
