"""Delayed labels: nothing is learned before its time, whatever comes later."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bimetal import ContinualClassifier
from bimetal.columns import Lists
from bimetal.continual.stream.delays import DelayedLabels, Outcome
from bimetal.errors import CheckpointError, DataError

EVENTS = st.lists(
    st.tuples(st.sampled_from(["ask", "tell", "advance"]), st.integers(0, 5), st.integers(0, 4)),
    max_size=40,
)
"""What happens, to which case, how much later."""


def played(events: list[tuple[str, int, int]], cases: DelayedLabels) -> list[Outcome]:
    found, now, open_keys = [], 0, set()
    for what, key, later in events:
        now += later
        if what == "ask":
            cases.advance(now)
            open_keys = set(cases._open)
            if key not in open_keys:
                cases.ask(key, {"then": now}, now)
        elif what == "tell":
            cases.tell(key, "bad", now)
        else:
            cases.advance(now)
        found += cases.arrived()
    return found


@given(EVENTS, st.integers(0, 40))
def test_the_future_does_not_change_the_past(
    events: list[tuple[str, int, int]], n_seen: int
) -> None:
    early = played(events[:n_seen], DelayedLabels(7, "good"))
    assert played(events, DelayedLabels(7, "good"))[: len(early)] == early


@given(EVENTS)
def test_outcomes_arrive_in_the_order_in_which_they_were_known(
    events: list[tuple[str, int, int]],
) -> None:
    cases = DelayedLabels(7, "good")
    found = played(events, cases)
    assert [case.known for case in found] == sorted(case.known for case in found)
    for case in found:
        assert case.row == {"then": case.asked}
        assert (
            case.known == case.asked + 7 if case.label == "good" else case.known <= case.asked + 7
        )


@given(EVENTS, st.integers(0, 40))
def test_a_state_goes_on_as_if_nothing_had_happened(
    events: list[tuple[str, int, int]], at: int
) -> None:
    cases = DelayedLabels(7, "good")
    for what, key, later in events[:at]:
        now = max(cases.now, 0) + later
        cases.advance(now)
        if what == "ask" and key not in cases._open:
            cases.ask(key, {"x": 1.5, "c": "a", "none": None}, now)
    again = DelayedLabels.from_json(cases.to_json())
    assert again.to_json() == cases.to_json()
    for each in (cases, again):
        each.advance(1000)
    assert again.arrived() == cases.arrived() and again.n_open == cases.n_open == 0


def test_the_row_is_what_was_known_at_the_decision() -> None:
    cases, row = DelayedLabels(), {"income": np.float64(2.5), "gone": math.nan, 7: True}
    cases.ask("a", row, time=1)
    row["income"] = 99.0
    cases.tell("a", 1, time=5)
    (found,) = cases.arrived()
    assert found == Outcome("a", {"income": 2.5, "gone": None, "7": True}, 1, asked=1, known=5)
    with pytest.raises(TypeError):
        found.row["income"] = 99.0  # type: ignore[index]


def test_a_label_at_the_end_of_the_window_counts_and_one_after_it_does_not() -> None:
    cases = DelayedLabels(window=12, otherwise="good")
    for key in ("on time", "late"):
        cases.ask(key, {}, time=0)
    assert cases.tell("on time", "bad", time=12)
    assert (cases.n_open, cases.oldest) == (1, 0)
    assert not cases.tell("late", "bad", time=12.5)
    assert (cases.n_open, cases.n_late, cases.oldest) == (0, 1, None)
    assert [(c.key, c.label, c.known) for c in cases.arrived()] == [
        ("on time", "bad", 12),
        ("late", "good", 12),
    ]


def test_a_model_learns_what_has_arrived() -> None:
    rng = np.random.default_rng(0)
    cases, model = (
        DelayedLabels(50, False),
        ContinualClassifier((16,), warm_up=40, batch_size=8, random_state=0),
    )
    for day in range(200):
        x = float(rng.normal())
        cases.ask(day, {"x": x}, time=day)
        if x > 0:
            cases.tell(day, True, time=day + 0.5)
        if day % 20 == 0 and (found := cases.arrived()):
            model.partial_fit(*cases.table(found))
    assert model.predict_proba(Lists({"x": [-1.5, 1.5]}))[:, 1].round().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: DelayedLabels(window=5), "belong together"),
        (lambda: DelayedLabels(otherwise=0), "belong together"),
        (lambda: DelayedLabels(0, 0), "above 0"),
        (lambda: DelayedLabels().ask(1.5, {}, 0), "whole number"),  # type: ignore[arg-type]
        (lambda: DelayedLabels().ask("a", {"x": [1]}, 0), "'x' must be"),
        (lambda: DelayedLabels().ask("a", {"x": math.inf}, 0), "finite"),
        (lambda: DelayedLabels().tell("a", 1, 0), "no case"),
        (lambda: DelayedLabels().tell("a", None, 0), "not known yet"),
        (lambda: DelayedLabels().advance(math.nan), "time goes on"),
        (lambda: DelayedLabels.table([]), "at least one"),
    ],
)
def test_what_cannot_be_is_refused(act: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        act()


def test_time_does_not_go_back_and_keys_are_not_used_twice() -> None:
    cases = DelayedLabels()
    cases.ask("a", {}, 5)
    for act in (lambda: cases.ask("b", {}, 4), lambda: cases.tell("a", 1, 4)):
        with pytest.raises(DataError, match="time goes on"):
            act()
    with pytest.raises(DataError, match="open already"):
        cases.ask("a", {}, 6)


@pytest.mark.parametrize("text", ["", "{}", '{"version": 2}', "[1]"])
def test_a_damaged_state_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError, match="undamaged"):
        DelayedLabels.from_json(text)
