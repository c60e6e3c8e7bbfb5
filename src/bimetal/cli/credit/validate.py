"""``bimetal credit validate``: the validation pack of a credit model, as a page and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bimetal.cli.answer import Answer, AsJson, answering, narrated
from bimetal.cli.credit.samples import (
    dated,
    json_of,
    read_sample,
    seen_findings,
    thresholds_of,
)
from bimetal.cli.options import AsOf, names_of
from bimetal.errors import DataError
from bimetal.explain.certificate import Certificate
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.validation.case import column_of, labels_of
from bimetal.finance.credit.validation.grades import MasterScale

__all__ = ["validate"]

Model = Annotated[
    Path, typer.Argument(help="A .bimetal file of a credit model.", show_default=False)
]
Data = Annotated[
    Path, typer.Argument(help="Rows with outcomes that training never saw.", show_default=False)
]
Target = Annotated[str, typer.Option(help="The column of outcomes: 1 is bad.", show_default=False)]
Development = Annotated[Path | None, typer.Option(help="What the model was trained on.")]
Train = Annotated[
    Path | None, typer.Option(help="Where challengers learn.  [default: --development]")
]
Date = Annotated[str | None, typer.Option(help="Column of dates: figures period by period.")]
Ids = Annotated[
    str | None, typer.Option("--id", help="Column of applicants: migration between dates.")
]
Groups = Annotated[
    list[str] | None, typer.Option("--group", help="Columns of groups: sex,age_band,sex+age_band")
]
References = Annotated[
    list[str] | None, typer.Option("--reference-group", help="Hold others to this one: sex=m")
]
Jurisdiction = Annotated[
    str | None, typer.Option(help="us-federal, us-nj, eu, uk, none, ...  [default: the policy's]")
]
ForceOn = Annotated[list[str] | None, typer.Option(help="Switch on: effects, treatment, reasons.")]
ForceOff = Annotated[list[str] | None, typer.Option(help="Switch off, likewise.")]
Challengers = Annotated[list[str] | None, typer.Option(help="Trained beside it: woe,lightgbm,ebm")]
Stresses = Annotated[
    list[str] | None,
    typer.Option("--stress", help="A shock: income=-20% or income=-20%,rate=+2; repeat for more."),
]
Scale = Annotated[
    list[str] | None, typer.Option(help="Bounds of grades in probability: 0.01,0.03,0.1")
]
Correlation = Annotated[float, typer.Option(help="Of assets, in the binomial test by grade.")]
Proof = Annotated[
    Path | None, typer.Option("--certificate", help="Of the promised trends; proved anew.")
]
Statements = Annotated[Path | None, typer.Option(help="JSON of what people state.")]
Limits = Annotated[Path | None, typer.Option("--thresholds", help="JSON of thresholds.")]
Missing = Annotated[list[str] | None, typer.Option(help="Words in CSV that mean missing.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder.  [default: runs/<name of the model>-validation]"),
]


@answering
def validate(
    model: Model,
    data: Data,
    target: Target,
    development: Development = None,
    train: Train = None,
    date: Date = None,
    ids: Ids = None,
    group: Groups = None,
    reference_group: References = None,
    jurisdiction: Jurisdiction = None,
    force_on: ForceOn = None,
    force_off: ForceOff = None,
    challengers: Challengers = None,
    stress: Stresses = None,
    scale: Scale = None,
    asset_correlation: Correlation = 0.0,
    certificate: Proof = None,
    statements: Statements = None,
    thresholds: Limits = None,
    missing: Missing = None,
    resamples: Annotated[int, typer.Option(help="Of each bootstrap.", min=20)] = 500,
    seed: Annotated[int, typer.Option(help="Of resampling, shuffling, challengers.")] = 0,
    as_of: AsOf = None,
    out: Out = None,
    as_json: AsJson = False,
) -> Answer:
    """Validate a credit model on rows it has not seen: a page and a JSON, by the book.

    Ends with 0, with 1 when a finding is red, with 2 when something given does not fit.
    """
    from bimetal.finance.credit.validation.pack import validate as judged
    from bimetal.report.validation import write_validation

    words, scorer = names_of(missing), CreditModel.load(model)
    table, y = read_sample(data, target, words)
    times, names = _column(table, date), _column(table, ids)
    table = dated(table, scorer, as_of)
    before = None if development is None else read_sample(development, target, words)
    if before is not None:
        before = (dated(before[0], scorer, as_of), before[1])
    folder = out or Path("runs") / f"{model.stem}-validation"
    options: dict[str, Any] = {
        "reference_groups": _pairs(reference_group),
        "force_on": names_of(force_on),
        "force_off": names_of(force_off),
        "scale": None if scale is None else MasterScale(_bounds(scale)),
        "certificate": None if certificate is None else Certificate.load(certificate),
        "statements": None if statements is None else json_of(statements, "statements"),
        "thresholds": thresholds_of(thresholds),
        "data_files": _files(data, development, train),
    }
    with narrated(not as_json) as progress:
        rivals: Any = names_of(challengers)
        if train is not None and rivals:
            rivals = _trained(scorer, rivals, train, target, words, as_of, seed, progress)
        pack = judged(
            scorer, table, y, development=before, dates=times, ids=names,
            groups=names_of(group), challengers=rivals, jurisdiction=jurisdiction, stresses=stress or (),
            asset_correlation=asset_correlation, n_resamples=resamples, seed=seed, progress=progress,
            **options,
        )  # fmt: skip
        progress("drawing")
        page = write_validation(pack, folder)
    values = {
        "light": pack.light,
        "report": str(page),
        "json": str(page.with_name("report.json")),
        "model_id": scorer.id,
        "findings": pack.findings,
    }
    shown = seen_findings(pack.findings, pack.light, {"report": str(page)})
    return Answer(values, shown, 1 if pack.light == "red" else 0)


def _trained(
    model: CreditModel, names: Sequence[str], path: Path, target: str, missing: Sequence[str],
    as_of: str | None, seed: int, progress: Any,
) -> dict[str, Any]:  # fmt: skip
    from bimetal.finance.credit.validation.rivals import trained

    table, y = read_sample(path, target, missing)
    labels = labels_of(y, model.program.classes, table.num_rows)
    columns, table = [c.name for c in model.program.columns], dated(table, model, as_of)
    return trained(names, table, labels, columns, seed=seed, progress=progress)


def _files(data: Path, development: Path | None, train: Path | None) -> dict[str, Path]:
    given = {"validation": data, "development": development, "challengers": train}
    return {role: path for role, path in given.items() if path is not None}


def _column(table: Any, name: str | None) -> Any:
    return None if name is None else column_of(table, name)


def _pairs(given: Sequence[str] | None) -> Mapping[str, str]:
    found = {}
    for text in names_of(given):
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise DataError(
                f"--reference-group expects attribute=group such as sex=m, got {text!r}"
            )
        found[name] = value
    return found


def _bounds(given: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(float(text) for text in names_of(given))
    except ValueError:
        raise DataError(
            f"--scale expects probabilities such as 0.01,0.03,0.1; got {', '.join(given)!r}"
        ) from None
