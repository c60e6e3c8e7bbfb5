"""What validation and monitoring read alike: a table with a target, and options that are JSON files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.console import Group
from rich.markup import escape
from rich.text import Text

from bimetal.cli.looks import facts, table
from bimetal.columns.column import listed
from bimetal.errors import DataError
from bimetal.finance.credit.dates import apply_dates
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.validation.case import column_of
from bimetal.finance.credit.validation.thresholds import Thresholds
from bimetal.strict_json import parse_object
from bimetal.tables import read_table

__all__ = ["dated", "json_of", "read_rows", "read_sample", "seen_findings", "thresholds_of"]

COLOURS = {"red": "bold red", "amber": "yellow", "green": "green"}
ORDER = ("red", "amber", "green")


def read_rows(path: Path, missing: Sequence[str]) -> Any:
    """Return a table that has rows.

    Raises
    ------
    DataError
        When the file is no table, or has no rows.
    """
    read = read_table(path, missing)
    if not read.num_rows:
        raise DataError(f"'{path}' has no rows")
    return read


def dated(table: Any, model: CreditModel, as_of: str | None) -> Any:
    """Make numbers of the dates that a model counts back from the day of each application.

    Parameters
    ----------
    table : pyarrow.Table
    model : CreditModel
    as_of : str or None
        A day for all rows, or the column that holds the day of each.

    Raises
    ------
    DataError
        When the model has dates and no day is known, or a date lies after it.
    """
    dates = model.dates_in(table)
    if not dates:
        return table
    if as_of is None:
        raise DataError(
            f"the model counts back from the day of each application ({listed([d.column for d in dates])}): "
            "give --as-of, one day for all or the column that holds it"
        )
    column = as_of if as_of in table.column_names else None
    return apply_dates(table, [replace(d, as_of_column=column) for d in dates], as_of)


def read_sample(path: Path, target: str, missing: Sequence[str]) -> tuple[Any, NDArray[Any]]:
    """Return a table and the outcomes in it.

    Raises
    ------
    ColumnError
        When there is no such column.
    DataError
        When the file is no table, or has no rows.
    """
    read = read_rows(path, missing)
    return read, column_of(read, target)


def thresholds_of(path: Path | None) -> Thresholds:
    """Read thresholds from a JSON file of pairs; without one they are as by default."""
    return Thresholds() if path is None else Thresholds.from_spec(json_of(path, "thresholds"))


def json_of(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises
    ------
    FormatError
        When it is none.
    """
    return parse_object(path.read_bytes(), f"the {what} '{path}'")


def seen_findings(
    findings: Sequence[Any], light: str, files: dict[str, Any], *, has_green: bool = True
) -> Group:
    """Show findings, the worst first, and where the files are; green ones may be counted only."""
    shown = table("light", "what", "finding")
    wanted = [f for f in findings if has_green or f["light"] != "green"]
    for f in sorted(wanted, key=lambda f: ORDER.index(f["light"])):
        shown.add_row(Text(f["light"], COLOURS[f["light"]]), escape(f["what"]), escape(f["text"]))
    counts = {k: sum(f["light"] == k for f in findings) for k in ORDER}
    summary = ", ".join(f"{n} {k}" for k, n in counts.items())
    below = facts({"light": f"{light} ({summary})", **files})
    return Group(shown, below) if wanted else Group(below)
