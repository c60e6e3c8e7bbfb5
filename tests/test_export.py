"""What all targets share: names, keys, rows, options, tools, whole files, and the verdict of a run."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from golden.lut import lut_program
from golden.map import map_program
from golden.tiny import tiny_program
from hypothesis import given
from hypothesis import strategies as st
from strategies import programs

from bimetal import export as module
from bimetal import reference
from bimetal.errors import DataError, ExportError, MissingToolError
from bimetal.export import TARGETS, Job, Outcome, Place, Target, job_for, target_for
from bimetal.export.form import link_of, live, reads
from bimetal.export.keys import NAN_KEY, key_of
from bimetal.export.names import LANGUAGES, c_string, check_identifier, comment, sql_quote
from bimetal.export.rows import rows_for, whole_rows_for
from bimetal.export.target import options_of
from bimetal.export.tools import call, command, node_module, package, require
from bimetal.export.verify import hold
from bimetal.program import GE, Encode, Link, Program, Readout

TINY = tiny_program()
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


# ---- keys ----


@given(FLOATS, FLOATS)
def test_keys_order_as_floats_do(a: float, b: float) -> None:
    ka, kb = (int(k) for k in key_of([a, b]))
    x, y = np.float32(a), np.float32(b)
    assert (x == y) == (ka == kb and ka != NAN_KEY)
    if not (np.isnan(x) or np.isnan(y)):
        assert (x >= y) == (ka >= kb)


def test_a_missing_number_is_below_every_number() -> None:
    assert key_of([np.nan])[0] == NAN_KEY < key_of([-np.inf])[0]
    assert key_of([-0.0])[0] == key_of([0.0])[0] == 0


# ---- names ----


@pytest.mark.parametrize(
    "name", ["", "2nd", "credit-v2", "crédit", "a b", "_x", "a" * 64, "a;b", "a\n"]
)
@pytest.mark.parametrize("language", [*LANGUAGES, ""])
def test_a_name_that_is_no_identifier_is_refused_and_another_is_suggested(
    name: str, language: str
) -> None:
    with pytest.raises(ExportError, match=r"name it with name='[A-Za-z][A-Za-z0-9_]*'"):
        check_identifier(name, language)


@pytest.mark.parametrize(
    ("name", "language"), [("int", "c"), ("class", "java"), ("let", "js"), ("module", "verilog")]
)
def test_a_word_that_the_language_keeps_is_refused(name: str, language: str) -> None:
    with pytest.raises(ExportError, match=f"name it with name='my_{name}'"):
        check_identifier(name, language)


HOSTILE = st.text() | st.sampled_from(
    [
        "*/",
        "*\\/",
        "/*/",
        "--><script>",
        "\\",
        "\\\n",
        "??/",
        "\\u000a",
        "\\u002a/",
        "]]>",
        "</script>",
        "*" + "/" * 9,
    ]
)


@given(HOSTILE)
def test_no_text_leaves_a_comment(text: str) -> None:
    said = comment(text)
    assert said.isascii() and said.isprintable()
    for end in ("*/", "/*", "--", "</", "<!", "<s", "??", "\\u", "]]"):
        assert end not in said
    assert not said.endswith("\\")
    assert len(said) <= 100


@given(st.text())
def test_a_c_string_holds_the_text_and_nothing_ends_it(text: str) -> None:
    body = c_string(text)[1:-1]
    assert body.isascii() and body.isprintable()
    octal = body.replace('\\"', "\\042")
    parts = octal.split("\\")
    raw = parts[0].encode() + b"".join(bytes([int(p[:3], 8)]) + p[3:].encode() for p in parts[1:])
    assert raw.decode() == text


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_quoted_text_is_that_text_to_a_database(text: str) -> None:
    import sqlite3

    with sqlite3.connect(":memory:") as database:
        assert database.execute(f"select {sql_quote(text)}").fetchone()[0] == text
    database.close()


def test_sql_has_no_nul() -> None:
    with pytest.raises(ExportError, match="no way to write the character NUL"):
        sql_quote("a\0b")


# ---- rows ----


@given(programs(largest=65))
def test_rows_hit_cut_points_and_their_neighbours(program: Program) -> None:
    rows = rows_for(program, 400, seed=1)
    assert rows.shape == (400, program.n_columns) and rows.dtype == np.float32
    for op in program.ops:
        if isinstance(op, Encode) and len(op.column) < 9 and program.n_columns == 1:
            assert np.isin(op.value, rows).all()
    np.testing.assert_array_equal(rows, rows_for(program, 400, seed=1))


def test_golden_rows_come_first() -> None:
    n = len(TINY.golden_x)
    np.testing.assert_array_equal(rows_for(TINY, 10)[:n], TINY.golden_x)


def test_whole_rows_are_whole_or_missing() -> None:
    rows = whole_rows_for(TINY, 500, bits=16)
    known = rows[~np.isnan(rows)]
    assert (known == np.rint(known)).all() and (abs(known) <= 2**15 - 1).all()
    assert np.isnan(rows).any()


# ---- the parts of a Program that matter ----


@given(programs(largest=65))
def test_what_is_not_live_changes_nothing(program: Program) -> None:
    kept = live(program)
    assert kept[-1] == len(program.ops) - 1
    new = {0: 0} | {i + 1: k + 1 for k, i in enumerate(kept)}
    ops = []
    for i in kept:
        op = program.ops[i]
        if hasattr(op, "inputs"):
            op = replace(op, inputs=tuple(new[v] for v in op.inputs))
        elif hasattr(op, "input"):
            op = replace(op, input=new[op.input])
        ops.append(op)
        assert all(v in new for v in reads(program.ops[i]))
    rows = rows_for(program, 20)
    np.testing.assert_array_equal(
        reference.run(replace(program, ops=tuple(ops)), rows), reference.run(program, rows)
    )
    assert link_of(program) is program.ops[-1]


# ---- options ----


@dataclass(frozen=True)
class Some:
    core: Literal["small", "large"] = "small"
    fast: bool = False
    n: int = 8
    label: str = ""


def told(job: Job) -> dict[str, bytes]:
    return {".txt": f"{job.name} {job.options}".encode(), "_more.txt": b"more"}


def right(job: Job, files: Any, folder: Path, rows: np.ndarray) -> Outcome:
    values = reference.trace(job.program, rows)
    return Outcome(values[-2], values[-1], 12.0, {"cycles": 3})


def wrong(job: Job, files: Any, folder: Path, rows: np.ndarray) -> Outcome:
    values = reference.trace(job.program, rows)
    points = values[-2].copy()
    points[3] += 1
    return Outcome(points)


HERE = Place("here", "in Python", (), right)
TEXT = Target("text", "a text", ".txt", (Encode, Readout, Link), Some, told, (HERE,), "c")
SIMPLE = Program(
    TINY.columns,
    (
        Encode(np.array([0], "u2"), np.array([GE], "u1"), np.array([30], "f4"), np.array([], "u2"), np.array([], "f4")),
        Readout((1,), np.array([[20]], "i2"), np.array([600], "i4")),
        Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), np.array([], "f4")),
    ),
)  # fmt: skip


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TARGETS", {**TARGETS, "text": TEXT})


def test_options_are_read_from_text_and_values() -> None:
    assert options_of(TEXT, {"core": "large", "fast": "yes", "n": "-3"}) == Some("large", True, -3)
    assert options_of(TEXT, {"fast": False, "n": 4, "label": "x"}) == Some("small", False, 4, "x")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"speed": 1}, "has no option 'speed'; it has core, fast, n, label"),
        ({"core": "huge"}, "'core' of target 'text' must be one of small, large, got 'huge'"),
        ({"fast": "maybe"}, "'fast' of target 'text' must be true or false, got 'maybe'"),
        ({"n": "many"}, "'n' of target 'text' must be a whole number, got 'many'"),
        ({"n": "²"}, "must be a whole number"),
        ({"label": 3}, "must be text, got 3"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ExportError, match=says):
        options_of(TEXT, given)


# ---- files ----


@pytest.mark.usefixtures("listed")
def test_export_writes_the_main_file_and_its_companions(tmp_path: Path) -> None:
    written = module.export(SIMPLE, tmp_path / "score.txt", core="large")
    assert [path.name for path in written] == ["score.txt", "score_more.txt"]
    assert written[0].read_text().startswith("score Some(core='large'")


@pytest.mark.usefixtures("listed")
def test_a_name_of_its_own_leaves_the_files_their_stem(tmp_path: Path) -> None:
    written = module.export(SIMPLE, tmp_path / "my-score.txt", name="score")
    assert [path.name for path in written] == ["my-score.txt", "my-score_more.txt"]
    with pytest.raises(ExportError, match="'my-score' is no name in c"):
        module.export(SIMPLE, tmp_path / "my-score.txt")


@pytest.mark.usefixtures("listed")
def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "score.txt").write_text("before")
    (tmp_path / "score_more.txt").mkdir()  # the second file cannot be written
    with pytest.raises(OSError, match="regular file"):
        module.export(SIMPLE, tmp_path / "score.txt")
    assert (tmp_path / "score.txt").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["score.txt", "score_more.txt"]


@pytest.mark.usefixtures("listed")
def test_an_operation_that_cannot_be_said_is_named_with_who_can() -> None:
    with pytest.raises(
        ExportError, match=r"'text' cannot express operation 1, a Dense; these can: "
    ):
        job_for(TINY, TEXT, "x", "x", {})
    with pytest.raises(ExportError, match="operation 1, a Lut"):
        job_for(lut_program(), TEXT, "x", "x", {})
    with pytest.raises(ExportError, match="operation 0, a Quantize"):
        job_for(map_program(), TEXT, "x", "x", {})


def test_a_file_that_no_target_writes_is_refused() -> None:
    with pytest.raises(ExportError, match=r"no target writes 'x\.pdf'; the suffixes are"):
        target_for(Path("x.pdf"))
    with pytest.raises(ExportError, match="no target 'pdf'; there are"):
        target_for(Path("x.pdf"), "pdf")


def test_a_place_that_is_unknown_is_refused() -> None:
    with pytest.raises(DataError, match="no place 'moon'; there are"):
        module.verify(SIMPLE, "moon")


# ---- the verdict ----


@pytest.mark.usefixtures("listed")
def test_a_run_that_agrees_is_exact() -> None:
    found = module.verify(SIMPLE, "here", vectors=50)
    assert found.is_exact and found.n_rows == 50 and found.instructions == 12.0
    assert (found.n_points_differ, found.n_answers_differ) == (0, 0)


def test_one_wrong_row_is_found() -> None:
    place = replace(HERE, run=wrong)
    found = hold(TEXT, place, Job(SIMPLE, "x", "x", Some()), 50, 0)
    assert not found.is_exact
    assert (found.n_points_differ, found.n_answers_differ) == (1, None)


def test_rows_of_the_caller_are_used_and_checked() -> None:
    job = Job(SIMPLE, "x", "x", Some())
    assert hold(TEXT, HERE, job, 9, 0, rows=TINY.golden_x).n_rows == len(TINY.golden_x)
    with pytest.raises(DataError, match=r"rows must have shape \(n_rows, 3\), at least one, got"):
        hold(TEXT, HERE, job, 9, 0, rows=np.zeros((2, 4)))
    with pytest.raises(DataError, match="at least one vector expected, got 0"):
        hold(TEXT, HERE, job, 0, 0)


def test_a_run_that_gives_something_else_is_no_verdict() -> None:
    job = Job(SIMPLE, "x", "x", Some())
    nothing = replace(HERE, run=lambda *_: Outcome())
    with pytest.raises(ExportError, match="gave neither points nor answers"):
        hold(TEXT, nothing, job, 9, 0)
    short = replace(HERE, run=lambda *_: Outcome(np.zeros((2, 1), np.int32)))
    with pytest.raises(
        ExportError, match=r"gave int32 of shape \(2, 1\), expected int32 of shape \(9, 1\)"
    ):
        hold(TEXT, short, job, 9, 0)


def test_a_program_too_large_for_a_place_is_refused() -> None:
    tight = replace(HERE, largest=5)
    with pytest.raises(ExportError, match="here holds 5 bytes of arrays, but this Program has"):
        hold(TEXT, tight, Job(SIMPLE, "x", "x", Some()), 9, 0)


# ---- tools ----


def test_a_missing_tool_is_named_with_the_words_that_install_it() -> None:
    absent = command("no-such-compiler", "apt-get install no-such-compiler")
    place = replace(HERE, tools=(absent,))
    says = "running 'text' on here needs 'no-such-compiler'.* install it with: apt-get install"
    with pytest.raises(MissingToolError, match=says):
        hold(TEXT, place, Job(SIMPLE, "x", "x", Some()), 9, 0)
    assert place.missing() == [absent]
    with pytest.raises(MissingToolError, match="needs 'no_such_package'"):
        require([package("no_such_package", "pip install it")], "this")


def test_a_module_of_node_is_found_where_node_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = node_module("some-module", "npm install some-module")
    monkeypatch.setenv("NODE_PATH", "")
    monkeypatch.chdir(tmp_path)
    assert tool.find() is None
    folder = tmp_path / "node_modules" / "some-module"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    assert tool.find() == str(folder)


def test_a_command_that_fails_says_how_it_ended(tmp_path: Path) -> None:
    assert call([sys.executable, "-c", "print(input())"], tmp_path, stdin=b"hi") == b"hi\n"
    with pytest.raises(ExportError, match=r"ended with 3: .*broken"):
        call(
            [sys.executable, "-c", "import sys; print('broken', file=sys.stderr); sys.exit(3)"],
            tmp_path,
        )
    with pytest.raises(ExportError, match="cannot be started"):
        call([tmp_path / "nothing"], tmp_path)


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    script = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', '{tmp_path}']); time.sleep(60)"
    with pytest.raises(ExportError, match=r"took more than 0\.5 seconds"):
        call([sys.executable, "-c", script], tmp_path, timeout=0.5)
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert str(tmp_path) not in listed


def test_no_target_needs_torch_to_be_listed() -> None:
    code = "import sys, bimetal.export; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
