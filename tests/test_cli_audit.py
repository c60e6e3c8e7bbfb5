"""`bimetal audit`: what it prints, what it refuses, and its exit codes."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from credit_models import toy_model
from decision_logs import Clock
from test_audit_decisions import hash_of, records
from typer.testing import CliRunner

from bimetal.cli.audit import anchors_of, audit, moment_of
from bimetal.errors import DataError
from bimetal.service.log import open_log

DATA = toy_model(0).dumps()
N = 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "decisions.db"
    with closing(open_log(str(found), clock=Clock())) as log:
        log.archive_model(hash_of(DATA), DATA)
        for record in records(DATA, N):  # a second each
            log.write([record])
    return found


def run(*words: Any) -> tuple[int, str]:
    result = CliRunner().invoke(audit, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, (SystemExit, typer.Exit)):
        raise result.exception
    return result.exit_code, result.output


def answer(*words: Any) -> tuple[int, dict[str, Any]]:
    code, output = run(*words, "--json")
    return code, json.loads(output)


def edit(path: Path, change: Callable[[sqlite3.Connection], Any]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        triggers = base.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            base.execute(f"DROP TRIGGER {name}")
        change(base)
        for _, sql in triggers:
            base.execute(sql)


def test_a_whole_log_verifies_and_says_what_was_not_checked(path: Path) -> None:
    code, values = answer("verify", path)
    assert (
        code == 0 and values["is_sound"] and values["n_entries"] == N and values["problems"] == []
    )
    code, output = run("verify", path)
    assert code == 0 and "whole" in output and "cut off at the end" in output


def test_a_broken_log_gives_exit_code_one_and_the_first_break(path: Path) -> None:
    edit(path, lambda base: base.execute("DELETE FROM decision_entry WHERE sequence = 7"))
    code, values = answer("verify", path)
    assert code == 1 and values["problems"][0]["sequence"] == 7
    assert values["problems"][0]["kind"] == "missing"
    code, output = run("verify", path)
    assert code == 1 and "NOT whole" in output and "entry 7 is missing" in output


def test_anchors_find_a_log_that_was_cut(path: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads.jsonl"
    code, values = answer("head", path, "--anchor", heads)
    assert code == 0 and values["sequence"] == N
    run("head", path, "--anchor", heads)
    assert len(heads.read_text().splitlines()) == 2
    code, output = run("head", path)
    assert output.strip() == f"{N}:{values['hash']}"
    assert answer("verify", path, "--anchor", heads)[1]["n_anchors"] == 2
    edit(path, lambda base: base.execute(f"DELETE FROM decision_entry WHERE sequence = {N}"))
    assert answer("verify", path)[0] == 0
    for anchor in (heads, output.strip()):
        code, values = answer("verify", path, "--anchor", anchor)
        assert code == 1 and values["problems"][0]["kind"] == "anchor"


def test_anchors_and_moments_of_another_form_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text('{"sequence": 1}\n')
    for text, says in ((str(bad), "no file of heads"), ("3:abc", "SEQUENCE:HASH")):
        with pytest.raises(DataError, match=says):
            anchors_of([text])
    assert anchors_of([f"0:{'0' * 64}"]) == []  # the head of an empty log binds nobody
    with pytest.raises(DataError, match="a moment is"):
        moment_of("yesterday")
    assert moment_of("2026-11-28T12:00+01:00") == "2026-11-28T11:00:00.000000+00:00"


@pytest.mark.parametrize(
    ("words", "n"),
    [
        (["--all"], N),
        (["--request", "r-3"], 1),
        (["--sample", "7"], 7),
        (["--sample", "1000", "--seed", "3"], N),
        (["--from", "2026-11-28T12:00:06"], N - 5),
        (["--to", "2026-11-28T12:00:06"], 5),
        (["--from", "2026-11-28", "--to", "2026-11-29"], N),
        (["--from", "2026-11-29"], 0),
    ],
)
def test_decisions_are_replayed_all_or_some(path: Path, words: list[str], n: int) -> None:
    code, values = answer("replay", path, *words)
    assert code == 0 and values["is_same"] and values["n_same"] == values["n_decisions"] == n


def test_a_sample_is_drawn_by_its_seed(path: Path) -> None:
    words = ["replay", path, "--sample", "5", "--seed", "1"]
    assert answer(*words) == answer(*words) and answer(*words)[1]["seed"] == 1


def test_a_decision_that_does_not_come_out_gives_exit_code_one(path: Path) -> None:
    with closing(open_log(str(path))) as log:
        (made,) = records(DATA, 1, start=900)
        log.write([replace(made, decision="[approve]")])
    code, values = answer("replay", path, "--all")
    assert code == 1 and not values["is_same"]
    assert {d["what"] for d in values["differences"]} == {"decision"}
    code, output = run("replay", path, "--request", "r-900")
    assert code == 1 and "[approve]" in output and "oracle" in output


def test_replay_wants_to_know_which(path: Path) -> None:
    for words in ([], ["--all", "--sample", "3"], ["--request", "r-1", "--from", "2026-01-01"]):
        code, values = answer("replay", path, *words)
        assert code == 2 and "--sample" in values["error"]["message"]


def test_a_request_is_shown_as_people_write_it(path: Path) -> None:
    code, values = answer("show", path, "r-3")
    (entry,) = values["entries"]
    assert code == 0 and entry["request_id"] == "r-3" and "housing" in entry["input"]
    assert "r-3" in run("show", path, "r-3")[1]
    code, values = answer("show", path, "nobody")
    assert code == 2 and "no request 'nobody'" in values["error"]["message"]


def test_decisions_are_exported(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "decisions.parquet"
    code, values = answer("export", path, "--out", out, "--from", "2026-11-28T12:00:06")
    assert code == 0 and values["n_decisions"] == N - 5 == pq.read_table(out).num_rows
    code, values = answer("export", path, "--out", tmp_path / "no" / "d.csv")
    assert code == 2 and "no folder" in values["error"]["message"]


def test_an_erasure_is_done_only_with_yes_and_once(path: Path) -> None:
    words = ["erase", path, "--request", "r-3", "--reason", "GDPR art. 17 (1) (a)"]
    code, values = answer(*words)
    assert (code, values["would_erase"], values["erased"]) == (0, [4], [])
    assert answer("replay", path, "--request", "r-3")[1]["n_erased"] == 0
    code, values = answer(*words, "--who", "privacy office", "--yes")
    assert (code, values["erased"], values["sequence"]) == (0, [4], N + 1)
    replayed = answer("replay", path, "--all")[1]
    assert replayed["n_erased"] == 1 and replayed["is_same"]
    assert answer("verify", path)[1]["n_erased"] == 1
    decision, erasure = answer("show", path, "r-3")[1]["entries"]
    assert decision["is_erased"] and decision["input"] is None
    assert erasure["reason"] == "GDPR art. 17 (1) (a)" and erasure["who"] == "privacy office"
    code, values = answer(*words, "--yes")
    assert code == 2 and "erased already" in values["error"]["message"]


@pytest.mark.parametrize("command", ["verify", "head", "show"])
def test_a_log_that_is_not_there_is_named_and_not_made(tmp_path: Path, command: str) -> None:
    missing = tmp_path / "missing.db"
    code, values = answer(command, missing, *(["x"] if command == "show" else []))
    assert code == 2 and "missing.db" in values["error"]["message"] and not missing.exists()


def test_a_password_in_the_address_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = run("verify", "postgresql://me:hunter2@/base?host=/nowhere")
    assert code == 2 and "hunter2" not in output
