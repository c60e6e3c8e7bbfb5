"""``bimetal demo``: the main job from end to end, on real data, in a few minutes.

A credit model is trained, distilled, lowered to bits and saved; a second process, in which torch and
everything else that trains cannot be imported, loads the file and scores the rows held out; both must
agree in every bit. Then the model is compared with its challengers, and a page is written.
"""

import json
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Group

import bimetal
from bimetal.amounts import amount, size, times
from bimetal.cli.answer import Answer, AsJson, answering, narrated, say
from bimetal.cli.looks import facts, table
from bimetal.cli.splits import Split, at_random
from bimetal.cli.without_torch import BLOCKED
from bimetal.errors import DataError, MissingExtraError, ProgramError
from bimetal.format import save
from bimetal.tables import open_sink, read_table

__all__ = ["demo"]

QUICK: dict[str, Any] = {"n_members": 2, "max_rules": 400, "max_epochs": 10, "n_folds": 3}
HOLDOUT = 0.25
ORIGINS = {"folder": "from your folder", "download": "downloaded", "simulated": "simulated"}
NOTE = (
    "batch, one row: how many times as fast bimetal is, raw rows in, one thread, on this machine. For one "
    "row, scikit-learn spends most of its time in Python around the arithmetic."
)

Out = Annotated[
    Path, typer.Option("--out", help="Folder for the model, the scores and the report.")
]
Quick = Annotated[bool, typer.Option("--quick", help="A small table and a small model: seconds.")]
Data = Annotated[str | None, typer.Option(help="See `bimetal datasets`. [default: taiwan_default]")]


@answering
def demo(
    out: Out = Path("runs/demo"),
    quick: Quick = False,
    data: Data = None,
    seed: Annotated[int, typer.Option(help="Of the split and the model.")] = 0,
    as_json: AsJson = False,
) -> Answer:
    """Train a credit model on real data, turn it into bits, score it without torch, report."""
    start = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    credit = _load(data or ("german_credit" if quick else "taiwan_default"))
    rows, held = _split(credit, seed)
    model = _train(credit, rows, seed, quick, as_json)
    path = out / "model.bimetal"
    save(model.program_, path)
    _tell_what_was_distilled(model)
    second = _score_elsewhere(path, credit.X.take(held), out)
    n_equal = _compare(model, credit.X.take(held), out / "scores.parquet")
    say(f"{amount(n_equal)} scores of the second process, equal bit for bit (isa {second['isa']})")
    judged, page = _report(model, credit, rows, held, out, as_json)
    values = {
        "data": credit.name,
        "is_simulated": credit.origin == "simulated",
        "n_train_rows": len(rows),
        "n_holdout_rows": len(held),
        "model": str(path),
        "id": model.program_.id,
        "fit_seconds": model.report_.seconds,
        "fidelity": model.report_.fidelity,
        "weights": model.report_.weights,
        "n_scores_equal": n_equal,
        "isa": second["isa"],
        "models": [_values(m, judged.model) for m in judged.models],
        "report": str(page),
        "seconds": time.perf_counter() - start,
    }
    return Answer(values, _summary(values))


def _load(name: str) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        credit = bimetal.datasets.load_or_simulate(name, backend="pyarrow")
    for warning in caught:
        say(f"NOTE: {warning.message}")
    if credit.task != "classification":
        raise DataError(f"the demo is about two classes; '{name}' has a number to predict")
    say(
        f"{credit.title}: {amount(len(credit.y))} rows, {credit.X.num_columns} columns, "
        f"{credit.y.mean():.1%} {credit.positive}"
    )
    return credit


def _split(credit: Any, seed: int) -> Split:
    """Split as the publisher or time says; at random only where there is no time."""
    if credit.split is not None:
        return np.flatnonzero(credit.split == "train"), np.flatnonzero(credit.split == "test")
    if credit.time is not None:
        from bimetal.cli.splits import in_time_order

        return in_time_order(credit.time, HOLDOUT)
    return at_random(credit.y, HOLDOUT, seed, is_stratified=True)


def _train(credit: Any, rows: NDArray[np.intp], seed: int, is_quick: bool, as_json: bool) -> Any:
    encoder = bimetal.TreeEncoder(
        categorical=credit.categorical or None, special_codes=credit.special_codes or None
    )
    say(f"training on {amount(len(rows))} rows, the teacher included")
    model = bimetal.BinaryClassifier(
        encoder=encoder, random_state=seed, verbose=not as_json, **(QUICK if is_quick else {})
    )
    return model.fit(credit.X.take(rows), credit.y[rows])


def _tell_what_was_distilled(model: Any) -> None:
    report, cost = model.report_, model.program_.cost()
    parts = ", ".join(f"{name} {weight:.2f}" for name, weight in report.weights.items())
    fidelity = (
        "no teacher"
        if report.fidelity is None
        else f"fidelity to the teacher {report.fidelity:.3f}"
    )
    say(f"fitted in {report.seconds:.1f} s; weights of the parts: {parts}; {fidelity}")
    say(f"lowered to {amount(cost.bits)} binary weights, {amount(cost.bytes)} bytes in all")


def _score_elsewhere(model: Path, X: Any, out: Path) -> dict[str, Any]:
    """Score in a process of its own, in which nothing that trains can be imported."""
    data, scores = out / "holdout.parquet", out / "scores.parquet"
    with open_sink(data, X.schema) as write:
        for batch in X.to_batches():
            write(batch)
    command = [sys.executable, "-m", "bimetal.cli.without_torch", "score", model, data,
               "--out", scores, "--json"]  # fmt: skip
    say(f"scoring in a second process, without {', '.join(BLOCKED)}")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProgramError(
            f"the second process could not score: {(done.stdout + done.stderr)[-2000:]}"
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _compare(model: Any, X: Any, scores: Path) -> int:
    """Return the number of rows whose probabilities are the same in every bit, which is all."""
    ours = model.predict_proba(X)
    table = read_table(scores)
    names = [f"probability_{label}" for label in model.program_.classes]
    theirs = np.column_stack([table.column(name).to_numpy() for name in names])
    if theirs.dtype != ours.dtype or ours.tobytes() != np.ascontiguousarray(theirs).tobytes():
        n_wrong = int((ours != theirs).any(axis=1).sum())
        raise ProgramError(
            f"{n_wrong} of {len(ours)} rows were scored otherwise by the second process; "
            "bits must agree: please report this with the file"
        )
    return len(ours)


def _report(
    model: Any, credit: Any, rows: NDArray[Any], held: NDArray[Any], out: Path, as_json: bool
) -> tuple[Any, Path]:
    try:
        from bimetal.report import Portfolio, judge, write_report
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "report", "the report") from error
    truth = credit.default_probability
    portfolio = Portfolio(
        title=credit.title,
        source=f"{credit.name}, {ORIGINS[credit.origin]}; {credit.licence}",
        train=(credit.X.take(rows), credit.y[rows]),
        test=(credit.X.take(held), credit.y[held]),
        truth=None if truth is None else truth[held],
        positive=credit.positive,
        caveats=credit.caveats,
    )
    with narrated(not as_json) as progress:
        judged = judge(model, portfolio, progress=progress)
        progress("drawing")
        return judged, write_report(judged, out)


def _values(judged: Any, ours: Any) -> dict[str, Any]:
    values = {"name": judged.name, **judged.measures, "auc_interval": list(judged.auc_interval),
              "lead": judged.lead, "lead_interval": list(judged.lead_interval),
              "bytes": judged.n_bytes}  # fmt: skip
    if judged.speed:
        values |= vars(judged.speed)
        values["batch_ratio"] = ours.speed.rows_per_second / judged.speed.rows_per_second
        values["one_row_ratio"] = judged.speed.one_row_median_us / ours.speed.one_row_median_us
    return values


def _summary(values: dict[str, Any]) -> Any:
    shown = table("model", ">AUC", ">95 % interval", ">Brier", ">size", ">batch", ">one row")
    for m in values["models"]:
        low, high = m["auc_interval"]
        shown.add_row(
            m["name"], f"{m['auc']:.4f}", f"{low:.4f}–{high:.4f}", f"{m['brier']:.4f}",
            size(m["bytes"]) if m["bytes"] else "",
            _times(m.get("batch_ratio")), _times(m.get("one_row_ratio")),
        )  # fmt: skip
    rest = facts(
        {
            "model": values["model"],
            "report": values["report"],
            "took": f"{values['seconds']:.0f} s",
        }
    )
    return Group(shown, NOTE, rest)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else times(ratio)
