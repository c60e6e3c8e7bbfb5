"""Monitors see what they should, stay quiet otherwise, and nothing that learns depends on them."""

import copy
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from golden.tiny import tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st
from test_audit import learn, made
from test_diff import with_op
from test_partial_fit import TWO, X, Y

from bimetal.bits import pack, unpack
from bimetal.continual.learners.methods import METHODS
from bimetal.continual.oversight.monitors import BINARY, DETECTORS, Monitors
from bimetal.continual.oversight.psi import Bins, psi
from bimetal.diff import diff
from bimetal.errors import DataError, MissingExtraError
from bimetal.program import Dense

TINY = tiny_program()
RNG = np.random.default_rng


def by_hand(reference: Any, values: Any, cuts: Any) -> float:
    """PSI from its definition, bin by bin."""
    total = 0.0
    edges = [-np.inf, *cuts, np.inf]
    pairs = list(pairwise(edges))
    e = [np.sum((reference >= a) & (reference < b)) for a, b in pairs] + [np.isnan(reference).sum()]
    a = [np.sum((values >= a) & (values < b)) for a, b in pairs] + [np.isnan(values).sum()]
    for i in range(len(e)):
        share = (e[i] + 0.5) / (len(reference) + 0.5 * len(e))
        now = (a[i] + 0.5) / (len(values) + 0.5 * len(e))
        total += (now - share) * np.log(now / share)
    return float(total)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 10]), st.floats(-2, 2))
def test_psi_is_its_definition_and_never_negative(seed: int, n_bins: int, shift: float) -> None:
    rng = RNG(seed)
    reference, values = rng.normal(0, 1, 300).round(1), rng.normal(shift, 1, 200).round(1)
    reference[:20], values[:5] = np.nan, np.nan
    bins = Bins.of(reference, n_bins)
    index = psi(reference, values, n_bins)
    assert index == pytest.approx(by_hand(reference, values, bins.edges)) and index >= 0
    assert psi(reference, reference, n_bins) == 0
    assert bins.counts(values).sum() == len(values)


def test_psi_of_the_same_population_is_what_chance_gives() -> None:
    n = 1000
    found = [psi(RNG(i).normal(size=n), RNG(1000 + i).normal(size=n)) for i in range(60)]
    assert np.mean(found) == pytest.approx(9 * 2 / n, rel=0.25)  # ten bins, none missing


def test_categories_others_and_missing_have_bins_of_their_own() -> None:
    bins = Bins.of(np.array(["own", "rent", None, "own"], object))
    assert bins.categories == ("own", "rent")
    values = np.array(["boat", None, float("nan"), pd.NA, "rent"], object)
    assert bins.counts(values).tolist() == [0, 1, 1, 3]


def test_a_reference_without_values_is_refused() -> None:
    with pytest.raises(DataError, match="reference values"):
        Bins.of([])


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_sees_a_change_and_says_so_once_it_came(name: str) -> None:
    rng = RNG(0)
    source = "error" if name in BINARY else "score"
    monitors = Monitors({source: name})
    n = 300 if name == "kswin" else 1000  # it sorts a window with every row
    p = np.concatenate([rng.uniform(0.05, 0.15, n), rng.uniform(0.8, 0.95, n)])
    y = (rng.random(2 * n) < 0.1).astype(int)
    early = monitors.update(p=p[:n], y=y[:n])
    late = monitors.update(p=p[n:], y=y[n:])
    assert len(late) > 0 and len(early) <= len(late)
    assert {(a.source, a.kind, a.level, a.update) for a in late} == {(source, name, "alarm", 2)}
    assert monitors.alarms == early + late


def test_without_a_change_adwin_is_quiet() -> None:
    rng = RNG(0)
    monitors = Monitors({"log_loss": "adwin"})
    for _ in range(10):
        p = rng.uniform(0.05, 0.3, 300)
        assert monitors.update(p=p, y=(rng.random(300) < p).astype(int)) == []


@pytest.mark.parametrize("kind", ["pandas", "polars", "array", "mapping"])
def test_columns_are_watched_by_name(kind: str) -> None:
    rng = RNG(0)

    def table(shift: float) -> Any:
        a, b = rng.normal(shift, 1, 800), rng.normal(0, 1, 800)
        a[::7] = np.nan
        data = {"0": a, "1": b}
        frames = {
            "pandas": pd.DataFrame,
            "polars": pl.DataFrame,
            "array": lambda d: np.stack([a, b], 1),
            "mapping": dict,
        }
        return frames[kind](data)

    monitors = Monitors({"0": "page_hinkley"}, reference=table(0))
    assert monitors.update(table(0)) == []
    found = monitors.update(table(5))
    assert {a.kind for a in found if a.source == "0"} == {"page_hinkley", "psi"}
    assert all(a.source == "0" for a in found) and monitors.psi["0"] > 0.25 > monitors.psi["1"]


def test_a_psi_waits_until_there_are_rows_enough_and_does_not_depend_on_how_they_come() -> None:
    rng = RNG(0)
    reference, values = rng.normal(0, 1, 2000), rng.normal(0.5, 1, 600)
    whole, cut = (Monitors({}, reference={"a": reference}, least_rows=600) for _ in range(2))
    whole.update({"a": values})
    for part in np.split(values, [100, 599]):
        assert "a" not in cut.psi
        cut.update({"a": part})
    assert cut.psi == whole.psi == {"a": psi(reference, values)}


def test_thresholds_part_what_to_watch_from_an_alarm() -> None:
    rng = RNG(0)
    monitors = Monitors({}, reference_scores=rng.beta(2, 8, 3000))
    levels = [[a.level for a in monitors.update(p=rng.beta(2, b, 3000))] for b in (8, 6, 3)]
    assert levels == [[], ["watch"], ["alarm"]]


def test_flips_and_frozen_weights_are_signs_of_their_own() -> None:
    number, dense = next((i, op) for i, op in enumerate(TINY.ops) if isinstance(op, Dense))
    turned = with_op(TINY, number, weights=pack(~unpack(dense.weights, dense.n_in // dense.groups)))
    monitors = Monitors({})
    assert monitors.update(diff=diff(TINY, TINY), frozen=0.5) == []
    flips, frozen = monitors.update(diff=diff(TINY, turned), frozen=0.99)
    assert (flips.source, flips.value, flips.level) == ("flips", 1.0, "alarm")
    assert (frozen.source, frozen.level) == ("frozen", "watch") and "no longer learn" in frozen.text


def test_learning_is_the_same_to_the_last_bit_with_monitors_and_without() -> None:
    watched, alone = copy.deepcopy(TWO), copy.deepcopy(TWO)
    monitors = Monitors({"log_loss": "adwin", "score": "kswin", "0": "page_hinkley"}, reference=X[:300],
                        reference_scores=TWO.predict_proba(X[:300])[:, 1], least_rows=50)  # fmt: skip
    for i in range(300, 900, 100):
        x, y = X[i : i + 100] + (i > 500), Y[i : i + 100]
        before = watched.program_
        monitors.update(x, watched.predict_proba(x)[:, 1], y)
        watched.partial_fit(x, y)
        monitors.update(diff=diff(before, watched.program_))
        alone.partial_fit(x, y)
    assert monitors.alarms and watched.get_state() == alone.get_state()


def test_a_net_learns_the_same_with_monitors_and_without() -> None:
    method = METHODS["metaplastic"]
    torch.manual_seed(0)
    watched, alone = made(method), made(method)
    monitors = Monitors({"log_loss": "adwin"})
    for number in range(3):
        before = watched.program_
        learn(watched.learner, method, number)
        monitors.update(
            p=[0.5],
            y=[1],
            diff=diff(before, watched.program_),
            frozen=watched.learner.insight()["frozen"],
        )
    for number in range(3):
        learn(alone.learner, method, number)
    assert watched.get_state() == alone.get_state()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Monitors({"score": "crystal_ball"}), "one of"),
        (lambda: Monitors({"score": "ddm"}), "right and wrong"),
        (lambda: Monitors({}, thresholds=(0.3, 0.1)), "rising thresholds"),
        (lambda: Monitors({}, least_rows=0), "least_rows"),
        (lambda: Monitors({}).update(y=[1]), "give p as well"),
        (lambda: Monitors({}).update(p=[1.2]), "one probability"),
        (lambda: Monitors({}).update(p=[0.2], y=[2]), "0 or 1"),
        (lambda: Monitors({"b": "adwin"}).update({"a": [1.0]}), "no column 'b'"),
        (lambda: Monitors({"a": "adwin"}).update({"a": ["x"]}), "holds text"),
        (lambda: Monitors({}, reference={"a": [1.0]}).update({"b": [1.0]}), "are not there"),
        (lambda: Monitors({}).update(np.zeros(3)), "n_columns"),
    ],
)  # fmt: skip
def test_mistakes_are_named(make: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        make()


def test_without_river_the_extra_is_named_and_the_rest_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    with pytest.raises(MissingExtraError, match=r"bimetal\[stream\]"):
        Monitors()
    assert Monitors({}, reference_scores=[0.1, 0.2]).update(p=[0.1]) == []
