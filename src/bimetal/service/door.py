"""The door of the service: plain ASGI around the FastAPI application.

Every request passes it: a request id, a deadline, a place among those being worked on, the headers of
every answer, the count. One application at a time is the path most asked, and is answered here without
the router behind, which would cost five times as much as all of HTTP (benchmarks/service_load.py).
"""

import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from bimetal.service.api import Api
from bimetal.service.body import Gone, Receive
from bimetal.service.deadlines import Late
from bimetal.service.envelope import new_id
from bimetal.service.problem import MEDIA_TYPE, Problem, unavailable
from bimetal.service.service import Service

__all__ = ["Door"]

logger = logging.getLogger("bimetal.service")
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_WATCHED = ("/health", "/ready", "/metrics")  # who looks whether all is well is not turned away
_BEFORE, _AFTER = "/v1/models/", "/score"
_SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_TLS_ONLY: Headers = [(b"strict-transport-security", b"max-age=31536000")]


class Door:
    """An ASGI application around another.

    Parameters
    ----------
    app : ASGI application
        For all but the path most asked.
    api : Api
    service : Service
    """

    def __init__(self, app: Any, api: Api, service: Service) -> None:
        self.app, self._api, self._service = app, api, service
        self._headers = _SECURITY + (_TLS_ONLY if service.settings.has_tls else [])
        self._json = [*self._headers, (b"content-type", b"application/json")]
        self._late = Late(service.limits.deadline_seconds)
        self._n = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the service."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        begun, number = time.perf_counter(), new_id()
        scope["bimetal.id"] = number
        answer = _Answer(send, self._headers, number)
        self._n += 1
        try:
            await self._guarded(scope, receive, answer)
        finally:
            self._n -= 1
            self._count(scope, answer, time.perf_counter() - begun)

    async def _guarded(self, scope: Any, receive: Receive, answer: "_Answer") -> None:
        """Let nothing out but an answer or a problem."""
        limits = self._service.limits
        try:
            if self._n > limits.concurrency and scope["path"] not in _WATCHED:
                raise unavailable("busy", "fewer requests at once expected")
            with self._late.watching():
                await self._dispatch(scope, receive, answer)
        except Problem as problem:
            await answer.problem(problem)
        except Gone:
            answer.status = 499
        except TimeoutError:
            await answer.problem(_late(scope))
        except Exception as error:
            logger.error("request %s failed: %s", answer.number, _where(error))
            await answer.problem(Problem(500, "internal", "the service failed; see its log"))

    async def _dispatch(self, scope: Any, receive: Receive, answer: "_Answer") -> None:
        path: str = scope["path"]
        if path.endswith(_AFTER) and path.startswith(_BEFORE) and scope["method"] == "POST":
            scope["bimetal.route"] = "/v1/models/{name}/score"
            name = path[len(_BEFORE) : -len(_AFTER)]
            await answer.send_whole(200, self._json, await self._api.score(scope, receive, name))
        else:
            await self.app(scope, receive, answer.send)

    def _count(self, scope: Any, answer: "_Answer", seconds: float) -> None:
        route = scope.get("bimetal.route") or getattr(scope.get("route"), "path", "other")
        status = answer.status or 499
        metrics = self._service.metrics
        metrics.count("requests", route, str(status))
        metrics.seconds.observe(route, seconds)
        if self._service.settings.has_access_log:
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            key = scope.get("bimetal.key", "-")
            self._service.note(
                f"{when} {answer.number} {scope['method']} {route} {status} {seconds * 1e3:.1f}ms {key}"
            )


class _Answer:
    """What is sent for one request: once, and with the headers of the house."""

    def __init__(self, send: Send, headers: Headers, number: str) -> None:
        self._send, self._headers, self.number = send, headers, number
        self.status: int | None = None

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass on what the application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (b"x-request-id", self.number.encode())
            message["headers"] = [*message.get("headers", []), *self._headers, own]
        await self._send(message)

    async def send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send an answer that is there already."""
        self.status = status
        length, own = str(len(body)).encode(), self.number.encode()
        sent = [*headers, (b"content-length", length), (b"x-request-id", own)]
        await self._send({"type": "http.response.start", "status": status, "headers": sent})
        await self._send({"type": "http.response.body", "body": body})

    async def problem(self, problem: Problem) -> None:
        """Send a problem, unless an answer has begun."""
        if self.status is not None:
            return
        headers = [*self._headers, (b"content-type", MEDIA_TYPE), *problem.headers.items()]
        await self.send_whole(problem.status, headers, problem.body(self.number))


def _late(scope: Any) -> Problem:
    if scope.get("bimetal.has_body"):
        return unavailable(
            "deadline", "the answer took too long; ask again with the same request_id"
        )
    close = {b"connection": b"close"}
    return Problem(408, "slow", "the whole request in less time expected", headers=close)


def _where(error: BaseException) -> str:
    """Say what failed and where, but not with what: a message may hold an applicant's data."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
    return f"{type(error).__name__} at {places}"
