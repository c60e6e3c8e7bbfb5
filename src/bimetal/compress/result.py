"""What a method makes, and what was measured of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from bimetal.compress.data import Reads
from bimetal.compress.deploy import PACKED, Deploy
from bimetal.compress.lesson import Lesson

__all__ = ["Candidate", "Latency", "Method", "Result", "Skipped", "skipping"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A compressed model, trained, not yet measured.

    Attributes
    ----------
    name, family : str
        What tables call it, and the family of methods it is of.
    note : str
        What was done, in one sentence.
    model : torch.nn.Module
        Rows as it reads them → logits.
    deploy : callable
        Writes its file and says what runs it.
    seconds : float
        What its training took, without that of the baseline.
    reads : {"floats", "bytes"}
        How it reads rows.
    """

    name: str
    family: str
    note: str
    model: nn.Module
    deploy: Deploy
    seconds: float = 0.0
    reads: Reads = "floats"


@dataclass(frozen=True)
class Skipped:
    """A method that does not apply to this model or this machine, and why."""

    name: str
    family: str
    reason: str


@dataclass(frozen=True)
class Method:
    """A method of compression.

    Attributes
    ----------
    name, family : str
        What it is asked for by; either will do.
    run : callable
        A `Lesson` → `Candidate` and `Skipped`, one after another.
    """

    name: str
    family: str
    run: Callable[[Lesson], Iterator[Candidate | Skipped]]


@dataclass(frozen=True)
class Latency:
    """Microseconds of one row by itself, and of a row in a batch."""

    one_row_us: float
    batch_row_us: float


@dataclass(frozen=True)
class Result:
    """A row of the table.

    Attributes
    ----------
    name, family, note : str
        As of the candidate.
    accuracy, valid_accuracy : float
        Share of test rows and of validation rows answered rightly, by what is deployed.
    n_test : int
        Test rows, which say how far the accuracy can be trusted.
    n_bytes : int
        Size of the file.
    stored : str
        How: the format of the file.
    raw_bytes : int or None
        Size of the same weights without deflation, where the file is deflated.
    latency : mapping of str to Latency
        By what ran it, on one thread; empty before it is measured.
    seconds : float
        Of training.
    n_differ : int or None
        Test rows that the deployed file answers with another class than the model in torch; None
        where they are one and the same.
    file : str or None
        The file, where it was kept.
    """

    name: str
    family: str
    note: str
    accuracy: float
    valid_accuracy: float
    n_test: int
    n_bytes: int
    stored: str
    raw_bytes: int | None = None
    latency: Mapping[str, Latency] = field(default_factory=dict)
    seconds: float = 0.0
    n_differ: int | None = None
    file: str | None = None

    @property
    def standard_error(self) -> float:
        """The standard error of the accuracy, from the number of test rows."""
        return float((self.accuracy * (1 - self.accuracy) / self.n_test) ** 0.5)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy (Wilson 1927), from the number of test rows."""
        n, p, z = self.n_test, self.accuracy, 1.96
        middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
        whole = 1 + z * z / n
        return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)

    @property
    def is_packed(self) -> bool:
        """Whether weights and activations are bits, run by our Engine."""
        return self.stored == PACKED

    @property
    def runtime(self) -> str:
        """What ran one row fastest; empty before it is measured."""
        return min(self.latency, key=lambda name: self.latency[name].one_row_us, default="")

    @property
    def one_row_us(self) -> float | None:
        """Microseconds of one row, by what runs it fastest."""
        return min((found.one_row_us for found in self.latency.values()), default=None)

    @property
    def batch_row_us(self) -> float | None:
        """Microseconds of a row in a batch, by what runs it fastest."""
        return min((found.batch_row_us for found in self.latency.values()), default=None)

    def values(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self) | {
            "standard_error": self.standard_error,
            "interval": list(self.interval),
            "runtime": self.runtime,
            "one_row_us": self.one_row_us,
            "batch_row_us": self.batch_row_us,
            "file": None if self.file is None else Path(self.file).name,
        }


def skipping(name: str, family: str, error: Exception) -> Skipped:
    """Return what the table says of a method that raised an error."""
    return Skipped(name, family, " ".join(str(error).split()) or type(error).__name__)
