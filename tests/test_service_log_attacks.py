"""An edited, torn or rewritten log: each attack is found and named, or an anchor finds it."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from decision_logs import filled, record
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal.errors import BimetalError
from bimetal.service.log import ChainedLog, Entry, open_log, verifying
from bimetal.service.log.canonical import encode
from bimetal.service.log.chain import chained, committed
from bimetal.service.log.verifying import Anchor, Verdict, verify

N = 9
Base = sqlite3.Connection


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "decisions.db"
    filled(str(path), N).close()
    return path


@pytest.fixture(scope="module")
def anchors(image: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Anchor]:
    path = tmp_path_factory.mktemp("anchors") / "decisions.db"
    path.write_bytes(image.read_bytes())
    with closing(open_log(str(path))) as log:
        return [Anchor(entry.sequence, entry.hash) for entry in log.entries()]


@pytest.fixture
def path(image: Path, tmp_path: Path) -> Path:
    found = tmp_path / "decisions.db"
    found.write_bytes(image.read_bytes())
    return found


def edit(path: Path, attack: Callable[[Base], Any]) -> None:
    """Do what somebody can who may write the file: triggers off, edit, triggers on again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        query = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        triggers = base.execute(query).fetchall()
        for name, _ in triggers:
            base.execute(f"DROP TRIGGER {name}")
        attack(base)
        for _, sql in triggers:
            base.execute(sql)


def verdict(path: Path, *anchors: Anchor) -> Verdict:
    with closing(open_log(str(path), creates=False, is_read_only=True)) as log:
        return verify(log, anchors)


def content_of(base: Base, sequence: int) -> dict[str, Any]:
    query = "SELECT content FROM decision_entry WHERE sequence = ?"
    return dict(json.loads(base.execute(query, [sequence]).fetchone()[0]))


def write_anew(base: Base, first: int, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the entry `first`, and compute the hash of it and of all behind it again."""
    for sequence in range(first, N + 1):
        values = content_of(base, sequence)
        if sequence == first:
            change(values)
        query = "SELECT hash FROM decision_entry WHERE sequence = ?"
        found = base.execute(query, [sequence - 1]).fetchone()
        previous, content = (found[0] if found else "0" * 64), encode(values)
        base.execute(
            "UPDATE decision_entry SET content = ?, previous = ?, hash = ?, time = ? WHERE sequence = ?",
            [content, previous, chained(previous, content), values["time"], sequence],
        )


def sql(*statements: str) -> Callable[[Base], None]:
    def attack(base: Base) -> None:
        for statement in statements:
            base.execute(statement)

    return attack


def one_anew(base: Base) -> None:
    values = content_of(base, 5) | {"decision": "approve"}
    query = "SELECT previous FROM decision_entry WHERE sequence = 5"
    (previous,), content = base.execute(query).fetchone(), encode(values)
    base.execute(
        "UPDATE decision_entry SET content = ?, hash = ? WHERE sequence = 5",
        [content, chained(previous, content)],
    )


def recommitted(base: Base) -> None:
    data = record(4, reasons=()).personal
    (salt,) = base.execute("SELECT salt FROM decision_personal WHERE sequence = 5").fetchone()
    base.execute("UPDATE decision_personal SET data = ? WHERE sequence = 5", [data])
    write_anew(base, 5, lambda values: values.update(commitment=committed(salt, data)))


def appended(base: Base) -> None:
    content = encode(content_of(base, N) | {"sequence": N + 1, "request_id": "forged"})
    base.execute(
        "INSERT INTO decision_entry SELECT sequence + 1, kind, 'forged', slot, time, ?, previous, ? "
        f"FROM decision_entry WHERE sequence = {N}",
        [content, chained("0" * 64, content)],
    )


SWAP = (
    "UPDATE decision_entry SET sequence = 100, request_id = 'x' WHERE sequence = 5",
    "UPDATE decision_entry SET sequence = 5 WHERE sequence = 6",
    "UPDATE decision_entry SET sequence = 6, request_id = 'request-4' WHERE sequence = 100",
)
ENTRY, PERSONAL = "UPDATE decision_entry SET", "UPDATE decision_personal SET"
ATTACKS: dict[str, tuple[Callable[[Base], None], str, int]] = {
    "a byte of a row": (
        sql(f"{PERSONAL} data = replace(data, '0000003f', '0000013f') WHERE sequence = 5"), "personal", 5),
    "a reason": (
        sql(f"{PERSONAL} data = replace(data, 'R01', 'R02') WHERE sequence = 5"), "personal", 5),
    "a salt": (sql(f"{PERSONAL} salt = zeroblob(16) WHERE sequence = 5"), "personal", 5),
    "two rows exchanged": (
        sql(f"{PERSONAL} sequence = 100 WHERE sequence = 5", f"{PERSONAL} sequence = 5 WHERE sequence = 6",
            f"{PERSONAL} sequence = 6 WHERE sequence = 100"), "personal", 5),
    "a row removed without an erasure": (
        sql("DELETE FROM decision_personal WHERE sequence = 5"), "personal", 5),
    "a decision": (
        sql(f"{ENTRY} content = replace(content, 'decline', 'approve') WHERE sequence = 5"), "changed", 5),
    "a hash": (sql(f"{ENTRY} hash = previous WHERE sequence = 5"), "changed", 5),
    "an entry that is no JSON": (sql(f"{ENTRY} content = 'x' WHERE sequence = 5"), "changed", 5),
    "a decision and its hash": (one_anew, "order", 6),
    "an entry removed": (sql("DELETE FROM decision_entry WHERE sequence = 5"), "missing", 5),
    "three entries removed": (
        sql("DELETE FROM decision_entry WHERE sequence BETWEEN 5 AND 7"), "missing", 5),
    "the first entry removed": (sql("DELETE FROM decision_entry WHERE sequence = 1"), "missing", 1),
    "entries in another order": (sql(*SWAP), "order", 5),
    "an entry forged at the end": (appended, "order", N + 1),
    "a request id in the index": (sql(f"{ENTRY} request_id = 'x' WHERE sequence = 5"), "index", 5),
    "a slot in the index": (sql(f"{ENTRY} slot = 'shadow x' WHERE sequence = 5"), "index", 5),
    "a kind in the index": (sql(f"{ENTRY} kind = 'erasure' WHERE sequence = 5"), "index", 5),
    "a time in the index": (sql(f"{ENTRY} time = '2020' WHERE sequence = 5"), "index", 5),
    "a time of a whole new chain": (
        lambda base: write_anew(base, 5, lambda v: v.update(time="2020-01-01T00:00:00.000000+00:00")),
        "clock", 5),
    "a model": (sql("UPDATE decision_model SET data = x'00'"), "model", 1),
    "a model removed": (sql("DELETE FROM decision_model"), "model", 1),
}  # fmt: skip


def test_the_log_that_is_attacked_here_was_sound(path: Path, anchors: list[Anchor]) -> None:
    found = verdict(path, *anchors)
    assert found.is_sound and found.n_entries == N and found.n_anchors == N


@pytest.mark.parametrize("name", ATTACKS)
def test_an_edit_is_found_at_its_entry_and_named(path: Path, name: str) -> None:
    attack, kind, sequence = ATTACKS[name]
    edit(path, attack)
    first = verdict(path).problems[0]
    assert (first.kind, first.sequence) == (kind, sequence)
    assert kind == "model" or re.search(rf"\b{sequence}\b", first.message)


@pytest.mark.parametrize("last", [N - 1, 3, 0])
def test_entries_cut_off_at_the_end_are_found_by_an_anchor_only(
    path: Path, anchors: list[Anchor], last: int
) -> None:
    edit(path, sql(*(f"DELETE FROM {table} WHERE sequence > {last}"
                     for table in ("decision_personal", "decision_entry"))))  # fmt: skip
    assert verdict(path).is_sound
    (problem,) = verdict(path, *anchors[: last + 1]).problems
    assert (problem.kind, problem.sequence) == ("anchor", last + 1)
    assert f"ends at {last}" in problem.message


@pytest.mark.parametrize(
    "attack", [recommitted, lambda b: write_anew(b, 5, lambda v: v.update(points=1))]
)
def test_a_chain_written_anew_is_found_by_an_anchor_only(
    path: Path, anchors: list[Anchor], attack: Callable[[Base], None]
) -> None:
    edit(path, attack)
    assert verdict(path, *anchors[:4]).is_sound
    (problem,) = verdict(path, *anchors[:4], anchors[6]).problems
    assert (problem.kind, problem.sequence) == ("anchor", 7)


def test_a_row_that_was_erased_and_is_back_is_found(path: Path) -> None:
    with closing(open_log(str(path))) as log:
        log.erase("request-4", "retention ended")
    data = record(4).personal
    edit(path, lambda base: base.execute(
        "INSERT INTO decision_personal VALUES (5, zeroblob(16), ?)", [data]))  # fmt: skip
    kinds = [(p.kind, p.sequence) for p in verdict(path).problems]
    assert kinds == [("personal", 5), ("personal", 5)]
    assert "is back" in verdict(path).problems[1].message


def test_triggers_that_are_gone_are_named(path: Path) -> None:
    with closing(sqlite3.connect(path)) as base:
        base.execute("DROP TRIGGER decision_entry_stays")
    (problem,) = verdict(path).problems
    assert problem.kind == "database" and "decision_entry_stays" in problem.message


def test_after_many_problems_the_search_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(path, sql(f"{PERSONAL} salt = zeroblob(16)"))
    assert len(verdict(path).problems) == N < verifying.MOST_PROBLEMS
    monkeypatch.setattr(verifying, "MOST_PROBLEMS", 5)
    assert [problem.sequence for problem in verdict(path).problems] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("use", ["find", "entries"])
def test_an_entry_that_cannot_be_read_is_an_error_with_advice(path: Path, use: str) -> None:
    edit(path, sql(f"{ENTRY} content = '[]' WHERE sequence = 5"))
    with closing(open_log(str(path))) as log, pytest.raises(BimetalError, match="audit verify"):
        log.find("request-4") if use == "find" else list(log.entries())


WRITES = [
    "UPDATE decision_entry SET time = 'x'",
    "DELETE FROM decision_entry",
    "INSERT OR REPLACE INTO decision_entry SELECT * FROM decision_entry WHERE sequence = 5",
    "INSERT OR REPLACE INTO decision_entry SELECT sequence + 5, kind, request_id, slot, time, content, "
    "hash, hash FROM decision_entry WHERE sequence = 9",
    "INSERT INTO decision_entry SELECT sequence + 2, kind, 'new', slot, time, content, hash, hash "
    "FROM decision_entry WHERE sequence = 9",
    "INSERT INTO decision_entry SELECT sequence + 1, kind, 'new', slot, time, content, previous, hash "
    "FROM decision_entry WHERE sequence = 9",
    "INSERT OR REPLACE INTO decision_entry SELECT sequence + 1, kind, 'request-3', slot, time, content, "
    "hash, hash FROM decision_entry WHERE sequence = 9",
    "UPDATE decision_personal SET data = 'x'",
    "DELETE FROM decision_personal WHERE sequence = 5",
    "INSERT OR REPLACE INTO decision_personal VALUES (5, zeroblob(16), 'x')",
    "UPDATE decision_model SET data = x'00'",
    "DELETE FROM decision_model",
    "INSERT OR REPLACE INTO decision_model SELECT file_hash, x'00' FROM decision_model",
]


@pytest.mark.parametrize("statement", WRITES)
def test_the_file_itself_refuses_to_change_what_is_written(path: Path, statement: str) -> None:
    refuses = pytest.raises(sqlite3.IntegrityError, match=r"append-only|follows|erasure|stay")
    with closing(sqlite3.connect(path)) as base, refuses:
        base.execute(statement)
    assert verdict(path).is_sound


def everything(log: ChainedLog) -> tuple[list[Entry], dict[str, bytes], list[Any]]:
    entries = list(log.entries())
    hashes = {e.record.file_hash for e in entries}  # type: ignore[union-attr]
    found = [log.find(entry.record.request_id) for entry in entries]
    return entries, {hash: log.model(hash) for hash in hashes}, found


@pytest.fixture(scope="module")
def content(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("content") / "decisions.db"
    path.write_bytes(image.read_bytes())
    with closing(open_log(str(path))) as log:
        return everything(log)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 2**20), flip=st.integers(1, 255))
def test_no_byte_of_the_file_changes_what_is_read_unseen(
    image: Path, content: Any, tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    raw = bytearray(image.read_bytes())
    raw[at % len(raw)] ^= flip
    path = tmp_path_factory.getbasetemp() / "flipped.db"
    path.write_bytes(raw)
    assert_found_or_the_same(path, content)


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 2**20))
def test_a_torn_file_is_found(
    image: Path, content: Any, tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.db"
    path.write_bytes(image.read_bytes()[: at % image.stat().st_size])
    assert_found_or_the_same(path, content)


def assert_found_or_the_same(path: Path, content: Any) -> None:
    try:
        with closing(open_log(str(path), creates=False, is_read_only=True)) as log:
            assert not verify(log).is_sound or everything(log) == content
    except BimetalError:
        pass  # found when it was opened
    finally:
        for left in path.parent.glob(f"{path.name}-*"):
            left.unlink()


def test_hashes_of_a_log_that_is_written_to_meanwhile_hold(path: Path) -> None:
    with closing(open_log(str(path))) as writer, closing(open_log(str(path))) as log:
        seen: list[int] = []

        def rows() -> Iterator[Any]:
            for row in ChainedLog.rows(log):
                if row[0] == 3:  # an erasure and a decision come while we walk
                    writer.erase("request-0", "retention ended")
                    writer.write([record(100)])
                seen.append(row[0])
                yield row

        log.rows = lambda start=1, stop=None: (  # type: ignore[method-assign]
            rows() if stop is None else ChainedLog.rows(log, start, stop)
        )
        assert verify(log).is_sound and seen[:3] == [1, 2, 3]
