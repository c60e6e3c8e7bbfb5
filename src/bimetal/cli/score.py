"""``bimetal score``: a table in, its scores out, batch after batch, here or on a cluster."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering, progress_console
from bimetal.cli.looks import facts
from bimetal.cli.options import AsOf, names_of
from bimetal.scale import Tally, cluster_of, recipe_of, score_file
from bimetal.scale.credit import CreditScores

__all__ = ["score", "score_file"]

Model = Annotated[Path, typer.Argument(help="A .bimetal file.", show_default=False)]
Data = Annotated[Path, typer.Argument(help="CSV, Parquet or Arrow (Feather).", show_default=False)]
Out = Annotated[
    Path, typer.Option("--out", help="Where to: .parquet, .csv or .arrow.", show_default=False)
]
Keep = Annotated[list[str] | None, typer.Option(help="Columns to copy along: id,date")]
Missing = Annotated[
    list[str] | None, typer.Option(help="Words in CSV that mean missing: NA,unknown")
]
Isa = Annotated[str | None, typer.Option(help="Force an instruction set; see `bimetal bench`.")]
Reasons = Annotated[bool, typer.Option("--reasons", help="Of a credit model: what cost points.")]
Where = Annotated[str, typer.Option("--engine", help="local, or ray: a cluster of workers.")]
Address = Annotated[
    str | None, typer.Option(help="Of a running Ray cluster; by default one starts here.")
]
Workers = Annotated[int | None, typer.Option(help="With --engine ray: parts scored at once.")]


@answering
def score(
    model: Model,
    data: Data,
    out: Out,
    keep: Keep = None,
    missing: Missing = None,
    isa: Isa = None,
    reasons: Reasons = False,
    as_of: AsOf = None,
    engine: Where = "local",
    address: Address = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> Answer:
    """Score a table, however long, with a saved model; a credit model also decides."""
    recipe = recipe_of(model, isa, reasons, as_of)
    scores, tally, kept = recipe.scores(), Tally(), names_of(keep)
    cluster = cluster_of(engine, recipe, address, workers)
    steps = score_file(scores, data, out, kept, names_of(missing), 65_536, cluster, tally)
    with _progress() as bar, closing(steps):
        task = bar.add_task("scoring", rows="0")
        for n_rows in steps:
            bar.update(task, rows=amount(n_rows))
    values = {
        "model": str(model),
        "id": scores.program.id,
        "isa": scores.engine.isa,
        "engine": engine,
        "data": str(data),
        "out": str(out),
        "n_rows": tally.n_rows,
        "columns": [*kept, *(name for name, _ in scores.fields)],
    }
    shown = {"scored": f"{amount(tally.n_rows)} rows", "into": out, "model": values["id"]}
    if isinstance(scores, CreditScores):
        values |= _of_credit(scores, tally)
        shown |= {"refused": amount(tally.n_refused), "with a warning": amount(tally.n_warned)}
    return Answer(values, facts(shown))


def _of_credit(scores: CreditScores, tally: Tally) -> dict[str, Any]:
    return {
        "policy_id": scores.model.policy_id,
        "file_hash": scores.model.file_hash,
        "n_refused": tally.n_refused,
        "n_warned": tally.n_warned,
    }


def _progress() -> Progress:
    layout = (
        SpinnerColumn(),
        TextColumn("{task.description} {task.fields[rows]} rows"),
        TimeElapsedColumn(),
    )
    console = progress_console()
    return Progress(*layout, console=console, transient=True, disable=not console.is_terminal)
