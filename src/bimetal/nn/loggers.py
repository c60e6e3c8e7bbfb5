"""Where the numbers of a training go, epoch by epoch: a CSV file, TensorBoard, MLflow.

Each logger is called with an `Epoch`, so it is what `train` takes for `progress`; `together` makes
several of them one. The names of the numbers are the same everywhere, see `numbers`. TensorBoard and
MLflow are imported when they are asked for, and belong to the extra ``logging``.
"""

import csv
import io
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bimetal.errors import DataError, MissingExtraError
from bimetal.files import atomic_write
from bimetal.nn.config import Epoch
from bimetal.nn.insight import Histogram, LayerInsight

__all__ = ["CsvLogger", "MLflowLogger", "TensorBoardLogger", "numbers", "together"]

Log = Callable[[Epoch], None]
MOST_METRICS = 1000  # that MLflow takes at once
LAYER_NUMBERS = tuple(f.name for f in fields(LayerInsight) if f.type is float)


def numbers(epoch: Epoch) -> dict[str, float | None]:
    """Return the numbers of an epoch by their names; those of a layer begin with its name.

    Examples
    --------
    >>> numbers(Epoch(1, 0.5, None, 0.1))
    {'train_loss': 0.5, 'valid_loss': None, 'flip_ratio': 0.1}
    """
    found = {name: getattr(epoch, name) for name in ("train_loss", "valid_loss", "flip_ratio")}
    for layer, insight in epoch.layers.items():
        found |= {f"{layer or 'model'}/{name}": getattr(insight, name) for name in LAYER_NUMBERS}
    return found


def together(*logs: Log) -> Log:
    """Return one logger that calls several, in their order.

    Examples
    --------
    >>> lines = []
    >>> log = together(lambda epoch: lines.append(epoch.number), lambda epoch: lines.append("."))
    >>> log(Epoch(1, 0.5, None, 0.1))
    >>> lines
    [1, '.']
    """

    def log(epoch: Epoch) -> None:
        for each in logs:
            each(epoch)

    return log


class CsvLogger:
    """One line an epoch in a CSV file.

    Lines are only ever added, each with one write. What is taken away is a last line without an end,
    of a training that was cut off while it wrote. A training that goes on from a checkpoint may
    write an epoch once more, with the same numbers.

    Parameters
    ----------
    path : str or path-like
        Made with the first epoch, its head and first line at once, unless it is there.

    Raises
    ------
    DataError
        When called and the file has other columns than the epoch.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.csv"
    >>> CsvLogger(path)(Epoch(1, 0.5, None, 0.1))
    >>> path.read_text().split()
    ['number,train_loss,valid_loss,flip_ratio', '1,0.5,,0.1']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __call__(self, epoch: Epoch) -> None:
        """Write an epoch."""
        row = {"number": epoch.number, **numbers(epoch)}
        head, line = _line(row), _line(row.values())
        if not self.path.exists() or not self.path.stat().st_size:
            with atomic_write(self.path) as file:
                file.write(head + line)
            return
        self._require_head(head)
        with self.path.open("r+b") as file:
            _drop_unfinished(file)
        with self.path.open("ab", buffering=0) as file:
            file.write(line)

    def _require_head(self, head: bytes) -> None:
        with self.path.open("rb") as file:
            found = file.readline()
        if found != head:
            ours, theirs = head.decode().strip(), found.decode(errors="replace").strip()
            raise DataError(
                f"'{self.path}' has the columns {theirs[:200]}, but the epoch has {ours[:200]}; name "
                "another file for this training"
            )


def _line(values: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["" if v is None else v for v in values])
    return text.getvalue().encode()


def _drop_unfinished(file: Any) -> None:
    """Cut a file after its last whole line."""
    size = file.seek(0, os.SEEK_END)
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


class _Closing(ABC):
    """What closes itself at the end of a ``with`` block."""

    @abstractmethod
    def close(self, is_done: bool = True) -> None:
        """Let go; `is_done` is False where an error ended the block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(kind is None)


class TensorBoardLogger(_Closing):
    """Scalars, and histograms of latent weights, for TensorBoard: ``tensorboard --logdir FOLDER``.

    Parameters
    ----------
    folder : str or path-like
        Of this training; made if it is not there.

    Raises
    ------
    MissingExtraError
        When the package tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", "logging", "TensorBoardLogger") from error
        self._writer: Any = SummaryWriter(str(folder))

    def __call__(self, epoch: Epoch) -> None:
        """Write an epoch and flush."""
        for name, value in numbers(epoch).items():
            if value is not None:
                self._writer.add_scalar(name, value, epoch.number)
        for layer, insight in epoch.layers.items():
            self._add_histogram(f"{layer or 'model'}/latent", insight.histogram, epoch.number)
        self._writer.flush()

    def _add_histogram(self, name: str, histogram: Histogram, step: int) -> None:
        edges, counts = histogram.edges, histogram.counts
        middles = [(low + high) / 2 for low, high in pairwise(edges)]
        terms = list(zip(counts, middles, strict=True))
        self._writer.add_histogram_raw(
            name,
            min=edges[0],
            max=edges[-1],
            num=sum(counts),
            sum=sum(n * x for n, x in terms),
            sum_squares=sum(n * x * x for n, x in terms),
            bucket_limits=edges[1:],
            bucket_counts=counts,
            global_step=step,
        )

    def close(self, is_done: bool = True) -> None:
        """Write what is left and close the file."""
        self._writer.close()


class MLflowLogger(_Closing):
    """Metrics of a run of an MLflow experiment.

    It has a client of its own: the user's active run, if there is one, is neither used nor ended.

    Parameters
    ----------
    experiment : str, default "bimetal"
        Its name; made if it is not there.
    run_name : str, optional
        Of the run that is made.
    run_id : str, optional
        Of a run to go on with, in place of a new one.
    params : mapping, optional
        What to state about the run, ``dataclasses.asdict(config)`` say; for a new run only.
    tracking_uri : str, optional
        Where MLflow keeps its runs; by default where MLflow is set up to.
    clock : callable, default time.time
        Seconds since 1970.

    Raises
    ------
    MissingExtraError
        When the package mlflow (or mlflow-skinny, which reaches servers only) is not installed.
    DataError
        When MLflow cannot begin a run there.
    """

    def __init__(
        self,
        experiment: str = "bimetal",
        run_name: str | None = None,
        run_id: str | None = None,
        params: Mapping[str, object] | None = None,
        tracking_uri: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise MissingExtraError("mlflow", "logging", "MLflowLogger") from error
        self._entities: Any = mlflow.entities
        self._clock = clock
        try:
            self._client: Any = mlflow.MlflowClient(tracking_uri)
            self.run_id: str = run_id or self._new_run(experiment, run_name, params or {})
        except mlflow.exceptions.MlflowException as error:
            raise DataError(
                f"MLflow cannot begin a run at {tracking_uri or 'its usual place'}: {error}. Name a "
                "server, or what else the installed MLflow can write to, as tracking_uri"
            ) from error

    def _new_run(self, experiment: str, run_name: str | None, params: Mapping[str, object]) -> str:
        found = self._client.get_experiment_by_name(experiment)
        where = found.experiment_id if found else self._client.create_experiment(experiment)
        run: str = self._client.create_run(where, run_name=run_name).info.run_id
        stated = [self._entities.Param(name, str(value)) for name, value in params.items()]
        if stated:
            self._client.log_batch(run, params=stated)
        return run

    def __call__(self, epoch: Epoch) -> None:
        """Send an epoch."""
        now = int(1000 * self._clock())
        metrics = [
            self._entities.Metric(name, value, now, epoch.number)
            for name, value in numbers(epoch).items()
            if value is not None
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + MOST_METRICS])

    def close(self, is_done: bool = True) -> None:
        """End the run, as finished or as failed."""
        self._client.set_terminated(self.run_id, "FINISHED" if is_done else "FAILED")
