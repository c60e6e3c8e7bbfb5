"""``bimetal credit train``: applications in; a scorecard, its proofs, its profile and its validation out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bimetal import metrics
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
from bimetal.errors import DataError
from bimetal.explain.certificate import Certificate, certify
from bimetal.finance.credit.classing import CLASSINGS, fine_classing
from bimetal.finance.credit.dates import DateSpec
from bimetal.finance.credit.jurisdictions import jurisdiction_named
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.policy import Policy
from bimetal.finance.credit.profile import Profile

if TYPE_CHECKING:
    from bimetal.finance.credit.validation.pack import ValidationPack

__all__ = ["train"]

FEWEST_HELD = 200
"""Rows held out from which a profile for monitoring can be made."""

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
AsOf = Annotated[
    str | None,
    typer.Option(help="Day on which outcomes were looked at; dates count from it without --time."),
]
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
    classing: Classing = "quantile",
    bins: Annotated[int, typer.Option(help="Of a column, at most.", min=2)] = 25,
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
    window = Window(time, out_of_time, as_of, window_months, holdout)
    dates = dates_of(date or (), time)
    _require_known(names_of(challengers), jurisdiction, window, dates)
    words, rivals = names_of(missing), names_of(challengers)
    hidden = (*names_of(drop), *(part for name in names_of(group) for part in name.split("+")))
    encoder = fine_classing(
        classing,
        bins=bins,
        categorical=names_of(categorical) or None,
        special_codes=special_codes_of(special) or None,
    )
    lesson = read_lesson(
        data, target, bad=bad, drop=hidden, dates=dates, missing=words, window=window, seed=seed
    )
    terms = _policy(policy, jurisdiction, data.stem, lesson.names)
    _require_groups(lesson, names_of(group), terms)
    card = BinaryScorecard(
        encoder=encoder,
        trends=trends_of(trend or ()),
        max_rules=interactions,
        pdo=pdo,
        base_score=base_score,
        base_odds=base_odds,
        unit=unit,
        bad_rate=bad_rate,
        cost_ratio=cost_ratio,
        coverage=coverage,
        policy=terms,
        random_state=seed,
        verbose=not as_json,
    )
    inferred = None
    if rejects is None:
        card.fit(*lesson.rows(lesson.train))
    else:
        inferred = with_rejects(
            lesson, rejects, reject_method, prudence, dates=dates, as_of=as_of, missing=words,
            seed=seed,
        )  # fmt: skip
        card.fit(inferred.X, inferred.y, sample_weight=inferred.weight)
    model = _signed(card, lesson, data, target, inferred, dates)
    proof = certify(model.program, card.trends_, card.blocks_) if card.trends_ else None
    pack = None
    if len(lesson.held):
        with narrated(not as_json) as progress:
            pack = _judged(model, lesson, data, rivals, names_of(group), proof, seed, progress)
    folder = report_dir or Path("runs") / out.stem
    files = _written(model, _profile(model, lesson), proof, pack, out, folder)
    values = {
        "out": str(out),
        "id": model.id,
        "policy_id": model.policy_id,
        "file_bytes": out.stat().st_size,
        "classes": dict(zip(("good", "bad"), lesson.classes, strict=True)),
        "n_train_rows": len(lesson.train),
        "n_holdout_rows": len(lesson.held),
        "split": lesson.split,
        "trends": card.trends_,
        "n_rules": card.report_.n_rules,
        "measures": model.program.provenance["measures"],
        "cutoff_score": float(model.policy.scaling.score(model.policy.cutoff)),
        "rejects": None if inferred is None else inferred.spec(),
        "seconds": card.report_.seconds,
        **files,
    }
    if pack is not None:
        found = pack.facts["outcomes"]["discrimination"]["measures"]
        values |= {"light": pack.light, "holdout": found}
    return Answer(values, facts(_shown(values)))


def _require_known(
    challengers: tuple[str, ...], jurisdiction: str | None, window: Window, dates: tuple[Any, ...]
) -> None:
    """Refuse before the training what would be refused after it."""
    from bimetal.finance.credit.challengers import make
    from bimetal.finance.credit.validation.rivals import SHORT

    for name in challengers:
        make(SHORT.get(name, name))
    if challengers and not window.share:
        raise DataError("--challengers are compared on rows held out: --holdout above 0 expected")
    if jurisdiction is not None:
        jurisdiction_named(jurisdiction)
    if dates and window.column is None and window.as_of is None:
        raise DataError(
            "--date counts back from the day of each application: name its column with --time, or "
            "give one day for all with --as-of"
        )


def _require_groups(lesson: Lesson, names: tuple[str, ...], terms: dict[str, Any]) -> None:
    """Refuse groups that the report could not compare, before the training."""
    from bimetal.finance.credit.validation.groups import groups_of, require_groups

    if len(lesson.held):
        table = lesson.whole(lesson.held)[0]
        groups = groups_of(names, table, len(lesson.held))
        require_groups(groups, terms.get("jurisdiction", "none"))


def _policy(
    path: Path | None, jurisdiction: str | None, name: str, columns: list[str]
) -> dict[str, Any]:
    """Return the lender's part of the policy, once it fits the columns."""
    given = {} if path is None else json_of(path, "policy")
    if jurisdiction is not None:
        given["jurisdiction"] = jurisdiction
    given.setdefault("name", name)
    Policy.from_spec(given).require_columns(tuple(columns))
    return given


def _signed(
    card: Any, lesson: Lesson, data: Path, target: str, inferred: Any, dates: tuple[DateSpec, ...]
) -> CreditModel:
    """Return the model with the lender's labels, the dates it counts, and where it comes from."""
    made = {
        "data": data.name,
        "target": target,
        "split": lesson.split,
        "rejects": None if inferred is None else inferred.spec(),
        "measures": _measures(card, inferred),
    }
    program = replace(
        card.program_,
        classes=lesson.classes,
        provenance={**card.program_.provenance, **made},
    )
    policy = card.model_.policy
    if dates:  # in use there is one application and one day: `CreditModel.rows(table, as_of)`
        policy = replace(policy, dates=tuple(replace(d, as_of_column=None) for d in dates))
    return CreditModel(program, policy)


def _measures(card: Any, inferred: Any) -> dict[str, float]:
    """Return the out-of-fold measures, of rows whose outcome somebody saw."""
    found: dict[str, float] = card.report_.measures
    if inferred is None:
        return found
    seen = ~inferred.is_inferred
    p = card.model_.policy.scaling.probability(card.oof_points_)
    return {name: getattr(metrics, name)(inferred.y[seen], p[seen]) for name in found}


def _profile(model: CreditModel, lesson: Lesson) -> Profile:
    """Count rows held out, which are what later months are held to; else training rows, unjudged.

    On its own training rows a model ranks too well: monitoring would cry wolf at once.
    """
    if len(lesson.held) >= FEWEST_HELD:
        return Profile.of(model, *lesson.whole(lesson.held))
    return Profile.of(model, lesson.whole(lesson.train)[0])


def _written(
    model: CreditModel,
    profile: Profile,
    proof: Certificate | None,
    pack: "ValidationPack | None",
    out: Path,
    folder: Path,
) -> dict[str, str]:
    """Write all files, the model last: where it is, the others are."""
    from bimetal.report.validation import write_validation

    files = {}
    if pack is not None:
        files["report"] = str(write_validation(pack, folder))
    if proof is not None:
        files["certificate"] = str(out.with_suffix(".certificate.json"))
        proof.save(files["certificate"])
    files["profile"] = str(out.with_suffix(".profile.json"))
    profile.write(files["profile"])
    model.save(out)
    return files


def _judged(
    model: CreditModel,
    lesson: Lesson,
    data: Path,
    challengers: tuple[str, ...],
    groups: tuple[str, ...],
    proof: Certificate | None,
    seed: int,
    progress: Callable[[str], None],
) -> "ValidationPack":
    from bimetal.finance.credit.validation.pack import validate

    X, y = lesson.whole(lesson.held)
    return validate(
        model,
        X,
        y,
        development=lesson.whole(lesson.train),
        dates=None if lesson.moments is None else lesson.moments[lesson.held],
        groups=groups,
        challengers=challengers,
        certificate=proof,
        data_files={"development": data},
        seed=seed,
        progress=progress,
    )


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    trends = [f"{name} {'up' if sign > 0 else 'down'}" for name, sign in values["trends"].items()]
    classes = values["classes"]
    shown = {
        "model": f"{values['out']}, {amount(values['file_bytes'])} bytes, {amount(values['n_rules'])} neurons",
        "id": values["id"],
        "trained": f"on {amount(values['n_train_rows'])} rows in {values['seconds']:.1f} s; {values['split']}",
        "outcomes": f"good is {classes['good']}, bad is {classes['bad']}",
        "out of fold": ", ".join(f"{k} {v:.4f}" for k, v in values["measures"].items()),
        "cut-off": f"{values['cutoff_score']:g}",
        "trends": f"{', '.join(trends) or 'none'}" + (" (proved)" if trends else ""),
    }
    if (found := values.get("holdout")) is not None:
        auc = found["auc"]
        shown["held out"] = (
            f"AUC {auc['value']:.4f} ({auc['low']:.4f} to {auc['high']:.4f}), "
            f"KS {found['ks']['value']:.4f}, {amount(values['n_holdout_rows'])} rows"
        )
    if (made := values["rejects"]) is not None:
        shown["rejects"] = (
            f"{made['method']}: {made['reject_bad_rate']:.1%} bad assumed, "
            f"{made['accept_bad_rate']:.1%} of the accepted seen"
        )
    names = ("profile", "certificate", "report", "light")
    return shown | {name: values[name] for name in names if name in values}
