"""``bimetal credit train``: applications in; a scorecard, its proofs, its profile and its validation out."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering, narrated
from bimetal.cli.credit.lesson import (
    Lesson,
    Window,
    dates_of,
    read_lesson,
    trends_of,
    with_rejects,
)
from bimetal.cli.credit.samples import json_of
from bimetal.cli.looks import facts
from bimetal.cli.options import names_of, require_folder, special_codes_of
from bimetal.encoders import Encoder, OptBinningEncoder, QuantileEncoder, TreeEncoder
from bimetal.errors import DataError
from bimetal.finance.credit.model import CreditModel

__all__ = ["train"]

CLASSINGS = ("tree", "optbinning", "quantile")

Data = Annotated[Path, typer.Argument(help="CSV, Parquet or Arrow (Feather).", show_default=False)]
Target = Annotated[str, typer.Option(help="The column of outcomes.", show_default=False)]
Bad = Annotated[str | None, typer.Option(help="The outcome that is bad. [default: the greater]")]
Out = Annotated[Path, typer.Option("--out", help="The model file to write.")]
Categorical = Annotated[
    list[str] | None, typer.Option(help="Whole numbers that are codes: sex,branch")
]
Special = Annotated[list[str] | None, typer.Option(help="Codes that are no numbers: score=-9,-8")]
Drop = Annotated[list[str] | None, typer.Option(help="Columns to leave out: id,name,sex")]
Missing = Annotated[list[str] | None, typer.Option(help="Words in CSV that mean missing.")]
Time = Annotated[str | None, typer.Option(help="When each was decided: the latest are held out.")]
Cut = Annotated[str | None, typer.Option("--out-of-time", help="First day held out: 2025-07-01")]
AsOf = Annotated[str | None, typer.Option(help="Day on which outcomes were looked at.")]
Months = Annotated[int, typer.Option("--window-months", help="Until an outcome counts.", min=0)]
Dates = Annotated[
    list[str] | None,
    typer.Option("--date", help="Dates into numbers: birth_date=years:age; repeat for more."),
]
Classing = Annotated[str, typer.Option(help=f"Cut-points by {', '.join(CLASSINGS)}.")]
Trend = Annotated[list[str] | None, typer.Option(help="auto, none, or income=up; repeat for more.")]
Rejects = Annotated[Path | None, typer.Option(help="Declined applicants, without outcomes.")]
RejectMethod = Annotated[str, typer.Option(help="parcel, augment, fuzzy or extrapolate.")]
BadRate = Annotated[float | None, typer.Option(help="Long-run default rate to calibrate to.")]
Coverage = Annotated[
    float | None, typer.Option(help="Refer to a human where no outcome is sure at this coverage.")
]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="JSON: texts and codes of reasons, limits, immutable columns."),
]
Challengers = Annotated[
    list[str] | None, typer.Option(help="In the report: woe,lightgbm_default,lightgbm,ebm")
]
Groups = Annotated[
    list[str] | None, typer.Option("--group", help="Fairness by these columns; see --drop.")
]
Jurisdiction = Annotated[str | None, typer.Option(help="us-federal, us-ny, eu, uk, none, ...")]
Folder = Annotated[
    Path | None, typer.Option("--report-dir", help="[default: runs/<name of the model>]")
]


@answering
def train(
    data: Data,
    target: Target,
    out: Out = Path("credit.bimetal"),
    bad: Bad = None,
    categorical: Categorical = None,
    special: Special = None,
    drop: Drop = None,
    missing: Missing = None,
    time: Time = None,
    out_of_time: Cut = None,
    as_of: AsOf = None,
    window_months: Months = 0,
    date: Dates = None,
    classing: Classing = "tree",
    bins: Annotated[int, typer.Option(help="Of a column, at most.", min=2)] = 32,
    trend: Trend = None,
    interactions: Annotated[int, typer.Option(help="Sparse binary neurons, at most.")] = 6000,
    pdo: Annotated[float, typer.Option(help="Points to double the odds.")] = 20.0,
    base_score: Annotated[float, typer.Option(help="At the base odds.")] = 600.0,
    base_odds: Annotated[float, typer.Option(help="Good to bad.")] = 50.0,
    unit: Annotated[int, typer.Option(help="Whole numbers in a point; 1: whole points.")] = 100,
    bad_rate: BadRate = None,
    cost_ratio: Annotated[float, typer.Option(help="Loss of a bad over gain of a good.")] = 5.0,
    coverage: Coverage = None,
    policy: PolicyFile = None,
    rejects: Rejects = None,
    reject_method: RejectMethod = "parcel",
    prudence: Annotated[float, typer.Option(help="How much worse rejects are taken to be.")] = 1.0,
    challengers: Challengers = None,
    group: Groups = None,
    jurisdiction: Jurisdiction = None,
    holdout: Annotated[float, typer.Option(help="Share held out; 0: none, and no report.")] = 0.2,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    report_dir: Folder = None,
    as_json: AsJson = False,
) -> Answer:
    """Train a credit scorecard: model, certificate of its trends, profile for monitoring, validation."""
    from bimetal.finance.credit.scorecard import BinaryScorecard

    require_folder(out)
    dates = dates_of(date or (), None if as_of else time)
    words = names_of(missing)
    hidden = (*names_of(drop), *names_of(group))
    window = Window(time, out_of_time, as_of, window_months, holdout)
    lesson = read_lesson(
        data, target, bad=bad, drop=hidden, dates=dates, missing=words, window=window, seed=seed
    )
    given = {} if policy is None else json_of(policy, "policy")
    if jurisdiction is not None:
        given["jurisdiction"] = jurisdiction
    given.setdefault("name", data.stem)
    card = BinaryScorecard(
        encoder=_encoder(classing, bins, names_of(categorical), special_codes_of(special)),
        trends=trends_of(trend or ()),
        max_rules=interactions,
        pdo=pdo,
        base_score=base_score,
        base_odds=base_odds,
        unit=unit,
        bad_rate=bad_rate,
        cost_ratio=cost_ratio,
        coverage=coverage,
        policy=given,
        random_state=seed,
        verbose=not as_json,
    )
    X, y = lesson.rows(lesson.train)
    inferred = None
    if rejects is None:
        card.fit(X, y)
    else:
        inferred = with_rejects(
            lesson, rejects, reject_method, prudence, dates=dates, as_of=as_of, missing=words,
            seed=seed,
        )  # fmt: skip
        card.fit(inferred.X, inferred.y, sample_weight=inferred.weight)
    model = _signed(card, lesson, data, target, inferred, dates if as_of else ())
    files = _written(model, card, lesson, out)
    values = {
        "out": str(out),
        "id": model.id,
        "policy_id": model.policy_id,
        "file_bytes": out.stat().st_size,
        "n_train_rows": len(lesson.train),
        "n_holdout_rows": len(lesson.held),
        "split": lesson.split,
        "trends": card.trends_,
        "n_rules": card.report_.n_rules,
        "measures": card.report_.measures,
        "cutoff_score": float(model.policy.scaling.score(model.policy.cutoff)),
        "rejects": None if inferred is None else inferred.spec(),
        "seconds": card.report_.seconds,
        **files,
    }
    if len(lesson.held):
        folder = report_dir or Path("runs") / out.stem
        values |= _judged(
            model,
            lesson,
            data,
            names_of(challengers),
            names_of(group),
            folder,
            files,
            seed,
            as_json,
        )
    return Answer(values, facts(_shown(values)))


def _encoder(
    classing: str, bins: int, categorical: tuple[str, ...], special: dict[str, tuple[float, ...]]
) -> Encoder:
    kinds: dict[str, Any] = dict(
        zip(CLASSINGS, (TreeEncoder, OptBinningEncoder, QuantileEncoder), strict=True)
    )
    if classing not in kinds:
        raise DataError(f"--classing is one of {', '.join(CLASSINGS)}; got {classing!r}")
    made: Encoder = kinds[classing](
        max_bits_per_column=bins - 1,
        categorical=categorical or None,
        special_codes=special or None,
        missing="auto",
    )
    return made


def _signed(
    card: Any, lesson: Lesson, data: Path, target: str, inferred: Any, dates: Any
) -> CreditModel:
    """Return the model with the lender's labels, the dates it counts, and where it comes from."""
    made = {
        "data": data.name,
        "target": target,
        "split": lesson.split,
        "rejects": None if inferred is None else inferred.spec(),
    }
    program = replace(
        card.program_,
        classes=lesson.classes,
        provenance={**card.program_.provenance, **made},
    )
    return CreditModel(program, replace(card.model_.policy, dates=tuple(dates)))


def _written(model: CreditModel, card: Any, lesson: Lesson, out: Path) -> dict[str, str]:
    from bimetal.explain.certificate import certify
    from bimetal.finance.credit.profile import Profile

    model.save(out)
    files = {"profile": out.with_suffix(".profile.json")}
    Profile.of(_undated(model), *_labelled(lesson, lesson.train)).write(files["profile"])
    if card.trends_:
        files["certificate"] = out.with_suffix(".certificate.json")
        certify(model.program, card.trends_, card.blocks_).save(files["certificate"])
    return {name: str(path) for name, path in files.items()}


def _undated(model: CreditModel) -> CreditModel:
    """Return the model for tables whose dates are numbers already."""
    return (
        CreditModel(model.program, replace(model.policy, dates=())) if model.policy.dates else model
    )


def _labelled(lesson: Lesson, rows: Any) -> tuple[Any, Any]:
    return lesson.table.take(rows), lesson.y[rows]


def _judged(
    model: CreditModel,
    lesson: Lesson,
    data: Path,
    challengers: tuple[str, ...],
    groups: tuple[str, ...],
    folder: Path,
    files: dict[str, str],
    seed: int,
    as_json: bool,
) -> dict[str, Any]:
    from bimetal.explain.certificate import Certificate
    from bimetal.finance.credit.validation.pack import validate
    from bimetal.report.validation import write_validation

    proof = Certificate.load(files["certificate"]) if "certificate" in files else None
    X, y = _labelled(lesson, lesson.held)
    with narrated(not as_json) as progress:
        pack = validate(
            _undated(model),
            X,
            y,
            development=_labelled(lesson, lesson.train),
            dates=None if lesson.moments is None else lesson.moments[lesson.held],
            groups=groups,
            challengers=challengers,
            certificate=proof,
            data_files={"development": data},
            seed=seed,
            progress=progress,
        )
        page = write_validation(pack, folder)
    found = pack.facts["outcomes"]["discrimination"]
    return {"report": str(page), "light": pack.light, "holdout": found}


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    trends = [f"{name} {'up' if sign > 0 else 'down'}" for name, sign in values["trends"].items()]
    shown = {
        "model": f"{values['out']}, {amount(values['file_bytes'])} bytes, {amount(values['n_rules'])} neurons",
        "id": values["id"],
        "trained": f"on {amount(values['n_train_rows'])} rows in {values['seconds']:.1f} s; {values['split']}",
        "out of fold": ", ".join(f"{k} {v:.4f}" for k, v in values["measures"].items()),
        "cut-off": f"{values['cutoff_score']:g}",
        "trends": f"{', '.join(trends) or 'none'}" + (" (proved)" if trends else ""),
        "profile": values["profile"],
    }
    for name in ("certificate", "report", "light"):
        if name in values:
            shown[name] = values[name]
    return shown
