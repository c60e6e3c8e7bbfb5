"""What goes wrong, in the form of RFC 9457: a type, a title, a detail, and nothing of the inside.

A detail names fields of the request and what was expected there. It never holds a value that came, a
path, a trace or the name of a class.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["MEDIA_TYPE", "Problem"]

MEDIA_TYPE = b"application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "No valid key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Application refused",
    429: "Too many requests",
    500: "Internal error",
    501: "Not available",
    503: "Unavailable",
}
_AT_MOST = 50


class Problem(Exception):  # noqa: N818
    """An answer that is no success.

    Parameters
    ----------
    status : int
        HTTP status.
    kind : str
        A short name: the end of the problem's type, ``about:bimetal#<kind>``.
    detail : str
        For the reader of the client's log.
    errors : sequence of mapping
        One for each field: `pointer` (RFC 6901, into the body) and `detail`.
    headers : mapping
        Further headers.

    Examples
    --------
    >>> Problem(404, "no-model", "there is no model of this name").body("r1")
    b'{"type":"about:bimetal#no-model","title":"Not found","status":404,"detail":"there is no model of this name","request_id":"r1"}'
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        errors: Sequence[dict[str, Any]] = (),
        headers: dict[bytes, bytes] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.errors, self.headers = list(errors), headers or {}
        self.request_id: str | None = None

    def body(self, request_id: str) -> bytes:
        """Return the JSON of the answer; `request_id` stands where the problem knows no better."""
        shown: dict[str, Any] = {
            "type": f"about:bimetal#{self.kind}",
            "title": _TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "request_id": self.request_id or request_id,
        }
        if self.errors:
            shown["errors"] = self.errors[:_AT_MOST]
            if len(self.errors) > _AT_MOST:
                shown["n_errors"] = len(self.errors)
        return msgspec.json.encode(shown)


def unavailable(kind: str, detail: str, seconds: int = 1) -> Problem:
    """Return a 503 that says when to come back."""
    return Problem(503, kind, detail, headers={b"retry-after": str(seconds).encode()})
