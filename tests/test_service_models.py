"""The registry: files are read whole, tested, swapped by one assignment, and refused without harm."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from credit_models import toy_model, toy_program, toy_rows

from bimetal.errors import BimetalError, DataError
from bimetal.format import dumps, save
from bimetal.program import Link
from bimetal.reference import run
from bimetal.service.limits import Limits
from bimetal.service.log import LogUnavailable
from bimetal.service.models import Registry
from bimetal.service.scorer import ClassScorer, CreditScorer, scorer_of


class Kit:
    """A registry whose folder can be written to, and which tells what it did."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder, self.told, self.archived = folder, [], {}
        self.put("cards", toy_model(0).dumps())
        archive: Callable[[str, bytes], None] = self.archived.__setitem__
        self.registry = Registry(folder, options.pop("limits", Limits()), **{
            "archive": archive, "told": lambda *event: self.told.append(event)} | options)  # fmt: skip
        self.registry.refresh()

    def put(self, name: str, data: bytes) -> None:
        beside = self.folder / "beside"
        beside.write_bytes(data)
        beside.replace(self.folder / f"{name}.bimetal")

    def ids(self) -> dict[str, str]:
        self.registry.refresh()
        return {name: served.scorer.file_hash for name, served in self.registry.models.items()}


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


def other() -> bytes:
    return toy_model(1).dumps()


def test_a_file_is_archived_tested_and_served(kit: Kit) -> None:
    served = kit.registry.find("cards")
    assert served is not None
    assert served.scorer.file_hash == toy_model(0).file_hash
    assert set(kit.archived) == {served.scorer.file_hash}
    assert kit.told == [("cards", "loaded")]
    assert not kit.registry.failures


def test_a_new_file_and_a_replaced_one_are_seen_and_an_untouched_one_is_not_read_again(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kit.registry.find("cards")
    kit.put("loans", other())
    assert set(kit.ids()) == {"cards", "loans"}
    assert kit.registry.find("cards") is before
    kit.put("cards", other())
    assert kit.ids()["cards"] == toy_model(1).file_hash
    monkeypatch.setattr("bimetal.service.models._read_whole", lambda *_: pytest.fail("read again"))
    assert not kit.registry.refresh()


def test_the_same_bytes_again_are_no_swap(kit: Kit) -> None:
    before = kit.registry.find("cards")
    kit.put("cards", toy_model(0).dumps())
    kit.registry.refresh()
    assert kit.registry.find("cards") is before


def wrong_golden() -> bytes:
    program = toy_program(1)
    x = toy_rows(program, 4)
    lie = np.ascontiguousarray(run(program, x)[:, ::-1])
    return dumps(replace(program, golden_x=x, golden_y=lie))


def regressor() -> bytes:
    program = toy_program(1)
    link = program.ops[-1]
    assert isinstance(link, Link)
    none_i, none_f = np.zeros(0, "i4"), np.zeros(0, "f4")
    identity = Link(link.input, "identity", np.ones(1), np.zeros(1), none_i, none_f)
    return dumps(replace(program, ops=(*program.ops[:-1], identity), classes=()))


def bad_policy() -> bytes:
    return dumps(replace(toy_program(1), provenance={"credit": {"cutoff": "high"}}))


HOSTILE = {
    "empty": lambda: b"",
    "noise": lambda: os.urandom(5_000),
    "cut short": lambda: other()[:-100],
    "a bit flipped": lambda: other()[:-9] + bytes([other()[-9] ^ 1]) + other()[-8:],
    "a header of 2**62 bytes": lambda: (2**62).to_bytes(8, "little") + other()[8:],
    "golden rows that lie": wrong_golden,
    "a regressor": regressor,
    "a policy of nonsense": bad_policy,
    "too large": lambda: other() + b"\0" * 200_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_replacement_that_cannot_be_served_changes_nothing_but_is_told(
    tmp_path: Path, what: str
) -> None:
    kit = Kit(tmp_path, limits=Limits(model_bytes=200_000))
    before = kit.registry.find("cards")
    kit.put("cards", HOSTILE[what]())
    assert not kit.registry.refresh()
    assert kit.registry.find("cards") is before
    failure = kit.registry.failures["cards"]
    assert failure.keeps
    assert str(tmp_path) not in failure.message
    assert kit.told[-1] == ("cards", "refused")
    kit.registry.refresh()
    assert kit.told.count(("cards", "refused")) == 1  # told once, not every second
    kit.put("cards", other())
    assert kit.registry.refresh()
    assert not kit.registry.failures


def test_a_model_beyond_the_limits_is_refused() -> None:
    data = toy_model(0).dumps()
    for limits in (Limits(columns=5), Limits(model_steps=10)):
        with pytest.raises(DataError, match="at most"):
            scorer_of(data, limits)


def test_a_name_that_could_not_stand_in_a_path_is_refused(kit: Kit) -> None:
    kit.put("déjà vu", other())
    assert set(kit.ids()) == {"cards"}
    assert "letters" in kit.registry.failures["déjà vu"].message


def test_hidden_files_and_other_files_are_left_alone(kit: Kit) -> None:
    (kit.folder / ".cards.bimetal").write_bytes(b"half")
    (kit.folder / "README").write_bytes(b"hello")
    assert set(kit.ids()) == {"cards"}
    assert not kit.registry.failures


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_refused_without_waiting_for_it(kit: Kit) -> None:
    os.mkfifo(kit.folder / "pipe.bimetal")
    (kit.folder / "folder.bimetal").mkdir()
    assert set(kit.ids()) == {"cards"}
    assert {"pipe", "folder"} <= set(kit.registry.failures)


def test_a_file_that_changes_while_it_is_read_is_read_later(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.put("cards", other())
    real, calls = os.fstat, []

    def fstat(descriptor: int) -> Any:
        calls.append(descriptor)
        if len(calls) == 2:  # the look after reading
            os.utime(kit.folder / "cards.bimetal", (1, len(calls)))
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", fstat)
    assert not kit.registry.refresh()
    assert not kit.registry.failures
    assert kit.registry.refresh()


def test_the_model_is_in_memory_whatever_happens_to_its_file(kit: Kit) -> None:
    served = kit.registry.find("cards")
    assert served is not None
    rows = toy_rows(toy_program(0), 50)
    before = served.scorer.score(rows)
    path = kit.folder / "cards.bimetal"
    with path.open("r+b") as file:  # written into, not replaced
        file.write(b"\xff" * path.stat().st_size)
    kit.registry.refresh()
    assert served.scorer.score(rows) == before


def test_a_file_that_is_gone_for_two_looks_is_retired(kit: Kit) -> None:
    (kit.folder / "cards.bimetal").unlink()
    assert set(kit.ids()) == {"cards"}
    assert set(kit.ids()) == set()
    assert kit.told[-1] == ("cards", "retired")
    kit.put("cards", other())
    assert set(kit.ids()) == {"cards"}


def test_a_folder_that_cannot_be_read_keeps_all_models(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", lost)
    for _ in range(3):
        assert set(kit.ids()) == {"cards"}
    assert "" in kit.registry.failures
    monkeypatch.undo()
    assert set(kit.ids()) == {"cards"}
    assert not kit.registry.failures


def test_a_model_that_the_log_cannot_archive_waits_until_it_can(tmp_path: Path) -> None:
    is_full = [True]

    def archive(_: str, __: bytes) -> None:
        if is_full[0]:
            raise LogUnavailable("the disk is full")

    kit = Kit(tmp_path, archive=archive)
    assert set(kit.ids()) == set()
    assert "disk is full" in kit.registry.failures["cards"].message
    is_full[0] = False
    assert set(kit.ids()) == {"cards"}


def test_shadows_stand_behind_the_model_they_are_named_after(tmp_path: Path) -> None:
    kit = Kit(tmp_path, pairs={"cards": ("loans",)})
    kit.put("cards.shadow", other())
    kit.put("loans", other())
    kit.registry.refresh()
    assert [s.name for s in kit.registry.shadows_of("cards")] == ["cards.shadow", "loans"]
    assert kit.registry.find("cards.shadow") is None
    assert kit.registry.shadows_of("loans") == []


def test_no_folder_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder"):
        Registry(tmp_path / "none", Limits())


def test_a_credit_model_answers_what_it_answers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model(0, refer=None)
    scorer = scorer_of(model.dumps(), Limits())
    assert isinstance(scorer, CreditScorer)
    rows = toy_rows(model.program, 100)
    expected, reasons = model.assess(rows), model.reasons(rows)
    monkeypatch.setattr("bimetal.service.scorer._MOST_KNOWN", 20)
    alone = [scorer.score(row)[0] for row in rows[:, None]]  # what is remembered is what was said
    assert alone == scorer.score(rows)
    for k, outcome in enumerate(alone):
        assert outcome.points == expected.points[k]
        assert outcome.score == expected.score[k]
        assert np.float32(outcome.probability) == expected.probability[k]
        assert outcome.decision == expected.decision[k]
        assert list(outcome.reasons) == reasons[k]
        assert (outcome.reasons == ()) == (outcome.decision == "approve")


def test_a_plain_classifier_answers_class_and_probability_and_decides_nothing(
    tmp_path: Path,
) -> None:
    program = toy_program(0)
    save(program, tmp_path / "plain.bimetal")
    scorer = scorer_of((tmp_path / "plain.bimetal").read_bytes(), Limits())
    assert isinstance(scorer, ClassScorer)
    rows = toy_rows(program, 50)
    answers = run(program, rows)
    for answer, outcome in zip(answers, scorer.score(rows), strict=True):
        assert np.float32(outcome.probability) == answer[1]
        assert outcome.label == program.classes[answer.argmax()]
        assert (outcome.points, outcome.decision, outcome.reasons) == (None, None, ())


def test_a_description_tells_the_policy_but_not_the_reference_applicants() -> None:
    described = scorer_of(toy_model(0).dumps(), Limits()).describe()
    assert described["policy"]["n_references"] == 8
    assert "references" not in described["policy"]
    assert [c["name"] for c in described["columns"]][-1] == "housing"


def test_every_refusal_is_an_error_of_the_house() -> None:
    for make in HOSTILE.values():
        with pytest.raises(BimetalError):
            scorer_of(make() if make is not HOSTILE["too large"] else b"x", Limits())
