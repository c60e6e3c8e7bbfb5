"""Expected credit loss: laws, closed forms, stages, and the command from a file to a table."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import typer
from credit_panels import NAMES, simulated_panel
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bimetal.cli.credit.ifrs9 import ifrs9
from bimetal.errors import DataError
from bimetal.finance.credit.hazard import HazardModel
from bimetal.finance.credit.ifrs9 import allowance, amortised, expected_loss
from bimetal.finance.credit.panel import read_panel
from bimetal.finance.credit.provision import Accounts, provision
from bimetal.finance.credit.scenarios import Scenario
from bimetal.finance.credit.staging import Sicr, stages
from bimetal.finance.credit.term_structure import term_structure

SEEDS = st.integers(0, 2**32 - 1)


def draw(seed: int) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    n, months = int(rng.integers(1, 6)), int(rng.integers(13, 60))
    curve = term_structure(rng.random((n, months)) ** 5)
    return curve, rng.random(n), rng.uniform(0, 1e5, n), rng.uniform(-0.01, 0.3, n)


def by_hand(curve: Any, lgd: Any, ead: Any, rate: Any, months: int) -> list[float]:
    return [
        sum(
            curve.marginal[i, t] * lgd[i] * ead[i] * (1 + rate[i]) ** (-(t + 1) / 12)
            for t in range(months)
        )
        for i in range(len(lgd))
    ]


@settings(deadline=None)
@given(seed=SEEDS)
def test_the_sum_is_the_one_of_the_standard(seed: int) -> None:
    curve, lgd, ead, rate = draw(seed)
    year = expected_loss(curve, lgd, ead, rate)
    lifetime = expected_loss(curve, lgd, ead, rate, horizon="lifetime")
    np.testing.assert_allclose(year, by_hand(curve, lgd, ead, rate, 12))
    np.testing.assert_allclose(lifetime, by_hand(curve, lgd, ead, rate, curve.n_months))
    assert (year <= lifetime + 1e-9).all()
    np.testing.assert_array_equal(expected_loss(curve.marginal, lgd, ead, rate), year)


@settings(deadline=None)
@given(seed=SEEDS, factor=st.floats(0, 1))
def test_loss_is_linear_in_lgd_and_exposure_and_falls_with_the_rate(
    seed: int, factor: float
) -> None:
    curve, lgd, ead, rate = draw(seed)
    base = expected_loss(curve, lgd, ead, rate, horizon="lifetime")
    for less in ((lgd * factor, ead), (lgd, ead * factor)):
        np.testing.assert_allclose(
            expected_loss(curve, *less, rate, horizon="lifetime"), factor * base, atol=1e-9
        )
    dearer = expected_loss(curve, lgd, ead, rate + 0.05, horizon="lifetime")
    assert (dearer <= base + 1e-9).all()


@given(h=st.floats(0.0001, 0.2), r=st.floats(0, 0.5), months=st.integers(1, 120))
def test_a_constant_hazard_has_the_closed_form(h: float, r: float, months: int) -> None:
    """Σ (1 − h)^(t−1) h v^t = h v (1 − q^T) / (1 − q), with v = (1 + r)^(−1/12) and q = (1 − h) v."""
    found = expected_loss(
        term_structure(np.full((1, months), h)), 0.4, 1_000, r, horizon="lifetime"
    )
    v = (1 + r) ** (-1 / 12)
    q = (1 - h) * v
    assert found[0] == pytest.approx(400 * h * v * (1 - q**months) / (1 - q), rel=1e-9)


def test_numbers_by_month_are_taken_month_by_month() -> None:
    curve = term_structure([[0.1, 0.1], [0.1, 0.1]])
    ead = np.array([[100.0, 50.0], [200.0, 0.0]])
    lgd = np.array([[0.5, 1.0], [0.25, 0.25]])
    found = expected_loss(curve, lgd, ead, 0.0, horizon="lifetime")
    np.testing.assert_allclose(found, [0.1 * 50 + 0.09 * 50, 0.1 * 50])


@settings(deadline=None)
@given(
    balance=st.floats(1, 1e6), rate=st.floats(-0.02, 0.4), left=st.integers(1, 60), extra=st.integers(0, 5)
)  # fmt: skip
def test_a_balance_is_paid_down_by_equal_instalments(
    balance: float, rate: float, left: int, extra: int
) -> None:
    found = amortised(balance, rate, left, left + extra)[0]
    monthly = (1 + rate) ** (1 / 12) - 1
    paid = found * (1 + monthly) - np.r_[found[1:], 0.0]
    np.testing.assert_allclose(paid[:left], paid[0], rtol=1e-6)
    assert found[0] == pytest.approx(balance)
    assert (np.diff(found) <= 1e-9 * balance).all()
    assert (found[left:] == 0).all()


@given(
    now=st.floats(0, 1), then=st.floats(0, 1), late=st.integers(0, 120), worse=st.floats(0, 1),
    later=st.integers(0, 60),
)  # fmt: skip
def test_more_risk_or_more_days_never_mean_a_lower_stage(
    now: float, then: float, late: int, worse: float, later: int
) -> None:
    before = stages([now], [then], days_past_due=late)[0]
    assert stages([now + (1 - now) * worse], [then], days_past_due=late)[0] >= before
    assert stages([now], [then], days_past_due=late + later)[0] >= before
    assert stages([now], [then * worse], days_past_due=late)[0] >= before
    assert stages([now], [then], days_past_due=late, is_impaired=True)[0] == 3


def test_stages_are_those_of_the_rule() -> None:
    now = [0.019, 0.02, 0.0009, 0.30, 0.01, 0.01, 0.01]
    then = [0.01, 0.01, 0.0001, 0.29, 0.01, 0.01, 0.01]
    days = [0, 0, 0, 0, 30, 31, 90]
    assert stages(now, then, days_past_due=days).tolist() == [1, 2, 1, 1, 1, 2, 3]
    exempt = Sicr(low_risk=0.03)
    assert stages(now, then, days_past_due=days, rule=exempt).tolist() == [1, 1, 1, 1, 1, 2, 3]
    strict = Sicr(ratio=1.0, increase=0.0, backstop_days=0, default_days=60)
    assert stages(now, then, days_past_due=days, rule=strict).tolist() == [2, 2, 2, 2, 2, 2, 3]


@settings(deadline=None)
@given(seed=SEEDS)
def test_an_allowance_rises_with_the_stage_and_cecl_is_never_less(seed: int) -> None:
    curve, lgd, ead, rate = draw(seed)
    rate = np.abs(rate)
    n = len(lgd)
    one, two, three = (
        allowance(np.full(n, stage), curve, lgd, ead, rate).amount for stage in (1, 2, 3)
    )
    assert (one <= two + 1e-9).all()
    assert (two <= three + 1e-6).all()  # at rates of 0 and above, and exposures that do not grow
    np.testing.assert_array_equal(
        allowance(np.ones(n), curve, lgd, ead, rate, standard="cecl").amount, two
    )


def test_the_table_adds_up() -> None:
    rng = np.random.default_rng(0)
    stage = rng.integers(1, 3, 50)  # nobody in stage 3
    curve = term_structure(np.full((50, 24), 0.01))
    found = allowance(stage, curve, 0.4, rng.uniform(1, 9, 50), 0.05)
    rows = found.table()
    for key in ("n", "ead", "allowance"):
        assert sum(row[key] for row in rows[:3]) == pytest.approx(rows[3][key])
    assert rows[2]["n"] == 0
    assert rows[2]["coverage"] is None
    assert rows[0]["n"] == (stage == 1).sum()


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, HazardModel]:
    panel = read_panel(simulated_panel(3, n=1_500), columns=["x"], **NAMES)
    return panel, HazardModel().fit(panel)


def accounts(n: int = 4, **change: Any) -> Accounts:
    x = np.linspace(-1, 1, n)[:, None].astype(np.float32)
    given = {
        "age": np.arange(n), "today": x, "origination": x, "lgd": 0.4, "ead": 1_000.0, "rate": 0.06,
        "months_left": np.arange(n) * 6 + 6,
    }  # fmt: skip
    return Accounts(**(given | change))


def test_nothing_worse_than_at_origination_is_stage_one(fitted: Any) -> None:
    found = provision(fitted[1], accounts())
    assert found.stage.tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(found.pd_now, found.pd_origination)
    assert (found.curve.marginal[0, 6:] == 0).all()


def test_a_worse_account_or_a_worse_outlook_is_stage_two(fitted: Any) -> None:
    x = np.zeros((4, 1), np.float32)
    moved = provision(fitted[1], accounts(today=x + 3, origination=x, months_left=24))
    assert moved.stage.tolist() == [2, 2, 2, 2]
    downturn = [Scenario("downturn", 1.0, shift=(1.5,))]
    assert (
        provision(
            fitted[1], accounts(today=x, origination=x, months_left=24), scenarios=downturn
        ).stage.tolist()
        == [2] * 4
    )


def test_the_weighted_allowance_is_the_mean_of_the_scenarios(fitted: Any) -> None:
    cases = [Scenario("good", 0.7, shift=(-0.2,)), Scenario("bad", 0.3, shift=(0.3,))]
    found = provision(fitted[1], accounts(), scenarios=cases)
    mean = 0.7 * found.by_scenario["good"] + 0.3 * found.by_scenario["bad"]
    assert found.allowance.amount.sum() == pytest.approx(mean)
    assert found.by_scenario["bad"] > found.by_scenario["good"]


def test_paying_down_lowers_the_lifetime_loss_and_an_account_in_default_owes_its_lgd(
    fitted: Any,
) -> None:
    flat = provision(fitted[1], accounts(), standard="cecl")
    paid = provision(fitted[1], accounts(), standard="cecl", is_amortising=True)
    assert (paid.allowance.amount < flat.allowance.amount).all()
    np.testing.assert_allclose(paid.allowance.ead, 1_000)
    lost = provision(
        fitted[1], accounts(is_impaired=[True, False, False, True], months_left=[0, 6, 6, 6])
    )
    assert lost.stage.tolist() == [3, 1, 1, 3]
    assert lost.allowance.amount[[0, 3]].tolist() == [400, 400]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_loss([0.1], 0.4, 1, 0), "shape"),
        (lambda: expected_loss([[1.1]], 0.4, 1, 0), "marginal PDs must be"),
        (lambda: expected_loss([[0.1]], 1.4, 1, 0), "lgd must be"),
        (lambda: expected_loss([[0.1]], 0.4, -1, 0), "ead must be"),
        (lambda: expected_loss([[0.1]], 0.4, [1, 2], 0), "ead: one number"),
        (lambda: expected_loss([[0.1]], 0.4, 1, -1), "rate must be above"),
        (lambda: expected_loss([[0.1]], 0.4, 1, np.nan), "rate must be finite"),
        (lambda: expected_loss([[0.1]], 0.4, 1, 0, horizon=0), "a horizon in months"),
        (lambda: amortised(-1, 0, 12, 12), "balance must be"),
        (lambda: amortised(1, -1, 12, 12), "rate must be above"),
        (lambda: amortised(1, 0, -1, 12), "months_left must be"),
        (lambda: stages([1.1], [0.1]), "pd_now must be"),
        (lambda: stages([0.1], [0.1], days_past_due=-1), "days_past_due must be"),
        (lambda: Sicr(ratio=0.5), "ratio of 1 or more"),
        (lambda: Sicr(backstop_days=90), "backstop_days < default_days"),
        (lambda: allowance([4], [[0.1]], 0.4, 1, 0), "stage 1, 2 or 3"),
        (lambda: allowance([1], [[0.1]], 0.4, 1, 0, standard="gaap"), "'ifrs9' or 'cecl'"),
        (lambda: provision(HazardModel(), accounts(months_left=0)), "months to maturity"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


def cli(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(ifrs9)
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    values = dict(simulated_panel(5, n=900).values)
    n = len(values["loan"])
    values["owed"] = rng.uniform(500, 5_000, n).round(2).tolist()
    values["late"] = (rng.choice([0, 10, 45], n, p=[0.8, 0.15, 0.05])).tolist()
    values["month"] = [f"{2023 + a // 12}-{a % 12 + 1:02d}" for a in values["age"]]
    for flag in ("default", "prepay"):
        values[flag] = [int(v) for v in values[flag]]
    path = tmp_path_factory.mktemp("panel") / "panel.parquet"
    parquet.write_table(pa.table(values), path)
    return path


def options(file: Path, *more: object) -> tuple[object, ...]:
    named = ("--id", "loan", "--age", "age", "--default", "default", "--prepay", "prepay")
    money = ("--lgd", "0.45", "--ead", "owed", "--rate", "0.07", "--dpd", "late")
    return (file, *named, *money, "--columns", "x", "--months-left", "24", *more)


def test_the_command_writes_curves_accounts_and_a_summary(file: Path, tmp_path: Path) -> None:
    cases = tmp_path / "scenarios.json"
    cases.write_text(
        '{"scenarios": [{"name": "base", "probability": 0.7}, '
        '{"name": "downturn", "probability": 0.3, "shift": [0.3, 0.6]}]}'
    )
    out, ledger = tmp_path / "curves.parquet", tmp_path / "accounts.csv"
    ran = cli(*options(file, "--scenarios", cases, "--out", out, "--accounts", ledger, "--json"))
    assert ran.exit_code == 0, ran.output
    values = json.loads(ran.stdout)
    assert json.loads(out.with_suffix(".json").read_text()) == values
    curves = parquet.read_table(out)
    n = values["reported"]["accounts"]
    assert curves.num_rows == n * 24
    marginal = curves["marginal_pd"].to_numpy().reshape(n, 24)
    survival = curves["survival"].to_numpy().reshape(n, 24)
    np.testing.assert_allclose(
        curves["cumulative_pd"].to_numpy().reshape(n, 24), marginal.cumsum(axis=1)
    )
    assert (np.diff(survival, axis=1) <= 0).all()
    assert curves["month"].to_pylist()[:24] == list(range(1, 25))
    total = sum(float(line.rsplit(",", 1)[1]) for line in ledger.read_text().splitlines()[1:])
    assert total == pytest.approx(values["stages"][-1]["allowance"])
    weighted = sum(case["probability"] * case["allowance"] for case in values["scenarios"])
    assert weighted == pytest.approx(total)
    stayed = {row["stage"]: row["n"] for row in values["stages"]}
    assert stayed["2"] > 0
    assert stayed["3"] == 0
    assert values["reported"]["defaulted_left_out"] == values["panel"]["defaults"]
    assert values["reported"]["repaid_left_out"] == values["panel"]["prepayments"]


def test_the_command_with_a_calendar_reports_the_latest_month_and_its_defaults(
    file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "curves.parquet"
    ran = cli(*options(file, "--month", "month", "--out", out, "--json"))
    assert ran.exit_code == 0, ran.output
    values = json.loads(ran.stdout)
    table = parquet.read_table(file)
    latest = table.filter(pa.compute.equal(table["month"], max(table["month"].to_pylist())))
    stays = [i for i, gone in enumerate(latest["prepay"].to_pylist()) if not gone]
    assert values["reported"]["accounts"] == len(stays)
    stage_3 = next(row for row in values["stages"] if row["stage"] == "3")
    assert stage_3["n"] == sum(latest["default"].take(stays).to_pylist())


def test_a_person_sees_a_table(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    ran = cli(*options(file, "--amortise", "--standard", "cecl", "--out", tmp_path / "c.parquet"))
    assert ran.exit_code == 0, ran.output
    assert "exposure" in ran.stdout
    assert "prepayments" in ran.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--standard", "gaap"), "--standard is ifrs9 or cecl"),
        (("--ead", "nowhere"), "--ead is a number or a column"),
        (("--lgd", "1.5"), "lgd must be finite and from 0 to 1"),
        (("--age", "months"), "no column 'months'"),
        (("--out", "no/such/folder/c.parquet"), "make it first"),
        (("--sicr-ratio", "0.2"), "ratio of 1 or more"),
        (("--months-left", "0"), "months to maturity"),
    ],
)
def test_the_command_says_what_is_wrong(
    more: Any, message: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = cli(*options(file, *more))
    assert ran.exit_code == 2
    assert message in " ".join(ran.output.split())
    assert not list(tmp_path.iterdir())
