"""``bimetal export``, ``verify``, ``size`` and ``targets``: files whole or not at all, verdicts, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from bimetal.cli.app import run
from bimetal.cli.export import options_from
from bimetal.errors import DataError
from bimetal.export import TARGETS, Verification, place_named

GOLDEN = Path(__file__).parent / "golden"
TINY, MAP = GOLDEN / "tiny.bimetal", GOLDEN / "map.bimetal"


def asked(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    code = run([*map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_export_writes_by_suffix_and_says_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = asked(capsys, "export", TINY, "-o", tmp_path / "credit.h", "-O", "core=cortex-m0")
    assert code == 0 and told["target"] == "c"
    [written] = told["files"]
    text = Path(written["file"]).read_text()
    assert told["id"] in text and len(text.encode()) == written["bytes"]


@pytest.mark.parametrize(
    "name", [name for name in TARGETS if name not in ("wasm", "library", "qonnx")]
)
def test_targets_that_need_no_compiler_write_the_golden_model(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"credit{TARGETS[name].suffix}"
    code, told = asked(capsys, "export", TINY, "-o", out)
    assert code == 0 and told["target"] == name
    assert {Path(f["file"]).name for f in told["files"]} == {p.name for p in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "credit.pdf"], "no target writes 'credit.pdf'"),
        (["-o", "credit.h", "--target", "cobol"], "no target 'cobol'"),
        (["-o", "my-credit.h"], "is no name in c"),
        (["-o", "credit.h", "-O", "core=6502"], "must be one of"),
        (["-o", "credit.h", "-O", "core"], "expects option=value"),
        (["-o", "nowhere/credit.h"], "there is no folder"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing_behind(
    words: list[str],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, told = asked(capsys, "export", TINY, *words)
    assert code == 2 and says in told["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_an_operation_that_a_target_lacks_is_named_with_those_that_have_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = asked(capsys, "export", MAP, "-o", tmp_path / "net.sql")
    assert code == 2
    assert "cannot express operation 0, a Quantize; these can: c, " in told["error"]["message"]


def test_verify_says_that_all_rows_agree(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = asked(capsys, "verify", TINY, "--on", "sqlite", "--vectors", 60)
    assert code == 0 and told["is_exact"] and told["n_rows"] == 60
    assert told["n_points_differ"] == 0
    assert run(["verify", str(TINY), "--on", "sqlite", "--vectors", "60"]) == 0
    assert "equal, bit for bit" in capsys.readouterr().out


def test_verify_ends_with_1_where_rows_differ(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, place = place_named("sqlite")
    found = Verification(target.name, place.name, "id", 60, 1, 0)
    monkeypatch.setattr("bimetal.export.verify", lambda *_, **__: found)
    assert run(["verify", str(TINY), "--on", "sqlite"]) == 1
    assert "NOT EQUAL" in capsys.readouterr().out


def test_a_place_nobody_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = asked(capsys, "verify", TINY, "--on", "qemu:6502")
    assert code == 2 and "no place 'qemu:6502'; there are host:gcc" in told["error"]["message"]


def test_size_tells_flash_stack_and_instructions(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = asked(capsys, "size", TINY, "--target", "cortex-m0")
    assert code == 0
    assert told["flash"] == told["constants"] + told["code"] and told["instructions"] > 0
    assert run(["size", str(TINY), "--target", "cortex-m0", "--optimize", "-O3"]) == 0
    assert "instructions a row" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--target", "6502"], "must be one of"),
        (["--target", "s390x"], "no costs of core 's390x' are known; of these they are: cortex-m0"),
        (["--target", "cortex-m0", "--optimize", "-O9"], "optimize must be one of -O3, -Os"),
    ],
)
def test_size_refuses_what_it_does_not_know(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = asked(capsys, "size", TINY, *words)
    assert code == 2 and says in told["error"]["message"]


def test_targets_lists_places_and_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = asked(capsys, "targets")
    assert code == 0
    assert [target["name"] for target in told["targets"]] == list(TARGETS)
    for target in told["targets"]:
        assert target["places"] and target["operations"]
        for place in target["places"]:
            assert all(place["missing"].values())
    assert run(["targets"]) == 0
    assert "needs" in (shown := capsys.readouterr().out) or "ready" in shown


def test_options_are_given_as_name_and_value() -> None:
    assert options_from(None) == {}
    assert options_from(["table=a=b"]) == {"table": "a=b"}
    with pytest.raises(DataError, match="is given twice"):
        options_from(["a=1", "a=2"])
    with pytest.raises(DataError, match="expects option=value"):
        options_from(["=1"])
