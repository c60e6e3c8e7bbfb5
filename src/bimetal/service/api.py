"""What each endpoint does, free of any framework: an ASGI request in, an answer out, or a `Problem`."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from msgspec import convert
from msgspec.structs import replace

from bimetal.errors import BimetalError, MissingExtraError
from bimetal.service import arrow
from bimetal.service.applications import Form
from bimetal.service.body import Receive, take
from bimetal.service.desk import Ask, Decided
from bimetal.service.envelope import (
    as_of,
    is_asked,
    query_of,
    request_id,
    require_known,
)
from bimetal.service.keys import Key
from bimetal.service.models import Served
from bimetal.service.problem import Problem
from bimetal.service.reading import read_json
from bimetal.service.scorer import CreditScorer
from bimetal.service.service import Service
from bimetal.service.wire import Batch, Counterfactual, Device, ModelRef, Scored, answer_of, encode

__all__ = ["Api"]

Scope = dict[str, Any]
_ONE = ("application", "request_id", "as_of")
_MANY = ("applications", "request_id", "as_of")
_THREADS = 2


class Api:
    """The endpoints of a service that score.

    Parameters
    ----------
    service : Service
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._heavy = asyncio.Semaphore(
            _THREADS
        )  # what takes long runs beside the loop, few at once

    async def score(self, scope: Scope, receive: Receive, name: str) -> bytes:
        """Score one application: JSON of a `Scored`."""
        service = self.service
        headers = dict(scope["headers"])
        key = self._admit(scope, headers, "score")
        served = self._model(name)
        wants_more = is_asked(query_of(scope, ("counterfactuals",)), "counterfactuals")
        given = read_json(await take(scope, headers, receive, service.limits.body_bytes))
        require_known(given, _ONE)
        number = request_id(given.get("request_id"), scope["bimetal.id"])
        form = served.scorer.form
        when = self._as_of(given.get("as_of"), form)
        row, warnings, errors = form.row(given.get("application"), "/application", when)
        if errors:
            problem = Problem(422, "application", "the application does not fit the model", errors)
            problem.request_id = number
            raise problem
        ask = Ask(number, row, tuple(warnings), key.id, when)
        decided = await service.desk.decide(served, ask)
        answer = await self._answer(decided, served)
        if wants_more and answer.decision not in (None, "approve"):
            answer = replace(answer, counterfactuals=await self._counterfactuals(served, row))
        return encode(answer)

    async def batch(self, scope: Scope, receive: Receive, name: str) -> tuple[bytes, str]:
        """Score many applications: the body and media type of the answer."""
        limits, headers = self.service.limits, dict(scope["headers"])
        key = self._admit(scope, headers, "batch")
        served = self._model(name)
        query = query_of(scope, ("request_id", "as_of"))
        kinds = (b"application/json", arrow.MEDIA_TYPE.encode())
        body = await take(scope, headers, receive, limits.batch_bytes, kinds)
        is_arrow = headers[b"content-type"].startswith(kinds[1])
        async with self._heavy:
            read = self._asks_of_stream if is_arrow else self._asks_of_list
            query.setdefault("request_id", scope["bimetal.id"])
            number, asks = await asyncio.to_thread(read, body, served, key, query)
            self.service.gate.charge(key, len(asks) / limits.rows_per_request - 1)
            decided = await self.service.desk.decide_all(served, asks) if asks else []
            results = [await self._answer(d, served) for d in decided]
            encoded = await asyncio.to_thread(_encoded, number, served, results, is_arrow)
        return encoded, arrow.MEDIA_TYPE if is_arrow else "application/json"

    async def verify(self, scope: Scope, receive: Receive, name: str) -> bytes:
        """Recompute and decide a result that a device signed: JSON of a `Device`."""
        headers = dict(scope["headers"])
        key = self._admit(scope, headers, "score")
        served = self._model(name)
        if not isinstance(served.scorer, CreditScorer):
            raise Problem(422, "model", "a credit model expected; this one is a plain classifier")
        body = await take(scope, headers, receive, self.service.limits.body_bytes)
        given = read_json(body)
        async with self._heavy:
            verified = await asyncio.to_thread(_verified, served.scorer, given)
        told = f"scored on a device, key {verified.device_key_thumbprint}; numbers stand for their bins"
        ask = Ask(f"device:{verified.nonce}", verified.row.tolist(), (told,), key.id)
        decided = await self.service.desk.decide(served, ask)
        when = verified.time.isoformat()
        result = await self._answer(decided, served)
        return encode(Device(result, verified.device_key_thumbprint, verified.nonce, when))

    def _admit(self, scope: Scope, headers: dict[bytes, bytes], needed: str) -> Key:
        key = self.service.gate.admit(headers, needed)
        scope["bimetal.key"] = key.id
        return key

    def _model(self, name: str) -> Served:
        served = self.service.registry.find(name)
        if served is None:
            raise Problem(404, "model", "there is no model of this name; see GET /v1/models")
        return served

    def _as_of(self, given: Any, form: Form) -> str | None:
        """Return the moment stated; today where none is and dates are counted back from it."""
        now = datetime.now(UTC)
        if given is None:
            return now.date().isoformat() if form.dates else None
        return as_of(given, now, self.service.limits.skew_seconds)

    async def _answer(self, decided: Decided, served: Served) -> Scored:
        record, scorer = decided.record, served.scorer
        if decided.outcome is not None:
            return answer_of(decided, decided.outcome, scorer)
        if (
            record.file_hash != scorer.file_hash
        ):  # a retry after a swap: the first model says it again
            scorer = (await self.service.served_by(record.file_hash, served)).scorer
        row = np.frombuffer(record.row, "<f4").astype(np.float32)
        return answer_of(decided, scorer.score(row[None])[0], scorer)

    async def _counterfactuals(self, served: Served, row: Sequence[float]) -> list[Counterfactual]:
        raw = np.array(row, np.float32)
        async with self._heavy:
            found = await asyncio.to_thread(served.scorer.counterfactuals, raw)
        return convert(found, list[Counterfactual])

    def _asks_of_list(
        self, body: bytes, served: Served, key: Key, query: dict[str, str]
    ) -> tuple[str, list[Ask]]:
        limits = self.service.limits
        given = read_json(body, most_objects=limits.batch_rows + 8)
        require_known(given, _MANY)
        number = request_id(given.get("request_id"), request_id(query["request_id"], ""))
        form = served.scorer.form
        when = self._as_of(given.get("as_of", query.get("as_of")), form)
        applications = given.get("applications")
        if type(applications) is not list:
            raise Problem(422, "request", "'applications', a list of objects, expected")
        _require_few(len(applications), limits.batch_rows)
        asks, wrong = [], []
        for k, application in enumerate(applications):
            row, warnings, errors = form.row(application, f"/applications/{k}", when)
            wrong += errors
            if len(wrong) > 100:
                break
            asks.append(Ask(f"{number}:{k}", row, tuple(warnings), key.id, when))
        if wrong:
            raise Problem(
                422, "application", "applications do not fit the model; none was scored", wrong
            )
        return number, asks

    def _asks_of_stream(
        self, body: bytes, served: Served, key: Key, query: dict[str, str]
    ) -> tuple[str, list[Ask]]:
        limits, form = self.service.limits, served.scorer.form
        number, when = request_id(query["request_id"], ""), self._as_of(query.get("as_of"), form)
        rows = arrow.read_stream(body, form, limits.batch_rows, limits.text, when)
        warned, errors = form.check(rows)
        if errors:
            raise Problem(
                422, "application", "applications do not fit the model; none was scored", errors
            )
        warnings: dict[int, list[str]] = {}
        for k, text in warned:
            warnings.setdefault(k, []).append(text)
        return number, [
            Ask(f"{number}:{k}", row, tuple(warnings.get(k, ())), key.id, when)
            for k, row in enumerate(rows.tolist())
        ]


def _require_few(n: int, most: int) -> None:
    if n > most:
        raise Problem(413, "rows", f"at most {most} applications expected")


def _encoded(number: str, served: Served, results: list[Scored], is_arrow: bool) -> bytes:
    scorer = served.scorer
    model = ModelRef(served.name, scorer.id, scorer.policy_id, scorer.file_hash)
    if is_arrow:
        return arrow.write_stream(results, model)
    return encode(Batch(number, model, results))


def _verified(scorer: CreditScorer, given: dict[str, Any]) -> Any:
    try:
        from bimetal.finance.credit.page.payload import ResultError
        from bimetal.finance.credit.page.verify import verify_result
    except ImportError:
        raise Problem(501, "verify", "this installation cannot verify results of devices") from None
    try:
        return verify_result(scorer.model, given)
    except ResultError as error:
        raise Problem(422, f"device-{error.cause}", _CAUSES.get(error.cause, "refused")) from None
    except MissingExtraError:
        raise Problem(501, "verify", "this installation cannot verify results of devices") from None
    except BimetalError:
        raise Problem(422, "device-malformed", _CAUSES["malformed"]) from None


_CAUSES = {
    "malformed": "a signed result as the page makes it expected",
    "model": "a result of the model in service expected; the page is older or newer",
    "signature": "a signature of this key over this result expected",
    "bits": "bits that some application gives expected",
    "limits": "values within the limits of the policy expected",
    "points": "the points that these bits give expected",
    "decision": "the decision that these points give expected",
    "values": "answers that make the bits expected",
    "stale": "a newer result expected; score again on the device",
    "future": "a result of the past expected; set the device's clock",
    "replayed": "a result that was not taken before expected",
}
