"""``bimetal credit monitor``: today's applicants beside those of the development, for a scheduler."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.credit.samples import dated, read_rows, seen_findings, thresholds_of
from bimetal.cli.options import AsOf, names_of
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.profile import Profile
from bimetal.finance.credit.validation.case import column_of

__all__ = ["monitor"]

Model = Annotated[
    Path, typer.Argument(help="A .bimetal file of a credit model.", show_default=False)
]
Data = Annotated[Path, typer.Argument(help="Rows of today.", show_default=False)]
Reference = Annotated[
    Path,
    typer.Option(help="A profile (.json), or the table of the development.", show_default=False),
]
Target = Annotated[
    str | None, typer.Option(help="Column of outcomes, empty where not yet known: 1 is bad.")
]
Limits = Annotated[Path | None, typer.Option("--thresholds", help="JSON of thresholds.")]
Missing = Annotated[list[str] | None, typer.Option(help="Words in CSV that mean missing.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder.  [default: runs/<name of the model>-monitoring]"),
]


@answering
def monitor(
    model: Model,
    data: Data,
    reference: Reference,
    target: Target = None,
    thresholds: Limits = None,
    missing: Missing = None,
    as_of: AsOf = None,
    all_: Annotated[bool, typer.Option("--all", help="Show green findings, too.")] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> Answer:
    """Watch a credit model: stability of score and columns, and calibration once outcomes are known.

    Ends with 0 (green), 3 (amber) or 4 (red), and with 2 when something given does not fit.
    """
    from bimetal.finance.credit.monitoring import monitor as watched
    from bimetal.report.monitoring import write_monitoring

    words, scorer = names_of(missing), CreditModel.load(model)
    profile = _profile(scorer, reference, target, words, as_of)
    table = read_rows(data, words)
    y = None if target is None else column_of(table, target)
    table = dated(table, scorer, as_of)
    seen = watched(scorer, profile, table, y, thresholds=thresholds_of(thresholds))
    folder = out or Path("runs") / f"{model.stem}-monitoring"
    page = write_monitoring(seen, folder)
    files = {"report": str(page)}
    if reference.suffix != ".json":
        profile.write(folder / "profile.json")
        files["profile"] = str(folder / "profile.json")
    values: dict[str, Any] = {
        "light": seen.light,
        "exit_code": seen.exit_code,
        "json": str(page.with_name("monitoring.json")),
        **files,
        "model_id": scorer.id,
        "findings": seen.findings,
    }
    return Answer(
        values, seen_findings(seen.findings, seen.light, files, has_green=all_), seen.exit_code
    )


def _profile(
    model: CreditModel, path: Path, target: str | None, missing: Sequence[str], as_of: str | None
) -> Profile:
    """Read a profile, or make one of a table; its outcomes are used where the target is among its columns."""
    if path.suffix == ".json":
        return Profile.read(path)
    table = read_rows(path, missing)
    has_outcomes = target is not None and target in table.column_names
    y = column_of(table, str(target)) if has_outcomes else None
    return Profile.of(model, dated(table, model, as_of), y)
