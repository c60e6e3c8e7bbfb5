"""`partial_fit`: what fit built stays, bit for bit, and the points of the readout go on learning.

Encoder, rules and members are not touched, so what a hidden bit means today is what it meant when the
model was approved; only the integer points that it gives move, and with them the score. An auditor can
see that with `bimetal.diff`: no flips, points alone. How they move is in `online.py`.
"""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from bimetal.errors import CheckpointError, DataError
from bimetal.estimators.base import BinaryEstimator
from bimetal.estimators.online import Floats, Points
from bimetal.runtime import Engine

__all__ = ["Incremental"]


class Incremental(BinaryEstimator):
    """The part of `BinaryClassifier` that goes on learning."""

    classes_: NDArray[Any]
    calibration: str
    class_weight: Any

    @abstractmethod
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model."""

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Fit if nothing is fitted yet; from then on let the points learn from these rows, in order.

        Encoder, rules, members and calibration stay what `fit` made them: no hidden bit changes its
        meaning, and `bimetal.diff` of the Programs before and after shows points alone. Rows count one
        by one: ten calls with a row each, or one with ten, give the same Program, bit for bit. Only the
        rows of the first call, which are fitted together, must stay together.

        Parameters
        ----------
        X : frame or array_like of shape (n_rows, n_columns)
            With the columns of the first call; categories never seen before count as "other".
        y : array_like of shape (n_rows,)
            Class labels. A later call may bring one class only.
        classes : array_like, optional
            All classes; if given, it must be the same in each call.
        sample_weight : array_like of shape (n_rows,), optional
            Weight of each row; a row of weight 0 is as if it were not there.

        Raises
        ------
        DataError
            When the first call lacks rows of one of the `classes`, a later one brings a class that is
            not among them, or the options do not allow it (isotonic calibration, balanced classes).
        ColumnError, MissingValueError, NotFiniteError
            When the table does not fit the model. After any error the model is what it was.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from bimetal import BinaryClassifier
        >>> X, y = make_classification(600, random_state=0)
        >>> model = BinaryClassifier(n_members=0, random_state=0)
        >>> before = model.partial_fit(X[:400], y[:400], classes=[0, 1]).program_
        >>> after = model.partial_fit(X[400:], y[400:]).program_
        >>> from bimetal.diff import diff
        >>> sorted({(moves.kind, moves.array) for moves in diff(before, after).moves})
        [('Readout', 'bias'), ('Readout', 'weights')]
        """
        self._check_partial()
        if not hasattr(self, "program_"):
            _require_all(classes, self._check_labels(X, y))
            return self.fit(X, y, sample_weight)
        self._require_same(classes)
        X = self._check_table(X, is_fit=False)
        y = self._check_labels(X, y)
        targets, weight = self._targets(y), self._row_weights(y, sample_weight)
        rows, counts = self.engine_.rows(X), weight > 0
        self._take_points(self._points().after(rows[counts], targets[counts], weight[counts]))
        return self

    def get_state(self) -> bytes:
        """Return all that learning goes on from: the Program and the real numbers behind its points.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            When nothing is fitted yet.
        """
        return self._points().to_bytes()

    def set_state(self, state: bytes) -> None:
        """Go back (or forward) to a state of this same fit; learning then goes on as if it never left.

        Raises
        ------
        CheckpointError
            When the bytes are no state, or are of a model that was fitted otherwise.
        """
        own = self._points()
        points = Points.from_bytes(state)
        if points.kept() != own.kept() or points.weights.shape != own.weights.shape:
            raise CheckpointError(
                "the state is of a model with other columns, rules or members; set it on an estimator that "
                "was fitted on the same rows with the same options, or load the Program alone"
            )
        self._take_points(points)

    def _points(self) -> Points:
        check_is_fitted(self)
        kept: Points | None = getattr(self, "_kept_points", None)
        return (
            kept if kept is not None and kept.program is self.program_ else Points.of(self.program_)
        )

    def _take_points(self, points: Points) -> None:
        self._kept_points, self.program_ = points, points.program
        self.engine_ = Engine(points.program)

    def _check_partial(self) -> None:
        if self.calibration != "sigmoid":
            raise DataError(
                f"partial_fit keeps the sigmoid as it is, and calibration is {self.calibration!r}: a "
                "staircase would have to be fitted again on rows held out; use calibration='sigmoid', or "
                "fit again"
            )
        if isinstance(self.class_weight, str):
            raise DataError(
                f"class_weight={self.class_weight!r} depends on all rows, and partial_fit sees some of "
                "them; give the weights themselves: class_weight={label: weight, ...}"
            )

    def _require_same(self, classes: Any) -> None:
        if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise DataError(
                f"the model knows classes {self.classes_.tolist()}, got classes={list(classes)}; they must "
                "be the same in every call"
            )

    def _targets(self, y: NDArray[Any]) -> Floats:
        is_new = ~np.isin(y, self.classes_)
        if is_new.any():
            raise DataError(
                f"the model knows classes {self.classes_.tolist()}, got {np.unique(y[is_new]).tolist()[:5]}: "
                "partial_fit keeps what fit built; fit again with rows of all classes, or use "
                "bimetal.continual.ContinualClassifier, which takes new ones in"
            )
        codes = np.searchsorted(self.classes_, y)
        n = len(self.classes_)
        return codes[:, None].astype(np.float64) if n == 2 else np.eye(n)[codes]

    def _row_weights(self, y: NDArray[Any], sample_weight: Any) -> Floats:
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        if weight.shape != (len(y),) or not np.isfinite(weight).all() or (weight < 0).any():
            raise DataError(
                f"sample_weight must be {len(y)} finite numbers of 0 or more, one for each row, got an array "
                f"of shape {weight.shape}"
            )
        if self.class_weight is None:
            return weight
        of_class = np.array([self.class_weight.get(label, 1.0) for label in self.classes_.tolist()])
        return np.asarray(weight * of_class[np.searchsorted(self.classes_, y)])


def _require_all(classes: Any, y: NDArray[Any]) -> None:
    if classes is None:
        return
    lacking = np.setdiff1d(np.asarray(classes), y).tolist()
    if lacking:
        raise DataError(
            f"the first call of partial_fit fits the model and needs rows of every class, and has none of "
            f"{lacking[:5]}; gather rows until each class has some dozens, then call it with all of them"
        )
    if unnamed := np.setdiff1d(y, np.asarray(classes)).tolist():
        raise DataError(
            f"classes={list(classes)} does not name {unnamed[:5]}, which y holds; name all classes"
        )
