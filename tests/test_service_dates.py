"""Applications that state dates: the service turns them into the numbers that the model reads."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from credit_models import toy_program

from bimetal.finance.credit.dates import DateSpec
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.policy import Policy
from bimetal.service.app import create_app
from bimetal.service.applications import Form
from bimetal.service.log import open_log
from bimetal.service.service import Service, Settings

DATES = (DateSpec("birth_date", "age", "years"),)
PROGRAM = toy_program(3, n_columns=7)
MODEL = CreditModel(PROGRAM, Policy(cutoff=56_000, dates=DATES, limits={"age": (18, 110)}))
FORM = Form(PROGRAM, MODEL.policy.limits, dates=MODEL.policy.dates)
APPLICATION: dict[str, Any] = {
    "income": 40.0, "birth_date": "1980-06-15", "amount": 30, "utilisation": 20.5, "enquiries": 1,
    "tenure": 60, "housing": "rent",
}  # fmt: skip
AS_OF = "2026-06-14"


def test_a_date_becomes_the_number_that_training_saw() -> None:
    row, warnings, errors = FORM.row(APPLICATION, "", AS_OF)
    assert (warnings, errors) == ([], [])
    assert row[1] == 45  # the birthday is tomorrow
    table = {name: [value] for name, value in APPLICATION.items()}
    assert np.array_equal(MODEL.rows(pa.table(table), AS_OF)[0], np.array(row, np.float32))


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"birth_date": "2027-01-01"}, "/birth_date"),
        ({"birth_date": "last year"}, "/birth_date"),
        ({"birth_date": 1980}, "/birth_date"),
        ({"birth_date": ["1980-06-15"]}, "/birth_date"),
        ({"age": 45}, "/age"),
        ({"birth_date": "2020-01-01"}, "/age"),  # six years old: beyond the policy's limits
    ],
)
def test_dates_that_do_not_fit_are_refused(given: dict[str, Any], pointer: str) -> None:
    _, _, errors = FORM.row(APPLICATION | given, "", AS_OF)
    assert [error["pointer"] for error in errors] == [pointer]


def test_a_date_left_out_is_named() -> None:
    short = {k: v for k, v in APPLICATION.items() if k != "birth_date"}
    _, _, errors = FORM.row(short, "/application", AS_OF)
    assert errors == [
        {"pointer": "/application/birth_date", "detail": "missing; a date (2026-11-28) expected"}
    ]


async def answers(folder: Path) -> list[httpx.Response]:
    MODEL.save(folder / "cards.bimetal")
    log = open_log(f"{folder}/decisions.db")
    service = Service(Settings(str(folder), keys=None, log=""), log)
    await service.start()
    transport = httpx.ASGITransport(app=create_app(service))
    stream = io.BytesIO()
    table = pa.table({k: [v, v] for k, v in APPLICATION.items()})
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    arrow = {"Content-Type": "application/vnd.apache.arrow.stream"}
    base = "/v1/models/cards"
    async with httpx.AsyncClient(transport=transport, base_url="http://bank") as http:
        asked = {"application": APPLICATION, "as_of": AS_OF, "request_id": "one"}
        found = [
            await http.post(f"{base}/score", json=asked),
            await http.post(f"{base}/score", json={"application": APPLICATION}),
            await http.post(f"{base}/batch", json={"applications": [APPLICATION], "as_of": AS_OF}),
            await http.post(
                f"{base}/batch?as_of={AS_OF}", content=stream.getvalue(), headers=arrow
            ),
            await http.get(base),
        ]
    assert log.find("one")[0].record.as_of == AS_OF
    await service.stop()
    return found


def test_every_door_of_the_service_takes_dates(tmp_path: Path) -> None:
    import asyncio

    one, today, batch, stream, described = asyncio.run(answers(tmp_path))
    assert [r.status_code for r in (one, today, batch, stream, described)] == [200] * 5
    expected = MODEL.assess(np.array([FORM.row(APPLICATION, "", AS_OF)[0]], np.float32))
    assert one.json()["points"] == expected.points[0]
    assert batch.json()["results"][0]["points"] == expected.points[0]
    read = pa.ipc.open_stream(stream.content).read_all()
    assert read.column("points").to_pylist() == [expected.points[0]] * 2
    now = datetime.now(UTC).date().isoformat()
    assert (
        today.json()["points"]
        == MODEL.points(np.array([FORM.row(APPLICATION, "", now)[0]], "f4"))[0]
    )
    assert described.json()["dates"][0]["column"] == "birth_date"
