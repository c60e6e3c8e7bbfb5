"""`bimetal score` with credit models, and on a cluster: the same file, and errors that fit on a line."""

import filecmp
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from credit_models import toy_model, toy_table
from typer.testing import CliRunner

from bimetal.cli.app import app
from bimetal.runtime import isas
from bimetal.tables import read_table

GOLDEN = Path(__file__).parent / "golden" / "tiny.bimetal"


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A credit model, and a table of applications for it."""
    model = toy_model(0)
    model.save(tmp_path / "model.bimetal")
    table = pa.table(toy_table(model.program, 400, 1)).append_column("id", pa.array(range(400)))
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=70)
    return tmp_path / "model.bimetal", tmp_path / "in.parquet"


@pytest.mark.parametrize("isa", isas())
def test_a_credit_model_decides_and_its_summary_counts(
    files: tuple[Path, Path], tmp_path: Path, isa: str
) -> None:
    out = tmp_path / "out.parquet"
    done = cli("score", *files, "--out", out, "--keep", "id", "--isa", isa, "--json")
    assert done.exit_code == 0, done.output
    values, got, model = json.loads(done.stdout), read_table(out), toy_model(0)
    assert values["columns"] == got.column_names == [
        "id", "probability_good", "probability_bad", "prediction", "points", "score", "decision",
        "problem"]  # fmt: skip
    decisions = got.column("decision").to_pylist()
    assert values["n_refused"] == decisions.count("refused") > 0 and values["n_warned"] > 0
    assert (values["isa"], values["engine"], values["policy_id"]) == (isa, "local", model.policy_id)
    assert {got.schema.field(n).type for n in ("points", "score", "decision")} == {
        pa.int64(), pa.float64(), pa.string()}  # fmt: skip


def test_reasons_are_written_when_asked_for(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = cli("score", *files, "--out", out, "--reasons")
    assert done.exit_code == 0 and "refused" in done.stdout and "400 rows" in done.stdout
    got = read_table(out)
    assert got.column_names[6:14] == [f"reason_{k}" for k in range(1, 5)] + [
        f"reason_{k}_points" for k in range(1, 5)
    ]
    assert {code[0] for code in got.column("reason_1").to_pylist() if code} == {"R"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--engine", "spark"], "one of local, ray"),
        (["--workers", "2"], "for the engine 'ray'"),
        (["--address", "auto"], "for the engine 'ray'"),
        (["--engine", "ray", "--workers", "0"], "at least one worker"),
        (["--keep", "decision"], "not among"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(
    files: tuple[Path, Path], tmp_path: Path, options: list[str], complaint: str
) -> None:
    done = cli("score", *files, "--out", tmp_path / "out.parquet", *options)
    assert done.exit_code == 2 and complaint in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.parquet").exists()


def test_a_plain_model_has_no_reasons(files: tuple[Path, Path], tmp_path: Path) -> None:
    done = cli("score", GOLDEN, files[1], "--out", tmp_path / "out.parquet", "--reasons")
    assert done.exit_code == 2 and "reasons need a credit model" in done.stderr


def run_cli(*arguments: object, module: str = "bimetal.cli.without_torch") -> dict[str, Any]:
    command = [sys.executable, "-m", module, *map(str, arguments), "--json"]
    quiet = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def test_credit_models_score_where_nothing_that_trains_can_be_imported(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    values = run_cli("score", *files, "--out", tmp_path / "out.parquet", "--reasons")
    assert values["n_rows"] == 400 and "reason_1" in values["columns"]


@pytest.mark.slow
def test_a_cluster_that_the_command_starts_writes_the_same_file(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'bimetal[scale]'")
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    local = run_cli("score", *files, "--out", here, "--reasons", "--keep", "id")
    ray = run_cli(
        "score", *files, "--out", there, "--reasons", "--keep", "id", "--engine", "ray",
        "--workers", "2",
    )  # fmt: skip
    assert filecmp.cmp(here, there, shallow=False)
    assert ray | {"engine": "local", "out": str(here)} == local


@pytest.mark.slow
def test_a_cluster_that_runs_already_is_joined_and_left_running(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'bimetal[scale]'")
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    run_cli("score", *files, "--out", here)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        address = ray.get_runtime_context().gcs_address
        run_cli("score", *files, "--out", there, "--engine", "ray", "--address", address)
        assert ray.cluster_resources()["CPU"] == 2
    finally:
        ray.shutdown()
    assert filecmp.cmp(here, there, shallow=False)
