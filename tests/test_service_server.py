"""The service behind a real server: sockets, TLS, slow and broken clients, signals, several processes."""

import asyncio
import datetime
import logging
import os
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from decision_logs import keeper_of
from service_home import Home, Server, applications, problem_of, served

from bimetal.errors import DataError
from bimetal.service.audit import replay
from bimetal.service.guarded import Corked
from bimetal.service.log import open_log
from bimetal.service.log.verifying import verify
from bimetal.service.server import Config, _kept, serve


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def require_sound(home: Home, acknowledged: dict[str, Any]) -> None:
    """Nothing acknowledged is missing, the chain holds, every decision can be made again."""
    log = open_log(home.url)
    try:
        for number, shown in acknowledged.items():
            record: Any = log.find(number)[0].record
            assert (record.points, record.decision) == (shown["points"], shown["decision"])
        verdict = verify(log)
        assert verdict.is_sound, verdict.problems
        replayed = replay(log, log.entries())
        assert not replayed.differences
        assert replayed.n_same == replayed.n_decisions >= len(acknowledged)
    finally:
        log.close()


def load(server: Server, acknowledged: dict[str, Any], until: threading.Event, who: int) -> None:
    """Ask one application after the other until told to end, or nobody answers."""
    many, run = applications(server.home.model, 20), secrets.token_hex(4)
    with httpx.Client(
        base_url=server.url, headers=server.headers, timeout=20, verify=False
    ) as http:
        k = 0
        while not until.is_set():
            number, k = f"{run}-{who}-{k}", k + 1
            body = {"application": many[k % 20], "request_id": number}
            try:
                response = http.post("/v1/models/cards/score", json=body)
            except httpx.TransportError:
                return
            if response.status_code == 200:
                acknowledged[number] = response.json()
            else:
                assert response.status_code == 503, response.text


class Load:
    """Several clients that ask all the time."""

    def __init__(self, server: Server, n_clients: int = 3) -> None:
        self.acknowledged: dict[str, Any] = {}
        self._until = threading.Event()
        given = (server, self.acknowledged, self._until)
        self._threads = [
            threading.Thread(target=load, args=(*given, who)) for who in range(n_clients)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, n: int) -> None:
        while len(self.acknowledged) < n:
            assert any(t.is_alive() for t in self._threads)
            self._until.wait(0.005)

    def end(self) -> dict[str, Any]:
        self._until.set()
        for thread in self._threads:
            thread.join()
        return self.acknowledged


def test_a_new_model_is_seen_without_being_asked_and_a_signal_ends_the_service_cleanly(
    home: Home,
) -> None:
    with served(home) as server:
        clients = Load(server)
        clients.wait_for(20)
        new = home.put("cards", 2)
        while server.http.get("/v1/models").json()["models"][0]["id"] != new.id:
            threading.Event().wait(0.05)
        clients.wait_for(len(clients.acknowledged) + 20)
        assert server.stop() == 0
        acknowledged = clients.end()
    assert len({shown["model"]["id"] for shown in acknowledged.values()}) == 2
    require_sound(home, acknowledged)
    assert "Traceback" not in server.told()
    assert server.told().endswith("stopped\n")


def kill_under_load(home: Home, n_rounds: int) -> None:
    acknowledged: dict[str, Any] = {}
    for round_ in range(n_rounds):
        with served(home) as server:
            clients = Load(server)
            clients.wait_for(10 + 7 * (round_ % 5))
            server.process.kill()
            server.process.wait()
            acknowledged |= clients.end()
        require_sound(home, acknowledged)


def test_a_service_that_is_killed_has_lost_nothing_that_it_acknowledged(home: Home) -> None:
    kill_under_load(home, 2)


@pytest.mark.slow
def test_a_service_that_is_killed_a_hundred_times_has_lost_nothing(home: Home) -> None:
    kill_under_load(home, 100)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_log_whose_keeper_is_killed_has_lost_nothing_and_another_goes_on(
    home: Home, workers: int
) -> None:
    with served(home, workers=workers) as server:
        clients = Load(server)
        for _ in range(3):
            clients.wait_for(len(clients.acknowledged) + 20)
            os.kill(keeper_of(server.process.pid), signal.SIGKILL)
        clients.wait_for(len(clients.acknowledged) + 20)
        assert server.http.get("/ready").status_code == 200
        acknowledged = clients.end()
        assert server.stop() == 0
    require_sound(home, acknowledged)
    assert "Traceback" not in server.told()
    assert server.told().count("another process writes the decision log now") == 3


GOOD = b"GET /health HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n"
RAW = {
    "nothing but noise": b"\xff\x00\xfe" * 100,
    "a request line of nonsense": b"HELLO\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a control character in a header": b"GET / HTTP/1.1\r\nA: \x01\x00\r\n\r\n",
    "a length of nonsense": b"POST /v1/models/cards/score HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length of 2**70": b"POST /v1/models/cards/score HTTP/1.1\r\nHost: x\r\nContent-Length: 1180591620717411303424\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "chunks and a length": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    "a chunk of nonsense": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a path that is not ASCII": b"GET /\xc3\xa9\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path of 200 kB": b"GET /"
    + b"a" * 200_000
    + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an absolute address": b"GET http://elsewhere/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a tunnel": b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a websocket": b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50,
}


def test_what_is_no_http_is_closed_and_harms_nobody(home: Home) -> None:
    limits = {"header_seconds": 1.0, "deadline_seconds": 2.0, "header_bytes": 4_096}
    with served(home, limits=limits) as server:
        for what, data in RAW.items():
            told = server.raw(data)
            status = int(told.split(b" ", 2)[1]) if told else 0
            assert status < 500, (what, told)
            assert b"uvicorn" not in told.lower()
            assert b"Traceback" not in told
            assert server.raw(GOOD).startswith(b"HTTP/1.1 200")
        # endless headers, a line at a time, and headers that never end
        assert server.raw(b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 50_000)[:12] in (
            b"",
            b"HTTP/1.1 400",
        )
        assert server.raw(b"GET /health HTTP/1.1\r\nHost:") == b""
        assert server.raw(b"") == b""  # connects and says nothing
        late = server.raw(b"POST /v1/models/cards/score HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
                          b"Content-Type: application/json\r\nX-API-Key: " + home.token.encode()
                          + b"\r\n\r\n{")  # fmt: skip
        assert late.startswith(b"HTTP/1.1 408")
        assert server.score(applications(home.model, 1)[0]).status_code == 200
    assert "Traceback" not in server.told()


def certificate(folder: Path) -> tuple[str, str]:
    """Make a certificate for this machine, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_tls_is_1_2_or_newer_and_says_to_stay(home: Home) -> None:
    cert, key = certificate(home.folder)
    with served(home, options={"certificate": cert, "key": key}) as server:
        response = server.score(applications(home.model, 1)[0])
        assert response.status_code == 200
        assert "max-age" in response.headers["strict-transport-security"]
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with httpx.Client(verify=old) as http, pytest.raises(httpx.ConnectError):
            http.get(f"{server.url}/health")
        assert b"HTTP" not in server.raw(GOOD)  # plain HTTP is not spoken here


def counted(server: Server) -> float:
    """Return how many applications were answered with 200, of all processes."""
    begin = 'bimetal_requests_total{route="/v1/models/{name}/score",status="200"}'
    lines = server.http.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(begin))


def test_several_processes_share_log_keys_and_counts(home: Home) -> None:
    with served(home, workers=2) as server:
        clients = Load(server, 4)
        clients.wait_for(60)
        acknowledged = clients.end()
        processes = set()
        while len(processes) < 2:  # each connection goes to one of them
            shown = httpx.get(f"{server.url}/health", headers=server.headers).json()
            processes.add(shown["process"])
        while counted(server) < len(
            acknowledged
        ):  # a process hands over what it counted every second
            time.sleep(0.05)
        assert server.stop() == 0
    require_sound(home, acknowledged)


def test_a_revoked_key_ends_while_the_service_runs(home: Home) -> None:
    key, token = home.keys.create("shop", ["score"])
    with served(home) as server:
        headers = {"authorization": f"Bearer {token}"}
        one = {"application": applications(home.model, 1)[0]}
        path = "/v1/models/cards/score"
        assert server.http.post(path, json=one, headers=headers).status_code == 200
        home.keys.revoke(key.id)
        while (response := server.http.post(path, json=one, headers=headers)).status_code == 200:
            threading.Event().wait(0.05)
        assert "revoked" in problem_of(response)["detail"]


LIGHT = """
import sys
for name in ("torch", "sklearn", "lightgbm", "scipy", "pandas", "polars", "matplotlib", "typer"):
    sys.modules[name] = None  # from here on, importing it fails
import bimetal.service.arrow, bimetal.service.server
import bimetal.finance.credit.page.verify
"""


def test_serving_imports_neither_torch_nor_anything_that_trains() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("wrong", ["folder", "keys", "log", "certificate"])
def test_what_cannot_be_served_is_said_before_anything_listens(home: Home, wrong: str) -> None:
    settings, options = home.settings(), {}
    if wrong == "certificate":
        (home.folder / "cert.pem").write_text("no certificate")
        options = {"certificate": home.folder / "cert.pem", "key": home.folder / "cert.pem"}
    else:
        place = "mysql://elsewhere" if wrong == "log" else str(home.folder / "none")
        settings = home.settings(**{wrong: place})
    with pytest.raises(DataError, match=r"expected|decision log"):
        serve(Config(settings, port=0, **options))


def test_where_no_keeper_can_begin_a_thread_writes(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bimetal.service.log.keeping.tempfile.tempdir", str(home.folder / "none"))
    config = Config(home.settings(), port=0)
    monkeypatch.setattr(logging.getLogger("bimetal.service"), "propagate", True)
    with _kept(config):
        assert config.keeper is None
    assert "which is slower" in caplog.text


class Wire:
    """A transport that remembers what it was given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def get_write_buffer_size(self) -> int:
        return 100

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


def test_what_is_written_in_one_turn_is_sent_in_one_piece() -> None:
    async def run() -> None:
        wire = Wire()
        corked = Corked(wire, asyncio.get_running_loop())
        corked.write(b"headers")
        corked.write(b"body")
        assert (wire.sent, corked.get_write_buffer_size()) == ([], 111)
        await asyncio.sleep(0)
        assert (wire.sent, corked.get_write_buffer_size()) == ([b"headersbody"], 100)
        corked.write(b"last")
        corked.close()
        assert wire.sent[1:] == [b"last"]
        corked.write(b"too late")
        await asyncio.sleep(0)
        assert wire.sent[1:] == [b"last"]

    asyncio.run(run())
