"""``bimetal credit explain``: contributions that add up, reasons with their texts, and clear errors."""

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import typer
from credit_models import toy_model, toy_table
from typer.testing import CliRunner

from bimetal.cli.credit.explain import MOST_ROWS, explain

app = typer.Typer()
app.command()(explain)

N = 40
GROUPS = {"means": ("income", "utilisation")}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    model = toy_model(0, groups=GROUPS, texts={"means": "Income [net] does not support the amount"})
    model.save("model.bimetal")
    data = toy_table(model.program, N, seed=3)
    data["application"] = [4700 + i for i in range(N)]
    data["branch"] = ["north"] * (N - 2) + ["south"] * 2
    with Path("data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(data)
        writer.writerows(zip(*data.values(), strict=True))
    parquet.write_table(pa.table(data), "data.parquet")
    return tmp_path


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def answer(*arguments: object) -> Any:
    done = cli("model.bimetal", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def error(*arguments: object) -> str:
    done = cli("model.bimetal", *arguments, "--json")
    assert done.exit_code == 2, done.output
    message: str = json.loads(done.stdout)["error"]["message"]
    return message


def test_numerators_add_up_to_the_points_and_agree_with_the_model() -> None:
    model = toy_model(0, groups=GROUPS)
    values = answer("data.csv", *(f"--row={n}" for n in range(20)))
    assert [one["row"] for one in values["applicants"]] == list(range(20))
    for one in values["applicants"]:
        total = sum(c["numerator"] for c in one["contributions"])
        assert total + values["base_numerator"] == one["points"] * values["denominator"]
        assert one["score"] == one["points"] / values["unit"]
        assert one["decision"] == model.policy.decide(one["points"])
        assert [c["numerator"] for c in one["contributions"]] == sorted(
            c["numerator"] for c in one["contributions"]
        )
    mean = Fraction(values["base_numerator"], values["denominator"])
    references = np.array(
        [[np.nan if v is None else v for v in row] for row in model.policy.references], np.float32
    )
    assert mean == Fraction(int(model.points(references).sum()), len(references))


def test_reasons_are_the_worst_groups_with_the_texts_of_the_policy() -> None:
    values = answer("data.csv", *(f"--row={n}" for n in range(N)))
    declined = [one for one in values["applicants"] if one["decision"] == "decline"]
    approved = [one for one in values["applicants"] if one["decision"] == "approve"]
    assert declined and approved
    for one in declined:
        worst = [c["group"] for c in one["contributions"] if c["numerator"] < 0][:4]
        assert [reason["group"] for reason in one["reasons"]] == worst
    assert not any(one["reasons"] for one in approved)
    texts = {r["group"]: r["text"] for one in declined for r in one["reasons"]}
    assert texts["means"] == "Income [net] does not support the amount"


def test_the_table_shows_score_cut_off_bars_and_reasons() -> None:
    values = answer("data.csv", *(f"--row={n}" for n in range(N)))
    one = next(one for one in values["applicants"] if one["decision"] == "decline")
    done = cli("model.bimetal", "data.csv", "--row", one["row"])
    assert done.exit_code == 0, done.output
    for text in (
        f"{one['score']:.2f} against a cut-off of {values['cutoff']:.2f}: decline",
        "█", "mean of 8 references", "add up exactly to the score minus the mean of the references",
        *(reason["text"] for reason in one["reasons"]),
    ):  # fmt: skip
        assert text in " ".join(done.output.split()), text


def test_an_approved_applicant_needs_no_reasons() -> None:
    values = answer("data.csv", *(f"--row={n}" for n in range(N)))
    row = next(one["row"] for one in values["applicants"] if one["decision"] == "approve")
    assert "No principal reasons: approved" in cli("model.bimetal", "data.csv", "--row", row).output


def test_an_applicant_is_found_by_id_in_any_kind_of_file() -> None:
    by_row = answer("data.csv", "--row", 7)["applicants"]
    assert answer("data.csv", "--id", "application=4707")["applicants"] == by_row
    assert answer("data.parquet", "--id", "application=4707")["applicants"] == by_row
    assert [one["row"] for one in answer("data.csv", "--id", "branch=south")["applicants"]] == [
        38,
        39,
    ]


def test_a_column_of_the_model_can_be_the_id() -> None:
    amount = toy_table(toy_model(0).program, N, seed=3)["amount"][5]
    for file in ("data.csv", "data.parquet"):
        assert 5 in [one["row"] for one in answer(file, "--id", f"amount={amount}")["applicants"]]


def test_the_first_row_is_explained_when_none_is_named() -> None:
    assert [one["row"] for one in answer("data.csv")["applicants"]] == [0]


def test_values_read_as_in_the_table() -> None:
    table = toy_table(toy_model(0).program, N, seed=3)
    for one in answer("data.csv", *(f"--row={n}" for n in range(N)))["applicants"]:
        values = {k: v for c in one["contributions"] for k, v in c["values"].items()}
        expected = {name: column[one["row"]] for name, column in table.items()}
        if expected["housing"] == "houseboat":
            expected["housing"] = "other"
        numbers = [k for k in expected if isinstance(expected[k], float)]
        assert {k: v for k, v in values.items() if k not in numbers} == {
            k: v for k, v in expected.items() if k not in numbers
        }
        np.testing.assert_array_equal(
            np.float32([values[k] for k in numbers]), np.float32([expected[k] for k in numbers])
        )


def test_what_the_policy_does_not_take_is_noted() -> None:
    values = answer("data.csv", *(f"--row={n}" for n in range(N)))
    noted = [one for one in values["applicants"] if one["problems"]]
    assert noted  # ages below 18, categories never seen
    output = " ".join(cli("model.bimetal", "data.csv", "--row", noted[0]["row"]).output.split())
    assert noted[0]["problems"][0] in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--row", 40), "has 40 rows, 0 to 39; there is no row 40"),
        (("--row", 3, "--row", 99), "no row 99"),
        (("--id", "application=1"), "no row of 'data.csv' has application=1"),
        (("--id", "application"), "--id expects column=value"),
        (("--id", "nobody=1"), "nobody"),
        (("--id", "branch=north"), f"at most {MOST_ROWS} expected"),
        (("--row", 1, "--id", "application=4707"), "either --row or --id"),
    ],
)
def test_what_is_not_there_is_said(arguments: tuple[object, ...], message: str) -> None:
    assert message in error("data.csv", *arguments)


def test_a_model_without_references_says_what_to_do() -> None:
    toy_model(0, references=()).save("bare.bimetal")
    done = cli("bare.bimetal", "data.csv", "--json")
    assert done.exit_code == 2 and "no references" in json.loads(done.stdout)["error"]["message"]


def test_a_table_without_a_column_is_refused() -> None:
    parquet.write_table(parquet.read_table("data.parquet").drop_columns(["income"]), "less.parquet")
    assert "income" in error("less.parquet")
