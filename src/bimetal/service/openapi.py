"""The OpenAPI of the service, from the structures that it answers with, and by hand where it reads."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bimetal.service import arrow
from bimetal.service.envelope import REQUEST_ID
from bimetal.service.models import NAME
from bimetal.service.wire import Batch, Device, Scored

__all__ = ["described", "with_schemas"]

_REF = "#/components/schemas/{name}"
_APPLICATION = {"age": 41, "income": 2500.5, "housing": "own", "arrears": None}
_ID = {"type": "string", "pattern": f"^{REQUEST_ID}$", "description": "Yours; makes a retry safe."}
_AS_OF = {
    "type": "string",
    "maxLength": 40,
    "description": "The day (2026-11-28) or moment (2026-11-28T09:30:00Z) it is for; not in the future.",
}
_VALUES = {
    "type": "object",
    "description": "Each column of the model (see GET /v1/models/{name}): its value, or null.",
    "additionalProperties": {"type": ["number", "string", "boolean", "null"]},
}
_ONE = {
    "type": "object",
    "required": ["application"],
    "additionalProperties": False,
    "properties": {"application": _VALUES, "request_id": _ID, "as_of": _AS_OF},
    "examples": [
        {"application": _APPLICATION, "request_id": "app-2026-000123", "as_of": "2026-11-28"}
    ],
}
_MANY = {
    "type": "object",
    "required": ["applications"],
    "additionalProperties": False,
    "properties": {
        "applications": {"type": "array", "items": _VALUES},
        "request_id": _ID,
        "as_of": _AS_OF,
    },
    "examples": [{"applications": [_APPLICATION, _APPLICATION], "request_id": "night-2026-11-28"}],
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "n_errors": {"type": "integer"},
    },
    "examples": [
        {
            "type": "about:bimetal#application",
            "title": "Application refused",
            "status": 422,
            "detail": "the application does not fit the model",
            "request_id": "app-2026-000123",
            "errors": [
                {"pointer": "/application/agee", "detail": "no such field; did you mean 'age'?"}
            ],
        }
    ],
}
_WORDS = {
    401: "No valid key.",
    403: "The key lacks the scope.",
    404: "There is no such model or decision.",
    405: "Not with this method.",
    408: "The request came too slowly.",
    409: "The request_id was used for another application.",
    413: "Body, rows or text too large.",
    415: "Another media type, or a compressed body.",
    422: "The application does not fit the model; fields are named.",
    429: "Too many requests; see Retry-After.",
    400: "No JSON, or JSON that breaks the stricter rules.",
    500: "The service failed.",
    501: "Not with what is installed.",
    503: "Not now (busy, log, deadline); see Retry-After.",
}
_OPEN = (405, 408, 500, 503)
_COMMON = (*_OPEN, 401, 403, 429)


def described(
    answer: str | None,
    text: str,
    *problems: int,
    body: str | None = None,
    query: Mapping[str, dict[str, Any]] | None = None,
    is_open: bool = False,
    has_arrow: bool = False,
    is_text: bool = False,
) -> dict[str, Any]:
    """Return what FastAPI is told of a route.

    Parameters
    ----------
    answer : str or None
        The schema of success; None for any JSON.
    text : str
        What success means.
    problems : int
        Statuses beside the common ones.
    body : str, optional
        The schema of what is read.
    query : mapping, optional
        Parameters and their schemas.
    is_open : bool
        Whether no key is needed.
    has_arrow : bool
        Whether body and answer may be Arrow streams.
    is_text : bool
        Whether the answer is plain text.
    """
    schema = {"type": "object"} if answer is None else {"$ref": _REF.format(name=answer)}
    content = _content(schema, has_arrow)
    if is_text:
        content = {"text/plain": {"schema": {"type": "string"}}}
    extra: dict[str, Any] = {
        "responses": {"200": {"description": text, "content": content}}
        | {str(s): _refused(s) for s in sorted({*problems, *(_OPEN if is_open else _COMMON)})},
        "security": [] if is_open else [{"bearer": []}, {"header": []}],
    }
    if body is not None:
        content = _content({"$ref": _REF.format(name=body)}, has_arrow)
        extra["requestBody"] = {"required": True, "content": content}
    if query:
        extra["parameters"] = [
            {"name": name, "in": "query", "required": False, "schema": of}
            for name, of in query.items()
        ]
    return extra


def with_schemas(document: dict[str, Any]) -> dict[str, Any]:
    """Add schemas, keys and the forms of path parameters to what FastAPI made."""
    _, schemas = msgspec.json.schema_components([Scored, Batch, Device], ref_template=_REF)
    own = {
        "Application": _ONE,
        "Applications": _MANY,
        "Problem": _PROBLEM,
        "SignedResult": _signed(),
    }
    document["components"] = {
        "schemas": {**schemas, **own},
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    }
    forms = {"name": NAME, "request_id": f"(?:{REQUEST_ID})"}
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    pattern = f"^{forms[parameter['name']]}$"
                    parameter["schema"] = {"type": "string", "pattern": pattern}
            _forget_own_422(operation["responses"])
    return document


def _forget_own_422(responses: dict[str, Any]) -> None:
    """Remove the description of a 422 that FastAPI adds and never answers here."""
    content = responses.get("422", {}).get("content", {})
    content.pop("application/json", None)
    if not content:
        responses.pop("422", None)


def _content(schema: dict[str, Any], has_arrow: bool) -> dict[str, Any]:
    stream = {arrow.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": schema}} | (stream if has_arrow else {})


def _refused(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="Problem")}
    answer: dict[str, Any] = {
        "description": _WORDS[status],
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return answer


def _signed() -> dict[str, Any]:
    try:
        from bimetal.finance.credit.page.payload import RESULT_SCHEMA
    except ImportError:
        return {"type": "object"}
    return {k: v for k, v in RESULT_SCHEMA.items() if k != "$schema"}
