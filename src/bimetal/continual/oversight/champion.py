"""Champion against challengers, in the order of time: predict first, then learn, labels late.

Each chunk (a month, say) is scored by every model before anyone learns from it, and its labels become
known only `delay` chunks later: the same conditions as in production, so nothing can look ahead. What
comes out is evidence for people who decide, see `competition.py`. Nobody is promoted here.
"""

import copy
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.oversight.competition import CHAMPION, METRICS, Chunk, Competition, judged
from bimetal.continual.oversight.promotion import Promotion
from bimetal.errors import DataError

__all__ = ["Frozen", "Model", "Refitted", "compete"]

Floats = NDArray[np.float64]


class Model(Protocol):
    """What competes: something that gives probabilities; it learns if it has a `partial_fit`."""

    def predict_proba(self, X: Any) -> Any:
        """Return probabilities, (n_rows, 2)."""


class Frozen:
    """A model that has stopped learning, although it could."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict_proba(self, X: Any) -> Any:
        """Return what the model says."""
        return self.model.predict_proba(X)


class Refitted:
    """A model that is fitted anew with each chunk, on the last few: what sliding-window retraining does.

    Parameters
    ----------
    model : estimator
        Fitted already on what came before; it is cloned for each fit.
    window : int, optional
        Chunks it is fitted on; by default all since the start. They are kept, so it stores rows.
    past : sequence of Chunk
        What it was fitted on before the stream begins, if that should still count.
    """

    def __init__(self, model: Any, window: int | None = None, past: Iterable[Chunk] = ()) -> None:
        self.model = model
        self._chunks: deque[Chunk] = deque(past, maxlen=window)

    def predict_proba(self, X: Any) -> Any:
        """Return what the model last fitted says."""
        return self.model.predict_proba(X)

    def partial_fit(self, X: Any, y: Any) -> None:
        """Fit anew, with these rows and without the oldest."""
        from sklearn.base import clone

        self._chunks.append(Chunk("", X, np.asarray(y)))
        if len(np.unique(np.concatenate([chunk.y for chunk in self._chunks]))) == 2:
            rows = _stacked([chunk.X for chunk in self._chunks])
            self.model = clone(self.model).fit(rows, np.concatenate([c.y for c in self._chunks]))


def compete(
    champion: Model,
    challengers: Mapping[str, Model],
    stream: Iterable[Chunk],
    *,
    metric: str = "auc",
    delay: int = 0,
    holdout: Chunk | None = None,
    promotes_when: Promotion | None = None,
    block: int | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    clock: Callable[[], float] = time.process_time,
) -> Competition:
    """Let models predict and learn chunk after chunk, and compare them.

    Parameters
    ----------
    champion : Model
        What is in use; wrap it in `Frozen` if it does not learn on. Copies compete, the models given
        stay as they are.
    challengers : mapping of str to Model
        What might take its place.
    stream : iterable of Chunk
        In the order of time.
    metric : {"auc", "gini", "log_loss", "brier"}
        What the comparison is about; the others are reported beside it.
    delay : int, default 0
        Chunks that pass before labels are known: with 12 months, January's rows are learned from when
        January of the next year has been scored.
    holdout : Chunk, optional
        Rows of a period of stress that nobody learns from meanwhile, asked about again and again.
    promotes_when : Promotion, optional
        The rule that advises.
    block, n_resamples, seed : int
        Of the bootstrap, see `promotion.block_bootstrap`.
    clock : callable, default time.process_time
        Seconds.

    Raises
    ------
    DataError
        When a name is taken, the metric unknown, the delay negative, or the stream empty.

    Examples
    --------
    >>> class Says:
    ...     def __init__(self, p): self.p = p
    ...     def predict_proba(self, X): return np.stack([1 - X * self.p, X * self.p], axis=1)
    >>> months = [Chunk(f"month {i}", np.array([0.2, 0.9, 0.8, 0.1]), np.array([0, 1, 1, 0])) for i in range(8)]
    >>> found = compete(Says(0.5), {"surer": Says(1.0)}, months, metric="log_loss")
    >>> found.advice("surer").promotes, found.chunks[found.advice("surer").at]
    (True, 'month 7')
    """
    if metric not in METRICS:
        raise DataError(f"metric must be one of {list(METRICS)}, got {metric!r}")
    if delay < 0 or CHAMPION in challengers or not challengers:
        raise DataError(
            f"challengers with names of their own and a delay of 0 or more expected, got "
            f"{list(challengers)} and {delay}"
        )
    given = {CHAMPION: champion, **challengers}
    models = {name: copy.deepcopy(model) for name, model in given.items()}  # each a copy of its own
    found = Competition(
        tuple(models), metric, delay, promotes_when or Promotion(), block, n_resamples, seed,
        probabilities={name: [] for name in models},
        retained={name: [] for name in models} if holdout else {},
        seconds={name: {"predict": 0.0, "learn": 0.0} for name in models},
    )  # fmt: skip
    _retain(found, models, holdout)
    waiting: deque[Chunk] = deque()
    for chunk in stream:
        _predict(found, models, chunk, clock)
        waiting.append(chunk)
        if len(waiting) > delay:
            _learn(found, models, waiting.popleft(), clock)
        _retain(found, models, holdout)
    if not found.chunks:
        raise DataError(
            "the stream is empty; a comparison needs a chunk at least, and some for a verdict"
        )
    return found


def _predict(
    found: Competition, models: dict[str, Any], chunk: Chunk, clock: Callable[[], float]
) -> None:
    found.chunks.append(chunk.name)
    found.labels.append(chunk.y)
    for name, model in models.items():
        start = clock()
        found.probabilities[name].append(_of_one(model, chunk.X))
        found.seconds[name]["predict"] += clock() - start


def _learn(
    found: Competition, models: dict[str, Any], chunk: Chunk, clock: Callable[[], float]
) -> None:
    for name, model in models.items():
        if hasattr(model, "partial_fit"):
            start = clock()
            model.partial_fit(chunk.X, chunk.y)
            found.seconds[name]["learn"] += clock() - start


def _retain(found: Competition, models: dict[str, Any], holdout: Chunk | None) -> None:
    if holdout is not None:
        for name, model in models.items():
            found.retained[name].append(judged(found.metric, holdout.y, _of_one(model, holdout.X)))


def _of_one(model: Any, X: Any) -> Floats:
    return np.asarray(model.predict_proba(X), np.float64)[:, 1]


def _stacked(tables: list[Any]) -> Any:
    if isinstance(tables[0], np.ndarray):
        return np.concatenate(tables)
    import narwhals as nw

    return nw.to_native(nw.concat([nw.from_native(table, eager_only=True) for table in tables]))
