"""Fairness by groups: held to fairlearn, to closed forms, and to what the jurisdictions' table says."""

import json
import sys
from importlib.resources import files

import numpy as np
import pytest
from credit_samples import a_model, a_sample
from fairlearn import metrics as fair
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mutual_info_score

from bimetal.errors import ColumnError, DataError, MissingExtraError
from bimetal.finance.credit.fairness import (
    Attribute,
    _ratio,
    by_group,
    uncertainty_coefficient,
    wilson,
)
from bimetal.finance.credit.jurisdictions import (
    SECTIONS,
    jurisdiction_named,
    jurisdictions,
    switches,
)
from bimetal.finance.credit.validation import validate
from bimetal.finance.credit.validation.groups import groups_of

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, n: int = 600) -> dict:
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 10, n)
    return {
        "groups": rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2]),
        "y": (rng.random(n) < p).astype(int),
        "p": p,
        "score": 600 - 100 * p,
        "decision": np.where(p < 0.15, "approve", np.where(p < 0.2, "refer", "decline")),
    }


def measured(seed: int, **options: object) -> tuple[dict, Attribute]:
    given = drawn(seed)
    return given, by_group("g", **given, **options)  # type: ignore[arg-type]


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_rates_equal_those_of_fairlearn(seed: int) -> None:
    d, found = measured(seed)
    good, approved = d["y"] == 0, d["decision"] == "approve"
    for group in found.groups:
        here = d["groups"] == group.name
        assert group.approved.value == pytest.approx(
            fair.selection_rate(good[here], approved[here], pos_label=True)
        )
        assert group.true_positive.value == pytest.approx(
            fair.true_positive_rate(good[here], approved[here], pos_label=True)
        )
        assert group.false_positive.value == pytest.approx(
            fair.false_positive_rate(good[here], approved[here], pos_label=True)
        )
    least = fair.demographic_parity_ratio(good, approved, sensitive_features=d["groups"])
    assert found.smallest_ratio == pytest.approx(least)
    gap = fair.equal_opportunity_difference(good, approved, sensitive_features=d["groups"])
    assert found.equal_opportunity_gap == pytest.approx(gap)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_groups_add_up_to_everybody_and_the_order_of_rows_is_nothing(seed: int) -> None:
    d, found = measured(seed)
    assert sum(g.n for g in found.groups) == 600
    assert sum(g.n_bad for g in found.groups) == d["y"].sum()
    order = np.random.default_rng(seed).permutation(600)
    shuffled = by_group("g", **{k: v[order] for k, v in d.items()})
    assert [g.approved for g in shuffled.groups] == [g.approved for g in found.groups]


def test_rates_of_a_group_are_counted_by_hand() -> None:
    y = [0] * 30 + [1] * 10 + [0] * 40
    decision = (
        ["approve"] * 24 + ["refer"] * 6 + ["approve"] * 2 + ["decline"] * 8 + ["approve"] * 40
    )
    found = by_group("g", ["x"] * 40 + ["y"] * 40, y, [0.2] * 80, [500.0] * 80, decision)
    x, other = found.groups
    assert found.reference == "y" and x.adverse_impact.value == pytest.approx(26 / 40)
    assert (x.true_positive.value, x.false_positive.value) == (0.8, 0.2)
    assert x.precision.value == pytest.approx(24 / 26) and x.referred == 0.15
    assert other.false_positive is None and other.adverse_impact is None
    pooled = 66 / 80
    z = (26 / 40 - 1) / np.sqrt(pooled * (1 - pooled) / 20)
    assert x.approval_z == pytest.approx(z)


def test_intervals_are_wilsons_and_katzs() -> None:
    found = wilson(26, 40)
    expected = stats.binomtest(26, 40).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    y = [0, 1] * 100
    decision = ["approve"] * 60 + ["decline"] * 40 + ["approve"] * 80 + ["decline"] * 20
    groups = by_group("g", ["x"] * 100 + ["y"] * 100, y, [0.5] * 200, [1.0] * 200, decision).groups
    e = groups[0].adverse_impact
    error = np.sqrt(1 / 60 - 1 / 100 + 1 / 80 - 1 / 100)
    assert np.log([e.low, e.high]) == pytest.approx(
        np.log(0.75) + np.array([-1, 1]) * 1.959964 * error
    )


def test_a_ratio_interval_covers_equality_as_often_as_it_says() -> None:
    hits = np.random.default_rng(0).binomial(200, 0.6, (2000, 2))
    intervals = [_ratio(int(a), 200, int(b), 200) for a, b in hits]
    assert 0.94 <= np.mean([e.low <= 1 <= e.high for e in intervals]) <= 0.96


def test_nobody_approved_has_a_ratio_of_nothing_with_an_upper_bound() -> None:
    decision = ["decline"] * 50 + ["approve"] * 50
    x, _ = by_group(
        "g", ["x"] * 50 + ["y"] * 50, [0, 1] * 50, [0.5] * 100, [1.0] * 100, decision
    ).groups
    assert x.adverse_impact.value == x.adverse_impact.low == 0 < x.adverse_impact.high < 0.2
    assert x.precision is None


def test_a_small_group_is_named_and_nothing_of_it_is_shown() -> None:
    d = drawn(0)
    d["groups"] = np.r_[["tiny"] * 20, d["groups"][20:]]
    (tiny,) = (g for g in by_group("g", **d).groups if g.name == "tiny")
    assert tiny.is_suppressed
    assert [v for k, v in vars(tiny).items() if k not in ("name", "is_suppressed")] == [None] * 15


def test_missing_groups_are_a_group_and_never_the_reference() -> None:
    d = drawn(1)
    groups = d["groups"].astype(object)
    groups[:100], d["decision"][:100] = None, "approve"
    d["groups"] = groups
    found = by_group("g", **d)
    assert found.groups[0].name == "(not given)" and found.reference != "(not given)"


def test_whole_numbers_are_groups_as_they_are_written() -> None:
    found = by_group("g", [1.0, 2.0] * 50, [0, 1] * 50, [0.5] * 100, [1.0] * 100, ["approve"] * 100)
    assert [g.name for g in found.groups] == ["1", "2"]


@pytest.mark.parametrize(("change", "says"), [
    ({"groups": ["a"]}, "one value for each row"),
    ({"groups": [f"g{k}" for k in range(600)]}, "at most 50 groups"),
    ({"reference": "z"}, "must be one of those shown"),
    ({"smallest": 1000}, "one of at least 1000 rows"),
])  # fmt: skip
def test_groups_that_do_not_fit_are_refused(change: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        by_group("g", **(drawn(0) | change))


def test_without_fairlearn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fairlearn", None)
    with pytest.raises(MissingExtraError, match=r"bimetal\[credit\]"):
        by_group("g", **drawn(0))


# ---- jurisdictions


def test_the_table_says_when_and_why_the_effects_test_is_off() -> None:
    federal = jurisdiction_named("us-federal")
    assert (federal.effects, federal.treatment, federal.reasons) == (False, True, True)
    assert "21 July 2026" in federal.why and "1002.9" in federal.why
    on = {j.id for j in jurisdictions() if j.effects}
    assert on == {"us-nj", "us-ma", "us-ca", "us-ny", "us-il", "eu", "uk"}
    note = json.loads((files("bimetal.finance.credit") / "jurisdictions.json").read_text())["note"]
    assert note.startswith("Not legal advice")


def test_the_user_may_force_any_section_and_is_named_for_it() -> None:
    chosen = {s.section: s for s in switches("us-federal", ["effects"], ["reasons"])}
    assert (chosen["effects"].is_on, chosen["effects"].chosen_by) == (True, "the user")
    assert (
        not chosen["reasons"].is_on and chosen["treatment"].chosen_by == "jurisdiction us-federal"
    )
    assert "removes the effects test" in chosen["effects"].why
    assert tuple(s.section for s in switches("none")) == SECTIONS
    assert not any(s.is_on for s in switches("none"))


@pytest.mark.parametrize("call", [
    lambda: jurisdiction_named("atlantis"), lambda: switches("eu", ["effect"]),
    lambda: switches("eu", ["effects"], ["effects"]),
])  # fmt: skip
def test_unknown_places_and_sections_are_refused(call) -> None:
    with pytest.raises(DataError):
        call()


# ---- in the pack


def fair_facts(jurisdiction: str | None = None, **options: object) -> dict:
    model = a_model(**options.pop("policy", {}))  # type: ignore[arg-type]
    frame, y = a_sample(model, 800)
    pack = validate(
        model, frame, y, groups=["sex"], jurisdiction=jurisdiction, n_resamples=20, **options
    )  # type: ignore[arg-type]
    return dict(pack.facts)


def test_sections_appear_only_where_they_are_on() -> None:
    federal = fair_facts("us-federal")["fairness"]
    assert "effects" not in federal and {"treatment", "reasons"} <= set(federal)
    forced = fair_facts("us-federal", force_on=["effects"])["fairness"]
    assert [g["name"] for g in forced["effects"]["groups"][0]["groups"]] == ["f", "m"]
    assert not set(SECTIONS) & set(fair_facts("none")["fairness"])


def test_the_policy_names_the_jurisdiction_unless_the_user_does() -> None:
    assert fair_facts(policy={"jurisdiction": "uk"})["fairness"]["jurisdiction"]["id"] == "uk"
    assert fair_facts("eu", policy={"jurisdiction": "uk"})["fairness"]["jurisdiction"]["id"] == "eu"


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_the_uncertainty_coefficient_is_mutual_information_over_entropy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, values = rng.integers(0, 3, 300), rng.integers(0, 6, 300)
    expected = mutual_info_score(groups, values) / stats.entropy(np.bincount(groups))
    assert uncertainty_coefficient(groups, values) == pytest.approx(expected)
    assert uncertainty_coefficient(groups, groups * 7.0) == pytest.approx(1)


def test_a_column_that_tells_the_group_is_a_stand_in_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    age, noise = rng.uniform(18, 80, 2000), rng.normal(size=2000)
    band = np.where(age < 30, "young", "old")
    assert uncertainty_coefficient(band, age) > 0.85 > 0.05 > uncertainty_coefficient(band, noise)
    assert uncertainty_coefficient(["a"] * 2000, age) == 0
    model = a_model()
    frame, y = a_sample(model, 800)
    groups = {"age band": np.where(frame["age"] < 60, "young", "old")}
    pack = validate(model, frame, y, groups=groups, jurisdiction="eu", n_resamples=20)
    (finding,) = (f for f in pack.findings if f["what"] == "attributes as inputs")
    assert finding["light"] == "amber" and "'age' all but tells age band" in finding["text"]


def test_a_group_that_the_model_reads_is_red() -> None:
    model = a_model()
    frame, y = a_sample(model, 800)
    pack = validate(model, frame, y, groups=["housing"], jurisdiction="eu", n_resamples=20)
    assert pack.facts["fairness"]["treatment"]["read"] == ["housing"]
    (finding,) = (f for f in pack.findings if f["what"] == "attributes as inputs")
    assert finding["light"] == "red" and "housing" in finding["text"]


def test_reasons_are_counted_and_their_absence_is_red() -> None:
    reasons = fair_facts("us-federal")["fairness"]["reasons"]
    assert reasons["n_without"] == 0 and 1 <= reasons["most"] <= 4 and not reasons["unworded"]
    assert max(reasons["shares"].values()) <= 1
    none = fair_facts("us-federal", policy={"references": ()})
    (finding,) = (f for f in none["summary"]["findings"] if f["what"] == "reasons")
    assert (
        finding["light"] == "red" and "no references" in none["fairness"]["reasons"]["not_computed"]
    )
    unworded = fair_facts("us-federal", policy={"texts": {}})
    (finding,) = (f for f in unworded["summary"]["findings"] if f["what"] == "reasons")
    assert finding["light"] == "amber"


def test_groups_are_columns_arrays_or_crosses_of_both() -> None:
    frame, _ = a_sample(a_model(), 50)
    crossed = groups_of(["sex+band"], frame, 50)["sex+band"]
    assert crossed[0] == f"{frame['sex'][0]} / {frame['band'][0]}"
    assert (
        groups_of({"own": np.arange(50)}, frame, 50)["own"][3] == 3
        and groups_of(None, frame, 50) == {}
    )
    with pytest.raises(DataError, match="50 values expected"):
        groups_of({"own": [1]}, frame, 50)
    with pytest.raises(ColumnError, match="no column 'sect'"):
        groups_of(["sect"], frame, 50)
