"""The command line: what it writes equals what the Engine says, and its errors fit on a line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

import bimetal
from bimetal import reference
from bimetal.cli import demo as demo_module
from bimetal.cli import score as score_module
from bimetal.cli.app import COMMANDS, app, run
from bimetal.cli.options import names_of, special_codes_of
from bimetal.cli.score import score_file
from bimetal.cli.splits import at_random, in_time_order
from bimetal.datasets import loading
from bimetal.errors import BimetalError, DataError
from bimetal.tables import open_sink, open_source, read_table

GOLDEN = Path(__file__).parent / "golden" / "tiny.bimetal"
HOSTILE = '<script>alert("x")</script>'
FAST = ["--n-members", "1", "--max-rules", "30", "--max-epochs", "2"]


def loans(n: int = 200, seed: int = 0) -> pa.Table:
    """Rows that the golden model reads, and an id to keep."""
    rng = np.random.default_rng(seed)
    age = np.where(rng.random(n) < 0.1, np.nan, rng.integers(18, 90, n))
    housing = pa.array(rng.choice(["own", "rent", "boat"], n).tolist(), pa.string())
    return pa.table(
        {
            "id": [f"{i:05d}" for i in range(n)],
            "age": pa.array(age, from_pandas=True),
            "income": rng.choice([-9.0, 1500.0, 2500.0], n),
            "housing": housing,
        }
    )


def write_table(table: pa.Table, path: Path) -> Path:
    match path.suffix:
        case ".csv":
            pyarrow.csv.write_csv(table, path)
        case ".parquet":
            pyarrow.parquet.write_table(table, path, row_group_size=37)
        case _:
            pyarrow.feather.write_feather(table, path, chunksize=41)
    return path


@pytest.fixture(autouse=True)
def away(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Reports go to runs/ of the folder one is in: let that be no folder of ours."""
    monkeypatch.chdir(tmp_path_factory.mktemp("away"))


@pytest.fixture
def engine() -> bimetal.Engine:
    return bimetal.Engine(bimetal.load(GOLDEN))


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def answer(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Return the JSON that a command says."""
    done = cli(*arguments, "--json")
    assert done.exit_code == code, done.output
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.mark.parametrize("source", [".csv", ".parquet", ".feather", ".arrow"])
@pytest.mark.parametrize("target", [".csv", ".parquet", ".feather"])
def test_scores_of_a_file_equal_those_of_the_engine(
    engine: bimetal.Engine, tmp_path: Path, source: str, target: str
) -> None:
    table = loans()
    data, out = write_table(table, tmp_path / f"in{source}"), tmp_path / f"out{target}"
    values = answer("score", GOLDEN, data, "--out", out, "--keep", "id")
    got = read_table(out)
    assert values["n_rows"] == len(got) == len(table)
    assert (
        got.column_names
        == values["columns"]
        == ["id", "probability_good", "probability_bad", "prediction"]
    )
    probabilities = np.column_stack(
        [got.column(f"probability_{c}").to_numpy() for c in ("good", "bad")]
    )
    np.testing.assert_array_equal(probabilities.astype(np.float32), engine.predict_proba(table))
    assert got.column("prediction").to_pylist() == engine.predict(table).tolist()
    if target != ".csv":
        assert got.column("id").to_pylist() == table.column("id").to_pylist()
        assert got.schema.metadata[b"bimetal.model_id"].decode() == engine.program.id
        assert got.schema.field("probability_bad").type == pa.float32()


def test_kept_text_of_a_csv_file_is_copied_as_it_stands(
    engine: bimetal.Engine, tmp_path: Path
) -> None:
    data, out = write_table(loans(20), tmp_path / "in.csv"), tmp_path / "out.csv"
    answer("score", GOLDEN, data, "--out", out, "--keep", "id")
    assert '"00003"' in out.read_text()


def test_rows_pass_in_batches_and_come_out_in_order(engine: bimetal.Engine, tmp_path: Path) -> None:
    table = loans(500)
    data, out = write_table(table, tmp_path / "in.parquet"), tmp_path / "out.parquet"
    steps = list(score_file(engine, data, out, ["id"], batch_rows=64))
    assert steps[0] == 0 and steps[-1] == 500 and len(steps) > 7
    assert read_table(out).column("id").to_pylist() == table.column("id").to_pylist()


def test_a_table_without_rows_gives_scores_without_rows(tmp_path: Path) -> None:
    data = write_table(loans(0), tmp_path / "in.parquet")
    assert answer("score", GOLDEN, data, "--out", tmp_path / "out.parquet")["n_rows"] == 0
    assert len(read_table(tmp_path / "out.parquet")) == 0


def test_csv_is_cut_by_semicolons_and_words_may_mean_missing(
    engine: bimetal.Engine, tmp_path: Path
) -> None:
    data = tmp_path / "in.csv"
    data.write_text('age;income;housing\n40;1500;own\nNA;"2500";"rent"\n')
    answer("score", GOLDEN, data, "--out", tmp_path / "out.parquet", "--missing", "NA")
    rows = np.array([[40, 1500, "own"], [None, 2500, "rent"]], dtype=object)
    got = read_table(tmp_path / "out.parquet").column("probability_bad").to_numpy()
    np.testing.assert_array_equal(got, engine.predict_proba(rows)[:, 1])


def test_booleans_of_a_csv_file_are_numbers_where_the_model_wants_numbers(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("flag\ntrue\nfalse\n\n")
    with open_source(tmp_path / "in.csv", [bimetal.Column("flag")]) as source:
        assert next(source.batches).column("flag").to_pylist()[:2] == [True, False]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Stumbling:
    """An engine that fails in its second batch."""

    def __init__(self, engine: bimetal.Engine, error: type[BaseException]) -> None:
        self.engine, self.error, self.n_calls = engine, error, 0
        self.program, self.n_outputs = engine.program, engine.n_outputs

    def predict_proba(self, X: Any) -> Any:
        self.n_calls += 1
        if self.n_calls == 2:
            raise self.error("in the second batch")
        return self.engine.predict_proba(X)


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError, OSError, SystemExit])
def test_a_score_that_fails_leaves_nothing_and_spoils_nothing(
    engine: bimetal.Engine, tmp_path: Path, error: type[BaseException]
) -> None:
    data, out = write_table(loans(), tmp_path / "in.parquet"), tmp_path / "out.parquet"
    out.write_bytes(b"yesterday")
    stumbling: Any = Stumbling(engine, error)
    with pytest.raises(error):
        list(score_file(stumbling, data, out, batch_rows=50))
    assert files_in(tmp_path) == ["in.parquet", "out.parquet"]
    assert out.read_bytes() == b"yesterday"


def test_ctrl_c_ends_with_130_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*args: Any) -> Iterator[int]:
        yield 0
        raise KeyboardInterrupt

    monkeypatch.setattr(score_module, "score_file", interrupted)
    data = write_table(loans(), tmp_path / "in.parquet")
    done = cli("score", GOLDEN, data, "--out", tmp_path / "out.parquet")
    assert done.exit_code == 130
    assert files_in(tmp_path) == ["in.parquet"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes to hold a process still")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_process_leaves_nothing(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    """Held still in the middle by a slow engine, the process is told to stop."""
    data = write_table(loans(), tmp_path / "in.parquet")
    script = (
        "import sys, time\nfrom bimetal.cli import main\nfrom bimetal.runtime import Engine\n"
        "def slow(self, X):\n    sys.stderr.write('here\\n'); sys.stderr.flush(); time.sleep(60)\n"
        "Engine.predict_proba = slow\n"
        f"main(['score', {str(GOLDEN)!r}, {str(data)!r}, '--out', {str(tmp_path / 'out.parquet')!r}])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while "here" not in process.stderr.readline():
            assert process.poll() is None, "ended before it began"
        process.send_signal(sent)
        process.communicate(timeout=60)
    assert process.returncode == code
    assert files_in(tmp_path) == ["in.parquet"]


def bad_scores(tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    """Every way that scoring is refused: arguments, and a word of the complaint."""
    good = write_table(loans(30), tmp_path / "good.parquet")
    out = tmp_path / "out.parquet"

    def changed(name: str, change: Callable[[pa.Table], pa.Table]) -> Path:
        return write_table(change(loans(30)), tmp_path / name)

    def text(name: str, content: str) -> Path:
        (tmp_path / name).write_text(content)
        return tmp_path / name

    ages = pa.array([None] * 29 + [np.inf], pa.float64())
    renamed = changed(
        "renamed.parquet", lambda t: t.rename_columns(["id", "agee", "income", "housing"])
    )
    texts = changed("texts.parquet", lambda t: t.set_column(1, "age", pa.array(["x"] * 30)))
    dates = changed(
        "dates.parquet", lambda t: t.set_column(1, "age", pa.array([0] * 30, pa.date32()))
    )
    infinite = changed("infinite.parquet", lambda t: t.set_column(1, "age", ages))
    gap = changed(
        "gap.parquet", lambda t: t.set_column(2, "income", pa.array([None] * 30, pa.float64()))
    )
    clash = changed("clash.parquet", lambda t: t.append_column("prediction", pa.array(range(30))))
    word = text("word.csv", "age,income,housing\nforty,1,own\n")
    return {
        "missing column": ([GOLDEN, renamed, "--out", out], "did you mean 'agee'"),
        "text for numbers": ([GOLDEN, texts, "--out", out], "'age' must hold numbers"),
        "dates": ([GOLDEN, dates, "--out", out], "dates"),
        "word in csv": ([GOLDEN, word, "--out", out], "'age' must hold numbers, got 'forty'"),
        "infinity": ([GOLDEN, infinite, "--out", out], "infinity"),
        "unknown gap": ([GOLDEN, gap, "--out", out], "no missing value in training"),
        "ragged csv": ([GOLDEN, text("ragged.csv", "age,income,housing\n1,2\n"), "--out", out], "columns"),
        "empty csv": ([GOLDEN, text("empty.csv", ""), "--out", out], "first line"),
        "doubled": ([GOLDEN, text("two.csv", "age,age,income,housing\n1,2,3,own\n"), "--out", out], "of its own"),
        "no parquet": ([GOLDEN, text("fake.parquet", "no"), "--out", out], "cannot be read as a table"),
        "no arrow": ([GOLDEN, text("fake.arrow", "no"), "--out", out], "cannot be read as a table"),
        "no data": ([GOLDEN, tmp_path / "absent.csv", "--out", out], "absent.csv"),
        "no model": ([tmp_path / "absent.bimetal", good, "--out", out], "No such file"),
        "model is no model": ([good, good, "--out", out], "not from bimetal"),
        "unknown kind": ([GOLDEN, text("table.xls", "x"), "--out", out], "told by the end of its name"),
        "unknown kind out": ([GOLDEN, good, "--out", tmp_path / "out.xls"], "told by the end of its name"),
        "no folder": ([GOLDEN, good, "--out", tmp_path / "no" / "out.csv"], "make it first"),
        "kept is absent": ([GOLDEN, good, "--out", out, "--keep", "customer"], "customer"),
        "kept clashes": ([GOLDEN, clash, "--out", out, "--keep", "prediction"], "rename"),
        "same file": ([GOLDEN, good, "--out", good], "a file of their own"),
        "unknown isa": ([GOLDEN, good, "--out", out, "--isa", "mmx"], "mmx"),
    }  # fmt: skip


@pytest.mark.parametrize("case", [
    "missing column", "text for numbers", "dates", "word in csv", "infinity", "unknown gap", "ragged csv",
    "empty csv", "doubled", "no parquet", "no arrow", "no data", "no model", "model is no model",
    "unknown kind", "unknown kind out", "no folder", "kept is absent", "kept clashes", "same file",
    "unknown isa",
])  # fmt: skip
def test_what_cannot_be_scored_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path, case: str
) -> None:
    cases = bad_scores(tmp_path)
    before = files_in(tmp_path)
    arguments, complaint = cases[case]
    plain = cli("score", *arguments)
    assert plain.exit_code == 2 and plain.stdout == ""
    assert complaint in plain.stderr and plain.stderr.count("\n") == 1
    error = answer("score", *arguments, code=2)["error"]
    assert complaint in error["message"] + " ".join(error["notes"]) and error["type"]
    assert files_in(tmp_path) == before


def test_inspect_shows_the_id_and_runs_the_golden_rows(engine: bimetal.Engine) -> None:
    values = answer("inspect", GOLDEN)
    assert values["id"] == engine.program.id
    assert values["cost"]["bytes"] == engine.program.cost().bytes
    assert [column["name"] for column in values["columns"]] == ["age", "income", "housing"]
    assert {test["isa"] for test in values["self_test"]} == set(bimetal.isas())
    assert "equal bit for bit" in cli("inspect", GOLDEN).stdout


def test_inspect_says_when_a_model_no_longer_answers_as_it_should(
    tmp_path: Path, engine: bimetal.Engine
) -> None:
    program = engine.program
    damaged = replace(program, golden_y=1 - reference.run(program, program.golden_x))
    bimetal.save(damaged, tmp_path / "damaged.bimetal")
    values = answer("inspect", tmp_path / "damaged.bimetal", code=2)
    assert not any(test["passed"] for test in values["self_test"])
    assert (
        cli("score", tmp_path / "damaged.bimetal", GOLDEN, "--out", tmp_path / "o.csv").exit_code
        == 2
    )


def test_bench_measures_every_instruction_set() -> None:
    values = answer("bench", GOLDEN, "--rows", "50", "--calls", "20")
    assert [result["isa"] for result in values["results"]] == list(bimetal.isas())
    assert all(result["rows_per_second"] > 0 for result in values["results"])
    assert "µs" in cli("bench", GOLDEN, "--rows", "50", "--calls", "20").stdout


def test_datasets_says_where_each_comes_from_and_where_to_put_it() -> None:
    values = answer("datasets")
    assert [row["name"] for row in values["datasets"]] == list(bimetal.datasets.names())
    assert all(row["licence"] and row["page"] and row["put_at"] for row in values["datasets"])
    assert "BIMETAL_DATA" in cli("datasets").stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
def test_every_command_explains_itself_and_speaks_json(command: Callable[..., None]) -> None:
    done = cli(command.__name__, "--help")
    assert done.exit_code == 0 and "--json" in done.stdout


def test_a_mistyped_command_is_json_too_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspekt", "--json"]) == 2
    assert "inspect" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert run(["inspekt"]) == 2


def test_the_command_line_runs_where_nothing_that_trains_can_be_imported(tmp_path: Path) -> None:
    data = write_table(loans(), tmp_path / "in.parquet")
    command = [sys.executable, "-W", "error", "-m", "bimetal.cli.without_torch", "score", str(GOLDEN),
               str(data), "--out", str(tmp_path / "out.csv"), "--json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_rows"] == 200


def test_without_typer_the_command_line_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['typer'] = None; from bimetal.cli import main; main(['inspect'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'bimetal[cli]'" in done.stderr and "Traceback" not in done.stderr


def credit(n: int = 240) -> pa.Table:
    """Rows to learn from, with a hostile column name."""
    rng = np.random.default_rng(0)
    age, job = rng.integers(18, 80, n), rng.choice(["a", "b"], n)
    bad = rng.random(n) < 1 / (1 + np.exp((age - 40) / 10 + (job == "a")))
    months = [f"2015-{1 + i * 12 // n:02d}-01" for i in range(n)]
    return pa.table({"age": age, HOSTILE: job, "month": months, "bad": np.where(bad, "yes", "no")})


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment only: what is tested is not how fast this machine is."""
    from bimetal.report import study, theme

    monkeypatch.setattr(theme, "DPI", 50)
    monkeypatch.setattr(study, "N_CALLS", {"model": 50, "challenger": 5})
    monkeypatch.setattr(study, "N_BATCH", 500)
    monkeypatch.setattr(study, "N_RESAMPLES", 50)
    monkeypatch.setattr(study, "measure_batch", lambda score, n_rows: float(n_rows))


@pytest.mark.usefixtures("brief")
def test_the_demo_goes_from_a_table_to_a_page_and_says_when_the_table_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_at_hand(name: str, **options: Any) -> Any:
        raise DataError("no network here")

    tiny = {"n_members": 1, "max_rules": 30, "max_epochs": 2, "n_folds": 2}
    monkeypatch.setattr(demo_module, "QUICK", tiny)
    monkeypatch.setattr(loading, "load", nothing_at_hand)
    monkeypatch.setattr(loading, "simulate_credit", lambda: bimetal.datasets.simulate_credit(600))
    out = tmp_path / "runs" / "demo"
    done = cli("demo", "--quick", "--out", out, "--json")
    assert done.exit_code == 0, done.output
    assert "SIMULATED" in done.stderr and "without torch" in done.stderr
    values = json.loads(done.stdout)
    assert values["is_simulated"] and values["n_scores_equal"] == values["n_holdout_rows"] > 100
    assert [m["name"] for m in values["models"]][-1] == "true probability"
    assert bimetal.load(out / "model.bimetal").id == values["id"]
    assert "Simulated data" in Path(values["report"]).read_text()


def test_a_second_process_that_differs_in_one_bit_is_caught(
    tmp_path: Path, engine: bimetal.Engine
) -> None:
    class Model:
        program_ = engine.program
        predict_proba = staticmethod(engine.predict_proba)

    scores = np.array(engine.predict_proba(loans(20)))
    scores[7, 1] = np.nextafter(scores[7, 1], np.float32(2))
    table = pa.table({"probability_good": scores[:, 0], "probability_bad": scores[:, 1]})
    with pytest.raises(BimetalError, match="1 of 20 rows"):
        demo_module._compare(Model(), loans(20), write_table(table, tmp_path / "s.parquet"))


@pytest.mark.usefixtures("brief")
def test_train_saves_a_model_and_a_report_on_rows_it_has_not_seen(tmp_path: Path) -> None:
    data, out = write_table(credit(), tmp_path / "loans.csv"), tmp_path / "m.bimetal"
    values = answer(
        "train", data, "--target", "bad", "--out", out, "--time", "month", *FAST,
        "--special", "age=-9", "--report-dir", tmp_path / "report",
    )  # fmt: skip
    program = bimetal.load(out)
    assert values["id"] == program.id and program.classes == ("no", "yes")
    assert [column.name for column in program.columns] == ["age", HOSTILE]
    assert values["split"] == "time" and values["n_holdout_rows"] in range(40, 70)
    assert 0 <= values["holdout"]["auc"] <= 1
    page = Path(values["report"]).read_text()
    assert program.id in page and HOSTILE not in page
    assert dict(program.provenance)["target"] == "bad"


@pytest.mark.parametrize("target", [[0, 1], [False, True], [0, 1, 2], [0.5, 1.5]])
def test_train_reads_the_task_off_the_target(tmp_path: Path, target: list[Any]) -> None:
    table = (
        credit(90)
        .drop_columns(["month", "bad"])
        .append_column("y", pa.array(target * (90 // len(target))))
    )
    data, out = write_table(table, tmp_path / "t.parquet"), tmp_path / "m.bimetal"
    values = answer("train", data, "--target", "y", "--out", out, "--no-report", *FAST)
    assert values["task"] == ("regression" if target[0] == 0.5 else "classification")
    assert values["n_train_rows"] == 90 and "report" not in values
    assert bimetal.load(out).classes == (() if target[0] == 0.5 else tuple(target))


def test_a_regressor_is_judged_and_scores_a_file(tmp_path: Path) -> None:
    table = credit(90).drop_columns(["month", "bad"])
    table = table.append_column("y", pa.array(np.arange(90) / 7))
    data, out = write_table(table, tmp_path / "t.parquet"), tmp_path / "m.bimetal"
    values = answer("train", data, "--target", "y", "--out", out, *FAST)
    assert set(values["holdout"]) == {"rmse", "r2"}
    answer("score", out, data, "--out", tmp_path / "s.parquet")
    assert read_table(tmp_path / "s.parquet").column_names == ["prediction"]


def test_train_warns_of_a_time_that_it_was_not_told_of(tmp_path: Path) -> None:
    data = write_table(credit(60), tmp_path / "t.csv")
    done = cli(
        "train", data, "--target", "bad", "--out", tmp_path / "m.bimetal", "--no-report", *FAST
    )
    assert "--time month" in " ".join(done.stderr.split()) and "--drop month" in " ".join(
        done.stderr.split()
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--target", "badd"], "did you mean 'bad'"),
        (["--target", "bad", "--drop", "color"], "color"),
        (["--target", "bad", "--time", "day"], "day"),
        (["--target", "bad", "--drop", f"age,month,gap,one,{HOSTILE}"], "no column is left"),
        (["--target", "bad", "--special", "age"], "age=-9"[:3]),
        (["--target", "bad", "--teacher", "me"], "auto or none"),
        (["--target", "bad", "--task", "guess"], "--task"),
        (["--target", "bad", "--task", "regression"], "numbers"),
        (["--target", "bad", "--holdout", "2"], "share"),
        (["--target", "month", "--drop", "bad"], "times"),
        (["--target", "gap"], "missing in 1 of"),
        (["--target", "one", "--drop", "month,gap"], "one class"),
        (["--target", "bad", "--time", "one"], "same"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    tmp_path: Path, options: list[str], complaint: str
) -> None:
    table = (
        credit(60)
        .append_column("gap", pa.array([None] + [1] * 59))
        .append_column("one", pa.array([1] * 60))
    )
    data = write_table(table, tmp_path / "t.csv")
    error = answer("train", data, *options, "--out", tmp_path / "m.bimetal", *FAST, code=2)["error"]
    assert complaint in error["message"]
    assert files_in(tmp_path) == ["t.csv"]


def test_ctrl_c_in_training_saves_nothing_or_the_best_so_far_and_ends_with_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_table(credit(60), tmp_path / "t.csv"), tmp_path / "m.bimetal"
    arguments = [
        "train",
        data,
        "--target",
        "bad",
        "--out",
        out,
        "--drop",
        "month",
        "--no-report",
        *FAST,
    ]
    fit = bimetal.BinaryClassifier.fit

    def interrupted_late(model: Any, *args: Any) -> Any:
        fit(model, *args)
        model.report_ = replace(model.report_, was_interrupted=True)
        return model

    def interrupted_early(model: Any, *args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(bimetal.BinaryClassifier, "fit", interrupted_early)
    assert cli(*arguments).exit_code == 130 and files_in(tmp_path) == ["t.csv"]
    monkeypatch.setattr(bimetal.BinaryClassifier, "fit", interrupted_late)
    done = cli(*arguments)
    assert done.exit_code == 130 and "best so far" in " ".join(done.stdout.split())
    assert bimetal.load(out)


def test_a_table_with_gaps_in_the_target_or_none_at_all_and_a_folder_that_is_not_there_are_refused(
    tmp_path: Path,
) -> None:
    gaps = pa.table({"a": [1.0, 2.0], "y": [0.0, float("nan")]})
    data = write_table(gaps, tmp_path / "g.parquet")
    assert "missing in 1 of 2" in answer("train", data, "--target", "y", code=2)["error"]["message"]
    data = write_table(credit(60).slice(0, 0), tmp_path / "t.parquet")
    assert "no rows" in answer("train", data, "--target", "bad", code=2)["error"]["message"]
    away = tmp_path / "no" / "m.bimetal"
    assert (
        "no folder"
        in answer("train", data, "--target", "bad", "--out", away, code=2)["error"]["message"]
    )


def test_options_that_hold_several_things() -> None:
    assert names_of(["a, b", "c"]) == ("a", "b", "c") and names_of(None) == ()
    assert special_codes_of(["a=b=-9", "c=1,2", "c=3"]) == {"a=b": (-9.0,), "c": (1.0, 2.0, 3.0)}
    for text in ("a", "=1", "a=", "a=x"):
        with pytest.raises(BimetalError, match="--special"):
            special_codes_of([text])


def test_a_split_in_time_never_trains_on_what_comes_after() -> None:
    time = np.random.default_rng(0).integers(0, 20, 300)
    train, test = in_time_order(time, 0.2)
    assert time[train].max() < time[test].min()
    assert sorted([*train, *test]) == list(range(300))


def test_a_random_split_gives_each_class_its_share() -> None:
    y = np.r_[np.zeros(90), np.ones(10)]
    train, test = at_random(y, 0.2, 0, is_stratified=True)
    assert y[test].sum() == 2 and len(test) == 20
    assert sorted([*train, *test]) == list(range(100))


def test_a_sink_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    table = loans(5)
    with pytest.raises(ZeroDivisionError), open_sink(tmp_path / "a.parquet", table.schema) as write:
        write(table.to_batches()[0])
        raise ZeroDivisionError
    assert files_in(tmp_path) == []


def test_the_version_is_told_without_a_command() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"bimetal {bimetal.__version__}\n")
