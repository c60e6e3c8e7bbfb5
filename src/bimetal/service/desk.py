"""The desk: applications in, decisions out, none of them before it is durable.

All that arrives in one turn of the event loop is scored in one call and written in one append: a lone
request waits for nobody, and under load the cost of a call and of a disk sync is shared by all who
came. Shadows are scored afterwards, on their own time; what goes wrong there is counted, never answered.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError
from bimetal.service.log import DecisionLog, DuplicateRequest, Entry, LogUnavailable, Record
from bimetal.service.metrics import Metrics
from bimetal.service.models import Registry, Served
from bimetal.service.problem import Problem, unavailable
from bimetal.service.scorer import Outcome

__all__ = ["Ask", "Decided", "Desk"]

logger = logging.getLogger("bimetal.service")
_MOST_SHADOWED = 20_000
_SHADOW_GROUP = 256


@dataclass(slots=True, eq=False)
class Ask:
    """One application that was found good.

    Attributes
    ----------
    request_id : str
    row : sequence of float
        Raw.
    warnings : tuple of str
    key_id : str or None
    as_of : str or None
    """

    request_id: str
    row: Sequence[float]
    warnings: tuple[str, ...] = ()
    key_id: str | None = None
    as_of: str | None = None


@dataclass(slots=True, eq=False)
class Decided:
    """What the log holds of an application now.

    Attributes
    ----------
    record : Record
    outcome : Outcome or None
        None when another model made it: that one can say it again.
    is_repeated : bool
        Whether the log had it already.
    """

    record: Record
    outcome: Outcome | None
    is_repeated: bool = False


class Desk:
    """Scores and writes down.

    Parameters
    ----------
    registry : Registry
    log : DecisionLog
    metrics : Metrics
    """

    def __init__(self, registry: Registry, log: DecisionLog, metrics: Metrics) -> None:
        self._registry, self._log, self._metrics = registry, log, metrics
        self._waiting: dict[Served, list[tuple[Ask, asyncio.Future[Decided]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._shadowed: deque[tuple[Served, list[Ask]]] = deque()
        self._n_shadowed = 0
        self._shadow_task: asyncio.Task[None] | None = None
        self.log_failed_at: float | None = None

    async def decide(self, served: Served, ask: Ask) -> Decided:
        """Score one application together with whoever comes at the same time.

        Raises
        ------
        Problem
            409 when the request id was used for something else; 503 when the log takes nothing.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Decided] = loop.create_future()
        if served not in self._waiting:
            self._waiting[served] = []
            loop.call_soon(self._flush, served)
        self._waiting[served].append((ask, future))
        return await future

    async def decide_all(self, served: Served, asks: Sequence[Ask]) -> list[Decided]:
        """Score a batch off the event loop. Raises what `decide` does; then nothing is answered."""
        rows = np.array([ask.row for ask in asks], np.float32)
        outcomes = await asyncio.to_thread(served.scorer.score, rows)
        records = await asyncio.to_thread(_records, served, asks, rows, outcomes)
        decided = await self._written(records, outcomes)
        self._after(served, asks, decided)
        failed = next((d for d in decided if isinstance(d, BaseException)), None)
        if failed is not None:
            raise failed
        return [d for d in decided if isinstance(d, Decided)]

    async def close(self) -> None:
        """Let what is being written end, shadows too."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _flush(self, served: Served) -> None:
        waiting = self._waiting.pop(served)
        task = asyncio.get_running_loop().create_task(self._settle(served, waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(
        self, served: Served, waiting: list[tuple[Ask, asyncio.Future[Decided]]]
    ) -> None:
        """Answer everyone who waits; nobody is left waiting, whatever happens."""
        asks = [ask for ask, _ in waiting]
        results: Sequence[Decided | BaseException]
        try:
            rows = np.array([ask.row for ask in asks], np.float32)
            outcomes = served.scorer.score(rows)
            records = _records(served, asks, rows, outcomes)
            results = await self._written(records, outcomes)
        except BaseException as error:
            results = [error] * len(waiting)
        for (_, future), result in zip(waiting, results, strict=True):
            if future.done():  # the client gave up; the decision stands in the log
                continue
            if isinstance(result, Decided):
                future.set_result(result)
            else:
                future.set_exception(result)
        self._after(served, asks, results)

    async def _written(
        self, records: Sequence[Record], outcomes: Sequence[Outcome]
    ) -> Sequence[Decided | BaseException]:
        try:
            entries = await self._append(records)
        except DuplicateRequest:
            ones = (self._one(*one) for one in zip(records, outcomes, strict=True))
            return await asyncio.gather(*ones, return_exceptions=True)
        return [
            Decided(record, outcome, entry.record is not record)
            for record, outcome, entry in zip(records, outcomes, entries, strict=True)
        ]

    async def _one(self, record: Record, outcome: Outcome) -> Decided:
        """Write one record; when its id was used for the same application, return what was decided."""
        try:
            (entry,) = await self._append([record])
        except DuplicateRequest as duplicate:
            return Decided(_same_application(duplicate.first, record), None, True)
        return Decided(record, outcome, entry.record is not record)

    async def _append(self, records: Sequence[Record]) -> list[Entry]:
        begun = time.perf_counter()
        try:
            entries = await self._log.append(records)
        except (LogUnavailable, DataError) as error:
            self._metrics.count("log_failures", n=len(records))
            if self.log_failed_at is None:
                logger.error("the decision log takes nothing, so nothing is answered: %s", error)
            self.log_failed_at = time.monotonic()
            raise unavailable(
                "log", "the decision cannot be made durable now, so that none is answered"
            ) from None
        if self.log_failed_at is not None:
            self.log_failed_at = None
            logger.warning("the decision log takes decisions again")
        self._metrics.log_seconds.observe("decisions", time.perf_counter() - begun)
        return entries

    def _after(
        self, served: Served, asks: Sequence[Ask], results: Sequence[Decided | BaseException]
    ) -> None:
        """Count what was decided anew, and hand it to the shadows."""
        metrics, name = self._metrics, served.name
        fresh = []
        for ask, result in zip(asks, results, strict=True):
            if not isinstance(result, Decided) or result.is_repeated or result.outcome is None:
                continue
            fresh.append(ask)
            outcome = result.outcome
            metrics.count("decisions", name, "champion", outcome.decision or "none")
            metrics.probabilities.observe(name, outcome.probability)
            if outcome.score is not None:
                metrics.scores.observe(name, outcome.score)
            if ask.warnings:
                metrics.count("warnings", name)
        if fresh and self._registry.shadows_of(name):
            self._offer(served, fresh)

    def _offer(self, served: Served, asks: list[Ask]) -> None:
        if self._n_shadowed + len(asks) > _MOST_SHADOWED:
            self._metrics.count("shadow_failures", served.name, "too many", n=len(asks))
            return
        self._shadowed.append((served, asks))
        self._n_shadowed += len(asks)
        if self._shadow_task is None or self._shadow_task.done():
            self._shadow_task = asyncio.get_running_loop().create_task(self._shadow())
            self._tasks.add(self._shadow_task)
            self._shadow_task.add_done_callback(self._tasks.discard)

    async def _shadow(self) -> None:
        while self._shadowed:
            served, asks = self._shadowed.popleft()
            self._n_shadowed -= len(asks)
            for shadow in self._registry.shadows_of(served.name):
                try:
                    await self._score_shadow(served, shadow, asks)
                except Exception as error:
                    cause = type(error).__name__
                    self._metrics.count("shadow_failures", shadow.name, cause, n=len(asks))
                    logger.error(
                        "shadow %s: %d applications lost: %s", shadow.name, len(asks), cause
                    )

    async def _score_shadow(self, served: Served, shadow: Served, asks: list[Ask]) -> None:
        places = _places(served, shadow)
        for start in range(0, len(asks), _SHADOW_GROUP):
            group = asks[start : start + _SHADOW_GROUP]
            rows = np.ascontiguousarray(np.array([a.row for a in group], np.float32)[:, places])
            outcomes = await asyncio.to_thread(shadow.scorer.score, rows)
            await self._log.append(_records(shadow, group, rows, outcomes, "shadow"))
            for outcome in outcomes:
                self._metrics.count("decisions", shadow.name, "shadow", outcome.decision or "none")


def _records(
    served: Served,
    asks: Sequence[Ask],
    rows: NDArray[np.float32],
    outcomes: Sequence[Outcome],
    role: Literal["champion", "shadow"] = "champion",
) -> list[Record]:
    scorer, width = served.scorer, 4 * rows.shape[1]
    raw = rows.astype("<f4", copy=False).tobytes()
    return [
        Record(
            ask.request_id, served.name, scorer.id, scorer.policy_id, scorer.file_hash, role,
            raw[k * width : (k + 1) * width], outcome.points, outcome.probability,
            outcome.decision, outcome.reasons, ask.key_id, ask.as_of, ask.warnings,
        )
        for k, (ask, outcome) in enumerate(zip(asks, outcomes, strict=True))
    ]  # fmt: skip


def _same_application(first: Entry, record: Record) -> Record:
    """Return the first decision if it was made for this very application."""
    known: Any = first.record
    if isinstance(known, Record) and not first.is_erased:
        same = (known.row, known.model_name, known.as_of)
        if same == (record.row, record.model_name, record.as_of):
            return known
    raise Problem(
        409, "request-id", "this request_id was used for another application; choose a new one"
    )


def _places(served: Served, shadow: Served) -> list[int]:
    """Return where a champion's row has the columns of a shadow.

    Raises
    ------
    LookupError
        When it has another column, or another list of categories.
    """
    columns = [field.column for field in served.scorer.form.fields]
    try:
        return [columns.index(field.column) for field in shadow.scorer.form.fields]
    except ValueError:
        raise LookupError("the shadow has a column that the model lacks") from None
