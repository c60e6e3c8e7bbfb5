"""What a comparison of models over time leaves behind: every prediction, and what to read from it.

The table by chunk, the same over all rows so far, paired differences with intervals, what the rule of
promotion advises, what each model still knows of a period of stress, and what it cost.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal import metrics
from bimetal.continual.oversight.promotion import (
    Advice,
    Difference,
    Promotion,
    advise,
    difference,
    gini_stability,
)
from bimetal.errors import DataError

__all__ = ["CHAMPION", "METRICS", "Chunk", "Competition", "judged"]

Floats = NDArray[np.float64]
CHAMPION = "champion"
METRICS: dict[str, tuple[Callable[[Any, Any], float], int]] = {
    "auc": (metrics.auc, +1),
    "gini": (metrics.gini, +1),
    "log_loss": (metrics.log_loss, -1),
    "brier": (metrics.brier, -1),
}
"""What a chunk is judged by, and whether more (+1) or less (−1) is better."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Rows of one period, and what became of them.

    Attributes
    ----------
    name : str
        "2018-07", say.
    X : frame or array
        The rows.
    y : numpy.ndarray
        0 and 1, one for each row.
    """

    name: str
    X: Any
    y: NDArray[Any]

    def __post_init__(self) -> None:
        y = np.asarray(self.y)
        if y.ndim != 1 or len(y) != len(self.X) or not len(y) or not np.isin(y, (0, 1)).all():
            raise DataError(
                f"chunk {self.name!r}: one label of 0 or 1 for each of {len(self.X)} rows expected, got "
                f"{y.shape} of {np.unique(y)[:5]}"
            )
        object.__setattr__(self, "y", y.astype(np.int64))


@dataclass(eq=False)
class Competition:
    """What came out; models are named, "champion" first.

    Attributes
    ----------
    names : tuple of str
        Of the models.
    chunks : list of str
        Names of the chunks, in their order.
    labels : list of numpy.ndarray
        int64 (n_rows,) of each chunk.
    probabilities : dict
        Model → float64 (n_rows,) of each chunk: what it said before it knew.
    retained : dict
        Model → the metric on the hold-out before the first chunk and after each; empty without one.
    seconds : dict
        Model → seconds (of the CPU, unless another clock was given) to "predict" and to "learn".
    metric, delay, rule
        As given.
    """

    names: tuple[str, ...]
    metric: str
    delay: int
    rule: Promotion
    block: int | None = None
    n_resamples: int = 1000
    seed: int = 0
    chunks: list[str] = field(default_factory=list)
    labels: list[NDArray[np.int64]] = field(default_factory=list)
    probabilities: dict[str, list[Floats]] = field(default_factory=dict)
    retained: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)

    def by_chunk(self, name: str, metric: str | None = None) -> Floats:
        """Return a metric of a model chunk by chunk; NaN where a chunk has one class only."""
        said = zip(self.labels, self.probabilities[name], strict=True)
        return np.array([judged(metric or self.metric, y, p) for y, p in said])

    def cumulative(self, name: str, metric: str | None = None) -> Floats:
        """Return a metric of a model over all rows up to each chunk."""
        y, p = self.labels, self.probabilities[name]
        return np.array(
            [
                judged(metric or self.metric, np.concatenate(y[:n]), np.concatenate(p[:n]))
                for n in range(1, len(y) + 1)
            ]
        )

    def gains(self, name: str) -> Floats:
        """Return by how much a model beat the champion, chunk by chunk; positive is better."""
        return METRICS[self.metric][1] * (self.by_chunk(name) - self.by_chunk(CHAMPION))

    def difference(self, name: str) -> Difference:
        """Return the mean gain of a challenger with its 95 % block-bootstrap interval."""
        return difference(self.gains(name), 0.95, self.block, self.n_resamples, self.seed)

    def advice(self, name: str) -> Advice:
        """Return what the rule says of a challenger. It is known `delay` chunks after the chunk it names."""
        return advise(self.gains(name), self.rule, self.block, self.n_resamples, self.seed)

    def stability(self, name: str) -> float:
        """Return `gini_stability` of a model."""
        return gini_stability(self.by_chunk(name, "gini"))

    def retention(self, name: str) -> float:
        """Return how much better (or, negative, worse) a model now does on the hold-out than at the start.

        It is what the field calls backward transfer: what has been learned since, at the expense of the
        past, shows as a loss here.
        """
        if not self.retained:
            raise DataError("no hold-out was given: compete(..., holdout=Chunk(...))")
        return METRICS[self.metric][1] * (self.retained[name][-1] - self.retained[name][0])

    def values(self) -> dict[str, Any]:
        """Return all but the rows as JSON values; NaN becomes None."""
        models = {name: self._values_of(name) for name in self.names}
        return {
            "metric": self.metric, "delay": self.delay, "rule": self.rule.words(), "chunks": self.chunks,
            "n_rows": [len(y) for y in self.labels], "n_ones": [int(y.sum()) for y in self.labels],
            "models": models,
        }  # fmt: skip

    def _values_of(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = {
            "by_chunk": {metric: _plain(self.by_chunk(name, metric)) for metric in METRICS},
            "cumulative": _plain(self.cumulative(name)),
            "seconds": self.seconds[name],
            "retained": _plain(self.retained.get(name, [])),
        }
        if name != CHAMPION:
            values |= {"gain": vars(self.difference(name)), "advice": self._advised(name)}
        return values

    def _advised(self, name: str) -> dict[str, Any]:
        advice = self.advice(name)
        at = None if advice.at is None else self.chunks[advice.at]
        return {"promotes": advice.promotes, "at": at, "lower": _plain(advice.lower)}

    def __str__(self) -> str:
        head = ["model", *METRICS, f"gain in {self.metric}", "retained", "CPU s", "advice"]
        return _aligned([head, *(self._cells(name) for name in self.names)])

    def _cells(self, name: str) -> list[str]:
        means = [f"{np.nanmean(self.by_chunk(name, metric)):.4f}" for metric in METRICS]
        is_champion = name == CHAMPION
        gain = "" if is_champion else str(self.difference(name))
        kept = f"{self.retention(name):+.4f}".replace("-", "−") if self.retained else ""
        cost = f"{sum(self.seconds[name].values()):.1f}"
        told = "" if is_champion else _told(self._advised(name))
        return [name, *means, gain, kept, cost, told]


def judged(metric: str, y: NDArray[np.int64], p: Floats) -> float:
    """Return a metric, or NaN where there is one class only."""
    return METRICS[metric][0](y, p) if 0 < y.sum() < len(y) else float("nan")


def _told(advised: dict[str, Any]) -> str:
    if advised["promotes"]:
        return f"promote (first met {advised['at']})"
    return "stay" if advised["at"] is None else f"stay (met {advised['at']}, no longer)"


def _plain(numbers: Iterable[float]) -> list[float | None]:
    return [None if np.isnan(x) else float(x) for x in numbers]


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
