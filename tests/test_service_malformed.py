"""Malformed requests: no 5xx but the documented 503, no crash, nothing of the inside."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from malformed_requests import send_all
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from service_home import Client, Home, applications, in_service

from bimetal.service.app import create_app
from bimetal.service.log import open_log
from bimetal.service.service import Service


def test_hundreds_of_malformed_requests_break_nothing(tmp_path: Path) -> None:
    require_unbroken(tmp_path, 300)


@pytest.mark.slow
def test_ten_thousand_malformed_requests_break_nothing(tmp_path: Path) -> None:
    require_unbroken(tmp_path, 10_000, seed=1)


def require_unbroken(folder: Path, n: int, seed: int = 0) -> None:
    home = Home(folder)
    good = applications(home.model, 1)[0]

    async def ask(client: Client) -> Any:
        found = await send_all(client, good, n, seed)
        assert (await client.score(good)).status_code == 200
        return found

    found = in_service(home, ask)
    assert sum(found.values()) == n
    assert found[200] < n / 3
    assert {400, 404, 405, 415, 422} <= set(found)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A service behind a real server, in a thread: its address and a key."""
    home = Home(tmp_path)
    service = Service(home.settings(limits={"requests_per_second": 0}), open_log(home.url))
    config = uvicorn.Config(create_app(service), port=0, log_level="critical", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", home.token
    finally:
        server.should_exit = True
        thread.join()


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def described(url: str, token: str) -> dict[str, Any]:
    """The service's own description, for the one model and the fields that it has."""
    headers = {"authorization": f"Bearer {token}"}
    document: dict[str, Any] = httpx.get(f"{url}/openapi.json").json()
    fields = httpx.get(f"{url}/v1/models/cards", headers=headers).json()["columns"]
    values = document["components"]["schemas"]["Application"]["properties"]["application"]
    values["properties"] = {f["name"]: _field(f) for f in fields}
    values |= {"required": list(values["properties"]), "additionalProperties": False}
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    names = {"name": ["cards", "none"], "request_id": ["r1", "r2"]}
                    parameter["schema"] = {"type": "string", "enum": names[parameter["name"]]}
    return document


def _field(field: dict[str, Any]) -> dict[str, Any]:
    if field["kind"] == "category":
        return {"type": "string", "enum": [*field["categories"], "houseboat"]}
    least, greatest = field["least"], field["greatest"]
    return {"type": "number", "minimum": -1e6 if least is None else least,
            "maximum": 1e6 if greatest is None else greatest}  # fmt: skip


def asked(url: str, token: str, most: int) -> Counter[tuple[str, int]]:
    """Ask every operation what its description allows; return how often with which status."""
    schema = schemathesis.openapi.from_dict(described(url, token))
    found: Counter[tuple[str, int]] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=most, deadline=None, database=None, derandomize=True,
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            response = case.call(base_url=url, headers={"authorization": f"Bearer {token}"})
            found[case.operation.label, response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        ask()
    return found


def test_whatever_the_description_allows_is_answered_as_it_says(address: tuple[str, str]) -> None:
    found = asked(*address, most=6)
    assert len({label for label, _ in found}) == 10
    assert found["POST /v1/models/{name}/score", 200]


@pytest.mark.slow
def test_much_of_what_the_description_allows_is_answered_as_it_says(
    address: tuple[str, str],
) -> None:
    found = asked(*address, most=150)
    for label in ("score", "batch"):
        codes = {status for name, status in found if name.endswith(label)}
        assert {200, 404, 409, 422} & codes >= {200, 404}
