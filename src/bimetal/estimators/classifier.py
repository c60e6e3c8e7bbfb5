"""`BinaryClassifier`: a table in, a packed and calibrated binary net out, in scikit-learn's manners."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from bimetal.encoders import Encoder
from bimetal.errors import DataError
from bimetal.estimators.assemble import assemble, isotonic
from bimetal.estimators.base import one_thread, timer
from bimetal.estimators.partial import Incremental
from bimetal.estimators.progress import shown
from bimetal.estimators.recipe import cook
from bimetal.estimators.tasks import Floats, Task

__all__ = ["BinaryClassifier"]


class BinaryClassifier(ClassifierMixin, Incremental):  # type: ignore[misc]
    """Classifier whose every hidden weight and activation is −1 or +1.

    Three parts read the same bits and share one readout of integer points: a linear part (an
    additive scorecard), rules (sparse binary neurons grown by boosted trees) and members (dense
    binary nets trained side by side). Out-of-fold scores decide what each part is worth; a part
    that adds nothing leaves the Program. Probabilities are calibrated by the same regression.

    Parameters
    ----------
    encoder : Encoder, optional
        Table → bits; by default `TreeEncoder()`. Category columns, special codes and cut-points are
        told to the encoder.
    linear : bool, default True
        Whether to fit the linear part.
    max_rules : int, default 4000
        Sparse binary neurons at most; 0 leaves the rules part out.
    max_bytes : int, default 65536
        Size of the saved file to keep within; the rules part is cut to the room that is left. Nothing
        else is cut: header, names, golden rows and bits alone may take more than a small bound.
    hidden : sequence of int, default (32, 32)
        Neurons of each hidden layer of a member.
    n_members : int, default 8
        Members of the ensemble; 0 leaves the members part out.
    teacher : "auto", None or fitted estimator, default "auto"
        Whose probabilities the linear part and the members learn besides the labels: boosted trees
        asked out of fold; nobody; or anything with `predict_proba` and the same `classes_`. Such a
        teacher should not have been fitted on these very rows.
    distil : float, default 0.7
        Share of the teacher in the targets.
    surrogate : str, default "clipped"
        Surrogate gradient of the members, a name in `bimetal.nn.SURROGATES`.
    dropout, max_epochs, batch_size, learning_rate, patience
        Training of the members; see `bimetal.nn.TrainConfig`.
    n_folds : int, default 5
        Folds of the out-of-fold scores; tables above 12,000 rows use at most 3.
    calibration : {"sigmoid", "isotonic"}, default "sigmoid"
        How points become probabilities; isotonic needs two classes and suits long tables.
    class_weight : dict, "balanced" or None, default None
        Weights of the classes, multiplied into `sample_weight`. Weighted classes mean weighted
        probabilities.
    random_state : int, RandomState or None, default None
        Seed; the same int gives the same Program.
    verbose : bool, default False
        Whether to show progress.

    Attributes
    ----------
    classes_ : numpy.ndarray
        Class labels.
    program_ : Program
        The model as bit operations; what `bimetal.save` saves.
    engine_ : Engine
        The native engine that predicts.
    encoder_ : Encoder
        The fitted encoder; its `bit_names_` name the bits.
    report_ : FitReport
        Out-of-fold losses, weights of the parts, choices, fidelity to the teacher.
    history_ : list
        Epochs of each training of the members.

    Notes
    -----
    Surrogate training follows BinaryNet (Hubara et al. 2016), distillation out-of-fold stacking,
    members BENN (Zhu et al. 2018) and TabM (2024), rules RuleFit (Friedman & Popescu 2008).

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(400, random_state=0)
    >>> model = BinaryClassifier(n_members=2, max_epochs=5, random_state=0).fit(X, y)
    >>> model.predict_proba(X[:3]).shape
    (3, 2)
    """

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
        calibration: Literal["sigmoid", "isotonic"] = "sigmoid",
        class_weight: Any = None,
        random_state: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            encoder=encoder,
            linear=linear,
            max_rules=max_rules,
            max_bytes=max_bytes,
            hidden=hidden,
            n_members=n_members,
            teacher=teacher,
            distil=distil,
            surrogate=surrogate,
            dropout=dropout,
            max_epochs=max_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            n_folds=n_folds,
            random_state=random_state,
            verbose=verbose,
        )
        self.calibration = calibration
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : frame or array_like of shape (n_rows, n_columns)
            pandas, Polars, Arrow or NumPy; missing values are welcome.
        y : array_like of shape (n_rows,)
            Class labels.
        sample_weight : array_like of shape (n_rows,), optional
            Weight of each row; 0 leaves a row out.

        Raises
        ------
        DataError
            When the table or an option cannot be used, or y has one class only.
        TrainingError
            When the loss stops being finite.
        """
        start = timer()
        X = self._check_table(X, is_fit=True)
        y = self._check_labels(X, y)
        weight = self._weights(y, sample_weight)
        table = self._read(X, y, weight, "classification")
        assert table.training.y is not None
        self.classes_, codes = np.unique(table.training.y, return_inverse=True)
        task = self._task(table.training.columns)
        targets = (
            codes[:, None].astype(float) if task.n_outputs == 1 else np.eye(task.n_outputs)[codes]
        )
        soft = self._taught(X, weight)
        recipe = self._recipe(table.training, soft is not None)
        with one_thread(), shown(self.verbose) as progress:
            fitted = cook(
                table, targets, codes, table.training.weight, soft, task, recipe, progress
            )
        program = assemble(
            table.training.columns,
            fitted.encoder.op_,
            fitted.parts,
            fitted.weights,
            fitted.intercept,
            task,
            classes=tuple(self.classes_.tolist()),
            provenance=self._provenance(fitted, len(codes)),
        )
        if self.calibration == "isotonic":
            program = isotonic(program, fitted.oof_scores, targets[:, 0], table.training.weight)
        return self._finish(fitted, program, timer() - start)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return class probabilities, float32 of shape (n_rows, n_classes).

        Raises
        ------
        ColumnError, MissingValueError, NotFiniteError
            When the table does not fit the model.
        """
        return self._answers(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row; of equals, the first."""
        answers = self._answers(X)
        return np.asarray(self.classes_[answers.argmax(axis=1)])

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _weights(self, y: NDArray[Any], sample_weight: Any) -> NDArray[np.float64] | None:
        if self.class_weight is None:
            return None if sample_weight is None else np.asarray(sample_weight, np.float64)
        by_class = compute_sample_weight(self.class_weight, y)
        return np.asarray(
            by_class if sample_weight is None else by_class * np.asarray(sample_weight)
        )

    def _task(self, columns: Any) -> Task:
        n = len(self.classes_)
        if n < 2:
            raise DataError(
                f"a classifier needs rows of two classes or more, got one class: "
                f"{self.classes_.tolist()}; look at the target column and at filters before it"
            )
        if self.calibration not in ("sigmoid", "isotonic"):
            raise DataError(
                f"calibration must be 'sigmoid' or 'isotonic', got {self.calibration!r}"
            )
        if self.calibration == "isotonic" and n > 2:
            raise DataError(f"isotonic calibration is for two classes, got {n}; use 'sigmoid'")
        return Task("binary", 1) if n == 2 else Task("multiclass", n)

    def _taught(self, X: Any, weight: Floats | None) -> Floats | None:
        answers = self._ask_teacher("predict_proba", X, weight)
        if answers is None:
            return None
        if list(getattr(self.teacher, "classes_", self.classes_)) != list(self.classes_):
            raise DataError(
                f"the teacher knows classes {list(self.teacher.classes_)}, y has {list(self.classes_)}"
            )
        return answers[:, 1:] if len(self.classes_) == 2 else answers
