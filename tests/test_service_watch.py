"""Running a service: health, metrics, limits, deadlines, logs without data, failures that tell nobody."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from service_home import Client, Home, applications, in_service, problem_of

from bimetal.service.log import LogUnavailable, open_log


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_nothing_is_answered_when_the_log_takes_nothing_and_all_is_well_again_after(
    home: Home,
) -> None:
    class Full:
        is_full = False

        def __init__(self, log: Any) -> None:
            self._log = log

        def __getattr__(self, name: str) -> Any:
            return getattr(self._log, name)

        async def append(self, records: Any) -> Any:
            if self.is_full:
                raise LogUnavailable("no space left on /secret/place")
            return await self._log.append(records)

    log = Full(open_log(home.url))
    client_ready: list[int] = []

    async def ask(client: Client) -> None:
        application = applications(home.model, 1)[0]
        log.is_full = True
        for path in ("score", "batch"):
            body = (
                {"application": application} if path == "score" else {"applications": [application]}
            )
            response = await client.http.post(f"/v1/models/cards/{path}", json=body)
            assert response.status_code == 503
            assert "secret" not in response.text
            assert problem_of(response)["type"].endswith("#log")
            assert int(response.headers["retry-after"]) >= 1
        client_ready.append((await client.http.get("/ready")).status_code)
        assert (await client.http.get("/health")).json()["status"] == "degraded"
        log.is_full = False
        assert (await client.score(application)).status_code == 200
        client_ready.append((await client.http.get("/ready")).status_code)
        assert b"bimetal_log_failures_total 2.0" in (await client.http.get("/metrics")).content

    in_service(home, ask, log=log)
    assert client_ready == [503, 200]


def test_what_is_wrong_is_told_to_an_admin_and_to_nobody_else(home: Home) -> None:
    _, reader = home.keys.create("reader", ["score"])

    async def ask(client: Client) -> None:
        (home.models / "cards.bimetal").write_bytes(b"corrupt")
        response = await client.http.post("/v1/models/reload")
        assert response.json()["changed"] is False
        assert response.json()["failures"][0]["file"] == "cards"
        shown = (await client.http.get("/health")).json()
        assert shown["status"] == "degraded"
        assert shown["failures"][0]["keeps"] is True
        for headers in ({"authorization": ""}, {"authorization": f"Bearer {reader}"}):
            assert (await client.http.get("/health", headers=headers)).json() == {
                "status": "degraded"
            }
            for method, path in (("POST", "/v1/models/reload"), ("GET", "/metrics"),
                                 ("GET", "/v1/decisions/r1")):  # fmt: skip
                refused = await client.http.request(method, path, headers=headers)
                assert problem_of(refused)["status"] in (401, 403)
        assert (await client.score(applications(home.model, 1)[0])).status_code == 200

    in_service(home, ask)


def test_a_service_without_models_lives_but_is_not_ready(home: Home) -> None:
    (home.models / "cards.bimetal").unlink()

    async def ask(client: Client) -> None:
        assert (await client.http.get("/health")).status_code == 200
        assert problem_of(await client.http.get("/ready"))["status"] == 503

    in_service(home, ask)


def test_metrics_count_decisions_scores_and_requests(home: Home) -> None:
    async def ask(client: Client) -> None:
        many = applications(home.model, 20)
        shown = [(await client.score(a)).json() for a in many]
        text = (await client.http.get("/metrics", headers={"authorization": ""})).text
        for decision in ("approve", "decline"):
            n = float(sum(s["decision"] == decision for s in shown))
            line = f'decisions_total{{decision="{decision}",model="cards",role="champion"}} {n}'
            assert line in text
        assert 'bimetal_score_count{model="cards"} 20.0' in text
        route = "/v1/models/{name}/score"
        assert f'requests_total{{route="{route}",status="200"}} 20.0' in text

    in_service(home, ask, has_public_metrics=True)


def test_every_answer_has_the_headers_of_the_house_and_no_banner(home: Home) -> None:
    async def ask(client: Client) -> None:
        for method, path in (("GET", "/health"), ("GET", "/nowhere"), ("POST", "/v1/models/cards/score"),
                             ("DELETE", "/v1/models"), ("GET", "/openapi.json")):  # fmt: skip
            response = await client.http.request(method, path)
            for name in ("x-content-type-options", "cache-control", "content-security-policy",
                         "x-request-id"):  # fmt: skip
                assert name in response.headers, path
            assert "server" not in response.headers
            assert "strict-transport-security" in response.headers
        assert (
            len({(await client.http.get("/health")).headers["x-request-id"] for _ in range(9)}) == 9
        )

    in_service(home, ask, has_tls=True)


def test_a_failure_inside_is_told_to_nobody_outside(home: Home, caplog: Any) -> None:
    async def ask(client: Client) -> None:
        def broken(rows: Any) -> Any:
            raise RuntimeError("the income of Mr Smith is 12,345")

        client.service.registry.models["cards"].scorer.score = broken  # type: ignore[method-assign]
        response = await client.score(applications(home.model, 1)[0])
        assert response.status_code == 500
        assert problem_of(response)["detail"] == "the service failed; see its log"
        client.service.health = broken  # type: ignore[method-assign,assignment]
        assert problem_of(await client.http.get("/health"))["status"] == 500

    in_service(home, ask)
    assert "RuntimeError at test_service_watch.py" in caplog.text
    assert "Smith" not in caplog.text


def test_the_log_of_requests_holds_no_data(home: Home, caplog: Any) -> None:
    caplog.set_level("INFO")

    async def ask(client: Client) -> None:
        application = applications(home.model, 1)[0] | {"housing": "houseboat", "age": 103.25}
        await client.score(application, request_id="app-1", query="?counterfactuals=true")
        await client.score(application | {"agee": 99_999}, request_id="app-2")

    in_service(home, ask, has_access_log=True)
    lines = [r.getMessage() for r in caplog.records if r.name == "bimetal.service.access"]
    assert " POST /v1/models/{name}/score 200 " in lines[0]
    assert home.key.id in lines[0]
    for word in ("houseboat", "103", "agee", home.token):
        assert word not in lines[0].replace(home.key.id, "").split("POST")[1]


def test_rates_sizes_and_types_are_refused_before_anything_is_read(home: Home) -> None:
    _, slow = home.keys.create("slow", ["score"], rate=0.001)

    async def ask(client: Client) -> None:
        application = applications(home.model, 1)[0]
        headers = {"authorization": f"Bearer {slow}"}
        body = {"application": application}
        path = "/v1/models/cards/score"
        codes = [
            (await client.http.post(path, json=body, headers=headers)).status_code for _ in range(9)
        ]
        assert codes == [200] * 8 + [429]
        big = b'{"application":{"x":"' + b"a" * 70_000 + b'"}}'
        assert problem_of(await client.send(big))["status"] == 413

        async def pieces() -> Any:
            for _ in range(80):
                yield b" " * 1_000

        response = await client.http.post(
            path, content=pieces(), headers={"content-type": "application/json"}
        )
        assert problem_of(response)["status"] == 413  # without a stated length
        for headers in ({"content-type": "text/plain"}, {"content-encoding": "gzip"}):
            assert problem_of(await client.send(b"{}", **headers))["status"] == 415

    in_service(home, ask, limits={"burst": 8})


def test_too_many_at_once_are_told_to_come_back(home: Home) -> None:
    async def ask(client: Client) -> None:
        one = applications(home.model, 1)[0]
        asked = [client.score(one) for _ in range(12)]
        *found, health = await asyncio.gather(*asked, client.http.get("/health"))
        assert health.status_code == 200  # who looks after the service is not turned away
        codes = sorted(r.status_code for r in found)
        assert codes[0] == 200
        assert codes[-1] == 503
        busy = next(r for r in found if r.status_code == 503)
        assert problem_of(busy)["type"].endswith("#busy")
        assert "retry-after" in busy.headers
        assert (await client.score(one)).status_code == 200

    in_service(home, ask, limits={"concurrency": 4})


def test_what_takes_too_long_is_given_up_and_a_retry_finds_the_decision(home: Home) -> None:
    async def ask(client: Client) -> None:
        log, wait = client.service.log, [0.3]

        class Slow:
            def __getattr__(self, name: str) -> Any:
                return getattr(log, name)

            async def append(self, records: Any) -> Any:
                await asyncio.sleep(wait[0])
                return await log.append(records)

        client.service.desk._log = Slow()  # type: ignore[assignment]
        one = applications(home.model, 1)[0]
        late = await client.score(one, request_id="r1")
        assert problem_of(late)["type"].endswith("#deadline")
        assert late.status_code == 503
        await client.service.desk.close()
        wait[0] = 0
        again = await client.score(one, request_id="r1")
        assert again.json()["repeated"] is True

    in_service(home, ask, limits={"deadline_seconds": 0.2})
