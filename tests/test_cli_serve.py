"""``bimetal serve`` and ``bimetal keys``: safe by default, clear when not, whole from key to answer."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from credit_models import toy_model
from service_home import applications
from typer.testing import CliRunner

from bimetal.cli.keys import keys
from bimetal.cli.serve import serve

APP = typer.Typer()
APP.command()(serve)
APP.add_typer(keys)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "models").mkdir()
    toy_model(0).save(tmp_path / "models" / "cards.bimetal")
    return tmp_path


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(APP, [*map(str, arguments)])


def values_of(*arguments: object) -> Any:
    done = cli(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def error_of(*arguments: object) -> str:
    done = cli(*arguments, "--json")
    assert done.exit_code == 2, done.output
    message: str = json.loads(done.stdout)["error"]["message"]
    return message


def test_a_key_is_made_listed_rotated_and_revoked_and_shown_once(folder: Path) -> None:
    made = values_of("keys", "create", "the web shop", "--scope", "score,batch", "--days", "90")
    assert re.fullmatch(r"bmk_[0-9a-f]{12}_[\w-]{43}", made["key"])
    (listed,) = values_of("keys", "list")["keys"]
    assert listed == {k: v for k, v in made.items() if k != "key"}
    assert listed["scopes"] == ["batch", "score"]
    new = values_of("keys", "rotate", made["id"], "--overlap-hours", "1")
    assert new["replaces"] == made["id"]
    assert values_of("keys", "revoke", made["id"])["state"] == "revoked"
    shown = cli("keys", "list").output
    assert "revoked" in shown
    assert "active" in shown
    assert made["key"] not in shown
    assert "revoked" in error_of("keys", "rotate", made["id"])


def test_a_key_is_only_for_scoring_unless_more_is_asked_for(folder: Path) -> None:
    assert values_of("keys", "create", "x")["scopes"] == ["score"]
    assert "shown once" in cli("keys", "create", "y").output
    assert "scopes" in error_of("keys", "create", "z", "--scope", "root")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--tls-cert"),
        (["--host", "bank.example"], "--behind-proxy"),
        (["--host", "0.0.0.0", "--behind-proxy", "--no-keys"], "this machine only"),
        (["--tls-cert", "x.pem"], "come together"),
        (["--shadow", "cards"], "MODEL=OTHER"),
        (["--keys", "none.db"], "keys create"),
        (["--deadline", "0"], "deadline_seconds"),
        (["--no-keys", "--log", "mysql://x/y"], "decision log"),
    ],
)
def test_what_is_not_safe_or_not_there_is_said_before_anything_listens(
    options: list[str], words: str
) -> None:
    assert words in error_of("serve", "models", *options)


def test_a_folder_that_is_not_there_is_said() -> None:
    assert "folder" in error_of("serve", "none", "--no-keys")


SCRIPT = """
import typer
from bimetal.cli.serve import serve
app = typer.Typer()
app.command()(serve)
if __name__ == "__main__":
    app()
"""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_from_a_key_to_an_answer_to_a_clean_end(folder: Path, stop: signal.Signals) -> None:
    token = values_of("keys", "create", "me")["key"]
    (folder / "cli.py").write_text(SCRIPT)
    command = [sys.executable, "cli.py", "models", "--port", "0", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, cwd=folder) as process:  # type: ignore[call-overload]
        lines = iter(process.stderr.readline, "")
        address = next(found[0] for line in lines if (found := re.search(r"http://[\d.:]+", line)))
        next(line for line in lines if "loaded" in line)
        one = {"application": applications(toy_model(0), 1)[0]}
        response = httpx.post(
            f"{address}/v1/models/cards/score", json=one, headers={"x-api-key": token}
        )
        assert response.json()["decision"] in ("approve", "decline")
        assert httpx.post(f"{address}/v1/models/cards/score", json=one).status_code == 401
        process.send_signal(stop)
        told, _ = process.communicate(timeout=30)
        assert (process.returncode, json.loads(told)) == (0, {"stopped": True})
    assert (folder / "decisions.db").exists()
