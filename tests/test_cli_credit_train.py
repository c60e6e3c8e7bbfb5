"""``bimetal credit train``, as a user drives it: what it writes, what it says, and what it refuses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from test_scorecard import applications
from typer.testing import CliRunner

from bimetal.cli.credit.explain import explain
from bimetal.cli.credit.monitor import monitor
from bimetal.cli.credit.train import _measures, train
from bimetal.cli.credit.validate import validate
from bimetal.errors import DataError
from bimetal.explain.certificate import Certificate, check_certificate
from bimetal.explain.grid import bins_of
from bimetal.finance.credit.dates import DateSpec
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.policy import Policy
from bimetal.finance.credit.profile import Profile
from bimetal.finance.credit.scorecard import BinaryScorecard
from bimetal.metrics import auc
from bimetal.report import credit_plots, theme

app = typer.Typer()
for command in (train, monitor, validate, explain):
    app.command()(command)

AS_OF = pd.Timestamp("2026-01-01")
QUICK = ("--target", "bad", "--special", "bureau=-9", "--interactions", "20")
BARE = (*QUICK, "--trend", "none", "--holdout", "0")
DATED = ("--time", "decided", "--drop", "sex,birth_date")


def a_table(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Applications with their days, dates of birth, an attribute for fairness, and outcomes."""
    X, y = applications(n, seed)
    rng = np.random.default_rng(seed)
    decided = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 1096, n)), "D")
    born = decided - pd.to_timedelta(rng.integers(20 * 366, 70 * 365, n), "D")
    days = {"decided": decided.strftime("%Y-%m-%d"), "birth_date": born.strftime("%Y-%m-%d")}
    return X.assign(sex=rng.choice(["f", "m"], n), **days, bad=y)


TABLE = a_table()
PLAIN = TABLE.drop(columns=["sex", "decided", "birth_date"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(theme, "DPI", 30)
    monkeypatch.setattr(credit_plots, "VALIDATION_PLOTS", ())
    monkeypatch.setattr(credit_plots, "MONITORING_PLOTS", ())
    TABLE.to_csv("all.csv", index=False)
    PLAIN.to_csv("plain.csv", index=False)
    return tmp_path


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)])


def trained(*arguments: object) -> dict[str, Any]:
    done = cli("train", *arguments, "--json")
    assert done.exit_code == 0, done.output
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def provenance(path: str = "credit.bimetal") -> dict[str, Any]:
    return dict(CreditModel.load(path).program.provenance)


def test_plain_rows_make_a_model_a_certificate_a_profile_and_a_report() -> None:
    done = cli("train", "plain.csv", *QUICK, "--interactions", "60")
    assert done.exit_code == 0, done.output
    model = CreditModel.load("credit.bimetal")
    for said in (model.id[:20], "out of fold", "held out", "cut-off", "runs/credit/report.html"):
        assert said in done.stdout
    assert model.program.classes == (0, 1) and model.policy.name == "plain"
    certificate = Certificate.load("credit.certificate.json")
    assert certificate.is_proved and dict(certificate.trends) == dict(model.policy.trends) != {}
    assert all(p.verdict == "proved" for p in check_certificate(model.program, certificate))
    assert Path("runs/credit/report.json").is_file()
    assert Profile.read("credit.profile.json").model_id == model.id
    column = next(c for c in bins_of(model.program) if c.name == "bureau")
    assert [b.value for b in column.bins if b.kind == "special"] == [-9]


def test_json_is_for_machines_and_the_same_seed_gives_the_same_model() -> None:
    first, second = (trained("plain.csv", *BARE, "--out", f"{k}.bimetal") for k in "ab")
    assert first["id"] == second["id"] and first["file_bytes"] > 0
    assert first["n_train_rows"] == len(PLAIN) and first["classes"] == {"good": 0, "bad": 1}
    assert set(first["measures"]) == {"auc", "brier", "log_loss"}
    assert first["split"] == "nothing held out"
    assert {p.name for p in Path().iterdir()} == {"all.csv", "plain.csv", "a.bimetal", "b.bimetal"} | {
        "a.profile.json", "b.profile.json"
    }  # fmt: skip


def test_the_latest_are_held_out_by_the_day_that_was_given() -> None:
    values = trained("all.csv", *QUICK, "--trend", "none", *DATED, "--out-of-time", "2025-01-01")
    late = TABLE.decided >= "2025-01-01"
    assert values["n_holdout_rows"] == late.sum() and values["n_train_rows"] == (~late).sum()
    assert "2025-01-01" in values["split"]
    assert values["holdout"]["auc"]["n"] == late.sum()
    vintages = json.loads(Path("runs/credit/report.json").read_text())["outcomes"]["over_time"]
    assert vintages["vintages"][0]["period"] >= "2025"


def test_rows_too_young_to_have_an_outcome_are_left_out_and_said_so() -> None:
    outcomes = TABLE.bad.astype("Int64")
    young = pd.to_datetime(TABLE.decided) > AS_OF - pd.DateOffset(months=12)
    outcomes[young] = pd.NA  # an empty cell, as it would be
    TABLE.assign(bad=outcomes).to_csv("young.csv", index=False)
    options = ("--as-of", "2026-01-01", "--window-months", "12", *DATED)
    values = trained("young.csv", *BARE, *options)
    assert values["n_train_rows"] == (~young).sum()
    assert f"{young.sum()} rows left out whose outcome is not known yet" in values["split"]
    assert "whose outcome is not known" in provenance()["split"]
    done = cli("train", "young.csv", *BARE, *DATED, "--json")
    assert (
        done.exit_code == 2 and f"{young.sum()} rows to learn from have no outcome" in done.stdout
    )


def test_dates_count_from_each_rows_own_day_and_in_use_from_the_day_asked() -> None:
    trained("all.csv", *BARE, "--time", "decided", "--drop", "sex", "--date", "birth_date=years:age",
            "--as-of", "2026-01-01", "--policy", written({"limits": {"age": [18, 110]}}))  # fmt: skip
    model = CreditModel.load("credit.bimetal")
    assert model.policy.dates == (DateSpec("birth_date", "age", "years"),)
    names = [c.name for c in model.program.columns]
    assert "age" in names and not {"decided", "birth_date"} & set(names)
    one = {n: [TABLE[n][0]] for n in names if n != "age"} | {"birth_date": ["1990-06-01"]}
    ages = [model.rows(one, day)[0, names.index("age")] for day in ("2026-05-31", "2026-06-01")]
    assert ages == [35, 36]
    with pytest.raises(DataError, match="lies in the future"):
        model.rows(one, "1990-05-31")
    assert model.check(model.rows(one, "1991-01-01"))[0].column == "age"


def test_models_with_dates_are_explained_validated_and_monitored_with_a_day() -> None:
    trained(
        "all.csv", *BARE, "--time", "decided", "--drop", "sex", "--date", "birth_date=years:age"
    )
    model = CreditModel.load("credit.bimetal")
    seen = cli("explain", "credit.bimetal", "all.csv", "--as-of", "2026-06-01", "--json")
    assert seen.exit_code == 0, seen.output
    told = json.loads(seen.stdout)["applicants"][0]
    rows = model.rows(TABLE.head(1), "2026-06-01")
    assert told["points"] == model.points(rows)[0]
    done = cli(
        "monitor",
        "credit.bimetal",
        "all.csv",
        "--reference",
        "all.csv",
        "--as-of",
        "decided",
        "--json",
    )
    assert done.exit_code == 0, done.output
    done = cli("validate", "credit.bimetal", "all.csv", "--target", "bad", "--as-of", "decided", "--date", "decided",
               "--resamples", "20", "--json")  # fmt: skip
    assert done.exit_code in (0, 1), done.output
    for command in (["monitor", "credit.bimetal", "all.csv", "--reference", "credit.profile.json"],
                    ["explain", "credit.bimetal", "all.csv"]):  # fmt: skip
        done = cli(*command, "--json")
        assert done.exit_code == 2 and "give --as-of" in done.stdout


@pytest.mark.parametrize("method", ["parcel", "augment", "fuzzy", "extrapolate"])
def test_rejects_are_learned_from_and_never_judged_on(method: str) -> None:
    PLAIN.head(240).to_csv("accepted.csv", index=False)
    applications(80, 7)[0].to_csv("rejects.csv", index=False)
    options = ("--rejects", "rejects.csv", "--reject-method", method, "--prudence", "1.5")
    fewer = ("--drop", "amount,housing,income", "--interactions", "0")
    values = trained("accepted.csv", *BARE, *fewer, *options)
    assert values["rejects"]["method"] == method
    assert sum(band["n_rejects"] for band in values["rejects"]["bands"]) == 80
    assert provenance()["rejects"] == values["rejects"]
    assert provenance()["measures"] == values["measures"]
    assert values["rejects"]["accept_bad_rate"] == pytest.approx(PLAIN.bad.head(240).mean())
    assert values["n_train_rows"] == 240


def test_measures_are_of_rows_whose_outcome_somebody_saw() -> None:
    y = np.array([0, 1, 0, 1, 1, 0])
    points = np.array([58_000, 52_000, 57_000, 53_000, 59_000, 50_000])
    card: Any = SimpleNamespace(
        report_=SimpleNamespace(measures={"auc": auc(y, -points)}),
        model_=SimpleNamespace(policy=Policy()),
        oof_points_=points,
    )
    inferred = SimpleNamespace(y=y, is_inferred=np.array([False] * 4 + [True] * 2))
    assert _measures(card, None)["auc"] < 1
    assert _measures(card, inferred) == {"auc": 1.0}


def test_the_lower_label_may_be_the_bad_one() -> None:
    paid = PLAIN.assign(bad=np.where(PLAIN.bad == 1, "defaulted", "paid"))
    paid.to_csv("words.csv", index=False)
    values = trained("words.csv", *BARE, "--bad", "defaulted", "--out", "words.bimetal")
    assert values["classes"] == {"good": "paid", "bad": "defaulted"}
    same = trained("plain.csv", *BARE)
    models = [CreditModel.load(f"{name}.bimetal") for name in ("words", "credit")]
    assert models[0].program.classes == ("paid", "defaulted")
    rows = models[0].rows(PLAIN)
    assert np.array_equal(*(model.points(rows) for model in models))
    assert values["measures"] == same["measures"]


def test_outcomes_beside_empty_cells_are_still_whole_numbers() -> None:
    PLAIN.assign(bad=1.0 - PLAIN.bad).to_parquet("floats.parquet")
    values = trained("floats.parquet", *BARE, "--interactions", "0", "--bad", "0")
    assert values["classes"] == {"good": 1, "bad": 0}


@pytest.mark.parametrize("classing", ["optbinning", "quantile"])
def test_other_cut_points_serve(classing: str) -> None:
    values = trained("plain.csv", *BARE, "--classing", classing, "--bins", "5")
    for column in bins_of(CreditModel.load("credit.bimetal").program):
        assert column.n_ordered <= 5
    assert values["measures"]["auc"] > 0.55


def test_a_trend_that_was_asked_for_is_promised_and_proved() -> None:
    values = trained(
        "plain.csv", *QUICK, "--holdout", "0", "--trend", "income=up", "--trend", "arrears=down"
    )
    assert values["trends"] == {"income": 1, "arrears": -1}
    assert Certificate.load(values["certificate"]).is_proved
    assert CreditModel.load("credit.bimetal").policy.trends == values["trends"]


def written(policy: dict[str, Any]) -> str:
    Path("policy.json").write_text(json.dumps(policy))
    return "policy.json"


def test_a_policy_says_what_the_lender_decides() -> None:
    policy = {
        "name": "Car loans", "texts": {"income": "Income insufficient for the amount"}, "codes": {"income": "R01"},
        "immutable": ["housing"], "limits": {"income": [0, None]}, "unknown_category": "refuse", "max_reasons": 2,
        "groups": {"history": ["arrears", "bureau"]}, "cutoff": 53_000,
    }  # fmt: skip
    options = ("--policy", written(policy), "--jurisdiction", "us-ny", "--coverage", "0.8")
    values = trained("plain.csv", *BARE, *options)
    kept = CreditModel.load("credit.bimetal").policy
    assert values["cutoff_score"] == 530 and kept.cutoff == 53_000
    assert {k: v for k, v in kept.spec().items() if k in policy} == policy
    assert kept.jurisdiction == "us-ny" and kept.references
    assert kept.coverage == 0.8 and kept.refer is not None
    assert kept.refer[0] <= kept.cutoff <= kept.refer[1]


def test_probabilities_are_set_to_a_long_run_rate() -> None:
    trained(
        "plain.csv", *BARE, "--bad-rate", "0.04", "--cost-ratio", "19", "--pdo", "40", "--unit", "1"
    )
    model = CreditModel.load("credit.bimetal")
    said = model.assess(model.rows(PLAIN))
    assert said.probability.mean() == pytest.approx(0.04, abs=2e-3)
    assert said.probability[said.decision == "approve"].max() <= 0.05 + 1e-6
    assert np.array_equal(said.score, np.rint(said.score))


def test_groups_are_left_out_of_the_model_and_judged_in_the_report() -> None:
    values = trained("all.csv", *QUICK, "--trend", "none", "--drop", "decided,birth_date", "--group", "sex",
                     "--jurisdiction", "eu", "--challengers", "woe", "--report-dir", "pack")  # fmt: skip
    names = [c.name for c in CreditModel.load("credit.bimetal").program.columns]
    assert "sex" not in names and "housing" in names
    facts = json.loads(Path("pack/report.json").read_text())
    assert [a["name"] for a in facts["fairness"]["effects"]["groups"]] == ["sex"]
    assert [m["name"] for m in facts["challengers"]["models"]] == ["this model", "logistic WoE scorecard"]  # fmt: skip
    assert values["report"] == "pack/report.html" and values["light"] in ("green", "amber", "red")


def test_the_profile_rests_on_rows_that_were_held_out_where_there_are_enough() -> None:
    values = trained("plain.csv", *QUICK, "--trend", "none", "--holdout", "0.5")
    profile = Profile.read("credit.profile.json")
    assert profile.outcomes is not None and profile.n == values["n_holdout_rows"] == 200
    assert profile.outcomes.auc == pytest.approx(values["holdout"]["auc"]["value"])
    # The same months again raise no alarm of a fall; those learned from would have.
    model = CreditModel.load("credit.bimetal")
    in_sample = auc(PLAIN.bad, model.assess(model.rows(PLAIN)).probability.astype(float))
    assert profile.outcomes.auc < in_sample


def test_too_few_rows_held_out_make_a_profile_without_outcomes() -> None:
    values = trained("plain.csv", *QUICK, "--trend", "none", "--holdout", "0.1")
    profile = Profile.read("credit.profile.json")
    assert values["n_holdout_rows"] == 40
    assert profile.outcomes is None and profile.n == values["n_train_rows"]
    # The fall of the AUC is measured from the one out of fold, not from that of rows learned by heart.
    found = json.loads(Path("runs/credit/report.json").read_text())["outcomes"]["discrimination"]
    assert found["development_auc_source"] == "out of fold"
    assert found["development_auc"]["value"] == values["measures"]["auc"]
    assert "out of fold" in Path("runs/credit/report.html").read_text()


ERRORS: dict[str, tuple[list[object], str]] = {
    "no target": (["plain.csv", *BARE, "--target", "bat"], "no column 'bat'"),
    "one outcome": (["one.csv", *BARE], "two outcomes, good and bad, expected, got 1"),
    "three outcomes": (["plain.csv", *BARE, "--target", "housing"], "two outcomes"),
    "one bad only": (["few.csv", *BARE], "two good and two bad rows to learn from"),
    "empty outcome": (["gap.csv", *BARE], "1 rows to learn from have no outcome, the first is row 3"),
    "bad": (["plain.csv", *BARE, "--bad", "late"], "--bad is one of the outcomes"),
    "unknown drop": (["plain.csv", *BARE, "--drop", "sect"], "no column 'sect'"),
    "unknown group": (["plain.csv", *BARE, "--group", "sex"], "no column 'sex'"),
    "groups beyond number": (
        ["all.csv", *QUICK, *DATED, "--group", "birth_date", "--jurisdiction", "eu"], "at most 50 groups"),
    "nothing left": (["plain.csv", *BARE, "--drop", ",".join(PLAIN.columns)], "is left to learn from"),
    "classing": (["plain.csv", *BARE, "--classing", "woe"], "classing is one of quantile"),
    "special": (["plain.csv", *BARE, "--special", "bureau"], "--special expects"),
    "special column": (["plain.csv", *BARE, "--special", "buro=-9"], "buro"),
    "trend": (["plain.csv", *QUICK, "--trend", "income"], "--trend expects"),
    "trend column": (["plain.csv", *QUICK, "--trend", "wealth=up"], "wealth"),
    "trend of text": (["plain.csv", *QUICK, "--trend", "housing=up"], "no ordered bins"),
    "challenger": (["plain.csv", *QUICK, "--challengers", "xgboost"], "a challenger is one of"),
    "challenger unheld": (["plain.csv", *BARE, "--challengers", "woe"], "--holdout above 0"),
    "jurisdiction": (["plain.csv", *BARE, "--jurisdiction", "mars"], "a jurisdiction is one of"),
    "holdout": (["plain.csv", *QUICK, "--holdout", "1.5"], "between 0 and 1"),
    "bad rate": (["plain.csv", *BARE, "--bad-rate", "1"], "bad_rate"),
    "coverage": (["plain.csv", *BARE, "--interactions", "0", "--coverage", "0.999"], "at least 999"),
    "policy key": (["plain.csv", *BARE, "--policy", "cut.json"], "keys of a policy"),
    "policy column": (["plain.csv", *BARE, "--policy", "wealth.json"], "wealth"),
    "policy file": (["plain.csv", *BARE, "--policy", "plain.csv"], "the policy 'plain.csv'"),
    "no policy": (["plain.csv", *BARE, "--policy", "none.json"], "No such file"),
    "reject method": (["plain.csv", *BARE, "--rejects", "rejects.csv", "--reject-method", "hope"], "--reject-method"),
    "rejects": (["plain.csv", *BARE, "--rejects", "none.csv"], "No such file"),
    "rejects lack": (["plain.csv", *BARE, "--rejects", "short.csv"], "no column 'income'"),
    "rejects' types": (["plain.csv", *BARE, "--rejects", "text.csv"], "columns of the same types"),
    "prudence": (["plain.csv", *BARE, "--rejects", "rejects.csv", "--prudence", "0.5"], "prudence is at least 1"),
    "no data": (["none.csv", *BARE], "No such file"),
    "no table": (["plain.txtx", *BARE], "told by the end of its name"),
    "no folder": (["plain.csv", *BARE, "--out", "far/away.bimetal"], "there is no folder 'far'"),
    "date": (["all.csv", *BARE, "--time", "decided", "--date", "birth_date"], "--date expects"),
    "date column": (["all.csv", *BARE, "--time", "decided", "--date", "born=years"], "no column 'born'"),
    "date without day": (["all.csv", *BARE, "--date", "birth_date=years"], "--time, or give one day"),
    "future birth": (["unborn.csv", *BARE, *DATED[:2], "--date", "birth_date=years"], "lies in the future"),
    "decided after": (["all.csv", *BARE, *DATED, "--as-of", "2024-01-01"], "lie after 2024-01-01"),
    "all young": (["all.csv", *QUICK, *DATED, "--as-of", "2026-01-01", "--window-months", "99"], "performance window"),
    "all young, none held": (
        ["all.csv", *BARE, *DATED, "--as-of", "2026-01-01", "--window-months", "99"], "performance window"),
    "cut beyond": (["all.csv", *QUICK, *DATED, "--out-of-time", "2030-01-01"], "rows before and after the cut"),
    "cut is no day": (["all.csv", *QUICK, *DATED, "--out-of-time", "soon"], "a date such as"),
    "time is no day": (["all.csv", *QUICK, "--time", "income"], "column 'income', row 0: a date"),
    "no time": (["all.csv", *QUICK, "--time", "when"], "no column 'when'"),
    "window without time": (["all.csv", *QUICK, "--window-months", "12"], "with --time"),
}  # fmt: skip


def test_groups_that_cannot_be_compared_are_refused_before_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BinaryScorecard, "fit", None)
    given = ["all.csv", *QUICK, *DATED, "--group", "birth_date", "--jurisdiction", "eu"]
    found = CliRunner().invoke(app, ["train", *map(str, given)])
    assert found.exit_code == 2
    assert "at most 50 groups" in found.output


@pytest.mark.parametrize("case", ERRORS)
def test_mistakes_end_with_2_and_a_sentence_and_leave_nothing_behind(case: str) -> None:
    PLAIN.assign(bad=0).to_csv("one.csv", index=False)
    PLAIN.assign(bad=(np.arange(len(PLAIN)) == 5).astype(int)).to_csv("few.csv", index=False)
    PLAIN.assign(bad=PLAIN.bad.astype("Int64").where(PLAIN.index != 3)).to_csv(
        "gap.csv", index=False
    )
    unborn = TABLE.birth_date.where(TABLE.index != 7, "2062-03-01")
    TABLE.assign(birth_date=unborn).to_csv("unborn.csv", index=False)
    Path("cut.json").write_text('{"cut": 3}')
    Path("wealth.json").write_text('{"immutable": ["wealth"]}')
    Path("plain.txtx").write_text("bad\n1\n")
    rejects, _ = applications(60, 7)
    rejects.to_csv("rejects.csv", index=False)
    rejects.drop(columns="income").to_csv("short.csv", index=False)
    rejects.assign(income="high").to_csv("text.csv", index=False)
    before = {path.name for path in Path().iterdir()}
    arguments, says = ERRORS[case]
    done = cli("train", *arguments, "--json")
    assert done.exit_code == 2, done.output
    message = json.loads(done.stdout)["error"]["message"]
    assert says in message and len(message) < 500
    assert {path.name for path in Path().iterdir()} == before


def test_what_is_wrong_with_the_rejects_names_their_file() -> None:
    applications(60, 7)[0].drop(columns="income").to_csv("short.csv", index=False)
    done = cli("train", "plain.csv", *BARE, "--rejects", "short.csv")
    assert done.exit_code == 2 and "short.csv" in done.stderr


def test_a_report_that_cannot_be_written_leaves_no_model() -> None:
    Path("pack").write_text("a file where a folder should be")
    done = cli("train", "plain.csv", *QUICK, "--trend", "none", "--report-dir", "pack", "--json")
    assert done.exit_code == 2, done.output
    assert not list(Path().glob("credit*"))


def test_monitoring_shows_what_calls_for_attention_and_counts_the_rest() -> None:
    trained("plain.csv", *QUICK, "--trend", "none", "--holdout", "0.5")
    moved = PLAIN.assign(income=PLAIN.income * 3)
    moved.to_csv("moved.csv", index=False)
    watched = ("monitor", "credit.bimetal", "moved.csv", "--reference", "credit.profile.json")
    brief, whole = cli(*watched), cli(*watched, "--all")
    assert brief.exit_code == whole.exit_code == 4
    assert "CSI of income" in brief.stdout and "CSI of housing" not in brief.stdout
    assert "CSI of housing" in whole.stdout
    findings = json.loads(cli(*watched, "--json").stdout)["findings"]
    n_green = sum(f["light"] == "green" for f in findings)
    assert n_green > 0 and f"{n_green} green" in brief.stdout
