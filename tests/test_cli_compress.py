"""``bimetal compress``: files whole or not at all, the page true and sufficient to itself."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nets import tumours
from typer.testing import CliRunner

from bimetal import compress as families
from bimetal.cli import compress as command
from bimetal.cli.app import app
from bimetal.compress import Latency, Result, Skipped, Study, measure
from bimetal.compress.deploy import PACKED
from bimetal.report import theme
from bimetal.report.compression import (
    compression_headline,
    compression_remarks,
    write_compression,
)

HOSTILE = '<script>alert("x")</script>'
MODEL = """
from torch import nn
def net(): return nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 2))
"""


@pytest.fixture(autouse=True, scope="module")
def hurried() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "TURN_SECONDS", 0.0)
        patch.setattr(theme, "DPI", 50)
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and data, and one is in it."""
    data = tumours()
    np.savez(tmp_path / "tumours.npz", x=data.train.x.numpy(), y=data.train.y.numpy())
    (tmp_path / "mine.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["compress", *map(str, arguments)])


def error(*arguments: object) -> str:
    done = cli(*arguments, "--json")
    assert done.exit_code == 2, done.output
    message: str = json.loads(done.stdout)["error"]["message"]
    return message


QUICK = ("mine.py:net", "--data", "tumours.npz", "--quick", "--epochs", "1")


def test_the_command_writes_a_table_a_page_and_the_models(folder: Path) -> None:
    done = cli(*QUICK, "--methods", "binary,few_bits", "--methods", "separable", "--json")
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    out = folder / "runs" / "compress"
    assert {k: v for k, v in values.items() if k not in ("out", "report")} == json.loads(
        (out / "study.json").read_text()
    )
    assert {p.name for p in (out / "models").iterdir()} == {r["file"] for r in values["results"]}
    assert values["results"][0]["name"] == "baseline float32"
    assert [s["name"] for s in values["skipped"]] == ["separable"]
    assert values["methods"] == ["few_bits", "separable", "binary"]
    page = Path(values["report"]).read_text()
    assert all(r["name"] in page for r in values["results"]) and "no convolution" in page


def test_a_person_sees_the_same_and_what_was_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    done = cli(*QUICK, "--methods", "few_bits,opposite_pairs", "--out", "here")
    assert done.exit_code == 0, done.output
    for text in ("baseline float32", "2 bit weights", "left out: opposite_pairs", "trained first"):
        assert text in done.output
    assert (folder / "here" / "plots" / "pareto_n_bytes.png").read_bytes()[:4] == b"\x89PNG"


def test_weights_of_a_file_are_the_baseline(folder: Path) -> None:
    torch.manual_seed(5)
    torch.save(families.load_model("mine.py:net").state_dict(), "weights.pt")
    done = cli(*QUICK, "--weights", "weights.pt", "--methods", "few_bits", "--json")
    (base, _) = json.loads(done.stdout)["results"]
    assert "as it came" in base["note"] and base["seconds"] == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["mine.py:absent", "--data", "tumours.npz"], "no function 'absent'"),
        (["mine.py:net", "--data", "nothing.npz"], "no file 'nothing.npz'"),
        ([*QUICK, "--methods", "prayer"], "methods are weights"),
        ([*QUICK, "--weights", "none.pt"], "no file of weights"),
        ([*QUICK, "--out", "mine.py"], "mine.py"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(
    folder: Path, arguments: list[str], why: str
) -> None:
    assert why in error(*arguments)
    assert not (folder / "runs" / "compress" / "study.json").exists()


def test_a_model_for_other_rows_is_told_so(folder: Path) -> None:
    np.savez("other.npz", x=np.zeros((100, 3)) + np.arange(100)[:, None], y=np.arange(100) % 2)
    assert "cannot read rows of shape (3,)" in error("mine.py:net", "--data", "other.npz")


@pytest.mark.parametrize("package", ["matplotlib", "jinja2", "torch"])
def test_a_missing_package_is_told_before_the_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    there = command.importlib.util.find_spec
    monkeypatch.setattr(
        command.importlib.util, "find_spec", lambda name: None if name == package else there(name)
    )
    assert f"needs the package '{package}'" in error(*QUICK)


def test_ctrl_c_writes_the_finished_rows_and_ends_with_130(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any) -> Any:
        raise KeyboardInterrupt

    stopped = families.Method("students", "distillation", interrupt)
    methods = [stopped if m.name == "students" else m for m in families.METHODS]
    monkeypatch.setattr(families.study, "METHODS", tuple(methods))
    done = cli(*QUICK, "--methods", "few_bits,students,binary", "--json")
    assert done.exit_code == 130
    values = json.loads((folder / "runs" / "compress" / "study.json").read_text())
    assert [r["name"] for r in values["results"]] == ["baseline float32", "2 bit weights"]
    assert values["was_interrupted"]
    assert "stopped before its end" in (folder / "runs/compress/compression.html").read_text()


def test_a_full_disk_leaves_no_half_a_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = folder / "runs" / "compress" / "study.json"
    old.parent.mkdir(parents=True)
    old.write_text("yesterday")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "No space" in error(*QUICK, "--methods", "few_bits")
    assert old.read_text() == "yesterday"
    assert not [p for p in old.parent.rglob("*") if p.is_file() and p != old]


# ---- the page ---------------------------------------------------------------------------------------


def invented(name: str = "r", **changes: Any) -> Result:
    latency = {"ONNX Runtime": Latency(10.0, 2.0), "PyTorch": Latency(50.0, 5.0)}
    facts = {"accuracy": 0.95, "valid_accuracy": 0.9, "n_test": 1000, "n_bytes": 10_000,
             "latency": latency, "stored": "float32", "family": "pruning"}  # fmt: skip
    return Result(name=name, note=HOSTILE, **{**facts, **changes})


def study(*results: Result, **changes: Any) -> Study:
    facts = {
        "data": HOSTILE, "n_rows": {"train": 9, "valid": 9, "test": 9}, "n_classes": 2, "batch": 128,
        "machine": "m", "sample_shape": [4], "methods": [HOSTILE], "seconds": 1.0,
        "config": {"epochs": 1, "batch_size": 2, "learning_rate": 0.1, "seed": 0},
    }  # fmt: skip
    base = invented("baseline float32", family="baseline")
    return Study((base, *results), facts=facts, **changes)


BINARY = invented(HOSTILE, family="binarization", n_bytes=500, accuracy=0.5, n_differ=0, stored=PACKED,
                  latency={"bimetal": Latency(0.5, 0.1)})  # fmt: skip


class Tags(HTMLParser):
    """All tags of a page with their attributes, and the text between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(hurried: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    skipped = (Skipped(HOSTILE, "low rank", HOSTILE),)
    written = study(BINARY, invented("small", n_bytes=9000), skipped=skipped)
    return write_compression(written, tmp_path_factory.mktemp("new") / "folder").read_text()


def test_hostile_names_are_text_and_never_tags(page: str) -> None:
    tags = Tags(page)
    assert "script" not in {tag for tag, _ in tags.found}
    assert HOSTILE not in page and tags.text.count(HOSTILE) >= 5


def test_the_page_needs_no_network_and_no_other_file(page: str) -> None:
    without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", without_pictures)
    sources = [a[key] for _, a in Tags(page).found for key in ("src", "href", "srcset") if key in a]
    assert len(sources) == 6 and all(s and s.startswith("data:image/png;base64,") for s in sources)


def test_the_headline_names_the_smallest_that_is_as_accurate() -> None:
    within, below = (
        invented("within", n_bytes=5000, accuracy=0.945),
        invented(n_bytes=9, accuracy=0.9),
    )
    assert "“within”: a file 2.0 × smaller" in compression_headline(study(within, below))
    assert "Nothing that was tried" in compression_headline(study(below))


def test_the_remarks_tell_what_the_engine_gains_and_loses() -> None:
    told = " ".join(compression_remarks(study(BINARY)))
    assert "20 × as fast as the baseline in ONNX Runtime" in told and "45.00 points less" in told
    assert "1 nets answer every test row as they do in torch" in told
    slow = invented(
        "slow", latency={"bimetal": Latency(20.0, 9.0)}, n_differ=3, accuracy=0.96, stored=PACKED
    )
    told = " ".join(compression_remarks(study(slow)))
    assert "2.0 × slower than" in told and "no less accurate" in told and "3 test rows" in told


def test_a_study_without_latencies_still_makes_a_page(tmp_path: Path) -> None:
    bare = invented("baseline float32", family="baseline", latency={})
    facts = study().facts
    write_compression(Study((bare,), facts=facts, was_interrupted=True), tmp_path)
    assert "stopped before its end" in (tmp_path / "compression.html").read_text()


def test_the_seed_is_that_of_the_initial_weights_as_well() -> None:
    import torch

    from bimetal.compress import load_model

    spec = f"{Path(__file__).with_name('nets.py')}:plain_cnn"
    first, same, other = (load_model(spec, seed=seed) for seed in (1, 1, 2))
    pairs = zip(first.parameters(), same.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) and not torch.equal(a, c) for a, b, c in pairs)
