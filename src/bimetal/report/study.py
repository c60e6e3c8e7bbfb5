"""A study: the model and its challengers, judged on the same rows that none of them has seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal import metrics
from bimetal.columns import to_rows
from bimetal.errors import DataError
from bimetal.format import dumps
from bimetal.points import BitPoints, bit_points
from bimetal.program import Program
from bimetal.report.challengers import CHALLENGERS, CONTROL, Lesson, Rows
from bimetal.speed import Speed, engine_speed, measure_batch, measure_one_row

__all__ = ["CEILING", "CONTROL", "MODEL", "Judged", "Portfolio", "Study", "judge"]

MEASURES = ("auc", "gini", "ks", "brier", "log_loss")
N_RESAMPLES = 1_000
N_BATCH = 20_000
N_CALLS = {"model": 10_000, "challenger": 300}
MODEL, CEILING = "bimetal", "true probability"


@dataclass(frozen=True, eq=False)
class Portfolio:
    """Rows to train on, rows held out, and where they are from.

    Attributes
    ----------
    title, source : str
        What the page calls the data, and where it came from.
    train, test : tuple
        A table and its labels, of the two classes of the model.
    truth : numpy.ndarray or None
        The true probability of the second class in `test`, known where data is simulated.
    positive : str
        What the second class means.
    caveats : str
        What a reader should beware of.
    """

    title: str
    source: str
    train: tuple[Any, NDArray[Any]]
    test: tuple[Any, NDArray[Any]]
    truth: NDArray[np.float64] | None = None
    positive: str = ""
    caveats: str = ""


@dataclass(frozen=True, eq=False)
class Judged:
    """One model on the rows held out.

    Attributes
    ----------
    name, note : str
        What it is.
    p : numpy.ndarray
        Probability of the second class; float64 (n_rows,).
    measures : dict
        auc, gini, ks, brier, log_loss.
    auc_interval : tuple of float
        95 % bootstrap interval.
    lead, lead_interval : float, tuple of float
        AUC of our model minus this one's, on the same resamples.
    n_bytes : int or None
        Size as stored.
    speed : Speed or None
        Measured on these rows, one thread.
    """

    name: str
    note: str
    p: NDArray[np.float64]
    measures: dict[str, float]
    auc_interval: tuple[float, float]
    lead: float
    lead_interval: tuple[float, float]
    n_bytes: int | None
    speed: Speed | None


@dataclass(frozen=True, eq=False)
class Study:
    """All the facts of a report.

    Attributes
    ----------
    portfolio : Portfolio
        The rows.
    program : Program
        The model.
    y : numpy.ndarray
        0 and 1 for the rows held out; 1 is the second class.
    n_train : int
        Rows trained on.
    models : tuple of Judged
        Our model first, then the challengers, then the truth where it is known.
    fit : mapping
        Weights, out-of-fold losses, choices, fidelity and seconds of the fit.
    points : tuple of BitPoints
        Direct points of the bits.
    """

    portfolio: Portfolio
    program: Program
    y: NDArray[np.int64]
    n_train: int
    models: tuple[Judged, ...]
    fit: Mapping[str, Any] = field(default_factory=dict)
    points: tuple[BitPoints, ...] = ()

    @property
    def model(self) -> Judged:
        """Our own model."""
        return self.models[0]

    def named(self, name: str) -> Judged | None:
        """Return the model of this name, or None."""
        return next((judged for judged in self.models if judged.name == name), None)


@dataclass(frozen=True, eq=False)
class _Candidate:
    name: str
    note: str
    p: NDArray[np.float64]
    n_bytes: int | None = None
    speed: Speed | None = None


def judge(
    model: Any, portfolio: Portfolio, *, progress: Callable[[str], None] = lambda text: None
) -> Study:
    """Judge a fitted `BinaryClassifier` of two classes and its challengers.

    Raises
    ------
    DataError
        When the model has other than two classes, or the rows held out are of one class only.
    """
    if len(model.classes_) != 2:
        raise DataError(f"a report needs two classes, the model has {list(model.classes_)}")
    program: Program = model.program_
    rows = to_rows(portfolio.test[0], program.columns)
    y = _zero_one(portfolio.test[1], model)
    candidates = [_ours(model, rows, progress), *_challengers(model, portfolio, rows, progress)]
    if portfolio.truth is not None:
        note = "the probability the outcomes were drawn from: no model can do better"
        candidates.append(_Candidate(CEILING, note, np.asarray(portfolio.truth, np.float64)))
    progress("bootstrap")
    return Study(
        portfolio, program, y, len(portfolio.train[1]), _measured(candidates, y), vars(model.report_),
        bit_points(program),
    )  # fmt: skip


def _ours(model: Any, rows: Rows, progress: Callable[[str], None]) -> _Candidate:
    progress("measuring the model")
    engine, program = model.engine_, model.program_
    p = engine.run(rows)[:, 1].astype(np.float64)
    speed = engine_speed(engine, _batch(rows), N_CALLS["model"])
    return _Candidate(MODEL, "this model", p, len(dumps(program)), speed)


def _challengers(
    model: Any, portfolio: Portfolio, rows: Rows, progress: Callable[[str], None]
) -> list[_Candidate]:
    from threadpoolctl import threadpool_limits

    X, y = portfolio.train
    program, encoder = model.program_, model.encoder_
    lesson = Lesson(to_rows(X, program.columns), _zero_one(y, model), program.columns,
                    encoder.transform_rows)  # fmt: skip
    found = []
    for fit in CHALLENGERS:
        progress(f"fitting the challenger: {fit.__name__.replace('_', ' ')}")
        with threadpool_limits(1):
            challenger = fit(lesson)
            p = np.asarray(challenger.score(rows), np.float64)
            speed = _speed(challenger.score, rows)
        found.append(_Candidate(challenger.name, challenger.note, p, challenger.n_bytes, speed))
    return found


def _speed(score: Callable[[Rows], Any], rows: Rows) -> Speed:
    batch = _batch(rows)
    many = measure_batch(lambda: score(batch), len(batch))
    one = measure_one_row(lambda row: score(row[None]), rows, N_CALLS["challenger"])
    return Speed(many, *one)


def _batch(rows: Rows) -> Rows:
    """Repeat the rows until they make a batch in which a call's own cost no longer shows."""
    return np.tile(rows, (-(-N_BATCH // len(rows)), 1))[:N_BATCH]


def _measured(candidates: Sequence[_Candidate], y: NDArray[np.int64]) -> tuple[Judged, ...]:
    samples = metrics.bootstrap_auc(y, [c.p for c in candidates], N_RESAMPLES)
    ours, judged = metrics.auc(y, candidates[0].p), []
    for c, own in zip(candidates, samples, strict=True):
        measures = {name: getattr(metrics, name)(y, c.p) for name in MEASURES}
        lead, lead_interval = ours - measures["auc"], metrics.interval(samples[0] - own)
        interval = metrics.interval(own)
        judged.append(
            Judged(c.name, c.note, c.p, measures, interval, lead, lead_interval, c.n_bytes, c.speed)
        )
    return tuple(judged)


def _zero_one(y: NDArray[Any], model: Any) -> NDArray[np.int64]:
    return np.asarray(np.asarray(y) == model.classes_[1], dtype=np.int64)
