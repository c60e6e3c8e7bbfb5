"""One call: every method on the user's model and data, and the table of what came of it."""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bimetal.amounts import amount, duration
from bimetal.compress import (
    binarization,
    combinations,
    compact,
    distillation,
    low_rank,
    pruning,
    quantization,
)
from bimetal.compress.data import CompressData
from bimetal.compress.deploy import as_floats
from bimetal.compress.lesson import CompressConfig, Lesson
from bimetal.compress.measure import Measured, judged, with_latencies
from bimetal.compress.models import check_model
from bimetal.compress.result import Candidate, Method, Result, Skipped, skipping
from bimetal.errors import BimetalError, DataError

__all__ = ["BASELINE", "METHODS", "Study", "compress"]

BASELINE = "baseline"
BATCH = 128
AXES = ("n_bytes", "one_row_us", "batch_row_us")

METHODS = (
    Method("weights", "pruning", pruning.weights_pruned),
    Method("channels", "pruning", pruning.channels_pruned),
    Method("int8_static", "quantization", quantization.int8_static),
    Method("int8_dynamic", "quantization", quantization.int8_dynamic),
    Method("few_bits", "quantization", quantization.few_bits),
    Method("one_bit", "quantization", quantization.one_bit),
    Method("low_rank", "low rank", low_rank.low_rank),
    Method("separable", "compact filters", compact.separable),
    Method("opposite_pairs", "compact filters", compact.opposite_pairs),
    Method("students", "distillation", distillation.students),
    Method("binary", "binarization", binarization.binary_nets),
    Method("binary_distilled", "combination", combinations.distilled_binary),
    Method("binary_wide", "combination", combinations.wide_binary),
    Method("binary_channels", "combination", combinations.channels_and_binary),
    Method("channels_int8", "combination", combinations.channels_and_8_bits),
    Method("low_rank_int8", "combination", combinations.low_rank_and_8_bits),
)
"""Every method; to add one, write a function that makes candidates and name it here."""


@dataclass(frozen=True, eq=False)
class Study:
    """What was found.

    Attributes
    ----------
    results : tuple of Result
        The baseline first.
    skipped : tuple of Skipped
        What does not apply here, and why.
    facts : mapping
        Data, rows, machine, versions, config: JSON values.
    was_interrupted : bool
        Whether Ctrl-C ended it; the results are those that were finished.
    """

    results: tuple[Result, ...]
    skipped: tuple[Skipped, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    was_interrupted: bool = False

    @property
    def baseline(self) -> Result:
        """The user's model as it came."""
        return self.results[0]

    def pareto(self, by: str = "n_bytes") -> tuple[Result, ...]:
        """Return the results that none beats in accuracy on test rows and in cost at once.

        Parameters
        ----------
        by : {"n_bytes", "one_row_us", "batch_row_us"}
            The cost.

        Raises
        ------
        DataError
            When there is no such cost.
        """
        if by not in AXES:
            raise DataError(f"a Pareto front goes by one of {AXES}, got {by!r}")
        costs = {r.name: getattr(r, by) for r in self.results if getattr(r, by) is not None}
        found = sorted(
            (r for r in self.results if r.name in costs), key=lambda r: (costs[r.name], -r.accuracy)
        )
        best, front = -1.0, []
        for result in found:
            if result.accuracy > best:
                best = result.accuracy
                front.append(result)
        return tuple(front)

    def table(self) -> str:
        """Return the table as plain text, a line for each result and each thing left out."""
        head = ("", "test", "valid", "bytes", "one row", "batch, a row", "by", "trained")
        rows = [head, *(_line(result) for result in self.results)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(w) if i in (0, 6) else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *(f"{s.name}: left out: {s.reason}" for s in self.skipped)])

    def values(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            **self.facts,
            "was_interrupted": self.was_interrupted,
            "results": [result.values() for result in self.results],
            "skipped": [vars(skipped) for skipped in self.skipped],
            "pareto": {by: [r.name for r in self.pareto(by)] for by in AXES},
        }

    def to_json(self) -> str:
        """Return `values` as JSON text."""
        return json.dumps(self.values(), indent=1, allow_nan=False)


def compress(
    model: nn.Module,
    data: CompressData,
    methods: Sequence[str] | None = None,
    config: CompressConfig | None = None,
    *,
    is_trained: bool = True,
    folder: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Study:
    """Compress a model by every method, and measure what comes of it.

    Parameters
    ----------
    model : torch.nn.Module
        The user's float32 model on the CPU; it is left as it is, unless it is to be trained.
    data : CompressData
        The user's data.
    methods : sequence of str, optional
        Names or families of `METHODS`; by default all.
    config : CompressConfig, optional
        How to train.
    is_trained : bool, default True
        Whether the model has its weights already; if not, it is trained first, as the baseline.
    folder : str or path-like, optional
        Where the files of all models are kept; by default nowhere.
    progress : callable, optional
        Takes a line on what is being done.

    Returns
    -------
    Study
        After Ctrl-C, of the methods that were finished.

    Raises
    ------
    DataError
        When a method is unknown, or the model does not fit the data.
    MissingExtraError
        When onnx, onnxruntime or safetensors is not installed.

    Examples
    --------
    >>> rows = torch.randn(200, 8)
    >>> data = CompressData.split(rows, (rows[:, 0] > 0).long())
    >>> net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    >>> study = compress(net, data, ["few_bits"], CompressConfig(epochs=1), is_trained=False)
    >>> [result.name for result in study.results]
    ['baseline float32', '4 bit weights', '2 bit weights']
    """
    chosen = _chosen(methods)
    config = config or CompressConfig()
    check_model(model, data)
    with _folder(folder) as path:
        work = _Work(Lesson(model.eval(), data, config, progress), path)
        work.go(chosen, is_trained)
        return work.study(is_kept=folder is not None, methods=[m.name for m in chosen])


class _Work:
    """A study under way: what is finished stays, whatever ends it."""

    def __init__(self, lesson: Lesson, folder: Path) -> None:
        self.lesson, self.folder, self.start = lesson, folder, time.perf_counter()
        self.measured: list[Measured] = []
        self.skipped: list[Skipped] = []
        self.was_interrupted = False

    def go(self, methods: Sequence[Method], is_trained: bool) -> None:
        """Run the baseline and the methods; Ctrl-C ends it once there is a baseline."""
        self.take(self.baseline(is_trained))
        try:
            for method in methods:
                self.run(method)
        except KeyboardInterrupt:
            self.was_interrupted = True

    def baseline(self, is_trained: bool) -> Candidate:
        lesson, note, seconds = self.lesson, "the model as it came, weights and all", 0.0
        if not is_trained:
            lesson.say("baseline: training")
            seconds = lesson.fit(lesson.model, BASELINE)
            note = f"trained here for {lesson.config.epochs} epochs, since it came without weights"
        return Candidate("baseline float32", BASELINE, note, lesson.copy(), as_floats, seconds)

    def run(self, method: Method) -> None:
        """Run a method; one that does not apply is noted with its reason."""
        self.lesson.say(method.name)
        try:
            for made in method.run(self.lesson):
                if isinstance(made, Skipped):
                    self.skipped.append(made)
                else:
                    self.take(made)
        except (BimetalError, RuntimeError, NotImplementedError) as error:
            self.skipped.append(skipping(method.name, method.family, error))

    def take(self, candidate: Candidate) -> None:
        self.lesson.say(f"{candidate.name}: file and accuracy")
        self.measured.append(judged(candidate, self.lesson.data, self.folder))

    def study(self, *, is_kept: bool, methods: list[str]) -> Study:
        data, config = self.lesson.data, self.lesson.config
        results = [result for result, _ in self.measured]
        try:
            self.lesson.say("measuring latencies, by turns")
            n_rounds = 3 if config.is_quick else 9
            results = with_latencies(self.measured, data, BATCH, n_rounds)
        except KeyboardInterrupt:
            self.was_interrupted = True
        if not is_kept:
            results = [replace(result, file=None) for result in results]
        facts = {
            "data": data.name,
            "sample_shape": list(data.sample_shape),
            "n_rows": {p: len(getattr(data, p).y) for p in ("train", "valid", "test")},
            "n_classes": data.n_classes,
            "methods": methods,
            "config": vars(config),
            "batch": min(BATCH, len(data.test.y)),
            "machine": _machine(),
            "seconds": time.perf_counter() - self.start,
        }
        return Study(tuple(results), tuple(self.skipped), facts, self.was_interrupted)


def _chosen(names: Sequence[str] | None) -> list[Method]:
    if names is None:
        return list(METHODS)
    known = {word for m in METHODS for word in (m.name, m.family)}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        families = list(dict.fromkeys(m.family for m in METHODS))
        raise DataError(
            f"methods are {', '.join(m.name for m in METHODS)}, or families: {', '.join(families)}; "
            f"got {', '.join(map(repr, unknown)) or 'none'}"
        )
    return [m for m in METHODS if m.name in names or m.family in names]


@contextmanager
def _folder(given: str | os.PathLike[str] | None) -> Iterator[Path]:
    if given is not None:
        path = Path(given)
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bimetal-") as path_text:
        yield Path(path_text)


def _line(result: Result) -> tuple[str, ...]:
    one, batch = result.one_row_us, result.batch_row_us
    return (
        result.name,
        f"{100 * result.accuracy:.2f} %",
        f"{100 * result.valid_accuracy:.2f} %",
        amount(result.n_bytes),
        "" if one is None else duration(one),
        "" if batch is None else duration(batch),
        result.runtime,
        f"{result.seconds:.0f} s",
    )


def _machine() -> str:
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}"
    )
