"""The phone asks for dates, and counts them back from today as training did."""

import datetime
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from credit_models import toy_model
from devtools import browser, served

from bimetal.errors import DataError
from bimetal.export.js.browser import CHROMIUM
from bimetal.export.js.places import NODE
from bimetal.export.tools import call
from bimetal.finance.credit.dates import DateSpec, elapsed
from bimetal.finance.credit.page.facts import facts_of
from bimetal.finance.credit.page.settings import PageSettings
from bimetal.finance.credit.page.writer import write_page

DATES = (DateSpec("birth_date", "age", "years"), DateSpec("since", "tenure", "months"))
MODEL = toy_model(3, n_columns=7, dates=DATES, limits={"age": (18, 110)})
SETTINGS = PageSettings(
    labels={"birth_date": "Date of birth"}, hints={"since": "First day at the present address"},
    example={"age": 40, "tenure": 30, "income": 50, "amount": 20, "utilisation": 30, "enquiries": 1, "housing": "rent"},
)  # fmt: skip
SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
const { countOf, dayBefore, readField } = await import("./values.js");
const { dates, today, fields } = JSON.parse(readFileSync("in.json", "utf8"));
const units = ["days", "months", "years"];
const counted = units.map((unit) => dates.map((text, i) => countOf(text, today[i], unit)));
const back = units.map((unit, u) => today.map((day, i) => countOf(dayBefore(i % 90, day, unit), day, unit).value));
const read = fields.map(([column, entry, day]) => readField(column, entry, day));
writeFileSync("out.json", JSON.stringify({ counted, back, read }));
"""


def said_by_the_page(folder: Path, given: dict[str, Any]) -> Any:
    values = files("bimetal.finance.credit.page") / "templates" / "values.js"
    (folder / "values.js").write_bytes(values.read_bytes())
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "run.mjs").write_text(SCRIPT)
    (folder / "in.json").write_text(json.dumps(given))
    call([str(NODE.find()), folder / "run.mjs"], folder)
    return json.loads((folder / "out.json").read_text())


@pytest.mark.skipif(NODE.find() is None, reason="node is not here")
def test_days_months_and_years_are_counted_as_in_python(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    edges = np.array(
        ["2024-02-29", "2023-02-28", "2024-01-31", "2024-03-01", "0099-12-31"], "M8[D]"
    )
    first = np.datetime64("1900-01-01", "D")
    drawn = [np.r_[first + rng.integers(0, 55_000, 2_000), edges, edges[::-1]] for _ in range(2)]
    then, today = np.minimum(*drawn), np.maximum(*drawn)
    given = {"dates": then.astype(str).tolist(), "today": today.astype(str).tolist(), "fields": []}
    said = said_by_the_page(tmp_path, given)
    for unit, counted, back in zip(("days", "months", "years"), said["counted"], said["back"], strict=True):  # fmt: skip
        assert [one["value"] for one in counted] == elapsed(then, today, unit).tolist()
        assert back == [i % 90 for i in range(len(then))]


COLUMN = {"kind": "number", "date": "years", "unit": "years", "isWhole": True, "least": 18, "greatest": 110,
          "bins": [], "name": "age"}  # fmt: skip
READ: dict[str, tuple[str, dict[str, Any]]] = {
    "a birthday today": ("2008-11-28", {"raw": 18, "value": 18, "shown": "18 years"}),
    "a birthday tomorrow": ("2008-11-29", {"problem": "must be between 18 and 110 years ago"}),
    "the future": ("2027-01-01", {"problem": "this date lies in the future"}),
    "nothing": ("", {"problem": "enter a date"}),
    "no day": ("2001-02-29", {"problem": "enter a date"}),
    "another spelling": ("28.11.2001", {"problem": "enter a date"}),
}


@pytest.mark.skipif(NODE.find() is None, reason="node is not here")
def test_a_date_is_read_or_its_problem_said(tmp_path: Path) -> None:
    fields = [[COLUMN, {"text": text, "choice": ""}, "2026-11-28"] for text, _ in READ.values()]
    said = said_by_the_page(tmp_path, {"dates": [], "today": [], "fields": fields})
    assert said["read"] == [expected for _, expected in READ.values()]


def test_a_date_has_the_words_of_its_own_column() -> None:
    columns = {column["name"]: column for column in facts_of(MODEL, SETTINGS)["columns"]}
    assert (columns["age"]["label"], columns["age"]["unit"]) == ("Date of birth", "years")
    assert (columns["tenure"]["label"], columns["tenure"]["hint"]) == (
        "Since",
        "First day at the present address",
    )
    assert columns["income"]["date"] is None
    with pytest.raises(DataError, match="birth_date"):
        facts_of(toy_model(3, n_columns=7), SETTINGS)


@pytest.mark.skipif(CHROMIUM.find() is None, reason="chromium is not here")
def test_an_applicant_enters_dates_and_is_scored_by_what_they_count(tmp_path: Path) -> None:
    write_page(MODEL, tmp_path / "page", SETTINGS)
    with browser(tmp_path / "profile") as page, served(tmp_path / "page") as (url, _):
        page.new_page()
        page.look("phone", "light")
        page.open(url + "/")
        page.run("document.querySelector('#example').click()")
        at = [column.name for column in MODEL.program.columns].index("age")
        today = datetime.date.fromisoformat(
            page.run("document.querySelector('input[type=date]').max")
        )
        field = f"document.querySelector('#field-{at}')"
        assert page.run(f"{field}.type") == "date"
        assert page.run(f"{field}.value") == str(today.replace(year=today.year - 40))
        page.run(f"{field}.value = '{today.year - 30}-01-01'")
        page.run("document.querySelector('#form').requestSubmit()")
        page.wait("document.activeElement.id === 'result-title'")
        values = dict(SETTINGS.example) | {"age": 30}
        row = MODEL.rows({name: [value] for name, value in values.items()})
        score = f"{MODEL.assess(row).score[0]:,.2f}".rstrip("0").rstrip(".")
        assert page.run("document.querySelector('.dial .score').textContent") == score
        assert page.complaints() == []
