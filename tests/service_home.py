"""A service of its own for a test: a folder of toy models, keys, a log, and clients that ask it."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from credit_models import toy_model, toy_table

from bimetal.service.app import create_app
from bimetal.service.keys import SCOPES, KeyFile
from bimetal.service.limits import Limits
from bimetal.service.log import open_log
from bimetal.service.service import Service, Settings


def applications(model: Any, n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Good applications to a toy model: within its limits, some missing, some unknown."""
    table = toy_table(model.program, n, seed)
    table["age"] = [min(110.0, max(18.0, v)) for v in table["age"]]
    table["income"] = [max(0.0, v) for v in table["income"]]
    return [{name: values[i] for name, values in table.items()} for i in range(n)]


class Home:
    """What a service needs on disk, and how to start one there."""

    def __init__(self, folder: Path, seed: int = 0, **policy: Any) -> None:
        self.folder, self.models = folder, folder / "models"
        self.models.mkdir()
        self.model = self.put("cards", seed, **policy)
        self.keys = KeyFile(folder / "keys.db")
        self.key, self.token = self.keys.create("the tests", SCOPES)
        self.url = f"sqlite:///{folder}/decisions.db"

    def put(self, name: str, seed: int, **policy: Any) -> Any:
        """Save a toy model under a name, replacing what is there."""
        model = toy_model(seed, **policy)
        model.save(self.models / f"{name}.bimetal")
        return model

    def settings(self, **changes: Any) -> Settings:
        limits = Limits(**changes.pop("limits", {}))
        settings = Settings(str(self.models), str(self.keys.path), self.url, limits=limits)
        return replace(settings, **changes)

    @asynccontextmanager
    async def running(
        self, log: Any = None, build: Any = None, **changes: Any
    ) -> AsyncIterator["Client"]:
        """Run a service inside the test."""
        more = {} if build is None else {"build": build}
        service = Service(self.settings(**changes), log or open_log(self.url), **more)
        await service.start()
        try:
            transport = httpx.ASGITransport(app=create_app(service), raise_app_exceptions=True)
            headers = {"Authorization": f"Bearer {self.token}"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://bank", headers=headers, timeout=30
            ) as http:
                yield Client(service, http)
        finally:
            await service.stop()


class Client:
    """Asks a running service."""

    def __init__(self, service: Service, http: httpx.AsyncClient) -> None:
        self.service, self.http = service, http

    async def score(self, application: Any, name: str = "cards", **more: Any) -> httpx.Response:
        query = more.pop("query", "")
        body = {"application": application, **more}
        return await self.http.post(f"/v1/models/{name}/score{query}", json=body)

    async def send(self, body: bytes, path: str = "/v1/models/cards/score", **headers: str) -> Any:
        given = {"content-type": "application/json"} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        return await self.http.post(path, content=body, headers=given)


def in_service(home: Home, ask: Callable[[Client], Any], **changes: Any) -> Any:
    """Run a service, await what is asked of it, and return that."""

    async def run() -> Any:
        async with home.running(**changes) as client:
            return await ask(client)

    return asyncio.run(run())


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """Return a problem, after looking that it is one and shows nothing of the inside."""
    assert response.headers["content-type"] == "application/problem+json"
    shown = json.loads(response.content)
    assert shown["status"] == response.status_code
    assert {"type", "title", "detail", "request_id"} <= set(shown)
    require_no_internals(response)
    return dict(shown)


def require_no_internals(response: httpx.Response) -> None:
    """No path, no trace, no name of ours or of a package."""
    told = response.content.decode("utf-8", "replace") + str(dict(response.headers))
    for word in ("Traceback", "/work/", "/tmp/", "site-packages", ".py", "bimetal/", "sqlite",
                 "uvicorn", "Error\"", "starlette", "fastapi"):  # fmt: skip
        assert word not in told, f"{word!r} in {told[:500]}"


STARTED = """
import json, sys
from bimetal.service.server import Config, serve
from bimetal.service.service import Settings
given = json.loads(sys.argv[1])
config = Config(Settings.from_spec(given["settings"]), port=0, **given["options"])
if __name__ == "__main__":
    serve(config, told=lambda port: print(port, flush=True))
"""


@contextmanager
def served(home: Home, workers: int = 1, **changes: Any) -> Iterator["Server"]:
    """Run a service in a process of its own, on a free port of this machine."""
    options = {"workers": workers, **changes.pop("options", {})}
    given = {"settings": home.settings(**changes).spec(), "options": options}
    script = home.folder / "serve.py"  # workers are spawned: they import it
    script.write_text(STARTED)
    errors = (home.folder / "stderr").open("ab")
    command = [sys.executable, "-W", "error::ResourceWarning", str(script), json.dumps(given)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert process.stdout is not None
        port = process.stdout.readline()
        assert port, (home.folder / "stderr").read_text()
        server = Server(home, process, int(port), "certificate" in options)
        with closing(server.http):
            server.wait_until_ready()
            yield server
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        process.stdout.close()
        errors.close()


class Server:
    """A service in a process of its own."""

    def __init__(self, home: Home, process: Any, port: int, has_tls: bool) -> None:
        self.home, self.process, self.port = home, process, port
        self.url = f"http{'s' * has_tls}://127.0.0.1:{port}"
        self.headers = {"authorization": f"Bearer {home.token}"}
        self.http = httpx.Client(
            base_url=self.url, headers=self.headers, timeout=30, verify=not has_tls
        )

    def wait_until_ready(self) -> None:
        while self.process.poll() is None:
            try:
                if self.http.get("/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(self.told())

    def told(self) -> str:
        """What it wrote on stderr."""
        return (self.home.folder / "stderr").read_text()

    def score(self, application: Any, **more: Any) -> httpx.Response:
        return self.http.post("/v1/models/cards/score", json={"application": application, **more})

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are; return all that comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as link:
            try:
                link.sendall(data)
                return b"".join(iter(lambda: link.recv(65_536), b""))
            except ConnectionError:
                return b""

    def stop(self) -> int:
        """Ask it to end, as a supervisor does; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return int(self.process.wait(30))
