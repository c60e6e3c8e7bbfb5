"""``bimetal compress``: a float model and data in, the table of its compressed versions out."""

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape

from bimetal.amounts import amount, duration
from bimetal.cli.answer import Answer, AsJson, answering, narrated, say
from bimetal.cli.looks import facts, table
from bimetal.cli.options import names_of
from bimetal.errors import MissingExtraError
from bimetal.files import atomic_write

__all__ = ["compress"]

QUICK_EPOCHS, QUICK_ROWS = 3, (2_000, 500)
NAME_WIDTH = 22

Model = Annotated[
    str,
    typer.Argument(
        help="The function that makes the model: path/to/file.py:function (this RUNS the file) or "
        "module.path:function.",
        show_default=False,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        help="An npz file (x_train, y_train, x_test, y_test; or x, y), or mnist, fashion_mnist, ...",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(help=".safetensors or a state_dict; without it the model is trained first."),
]
Methods = Annotated[
    list[str] | None, typer.Option(help="Some methods or families only: pruning,binary")
]
Epochs = Annotated[
    int | None, typer.Option(help="Of models trained from the start. [default: 12]", min=1)
]
Out = Annotated[Path, typer.Option("--out", help="Folder for the page, the table and the models.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Few rows, few epochs, one setting a method: a look.")
]
Ordered = Annotated[
    bool, typer.Option("--time-ordered", help="Rows are in the order of time: hold out the latest.")
]


@answering
def compress(
    model: Model,
    data: Data,
    weights: Weights = None,
    methods: Methods = None,
    epochs: Epochs = None,
    seed: Annotated[int, typer.Option(help="Of splits, batches and new weights.")] = 0,
    out: Out = Path("runs/compress"),
    quick: Quick = False,
    time_ordered: Ordered = False,
    as_json: AsJson = False,
) -> Answer:
    """Compress a float model by every method, and tell accuracy, size and latency of each."""
    _require("torch", "train")
    for package in ("matplotlib", "jinja2"):
        _require(package, "report")
    from bimetal import compress as families

    net = families.load_model(model, weights, seed)
    rows = families.read_data(data, is_time_ordered=time_ordered, seed=seed)
    if quick:
        rows = rows.shortened(*QUICK_ROWS)
    if weights is None:
        say("no --weights: the model is trained first, and that is the baseline")
    epochs = epochs or (QUICK_EPOCHS if quick else families.CompressConfig.epochs)
    config = families.CompressConfig(epochs=epochs, seed=seed, is_quick=quick)
    out.mkdir(parents=True, exist_ok=True)
    with narrated(not as_json) as progress:
        study = families.compress(
            net, rows, names_of(methods) or None, config, is_trained=weights is not None,
            folder=out / "models", progress=progress,
        )  # fmt: skip
        progress("drawing")
        values = _written(study, out)
    return Answer(values, _page(study, values), 130 if study.was_interrupted else 0)


def _require(package: str, extra: str) -> None:
    """Say what is missing before the training, not after it."""
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra, "bimetal compress")


def _written(study: Any, out: Path) -> dict[str, Any]:
    """Write the table as JSON, then the page."""
    from bimetal.report.compression import write_compression

    with atomic_write(out / "study.json") as file:
        file.write(study.to_json().encode())
    page = write_compression(study, out)
    return {**study.values(), "out": str(out), "report": str(page)}


def _page(study: Any, values: dict[str, Any]) -> Any:
    shown = table("model", ">test", ">bytes", ">one row", ">in a batch", "by")
    shown.columns[0].min_width = NAME_WIDTH  # names read better whole; the rest is in study.json
    front = {r.name for by in values["pareto"] for r in study.pareto(by)}
    for r in study.results:
        shown.add_row(
            f"[bold]{escape(r.name)}[/bold]" if r.name in front else escape(r.name),
            f"{100 * r.accuracy:.2f} %", amount(r.n_bytes), _time(r.one_row_us),
            _time(r.batch_row_us), r.runtime,
        )  # fmt: skip
    left_out = [escape(f"left out: {s.name}: {s.reason}") for s in study.skipped]
    stopped = ["stopped: the methods that were finished"] if study.was_interrupted else []
    files = {"report": values["report"], "models": str(Path(values["out"]) / "models")}
    note = "bold: on a Pareto front; one thread, all by turns; bytes of real files"
    return Group(shown, *left_out, *stopped, note, facts(files))


def _time(microseconds: float | None) -> str:
    return "" if microseconds is None else duration(microseconds)
