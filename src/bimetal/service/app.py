"""The FastAPI application: routes, their descriptions, and problems instead of pages of errors."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bimetal.errors import BimetalError, MissingExtraError
from bimetal.service.api import Api
from bimetal.service.door import Door
from bimetal.service.envelope import query_of
from bimetal.service.log import Entry, LogUnavailable, Record
from bimetal.service.openapi import described, with_schemas
from bimetal.service.problem import MEDIA_TYPE, Problem, unavailable
from bimetal.service.service import Service, model_line
from bimetal.service.wire import encode

try:
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import PlainTextResponse
    from starlette.exceptions import HTTPException
except ImportError as error:
    raise MissingExtraError("fastapi", "serve", "bimetal serve") from error

__all__ = ["create_app"]

_BOOLEAN = {"type": "string", "enum": ["true", "false"]}
_TEXT = {"type": "string", "maxLength": 100}


def create_app(service: Service) -> Door:
    """Return the ASGI application of a service; its lifespan starts and stops the service."""
    api = Api(service)
    app = FastAPI(
        title="bimetal",
        summary="Scores, decisions and exact reasons from binarized scorecards.",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(service),
    )
    _add_scoring(app, api)
    _add_models(app, service)
    _add_audit(app, service)
    _add_watching(app, service)
    _add_problems(app)
    app.openapi = _documented(app)  # type: ignore[method-assign]
    return Door(app, api, service)


def _lifespan(service: Service) -> Any:
    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    return life


def _add_scoring(app: FastAPI, api: Api) -> None:
    @app.post("/v1/models/{name}/score", openapi_extra=described(
        "Scored", "The decision; it is durable.", 400, 404, 409, 413, 415, 422,
        body="Application", query={"counterfactuals": _BOOLEAN}))  # fmt: skip
    async def score(name: str, request: Request) -> Response:
        """Score one application."""
        return _json(await api.score(request.scope, request.receive, name))  # type: ignore[arg-type]

    @app.post("/v1/models/{name}/batch", openapi_extra=described(
        "Batch", "The decisions, in order; they are durable.", 400, 404, 409, 413, 415, 422, 501,
        body="Applications", query={"request_id": _TEXT, "as_of": _TEXT}, has_arrow=True))  # fmt: skip
    async def batch(name: str, request: Request) -> Response:
        """Score many applications: JSON or an Arrow stream, and the answer likewise."""
        body, kind = await api.batch(request.scope, request.receive, name)  # type: ignore[arg-type]
        return Response(body, media_type=kind)

    @app.post("/v1/models/{name}/verify", openapi_extra=described(
        "Device", "The device's result, recomputed and decided.", 400, 404, 409, 413, 415, 422, 501,
        body="SignedResult"))  # fmt: skip
    async def verify(name: str, request: Request) -> Response:
        """Recompute a result that a device scored and signed, and decide on it."""
        return _json(await api.verify(request.scope, request.receive, name))  # type: ignore[arg-type]


def _add_models(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", openapi_extra=described(None, "The models in service.", 422))
    async def models(request: Request) -> Response:
        """List the models."""
        _admit(service, request, None)
        lines = [model_line(s) for s in service.registry.models.values()]
        return _json(encode({"models": lines}))

    @app.get("/v1/models/{name}", openapi_extra=described(None, "The model.", 404, 422))
    async def model(name: str, request: Request) -> Response:
        """Describe a model: its columns, limits, policy, provenance and cost."""
        _admit(service, request, None)
        served = service.registry.models.get(name)
        if served is None:
            raise Problem(404, "model", "there is no model of this name; see GET /v1/models")
        return _json(encode(model_line(served) | served.scorer.describe()))

    @app.post("/v1/models/reload", openapi_extra=described(None, "What is served now.", 422))
    async def reload(request: Request) -> Response:
        """Look at the folder of models now."""
        _admit(service, request, "admin")
        changed = await service.reload()
        shown = service.health(has_details=True)
        told = {k: shown[k] for k in ("models", "failures")}
        return _json(encode({"changed": changed} | told))


def _add_audit(app: FastAPI, service: Service) -> None:
    @app.get("/v1/decisions/{request_id}", openapi_extra=described(
        None, "What the log holds of a request.", 404, 422))  # fmt: skip
    async def decision(request_id: str, request: Request) -> Response:
        """Read a decision, and those of shadows, from the log."""
        _admit(service, request, "audit")
        try:
            entries = await asyncio.to_thread(service.log.find, request_id[:200])
        except LogUnavailable:
            raise unavailable("log", "the decision log cannot be read now") from None
        if not entries:
            raise Problem(404, "decision", "the log has no decision of this request_id")
        return _json(encode({"entries": [await _entry(service, e) for e in entries]}))


def _add_watching(app: FastAPI, service: Service) -> None:
    @app.get("/health", openapi_extra=described(None, "The process lives.", is_open=True))
    async def health(request: Request) -> Response:
        """Tell whether the process lives; with the scope admin, everything that is wrong."""
        return _json(encode(service.health(has_details=_is_admin(service, request))))

    @app.get("/ready", openapi_extra=described(None, "Decisions are answered.", is_open=True))
    async def ready(request: Request) -> Response:
        """Tell whether decisions can be answered."""
        service.require_ready()
        return _json(b'{"status":"ready"}')

    @app.get("/metrics", response_class=PlainTextResponse,
             openapi_extra=described(None, "Prometheus text.", 422, is_text=True))  # fmt: skip
    async def metrics(request: Request) -> Response:
        """Tell Prometheus."""
        if not service.settings.has_public_metrics:
            _admit(service, request, "admin")
        return Response(
            service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8"
        )


def _add_problems(app: FastAPI) -> None:
    async def told(request: Request, problem: Any) -> Response:
        number = request.scope["bimetal.id"]
        headers = {k.decode(): v.decode() for k, v in problem.headers.items()}
        return Response(problem.body(number), problem.status, headers, MEDIA_TYPE.decode())

    async def of_the_router(request: Request, error: Any) -> Response:
        details = {404: "there is nothing here; see /openapi.json", 405: "another method expected"}
        kind = {404: "path", 405: "method"}.get(error.status_code, "http")
        detail = details.get(error.status_code, "another request expected")
        headers = {k.encode(): v.encode() for k, v in (error.headers or {}).items()}
        return await told(request, Problem(error.status_code, kind, detail, headers=headers))

    async def of_ours(request: Request, _: Exception) -> Response:
        return await told(request, Problem(500, "internal", "the service failed; see its log"))

    app.add_exception_handler(Problem, told)
    app.add_exception_handler(HTTPException, of_the_router)
    app.add_exception_handler(Exception, of_ours)  # raised again afterwards: the door logs it


def _documented(app: FastAPI) -> Any:
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = with_schemas(made())
        return app.openapi_schema

    return openapi


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _admit(service: Service, request: Request, needed: str | None) -> None:
    query_of(request.scope, ())
    key = service.gate.admit(dict(request.scope["headers"]), needed)
    request.scope["bimetal.key"] = key.id


def _is_admin(service: Service, request: Request) -> bool:
    try:
        return "admin" in service.gate.find(dict(request.scope["headers"])).scopes
    except Problem:
        return False


async def _entry(service: Service, entry: Entry) -> dict[str, Any]:
    record: Any = entry.record
    shown = {"sequence": entry.sequence, "time": entry.time, "clock": entry.clock,
             "hash": entry.hash, "previous": entry.previous, "content": entry.content}  # fmt: skip
    if not isinstance(record, Record):
        return shown | {"kind": "erasure", "request_id": record.request_id, "reason": record.reason}
    shown |= {name: value for name, value in vars(record).items() if name in _SHOWN}
    if entry.is_erased:
        return shown | {"kind": "decision", "is_erased": True}
    values = struct.unpack(f"<{len(record.row) // 4}f", record.row)
    raw = [None if value != value else value for value in values]
    return shown | {"kind": "decision", "is_erased": False, "row": raw,
                    "application": await _application(service, record, raw)}  # fmt: skip


_SHOWN = ("request_id", "model_name", "model_id", "policy_id", "file_hash", "role", "points",
          "probability", "decision", "reasons", "key_id", "as_of", "warnings")  # fmt: skip


async def _application(
    service: Service, record: Record, raw: list[float | None]
) -> dict[str, Any] | None:
    """Return the row by names and categories, if the model can be had."""
    current = service.registry.models.get(record.model_name)
    if current is None:
        return None
    try:
        served = await service.served_by(record.file_hash, current)
    except (BimetalError, Problem):
        return None
    return {
        field.column.name: field.column.categories[int(value)]
        if field.column.kind == "category" and value is not None and value >= 0
        else value
        for field, value in zip(served.scorer.form.fields, raw, strict=True)
    }
