"""The log shows every edit and gives every Program back; a snapshot gives back the learner, to the last bit."""

import base64
import copy
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from golden.tiny import tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st
from test_diff import jolted
from test_partial_fit import TWO, X, Y

from bimetal.continual.learners.learner import Learner, Method, Setting
from bimetal.continual.learners.methods import METHODS
from bimetal.continual.oversight.audit import FlipLog, replay
from bimetal.continual.oversight.entry import GENESIS, Entry
from bimetal.continual.oversight.rows import RowsDigest, rows_digest
from bimetal.continual.oversight.snapshots import Snapshots
from bimetal.continual.oversight.state import Restorable, Whole
from bimetal.continual.oversight.tree import dumps as tree_bytes
from bimetal.continual.oversight.tree import loads as tree_of
from bimetal.continual.sequence import Task
from bimetal.diff import diff
from bimetal.errors import CheckpointError, DataError, FormatError
from bimetal.format import dumps
from bimetal.program import Program

TINY = tiny_program()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ticking() -> Any:
    ticks = count()
    return lambda: NOON + timedelta(minutes=next(ticks))


def history(n: int = 6) -> list[Program]:
    rng = np.random.default_rng(0)
    programs = [TINY]
    for _ in range(n):
        programs.append(jolted(programs[-1], rng))
    return programs


PROGRAMS = history()


def written(path: Path, programs: list[Program] = PROGRAMS) -> FlipLog:
    log = FlipLog(path, clock=ticking())
    for i, (before, after) in enumerate(pairwise(programs)):
        log.record(before, after, np.full((3, 2), i), [0, 1, 0], who="nightly", why=f"chunk {i}")
    return log


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = tmp_path_factory.mktemp("log") / "model.log"
    written(path)
    return path.read_bytes().splitlines(keepends=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.log"


def verdict(path: Path, data: bytes, head: str | None = None) -> Any:
    path.write_bytes(data)
    return FlipLog(path).verify(head)


def test_an_untouched_log_is_sound_and_says_what_happened(path: Path) -> None:
    log = written(path)
    assert log.verify(log.head).is_sound and log.verify().n_entries == len(PROGRAMS) - 1
    for entry, before, after in zip(log.entries(), PROGRAMS, PROGRAMS[1:], strict=False):
        found = diff(before, after)
        assert (entry.before, entry.after, entry.n_flips) == (before.id, after.id, found.n_flips)
        assert [layer["share"] for layer in entry.layers] == [f.share for f in found.flips]
        assert sum(m["n"] for m in entry.moved) == found.n_moves
        assert (
            entry.n_rows == 3
            and entry.time == (NOON + timedelta(minutes=entry.number - 1)).isoformat()
        )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_byte_of_a_log_can_change_unseen(
    lines: list[bytes], tmp_path_factory: Any, data: Any
) -> None:
    raw = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    assert not verdict(tmp_path_factory.getbasetemp() / "changed.log", bytes(raw)).is_sound


@pytest.mark.parametrize("gone", range(len(PROGRAMS) - 1))
def test_a_line_that_is_removed_is_missed(lines: list[bytes], path: Path, gone: int) -> None:
    head = verdict(path, b"".join(lines)) and FlipLog(path).head
    rest = b"".join(lines[:gone] + lines[gone + 1 :])
    assert not verdict(path, rest, head).is_sound
    is_last = gone == len(lines) - 1
    assert (
        verdict(path, rest).is_sound == is_last
    )  # a removal at the end shows only against the head


def test_lines_in_another_order_or_twice_are_seen(lines: list[bytes], path: Path) -> None:
    swapped = [*lines[:1], lines[2], lines[1], *lines[3:]]
    assert any("moved" in p for p in verdict(path, b"".join(swapped)).problems)
    assert not verdict(path, b"".join([*lines, lines[-1]])).is_sound


def test_a_log_rewritten_as_a_whole_shows_against_the_head(lines: list[bytes], path: Path) -> None:
    head = verdict(path, b"".join(lines)) and FlipLog(path).head
    path.unlink()
    forged = written(path, PROGRAMS[:3])
    assert forged.verify().is_sound
    (problem,) = forged.verify(head).problems
    assert "removed from the end, or all of them rewritten" in problem


def test_a_program_that_changed_without_an_entry_is_named(path: Path) -> None:
    log = FlipLog(path)
    log.record(PROGRAMS[0], PROGRAMS[1])
    log.record(PROGRAMS[2], PROGRAMS[3])
    assert "without an entry" in log.verify().problems[0]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_torn_last_line_is_recognised_reported_and_cut_off_only_on_request(
    lines: list[bytes], tmp_path_factory: Any, data: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.log"
    n_torn = data.draw(st.integers(1, len(lines[-1]) - 1))
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:n_torn])
    log = FlipLog(path)
    found = log.verify()
    assert (
        found.torn == n_torn and found.n_entries == len(lines) - 1 and "repair" in found.problems[0]
    )
    with pytest.raises(CheckpointError, match="call repair"):
        log.record(PROGRAMS[-2], PROGRAMS[-1])
    note = log.repair(PROGRAMS[-2], who="operator")
    assert note is not None and note.event == "note" and f"{n_torn} bytes" in note.why
    assert log.repair(PROGRAMS[-2]) is None
    assert log.record(PROGRAMS[-2], PROGRAMS[-1]).number == len(lines) + 1 and log.verify().is_sound


def test_a_full_disk_leaves_the_log_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written(path)
    before = path.read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        log.record(PROGRAMS[-1], PROGRAMS[-1])
    assert path.read_bytes() == before


def test_every_program_that_ever_was_is_replayed_from_the_first(path: Path) -> None:
    log = written(path)
    for k, program in enumerate(PROGRAMS):
        assert dumps(replay(log.entries(), TINY, k)) == dumps(program)
    assert replay(log.entries(), TINY).id == PROGRAMS[-1].id


def test_what_cannot_be_replayed_is_refused(path: Path) -> None:
    log = written(path)
    with pytest.raises(DataError, match="updates 1 to 6, not 7"):
        replay(log.entries(), TINY, 7)
    with pytest.raises(DataError, match="the patch is for the Program"):
        replay(log.entries(), PROGRAMS[1])
    path.unlink()
    bare = FlipLog(path, keeps_patches=False)
    bare.record(TINY, PROGRAMS[1])
    with pytest.raises(DataError, match="keeps_patches=True"):
        replay(bare.entries(), TINY)
    first = log_entry(PROGRAMS[0], PROGRAMS[1])
    lying = Entry(**{**vars(first), "after": PROGRAMS[2].id})
    with pytest.raises(FormatError, match="update 1 makes"):
        replay([lying], TINY)


def log_entry(before: Program, after: Program) -> Entry:
    patch = base64.b64encode(diff(before, after).patch.to_bytes()).decode()
    return Entry(
        1,
        "update",
        NOON.isoformat(),
        before.id,
        after.id,
        0,
        "",
        [],
        [],
        [],
        "",
        "",
        patch,
        GENESIS,
    )


def test_rows_are_proved_and_never_stored(path: Path) -> None:
    secret = "Erika Mustermann"
    frame = pd.DataFrame({"name": [secret, "B"], "income": [54321.0, np.nan]})
    log = FlipLog(path, salt=b"kept elsewhere")
    entry = log.record(TINY, TINY, frame, [0, 1])
    stored = path.read_text()
    assert secret not in stored and "54321" not in stored
    assert (
        entry.rows == rows_digest(frame.copy(), [0, 1], b"kept elsewhere").sha256
        and entry.n_rows == 2
    )
    others = [
        (frame, [1, 0], b"kept elsewhere"),
        (frame, [0, 1], b""),
        (frame[::-1], [0, 1], b"kept elsewhere"),
        (frame.rename(columns={"name": "eman"}), [0, 1], b"kept elsewhere"),
    ]
    assert entry.rows not in {rows_digest(*other).sha256 for other in others}


def test_digests_know_arrays_frames_and_tensors() -> None:
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert (
        rows_digest(array)
        == rows_digest(torch.from_numpy(array))
        == rows_digest(np.asfortranarray(array))
    )
    assert rows_digest(array).sha256 != rows_digest(array.reshape(2, 3)).sha256
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert rows_digest(frame) == rows_digest(frame.clone())
    assert rows_digest(frame, ["no", "yes"]) != rows_digest(frame, ["noyes", ""])
    with pytest.raises(DataError, match="one label for each"):
        rows_digest(array, [1])


def test_a_mistaken_entry_is_refused(path: Path) -> None:
    log = FlipLog(path)
    with pytest.raises(DataError, match="a zone"):
        log.record(TINY, TINY, time=datetime(2026, 1, 1))
    with pytest.raises(DataError, match="not both"):
        log.record(TINY, TINY, X, Y, rows=RowsDigest(1, "0" * 64))
    assert not path.exists()
    assert log.record(TINY, TINY, rows=RowsDigest(9, "f" * 64)).n_rows == 9
    path.write_bytes(b'{"number":1}\n')
    with pytest.raises(FormatError, match="a line of the log"):
        log.entries()
    assert not log.verify().is_sound


def test_a_change_of_structure_is_told_in_words(path: Path) -> None:
    other = TWO.program_
    entry = FlipLog(path).record(TINY, other)
    assert any("columns added" in line for line in entry.structure)
    assert replay([entry], TINY).id == other.id


# --- states and snapshots


def task(number: int) -> Task:
    rng = np.random.default_rng(number)
    x = rng.integers(0, 2, (60, 12)).astype(np.uint8)
    y = (x[:, number] ^ x[:, 3]).astype(np.int64)
    return Task(f"task {number}", x, y, x, y)


def learn(learner: Learner, method: Method, number: int) -> None:
    rows = task(number)
    if method.uses.boundaries:
        learner.begin_task(number)
    for _ in range(3):
        learner.observe(torch.from_numpy(rows.x_train), torch.from_numpy(rows.y_train))
    if method.uses.boundaries:
        learner.end_task(rows)


def made(method: Method) -> Whole:
    setting = Setting(n_in=12, n_classes=2, hidden=(16,), n_tasks=3, seed=0)
    return Whole(method.make(setting, method.strengths[0]))


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_after_a_rollback_a_learner_learns_as_one_that_never_left(method: Method) -> None:
    torch.manual_seed(0)
    whole = made(method)
    learn(whole.learner, method, 0)
    state = whole.get_state()
    learn(whole.learner, method, 1)
    straight = whole.get_state()
    learn(whole.learner, method, 2)
    whole.set_state(state)
    assert whole.get_state() == state
    learn(whole.learner, method, 1)
    assert whole.get_state() == straight
    twin = made(method)  # another process, say
    twin.set_state(straight)
    assert twin.get_state() == straight
    x = torch.from_numpy(task(1).x_test)
    ids = 1 if method.uses.task_ids else None
    assert torch.equal(twin.learner.scores(x, ids), whole.learner.scores(x, ids))


def test_equal_trees_are_equal_bytes_and_come_back_the_same() -> None:
    tree = {
        "a": [1, 2**100, None, True, 0.1, "é"],
        "t": torch.arange(3),
        "e": torch.zeros(0, 2).bool(),
    }
    back = tree_of(tree_bytes(tree))
    assert (
        back["a"] == tree["a"]
        and torch.equal(back["t"], torch.arange(3))
        and back["e"].shape == (0, 2)
    )
    assert tree_bytes(back) == tree_bytes(tree)
    with pytest.raises(CheckpointError, match="not a set"):
        tree_bytes({"a": {1}})


@pytest.mark.parametrize("data", [b"", b"hello", b"\x02" + bytes(7) + b"{}extra", b"\xff" * 9])
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="expected"):
        made(METHODS["metaplastic"]).set_state(data)


def test_a_state_of_another_learner_is_refused() -> None:
    whole = made(METHODS["metaplastic"])
    with pytest.raises(CheckpointError, match="made by the same method"):
        whole.set_state(made(METHODS["replay"]).get_state())
    larger = Whole(METHODS["metaplastic"].make(Setting(n_in=12, n_classes=2, hidden=(32,)), 2.0))
    with pytest.raises(CheckpointError, match="the same setting"):
        whole.set_state(larger.get_state())


def test_a_learner_that_holds_what_cannot_be_kept_says_so() -> None:
    whole = made(METHODS["metaplastic"])
    whole.learner.odd = {1, 2}  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="'odd' is a set"):
        whole.get_state()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Snapshots, FlipLog, Any]]:
    model = copy.deepcopy(TWO)
    log = FlipLog(tmp_path / "model.log", clock=ticking())
    yield Snapshots(tmp_path, model, log=log, clock=ticking()), log, model


def test_estimators_are_restorable() -> None:
    assert isinstance(TWO, Restorable) and isinstance(made(METHODS["metaplastic"]), Restorable)


def test_snapshot_and_rollback_of_an_estimator_leave_a_line_in_the_log(kept: Any) -> None:
    snapshots, log, model = kept
    taken = snapshots.snapshot("approved", note="committee")
    before = model.program_
    model.partial_fit(X[300:400], Y[300:400])
    log.record(before, model.program_, X[300:400], Y[300:400])
    assert (
        snapshots.rollback("approved", who="risk") == taken and model.program_.id == TWO.program_.id
    )
    entry = log.entries()[-1]
    assert entry.event == "rollback" and entry.who == "risk" and "approved" in entry.why
    assert log.verify().is_sound and replay(log.entries(), TWO.program_).id == TWO.program_.id


def test_snapshots_are_listed_in_their_order_and_pruned_from_the_oldest(kept: Any) -> None:
    snapshots, _, _ = kept
    for name in ("c", "a", "b", "d"):
        snapshots.snapshot(name)
    assert [s.name for s in snapshots.all()] == ["c", "a", "b", "d"]
    assert snapshots.prune(2, protect=("c",)) == ["a"]
    assert [s.name for s in snapshots.all()] == ["c", "b", "d"]
    assert snapshots.prune(9) == [] and snapshots.prune(0) == ["c", "b", "d"]


def test_mistakes_with_snapshots_are_named(kept: Any, tmp_path: Path) -> None:
    snapshots, _, model = kept
    snapshots.snapshot("a")
    for call, match in [
        (lambda: snapshots.snapshot("a"), "already"),
        (lambda: snapshots.snapshot("../a"), "letters, digits"),
        (lambda: snapshots.rollback("b"), r"there are \['a'\]"),
        (lambda: snapshots.prune(-1), "0 or more"),
        (lambda: Snapshots(tmp_path / "nowhere", model), "no folder"),
    ]:
        with pytest.raises(DataError, match=match):
            call()


def test_a_damaged_snapshot_leaves_the_learner_where_it_was(kept: Any, tmp_path: Path) -> None:
    snapshots, _, model = kept
    snapshots.snapshot("a")
    file = tmp_path / "a.snapshot"
    good = file.read_bytes()
    head, _, body = good.partition(b"\n")
    model.partial_fit(X[300:320], Y[300:320])
    here = model.get_state()
    other = {**json.loads(head), "program": "0" * 64}
    for damaged in (good[:-9], b"no", head + b"\n", json.dumps(other).encode() + b"\n" + body):
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"damaged|should make"):
            snapshots.rollback("a")
        assert model.get_state() == here


def test_a_snapshot_that_cannot_be_written_leaves_nothing_behind(
    kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        kept[0].snapshot("a")
    assert list(tmp_path.iterdir()) == []
