"""`RiverClassifier`: the same learner in the manners of river, one event at a time.

river (Montiel et al. 2021, JMLR) gives a model a dict of features and asks for one answer. Nothing is
made of it but one row of float32: no frame is built on the way, and between two updates the native
engine answers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from bimetal.continual.stream.classifier import ContinualClassifier
from bimetal.continual.stream.door import labelled, source_of
from bimetal.continual.stream.labels import plain_label
from bimetal.continual.stream.streaming import StreamModel
from bimetal.encoders import Encoder
from bimetal.errors import MissingExtraError

if TYPE_CHECKING:

    class MiniBatchClassifier:
        """What river gives: `clone`, `mutate`, pipelines, checks."""

else:
    try:
        from river.base import MiniBatchClassifier
    except ImportError as error:
        raise MissingExtraError("river", "stream", "RiverClassifier") from error

__all__ = ["RiverClassifier"]


class RiverClassifier(MiniBatchClassifier):
    """`ContinualClassifier` for river: pipelines, `progressive_val_score`, delayed labels.

    Features and classes may emerge at any time. Until the warm-up is full the answer is how often each
    class has come.

    Parameters
    ----------
    hidden, memory_half_life, strength, learning_rate, batch_size, n_epochs, encoder, warm_up, class_weight
        As of `ContinualClassifier`.
    seed : int, optional
        Of the weights.

    Attributes
    ----------
    model : ContinualClassifier
        The learner as it is now: its `program_` is what is deployed, its `get_state` what is kept.

    Raises
    ------
    MissingExtraError
        When river is not installed (on import of this file).

    Examples
    --------
    >>> model = RiverClassifier(warm_up=10, seed=0)
    >>> for i in range(100):
    ...     model.learn_one({"income": float(i % 10)}, i % 10 > 4)
    >>> model.predict_one({"income": 9.0})
    True
    """

    def __init__(
        self,
        hidden: tuple[int, ...] = (128, 128),
        memory_half_life: Literal["auto"] | float | None = "auto",
        strength: Literal["auto"] | float = "auto",
        learning_rate: float = 0.005,
        batch_size: int = 32,
        n_epochs: int = 2,
        encoder: Encoder | None = None,
        warm_up: int = 256,
        class_weight: Any = None,
        seed: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.memory_half_life = memory_half_life
        self.strength = strength
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.encoder = encoder
        self.warm_up = warm_up
        self.class_weight = class_weight
        self.seed = seed
        self._model = ContinualClassifier(
            hidden,
            memory_half_life=memory_half_life,
            strength=strength,
            learning_rate=learning_rate,
            batch_size=batch_size,
            n_epochs=n_epochs,
            encoder=encoder,
            warm_up=warm_up,
            class_weight=class_weight,
            random_state=seed,
        )

    @property
    def model(self) -> ContinualClassifier:
        """The learner as it is now."""
        return self._model.begin()

    @property
    def _multiclass(self) -> bool:
        return True

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {"hidden": (16,), "warm_up": 20, "batch_size": 8}

    def learn_one(self, x: Mapping[Any, Any], y: Any, w: float = 1.0) -> None:
        """Learn one event.

        Parameters
        ----------
        x : mapping
            Features by name: numbers, text, None for a missing one.
        y : label
            Its class.
        w : float, default 1.0
            Its weight.

        Raises
        ------
        ColumnError, NotFiniteError
            When a value is not of the kind of its column, or infinite; nothing is learned then.
        """
        if w > 0:
            self._stream().learn_one(x, plain_label(y), w)

    def predict_proba_one(self, x: Mapping[Any, Any], **kwargs: Any) -> dict[Any, float]:
        """Return the probability of each class that has come; nothing before the first.

        They are the answers of the Program, float32, divided by their sum.
        """
        stream = self._stream()
        if not len(stream.labels):
            return {}
        answers = stream.answer_one(x).tolist()
        total = sum(answers)
        known = stream.labels.known
        return {known[c]: p / total for c, p in zip(stream.labels.order, answers, strict=True)}

    def learn_many(self, X: Any, y: Any, w: Any = None) -> None:
        """Learn the rows of a frame in their order: what `learn_one` does with each."""
        stream = self._stream()
        stream.learn_table(*labelled(self._model, stream, X, y, w))

    def predict_proba_many(self, X: Any) -> Any:
        """Return a pandas frame of probabilities, a column a class."""
        import pandas as pd

        stream = self._stream()
        if not len(stream.labels):
            return pd.DataFrame(index=X.index)
        answers = stream.answers(source_of(self._model, stream, X)).astype(float)
        answers /= answers.sum(axis=1, keepdims=True)
        return pd.DataFrame(answers, columns=stream.labels.sorted().tolist(), index=X.index)

    def _stream(self) -> StreamModel:
        """Return the stream of the model, which begins with the first call."""
        if not hasattr(self._model, "stream_"):
            self._model.begin()
        stream: StreamModel = self._model.stream_
        return stream
