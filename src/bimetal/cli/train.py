"""``bimetal train``: a table in, a model file and a report on rows it has not seen out."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import bimetal
from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering, say
from bimetal.cli.looks import facts
from bimetal.cli.options import names_of, require_folder, special_codes_of
from bimetal.cli.splits import Split, at_random, in_time_order
from bimetal.cli.tasks import Lesson, read_lesson, suspected_times
from bimetal.errors import DataError
from bimetal.format import save

__all__ = ["train"]

Data = Annotated[Path, typer.Argument(help="CSV, Parquet or Arrow (Feather).", show_default=False)]
Target = Annotated[str, typer.Option(help="The column to predict.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="The model file to write.")]
Categorical = Annotated[
    list[str] | None, typer.Option(help="Whole numbers that are codes: sex,branch")
]
Special = Annotated[list[str] | None, typer.Option(help="Codes that are no numbers: score=-9,-8")]
Drop = Annotated[list[str] | None, typer.Option(help="Columns to leave out: id,name")]
Time = Annotated[str | None, typer.Option(help="When each row was known: the latest are held out.")]
Task = Annotated[str, typer.Option(help="auto, classification or regression.")]
Missing = Annotated[
    list[str] | None, typer.Option(help="Words in CSV that mean missing: NA,unknown")
]
Holdout = Annotated[float, typer.Option(help="Share of the rows that the report is made on.")]
Report = Annotated[bool, typer.Option(help="Hold rows out and report; else train on all rows.")]
Folder = Annotated[
    Path | None, typer.Option("--report-dir", help="[default: runs/<name of the model>]")
]


@answering
def train(
    data: Data,
    target: Target,
    out: Out = Path("model.bimetal"),
    categorical: Categorical = None,
    special: Special = None,
    drop: Drop = None,
    time: Time = None,
    task: Task = "auto",
    missing: Missing = None,
    teacher: Annotated[str, typer.Option(help="auto (boosted trees) or none.")] = "auto",
    n_members: Annotated[int, typer.Option(help="Dense binary nets in the ensemble.")] = 8,
    max_rules: Annotated[int, typer.Option(help="Sparse binary neurons, at most.")] = 3000,
    max_epochs: Annotated[int, typer.Option(help="Passes over the rows, at most.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    report: Report = True,
    holdout: Holdout = 0.2,
    report_dir: Folder = None,
    as_json: AsJson = False,
) -> Answer:
    """Train a model on a table and save it."""
    if teacher not in ("auto", "none"):
        raise DataError(f"--teacher is auto or none, got {teacher!r}")
    require_folder(out)
    lesson = read_lesson(
        data, target, drop=names_of(drop), time=time, task=task, missing=names_of(missing)
    )
    _warn_of_time(lesson)
    rows, held = _split(lesson, holdout, seed) if report else (np.arange(len(lesson.y)), None)
    encoder = bimetal.TreeEncoder(
        categorical=names_of(categorical) or None, special_codes=special_codes_of(special) or None
    )
    is_classifier = lesson.task == "classification"
    estimator: Any = bimetal.BinaryClassifier if is_classifier else bimetal.BinaryRegressor
    model = estimator(
        encoder=encoder,
        teacher="auto" if teacher == "auto" else None,
        n_members=n_members,
        max_rules=max_rules,
        max_epochs=max_epochs,
        random_state=seed,
        verbose=not as_json,
    )
    model.fit(lesson.X.take(rows), lesson.y[rows])
    save(_signed(model.program_, data, target), out)
    values = _values(model, out, lesson, rows, held)
    if held is not None:
        values |= _judge(
            model, lesson, rows, held, report_dir or Path("runs") / out.stem, data, as_json
        )
    return Answer(values, facts(_shown(values)), 130 if model.report_.was_interrupted else 0)


def _split(lesson: Lesson, holdout: float, seed: int) -> Split:
    if lesson.time is not None:
        return in_time_order(lesson.time, holdout)
    return at_random(lesson.y, holdout, seed, is_stratified=lesson.task == "classification")


def _warn_of_time(lesson: Lesson) -> None:
    if lesson.time is None and (names := suspected_times(lesson.X)):
        say(
            f"warning: column '{names[0]}' looks like a time, and the rows held out will be drawn at "
            f"random from all of it. Name it with --time {names[0]} so that the latest rows are held "
            f"out, or leave it out with --drop {names[0]}"
        )


def _signed(program: Any, data: Path, target: str) -> Any:
    made = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": data.name,
        "target": target,
    }
    return replace(program, provenance={**program.provenance, **made})


def _values(
    model: Any, out: Path, lesson: Lesson, rows: NDArray[Any], held: NDArray[Any] | None
) -> dict[str, Any]:
    report = model.report_
    return {
        "out": str(out),
        "id": model.program_.id,
        "task": lesson.task,
        "file_bytes": out.stat().st_size,
        "n_train_rows": len(rows),
        "n_holdout_rows": 0 if held is None else len(held),
        "split": "none" if held is None else "time" if lesson.time is not None else "random",
        "seconds": report.seconds,
        "weights": report.weights,
        "losses": report.losses,
        "fidelity": report.fidelity,
        "was_interrupted": report.was_interrupted,
    }


def _judge(
    model: Any,
    lesson: Lesson,
    rows: NDArray[Any],
    held: NDArray[Any],
    folder: Path,
    data: Path,
    as_json: bool,
) -> dict[str, Any]:
    """Judge the model on the rows held out; two classes get a page as well."""
    X, y = lesson.X.take(held), lesson.y[held]
    if lesson.task == "regression":
        error = model.predict(X) - y
        return {
            "holdout": {"rmse": float(np.sqrt((error**2).mean())), "r2": float(model.score(X, y))}
        }
    if len(model.classes_) > 2:
        return {"holdout": {"accuracy": float(model.score(X, y))}}
    from bimetal.cli.answer import narrated
    from bimetal.report import Portfolio, judge, write_report

    how = "the latest rows" if lesson.time is not None else "a random share of each class"
    portfolio = Portfolio(
        title=data.stem,
        source=f"{data.name}; held out: {how}",
        train=(lesson.X.take(rows), lesson.y[rows]),
        test=(X, y),
    )
    with narrated(not as_json) as progress:
        judged = judge(model, portfolio, progress=progress)
        page = write_report(judged, folder)
    return {"holdout": judged.models[0].measures, "report": str(page)}


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    interrupted = "  (interrupted: the best so far)" if values["was_interrupted"] else ""
    shown = {
        "model": f"{values['out']}, {amount(values['file_bytes'])} bytes{interrupted}",
        "id": values["id"],
        "trained": f"{values['task']} on {amount(values['n_train_rows'])} rows in {values['seconds']:.1f} s",
    }
    if values["n_holdout_rows"]:
        measures = ", ".join(f"{name} {value:.4f}" for name, value in values["holdout"].items())
        shown["held out"] = (
            f"{amount(values['n_holdout_rows'])} rows ({values['split']}): {measures}"
        )
    if "report" in values:
        shown["report"] = values["report"]
    return shown
