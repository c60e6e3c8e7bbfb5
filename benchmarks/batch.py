"""Batch scoring: rows a second on one core, from memory, with the reading and writing of files apart.

    python benchmarks/batch.py --json benchmarks/results/batch.json   # half a minute, once a model is there
    python benchmarks/batch.py --model scorecard.bimetal              # a credit model of the same columns

The model is the default `BinaryScorecard` of the Taiwan set (a simulated portfolio where that is absent), trained
once, which takes two minutes, and kept in runs/batch. Its rows are drawn again and again up to the size of a
table. LightGBM (100 trees) and a logistic regression on weights of evidence score the same matrix on the same core.
Contestants take turns; figures are medians of wall-clock times.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
from _frame import Row, options, report
from _onnx import Graph
from _turns import pin, take_turns

from bimetal import datasets
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.scorecard import BinaryScorecard
from bimetal.finance.credit.woe_logistic import WoeLogistic
from bimetal.runtime import Engine, isas
from bimetal.scale import score
from bimetal.scale.credit import CreditScores
from bimetal.tables import open_sink, open_source

KEPT = Path(__file__).parents[1] / "runs" / "batch"
BATCH = 65_536
GOAL = 2.0  # million rows a second and core
Calls = dict[str, Callable[[], Any]]


def model_of(given: Path | None, name: str, data: Any, quick: bool) -> CreditModel:
    """Load the model, or train it and keep it."""
    path = given or KEPT / f"{name}{'_quick' if quick else ''}.bimetal"
    if not path.exists():
        rows, settings = (4_000, {"max_rules": 300}) if quick else (len(data.y), {})
        print(f"training a scorecard on {rows} rows, to be kept in {path}", flush=True)
        fitted = BinaryScorecard(random_state=0, **settings).fit(data.X[:rows], data.y[:rows])
        path.parent.mkdir(parents=True, exist_ok=True)
        fitted.model_.save(path)
    return CreditModel.load(path)


def drawn(data: Any, n: int) -> pa.RecordBatch:
    """Rows of the set, drawn with replacement."""
    rows = np.random.default_rng(0).integers(0, len(data.y), n)
    return pa.RecordBatch.from_pandas(data.X.iloc[rows], preserve_index=False)


def million(seconds: dict[str, float], n_rows: int, goals: Sequence[str] = ()) -> list[Row]:
    """Million rows a second from seconds a call."""
    return [
        Row(name, n_rows / s / 1e6, "M rows/s", goal=GOAL if name in goals else None)
        for name, s in seconds.items()
    ]


def from_memory(model: CreditModel, batch: pa.RecordBatch, n_rounds: int) -> list[Row]:
    """Matrix to points, and Arrow to everything that is written, by instruction set."""
    rows = np.ascontiguousarray(model.rows(pa.Table.from_batches([batch])))
    table = pa.Table.from_batches([batch])
    calls: Calls = {"Arrow to matrix": lambda: model.rows(table)}
    for isa in isas():
        engine, scores = Engine(model.program, isa=isa), CreditScores(model, isa)
        calls[f"matrix to probabilities, {isa}"] = partial(engine.run, rows)
        calls[f"Arrow to scores and decisions, {isa}"] = partial(scores.columns, batch)
    found = take_turns(calls, n_rounds)
    best = isas()[0]
    goals = (f"matrix to probabilities, {best}", f"Arrow to scores and decisions, {best}")
    return million(found, len(rows), goals)


def with_reasons(model: CreditModel, batch: pa.RecordBatch) -> list[Row]:
    """The same with four reasons for each application that is not approved."""
    scores, part = CreditScores(model, with_reasons=True), batch.slice(0, 4096)
    is_told = [name for name, _ in scores.fields].index("reason_1")
    n_told = len(part) - scores.columns(part)[is_told].null_count
    found = take_turns({"Arrow to scores, decisions and reasons": lambda: scores.columns(part)}, 3)
    (seconds,) = found.values()
    return [*million(found, len(part)), Row("rows that were given reasons", n_told / seconds / 1e3, "k rows/s")]  # fmt: skip


def woe_in_onnx(woe: WoeLogistic, n_columns: int) -> Any:
    """The same logistic regression as comparisons and one product of matrices, for ONNX Runtime."""
    cuts = [(j, cut) for j, c in enumerate(woe.woe_) for cut in c.cuts]
    steps = [
        woe.coef_[j] * d for j, c in enumerate(woe.woe_) for d in np.diff(c.woe[: c.n_regular])
    ]
    lowest = sum(k * c.woe[0] for k, c in zip(woe.coef_, woe.woe_, strict=True)) + woe.intercept_
    absent = [k * (c.woe[-1] - c.woe[0]) for k, c in zip(woe.coef_, woe.woe_, strict=True)]
    graph = Graph()
    # v >= cut in float64 is the same as v >= the next float32 at or above it.
    wide = graph.add("Gather", "x", graph.constant(np.array([j for j, _ in cuts])), axis=1)
    limits = np.array([_at_least(cut) for _, cut in cuts])
    reached = graph.add("GreaterOrEqual", wide, graph.constant(limits))
    is_missing = graph.add("IsNaN", "x")
    bits = [graph.add("Cast", value, to=1) for value in (reached, is_missing)]
    joined = graph.add("Concat", *bits, axis=1)
    weights = np.array([*steps, *absent], np.float32)[:, None]
    summed = graph.add("MatMul", joined, graph.constant(weights))
    graph.add("Sigmoid", graph.add("Add", summed, graph.constant(np.array([lowest], np.float32))))
    return graph.session(n_columns)


def _at_least(cut: float) -> np.float32:
    near = np.float32(cut)
    return near if near >= cut else np.nextafter(near, np.float32(np.inf))


def rivals(data: Any, model: CreditModel, batch: pa.RecordBatch, n_rounds: int) -> list[Row]:
    """LightGBM and the logistic regression on weights of evidence, on the same matrix."""
    rows = model.rows(pa.Table.from_batches([batch]))
    n = min(len(data.y), 30_000)
    trees = lightgbm.LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1, random_state=0)
    booster = trees.fit(data.X[:n].to_numpy(np.float32), data.y[:n]).booster_
    woe = WoeLogistic(trends=("auto",), strengths=(1.0,)).fit(data.X[:n], data.y[:n])
    onnx = woe_in_onnx(woe, rows.shape[1])
    (name,) = (value.name for value in onnx.get_outputs())
    ask = {"x": rows}
    worst = np.abs(onnx.run([name], ask)[0][:, 0] - woe._probability(rows)).max()
    assert worst < 1e-5, f"the graph is another model: {worst}"
    few = rows[:8192]
    slow = take_turns({"LightGBM, 100 trees": lambda: booster.predict(few, num_threads=1)}, 3)
    fast = take_turns(
        {
            "WoE logistic, scikit-learn's numbers in NumPy": lambda: woe._probability(rows),
            "WoE logistic, ONNX Runtime": lambda: onnx.run([name], ask),
        },
        n_rounds,
    )
    return million(slow, len(few)) + million(fast, len(rows))


def files(model: CreditModel, batch: pa.RecordBatch, n_batches: int, folder: Path) -> list[Row]:
    """Reading, writing, and the whole way from file to file."""
    rows, n_rows = [], n_batches * len(batch)
    scores = CreditScores(model)
    schema = scores.schema([])
    scored = pa.RecordBatch.from_arrays(scores.columns(batch), schema=schema)
    for kind in ("parquet", "arrow"):
        data, out = folder / f"in.{kind}", folder / f"out.{kind}"
        with open_sink(data, batch.schema) as write:
            for _ in range(n_batches):
                write(batch)
        calls: Calls = {
            f"reading {kind}": lambda data=data: read(data, model),
            f"writing {kind}": lambda out=out: written(out, schema, scored, n_batches),
            f"from {kind} to {kind}": lambda data=data, out=out: score(model, data, out),
        }
        rows += million(take_turns(calls, 1), n_rows)
    return rows


def read(path: Path, model: CreditModel) -> None:
    with open_source(path, model.program.columns) as source:
        for batch in source.batches:
            for column in batch.columns:  # a mapped file is not read before it is looked at
                np.asarray(column).sum()


def written(path: Path, schema: pa.Schema, batch: pa.RecordBatch, n_batches: int) -> None:
    with open_sink(path, schema) as write:
        for _ in range(n_batches):
            write(batch)


def busy(core: int, model: bytes, rows: pa.RecordBatch, seconds: float) -> float:
    """Rows a second of one process among several."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    scores, n, start = CreditScores(CreditModel.loads(model)), 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        scores.columns(rows)
        n += len(rows)
    return n / (time.perf_counter() - start)


def two_processes(model: CreditModel, batch: pa.RecordBatch, seconds: float) -> list[Row]:
    """What two processes score together from memory."""
    cores = sorted(os.sched_getaffinity(0))[-2:] if hasattr(os, "sched_getaffinity") else [0, 1]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        jobs = [pool.submit(busy, core, model.dumps(), batch, seconds) for core in cores]
        together = sum(job.result() for job in jobs)
    return [Row("Arrow to scores and decisions, two processes", together / 1e6, "M rows/s", goal=2 * GOAL)]  # fmt: skip


def main() -> None:
    """Measure and report."""
    args = options(
        __doc__.splitlines()[0],
        set={"default": "taiwan_default", "help": "data set"},
        model={"type": Path, "help": "a credit model of that set's columns"},
    )
    data = datasets.load_or_simulate(args.set)
    model = model_of(args.model, args.set, data, args.quick)
    batch, n_rounds = (
        drawn(data, BATCH // (8 if args.quick else 1)),
        1 if args.quick else args.seeds,
    )
    rows = two_processes(model, batch, 0.5 if args.quick else 3.0)
    core = pin(1)
    pa.set_cpu_count(1)
    rows = from_memory(model, batch, n_rounds) + rows
    rows += with_reasons(model, batch) + rivals(data, model, batch, n_rounds)
    folder = Path(tempfile.mkdtemp())
    try:
        rows += files(model, batch, 4 if args.quick else 16, folder)
    finally:
        shutil.rmtree(folder)
    cost = {
        "rules": model.form.n_rules,
        "bits": len(model.form.direct),
        "columns": batch.num_columns,
    }
    print("model:", cost, "core:", core)
    report(rows, args.json, model=cost, batch_rows=len(batch), data=args.set)


if __name__ == "__main__":
    main()
