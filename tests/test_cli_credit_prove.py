"""``bimetal credit prove``: the exit code says whether it is proved, the file lets anyone check."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from credit_models import toy_policy, toy_program
from test_monotone import forest
from typer.testing import CliRunner

from bimetal.cli.credit.prove import prove
from bimetal.explain.certificate import Certificate, certify
from bimetal.format import save
from bimetal.program import Program

app = typer.Typer()
app.command()(prove)
PROGRAM, BLOCKS = forest()
TRENDS = {"x0": 1, "x1": -1}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "180")
    save(PROGRAM, "forest.bimetal")
    return tmp_path


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)])


def error(*arguments: object) -> str:
    done = cli(*arguments, "--json")
    assert done.exit_code == 2, done.output
    message: str = json.loads(done.stdout)["error"]["message"]
    return message


def with_policy(program: Program, **policy: Any) -> Program:
    spec = json.loads(json.dumps(toy_policy(program, **policy).spec()))
    return replace(program, provenance={"credit": spec})


def test_trends_are_proved_and_the_certificate_is_written(folder: Path) -> None:
    done = cli("forest.bimetal", "--trend", "x0=up", "--trend", "x1=down", "--json")
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert values["proved"] and not values["checked"]
    assert [p["verdict"] for p in values["proofs"]] == ["proved", "proved"]
    read = Certificate.load(folder / "forest.certificate.json")
    assert (read.trends, read.id) == (TRENDS, values["sha256"])


def test_a_refuted_trend_exits_with_1_and_shows_the_two_values(folder: Path) -> None:
    done = cli("forest.bimetal", "--trend", "x0=down", "--out", "c.json")
    assert done.exit_code == 1, done.output
    for text in ("0 of 1 trends proved", "x0", "never rises", "refuted", "→"):
        assert text in done.output
    assert not Certificate.load(folder / "c.json").is_proved


def test_the_policy_of_a_model_promises_trends(folder: Path) -> None:
    save(with_policy(toy_program(0), trends={"age": 1}), "toy.bimetal")
    done = cli("toy.bimetal", "--json")
    assert done.exit_code in (0, 1), done.output
    assert Certificate.load(folder / "toy.certificate.json").trends == {"age": 1}


def test_a_certificate_is_checked_anew(folder: Path) -> None:
    certify(PROGRAM, TRENDS, BLOCKS).save("given.json")
    done = cli("forest.bimetal", "--certificate", "given.json")
    assert done.exit_code == 0, done.output
    assert "given.json (checked anew)" in done.output
    assert "2 of 2 trends proved" in done.output
    assert sorted(p.name for p in folder.iterdir()) == ["forest.bimetal", "given.json"]


def test_a_certificate_of_a_refuted_trend_exits_with_1(folder: Path) -> None:
    certify(PROGRAM, {"x0": -1}, BLOCKS).save("given.json")
    done = cli("forest.bimetal", "--certificate", "given.json", "--json")
    assert done.exit_code == 1, done.output
    assert json.loads(done.stdout)["proofs"][0]["verdict"] == "refuted"


def test_the_trees_of_a_certificate_are_a_witness_for_other_trends(folder: Path) -> None:
    certify(PROGRAM, {"x0": 1}, BLOCKS).save("given.json")
    done = cli("forest.bimetal", "--witness", "given.json", "--trend", "x1=down", "--json")
    assert done.exit_code == 0, done.output
    assert Certificate.load("forest.certificate.json").blocks == tuple(BLOCKS)


def test_what_does_not_fit_is_said_in_one_line(folder: Path) -> None:
    certify(PROGRAM, TRENDS, BLOCKS).save("given.json")
    save(toy_program(0), "toy.bimetal")
    (folder / "broken.json").write_text("{}")
    assert "promises no trends; name some with --trend" in error("forest.bimetal")
    assert "expects column=up or column=down, got 'x0=sideways'" in error(
        "forest.bimetal", "--trend", "x0=sideways"
    )
    assert "'income'" in error("forest.bimetal", "--trend", "income=up")
    assert "leave out --trend" in error(
        "forest.bimetal", "--certificate", "given.json", "--trend", "x0=up"
    )
    assert "the certificate is of program" in error("toy.bimetal", "--certificate", "given.json")
    assert "a certificate" in error("forest.bimetal", "--certificate", "broken.json")
    assert "there is no folder" in error("forest.bimetal", "--trend", "x0=up", "--out", "no/c.json")
    assert "nowhere.bimetal" in error("nowhere.bimetal")
