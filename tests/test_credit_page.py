"""The page as files: what is refused, what settings say, how texts are read, and the commands."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from credit_models import toy_model, toy_program
from test_credit_page_verify import MODEL, parts_of, signed, some_row
from typer.testing import CliRunner

from bimetal.cli.credit.page import page as page_command
from bimetal.cli.credit.page import verify as verify_command
from bimetal.errors import DataError, ExportError, MissingToolError
from bimetal.export.js.places import NODE
from bimetal.export.tools import call, command
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.page import writer
from bimetal.finance.credit.page.bundle import bundled
from bimetal.finance.credit.page.facts import facts_of
from bimetal.finance.credit.page.icons import icon_png, icon_svg
from bimetal.finance.credit.page.settings import PageSettings
from bimetal.finance.credit.page.writer import page_files, single_page, write_page
from bimetal.program import Dense, Link, Program, Readout

HERE = Path(__file__).parent
NO_CLANG = command("no-such-clang", "apt-get install clang")


def told(asked: list[list[Any]], folder: Path) -> list[Any]:
    """What functions of values.js say, in Node."""
    if NODE.find() is None:
        pytest.skip(f"needs {NODE.name}: {NODE.install}")
    source = files("bimetal.finance.credit.page") / "templates" / "values.js"
    (folder / "values.js").write_text(source.read_text())
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "asked.json").write_text(json.dumps(asked))
    call([str(NODE.find()), HERE / "credit_page_values.mjs", folder], folder)
    found: list[Any] = json.loads((folder / "told.json").read_text())
    return found


def test_numbers_are_read_as_people_write_them_and_never_guessed(tmp_path: Path) -> None:
    good = {
        "1500": 1500, " 12 000 ": 12_000, "12\u202f000,50": 12_000.5, "1'200'000.5": 1_200_000.5, "0,25": 0.25,
        ".5": 0.5, "7.": 7, "+3": 3, "-4": -4, "\u22124.5": -4.5, "1,234,567": 1_234_567, "1,234,567.8": 1_234_567.8,
        "1,234.5": 1234.5, "00012": 12,
    }  # fmt: skip
    bad = [
        "",
        "  ",
        "1,500",
        "abc",
        "1e5",
        "0x10",
        "1.2.3",
        "1,2,3",
        "12,34,567",
        "--1",
        "Infinity",
        "NaN",
        "9" * 40,
        "٣",
    ]
    asked = [["numberOf", text] for text in [*good, *bad]]
    found = told(asked, tmp_path)
    assert [f.get("value") for f in found[: len(good)]] == list(good.values())
    assert all(f["problem"] and "value" not in f for f in found[len(good) :])


def test_limits_and_bins_read_in_plain_words(tmp_path: Path) -> None:
    plain = {"least": None, "greatest": None, "unit": "", "isWhole": False}
    months = plain | {"unit": "months", "isWhole": True}
    limits = [
        (None, None, ""),
        (18, None, "at least 18"),
        (None, 5, "at most 5"),
        (1, 9000, "between 1 and 9,000"),
    ]
    asked: list[list[Any]] = [
        ["limitsText", plain | {"least": a, "greatest": b}] for a, b, _ in limits
    ]
    words = [text for *_, text in limits]

    def bin_(low: float | None, high: float | None) -> dict[str, Any]:
        return {"kind": "range", "label": "x", "low": low, "high": high}

    bins: list[tuple[Any, Any, str, str]] = [
        (plain, bin_(None, 18.5), "", "below 18.5"),
        (plain, bin_(18.5, None), "", "18.5 or more"),
        (plain, bin_(1000, 2000), "", "1,000 to below 2,000"),
        (plain, bin_(1000, 2000), "up", "1,000 or more"),
        (plain, bin_(1000, 2000), "down", "below 2,000"),
        (months, bin_(11.5, 24), "", "12 to 23 months"),
        (months, bin_(11.5, 12.5), "", "12 months"),
        (months, bin_(None, 24), "", "23 months or less"),
        (months, bin_(11.5, 24), "up", "12 months or more"),
        (plain, bin_(None, None), "", "any number"),
        (plain, {"kind": "missing", "label": "missing"}, "", "unknown"),
        (plain, {"kind": "category", "label": "own"}, "", "own"),
    ]
    asked += [["shownBin", facts, b, way] for facts, b, way, _ in bins]
    words += [text for *_, text in bins]
    assert told(asked, tmp_path) == words


def test_limits_are_compared_in_float32_as_the_model_does(tmp_path: Path) -> None:
    model = toy_model(0, limits={"age": (0.1, 70.3)})
    age = facts_of(model, PageSettings())["columns"][1]
    texts = ["0.1", "0.09999", "70.3", "70.30001", "70.3000001"]
    found = told([["readField", age, {"text": text, "choice": ""}] for text in texts], tmp_path)
    rows = np.zeros((len(texts), 6), np.float32)
    rows[:, 1] = [float(text) for text in texts]
    refused = {problem.row for problem in model.check(rows) if problem.column == "age"}
    assert [i for i, f in enumerate(found) if "problem" in f] == sorted(refused)


def test_a_page_has_all_its_files_and_the_worker_knows_their_hashes(tmp_path: Path) -> None:
    import hashlib

    written = write_page(MODEL, tmp_path / "new", engine="js")
    names = {path.name for path in written}
    assert {
        "index.html",
        "sw.js",
        "manifest.webmanifest",
        "scorer.js",
        "icon-192.png",
        "headers.json",
    } <= names
    worker = (tmp_path / "new" / "sw.js").read_text()
    for path in written:
        if path.name not in ("sw.js", "headers.json"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() in worker
    assert MODEL.file_hash in worker and MODEL.id in (tmp_path / "new" / "scorer.js").read_text()
    manifest = json.loads((tmp_path / "new" / "manifest.webmanifest").read_text())
    assert manifest["display"] == "standalone"
    assert all((tmp_path / "new" / icon["src"]).exists() for icon in manifest["icons"])


def test_the_same_model_gives_the_same_bytes() -> None:
    assert page_files(MODEL, engine="js") == page_files(toy_model(0), engine="js")
    assert single_page(MODEL, engine="js") == single_page(toy_model(0), engine="js")


def test_every_inline_script_and_style_of_one_file_is_under_its_policy() -> None:
    import base64
    import hashlib
    import html

    text = single_page(MODEL, engine="js").decode()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])  # type: ignore[index]
    parts = re.findall(r'<script type="(?:text/javascript|module)">(.*?)</script>', text, re.DOTALL)
    parts += re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert len(parts) == 3 and "unsafe" not in policy and "'self'" not in policy
    for part in parts:
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "src=" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_only_the_address_for_results_may_be_connected_to() -> None:
    def connections(**settings: Any) -> str:
        headers = json.loads(page_files(MODEL, PageSettings(**settings), "js")["headers.json"])
        return re.search(r"connect-src ([^;]*);", headers["Content-Security-Policy"])[1]  # type: ignore[index]

    assert connections() == "'self'" == connections(verify_url="/v1/models/toy/verify")
    assert (
        connections(verify_url="https://bank.example:8443/verify")
        == "'self' https://bank.example:8443"
    )
    text = single_page(MODEL, PageSettings(verify_url="https://bank.example/verify"), "js").decode()
    assert "connect-src https://bank.example;" in text
    assert "connect-src &#x27;none&#x27;;" in single_page(MODEL, engine="js").decode()
    with pytest.raises(DataError, match="https address"):
        single_page(MODEL, PageSettings(verify_url="/verify"), "js")


@pytest.mark.parametrize(
    "url", ["http://bank.example/verify", "javascript:alert(1)", "//evil.example/x", "https://a b/", "verify",
            "https://bank.example/verify; script-src *", "https://bank.example/v?x=1", "/a'b", "/a\nb", "https://user@bank.example/"],
)  # fmt: skip
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(DataError, match="verify_url"):
        PageSettings(verify_url=url)


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    wrong: list[tuple[Any, str]] = [
        ({"title": 1}, "title"), ({"labels": []}, "labels"), ({"labels": {"age": 1}}, "labels of 'age'"),
        ({"categories": {"housing": {"own": 1}}}, "categories of 'housing'"), ({"colour": "red"}, "settings of a page"),
        ({"whole": "age"}, "whole"), ({"sections": {"You": "age"}}, "section"), ({"needs_key": "no"}, "needs_key"),
    ]  # fmt: skip
    for given, words in wrong:
        (tmp_path / "page.json").write_text(json.dumps(given))
        with pytest.raises(DataError, match=re.escape(words)):
            PageSettings.read(tmp_path / "page.json")
    (tmp_path / "page.json").write_text("no JSON")
    with pytest.raises(DataError):
        PageSettings.read(tmp_path / "page.json")
    for settings in (
        PageSettings(labels={"wage": "Wage"}),
        PageSettings(sections={"a": ("age",), "b": ("age",)}),
        PageSettings(example={"wage": 1}),
    ):
        with pytest.raises(DataError, match=r"wage|age"):
            page_files(MODEL, settings, "js")


def test_settings_from_a_file_are_those_of_the_class(tmp_path: Path) -> None:
    given = {
        "title": "Car loan",
        "whole": ["age"],
        "sections": {"You": ["age", "housing"]},
        "example": {"age": 30},
    }
    (tmp_path / "page.json").write_text(json.dumps(given))
    same = PageSettings(
        title="Car loan", whole=("age",), sections={"You": ("age", "housing")}, example={"age": 30}
    )
    assert PageSettings.read(tmp_path / "page.json") == same
    facts = facts_of(MODEL, same)
    assert [section["title"] for section in facts["sections"]] == ["You", ""]
    assert sorted(j for section in facts["sections"] for j in section["columns"]) == list(range(6))


def with_dense() -> Any:
    """The toy with one dense layer beside its rules."""
    program = toy_program(0)
    encode, rules, readout, link = program.ops
    assert isinstance(readout, Readout) and isinstance(link, Link)
    n = len(encode.column)  # type: ignore[union-attr]
    dense = Dense(1, n, np.zeros((1, -(-n // 8)), np.uint8), np.array([n // 2], np.int32))
    weights = np.c_[readout.weights, [[100]]].astype(np.int32)
    ops = (encode, rules, dense, Readout((1, 2, 3), weights, readout.bias),
           Link(4, link.kind, link.scale, link.offset, link.knots, link.values))  # fmt: skip
    return CreditModel(Program(program.columns, ops, program.classes), MODEL.policy)


def test_a_model_that_the_page_cannot_explain_is_refused() -> None:
    with pytest.raises(ExportError, match="dense layers"):
        page_files(with_dense(), engine="js")
    with pytest.raises(DataError, match="no references"):
        page_files(toy_model(0, references=()), engine="js")


def test_without_clang_the_page_is_javascript_and_webassembly_is_refused(monkeypatch: Any) -> None:
    assert writer.uses_wasm("js") is False
    with pytest.raises(DataError, match="engine must be one of"):
        writer.uses_wasm("rust")
    monkeypatch.setattr(writer, "CLANG", NO_CLANG)
    assert writer.uses_wasm("auto") is False
    monkeypatch.setattr("bimetal.export.wasm.build.CLANG", NO_CLANG)
    with pytest.raises(MissingToolError, match="no-such-clang"):
        page_files(MODEL, engine="wasm")


def test_modules_that_cannot_be_one_file_are_refused() -> None:
    with pytest.raises(ExportError, match="does not come before"):
        bundled({"b.js": 'import { two } from "./a.js";', "a.js": "export const two = 2;"})
    for text in ("export default 2;", 'import * as a from "./a.js";', "const x = '</script>';"):
        with pytest.raises(ExportError, match="one file cannot have"):
            bundled({"a.js": text})


def test_the_icon_is_a_picture_of_its_size() -> None:
    assert int.from_bytes(icon_png(180)[16:20], "big") == 180
    assert icon_png(192, is_round=True) != icon_png(192)
    assert icon_svg().startswith("<svg") and "script" not in icon_svg()


@pytest.fixture
def cli() -> Any:
    app = typer.Typer()
    app.command("page")(page_command)
    app.command("verify")(verify_command)
    return lambda *words: CliRunner().invoke(app, [*map(str, words), "--json"])


def test_the_command_writes_a_folder_or_one_file(cli: Any, tmp_path: Path) -> None:
    MODEL.save(tmp_path / "toy.bimetal")
    (tmp_path / "page.json").write_text('{"title": "Car loan"}')
    words = (tmp_path / "toy.bimetal", "--engine", "js", "--settings", tmp_path / "page.json")
    done = cli("page", *words, "-o", tmp_path / "page", "--verify-url", "/v1/models/toy/verify")
    told_ = json.loads(done.stdout)
    assert done.exit_code == 0 and told_["engine"] == "js" and told_["file_hash"] == MODEL.file_hash
    index = (tmp_path / "page" / "index.html").read_text()
    assert "<title>Car loan</title>" in index and "/v1/models/toy/verify" in index
    assert cli("page", *words, "-o", tmp_path / "one.html", "--single-file").exit_code == 0
    assert "data-single" in (tmp_path / "one.html").read_text()
    assert cli("page", *words, "-o", tmp_path / "none" / "one.html", "--single-file").exit_code == 2


def test_the_command_verifies_a_result_or_says_what_is_wrong(cli: Any, tmp_path: Path) -> None:
    MODEL.save(tmp_path / "toy.bimetal")
    from datetime import UTC, datetime

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    payload = signed(parts_of(MODEL, some_row(), time=now))
    (tmp_path / "result.json").write_text(json.dumps(payload))
    done = cli("verify", tmp_path / "toy.bimetal", tmp_path / "result.json")
    told_ = json.loads(done.stdout)
    assert (
        done.exit_code == 0
        and told_["points"] == payload["points"]
        and not told_["is_known_device"]
    )
    key = told_["device_key_thumbprint"]
    known = cli("verify", tmp_path / "toy.bimetal", tmp_path / "result.json", "--known-key", key)
    assert json.loads(known.stdout)["is_known_device"]
    (tmp_path / "result.json").write_text(json.dumps(payload | {"points": payload["points"] + 1}))
    wrong = cli("verify", tmp_path / "toy.bimetal", tmp_path / "result.json")
    assert wrong.exit_code == 2 and json.loads(wrong.stdout)["error"]["type"] == "ResultError"
    (tmp_path / "result.json").write_bytes(b" " * 2**21)
    assert cli("verify", tmp_path / "toy.bimetal", tmp_path / "result.json").exit_code == 2
