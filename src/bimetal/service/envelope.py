"""What stands around an application: its request id, the day it is for, what else is wanted."""

import re
import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl

from bimetal.service.problem import Problem

__all__ = ["REQUEST_ID", "as_of", "is_asked", "new_id", "query_of", "request_id", "require_known"]

REQUEST_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}"
"""What a request may be called. It stays in the log for good, so that it may not name a person."""
_ID = re.compile(REQUEST_ID)
_MOST_AHEAD = timedelta(hours=14)  # where the day begins first, at UTC+14


def new_id() -> str:
    """Return a request id of our own: 96 random bits."""
    return secrets.token_hex(12)


def request_id(given: Any, own: str) -> str:
    """Return the caller's request id, or our own when there is none.

    Raises
    ------
    Problem
        422 when it has another form.
    """
    if given is None:
        return own
    if type(given) is str and _ID.fullmatch(given):
        return given
    raise _refused("/request_id", "1 to 100 letters, digits, '.', '_', ':' or '-' expected")


def as_of(given: Any, now: datetime, skew_seconds: float) -> str | None:
    """Return the day or moment that an application is for, as it was given.

    Parameters
    ----------
    given : object
        None, a date (2026-11-28) or a moment with its zone (2026-11-28T09:30:00Z), ISO 8601.
    now : datetime
        Aware.
    skew_seconds : float
        How far ahead of ours the caller's clock may be.

    Raises
    ------
    Problem
        422 when it lies in the future, or is none of these.

    Examples
    --------
    >>> as_of("2026-11-28", datetime(2026, 11, 28, 12, tzinfo=UTC), 300)
    '2026-11-28'
    """
    if given is None:
        return None
    moment = _moment(given)
    if moment is None:
        raise _refused("/as_of", "a date (2026-11-28) or a moment with its zone expected")
    if moment > now + timedelta(seconds=skew_seconds):
        raise _refused("/as_of", "a date or moment that is not in the future expected")
    return str(given)


def _moment(given: Any) -> datetime | None:
    if type(given) is not str or not 10 <= len(given) <= 40:
        return None
    try:
        moment = datetime.fromisoformat(given)
        if len(given) == 10:
            return moment.replace(tzinfo=UTC) - _MOST_AHEAD
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def query_of(scope: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """Return the parameters of a query, each once and known.

    Raises
    ------
    Problem
        422 otherwise.
    """
    raw = scope["query_string"]
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=16, errors="strict"
        )
    except ValueError:
        raise Problem(422, "query", "a query of names and values expected") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Problem(422, "query", "each parameter of the query once expected")
    require_known(found, known)
    return found


def is_asked(query: Mapping[str, str], name: str) -> bool:
    """Return a parameter that is "true" or "false". Raises `Problem` 422 when it is neither."""
    given = query.get(name, "false")
    if given not in ("true", "false"):
        raise _refused(f"/{name}", "true or false expected")
    return given == "true"


def require_known(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse names that mean nothing here, with the nearest that does. Raises `Problem` 422."""
    strange = [name for name in given if name not in known]
    errors = []
    for name in strange[:20]:
        near = get_close_matches(name[:80], known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        pointer = "/" + name[:80].replace("~", "~0").replace("/", "~1")
        errors.append({"pointer": pointer, "detail": f"no such name{hint}"})
    if errors:
        raise Problem(422, "names", f"only {', '.join(known)} expected", errors)


def _refused(pointer: str, detail: str) -> Problem:
    return Problem(422, "request", detail, [{"pointer": pointer, "detail": detail}])
