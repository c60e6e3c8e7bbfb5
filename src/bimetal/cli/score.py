"""``bimetal score``: a table in, its probabilities out, batch after batch."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering, progress_console
from bimetal.cli.looks import facts
from bimetal.cli.options import names_of, require_folder
from bimetal.errors import BimetalError, DataError
from bimetal.format import load
from bimetal.program import Program
from bimetal.runtime import Engine
from bimetal.tables import Source, open_sink, open_source

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


@answering
def score(
    model: Model,
    data: Data,
    out: Out,
    keep: Keep = None,
    missing: Missing = None,
    isa: Isa = None,
    as_json: AsJson = False,
) -> Answer:
    """Score a table, however long, with a saved model."""
    engine = Engine(load(model), isa=isa)
    engine.self_test()
    kept, n_rows = names_of(keep), 0
    with (
        _progress() as bar,
        closing(score_file(engine, data, out, kept, names_of(missing))) as steps,
    ):
        task = bar.add_task("scoring", rows="0")
        for n_rows in steps:
            bar.update(task, rows=amount(n_rows))
    values = {
        "model": str(model),
        "id": engine.program.id,
        "isa": engine.isa,
        "data": str(data),
        "out": str(out),
        "n_rows": n_rows,
        "columns": _output_names(engine.program, kept),
    }
    return Answer(
        values, facts({"scored": f"{amount(n_rows)} rows", "into": out, "model": values["id"]})
    )


def score_file(
    engine: Engine,
    data: Path,
    out: Path,
    keep: Sequence[str] = (),
    missing: Sequence[str] = (),
    batch_rows: int = 65_536,
) -> Generator[int]:
    """Score a file into another, which appears when all rows are scored.

    Yields
    ------
    int
        How many rows are done, after each batch.

    Raises
    ------
    DataError
        When the table does not fit the model; nothing is left behind.
    OSError
        When a file cannot be read or written; nothing is left behind.
    """
    require_folder(out)
    if out.exists() and data.exists() and out.samefile(data):
        raise DataError(f"--out '{out}' is the table itself; give the scores a file of their own")
    _check_names(engine.program, keep)
    with open_source(data, engine.program.columns, keep, missing, batch_rows) as source:
        schema = _schema(engine.program, source, keep)
        with open_sink(out, schema) as write:
            n_rows = 0
            yield n_rows
            for batch in source.batches:
                write(_scored(engine, batch, schema, keep, data, n_rows))
                n_rows += batch.num_rows
                yield n_rows


def _scored(
    engine: Engine, batch: Any, schema: Any, keep: Sequence[str], data: Path, n_before: int
) -> Any:
    import pyarrow as pa

    try:
        answers = engine.predict_proba(pa.Table.from_batches([batch]))
    except BimetalError as error:
        where = f" (of the batch that begins at row {n_before})" if n_before else ""
        raise type(error)(f"'{data}': {error}{where}") from error
    columns = [batch.column(name) for name in keep] + _answer_columns(engine, answers)
    arrays = [pa.array(c, f.type) if isinstance(c, np.ndarray) else c
              for c, f in zip(columns, schema, strict=True)]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _answer_columns(engine: Engine, answers: Any) -> list[Any]:
    columns = [np.ascontiguousarray(answers[:, k]) for k in range(engine.n_outputs)]
    if not engine.program.classes:
        return columns
    return [*columns, _labels(engine.program)[answers.argmax(axis=1)]]


def _labels(program: Program) -> Any:
    """Return the class labels as an array; labels of several types become text."""
    kinds = {type(label) for label in program.classes}
    return np.array([str(c) for c in program.classes] if len(kinds) > 1 else list(program.classes))


def _output_names(program: Program, keep: Sequence[str]) -> list[str]:
    if not program.classes:
        n = program.n_outputs
        return [*keep, *(["prediction"] if n == 1 else [f"prediction_{k}" for k in range(n)])]
    texts = [str(label) for label in program.classes]
    labels = texts if len(set(texts)) == len(texts) else [repr(label) for label in program.classes]
    return [*keep, *(f"probability_{label}" for label in labels), "prediction"]


def _check_names(program: Program, keep: Sequence[str]) -> None:
    names = _output_names(program, keep)
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(
            f"--keep {','.join(doubled)}: the scores have columns of that name; rename it"
        )


def _schema(program: Program, source: Source, keep: Sequence[str]) -> Any:
    import pyarrow as pa

    from bimetal import __version__

    names = _output_names(program, ())
    types = [pa.float32()] * program.n_outputs
    if program.classes:
        types.append(pa.array(_labels(program)).type)
    fields = [source.schema.field(name) for name in keep]
    fields += [pa.field(name, kind) for name, kind in zip(names, types, strict=True)]
    return pa.schema(fields, {"bimetal.model_id": program.id, "bimetal.version": __version__})


def _progress() -> Progress:
    layout = (
        SpinnerColumn(),
        TextColumn("{task.description} {task.fields[rows]} rows"),
        TimeElapsedColumn(),
    )
    console = progress_console()
    return Progress(*layout, console=console, transient=True, disable=not console.is_terminal)
