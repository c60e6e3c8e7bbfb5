"""``bimetal credit explain``: why an applicant has this score, group by group, and the principal reasons."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Group
from rich.markup import escape
from rich.text import Text

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.credit.samples import dated, read_rows
from bimetal.cli.looks import facts, table
from bimetal.cli.options import AsOf, names_of
from bimetal.errors import DataError
from bimetal.explain.shapley import Contributions
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.validation.case import column_of
from bimetal.tables import open_source

__all__ = ["explain"]

MOST_ROWS = 20
BAR = 12

Model = Annotated[Path, typer.Argument(help="A credit model, .bimetal.", show_default=False)]
Data = Annotated[Path, typer.Argument(help="CSV, Parquet or Arrow (Feather).", show_default=False)]
Row = Annotated[
    list[int] | None,
    typer.Option(
        "--row", help="Which rows, counted from 0. [default: 0]", show_default=False, min=0
    ),
]
Id = Annotated[str | None, typer.Option("--id", help="Rows by a column instead: application=4711.")]
Missing = Annotated[
    list[str] | None, typer.Option(help="Words in CSV that mean missing: NA,unknown")
]


@answering
def explain(
    model: Model,
    data: Data,
    row: Row = None,
    id_: Id = None,
    missing: Missing = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> Answer:
    """Explain scores: what each group of columns added or cost, exactly, and the principal reasons."""
    credit = CreditModel.load(model)
    if row and id_:
        raise DataError("either --row or --id expected, got both; leave one out")
    found = (
        _with_id(credit, data, id_, names_of(missing), as_of)
        if id_
        else _at(credit, data, sorted({*(row or [0])}), names_of(missing), as_of)
    )
    numbers, applicants = [number for number, _ in found], [one for _, one in found]
    values = _values(credit, numbers, applicants)
    facts_of_model = {"model": str(model), "id": credit.id, "policy_id": credit.policy_id}
    values = {**facts_of_model, "file_hash": credit.file_hash, "data": str(data), **values}
    return Answer(values, Group(*_shown(values)))


Found = list[tuple[int, Any]]


def _at(
    credit: CreditModel,
    data: Path,
    numbers: list[int],
    missing: tuple[str, ...],
    as_of: str | None,
) -> Found:
    found: Found = []
    n_rows = 0
    for n_rows, batch in _batches(credit, data, (), missing, as_of):
        here = [n for n in numbers if n_rows <= n < n_rows + batch.num_rows]
        found += [(n, batch.slice(n - n_rows, 1)) for n in here]
        n_rows += batch.num_rows
        if len(found) == len(numbers):
            return found
    absent = [n for n in numbers if n >= n_rows]
    raise DataError(
        f"'{data}' has {amount(n_rows)} rows, 0 to {n_rows - 1}; there is no row {absent[0]}"
    )


def _with_id(
    credit: CreditModel, data: Path, text: str, missing: tuple[str, ...], as_of: str | None
) -> Found:
    column, equals, value = text.partition("=")
    if not (column and equals):
        raise DataError(f"--id expects column=value such as application=4711, got {text!r}")
    found: Found = []
    for n_before, batch in _batches(credit, data, (column,), missing, as_of):
        same = [i for i, v in enumerate(batch.column(column).to_pylist()) if _is(v, value)]
        found += [(n_before + i, batch.slice(i, 1)) for i in same]
    if not found:
        raise DataError(
            f"no row of '{data}' has {column}={value}; see how the column is written there"
        )
    if len(found) > MOST_ROWS:
        raise DataError(
            f"{len(found)} rows of '{data}' have {column}={value}, at most {MOST_ROWS} expected; "
            "name a column that tells applicants apart"
        )
    return found


def _batches(
    credit: CreditModel,
    data: Path,
    keep: tuple[str, ...],
    missing: tuple[str, ...],
    as_of: str | None,
) -> Iterator[tuple[int, Any]]:
    n_before = 0
    if credit.policy.dates:
        whole = dated(read_rows(data, missing), credit, as_of)
        for name in keep:
            column_of(whole, name)
        yield 0, whole.combine_chunks().to_batches()[0]
        return
    with open_source(data, credit.program.columns, keep, missing) as source:
        for batch in source.batches:
            yield n_before, batch
            n_before += batch.num_rows


def _is(found: Any, wanted: str) -> bool:
    """Tell whether a value reads as wanted: 4711 of a table of floats is "4711" too."""
    if isinstance(found, float) and found.is_integer():
        return wanted in (str(found), str(int(found)))
    return str(found) == wanted


def _values(credit: CreditModel, numbers: list[int], applicants: list[Any]) -> dict[str, Any]:
    import pyarrow as pa

    together = pa.Table.from_batches(applicants)
    rows = credit.rows(together)
    assessed, told = credit.assess(rows), credit.contributions(rows)
    reasons, problems = credit.reasons(rows), credit.check(rows)
    unit, policy = credit.policy.scaling.unit, credit.policy
    return {
        "cutoff": policy.cutoff / unit,
        "refer": None if policy.refer is None else [points / unit for points in policy.refer],
        "unit": unit,
        "denominator": told.denominator,
        "n_references": len(policy.references),
        "base": told.base / unit,
        "base_numerator": told.base_numerator,
        "applicants": [
            {
                "row": number,
                "points": int(assessed.points[i]),
                "score": float(assessed.score[i]),
                "probability": float(assessed.probability[i]),
                "decision": str(assessed.decision[i]),
                "contributions": _contributions(credit, rows[i], told, i),
                "reasons": [vars(reason) for reason in reasons[i]],
                "problems": [problem.message for problem in problems if problem.row == i],
            }
            for i, number in enumerate(numbers)
        ],
    }  # fmt: skip


def _contributions(
    credit: CreditModel, row: NDArray[np.float32], told: Contributions, i: int
) -> list[dict[str, Any]]:
    """Return what each group did, the worst first."""
    unit, columns = credit.policy.scaling.unit, credit.program.columns
    order = np.argsort(told.numerators[i], kind="stable").tolist()
    return [
        {
            "group": credit.players[p][0],
            "values": {columns[j].name: _written(columns[j], row[j]) for j in credit.players[p][1]},
            "numerator": int(told.numerators[i, p]),
            "points": float(told.values[i, p]) / unit,
        }
        for p in order
    ]


def _written(column: Any, value: np.float32) -> str | float | None:
    if np.isnan(value):
        return None
    if column.kind != "category":
        return float(value)
    known = 0 <= value < len(column.categories)
    return str(column.categories[int(value)]) if known else "other"


def _shown(values: dict[str, Any]) -> Iterator[Any]:
    for one in values["applicants"]:
        yield facts(
            {
                "row": one["row"],
                "score": f"{one['score']:.2f} against a cut-off of {values['cutoff']:.2f}: {one['decision']}",
                "probability of bad": f"{one['probability']:.2%}",
                **{f"note {i + 1}": problem for i, problem in enumerate(one["problems"])},
            }
        )
        yield _bars(one["contributions"], values, one["score"])
        yield Text(_sum(one, values), style="dim")
        yield _reasons(one)


def _bars(contributions: list[dict[str, Any]], values: dict[str, Any], score: float) -> Any:
    shown = table("group", "values", ">points", "cost", "gain")
    widest = max((abs(c["points"]) for c in contributions), default=0) or 1
    shown.add_row(
        f"[dim]mean of {values['n_references']} references[/dim]", "", f"{values['base']:.2f}"
    )
    for one in contributions:
        length = round(BAR * abs(one["points"]) / widest)
        cost, gain = (length, 0) if one["numerator"] < 0 else (0, length)
        shown.add_row(
            escape(one["group"]),
            escape(", ".join(_short(value) for value in one["values"].values())),
            f"{one['points']:+.2f}",
            Text(("█" * cost).rjust(BAR), style="red"),
            Text("█" * gain, style="green"),
        )
    shown.add_row("[bold]score[/bold]", "", f"[bold]{score:.2f}[/bold]")
    return shown


def _short(value: str | float | None) -> str:
    if value is None:
        return "missing"
    return value if isinstance(value, str) else f"{value:g}"


def _sum(one: dict[str, Any], values: dict[str, Any]) -> str:
    """Say what adds up to what; checked in whole numbers, on the spot."""
    total = sum(c["numerator"] for c in one["contributions"])
    assert total == one["points"] * values["denominator"] - values["base_numerator"]
    return (
        "The contributions (Shapley values) add up exactly to the score minus the mean of the references: "
        f"{one['score']:.2f} − {values['base']:.2f}, in whole numbers {total} / {values['denominator']} "
        f"of 1/{values['unit']} point."
    )


def _reasons(one: dict[str, Any]) -> Any:
    if not one["reasons"]:
        why = (
            "approved"
            if one["decision"] == "approve"
            else "nothing lowered the score against the references"
        )
        return Text(f"No principal reasons: {why}.\n")
    shown = table("#", "principal reason", "code", ">points")
    for i, reason in enumerate(one["reasons"]):
        shown.add_row(
            str(i + 1), escape(reason["text"]), escape(reason["code"]), f"{reason['points']:+.2f}"
        )
    return shown
