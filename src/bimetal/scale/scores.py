"""What is written for each row of a table: the answers of a model, as Arrow columns.

A batch of rows goes in, a batch of scores comes out. Every engine (this process, workers of a cluster)
calls the same code here, so that they cannot differ.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.errors import DataError
from bimetal.program import Program
from bimetal.runtime import Engine

__all__ = ["AnswerScores", "Scores", "answer_fields", "label_column", "labels_of", "likeliest"]

Fields = list[tuple[str, Any]]


class Scores(ABC):
    """What a model writes for each row.

    Attributes
    ----------
    program : Program
        Its columns are read.
    engine : Engine
        What runs.
    fields : list of tuple
        Name and pyarrow type of each column that is written.
    metadata : dict
        Text for the schema of the file: which model made it.
    """

    program: Program
    engine: Engine
    fields: Fields
    metadata: dict[str, str]

    def inputs(self, names: Collection[str]) -> tuple[tuple[Column, ...], tuple[str, ...]]:
        """Return what is read of a file with such columns: those of a Program, and others as they stand.

        Raises
        ------
        DataError
            When they do not fit the model.
        """
        return self.program.columns, ()

    @abstractmethod
    def columns(self, batch: Any) -> list[Any]:
        """Return the arrays of `fields` for a pyarrow RecordBatch.

        Raises
        ------
        DataError
            When the table does not fit the model.
        """

    def schema(self, kept: Sequence[Any]) -> Any:
        """Return the schema of the output, after the fields that are copied along.

        Raises
        ------
        DataError
            When one of those has the name of a score.
        """
        import pyarrow as pa

        names = [*(field.name for field in kept), *(name for name, _ in self.fields)]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise DataError(
                f"--keep {','.join(doubled)}: the scores have columns of that name; rename it"
            )
        fields = [*kept, *(pa.field(name, kind) for name, kind in self.fields)]
        return pa.schema(fields, self.metadata | {"bimetal.version": version("bimetal")})


class AnswerScores(Scores):
    """The probabilities and the class of a classifier, or the predictions of a regressor.

    Parameters
    ----------
    engine : Engine
    """

    def __init__(self, engine: Engine) -> None:
        self.engine, self.program = engine, engine.program
        self.fields = answer_fields(engine.program)
        self.metadata = {"bimetal.model_id": engine.program.id}

    def columns(self, batch: Any) -> list[Any]:
        """Return the arrays of `fields`. Raises what `Engine.predict_proba` does."""
        import pyarrow as pa

        answers = self.engine.predict_proba(pa.Table.from_batches([batch]))
        columns = [pa.array(np.ascontiguousarray(column)) for column in answers.T]
        if self.program.classes:
            columns.append(label_column(likeliest(answers), labels_of(self.program)))
        return columns


def answer_fields(program: Program) -> Fields:
    """Return name and type of each answer: probabilities and class, or predictions."""
    import pyarrow as pa

    if not program.classes:
        n = program.n_outputs
        names = ["prediction"] if n == 1 else [f"prediction_{k}" for k in range(n)]
        return [(name, pa.float32()) for name in names]
    texts = [str(label) for label in program.classes]
    labels = texts if len(set(texts)) == len(texts) else [repr(label) for label in program.classes]
    fields = [(f"probability_{label}", pa.float32()) for label in labels]
    return [*fields, ("prediction", pa.array(labels_of(program)).type)]


def likeliest(answers: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the number of the likeliest class of each row, of equals the first.

    Examples
    --------
    >>> likeliest(np.array([[0.5, 0.5], [0.4, 0.6]], np.float32)).tolist()
    [0, 1]
    """
    if answers.shape[1] == 2:  # argmax over two takes forty times as long
        return np.asarray(answers[:, 1] > answers[:, 0], np.intp)
    return np.asarray(answers.argmax(axis=1), np.intp)


def label_column(numbers: Any, labels: Sequence[Any], is_absent: Any = None) -> Any:
    """Return labels by their numbers as an Arrow array, null where absent.

    Examples
    --------
    >>> label_column(np.array([1, 0]), ["no", "yes"]).to_pylist()
    ['yes', 'no']
    """
    import pyarrow as pa

    places = pa.array(numbers.astype(np.int32), mask=is_absent)
    return pa.array(labels).take(places)


def labels_of(program: Program) -> list[Any]:
    """Return the class labels; those of several types become text."""
    is_mixed = len({type(label) for label in program.classes}) > 1
    return [str(label) for label in program.classes] if is_mixed else list(program.classes)
