"""``bimetal bench``: how fast a model scores on this machine, by instruction set."""

import os
import platform
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Group

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.looks import facts, table
from bimetal.format import load
from bimetal.runtime import Engine, isas
from bimetal.speed import engine_speed, likely_rows, measure_batch

__all__ = ["bench"]

Model = Annotated[Path, typer.Argument(help="A .bimetal file.", show_default=False)]
Rows = Annotated[
    int | None,
    typer.Option(help="Rows of the batch; by default 20,000, or what 64 MiB hold.", min=1),
]
Calls = Annotated[
    int | None,
    typer.Option(help="Calls with one row; by default 20,000, or 2 s of them.", min=1),
]
Isa = Annotated[str | None, typer.Option(help="Only this instruction set.")]


@answering
def bench(
    model: Model,
    rows: Rows = None,
    calls: Calls = None,
    isa: Isa = None,
    as_json: AsJson = False,
) -> Answer:
    """Measure rows a second and the latency of one row, raw row in, probability out, one thread."""
    program = load(model)
    rows = rows or max(1, min(20_000, 2**26 // (4 * program.n_columns)))
    data = likely_rows(program, rows)
    results = []
    for name in [isa] if isa else isas():
        engine = Engine(program, isa=name)
        n_calls = calls or _affordable_calls(engine, data[:1])
        speed = engine_speed(engine, data, n_calls)
        results.append({"isa": name, "n_calls": n_calls, **vars(speed)})
    values = {
        "id": program.id,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "n_rows": rows,
        "results": results,
    }
    return Answer(values, _page(values))


def _affordable_calls(engine: Engine, row: NDArray[np.float32]) -> int:
    """Return as many calls as take some two seconds, at most 20,000."""
    calls_per_second = measure_batch(lambda: engine.run(row), 1)
    return min(20_000, 5 + int(2 * calls_per_second))


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
