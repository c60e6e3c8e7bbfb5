"""`BinaryRegressor`: a table in, a packed binary net that answers with a number."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import _check_y, check_consistent_length, column_or_1d

from bimetal.errors import DataError, NotFiniteError
from bimetal.estimators.assemble import assemble
from bimetal.estimators.base import BinaryEstimator, one_thread, timer
from bimetal.estimators.progress import shown
from bimetal.estimators.recipe import cook
from bimetal.estimators.tasks import Floats, Task

__all__ = ["BinaryRegressor"]


class BinaryRegressor(RegressorMixin, BinaryEstimator):  # type: ignore[misc]
    """Regressor whose every hidden weight and activation is −1 or +1.

    The parts, parameters and attributes are those of `BinaryClassifier`; the loss is the squared
    error of the standardised target, the teacher's `predict` is what is distilled, and the answer is
    ``offset + scale * points`` in float64, rounded to float32.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 3))
    >>> y = 3 * X[:, 0] + np.abs(X[:, 1])
    >>> model = BinaryRegressor(n_members=2, max_epochs=5, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.8)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model; see `BinaryClassifier.fit`. Targets are finite numbers, one a row.

        Raises
        ------
        DataError
            When the table or an option cannot be used, or y has another shape.
        TrainingError
            When the loss stops being finite.
        """
        start = timer()
        X = self._check_table(X, is_fit=True)
        y = self._check_target(X, y)
        weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        table = self._read(X, y, weight, "regression")
        training = table.training
        assert training.y is not None
        center = float(np.average(training.y, weights=training.weight))
        spread = (
            float(np.sqrt(np.average((training.y - center) ** 2, weights=training.weight))) or 1.0
        )
        targets = ((training.y - center) / spread)[:, None]
        soft = self._taught(X, weight, center, spread)
        task, recipe = Task("regression", 1), self._recipe(training, soft is not None)
        with one_thread(), shown(self.verbose) as progress:
            fitted = cook(table, targets, None, training.weight, soft, task, recipe, progress)
        program = assemble(
            training.columns,
            fitted.encoder.op_,
            fitted.parts,
            fitted.weights,
            fitted.intercept,
            task,
            center=center,
            spread=spread,
            provenance=self._provenance(fitted, len(targets)),
        )
        return self._finish(fitted, program, timer() - start)

    def predict(self, X: Any) -> NDArray[np.float32]:
        """Return predicted targets, float32 of shape (n_rows,).

        Raises
        ------
        ColumnError, MissingValueError, NotFiniteError
            When the table does not fit the model.
        """
        return self._answers(X)[:, 0]

    def _check_target(self, X: Any, y: Any) -> NDArray[np.float64]:
        if y is None:
            raise DataError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        try:
            y = column_or_1d(_check_y(y, multi_output=False, y_numeric=True), warn=True)
            check_consistent_length(X, y)
            targets: NDArray[np.float64] = np.asarray(y, dtype=np.float64)
        except ValueError as error:
            raise DataError(str(error)) from error
        if (np.abs(targets) > np.finfo(np.float32).max).any():
            raise NotFiniteError("targets must fit float32, which ends at 3.4e38; use another unit")
        return targets

    def _taught(self, X: Any, weight: Floats | None, center: float, spread: float) -> Floats | None:
        answers = self._ask_teacher("predict", X, weight)
        return None if answers is None else (answers.reshape(-1, 1) - center) / spread
