"""The models being served: a folder of files, read whole, tested, and swapped by one assignment.

A request holds on to the model it began with, so that a swap never mixes two. A file that cannot be
served changes nothing: the model before it stays, and the failure is told until the file is mended.
"""

import contextlib
import logging
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from bimetal.errors import BimetalError, DataError
from bimetal.service.limits import Limits
from bimetal.service.scorer import Scorer, scorer_of

__all__ = ["NAME", "Failure", "Registry", "Served"]

logger = logging.getLogger("bimetal.service")

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
"""What a model may be called."""
_SUFFIX, _SHADOW = ".bimetal", ".shadow"
_MISSES = 2
Signature = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Served:
    """A model in service.

    Attributes
    ----------
    name : str
        The stem of its file.
    role : {"champion", "shadow"}
        A shadow is scored and logged, and never answered.
    scorer : Scorer
    loaded : str
        UTC, ISO 8601.
    """

    name: str
    role: Literal["champion", "shadow"]
    scorer: Scorer
    loaded: str

    @property
    def shadows(self) -> str | None:
        """The name of the model that a shadow stands behind."""
        return self.name.removesuffix(_SHADOW) if self.role == "shadow" else None


@dataclass(frozen=True)
class Failure:
    """A file that is not served, and why; `keeps` says whether an older model goes on."""

    file: str
    message: str
    since: str
    keeps: bool


class Registry:
    """The models of a folder.

    Parameters
    ----------
    folder : path-like
        Of .bimetal files; ``NAME.shadow.bimetal`` is the shadow of NAME.
    limits : Limits
    archive : callable
        Given sha256 and bytes of a file, keeps them before the model is used.
    build : callable
        Bytes and limits → a scorer, tested.
    pairs : mapping of str to tuple of str
        Further shadows: model → names of models that shadow it.
    told : callable
        Given name and "loaded", "refused" or "retired": what a metric counts.

    Raises
    ------
    DataError
        When there is no such folder.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        limits: Limits,
        *,
        archive: Callable[[str, bytes], None] = lambda file_hash, data: None,
        build: Callable[[bytes, Limits], Scorer] = scorer_of,
        pairs: Mapping[str, tuple[str, ...]] | None = None,
        told: Callable[[str, str], None] = lambda name, outcome: None,
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise DataError(f"a folder of .bimetal files expected, '{folder}' is none")
        self._limits, self._archive, self._build, self._told = limits, archive, build, told
        self._pairs = dict(pairs or {})
        self._lock = threading.Lock()
        self._seen: dict[str, Signature] = {}
        self._misses: dict[str, int] = {}
        self._models: Mapping[str, Served] = {}
        self.failures: Mapping[str, Failure] = {}

    @property
    def models(self) -> Mapping[str, Served]:
        """Every model in service, shadows too, by name."""
        return self._models

    def find(self, name: str) -> Served | None:
        """Return the champion of this name."""
        found = self._models.get(name)
        return found if found is not None and found.role == "champion" else None

    def shadows_of(self, name: str) -> list[Served]:
        """Return the models that shadow this one."""
        models = self._models
        names = (name + _SHADOW, *self._pairs.get(name, ()))
        return [models[n] for n in names if n in models and n != name]

    def refresh(self) -> bool:
        """Look at the folder; load what is new, retire what is gone. Return whether models changed.

        Never raises: what goes wrong is told in `failures`.
        """
        with self._lock:
            before = self._models
            try:
                found = dict(self._files())
            except OSError as error:
                self._fail("", f"the folder cannot be read ({error.strerror}); all models stay")
                return False
            self._mended("")
            for name, path in sorted(found.items()):
                self._look(name, path)
            self._retire(set(found))
            return self._models is not before

    def _files(self) -> Iterator[tuple[str, Path]]:
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX) and not entry.name.startswith("."):
                    yield entry.name.removesuffix(_SUFFIX), Path(entry.path)

    def _look(self, name: str, path: Path) -> None:
        self._misses.pop(name, None)
        try:
            signature = _signature(path.stat())
            if self._seen.get(name) == signature:
                return
            self._load(name, path)
            self._seen[name] = signature
            self._mended(name)
        except _StillChanging:
            return
        except (BimetalError, OSError, MemoryError, ArithmeticError) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            self._fail(name, f"{type(error).__name__}: {text}"[:500])
            with contextlib.suppress(OSError):  # not read again until it changes
                if not _is_passing(error):
                    self._seen[name] = _signature(path.stat())

    def _load(self, name: str, path: Path) -> None:
        if not re.fullmatch(NAME, name):
            raise DataError("a model's file is called by letters, digits, '.', '_' and '-'")
        data = _read_whole(path, self._limits.model_bytes)
        scorer = self._build(data, self._limits)
        current = self._models.get(name)
        if current is not None and current.scorer.file_hash == scorer.file_hash:
            return
        self._archive(scorer.file_hash, data)
        role: Literal["champion", "shadow"] = "shadow" if name.endswith(_SHADOW) else "champion"
        served = Served(name, role, scorer, _now())
        self._models = {**self._models, name: served}  # the swap: one assignment
        self._told(name, "loaded")
        logger.info("model %s: loaded, id %.12s, file %.12s", name, scorer.id, scorer.file_hash)

    def _retire(self, found: set[str]) -> None:
        for name in {*self._models, *self._seen} - found:
            self._misses[name] = self._misses.get(name, 0) + 1
            if self._misses[name] < _MISSES:  # copied over, perhaps: look once more
                continue
            del self._misses[name]
            self._seen.pop(name, None)
            self._mended(name)
            if name in self._models:
                self._models = {k: v for k, v in self._models.items() if k != name}
                self._told(name, "retired")
                logger.warning("model %s: its file is gone; it is no longer served", name)

    def _fail(self, name: str, message: str) -> None:
        before = self.failures.get(name)
        if before is not None and before.message == message:
            return
        keeps = name in self._models
        self.failures = {**self.failures, name: Failure(name, message, _now(), keeps)}
        self._told(name, "refused")
        stays = "the one before stays in service" if keeps else "it is not served"
        logger.error("model %s: refused, %s: %s", name or "(folder)", stays, message)

    def _mended(self, name: str) -> None:
        if name in self.failures:
            self.failures = {k: v for k, v in self.failures.items() if k != name}


class _StillChanging(Exception):  # noqa: N818
    """The file is being written: look again later."""


def _read_whole(path: Path, most: int) -> bytes:
    """Read a regular file into memory: one that is mapped could change under a request."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise DataError("a regular file expected")
        if before.st_size > most:
            raise DataError(f"a file of at most {most} bytes expected, got {before.st_size}")
        data = file.read(most + 1)
        if _signature(os.fstat(descriptor)) != _signature(before) or len(data) != before.st_size:
            raise _StillChanging
    return data


def _is_passing(error: BaseException) -> bool:
    """Tell whether the same file may load a second later: the log was full, memory was short."""
    from bimetal.service.log import LogUnavailable

    return isinstance(error, LogUnavailable | MemoryError | OSError)


def _signature(status: os.stat_result) -> Signature:
    return status.st_mtime_ns, status.st_ino, status.st_size


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
