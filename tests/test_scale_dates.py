"""Tables that state dates: the batch turns them into the numbers that training and the service read."""

import datetime
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from credit_models import toy_program
from pyarrow import csv, feather

from bimetal.errors import ColumnError, DataError
from bimetal.finance.credit.dates import DateSpec
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.policy import Policy
from bimetal.scale import score
from bimetal.tables import column_names, read_table

DATES = (DateSpec("birth_date", "age", "years"), DateSpec("since", "tenure", "months"))
PROGRAM = toy_program(3, n_columns=7)
MODEL = CreditModel(PROGRAM, Policy(cutoff=56_000, dates=DATES, limits={"age": (18, 110)}))
N = 300
DAY = datetime.date(2026, 11, 28)


def applications() -> dict[str, list[Any]]:
    rng = random.Random(0)
    return {
        "id": list(range(N)),
        "income": [rng.uniform(10, 90) for _ in range(N)],
        "birth_date": [DAY - datetime.timedelta(rng.randrange(7_000, 30_000)) for _ in range(N)],
        "amount": [float(rng.randrange(5, 80)) for _ in range(N)],
        "utilisation": [rng.uniform(0, 100) for _ in range(N)],
        "enquiries": [float(rng.randrange(5)) for _ in range(N)],
        "since": [DAY - datetime.timedelta(rng.randrange(4_000)) for _ in range(N)],
        "housing": [rng.choice(["rent", "own"]) for _ in range(N)],
        "asked": [DAY] * N,
    }


def as_text(given: dict[str, list[Any]]) -> dict[str, list[Any]]:
    dates = ("birth_date", "since", "asked")
    return {k: [str(v) for v in values] if k in dates else values for k, values in given.items()}


def stored(given: dict[str, list[Any]], path: Path) -> Path:
    table = pa.table(given)
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    elif path.suffix == ".arrow":
        feather.write_feather(table, path, chunksize=70)
    else:
        parquet.write_table(table, path, row_group_size=70)
    return path


def scored(path: Path, **options: Any) -> dict[str, list[Any]]:
    out = path.with_name("scores.parquet")
    score(MODEL, path, out, **options)
    found: dict[str, list[Any]] = read_table(out).to_pydict()
    return found


FORMS: dict[str, Any] = {
    "dates": lambda given: given,
    "text": as_text,
    "datetimes": lambda given: given | {
        "since": [datetime.datetime.combine(v, datetime.time(23, 59)) for v in given["since"]]
    },
    "moments with their zone": lambda given: given | {
        "since": [datetime.datetime.combine(v, datetime.time(12), datetime.UTC) for v in given["since"]]
    },
    "categories": lambda given: given | {
        "since": pa.array([str(v) for v in given["since"]]).dictionary_encode()
    },
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("as_of", ["2026-11-28", "asked"])
def test_a_batch_counts_as_the_model_does(
    tmp_path: Path, form: str, suffix: str, as_of: str
) -> None:
    given = applications()
    expected = MODEL.assess(MODEL.rows(pa.table(given), DAY))
    found = scored(stored(FORMS[form](given), tmp_path / f"in{suffix}"), as_of=as_of)
    assert found["points"] == [
        None if refused else points
        for points, refused in zip(
            expected.points.tolist(), [d == "refused" for d in found["decision"]], strict=True
        )
    ]
    assert sum(d != "refused" for d in found["decision"]) > N / 2
    assert all((p is None) == (d != "refused") for p, d in zip(found["problem"], found["decision"], strict=True))  # fmt: skip


@pytest.mark.parametrize("engine", ["local", "ray"])
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_engines_and_files_agree(tmp_path: Path, engine: str, suffix: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    options = {"engine": engine} | ({"workers": 2} if engine == "ray" else {})
    path = stored(as_text(applications()), tmp_path / f"in{suffix}")
    found = scored(path, as_of="asked", keep=["id", "since"], batch_rows=64, **options)
    rows = MODEL.rows(pa.table(applications()), DAY)
    points = MODEL.assess(rows).points.tolist()
    assert found["points"] == [
        None if d == "refused" else p for p, d in zip(points, found["decision"], strict=True)
    ]
    assert [str(v) for v in found["id"]] == [str(k) for k in range(N)]
    assert found["since"] == as_text(applications())["since"]


def test_numbers_are_taken_as_they_are_where_there_are_no_dates(tmp_path: Path) -> None:
    given = applications()
    rows = MODEL.rows(pa.table(given), DAY)
    names = [column.name for column in PROGRAM.columns]
    plain = {k: v for k, v in given.items() if k in names}
    plain |= {name: rows[:, names.index(name)].astype(float).tolist() for name in ("age", "tenure")}
    found = scored(stored(plain, tmp_path / "in.parquet"))
    assert [p for p in found["points"] if p is not None] == [
        p
        for p, d in zip(MODEL.points(rows).tolist(), found["decision"], strict=True)
        if d != "refused"
    ]


def test_a_wrong_date_refuses_its_row_and_no_other(tmp_path: Path) -> None:
    given = as_text(applications())
    for row, value in ((3, "2027-01-01"), (5, "31/12/1980"), (7, "0000-00-00")):
        given["since"][row] = value
    given["asked"][9] = None
    given["asked"][11] = "today"
    path = stored(given, tmp_path / "in.parquet")
    clean = scored(stored(as_text(applications()), tmp_path / "clean.parquet"), as_of="asked")
    found = scored(path, as_of="asked", batch_rows=100)
    problems = {
        3: "since: a date not after 2026-11-28 expected, got 2027-01-01",
        5: "since: a date such as 2026-01-31 expected, got '31/12/1980'",
        7: "since: a date such as 2026-01-31 expected, got '0000-00-00'",
        9: "asked: the day of the application expected, to count back from",
        11: "asked: a date such as 2026-01-31 expected, got 'today'",
    }
    for row in range(N):
        if row in problems:
            assert found["decision"][row] == "refused"
            assert found["problem"][row] == problems[row]
            assert found["points"][row] is None
        else:
            assert found["points"][row] == clean["points"][row]


def test_a_missing_date_is_a_missing_number(tmp_path: Path) -> None:
    given = applications()
    given["since"][0] = None
    found = scored(stored(given, tmp_path / "in.parquet"), as_of=str(DAY))
    rows = MODEL.rows(pa.table(given), DAY)
    assert np.isnan(rows[0, [c.name for c in PROGRAM.columns].index("tenure")])
    is_refused = found["decision"][0] == "refused"
    assert found["points"][0] == (None if is_refused else int(MODEL.points(rows[:1])[0]))


def without(name: str) -> dict[str, list[Any]]:
    return {k: v for k, v in applications().items() if k != name}


BAD: dict[str, tuple[dict[str, list[Any]], str | None, type[DataError], str]] = {
    "no day": (applications(), None, DataError, "give as_of"),
    "a day of nonsense": (applications(), "yesterday", DataError, "a column of the table"),
    "no dates": (without("since"), "asked", ColumnError, "no column of dates \\[since\\]"),
    "a date and its number": (
        applications() | {"tenure": [1.0] * N}, "asked", ColumnError, "beside their dates"
    ),
    "numbers for dates": (
        applications() | {"since": [20_200_101] * N}, "asked", ColumnError, "must hold dates"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_table_without_the_dates_it_needs_leaves_nothing(tmp_path: Path, case: str) -> None:
    given, as_of, error, message = BAD[case]
    path = stored(given, tmp_path / "in.parquet")
    with pytest.raises(error, match=message) as caught:
        scored(path, as_of=as_of)
    assert str(caught.value).count("in.parquet") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


def test_a_day_is_for_models_that_count_from_dates(tmp_path: Path) -> None:
    path = stored(applications(), tmp_path / "in.parquet")
    plain = CreditModel(PROGRAM, Policy(cutoff=56_000))
    for model in (plain, PROGRAM):
        with pytest.raises(DataError, match="counts from dates"):
            score(model, path, tmp_path / "out.parquet", as_of="2026-11-28")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_names_of_columns_are_read_without_the_rows(tmp_path: Path, suffix: str) -> None:
    given = as_text(applications())
    assert column_names(stored(given, tmp_path / f"in{suffix}")) == list(given)
