"""``bimetal bench``: how fast a model scores on this machine, by instruction set."""

import os
import platform
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Group

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.looks import facts, table
from bimetal.format import load
from bimetal.runtime import Engine, isas
from bimetal.speed import engine_speed, likely_rows

__all__ = ["bench"]

Model = Annotated[Path, typer.Argument(help="A .bimetal file.", show_default=False)]
Rows = Annotated[int, typer.Option(help="Rows of the batch.", min=1)]
Calls = Annotated[int, typer.Option(help="Calls with one row.", min=1)]
Isa = Annotated[str | None, typer.Option(help="Only this instruction set.")]


@answering
def bench(
    model: Model,
    rows: Rows = 20_000,
    calls: Calls = 20_000,
    isa: Isa = None,
    as_json: AsJson = False,
) -> Answer:
    """Measure rows a second and the latency of one row, raw row in, probability out, one thread."""
    program = load(model)
    data = likely_rows(program, rows)
    results = []
    for name in [isa] if isa else isas():
        speed = engine_speed(Engine(program, isa=name), data, calls)
        results.append({"isa": name, **vars(speed)})
    values = {
        "id": program.id,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "n_rows": rows,
        "n_calls": calls,
        "results": results,
    }
    return Answer(values, _page(values))


def _page(values: dict[str, Any]) -> Any:
    shown = table("instruction set", ">rows a second", ">one row, median", ">one row, 99 %")
    for result in values["results"]:
        shown.add_row(
            result["isa"],
            amount(result["rows_per_second"]),
            f"{result['one_row_median_us']:.2f} µs",
            f"{result['one_row_p99_us']:.2f} µs",
        )
    about = facts({"model": values["id"], "machine": values["machine"]})
    return Group(about, shown, "Invented rows near the cut-points; one thread; called from Python.")
