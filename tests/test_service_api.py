"""The endpoints: what is answered, what is refused, and that nothing is answered before it is durable."""

import asyncio
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from credit_models import toy_model, toy_program
from service_home import Client, Home, applications, in_service, problem_of, require_no_internals
from test_credit_page_verify import parts_of, signed, some_row

from bimetal.format import save
from bimetal.service.audit import replay
from bimetal.service.log.verifying import verify


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def expected(home: Home, application: dict[str, Any]) -> tuple[int, float, float, str]:
    values = np.empty((1, len(application)), object)
    values[0] = [application[c.name] for c in home.model.program.columns]
    found = home.model.assess(home.model.rows(values))
    return (int(found.points[0]), float(found.score[0]), float(found.probability[0]),
            str(found.decision[0]))  # fmt: skip


def test_one_application_is_answered_as_the_model_answers_it_and_found_in_the_log(
    home: Home,
) -> None:
    async def ask(client: Client) -> None:
        for k, application in enumerate(applications(home.model, 40)):
            number = f"app-{k}"
            response = await client.score(application, request_id=number, as_of="2026-01-02")
            assert response.status_code == 200
            shown = response.json()
            told = (shown["points"], shown["score"], shown["probability"], shown["decision"])
            assert told == expected(home, application)
            assert shown["request_id"] == number
            assert shown["model"] == {
                "name": "cards", "id": home.model.id, "policy_id": home.model.policy_id,
                "file_hash": home.model.file_hash,
            }  # fmt: skip
            assert shown["cutoff"] == home.model.policy.cutoff / 100
            assert len(shown["reasons"]) <= 4
            assert (shown["reasons"] == []) == (shown["decision"] == "approve")
            assert all(r["points"] < 0 and r["text"] and r["code"] for r in shown["reasons"])
            assert bool(shown["warnings"]) == (application["housing"] == "houseboat")
            (entry,) = client.service.log.find(number)
            record: Any = entry.record
            assert (record.points, record.decision, record.as_of) == (
                told[0],
                told[3],
                "2026-01-02",
            )
            assert record.key_id == home.key.id
            require_no_internals(response)

    in_service(home, ask)


def test_counterfactuals_are_given_when_asked_for_and_lead_to_approval(home: Home) -> None:
    async def ask(client: Client) -> None:
        seen = 0
        for application in applications(home.model, 30):
            response = await client.score(application, query="?counterfactuals=true")
            shown = response.json()
            if shown["decision"] == "approve":
                assert "counterfactuals" not in shown
                continue
            for found in shown["counterfactuals"]:
                seen += 1
                assert found["score"] >= shown["cutoff"]
                assert all(c["field"] != "age" for c in found["changes"])  # immutable
        assert seen
        plain = await client.score(application)
        assert "counterfactuals" not in plain.json()

    in_service(home, ask)


def test_a_retry_gives_the_first_decision_and_the_id_of_another_is_a_conflict(home: Home) -> None:
    async def ask(client: Client) -> None:
        first, second = applications(home.model, 2)
        answers = [await client.score(first, request_id="r1") for _ in range(2)]
        assert answers[1].json() == answers[0].json() | {"repeated": True}
        conflict = await client.score(second, request_id="r1")
        assert conflict.status_code == 409
        assert "another application" in problem_of(conflict)["detail"]
        assert client.service.log.head()[0] == 1

    in_service(home, ask)


def test_a_retry_after_a_swap_gives_the_decision_of_the_first_model(home: Home) -> None:
    async def ask(client: Client) -> None:
        application = applications(home.model, 1)[0]
        first = (await client.score(application, request_id="r1")).json()
        home.put("cards", 7, cutoff=99_000)
        assert await client.service.reload()
        again = (await client.score(application, request_id="r1")).json()
        assert again == first | {"repeated": True}
        new = (await client.score(application, request_id="r2")).json()
        assert new["model"]["file_hash"] != first["model"]["file_hash"]

    in_service(home, ask)


def test_of_two_that_use_an_id_at_the_same_time_one_wins(home: Home) -> None:
    async def ask(client: Client) -> None:
        first, second = applications(home.model, 2)
        both = await asyncio.gather(
            *(client.score(a, request_id="r1") for a in (first, second, first))
        )
        assert sorted(r.status_code for r in both) in ([200, 200, 409], [200, 409, 409])
        others = await asyncio.gather(*(client.score(first) for _ in range(5)))
        assert {r.status_code for r in others} == {200}

    in_service(home, ask)


def test_models_are_listed_and_described(home: Home) -> None:
    async def ask(client: Client) -> None:
        (line,) = (await client.http.get("/v1/models")).json()["models"]
        assert (line["name"], line["role"], line["id"]) == ("cards", "champion", home.model.id)
        shown = (await client.http.get("/v1/models/cards")).json()
        assert shown["policy"]["cutoff"] == home.model.policy.cutoff
        ages = next(c for c in shown["columns"] if c["name"] == "age")
        assert (ages["least"], ages["greatest"], ages["missing"]) == (18, 110, False)
        assert shown["cost"]["bit_ops"] > 0
        assert problem_of(await client.http.get("/v1/models/none"))["status"] == 404

    in_service(home, ask)


def test_a_decision_is_read_from_the_log_with_the_application_it_was_made_for(home: Home) -> None:
    async def ask(client: Client) -> None:
        application = applications(home.model, 1)[0]
        await client.score(application, request_id="r1")
        (entry,) = (await client.http.get("/v1/decisions/r1")).json()["entries"]
        assert entry["application"] == pytest.approx(application)
        assert (entry["sequence"], entry["role"], entry["is_erased"]) == (1, "champion", False)
        for unknown in ("r2", "%00", "..", "x" * 300):
            response = await client.http.get(f"/v1/decisions/{unknown}")
            assert problem_of(response)["status"] == 404
        client.service.log.erase("r1", "art. 17 GDPR")
        first, second = (await client.http.get("/v1/decisions/r1")).json()["entries"]
        assert first["is_erased"]
        assert "application" not in first
        assert second["kind"] == "erasure"
        assert (await client.score(application, request_id="r1")).status_code == 409

    in_service(home, ask)


def test_a_shadow_is_scored_and_logged_and_never_answered(home: Home) -> None:
    shadow = home.put("cards.shadow", 3)
    lost = home.put("other", 4, limits={})

    async def ask(client: Client) -> None:
        application = applications(home.model, 1)[0]
        shown = (await client.score(application, request_id="r1")).json()
        assert shown["model"]["id"] == home.model.id
        await client.service.desk.close()
        entries = client.service.log.find("r1")
        assert [(e.record.role, e.record.model_id) for e in entries] == [
            ("champion", home.model.id), ("shadow", shadow.id), ("shadow", lost.id),
        ]  # fmt: skip
        assert problem_of(await client.score(application, "cards.shadow"))["status"] == 404

    in_service(home, ask, shadows={"cards": ("other",)})


def test_a_shadow_that_fails_never_touches_the_answer(home: Home) -> None:
    home.put("cards.shadow", 3, limits={})
    other = toy_model(5, n_columns=8)  # it has columns that the model lacks
    other.save(home.models / "wide.bimetal")

    async def ask(client: Client) -> None:
        scorer = client.service.registry.models["cards.shadow"].scorer
        scorer.score = lambda rows: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        for application in applications(home.model, 3):
            assert (await client.score(application)).status_code == 200
        await client.service.desk.close()
        text = (await client.http.get("/metrics")).text
        assert 'shadow_failures_total{cause="ZeroDivisionError",model="cards.shadow"} 3.0' in text
        assert 'shadow_failures_total{cause="LookupError",model="wide"} 3.0' in text
        assert client.service.log.head()[0] == 3

    in_service(home, ask, shadows={"cards": ("wide",)})


def test_a_plain_classifier_is_answered_without_a_decision(home: Home) -> None:
    save(toy_program(0), home.models / "plain.bimetal")

    async def ask(client: Client) -> None:
        application = applications(home.model, 1)[0] | {"age": 3}  # no policy, so no limits
        shown = (await client.score(application, "plain", request_id="p")).json()
        assert (shown["points"], shown["decision"], shown["cutoff"]) == (None, None, None)
        assert shown["predicted"] in ("good", "bad")
        again = (await client.score(application, "plain", request_id="p")).json()
        assert again == shown | {"repeated": True}
        response = await client.send(b"{}", "/v1/models/plain/verify")
        assert problem_of(response)["status"] == 422

    in_service(home, ask)


def test_rows_are_logged_as_they_were_scored(home: Home) -> None:
    async def ask(client: Client) -> None:
        one = applications(home.model, 1)[0]
        await client.score(one, request_id="r1")
        record: Any = client.service.log.find("r1")[0].record
        values = np.empty((1, len(one)), object)
        values[0] = [one[c.name] for c in home.model.program.columns]
        assert record.row == struct.pack("<6f", *home.model.rows(values)[0])

    in_service(home, ask)


def test_a_result_that_a_device_signed_is_recomputed_decided_and_logged_once(home: Home) -> None:
    row = some_row(home.model, seed=3)
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = signed(parts_of(home.model, row, time=time))

    async def ask(client: Client) -> None:
        path = "/v1/models/cards/verify"
        shown = (await client.http.post(path, json=payload)).json()
        found = home.model.assess(row[None])
        assert shown["result"]["points"] == found.points[0]
        assert shown["result"]["decision"] == found.decision[0]
        assert len(shown["device_key_thumbprint"]) == 43
        again = (await client.http.post(path, json=payload)).json()
        assert again["result"] == shown["result"] | {"repeated": True}
        assert client.service.log.head()[0] == 1
        for change, kind in (
            ({"points": 1}, "signature"),
            ({"file": "0" * 64}, "model"),
            ({"x": 1}, "malformed"),
        ):
            refused = await client.http.post(path, json=payload | change)
            assert refused.status_code == 422
            assert problem_of(refused)["type"].endswith(f"#device-{kind}")
        old = signed(parts_of(home.model, row, time="2020-01-01T00:00:00.000Z"))
        refused = await client.http.post(path, json=old)
        assert problem_of(refused)["type"].endswith("#device-stale")

    in_service(home, ask)


def test_every_kind_of_decision_is_made_again_bit_for_bit(home: Home) -> None:
    home.put("cards.shadow", 3)
    save(toy_program(0), home.models / "plain.bimetal")
    row = some_row(home.model)
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def ask(client: Client) -> None:
        many = applications(home.model, 25)
        for application in many:
            await client.score(application)
            await client.score(application, "plain")
        await client.http.post("/v1/models/cards/batch", json={"applications": many})
        payload = signed(parts_of(home.model, row, time=time))
        await client.http.post("/v1/models/cards/verify", json=payload)
        await client.service.desk.close()
        log = client.service.log
        replayed = replay(log, log.entries())
        assert not replayed.differences
        assert replayed.n_same == 25 + 25 + 25 + 1 + 25 + 25 + 1  # the last three by the shadow
        assert verify(log).is_sound

    in_service(home, ask)
