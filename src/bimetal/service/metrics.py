"""What Prometheus is told: requests, decisions, scores for drift, models, the log.

No label holds anything of an applicant. With several worker processes the numbers are shared through
the files of PROMETHEUS_MULTIPROC_DIR, as prometheus-client does it.
"""

import os
from bisect import bisect_left
from collections import Counter
from typing import Any

from bimetal.errors import MissingExtraError

__all__ = ["Metrics"]

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SCORES = tuple(range(300, 901, 25))
_PROBABILITIES = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9,
)  # fmt: skip


class _Tally:
    """A histogram kept in plain lists until somebody looks: observing costs a tenth of prometheus-client's."""

    def __init__(self, histogram: Any, bounds: tuple[float, ...]) -> None:
        self._histogram, self._bounds = histogram, bounds
        self._waiting: dict[str, list[float]] = {}

    def observe(self, label: str, value: float) -> None:
        """Count a value; the last place of a list is the sum."""
        counts = self._waiting.get(label)
        if counts is None:
            counts = self._waiting[label] = [0.0] * (len(self._bounds) + 2)
        counts[bisect_left(self._bounds, value)] += 1
        counts[-1] += value

    def hand_over(self) -> None:
        """Give what was counted to prometheus-client."""
        waiting, self._waiting = self._waiting, {}
        for label, (*counts, total) in waiting.items():
            child = self._histogram.labels(label)
            child._sum.inc(total)
            for bucket, n in zip(child._buckets, counts, strict=True):
                if n:
                    bucket.inc(n)


class Metrics:
    """The counters of one process.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.count("models", "cards", "loaded")
    >>> b'bimetal_model_events_total{model="cards",outcome="loaded"} 1.0' in metrics.text()
    True
    """

    def __init__(self) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError as error:
            raise MissingExtraError("prometheus-client", "serve", "bimetal serve") from error
        self._registry = registry = prometheus.CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Any:
            return prometheus.Counter(f"bimetal_{name}", text, labels, registry=registry)

        def tally(name: str, text: str, bounds: tuple[float, ...], label: str) -> _Tally:
            made = prometheus.Histogram(
                f"bimetal_{name}", text, (label,), buckets=bounds, registry=registry
            )
            return _Tally(made, bounds)

        self._counters = {
            "requests": counter("requests", "Requests by route and status.", "route", "status"),
            "decisions": counter("decisions", "Decisions made.", "model", "role", "decision"),
            "models": counter("model_events", "Loaded, refused, retired.", "model", "outcome"),
            "log_failures": counter("log_failures", "Decisions not answered: the log was down."),
            "shadow_failures": counter("shadow_failures", "Shadow scores lost.", "model", "cause"),
            "warnings": counter("warnings", "Applications with a warning.", "model"),
        }
        self.seconds = tally("request_seconds", "Time to answer.", _SECONDS, "route")
        self.scores = tally("score", "Scores: watch them drift.", _SCORES, "model")
        self.probabilities = tally(
            "probability", "Probabilities: watch them drift.", _PROBABILITIES, "model"
        )
        self.log_seconds = tally("log_seconds", "Time until durable.", _SECONDS, "log")
        self._counts: Counter[tuple[str, ...]] = Counter()

    def count(self, name: str, *labels: str, n: int = 1) -> None:
        """Count something: the name of a counter and its labels."""
        self._counts[name, *labels] += n

    def hand_over(self) -> None:
        """Give what was counted to prometheus-client; on the thread that counts."""
        counts, self._counts = self._counts, Counter()
        for (name, *labels), n in counts.items():
            counter = self._counters[name]
            (counter.labels(*labels) if labels else counter).inc(n)
        for tally in (self.seconds, self.scores, self.probabilities, self.log_seconds):
            tally.hand_over()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess

        self.hand_over()
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            collect: Any = multiprocess.MultiProcessCollector
            collect(registry)
        return bytes(generate_latest(registry))
