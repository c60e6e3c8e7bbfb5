"""A running service: its models, keys, log and metrics, and the second hand that looks after them."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bimetal.errors import BimetalError
from bimetal.service.desk import Desk
from bimetal.service.gate import Gate
from bimetal.service.limits import Limits
from bimetal.service.log import DecisionLog
from bimetal.service.metrics import Metrics
from bimetal.service.models import Registry, Served
from bimetal.service.problem import unavailable
from bimetal.service.scorer import Scorer, scorer_of

__all__ = ["Service", "Settings"]

logger = logging.getLogger("bimetal.service")
access = logging.getLogger("bimetal.service.access")
_EVERY_SECONDS = 1.0
_KNOWN_OLD = 8


@dataclass(frozen=True)
class Settings:
    """What a service is started with: JSON values, so that worker processes get the same.

    Attributes
    ----------
    folder : str
        Of models.
    keys : str or None
        The file of API keys; None asks for none.
    log : str
        Of decisions: a path, ``sqlite:///…`` or ``postgresql+psycopg://…``.
    shadows : mapping of str to tuple of str
        Model → models that shadow it.
    has_public_metrics : bool
        Whether /metrics needs no key.
    has_access_log : bool
        Whether requests are written to the log: id, route, status, time; nothing else.
    has_tls : bool
        Whether the connection is encrypted here.
    limits : Limits
    """

    folder: str
    keys: str | None
    log: str
    shadows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_public_metrics: bool = False
    has_access_log: bool = False
    has_tls: bool = False
    limits: Limits = field(default_factory=Limits)

    def spec(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Settings":
        """Build settings from JSON values: the inverse of `spec`."""
        shadows = {name: tuple(others) for name, others in spec["shadows"].items()}
        return cls(**{**spec, "shadows": shadows, "limits": Limits(**spec["limits"])})


class Service:
    """Everything that lives as long as the process serves.

    Parameters
    ----------
    settings : Settings
    log : DecisionLog
        Closed with the service.
    build : callable
        Bytes and limits → a scorer: where another kind of model is plugged in.

    Raises
    ------
    BimetalError
        When the folder or the keys are not there.
    """

    def __init__(
        self,
        settings: Settings,
        log: DecisionLog,
        build: Callable[[bytes, Limits], Scorer] = scorer_of,
    ) -> None:
        self.settings, self.limits, self.log = settings, settings.limits, log
        self.metrics = Metrics()
        self._events: list[tuple[str, str]] = []  # told by a thread, counted by the loop
        self.gate = Gate(settings.keys, settings.limits)
        self.registry = Registry(
            Path(settings.folder),
            settings.limits,
            archive=log.archive_model,
            build=build,
            pairs=settings.shadows,
            told=lambda *event: self._events.append(event),
        )
        self.desk = Desk(self.registry, log, self.metrics)
        self.is_stopping = False
        self._build = build
        self._old: dict[str, Served] = {}
        self._watch: asyncio.Task[None] | None = None
        self._lines: list[str] = []

    async def start(self) -> None:
        """Load the models, then look after them every second."""
        await self.reload()
        self._watch = asyncio.get_running_loop().create_task(self._look_after())

    async def stop(self) -> None:
        """Finish what is being written, then close the log."""
        self.is_stopping = True
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self.desk.close()
        self.metrics.hand_over()
        self._write_lines()
        await asyncio.to_thread(self.log.close)

    async def reload(self) -> bool:
        """Look at the folder and the keys now; return whether models changed."""
        changed = await asyncio.to_thread(self.registry.refresh)
        await asyncio.to_thread(self.gate.refresh)
        events, self._events[:] = list(self._events), []
        for event in events:
            self.metrics.count("models", *event)
        return changed

    def note(self, line: str) -> None:
        """Put a line into the access log; it is written within a second."""
        self._lines.append(line)

    def require_ready(self) -> None:
        """Raise `Problem` 503 unless decisions can be answered."""
        if self.is_stopping:
            raise unavailable("not-ready", "the service is stopping")
        if not any(s.role == "champion" for s in self.registry.models.values()):
            raise unavailable("not-ready", "no model is loaded")
        if self._log_is_down():
            raise unavailable("not-ready", "the decision log takes nothing")

    def health(self, *, has_details: bool) -> dict[str, Any]:
        """Return whether all is well; with details what is not."""
        registry = self.registry
        is_well = not (registry.failures or self._log_is_down() or self.gate.failure)
        shown: dict[str, Any] = {"status": "ok" if is_well else "degraded"}
        if has_details:
            sequence, head = self._head()
            shown["models"] = [model_line(s) for s in registry.models.values()]
            shown["failures"] = [asdict(f) for f in registry.failures.values()]
            shown["keys"] = self.gate.failure or "ok"
            shown["log"] = {"is_down": self._log_is_down(), "sequence": sequence, "head": head}
            shown["time"], shown["process"] = datetime.now(UTC).isoformat(), os.getpid()
        return shown

    async def served_by(self, file_hash: str, like: Served) -> Served:
        """Return the model of an earlier decision, from the log's archive if need be.

        Raises
        ------
        Problem
            503 when the archive cannot give it.
        """
        for served in (*self.registry.models.values(), *self._old.values()):
            if served.scorer.file_hash == file_hash:
                return served
        try:
            data = await asyncio.to_thread(self.log.model, file_hash)
            scorer = await asyncio.to_thread(self._build, data, self.limits)
        except BimetalError:
            raise unavailable("archive", "the model of that decision cannot be read now") from None
        while len(self._old) >= _KNOWN_OLD:
            del self._old[next(iter(self._old))]
        self._old[file_hash] = Served(like.name, like.role, scorer, "")
        return self._old[file_hash]

    def _log_is_down(self) -> bool:
        # After a while a request may try again: else a recovered log would never be seen.
        failed = self.desk.log_failed_at
        return failed is not None and time.monotonic() - failed < 5

    def _head(self) -> tuple[int | None, str | None]:
        try:
            return self.log.head()
        except BimetalError:
            return None, None

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.reload()
                self.metrics.hand_over()
                self._write_lines()
            except Exception as error:
                logger.error("looking after the service: %s", type(error).__name__)

    def _write_lines(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            access.info("\n".join(lines))


def model_line(served: Served) -> dict[str, Any]:
    """Return a model in a list, as JSON values."""
    scorer = served.scorer
    return {
        "name": served.name,
        "role": served.role,
        "shadows": served.shadows,
        "id": scorer.id,
        "policy_id": scorer.policy_id,
        "file_hash": scorer.file_hash,
        "loaded": served.loaded,
        "n_columns": len(scorer.form),
    }
