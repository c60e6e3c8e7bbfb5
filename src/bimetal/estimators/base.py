"""What the classifier and the regressor share: reading tables, running the recipe, running the Program."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_y,
    check_consistent_length,
    check_is_fitted,
    check_random_state,
    column_or_1d,
    validate_data,
)
from threadpoolctl import threadpool_limits

from bimetal.columns.reading import read
from bimetal.encoders import Encoder, TreeEncoder
from bimetal.encoders.evaluate import evaluate
from bimetal.encoders.training import Training
from bimetal.errors import DataError
from bimetal.estimators.assemble import N_GOLDEN
from bimetal.estimators.ingredients import Fitted, Recipe, Rows
from bimetal.estimators.members import MembersConfig
from bimetal.estimators.parts import Bits, levels_of
from bimetal.estimators.tasks import Floats
from bimetal.nn import surrogate
from bimetal.program import Program
from bimetal.runtime import Engine

__all__ = ["BinaryEstimator", "FitReport", "RowsTable", "TableEstimator", "one_thread", "timer"]

HEADER_BYTES = 5_120
"""Room for a header without the columns: operations, offsets of arrays, provenance."""
SAMPLE_BUDGET = 300_000
"""Rows that the members see in all, at most: epochs become fewer as tables become longer."""


@dataclass(frozen=True)
class FitReport:
    """What a fit did.

    Attributes
    ----------
    losses : dict
        Out-of-fold loss of each part alone and of the stacked whole: mean log loss for a
        classifier, half the mean squared error of the standardised target for a regressor.
    weights : dict
        Weight of each part; a part of weight 0 is not in the Program.
    choices : dict
        What validation chose: penalty, growth and number of trees, epochs.
    fidelity : float or None
        How closely the out-of-fold answers follow the teacher: 1 − mean squared difference of
        scores over the variance of the teacher's scores; None without a teacher.
    was_interrupted : bool
        Whether Ctrl-C ended the search early.
    seconds : float
        Wall-clock time of the fit.
    """

    losses: dict[str, float]
    weights: dict[str, float]
    choices: dict[str, Any]
    fidelity: float | None
    was_interrupted: bool
    seconds: float


@dataclass(frozen=True)
class RowsTable:
    """A table read once, from which encoders are learned on any of its rows (see `recipe.Table`)."""

    encoder: Encoder
    training: Training

    def fit_encoder(self, rows: Rows) -> Encoder:
        """Learn the encoding of some rows."""
        encoder: Encoder = clone(self.encoder)
        try:
            return encoder.learn(self.training.take(rows))
        except DataError:  # no column varies among these rows; if among all, this raises again
            return encoder.learn(self.training)

    def bits(self, encoder: Any, rows: Rows) -> Bits:
        """Encode some rows."""
        return levels_of(evaluate(encoder.op_, self.training.rows[rows]), encoder.op_)


class TableEstimator(BaseEstimator):  # type: ignore[misc]
    """What every estimator of tables does: check, read, and answer through its engine."""

    encoder: Encoder | None
    engine_: Engine

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _check_table(self, X: Any, *, is_fit: bool) -> Any:
        """Check what scikit-learn wants checked; frames keep their types, arrays become numbers."""
        if type(X).__name__ == "LazyFrame":  # of polars or narwhals
            X = X.collect()
        try:
            if _is_frame(X):
                _check_feature_names(self, X, reset=is_fit)
                _check_n_features(self, X, reset=is_fit)
                return X
            return validate_data(
                self,
                read(X),
                reset=is_fit,
                dtype=None,
                ensure_all_finite=False,
                ensure_min_samples=int(is_fit),
            )
        except DataError:
            raise
        except ValueError as error:  # scikit-learn's
            raise DataError(str(error)) from error

    def _read(self, X: Any, y: NDArray[Any], weight: Any, task: str) -> RowsTable:
        if weight is not None and not np.any(weight):
            raise DataError("every row has weight zero; at least one must count")
        encoder = clone(self.encoder) if self.encoder is not None else self._default_encoder()
        if isinstance(encoder, TreeEncoder):
            encoder.set_params(task=task)
        table = RowsTable(encoder, encoder.read(X, y, weight))
        if len(table.training.rows) < 2:
            raise DataError("at least two rows (of weight above 0) are needed, got one sample")
        return table

    def _default_encoder(self) -> Encoder:
        return TreeEncoder()

    def _check_labels(self, X: Any, y: Any) -> NDArray[Any]:
        if y is None:
            raise DataError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        try:
            y = column_or_1d(_check_y(y, multi_output=False, y_numeric=False), warn=True)
            check_consistent_length(X, y)
            check_classification_targets(y)
        except ValueError as error:
            raise DataError(str(error)) from error
        return np.asarray(y)

    def _answers(self, X: Any) -> NDArray[np.float32]:
        check_is_fitted(self)
        return self.engine_.predict_proba(self._check_table(X, is_fit=False))


class BinaryEstimator(TableEstimator):
    """Parameters and steps common to `BinaryClassifier` and `BinaryRegressor`."""

    def __init__(
        self,
        *,
        encoder: Encoder | None = None,
        linear: bool = True,
        max_rules: int = 4_000,
        max_bytes: int = 65_536,
        hidden: Sequence[int] = (32, 32),
        n_members: int = 8,
        teacher: Any = "auto",
        distil: float = 0.7,
        surrogate: str = "clipped",
        dropout: float = 0.1,
        max_epochs: int = 40,
        batch_size: int = 512,
        learning_rate: float = 5e-3,
        patience: int = 8,
        n_folds: int = 5,
        random_state: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.encoder = encoder
        self.linear = linear
        self.max_rules = max_rules
        self.max_bytes = max_bytes
        self.hidden = hidden
        self.n_members = n_members
        self.teacher = teacher
        self.distil = distil
        self.surrogate = surrogate
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.n_folds = n_folds
        self.random_state = random_state
        self.verbose = verbose

    def _recipe(self, training: Training, has_teacher: bool) -> Recipe:
        n_rows = len(training.rows)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._check_options()
        epochs = min(self.max_epochs, max(4, SAMPLE_BUDGET // max(1, n_rows)))
        members = MembersConfig(
            tuple(self.hidden),
            self.n_members,
            self.surrogate,
            self.dropout,
            epochs,
            self.batch_size,
            self.learning_rate,
            self.patience,
            seed,
        )
        needs_rules = self.teacher == "auto" if isinstance(self.teacher, str) else False
        distil = self.distil if has_teacher or (needs_rules and self.max_rules) else 0.0
        return Recipe(
            self.linear,
            self.max_rules,
            self.max_bytes - _other_bytes(training),
            members if self.n_members else None,
            distil,
            self.n_folds,
            seed,
        )

    def _check_options(self) -> None:
        if isinstance(self.teacher, str) and self.teacher != "auto":
            raise DataError(
                f"teacher must be 'auto', None or a fitted estimator, got {self.teacher!r}"
            )
        if not (self.linear or self.max_rules or self.n_members):
            raise DataError("a model needs a part: set linear, max_rules or n_members")
        for name, low in {"max_rules": 0, "n_members": 0, "n_folds": 2}.items():
            if getattr(self, name) < low:
                raise DataError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if self.n_members and (not len(self.hidden) or min(self.hidden) < 1):
            raise DataError(
                f"hidden must name a positive size for each layer, got {self.hidden!r}; "
                "n_members=0 leaves the members out"
            )
        surrogate(self.surrogate)
        if not 0 <= self.distil <= 1:
            raise DataError(f"distil must lie in [0, 1], got {self.distil}")

    def _ask_teacher(self, method: str, X: Any, weight: NDArray[Any] | None) -> Floats | None:
        """Return what an outside teacher says of the rows of weight above 0."""
        if self.teacher is None or isinstance(self.teacher, str):
            return None
        if not hasattr(self.teacher, method):
            raise DataError(
                "teacher must be 'auto', None or a fitted estimator with "
                f"{method}, got {self.teacher!r}"
            )
        answers = np.asarray(getattr(self.teacher, method)(X), dtype=np.float64)
        if not np.isfinite(answers).all():
            raise DataError(f"the teacher's {method} must give finite numbers, got NaN or infinity")
        return answers if weight is None else answers[weight > 0]

    def _finish(self, fitted: Fitted, program: Program, seconds: float) -> Self:
        names = [part.name for part in fitted.parts]
        self.encoder_ = fitted.encoder
        self.program_ = program
        self.engine_ = Engine(program)
        self.history_ = [h.epochs for h in fitted.histories]
        self.report_ = FitReport(
            fitted.losses,
            {n: float(w) for n, w in zip(names, fitted.weights, strict=True)},
            fitted.choices,
            _fidelity(fitted),
            any(h.was_interrupted for h in fitted.histories),
            seconds,
        )
        return self

    def _provenance(self, fitted: Fitted, n_rows: int) -> dict[str, Any]:
        params = {
            k: v if isinstance(v, int | float | str | bool | None) else repr(v)
            for k, v in self.get_params(deep=False).items()
        }
        return {
            "estimator": type(self).__name__,
            "bimetal": version("bimetal"),
            "parameters": params,
            "n_rows": n_rows,
            "losses": fitted.losses,
            "choices": fitted.choices,
        }


def _other_bytes(training: Training) -> int:
    """Estimate what a file holds besides the parts: names, golden rows, provenance, offsets."""
    names = sum(len(json.dumps(column.spec())) + 4 for column in training.columns)
    return names + 4 * N_GOLDEN * (len(training.columns) + 2) + HEADER_BYTES


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") or hasattr(X, "column_names") or hasattr(X, "__dataframe__")


def _fidelity(fitted: Fitted) -> float | None:
    if fitted.teacher_scores is None or fitted.oof_scores is None:
        return None
    seen = ~np.isnan(fitted.oof_scores).any(axis=1)
    teacher, student = fitted.teacher_scores[seen], fitted.oof_scores[seen]
    spread = float(((teacher - teacher.mean(axis=0)) ** 2).mean())
    return 1 - float(((student - teacher) ** 2).mean()) / spread if spread > 0 else None


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch and the linear algebra to one thread.

    The matrices of a fit are small: threads would wait for each other longer than they work, and
    the order of float additions would depend on how many cores the machine has.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def timer() -> float:
    """Seconds on a clock that never goes back."""
    return time.perf_counter()
