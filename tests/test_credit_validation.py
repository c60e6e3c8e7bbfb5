"""The validation pack: whole, finite, repeatable, true to its rows, silent about nothing that it left out."""

import hashlib
import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from credit_samples import a_frame, a_model, a_sample, outcomes
from sklearn.linear_model import LogisticRegression

from bimetal import metrics
from bimetal.errors import DataError, ProgramError
from bimetal.explain.certificate import certify
from bimetal.finance.credit import challengers
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.validation import (
    HEADINGS,
    SCHEMA,
    Finding,
    MasterScale,
    Thresholds,
    ValidationPack,
    validate,
)
from bimetal.finance.credit.validation.thresholds import above, below, worst

MODEL = a_model()


class Additive:
    """A challenger with the manners of scikit-learn."""

    def fit(self, frame: Any, y: Any) -> "Additive":
        self.inner = LogisticRegression(max_iter=500).fit(frame[["income", "age"]], y)
        return self

    def predict_proba(self, frame: Any) -> Any:
        return self.inner.predict_proba(frame[["income", "age"]])


def a_pack(n: int = 1000, **options: Any) -> ValidationPack:
    frame, y = a_sample(MODEL, n)
    return validate(MODEL, frame, y, **({"n_resamples": 30} | options))


@pytest.fixture(scope="module")
def full() -> ValidationPack:
    frame, y = a_sample(MODEL, 1500)
    development = a_sample(MODEL, 1500, 1)
    return validate(
        MODEL, frame, y, development=development, dates=frame["date"], ids=frame["id"], groups=["sex", "band"],
        challengers={"two columns": Additive().fit(*development)}, jurisdiction="eu",
        stresses=["income=-20%"], n_resamples=30, statements={"model_owner": "Retail risk"},
    )  # fmt: skip


def numbers_of(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [x for v in value.values() for x in numbers_of(v)]
    if isinstance(value, list):
        return [x for v in value for x in numbers_of(v)]
    return [value] if isinstance(value, int | float) else []


def test_a_pack_is_finite_json_with_a_version_and_every_section(full: ValidationPack) -> None:
    read = json.loads(full.json())
    assert read["schema"] == SCHEMA and list(HEADINGS) == [k for k in read if k in HEADINGS]
    assert all(math.isfinite(v) for v in numbers_of(read)) and read == full.facts
    assert not [k for k, v in read["outcomes"].items() if "not_computed" in v]
    assert "not_computed" not in read["challengers"]


def test_every_estimate_has_its_rows_and_its_interval(full: ValidationPack) -> None:
    def estimates(value: Any) -> list[dict]:
        if isinstance(value, dict):
            here = [value] if set(value) == {"value", "low", "high", "n", "method"} else []
            return here + [e for v in value.values() for e in estimates(v)]
        return [e for v in value for e in estimates(v)] if isinstance(value, list) else []

    found = estimates(full.facts)
    assert len(found) > 60
    assert all(e["n"] > 0 and e["low"] <= e["high"] and e["method"] for e in found)


def test_the_same_rows_and_seed_give_the_same_pack(full: ValidationPack) -> None:
    def but_time(pack: ValidationPack) -> dict:
        lineage = {k: v for k, v in pack.facts["lineage"].items() if k != "made"}
        proofs = [
            {k: v for k, v in p.items() if k != "seconds"}
            for p in pack.facts["soundness"]["proofs"]
        ]
        return {**pack.facts, "lineage": lineage, "soundness": proofs}

    assert but_time(a_pack(seed=3)) == but_time(a_pack(seed=3))


def test_figures_are_those_of_the_rows(full: ValidationPack) -> None:
    frame, y = a_sample(MODEL, 1500)
    said = MODEL.assess(MODEL.rows(frame))
    out = full.facts["outcomes"]
    measures = out["discrimination"]["measures"]
    assert measures["auc"]["value"] == pytest.approx(metrics.auc(y, -said.points))
    assert measures["ks"]["value"] == pytest.approx(metrics.ks(y, -said.points))
    assert out["calibration"]["brier"]["value"] == pytest.approx(metrics.brier(y, said.probability))
    assert sum(g["n_bad"] for g in out["grades"]["grades"]) == y.sum()
    assert sum(v["n"] for v in out["over_time"]["vintages"]) == 1500
    assert out["migration"]["n"] <= 750
    decisions = full.facts["purpose"]["decisions"]
    assert decisions["approve"] == pytest.approx((said.decision == "approve").mean())


def test_a_frame_of_another_library_gives_the_same_figures() -> None:
    frame, y = a_sample(MODEL, 400)
    one = validate(MODEL, frame, y, n_resamples=20)
    two = validate(MODEL, pl.from_pandas(frame), y, n_resamples=20)
    assert one.facts["outcomes"] == two.facts["outcomes"]
    assert one.facts["lineage"]["samples"] == two.facts["lineage"]["samples"]


def test_a_model_whose_probabilities_are_right_is_green_and_one_twice_too_hopeful_is_red() -> None:
    frame = a_frame(MODEL, 3000)
    levels = {}
    for odds in (1.0, 2.5):
        pack = validate(MODEL, frame, outcomes(MODEL, frame, 2, odds), n_resamples=20)
        levels[odds] = {f["what"]: f["light"] for f in pack.findings}
    assert levels[1.0]["level of default"] == levels[1.0]["calibration by grade"] == "green"
    assert levels[2.5]["level of default"] == levels[2.5]["calibration by grade"] == "red"


def test_another_population_is_seen_by_the_index() -> None:
    frame, y = a_sample(MODEL, 1000, 0, income=30.0)
    pack = validate(MODEL, frame, y, development=a_sample(MODEL, 1000, 1), n_resamples=20)
    (finding,) = (f for f in pack.findings if f["what"] == "CSI of the columns")
    assert finding["light"] == "red" and "income" in finding["text"]
    assert pack.facts["outcomes"]["stability"]["columns"][0]["name"] == "income"


def test_the_fall_of_the_auc_is_from_out_of_fold_where_the_file_tells_it() -> None:
    frame, y = a_sample(MODEL, 1000, 0)
    development = a_sample(MODEL, 1000, 1)
    now = validate(MODEL, frame, y, n_resamples=20).facts["outcomes"]["discrimination"]["measures"]
    level = now["auc"]["value"]
    for told, source, light in ((None, "in sample", "green"), (level + 0.2, "out of fold", "red"),
                                (level, "out of fold", "green"), ("high", "in sample", "green")):  # fmt: skip
        measures = {} if told is None else {"measures": {"auc": told}}
        program = replace(MODEL.program, provenance={**MODEL.program.provenance, **measures})
        pack = validate(CreditModel(program), frame, y, development=development, n_resamples=20)
        found = pack.facts["outcomes"]["discrimination"]
        (finding,) = (f for f in pack.findings if f["what"] == "fall of the AUC")
        assert found["development_auc_source"] == source and source in finding["text"]
        assert finding["light"] == light
        if source == "out of fold":
            assert found["development_auc"]["value"] == told
            assert "Hanley" in found["development_auc"]["method"]


def test_what_was_not_given_is_said_in_its_place_and_among_the_limitations() -> None:
    pack = a_pack(400)
    for part in ("stability", "over_time", "migration"):
        assert "not_computed" in pack.facts["outcomes"][part]
    assert pack.facts["challengers"] == {"not_computed": "no challengers were given"}
    text = " ".join(pack.facts["limitations"])
    assert "No rows of the development were given" in text and "challengers" in text


def test_fields_of_people_are_blank_unless_people_filled_them(full: ValidationPack) -> None:
    stated = {f["key"]: f["text"] for f in full.facts["statements"]}
    assert stated.pop("model_owner") == "Retail risk" and set(stated.values()) == {""}
    with pytest.raises(DataError, match="statements of"):
        a_pack(statements={"owner": "me"})


def test_annex_iv_is_walked_item_by_item_and_owns_what_is_missing(full: ValidationPack) -> None:
    items = full.facts["annex_iv"]
    assert [i["item"] for i in items] == list(range(1, 10))
    assert all(i["not_covered"] for i in items)
    assert all(set(i["sections"]) <= set(HEADINGS) for i in items)
    assert {i["item"] for i in items if i["covered"] == "no"} == {5, 6, 7, 8}


def test_lineage_holds_hashes_of_files_rows_model_and_policy(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_bytes(b"a,b\n1,2\n")
    facts = a_pack(400, data_files={"validation": data}).facts["lineage"]
    assert facts["files"]["validation"]["sha256"] == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert (facts["model_id"], facts["policy_id"]) == (MODEL.id, MODEL.policy_id)
    assert facts["file_sha256"] == hashlib.sha256(MODEL.dumps()).hexdigest()
    assert facts["versions"]["numpy"] == np.__version__
    other = a_pack(401).facts["lineage"]
    assert other["samples"]["validation"] != facts["samples"]["validation"]


def test_challengers_stand_beside_the_model_on_the_same_rows(full: ValidationPack) -> None:
    models = full.facts["challengers"]["models"]
    assert [m["name"] for m in models] == ["this model", "two columns"]
    assert models[1]["lead"]["difference"]["value"] == pytest.approx(
        models[1]["auc"]["value"] - models[0]["auc"]["value"]
    )
    lead = models[0]["brier"]["value"] - models[1]["brier"]["value"]
    assert models[1]["brier_lead"]["value"] == pytest.approx(lead)


def test_a_challenger_that_knows_more_is_a_finding() -> None:
    frame, y = a_sample(MODEL, 1000)

    class Prophet:
        def predict_proba(self, table: Any) -> Any:
            p = np.clip(0.8 * y + 0.1, 0, 1)
            return np.stack([1 - p, p], axis=1)

    pack = validate(MODEL, frame, y, challengers={"prophet": Prophet()}, n_resamples=20)
    (finding,) = (f for f in pack.findings if f["what"] == "challengers")
    assert finding["light"] == "red" and "best of them, prophet" in finding["text"]


def test_challengers_by_name_learn_from_the_development(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, list[str]]] = []

    class Rival(Additive):
        def fit(self, frame: Any, y: Any) -> "Rival":
            told.append((self.name, list(frame.columns)))
            super().fit(frame, y)
            return self

    def make(name: str, **options: Any) -> Rival:
        rival = Rival()
        rival.name = name
        return rival

    monkeypatch.setattr(challengers, "make", make)
    pack = a_pack(400, development=a_sample(MODEL, 600, 1), challengers=["woe", "lightgbm"])
    names = [m["name"] for m in pack.facts["challengers"]["models"]]
    assert names == ["this model", "logistic WoE scorecard", "LightGBM, tuned"]
    columns = [c.name for c in MODEL.program.columns]
    assert told == [("woe_logistic", columns), ("lightgbm", columns)]


def test_challengers_need_rows_to_learn_from_and_the_manners_of_one() -> None:
    with pytest.raises(DataError, match="trained on rows of the development"):
        a_pack(400, challengers=["woe"])
    with pytest.raises(DataError, match="has none"):
        a_pack(400, challengers={"x": object()})


def test_a_challenger_of_another_shape_is_refused() -> None:
    class Odd:
        def predict_proba(self, table: Any) -> Any:
            return np.full(400, 0.5)

    with pytest.raises(DataError, match="two probabilities a row"):
        a_pack(400, challengers={"odd": Odd()})


def test_promised_trends_are_proved_refuted_or_read_from_a_certificate() -> None:
    column = max((c for c in MODEL.form.columns if c.n_ordered > 1), key=lambda c: c.n_ordered).name
    for sign in (1, -1):
        model = a_model(trends={column: sign})
        frame, y = a_sample(model, 400)
        pack = validate(model, frame, y, n_resamples=20)
        (proof,) = pack.facts["soundness"]["proofs"]
        (finding,) = (f for f in pack.findings if f["what"] == "promised trends")
        assert finding["light"] == {"proved": "green", "refuted": "red"}.get(
            proof["verdict"], "amber"
        )
        certificate = certify(model.program, {column: sign})
        again = validate(model, frame, y, n_resamples=20, certificate=certificate)
        assert again.facts["soundness"]["certificate"] == certificate.id
        assert again.facts["soundness"]["proofs"][0]["verdict"] == proof["verdict"]
    other = a_model(5)
    frame, y = a_sample(other, 400)
    with pytest.raises(ProgramError, match="certificate is of program"):
        validate(other, frame, y, n_resamples=20, certificate=certificate)


def test_a_given_scale_is_used_and_a_correlation_softens_the_binomial() -> None:
    scale = MasterScale((0.02, 0.05))
    plain = a_pack(scale=scale).facts["outcomes"]["grades"]
    soft = a_pack(scale=scale, asset_correlation=0.15).facts["outcomes"]["grades"]
    assert plain["scale"] == {"bounds": [0.02, 0.05], "is_given": True}
    assert [g["binomial"] for g in soft["grades"]] != [g["binomial"] for g in plain["grades"]]
    assert [g["jeffreys"] for g in soft["grades"]] == [g["jeffreys"] for g in plain["grades"]]


def test_outcomes_may_be_the_classes_of_the_program() -> None:
    frame, y = a_sample(MODEL, 400)
    words = np.array(["good", "bad"])[y]
    assert (
        validate(MODEL, frame, words, n_resamples=20).facts["outcomes"]
        == (validate(MODEL, frame, y, n_resamples=20).facts["outcomes"])
    )


def test_progress_is_told_and_the_file_is_the_json(tmp_path: Path) -> None:
    told: list[str] = []
    pack = a_pack(400, progress=told.append)
    assert "outcomes" in told
    pack.write(tmp_path / "pack.json")
    assert json.loads((tmp_path / "pack.json").read_text()) == pack.facts


@pytest.mark.parametrize(("options", "says"), [
    ({"n_resamples": 5}, "at least 20 resamples"),
    ({"jurisdiction": "atlantis"}, "a jurisdiction is one of"),
    ({"stresses": ["income"]}, "column=shock"),
    ({"groups": {"g": [1]}}, "values expected"),
    ({"dates": ["x"] * 399 + [None]}, "a date for each|periods"),
])  # fmt: skip
def test_options_that_do_not_fit_are_refused(options: dict, says: str) -> None:
    if "dates" in options:
        options = {"dates": [f"wave {k}" for k in range(400)]}
    with pytest.raises(DataError, match=says):
        a_pack(400, **options)


def test_one_kind_of_outcome_cannot_be_validated() -> None:
    with pytest.raises(DataError, match="one kind only"):
        validate(MODEL, a_frame(MODEL, 50), np.zeros(50), n_resamples=20)


# ---- thresholds


def test_lights_turn_at_their_thresholds() -> None:
    assert [above(v, (0.1, 0.25)) for v in (0.1, 0.2, 0.3)] == ["green", "amber", "red"]
    assert [below(v, (0.7, 0.6)) for v in (0.7, 0.65, 0.5)] == ["green", "amber", "red"]
    assert worst(["green", "red", "amber"]) == "red" and worst([]) == "green"


def test_thresholds_can_be_changed_and_the_pack_says_so() -> None:
    strict = Thresholds(auc=(0.99, 0.98))
    pack = a_pack(400, thresholds=strict)
    (finding,) = (f for f in pack.findings if f["what"] == "discrimination")
    assert finding["light"] == "red" and pack.light == "red"
    assert pack.facts["summary"]["thresholds"]["auc"] == [0.99, 0.98]
    assert Thresholds.from_spec(strict.spec()) == strict
    assert {f.name for f in fields(Thresholds)} == set(strict.spec())


@pytest.mark.parametrize(
    "spec", [{"auc": 0.7}, {"auc": [0.7]}, {"auc": ["a", "b"]}, {"auk": [1, 2]}]
)
def test_thresholds_that_are_no_pairs_are_refused(spec: dict) -> None:
    with pytest.raises(DataError, match="threshold"):
        Thresholds.from_spec(spec)


def test_a_finding_is_json() -> None:
    spec = Finding("outcomes", "x", "green", float("inf"), None, None, "t").spec()
    assert json.loads(json.dumps(spec, allow_nan=False))["value"] is None
