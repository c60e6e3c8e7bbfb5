"""``bimetal continual``: no data needed for a look, clear errors, and Ctrl-C that keeps what is finished."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from continual_streams import PATTERNS
from typer.testing import CliRunner

from bimetal.cli import continual as command
from bimetal.cli.app import app
from bimetal.continual import sequences
from bimetal.continual.learners import methods
from bimetal.continual.learners.learner import Learner, Setting
from bimetal.continual.learners.methods import METHODS
from bimetal.continual.sequences import SEQUENCES
from bimetal.errors import DataError
from bimetal.report import theme

SMALL = ("patterns", "--quick", "--hidden", "16", "--epochs", "1", "--rows", "60")


@pytest.fixture(autouse=True, scope="module")
def coarse() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "DPI", 40)
        patch.setitem(sequences.SEQUENCES, "patterns", PATTERNS)  # type: ignore[arg-type]
        yield


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["continual", *map(str, arguments)])


def error(*arguments: object) -> str:
    done = cli("run", *arguments, "--json")
    assert done.exit_code == 2, done.output
    message: str = json.loads(done.stdout)["error"]["message"]
    return message


def test_a_run_writes_a_table_a_page_runs_and_programs(folder: Path) -> None:
    done = cli("run", *SMALL, "--methods", "plain,row_plain", "--json")
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    out = folder / "runs" / "continual"
    assert {k: v for k, v in values.items() if k not in ("out", "report")} == json.loads(
        (out / "study.json").read_text()
    )
    assert [row["name"] for row in values["table"]] == ["plain", "row_plain"]
    assert values["sequence"]["n_tasks"] == 3 and values["seeds"] == [0]
    assert Path(values["report"]).read_text().count("told or kept: ") == 2
    assert {p.name for p in (out / "runs").iterdir()} == {
        "plain-0-seed0.json",
        "row_plain-0-seed0.json",
    }
    assert len(list((out / "programs").iterdir())) == 3 + 1
    assert values["setting"]["hidden"] == [16]


def test_a_person_sees_who_was_told_what(folder: Path) -> None:
    done = cli("run", *SMALL, "--methods", "plain", "--methods", "row_plain", "--out", "here")
    assert done.exit_code == 0, done.output
    for text in ("row_plain", "nothing", "ends, ids", "average", "continual.html"):
        assert text in done.output
    assert (folder / "here" / "plots" / "matrix_plain.png").read_bytes()[:4] == b"\x89PNG"


def test_digits_need_no_data_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIMETAL_DATA", raising=False)
    done = cli(
        "run",
        "digits",
        "--quick",
        "--rows",
        "100",
        "--epochs",
        "1",
        "--methods",
        "row_plain",
        "--json",
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["table"][0]["n_differ"] == 0


def test_strengths_are_tuned_unless_they_are_given() -> None:
    done = cli(
        "run", *SMALL, "--methods", "published,ewc=300", "--tune", "--tune-tasks", "1", "--json"
    )
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert [tuning["method"] for tuning in values["tunings"]] == ["published"]
    assert values["tuning"] == {"seeds": [0], "n_tasks": 1}
    published, ewc = values["table"]
    assert published["is_tuned"] and published["strength"] == values["tunings"][0]["best"]
    assert not ewc["is_tuned"] and ewc["strength"] == 300


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["digit", "--quick"], "no sequence is called 'digit'. Did you mean 'digits'?"),
        ([*SMALL, "--methods", "metaplastik"], "Did you mean 'metaplastic'?"),
        ([*SMALL, "--methods", "ewc=much"], "name=number"),
        ([*SMALL, "--methods", "ewc,ewc"], "names 'ewc' twice"),
        ([*SMALL, "--seeds", "0"], "--seeds expects how many"),
        ([*SMALL, "--seeds", "a,b"], "whole numbers"),
        ([*SMALL, "--seeds", "1,1"], "each once"),
        ([*SMALL, "--hidden", "wide"], "--hidden expects whole numbers"),
        ([*SMALL, "--evaluate", "some"], "evaluates must be"),
        ([*SMALL, "--hidden", "0"], "hidden must name"),
        ([*SMALL, "--learning-rate", "0"], "learning_rate must be above 0"),
        (["permuted_mnist", "--quick"], "BIMETAL_DATA"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(
    arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.delenv("BIMETAL_DATA", raising=False)
    assert why in error(*arguments)
    assert not (folder / "runs" / "continual" / "study.json").exists()


@pytest.mark.parametrize("arguments", [("--tasks", "0"), ("--workers", "0"), ("--rows", "x")])
def test_options_out_of_range_are_usage_errors(arguments: tuple[str, str]) -> None:
    assert cli("run", "patterns", *arguments).exit_code == 2


@pytest.mark.parametrize("package", ["matplotlib", "jinja2", "torch"])
def test_a_missing_package_is_told_before_the_training(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    there = command.importlib.util.find_spec
    monkeypatch.setattr(
        command.importlib.util, "find_spec", lambda name: None if name == package else there(name)
    )
    assert f"needs the package '{package}'" in error(*SMALL)


def _interrupted(setting: Setting, strength: float) -> Learner:
    raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_finished_says_so_and_resume_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = METHODS["plain"]
    arguments = ("run", *SMALL, "--methods", "row_plain,plain", "--json")
    with monkeypatch.context() as patch:
        stopped = type(plain)(**{**vars(plain), "make": _interrupted})
        patch.setitem(methods.METHODS, "plain", stopped)
        done = cli(*arguments)
        assert done.exit_code == 130, done.output
        shown = cli(*[a for a in arguments if a != "--json"])
        assert shown.exit_code == 130 and "--resume goes on" in shown.output
    values = json.loads((folder / "runs" / "continual" / "study.json").read_text())
    assert values["was_interrupted"] and [r["name"] for r in values["table"]] == ["row_plain"]
    assert "stopped before its end" in (folder / "runs/continual/continual.html").read_text()
    before = (folder / "runs/continual/runs/row_plain-0-seed0.json").stat().st_mtime_ns
    done = cli(*arguments, "--resume")
    assert done.exit_code == 0, done.output
    assert [r["name"] for r in json.loads(done.stdout)["table"]] == ["row_plain", "plain"]
    assert (folder / "runs/continual/runs/row_plain-0-seed0.json").stat().st_mtime_ns == before


def test_ctrl_c_before_anything_is_finished_leaves_no_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = METHODS["plain"]
    stopped = type(plain)(**{**vars(plain), "make": _interrupted})
    monkeypatch.setitem(methods.METHODS, "plain", stopped)
    done = cli("run", *SMALL, "--methods", "plain")
    assert done.exit_code == 130 and "nothing was finished" in done.output
    assert not (folder / "runs" / "continual" / "continual.html").exists()


def test_the_list_says_what_each_needs_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "mnist.npz").write_bytes(b"")
    monkeypatch.setenv("BIMETAL_DATA", str(tmp_path))
    values = json.loads(cli("list", "--json").stdout)
    found = {row["name"]: row for row in values["sequences"]}
    assert list(found) == list(SEQUENCES) and not found["digits"]["needs"]
    assert found["permuted_mnist"]["missing"] == []
    assert found["mnist_fashion"]["missing"] == ["fashion_mnist"]
    assert {row["name"]: row["uses"] for row in values["methods"]} == {
        name: method.uses.words() for name, method in METHODS.items()
    }
    shown = cli("list").output
    assert "BIMETAL_DATA" in shown and "none needed" in shown and "fashion_mnist (missing)" in shown


@pytest.mark.parametrize("name", ["run", "list"])
def test_each_command_explains_itself_and_speaks_json(name: str) -> None:
    done = cli(name, "--help")
    assert done.exit_code == 0 and "--json" in done.output


def test_seeds_are_how_many_or_which() -> None:
    assert command.seeds_of("2") == (0, 1) and command.seeds_of("5,2") == (5, 2)
    with pytest.raises(DataError, match="whole numbers"):
        command.seeds_of(",")
