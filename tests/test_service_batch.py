"""Batches, as JSON and as Arrow streams: the same decisions, all or none, and nothing that breaks."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from credit_models import toy_model
from service_home import Client, Home, applications, in_service, problem_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_batch_is_answered_like_its_applications_one_by_one(home: Home) -> None:
    async def ask(client: Client) -> None:
        many = applications(home.model, 50)
        response = await client.http.post(
            "/v1/models/cards/batch", json={"applications": many, "request_id": "night"}
        )
        shown = response.json()
        assert response.status_code == 200
        assert [r["request_id"] for r in shown["results"]] == [f"night:{k}" for k in range(50)]
        for application, result in zip(many, shown["results"], strict=True):
            one = (await client.score(application)).json()
            assert result | {"request_id": ""} == one | {"request_id": ""}
        again = await client.http.post(
            "/v1/models/cards/batch", json={"applications": many, "request_id": "night"}
        )
        assert all(r["repeated"] for r in again.json()["results"])
        assert client.service.log.head()[0] == 100
        empty = await client.http.post("/v1/models/cards/batch", json={"applications": []})
        assert empty.json()["results"] == []

    in_service(home, ask)


def test_a_batch_with_one_bad_application_scores_none_and_names_the_field(home: Home) -> None:
    async def ask(client: Client) -> None:
        many = applications(home.model, 5)
        many[3]["age"] = 7
        response = await client.http.post("/v1/models/cards/batch", json={"applications": many})
        assert response.status_code == 422
        assert problem_of(response)["errors"][0]["pointer"] == "/applications/3/age"
        assert client.service.log.head()[0] == 0

    in_service(home, ask)


def stream_of(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=20)
    return bytes(sink.getvalue())


def table_of(many: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: [a[name] for a in many] for name in many[0]})


ARROW = "application/vnd.apache.arrow.stream"


def test_an_arrow_stream_is_answered_by_one_with_the_same_decisions(home: Home) -> None:
    async def ask(client: Client) -> None:
        many = applications(home.model, 50)
        as_json = await client.http.post(
            "/v1/models/cards/batch", json={"applications": many, "request_id": "a"}
        )
        housing = pa.array([a["housing"] for a in many]).dictionary_encode()
        for k, table in enumerate(
            (table_of(many), table_of(many).set_column(5, "housing", housing))
        ):
            response = await client.send(
                stream_of(table), f"/v1/models/cards/batch?request_id=s{k}&as_of=2026-01-02",
                content_type=ARROW,
            )  # fmt: skip
            assert response.status_code == 200
            assert response.headers["content-type"] == ARROW
            told = pa.ipc.open_stream(response.content).read_all()
            assert told.schema.metadata[b"bimetal.id"].decode() == home.model.id
            for row, result in zip(told.to_pylist(), as_json.json()["results"], strict=True):
                assert row["request_id"] == result["request_id"].replace("a:", f"s{k}:")
                for name in ("points", "score", "decision", "warnings"):
                    assert row[name] == result[name]
                assert [r["code"] for r in row["reasons"]] == [r["code"] for r in result["reasons"]]

    in_service(home, ask)


def hostile_streams(many: list[dict[str, Any]]) -> dict[str, tuple[bytes, int]]:
    good = table_of(many)
    whole = stream_of(good)
    nulls = pa.table({**{n: good[n] for n in good.column_names}, "age": pa.nulls(len(good))})
    long = good.set_column(5, "housing", pa.array(["x" * 5_000] * len(good)).dictionary_encode())
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([len(good)], pa.int32()), pa.array([40.0]))
    return {
        "noise": (b"\xff" * 400, 400),
        "empty": (b"", 400),
        "cut short": (whole[: len(whole) // 2], 400),
        "compressed": (stream_of(good, compression="zstd"), 400),
        "a length of nonsense": (whole[:4] + b"\xff\xff\xff\x7f" + whole[8:], 400),
        "a column of nothing": (stream_of(nulls), 422),
        "runs": (stream_of(good.set_column(1, "age", runs)), 422),
        "text for numbers": (
            stream_of(good.set_column(1, "age", pa.array(["41"] * len(good)))),
            422,
        ),
        "numbers for text": (
            stream_of(good.set_column(5, "housing", pa.array([1] * len(good)))),
            422,
        ),
        "a column too few": (stream_of(good.drop_columns(["age"])), 422),
        "a column too many": (stream_of(good.append_column("agee", good["age"])), 422),
        "a column twice": (stream_of(good.append_column("age", good["age"])), 422),
        "texts that are long": (stream_of(long), 413),
        "an impossible age": (
            stream_of(good.set_column(1, "age", pa.array([-3.0] * len(good)))),
            422,
        ),
        "beyond float32": (
            stream_of(good.set_column(2, "amount", pa.array([1e300] * len(good)))),
            422,
        ),
        "infinite": (stream_of(good.set_column(2, "amount", pa.array([np.inf] * len(good)))), 422),
    }


@pytest.mark.parametrize("what", hostile_streams(applications(toy_model(0), 30)))
def test_an_arrow_stream_that_is_not_what_it_should_be_is_refused(home: Home, what: str) -> None:
    body, status = hostile_streams(applications(home.model, 30))[what]

    async def ask(client: Client) -> None:
        response = await client.send(body, "/v1/models/cards/batch", content_type=ARROW)
        assert response.status_code == status, response.text
        problem_of(response)
        assert client.service.log.head()[0] == 0

    in_service(home, ask)


def test_a_flipped_bit_in_an_arrow_stream_never_breaks_the_service(home: Home) -> None:
    whole = stream_of(table_of(applications(home.model, 30)))
    rng = np.random.default_rng(0)

    async def ask(client: Client) -> None:
        for at, bit in zip(rng.integers(0, len(whole), 150), rng.integers(0, 8, 150), strict=True):
            broken = bytearray(whole)
            broken[at] ^= 1 << bit
            response = await client.send(
                bytes(broken), "/v1/models/cards/batch", content_type=ARROW
            )
            assert response.status_code in (200, 400, 413, 422)

    in_service(home, ask)


def test_batches_have_their_limits(home: Home) -> None:
    async def ask(client: Client) -> None:
        many = applications(home.model, 11)
        response = await client.http.post("/v1/models/cards/batch", json={"applications": many})
        assert response.status_code == 413
        response = await client.send(
            stream_of(table_of(many)), "/v1/models/cards/batch", content_type=ARROW
        )
        assert (response.status_code, problem_of(response)["type"][-5:]) == (413, "#rows")

    in_service(home, ask, limits={"batch_rows": 10})
