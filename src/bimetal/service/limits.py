"""How much one client may ask for: sizes, depths, rates, times. One place, read by the docs' table.

Everything that arrives is counted before it is parsed, and parsed before it is believed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields

from bimetal.errors import DataError

__all__ = ["Buckets", "Limits"]


@dataclass(frozen=True)
class Limits:
    """What the service allows.

    Attributes
    ----------
    body_bytes : int
        Of one application, and of every other request but a batch.
    batch_bytes : int
        Of a batch, JSON or Arrow.
    batch_rows : int
        Applications of a batch.
    text : int
        Characters of one text value.
    columns : int
        Numbers of a raw row of a model that is loaded.
    model_bytes : int
        Of a model file.
    model_steps : int
        Bit, integer and float operations of a model for one row.
    requests_per_second : float
        Of one key, unless the key says otherwise; 0 is no limit.
    burst : float
        Requests that a key may save up.
    rows_per_request : int
        Rows of a batch that count as one request.
    concurrency : int
        Requests being worked on in one process.
    connections : int
        Open connections to one process.
    header_bytes : int
        Request line and headers together.
    header_seconds : float
        In which the headers must have come (slow loris).
    deadline_seconds : float
        In which the body must have come (else 408) and a request is answered (else 503).
    keep_alive_seconds : int
        An idle connection is closed after.
    shutdown_seconds : int
        Given to requests in flight when the service stops.
    skew_seconds : float
        That `as_of` may lie in the future.
    """

    body_bytes: int = 65_536
    batch_bytes: int = 16_777_216
    batch_rows: int = 10_000
    text: int = 1_000
    columns: int = 1_000
    model_bytes: int = 67_108_864
    model_steps: int = 1_000_000_000
    requests_per_second: float = 1_000.0
    burst: float = 2_000.0
    rows_per_request: int = 100
    concurrency: int = 256
    connections: int = 1_024
    header_bytes: int = 16_384
    header_seconds: float = 10.0
    deadline_seconds: float = 15.0
    keep_alive_seconds: int = 30
    shutdown_seconds: int = 30
    skew_seconds: float = 300.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            least = 0 if part.name in ("requests_per_second", "skew_seconds") else 1e-3
            if not least <= value < float("inf"):
                raise DataError(f"{part.name} above 0 expected, got {value!r}")


class Buckets:
    """Token buckets, one for each key: full at first, filled at the key's rate.

    Parameters
    ----------
    rate : float
        Tokens a second; 0 is no limit.
    burst : float
        Tokens that a full bucket holds.
    clock : callable
        Seconds, never backwards.

    Examples
    --------
    >>> now = [0.0]
    >>> buckets = Buckets(rate=2, burst=1, clock=lambda: now[0])
    >>> buckets.take("a"), buckets.take("a")
    (0.0, 0.5)
    >>> now[0] = 0.5
    >>> buckets.take("a")
    0.0
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, rate: float | None = None) -> float:
        """Take a token; return 0.0, or the seconds to wait when there is none.

        `rate` is the key's own, where it has one.
        """
        rate = self._rate if rate is None else rate
        if not rate:
            return 0.0
        left, now = self._filled(key, rate)
        if left < 1:
            return (1 - left) / rate
        self._left[key] = (left - 1, now)
        return 0.0

    def charge(self, key: str, tokens: float, rate: float | None = None) -> None:
        """Take tokens that were not asked for first: the next requests wait for them."""
        rate = self._rate if rate is None else rate
        if rate and tokens > 0:
            left, now = self._filled(key, rate)
            self._left[key] = (left - tokens, now)

    def _filled(self, key: str, rate: float) -> tuple[float, float]:
        now = self._clock()
        burst = max(1.0, self._burst)
        left, then = self._left.get(key, (burst, now))
        return min(burst, left + (now - then) * rate), now
