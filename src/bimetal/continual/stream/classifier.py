"""`ContinualClassifier`: rows as they come in, a packed binary net out at any time, nothing told of tasks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_random_state

from bimetal.continual.stream.door import labelled, source_of
from bimetal.continual.stream.encoding import ReachingEncoder
from bimetal.continual.stream.labels import plain_label
from bimetal.continual.stream.options import OnlineOptions, StreamOptions
from bimetal.continual.stream.snapshot import dump_state, load_state
from bimetal.continual.stream.streaming import StreamModel
from bimetal.encoders import Encoder
from bimetal.errors import DataError
from bimetal.program import Program
from bimetal.runtime import Engine

__all__ = ["ContinualClassifier"]

HALF_LIFE = 10_000.0
STRENGTH = 2.0
"""What "auto" stands for; chosen on streams that no report names, see benchmarks/continual_streams.py.

Without fading, latent weights grow as long as a stream lasts and take ever longer to turn: after 60,000
rows of one regime a net had learned another to 68 % in 2,000 rows, with this half-life to 79 %, and of the
first it had kept as much in the end (75 and 76 %).
"""


class ContinualClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier that goes on learning, and forgets slowly.

    A binary net reads the bits of a row and learns by the metaplastic rule (Laborieux et al. 2021),
    scale-free: the more settled a weight, the harder it is to turn, so what was learned in one regime is
    not lost in the next. Nothing of the past is stored, and nobody says when a regime ends: each row is
    normed by itself, and the optimizer is one for good.

    Parameters
    ----------
    hidden : sequence of int, default (128, 128)
        Units of each hidden layer.
    memory_half_life : "auto", None or float, default "auto"
        Rows after which what is never renewed is half forgotten; "auto" is 10,000. With None it never
        fades, and a long stream leaves ever less room for what is new.
    strength : "auto" or float, default "auto"
        How firmly settled weights hold (m of the rule, in units of one over a layer's mean magnitude);
        0 is no memory at all, "auto" is 2.
    learning_rate : float, default 0.005
        Of latent weights.
    batch_size : int, default 32
        Rows of a step. A row waits until its mini-batch is complete: see `flush`.
    n_epochs : int, default 2
        How often each row is learned from: steps on each mini-batch of `partial_fit`; passes over the
        table in `fit`, where a short table gets more (200 steps in all).
    encoder : Encoder, optional
        Table → bits. Fitted on history, which is recommended, its bits are used from the first row on.
        Not fitted, it is fitted on the warm-up. By default quantiles of the warm-up, and cut-points
        beyond its range. In all cases **its bits then stay what they are**: a memory is about bits
        that keep their meaning. Each column has a bit for missing values.
    warm_up : int, default 256
        Rows that come before there are bits. They are kept and then learned like all others; until
        then the answer is how often each class has come. A column that emerges later gets bits when as
        many of its values have come.
    columns : {"open", "fixed"}, default "open"
        Whether columns of a frame may come and go: a new one gets bits of its own in time, a missing one
        is read as missing values. With "fixed" a frame that differs is refused. (An array is read by
        position and never differs.)
    shuffle : bool, default True
        Whether `fit` takes the rows of its table in random order; `partial_fit` never does.
    class_weight : dict, "balanced" or None, default None
        Weights of the classes, multiplied into `sample_weight`; "balanced" goes by the rows so far.
        Weighted classes mean weighted probabilities.
    random_state : int, RandomState or None, default None
        Seed; the same int and the same rows give the same Program, bit for bit.

    Attributes
    ----------
    classes_ : numpy.ndarray
        The classes that have come or were declared, sorted.
    n_features_in_ : int
        Columns that have come.
    feature_names_in_ : numpy.ndarray
        Their names, if they came in a frame.

    Notes
    -----
    The state depends on the rows and their order alone: ten calls of `partial_fit` with a row each are
    one call with ten rows, bit for bit. Probabilities are calibrated all along by a slope and offsets
    that follow how right the net was on rows it had not learned yet (half-life 1,000 rows), so they
    follow the classes when these become more or less frequent.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(600, random_state=0)
    >>> model = ContinualClassifier(warm_up=100, random_state=0)
    >>> for start in range(0, 600, 50):
    ...     model = model.partial_fit(X[start : start + 50], y[start : start + 50], classes=[0, 1])
    >>> model.predict_proba(X[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        hidden: Sequence[int] = (128, 128),
        *,
        memory_half_life: Literal["auto"] | float | None = "auto",
        strength: Literal["auto"] | float = "auto",
        learning_rate: float = 0.005,
        batch_size: int = 32,
        n_epochs: int = 2,
        encoder: Encoder | None = None,
        warm_up: int = 256,
        columns: Literal["open", "fixed"] = "open",
        shuffle: bool = True,
        class_weight: Any = None,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.memory_half_life = memory_half_life
        self.strength = strength
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.encoder = encoder
        self.warm_up = warm_up
        self.columns = columns
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn a table from the beginning: history, after which `partial_fit` goes on.

        The encoder is fitted on all of the table (unless it is fitted already), the rows are gone
        through `n_epochs` times or more, and the last tenth is learned as a stream, for calibration.

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
            When the table or an option cannot be used.
        TrainingError
            When the loss stops being finite.
        """
        rng = check_random_state(self.random_state)
        stream = self._new_stream(rng)
        source, labels, weights = labelled(self, stream, X, y, sample_weight, is_first=True)
        if not labels:
            raise DataError("every row has weight zero; at least one must count")
        order = rng if self.shuffle else None
        stream.learn_history(source, labels, np.array(weights, np.float64), order)
        return self._learned(stream)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn rows in their order, as a stream goes on.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`.
        classes : array_like, optional
            Classes to know from now on, whether or not a row of them has come. Others may emerge.

        Raises
        ------
        DataError
            When the rows cannot be used; none of them is learned then.
        TrainingError
            When the loss stops being finite.
        """
        rng, has_begun = check_random_state(self.random_state), hasattr(self, "stream_")
        stream: StreamModel = self.stream_ if has_begun else self._new_stream(rng)
        is_first = not (has_begun and stream.columns.names)
        source, labels, weights = labelled(self, stream, X, y, sample_weight, is_first=is_first)
        if classes is not None:
            stream.declare(
                [plain_label(label) for label in np.sort(np.unique(np.asarray(classes)))]
            )
        stream.learn_table(source, labels, weights)
        return self._learned(stream)

    def begin(self) -> Self:
        """Begin a stream without a row, unless one has begun, for those who feed `stream_` themselves."""
        has_begun = hasattr(self, "stream_")
        rng = check_random_state(self.random_state)
        return self._learned(self.stream_ if has_begun else self._new_stream(rng))

    def flush(self) -> Self:
        """Learn now what waits for its mini-batch (or for the end of the warm-up).

        It is never needed, and what it does is part of the stream: a mini-batch is cut there.
        """
        stream = self._fitted()
        stream.flush()
        return self._learned(stream)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return class probabilities, float32 of shape (n_rows, n_classes): what the Program answers.

        Raises
        ------
        ColumnError, NotFiniteError
            When the table does not fit the model.
        """
        stream = self._fitted()
        if not len(stream.labels):
            raise NotFittedError(f"this {type(self).__name__} has begun, but no row has come yet")
        return stream.answers(source_of(self, stream, X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row; of equals, the first."""
        answers = self.predict_proba(X)
        return np.asarray(self.classes_[answers.argmax(axis=1)])

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @property
    def program_(self) -> Program:
        """The model of today as bit operations: what `bimetal.save` saves.

        Raises
        ------
        DataError
            Before the warm-up is full.
        """
        return self._fitted().program

    @property
    def engine_(self) -> Engine:
        """The native engine that predicts; made when asked for, kept until something is learned."""
        return self._fitted().engine

    @property
    def n_waiting_(self) -> int:
        """Rows that have come and are not learned yet."""
        return self._fitted().n_waiting

    def get_state(self) -> bytes:
        """Return everything as the bytes of a safetensors file; `from_state` goes on from there.

        Raises
        ------
        DataError
            When an encoder of your own class was given and is not fitted yet.
        """
        return dump_state(self.get_params(deep=False), self._fitted())

    @classmethod
    def from_state(cls, state: bytes | str | os.PathLike[str]) -> Self:
        """Return the classifier that `get_state` was asked of: it goes on bit for bit as that one does.

        Parameters
        ----------
        state : bytes or path
            What `get_state` returned, or a file that holds it. It is data: none of it is executed.

        Raises
        ------
        CheckpointError
            When the bytes are damaged or of another version.
        """
        data = state if isinstance(state, bytes) else Path(state).read_bytes()
        params, stream = load_state(data)
        return cls(**params)._learned(stream)

    def set_state(self, state: bytes) -> None:
        """Go back, or on, to a state of this classifier, parameters included; see `from_state`.

        If the bytes are damaged, the classifier stays as it is.
        """
        params, stream = load_state(state)
        self.set_params(**params)._learned(stream)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "stream_")

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy; a fitted encoder stays fitted, since its bits are an ingredient."""
        params = self.get_params(deep=False)
        encoder = params.pop("encoder")
        copies = {name: clone(value, safe=False) for name, value in params.items()}
        is_fitted = encoder is None or hasattr(encoder, "op_")
        return type(self)(encoder=encoder if is_fitted else clone(encoder), **copies)

    def _fitted(self) -> StreamModel:
        if not hasattr(self, "stream_"):
            raise NotFittedError(
                f"this {type(self).__name__} has seen no row yet; call fit or partial_fit first"
            )
        stream: StreamModel = self.stream_
        return stream

    def _learned(self, stream: StreamModel) -> Self:
        self.stream_, self.classes_ = stream, stream.labels.sorted()
        names = stream.columns.names
        if names:
            self.n_features_in_ = len(names)
        if names and stream.columns.are_named:
            self.feature_names_in_ = np.array(names, dtype=object)
        return self

    def _new_stream(self, rng: np.random.RandomState) -> StreamModel:
        if self.columns not in ("open", "fixed"):
            raise DataError(f"columns must be 'open' or 'fixed', got {self.columns!r}")
        auto = isinstance(self.strength, str), isinstance(self.memory_half_life, str)
        for is_text, value in zip(auto, (self.strength, self.memory_half_life), strict=True):
            if is_text and value != "auto":
                raise DataError(
                    f"strength and memory_half_life are numbers or 'auto', got {value!r}"
                )
        net = OnlineOptions(
            hidden=tuple(self.hidden),
            strength=STRENGTH if auto[0] else float(self.strength),
            half_life=HALF_LIFE if auto[1] else self.memory_half_life,  # type: ignore[arg-type]
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            n_epochs=self.n_epochs,
            seed=int(rng.randint(2**31 - 1)),
        )
        options = StreamOptions(net, self.warm_up, self.class_weight, self.columns == "fixed")
        return StreamModel(options, ReachingEncoder() if self.encoder is None else self.encoder)
