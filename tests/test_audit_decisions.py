"""Any decision of the log comes out again, bit for bit, from archive and row; what does not is listed."""

import csv
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from credit_models import toy_model, toy_program, toy_rows
from decision_logs import Clock

from bimetal.errors import DataError
from bimetal.finance.credit.model import CreditModel
from bimetal.format import dumps
from bimetal.program import Encode, Link, Program, Readout
from bimetal.runtime import Engine
from bimetal.service.audit import Replayed, Witness, models_in, replay
from bimetal.service.log import ChainedLog, Record, open_log
from bimetal.service.log.export import decoded, export

N = 40
DATA = [toy_model(seed).dumps() for seed in (0, 1)]


def records(data: bytes, n: int, start: int = 0, **given: Any) -> list[Record]:
    """What a service would write down of `n` applicants."""
    model = CreditModel.loads(data)
    rows = toy_rows(model.program, n, seed=start)
    found, reasons = model.assess(rows), model.reasons(rows)
    return [
        Record(
            f"r-{start + i}", "toy", model.id, model.policy_id, model.file_hash, "champion",
            row.astype("<f4").tobytes(), int(found.points[i]), float(found.probability[i]),
            str(found.decision[i]), tuple(reasons[i]), **given,
        )
        for i, row in enumerate(rows)
    ]  # fmt: skip


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ChainedLog]:
    log = open_log(str(tmp_path / "decisions.db"), clock=Clock())
    for k, data in enumerate(DATA):
        log.archive_model(hash_of(data), data)
        log.write(records(data, N, start=N * k))
    yield log
    log.close()


def all_of(log: ChainedLog) -> Replayed:
    return replay(log, log.entries())


def test_every_decision_comes_out_again_from_the_log_alone(log: ChainedLog) -> None:
    seen: list[int] = []
    found = replay(log, log.entries(), progress=seen.append)
    assert (found.n_decisions, found.n_same, found.differences) == (2 * N, 2 * N, ())
    decisions = [entry.record.decision for entry in log.entries()]  # type: ignore[union-attr]
    assert {"approve", "decline"} <= set(decisions) and seen[-1] == 2 * N
    assert any(entry.record.reasons for entry in log.entries())  # type: ignore[union-attr]


LIES: dict[str, Any] = {
    "points": lambda r: replace(r, points=r.points + 1),
    "probability": lambda r: replace(
        r, probability=float(np.nextafter(np.float32(r.probability), np.float32(1)))
    ),
    "decision": lambda r: replace(r, decision="refer"),
    "model_id": lambda r: replace(r, model_id="0" * 64),
    "policy_id": lambda r: replace(r, policy_id=None),
    "reasons": lambda r: replace(
        r, reasons=(replace(r.reasons[0], points=math.nextafter(r.reasons[0].points, 0)),
                    *r.reasons[1:]),
    ),
    "row": lambda r: replace(r, row=r.row + r.row),
}  # fmt: skip


@pytest.mark.parametrize("what", LIES)
def test_a_record_that_is_not_what_the_model_says_is_listed(log: ChainedLog, what: str) -> None:
    declined = next(r for r in records(DATA[0], N, start=1000) if r.decision == "decline")
    (entry,) = log.write([LIES[what](declined)])
    found = all_of(log)
    assert found.n_same == 2 * N and found.n_decisions == 2 * N + 1
    assert {(d.sequence, d.what) for d in found.differences} == {(entry.sequence, what)}
    both = {d.by for d in found.differences}
    assert both == (
        {"oracle", "engine"} if what in ("points", "probability", "decision") else {"model"}
    )


def test_an_engine_that_errs_is_told_from_an_oracle_that_agrees(
    log: ChainedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = CreditModel.assess

    def off(self: CreditModel, rows: Any) -> Any:
        found = real(self, rows)
        return replace(found, points=found.points + 1)

    monkeypatch.setattr(CreditModel, "assess", off)
    found = replay(log, log.entries(1, 4))
    assert [(d.what, d.by) for d in found.differences] == [("points", "engine")] * 3


def test_a_row_that_was_changed_by_one_bit_gives_another_answer_or_the_same_cell(
    log: ChainedLog,
) -> None:
    model = CreditModel.loads(DATA[0])
    (first,) = records(DATA[0], 1, start=2000)
    other = toy_rows(model.program, 200, seed=9)
    row = next(row for row in other if model.points(row[None])[0] != first.points)
    log.write([replace(first, row=row.tobytes())])
    assert {"points", "probability"} <= {d.what for d in all_of(log).differences}


def test_an_erased_decision_says_so_and_is_no_difference(log: ChainedLog) -> None:
    log.erase("r-3", "retention ended")
    found = all_of(log)
    assert (found.n_decisions, found.n_erased, found.n_same) == (2 * N, 1, 2 * N - 1)
    assert found.differences == ()


def test_reasons_that_were_not_recorded_are_counted_and_not_compared(log: ChainedLog) -> None:
    declined = next(r for r in records(DATA[0], N, start=1000) if r.decision == "decline")
    log.write([replace(declined, reasons=())])
    found = all_of(log)
    assert found.n_unexplained == 1 and found.differences == () and found.n_same == 2 * N + 1


def test_a_model_without_references_gives_no_reasons(tmp_path: Path) -> None:
    data = toy_model(2, references=()).dumps()
    model = CreditModel.loads(data)
    rows = toy_rows(model.program, 5)
    assert Witness(data).reasons(rows) == [()] * 5


def three_classes() -> Program:
    program = toy_program(5)
    rng, encode = np.random.default_rng(0), program.ops[0]
    assert isinstance(encode, Encode)
    weights = rng.integers(-9, 9, (3, len(encode.column))).astype(np.int16)
    readout = Readout((1,), weights, np.zeros(3, np.int32))
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    link = Link(2, "softmax", np.full(3, 0.1), np.zeros(3), *none)
    return replace(program, ops=(encode, readout, link), classes=("a", "b", "c"))


@pytest.mark.parametrize("program", [toy_program(5), three_classes()], ids=["two", "three"])
def test_a_plain_classifier_is_replayed_by_its_probability(
    tmp_path: Path, program: Program
) -> None:
    data = dumps(program)
    rows = toy_rows(program, 6)
    answers = Engine(program).run(rows)
    chosen = answers[:, 1] if len(program.classes) == 2 else answers.max(axis=1)
    log = open_log(str(tmp_path / "decisions.db"))
    log.archive_model(hash_of(data), data)
    for i, row in enumerate(rows):
        log.write([Record(f"r-{i}", "m", program.id, None, hash_of(data), "champion", row.tobytes(),
                          None, float(chosen[i]), None)])  # fmt: skip
    found = all_of(log)
    assert found.n_same == len(rows) and found.differences == ()
    log.close()


def test_a_model_that_is_in_no_archive_is_named_or_found_in_a_folder(
    log: ChainedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(file_hash: str) -> bytes:
        raise DataError(f"the log has no model with sha256 {file_hash}")

    monkeypatch.setattr(log, "model", none)
    found = all_of(log)
    assert found.n_same == 0 and {d.what for d in found.differences} == {"model"}
    folder = tmp_path / "models"
    folder.mkdir()
    for k, data in enumerate(DATA):
        (folder / f"{k}.bimetal").write_bytes(data)
    models = models_in(folder)
    assert set(models) == {hash_of(data) for data in DATA}
    assert replay(log, log.entries(), models).n_same == 2 * N
    with pytest.raises(DataError, match="no folder"):
        models_in(tmp_path / "nowhere")


# --- tables


def inputs(program: Program, row: bytes) -> dict[str, Any]:
    values = np.frombuffer(row, "<f4")
    found: dict[str, Any] = {}
    for column, value in zip(program.columns, values.tolist(), strict=True):
        if value != value:
            found[column.name] = None
        elif column.kind == "category":
            found[column.name] = "(unknown)" if value < 0 else column.categories[int(value)]
        else:
            found[column.name] = value
    return found


def test_a_row_is_decoded_to_names_and_categories() -> None:
    program = toy_program(0)
    for row in toy_rows(program, 50):
        assert decoded(program, row.tobytes()) == inputs(program, row.tobytes())
    with pytest.raises(DataError, match="a row of 6 values"):
        decoded(program, b"1234")


def test_an_export_to_parquet_holds_every_decision_with_its_inputs(
    log: ChainedLog, tmp_path: Path
) -> None:
    log.erase("r-0", "retention ended")
    out = tmp_path / "decisions.parquet"
    assert export(log, out) == 2 * N
    table = pq.read_table(out).to_pylist()
    entries = [entry for entry in log.entries() if isinstance(entry.record, Record)]
    program = CreditModel.loads(DATA[0]).program
    for row, entry in zip(table, entries, strict=True):
        record = entry.record
        assert isinstance(record, Record)
        assert (row["sequence"], row["time"], row["hash"]) == (
            entry.sequence,
            entry.time,
            entry.hash,
        )
        assert (row["points"], row["decision"]) == (record.points, record.decision)
        assert np.float32(row["probability"]).tobytes() == np.float32(record.probability).tobytes()
        assert row["is_erased"] == (record.request_id == "r-0")
        if entry.is_erased:
            assert all(row[f"input_{column.name}"] is None for column in program.columns)
        else:
            assert len(json.loads(row["reasons"])) == len(record.reasons)
            if record.file_hash == hash_of(DATA[0]):
                expected = inputs(program, record.row)
                assert {name: row[f"input_{name}"] for name in expected} == expected


def test_the_formats_of_an_export_agree(log: ChainedLog, tmp_path: Path) -> None:
    for end in ("jsonl", "csv", "parquet"):
        assert export(log, tmp_path / f"d.{end}", 3, 9) == 6
    lines = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    with (tmp_path / "d.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "d.parquet").to_pylist()
    for line, row, typed in zip(lines, rows, table, strict=True):
        assert line["sequence"] == int(row["sequence"]) == typed["sequence"]
        assert line["reasons"] == json.loads(row["reasons"]) == json.loads(typed["reasons"])
        assert line["input"]["housing"] == (row["input_housing"] or None)
        income = line["input"]["income"]
        assert income == typed["input_income"] == np.float32(row["input_income"])


def test_columns_that_models_disagree_on_become_texts(tmp_path: Path) -> None:
    other = toy_model(3, n_columns=5)
    columns = [
        replace(c, name="tenure") if c.kind == "category" else c for c in other.program.columns
    ]
    program = replace(other.program, columns=tuple(columns), provenance={})
    data = [dumps(toy_program(0, n_columns=8)), dumps(program)]
    log = open_log(str(tmp_path / "decisions.db"))
    for k, (model, given) in enumerate(
        zip(data, (toy_program(0, n_columns=8), program), strict=True)
    ):
        log.archive_model(hash_of(model), model)
        row = np.nan_to_num(toy_rows(given, 1)[0], nan=1.0)
        log.write([Record(f"r-{k}", "m", given.id, None, hash_of(model), "champion", row.tobytes(),
                          None, 0.5, None)])  # fmt: skip
    assert export(log, tmp_path / "d.parquet") == 2
    table = pq.read_table(tmp_path / "d.parquet")
    assert str(table.schema.field("input_tenure").type) == "string"
    log.close()


def test_an_export_that_fails_leaves_nothing_behind(
    log: ChainedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="parquet"):
        export(log, tmp_path / "d.xlsx")
    data = toy_model(4).dumps()
    log.archive_model(hash_of(data), data)
    (made,) = records(data, 1, start=5000)
    log.write([replace(made, row=b"1234")])
    for end in ("jsonl", "csv"):
        with pytest.raises(DataError, match="a row of"):
            export(log, tmp_path / f"d.{end}")
    assert {path.suffix for path in tmp_path.iterdir()} <= {".db", ".db-wal", ".db-shm"}


def test_a_difference_reads_as_json(log: ChainedLog) -> None:
    (made,) = records(DATA[0], 1, start=6000)
    log.write([replace(made, points=1)])
    assert json.loads(json.dumps(asdict(all_of(log))))["differences"][0]["recorded"] == 1
