"""``bimetal credit validate`` and ``monitor``: files in, a page and a JSON out, and an exit code that means something."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from credit_samples import a_frame, a_model, a_sample, outcomes
from typer.testing import CliRunner

from bimetal.cli.credit.monitor import monitor
from bimetal.cli.credit.validate import validate
from bimetal.explain.certificate import certify
from bimetal.finance.credit.profile import Profile
from bimetal.report import credit_plots, theme

app = typer.Typer()
app.command()(validate)
app.command()(monitor)
MODEL = a_model()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(theme, "DPI", 40)
    monkeypatch.setattr(credit_plots, "VALIDATION_PLOTS", (credit_plots.ranking,))
    monkeypatch.setattr(credit_plots, "MONITORING_PLOTS", ())
    MODEL.save("m.bimetal")
    for name, seed in (("test", 0), ("dev", 1)):
        frame, y = a_sample(MODEL, 600, seed)
        frame["date"] = frame["date"].dt.strftime("%Y-%m-%d")
        frame.assign(bad=y).to_csv(f"{name}.csv", index=False)
        frame.assign(bad=y).to_parquet(f"{name}.parquet")
    return tmp_path


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)])


def values_of(done: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def error(*arguments: object) -> str:
    done = cli(*arguments, "--json")
    assert done.exit_code == 2, done.output
    message: str = values_of(done)["error"]["message"]
    return message


COMMON = ("--target", "bad", "--resamples", "20")


def test_everything_at_once_makes_a_page_and_a_json(folder: Path) -> None:
    trend = next(c.name for c in MODEL.form.columns if c.n_ordered > 1)
    certify(MODEL.program, {trend: 1}).save("c.json")
    Path("said.json").write_text('{"model_owner": "Retail risk"}')
    done = cli(
        "validate", "m.bimetal", "test.csv", *COMMON, "--development", "dev.parquet", "--date", "date", "--id", "id",
        "--group", "sex,band", "--group", "sex+band", "--reference-group", "sex=m", "--jurisdiction", "us-federal",
        "--force-on", "effects", "--stress", "income=-20%", "--stress", "housing=rent,age=+1",
        "--scale", "0.02,0.05,0.1", "--certificate", "c.json", "--statements", "said.json", "--out", "pack", "--json",
    )  # fmt: skip
    assert done.exit_code in (0, 1), done.output
    values = values_of(done)
    assert done.exit_code == (values["light"] == "red")
    facts = json.loads((folder / "pack" / "report.json").read_text())
    assert (folder / "pack" / "report.html").is_file() and facts["lineage"]["model_id"] == values[
        "model_id"
    ]
    assert [s["name"] for s in facts["sensitivity"]["stresses"]] == [
        "income=-20%",
        "housing=rent,age=+1",
    ]
    assert [a["name"] for a in facts["fairness"]["effects"]["groups"]] == [
        "sex",
        "band",
        "sex+band",
    ]
    assert facts["fairness"]["effects"]["groups"][0]["reference"] == "m"
    assert set(facts["lineage"]["files"]) == {"validation", "development"}
    assert facts["outcomes"]["grades"]["scale"]["bounds"] == [0.02, 0.05, 0.1]
    assert "not_computed" not in facts["outcomes"]["migration"]


def test_a_red_finding_ends_with_1_and_none_with_0() -> None:
    Path("lax.json").write_text(json.dumps({k: [0, 0] for k in ("auc", "grade", "calibration_test")}
        | {"ratio": [9, 9], "concentration": [2, 2]}))  # fmt: skip
    done = cli("validate", "m.bimetal", "test.csv", *COMMON, "--thresholds", "lax.json")
    assert done.exit_code == 0 and "runs/m-validation/report.html" in done.stdout.replace("\n", "")
    Path("strict.json").write_text('{"auc": [0.99, 0.98]}')
    done = cli("validate", "m.bimetal", "test.csv", *COMMON, "--thresholds", "strict.json")
    assert done.exit_code == 1 and "red" in done.stdout


def test_challengers_learn_from_the_file_of_training() -> None:
    done = cli(
        "validate",
        "m.bimetal",
        "test.parquet",
        *COMMON,
        "--challengers",
        "lightgbm_default",
        "--train",
        "dev.parquet",
        "--json",
    )
    assert done.exit_code in (0, 1), done.output
    facts = json.loads(Path(values_of(done)["json"]).read_text())
    assert [m["name"] for m in facts["challengers"]["models"]] == [
        "this model",
        "LightGBM, untuned",
    ]
    assert "challengers" in facts["lineage"]["files"]


@pytest.mark.parametrize(("arguments", "says"), [
    (["validate", "m.bimetal", "test.csv", "--target", "bat"], "no column 'bat'"),
    (["validate", "m.bimetal", "test.csv", *COMMON, "--group", "sect"], "no column 'sect'"),
    (["validate", "m.bimetal", "test.csv", *COMMON, "--scale", "low"], "--scale expects"),
    (["validate", "m.bimetal", "test.csv", *COMMON, "--reference-group", "sex"], "--reference-group expects"),
    (["validate", "m.bimetal", "test.csv", *COMMON, "--challengers", "woe"], "rows of the development"),
    (["validate", "m.bimetal", "test.csv", *COMMON, "--stress", "income"], "column=shock"),
    (["validate", "m.bimetal", "test.csv", *COMMON, "--jurisdiction", "mars"], "a jurisdiction is one of"),
    (["validate", "m.bimetal", "nowhere.csv", *COMMON], "No such file"),
    (["validate", "test.csv", "test.csv", *COMMON], "damaged"),
    (["monitor", "m.bimetal", "test.csv", "--reference", "m.json"], "No such file"),
    (["monitor", "m.bimetal", "empty.csv", "--reference", "dev.csv"], "no rows"),
])  # fmt: skip
def test_mistakes_end_with_2_and_a_sentence(arguments: list[str], says: str) -> None:
    pd.read_csv("test.csv").head(0).to_csv("empty.csv", index=False)
    assert says in error(*arguments)


def test_monitoring_against_a_table_writes_the_profile_for_next_time(folder: Path) -> None:
    first = cli(
        "monitor",
        "m.bimetal",
        "test.csv",
        "--reference",
        "dev.parquet",
        "--target",
        "bad",
        "--out",
        "seen",
        "--json",
    )
    values = values_of(first)
    assert first.exit_code == values["exit_code"] and Path(values["report"]).is_file()
    read = Profile.read(folder / "seen" / "profile.json")
    assert read.n == 600 and read.outcomes is not None
    again = cli(
        "monitor",
        "m.bimetal",
        "test.csv",
        "--reference",
        "seen/profile.json",
        "--target",
        "bad",
        "--json",
    )
    assert values_of(again)["findings"] == values["findings"]


def test_exit_codes_are_for_a_scheduler() -> None:
    Profile.of(MODEL, pd.read_csv("dev.csv")).write("p.json")
    a_frame(MODEL, 900, 5).to_parquet("calm.parquet")
    assert cli("monitor", "m.bimetal", "calm.parquet", "--reference", "p.json").exit_code == 0
    a_frame(MODEL, 900, 5, income=30.0).to_parquet("moved.parquet")
    done = cli("monitor", "m.bimetal", "moved.parquet", "--reference", "p.json")
    assert done.exit_code == 4 and "CSI of income" in done.stdout
    Path("lax.json").write_text('{"psi": [9, 9], "csi": [0.1, 9], "approval": [1, 1]}')
    assert (
        cli(
            "monitor",
            "m.bimetal",
            "moved.parquet",
            "--reference",
            "p.json",
            "--thresholds",
            "lax.json",
        ).exit_code
        == 3
    )


def test_outcomes_that_are_not_known_yet_are_empty_cells() -> None:
    frame = a_frame(MODEL, 600, 7)
    y = outcomes(MODEL, frame, 7).astype(object)
    y[300:] = None
    frame.assign(bad=pd.array(y, dtype="Int64")).to_csv("late.csv", index=False)
    done = cli(
        "monitor", "m.bimetal", "late.csv", "--reference", "dev.csv", "--target", "bad", "--json"
    )
    facts = json.loads(Path(values_of(done)["json"]).read_text())
    assert facts["outcomes"]["n"] == 300


def test_rows_are_the_same_from_csv_and_parquet() -> None:
    hashes = []
    for kind in ("csv", "parquet"):
        cli("validate", "m.bimetal", f"test.{kind}", *COMMON, "--out", kind)
        facts = json.loads(Path(kind, "report.json").read_text())
        hashes.append(facts["lineage"]["samples"]["validation"]["sha256_of_rows"])
    assert hashes[0] == hashes[1] and np.unique(hashes).size == 1
