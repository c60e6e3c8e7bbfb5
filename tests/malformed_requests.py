"""Requests that are wrong, by the thousand: made from a good one by rules and by chance.

``python tests/malformed_requests.py 10000`` sends them to a service of its own and counts the answers.
"""

import asyncio
import json
import random
import string
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from service_home import Client, Home, applications, in_service, require_no_internals

ALLOWED = {200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 503}
"""Statuses that a malformed request may have; of the 5xx only the documented 503."""
EVIL: list[Any] = [
    None, True, False, 0, -1, 1e308, -1e308, 1e-320, 2**63, -(2**70), 10**300, "", " ", "\0", "\n", "41",
    "NaN", "Infinity", "null", "true", "own", "OWN", "'; DROP TABLE decisions; --", "<script>alert(1)</script>",
    "{{7*7}}", "${jndi:ldap://x}", "../../etc/passwd", "%s%n", "é", "😀", "\u202e", "\ufeff", "x" * 2_000,
    [], {}, [[]], [{}], {"a": {}}, [1] * 50, {"$gt": 0}, {"__proto__": 1}, {"__class__": "os"},
]  # fmt: skip
RAW = [
    b"", b" ", b"null", b"[]", b"{}", b"0", b'"x"', b"{", b"}", b"[" * 3_000, b'{"a":' * 3_000, b"\0" * 50, b"\xff" * 50,
    b'{"application":NaN}', b'{"application":{"age":Infinity}}', b'{"application":{"age":1,"age":2}}',
    b'{"application":{"age":' + b"9" * 4_400 + b"}}", b'{"application":{"age":0x10}}',
    b'{"application":{"\\ud800":1}}', b'{"application":{},"application":{}}', b"\xef\xbb\xbf{}",
    '{"application":{}}'.encode("utf-16"), '{"application":{}}'.encode("utf-32"), b"{'application':{}}",
    b'{"application":{},}', b'{"application":{}}{}', b'// comment\n{}', b'{"a":"' + b"x" * 70_000 + b'"}',
    b"PK\x03\x04" + b"\0" * 100, b"\x1f\x8b\x08" + b"\0" * 30, b"GET / HTTP/1.1\r\n\r\n",
    b'{"applications":[' + b"{}," * 20_000 + b"{}]}",
]  # fmt: skip
PATHS = ["/v1/models/cards/score", "/v1/models/cards/batch", "/v1/models/cards/verify", "/v1/models",
         "/v1/models/cards", "/v1/models/reload", "/v1/decisions/r1", "/health", "/ready", "/metrics"]  # fmt: skip
KINDS = ["application/json", "application/vnd.apache.arrow.stream", "text/plain", "", "application/json; charset=x",
         "APPLICATION/JSON", "multipart/form-data; boundary=x", "application/xml"]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"]


def malformed(good: dict[str, Any], n: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield n requests as keyword arguments of httpx."""
    rng = random.Random(seed)
    makers = (_raw, _changed, _changed, _envelope, _path, _query, _headers, _cut, _flipped)
    for _ in range(n):
        yield makers[rng.randrange(len(makers))](good, rng)


def _request(body: bytes, path: str = PATHS[0], **more: Any) -> dict[str, Any]:
    headers = more.pop("headers", {"content-type": "application/json"})
    return {"method": "POST", "url": path, "content": body, "headers": headers, **more}


def _raw(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return _request(rng.choice(RAW), rng.choice(PATHS[:3]),
                    headers={"content-type": rng.choice(KINDS[:2])})  # fmt: skip


def _changed(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    application = dict(good)
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(list(good))
        match rng.randrange(4):
            case 0:
                application.pop(name, None)
            case 1:
                application[_noise(rng)] = rng.choice(EVIL)
            case 2:  # two columns swapped
                other = rng.choice(list(good))
                application[name], application[other] = good[other], good[name]
            case _:
                application[name] = rng.choice(EVIL)
    return _request(json.dumps({"application": application}).encode())


def _envelope(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    is_many = rng.random() < 0.5
    body: dict[str, Any] = {"applications": [good, good]} if is_many else {"application": good}
    name = rng.choice(["request_id", "as_of", *body, _noise(rng), "applications", "application"])
    body[name] = rng.choice([*EVIL, "2999-01-01", "2026-02-30", [good] * 3, [good, None]])
    return _request(json.dumps(body).encode(), PATHS[is_many])


def _path(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    pieces = ["..", "%2e%2e", "%00", "cards", "cards.shadow", "%ff", "é", "a" * 5_000, "", "score", "{name}",
              "v1", "models", "*", "'", "%0d%0aX: y", quote(_noise(rng))]  # fmt: skip
    path = "/" + "/".join(rng.choice(pieces) for _ in range(rng.randint(1, 5))).lstrip("/")
    if rng.random() < 0.5:
        path = f"/v1/models/{rng.choice(pieces)}/score"
    return _request(b"{}", path) | {"method": rng.choice(METHODS)}


def _query(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    queries = ["counterfactuals=maybe", "counterfactuals=true&counterfactuals=true", "x=1", "%ff=%fe", "&&&=", "=",
               "request_id=%00", "as_of=2999-01-01", "a" * 9_000, "debug=true", "callback=x"]  # fmt: skip
    return _request(json.dumps({"application": good}).encode(),
                    f"{rng.choice(PATHS)}?{rng.choice(queries)}") | {"method": rng.choice(METHODS[:2])}  # fmt: skip


def _headers(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    headers: dict[str, Any] = {"content-type": rng.choice(KINDS)}
    name = rng.choice(["content-encoding", "authorization", "x-api-key", "accept", "host", "transfer-encoding",
                       "expect", "x-forwarded-for", "x-request-id", "range", "cookie"])  # fmt: skip
    headers[name] = rng.choice(["", "gzip", "Bearer", "Bearer x", "Basic eDp5", "bmk_" + "0" * 56, "a" * 3_000,
                                "identity", "chunked", "\x7f", "bytes=0-1"]).encode("latin-1")  # fmt: skip
    return _request(json.dumps({"application": good}).encode(), rng.choice(PATHS), headers=headers)


def _cut(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    whole = json.dumps({"application": good}).encode()
    return _request(whole[: rng.randrange(len(whole))])


def _flipped(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    body = bytearray(json.dumps({"application": good}).encode())
    for _ in range(rng.randint(1, 4)):
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    return _request(bytes(body))


def _noise(rng: random.Random) -> str:
    return "".join(rng.choice(string.printable) for _ in range(rng.randint(1, 12)))


async def send_all(client: Client, good: dict[str, Any], n: int, seed: int = 0) -> Counter[int]:
    """Send n malformed requests, some at once; return how many had which status."""
    found: Counter[int] = Counter()
    requests = malformed(good, n, seed)

    async def sender() -> None:
        for request in requests:
            response = await client.http.request(**request)
            found[response.status_code] += 1
            assert response.status_code in ALLOWED, (request, response.text)
            require_no_internals(response)
            if response.status_code != 200 and request["method"] != "HEAD":
                assert response.headers["content-type"] == "application/problem+json", request

    await asyncio.gather(*(sender() for _ in range(4)))
    return found


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        good = applications(home.model, 1)[0]
        found = in_service(home, lambda client: send_all(client, good, n))
    print(dict(sorted(found.items())))


if __name__ == "__main__":
    main()
