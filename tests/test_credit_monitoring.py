"""Monitoring: quiet when nothing has moved, loud when something has, and the profile holds no rows."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from credit_samples import a_frame, a_model, a_sample, outcomes

from bimetal import metrics
from bimetal.errors import DataError, FormatError
from bimetal.finance.credit.monitoring import EXIT_CODES, Monitoring, monitor
from bimetal.finance.credit.profile import Profile
from bimetal.finance.credit.validation import Thresholds

MODEL = a_model()
FRAME, Y = a_sample(MODEL, 2500)
PROFILE = Profile.of(MODEL, FRAME, Y)


def lights(seen: Monitoring) -> dict[str, str]:
    return {f["what"]: f["light"] for f in seen.findings}


def text_of(seen: Monitoring, what: str) -> str:
    return next(f["text"] for f in seen.findings if f["what"] == what)


def test_the_same_population_is_green_but_for_chance() -> None:
    seen = [monitor(MODEL, PROFILE, a_frame(MODEL, 1500, seed)).light for seed in range(1, 41)]
    assert "red" not in seen
    assert seen.count("amber") <= 2  # of 200 seeds, two are


def test_the_very_rows_of_the_reference_have_moved_nowhere() -> None:
    seen = monitor(MODEL, PROFILE, FRAME, Y)
    shifts = seen.facts["shifts"]
    assert [s["index"] for s in (shifts["score"], *shifts["columns"])] == [0.0] * 7
    assert seen.facts["decisions"]["now"] == seen.facts["decisions"]["before"]
    assert seen.facts["outcomes"]["auc_test"]["p_value"] == 1
    assert (seen.light, seen.exit_code) == ("green", 0)


def test_a_shifted_column_is_found_and_only_that_one() -> None:
    found = lights(monitor(MODEL, PROFILE, a_frame(MODEL, 1500, 3, income=25.0)))
    assert found["CSI of income"] == "red"
    assert {found[f"CSI of {c}"] for c in ("age", "amount", "housing")} == {"green"}


def test_new_categories_missing_values_and_limits_are_found() -> None:
    frame = a_frame(MODEL, 1000, 3)
    frame.loc[:99, "housing"] = "houseboat"
    frame.loc[:249, "enquiries"] = np.nan
    frame.loc[:29, "age"] = 12
    seen = monitor(MODEL, PROFILE, frame)
    found = lights(seen)
    assert found["unseen in housing"] == found["missing in enquiries"] == "red"
    assert found["beyond limits"] == "amber" and "30 of 1,000" in text_of(seen, "beyond limits")
    assert "10.00%" in text_of(seen, "unseen in housing")


def test_a_new_cutoff_moves_approvals_and_the_policies_are_named() -> None:
    stricter = a_model(cutoff=MODEL.policy.cutoff + 1500)
    seen = monitor(stricter, PROFILE, a_frame(MODEL, 1500, 3))
    assert lights(seen)["approval rate"] == "red"
    assert seen.facts["policy_id"] != seen.facts["policy_id_of_reference"] == MODEL.policy_id


def test_more_defaults_than_expected_are_red_and_the_ranking_is_judged_apart() -> None:
    frame = a_frame(MODEL, 2500, 4)
    found = lights(monitor(MODEL, PROFILE, frame, outcomes(MODEL, frame, 4, odds=2.5)))
    assert found["level of default"] == found["calibration by grade"] == "red"
    assert found["fall of the AUC"] == "green"
    noise = np.random.default_rng(0).permutation(outcomes(MODEL, frame, 4))
    assert lights(monitor(MODEL, PROFILE, frame, noise))["fall of the AUC"] == "red"


def test_outcomes_that_are_not_known_yet_are_left_out() -> None:
    y = Y.astype(object)
    y[1000:] = None
    seen = monitor(MODEL, PROFILE, FRAME, y)
    points = MODEL.points(MODEL.rows(FRAME))[:1000]
    assert seen.facts["outcomes"]["n"] == 1000
    assert seen.facts["outcomes"]["auc"]["value"] == pytest.approx(metrics.auc(Y[:1000], -points))
    none = monitor(MODEL, PROFILE, FRAME, [None] * len(Y))
    assert none.facts["outcomes"] == {"not_computed": "no outcome is known yet"}
    few = monitor(MODEL, PROFILE, FRAME[:20], Y[:20])
    assert few.facts["outcomes"]["auc"] is None and "fewer than 10" in few.facts["outcomes"]["note"]


def test_a_reference_may_be_a_profile_a_table_or_a_table_with_outcomes() -> None:
    frame = a_frame(MODEL, 800, 5)
    y = outcomes(MODEL, frame, 5)
    by_profile, by_pair = (monitor(MODEL, r, frame, y) for r in (PROFILE, (FRAME, Y)))
    assert by_profile.findings == by_pair.findings
    by_table = monitor(MODEL, FRAME, frame, y)
    assert by_table.facts["shifts"] == by_pair.facts["shifts"]
    assert "no outcomes" in by_table.facts["outcomes"]["note"]


def test_exit_codes_are_the_lights() -> None:
    assert EXIT_CODES == {"green": 0, "amber": 3, "red": 4}
    frame = a_frame(MODEL, 800, 3, income=25.0)
    lax = Thresholds(csi=(0.0, 9.0), psi=(9.0, 9.0), approval=(1.0, 1.0))
    assert monitor(MODEL, PROFILE, frame, thresholds=lax).exit_code == 3


def test_what_was_seen_is_finite_json() -> None:
    seen = monitor(MODEL, PROFILE, FRAME, Y)
    assert json.loads(seen.json()) == seen.facts
    assert seen.facts["schema"] == {"name": "bimetal.credit.monitoring", "version": 1}


# ---- the profile


def test_a_profile_is_read_as_it_was_written_and_says_the_same(tmp_path: Path) -> None:
    PROFILE.write(tmp_path / "p.json")
    read = Profile.read(tmp_path / "p.json")
    assert read.json() == PROFILE.json()
    frame = a_frame(MODEL, 500, 6)
    assert monitor(MODEL, read, frame).findings == monitor(MODEL, PROFILE, frame).findings


def test_a_profile_counts_every_row_once_and_holds_none() -> None:
    assert PROFILE.score.counts.sum() == PROFILE.n == sum(PROFILE.decisions.values())
    assert {int(c.counts.sum()) for c in PROFILE.columns} == {PROFILE.n}
    assert len(PROFILE.json()) < 10_000 and PROFILE.outcomes.n_bad == Y.sum()
    assert math.isclose(PROFILE.outcomes.auc, metrics.auc(Y, -MODEL.points(MODEL.rows(FRAME))))


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(PROFILE.json()), **values})


@pytest.mark.parametrize(("text", "kind"), [
    ("[1]", FormatError), ('{"schema": 1}', DataError), (changed(schema={"name": "x"}), DataError),
    (changed(n="many"), DataError), (changed(columns=[{}]), DataError), (changed(outcomes={"n": 1}), DataError),
    (changed(score={**json.loads(PROFILE.json())["score"], "counts": [1]}), DataError),
    (changed(decisions=3), DataError),
])  # fmt: skip
def test_a_damaged_profile_is_refused(tmp_path: Path, text: str, kind: type[Exception]) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(kind):
        Profile.read(path)


def test_a_profile_of_another_model_is_refused() -> None:
    with pytest.raises(DataError, match="profile is of model"):
        monitor(a_model(3), PROFILE, FRAME)


def test_a_profile_that_counts_other_columns_is_refused() -> None:
    odd = replace(PROFILE, columns=PROFILE.columns[::-1])
    with pytest.raises(DataError, match="other columns"):
        monitor(MODEL, odd, FRAME)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: Profile.of(MODEL, FRAME[:0]), "got none"),
    (lambda: monitor(MODEL, PROFILE, FRAME[:0]), "got none"),
    (lambda: monitor(MODEL, PROFILE, FRAME, [0, 1]), "one outcome for each"),
    (lambda: monitor(MODEL, PROFILE, FRAME, ["x"] * len(FRAME)), "outcomes of 0"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(call, says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()


def test_outcomes_of_pandas_with_its_own_missing_mark_are_read() -> None:
    y = pd.Series(Y).astype("Int64")
    y[:10] = pd.NA
    assert monitor(MODEL, PROFILE, FRAME, y).facts["outcomes"]["n"] == len(Y) - 10
