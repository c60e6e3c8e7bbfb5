"""The matrix that continual learning is judged by: how well task j is answered after task i was learned.

All measures of the literature are means over parts of it: average accuracy, backward and forward
transfer (Lopez-Paz & Ranzato 2017, arXiv:1706.08840), forgetting and intransigence (Chaudhry et al. 2018,
arXiv:1801.10112), anytime accuracy (Caccia et al. 2022, arXiv:2104.05025; Koh et al. 2022,
arXiv:2110.10031). Here they stand once, with what each of them needs to have been measured.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.strict_json import parse_object, require

__all__ = ["MEASURES", "AccuracyMatrix", "Metric"]

Metric = Literal["accuracy", "auc"]
Floats = NDArray[np.float64]

MEASURES = (
    "average_accuracy", "anytime_accuracy", "learning_accuracy", "backward_transfer",
    "forward_transfer", "forgetting",
)  # fmt: skip
"""Attributes of `AccuracyMatrix` that are one number."""


@dataclass(frozen=True, eq=False)
class AccuracyMatrix:
    """How well each task is answered after each task was learned.

    Measures that need entries which were not measured raise `DataError` and name the first of them.

    Attributes
    ----------
    accuracy : numpy.ndarray
        R, float64 (n_tasks, n_tasks), read-only: R[i, j] is the accuracy (or the AUC) on test rows of task
        j after learning tasks 0 to i, a number of 0 to 1, or NaN where it was not measured.
    baseline : numpy.ndarray or None
        b, float64 (n_tasks,): the same of the untrained net.
    tasks : tuple of str
        Names of the tasks; by default "1", "2", ...
    metric : {"accuracy", "auc"}
        What the entries are.

    Raises
    ------
    DataError
        When the matrix is not square, an entry is out of range, or names or baseline are not one a task.

    Examples
    --------
    >>> nan = float("nan")
    >>> matrix = AccuracyMatrix([[0.9, nan], [0.6, 0.8]])
    >>> round(matrix.average_accuracy, 3), round(matrix.backward_transfer, 3)
    (0.7, -0.3)
    """

    accuracy: Floats
    baseline: Floats | None = None
    tasks: tuple[str, ...] = ()
    metric: Metric = "accuracy"

    def __post_init__(self) -> None:
        matrix = _shares(self.accuracy, "the matrix")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
            raise DataError(f"a matrix (n_tasks, n_tasks) was expected, got shape {matrix.shape}")
        n = len(matrix)
        names = tuple(map(str, self.tasks)) or tuple(str(j + 1) for j in range(n))
        if len(names) != n:
            raise DataError(f"expected {n} names, one for each task, got {len(names)}")
        if self.metric not in get_args(Metric):
            raise DataError(f"the metric must be one of {get_args(Metric)}, got {self.metric!r}")
        baseline = None if self.baseline is None else _shares(self.baseline, "the baseline")
        if baseline is not None and baseline.shape != (n,):
            raise DataError(f"the baseline must have shape ({n},), got {baseline.shape}")
        for name, value in (("accuracy", matrix), ("baseline", baseline), ("tasks", names)):
            object.__setattr__(self, name, value)

    @classmethod
    def of_stream(
        cls, accuracy: ArrayLike, tasks: Sequence[str] = (), metric: Metric = "accuracy"
    ) -> "AccuracyMatrix":
        """Return the matrix of a stream, where the same rows are asked about after every piece.

        Parameters
        ----------
        accuracy : array-like of shape (n_tasks,)
            How well they are answered after each piece; R has this column once for each task.
        tasks : sequence of str, optional
            Names of the pieces.
        metric : {"accuracy", "auc"}
            What the entries are.

        Raises
        ------
        DataError
            When `accuracy` is no row of numbers of 0 to 1.

        Examples
        --------
        >>> AccuracyMatrix.of_stream([0.5, 0.7]).accuracy
        array([[0.5, 0.5],
               [0.7, 0.7]])
        """
        column = _shares(accuracy, "the accuracy after each piece")
        if column.ndim != 1:
            raise DataError(f"one number for each piece was expected, got shape {column.shape}")
        return cls(np.tile(column[:, None], len(column)), None, tuple(tasks), metric)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.accuracy)

    # --- what is left at the end --------------------------------------------------------------

    @property
    def average_accuracy(self) -> float:
        """ACC: mean over tasks after the last one, 1/T Σⱼ R[T−1, j] (Lopez-Paz & Ranzato 2017)."""
        return float(self._needed(self.accuracy[-1:], self.n_tasks - 1).mean())

    def last(self, n: int) -> float:
        """Return the mean over the last `n` tasks after the last one: whether the net still learns.

        Raises
        ------
        DataError
            When there are not so many tasks, or one was not measured.

        Examples
        --------
        >>> AccuracyMatrix([[0.9, 0.1], [0.6, 0.8]]).last(1)
        0.8
        """
        if not 1 <= n <= self.n_tasks:
            raise DataError(f"n must be 1 to {self.n_tasks}, the number of tasks, got {n}")
        row = self._needed(self.accuracy[-1:], self.n_tasks - 1, self.n_tasks - n)
        return float(row[0, -n:].mean())

    # --- on the way ---------------------------------------------------------------------------

    def curve(self) -> Floats:
        """Return float64 (n_tasks,): after each task i, the mean over the tasks seen, 0 to i.

        Examples
        --------
        >>> AccuracyMatrix([[0.9, 0.1], [0.6, 0.8]]).curve()
        array([0.9, 0.7])
        """
        means: Floats = self._seen().sum(axis=1) / np.arange(1, self.n_tasks + 1)
        return means

    @property
    def anytime_accuracy(self) -> float:
        """Mean of `curve`: how good the net was whenever asked (Caccia et al. 2022, Koh et al. 2022)."""
        return float(self.curve().mean())

    def first(self, n: int) -> "AccuracyMatrix":
        """Return the matrix as it was after the first `n` tasks.

        Raises
        ------
        DataError
            When there are not so many tasks.

        Examples
        --------
        >>> AccuracyMatrix([[0.9, 0.1], [0.6, 0.8]]).first(1).average_accuracy
        0.9
        """
        if not 1 <= n <= self.n_tasks:
            raise DataError(f"n must be 1 to {self.n_tasks}, the number of tasks, got {n}")
        baseline = None if self.baseline is None else self.baseline[:n]
        return AccuracyMatrix(self.accuracy[:n, :n], baseline, self.tasks[:n], self.metric)

    # --- learning, keeping, passing on ----------------------------------------------------------

    @property
    def learning_accuracy(self) -> float:
        """Mean of the diagonal: how well each task was learned when it came."""
        return float(self._diagonal().mean())

    @property
    def backward_transfer(self) -> float | None:
        """BWT: 1/(T−1) Σⱼ R[T−1, j] − R[j, j] over all tasks but the last (Lopez-Paz & Ranzato 2017).

        Below 0 where later tasks spoilt earlier ones, above where they helped; None with one task.
        """
        if self.n_tasks == 1:
            return None
        final = self._needed(self.accuracy[-1:], self.n_tasks - 1)[0]
        return float((final - self._diagonal())[:-1].mean())

    @property
    def forgetting(self) -> float | None:
        """1/(T−1) Σⱼ max of R[i, j] over j ≤ i < T−1, minus R[T−1, j] (Chaudhry et al. 2018).

        The best that task j ever was, from when it was learned, minus what is left; None with one task.
        Never below −BWT, which measures from what the task was at first, not from its best.
        """
        if self.n_tasks == 1:
            return None
        best = np.tril(self._seen())[:-1, :-1].max(axis=0)
        return float((best - self.accuracy[-1, :-1]).mean())

    @property
    def forward_transfer(self) -> float | None:
        """FWT: 1/(T−1) Σⱼ R[j−1, j] − b[j] over all tasks but the first (Lopez-Paz & Ranzato 2017).

        How much earlier tasks help with one that has not come yet. None with one task, and where the
        baseline or a task before its turn was not measured.
        """
        if self.n_tasks == 1 or self.baseline is None:
            return None
        gain = np.diagonal(self.accuracy, offset=1) - self.baseline[1:]
        return None if np.isnan(gain).any() else float(gain.mean())

    def intransigence(self, reference: ArrayLike) -> float:
        """Return what was not learned because of what is kept (Chaudhry et al. 2018).

        Parameters
        ----------
        reference : array-like of shape (n_tasks,)
            a*[j]: accuracy on task j of the same net trained on tasks 0 to j together.

        Returns
        -------
        float
            Mean over tasks of a*[j] − R[j, j]; the smaller, the better.

        Raises
        ------
        DataError
            When `reference` is not one number of 0 to 1 for each task, or the diagonal has gaps.

        Examples
        --------
        >>> round(AccuracyMatrix([[0.9, 0.1], [0.6, 0.8]]).intransigence([0.95, 0.95]), 3)
        0.1
        """
        best = _shares(reference, "the reference")
        if best.shape != (self.n_tasks,) or np.isnan(best).any():
            raise DataError(
                f"the reference must be {self.n_tasks} numbers, one for each task, got {best.tolist()}"
            )
        return float((best - self._diagonal()).mean())

    # --- as plain data --------------------------------------------------------------------------

    def measures(self) -> dict[str, float | None]:
        """Return all of `MEASURES` by name; None for those that need what was not measured.

        Examples
        --------
        >>> AccuracyMatrix([[0.75]]).measures()["backward_transfer"] is None
        True
        """
        return {name: self._measure(name) for name in MEASURES}

    def values(self) -> dict[str, Any]:
        """Return everything as JSON values: entries that were not measured are None."""
        return {
            "metric": self.metric,
            "tasks": list(self.tasks),
            "matrix": [_plain(row) for row in self.accuracy],
            "baseline": None if self.baseline is None else _plain(self.baseline),
            "measures": self.measures(),
        }

    def to_json(self) -> str:
        """Return `values` as JSON text, from which `from_json` makes the same matrix."""
        return json.dumps(self.values(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "AccuracyMatrix":
        """Return the matrix that `to_json` wrote. Measures are computed anew and not read.

        Raises
        ------
        FormatError
            When the text is no such JSON.
        DataError
            When what it says is no matrix: see `AccuracyMatrix`.

        Examples
        --------
        >>> AccuracyMatrix.from_json(AccuracyMatrix([[0.75]]).to_json()).accuracy
        array([[0.75]])
        """
        given = parse_object(text.encode(), "an accuracy matrix")
        missing = [key for key in ("metric", "tasks", "matrix", "baseline") if key not in given]
        require(not missing, "metric, tasks, matrix and baseline", f"none of {missing}")
        tasks, baseline = given["tasks"], given["baseline"]
        require(_is_list_of(tasks, str), "a list of names of tasks", tasks)
        return cls(given["matrix"], baseline, tuple(tasks), given["metric"])

    def _measure(self, name: str) -> float | None:
        try:
            value: float | None = getattr(self, name)
        except DataError:
            return None
        return value

    def _diagonal(self) -> Floats:
        for j in range(self.n_tasks):
            self._needed(self.accuracy[j : j + 1, : j + 1], j, j)
        return np.diagonal(self.accuracy)

    def _seen(self) -> Floats:
        """Return R with zeros above the diagonal, if nothing below is missing."""
        for i in range(self.n_tasks):
            self._needed(self.accuracy[i : i + 1, : i + 1], i)
        return np.tril(np.nan_to_num(self.accuracy))

    def _needed(self, row: Floats, after: int, from_task: int = 0) -> Floats:
        """Return a row of R if its entries from a task on were measured."""
        missing = np.flatnonzero(np.isnan(row[0, from_task:]))
        if len(missing):
            j = from_task + int(missing[0])
            raise DataError(
                f"task '{self.tasks[j]}' was not measured after task '{self.tasks[after]}' "
                f"(R[{after}, {j}] is NaN): measure it, or ask for what needs it not"
            )
        return row


def _shares(given: ArrayLike, what: str) -> Floats:
    """Return a read-only copy as float64; None counts as not measured."""
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers of 0 to 1 or NaN: {error}") from error
    out = values[~((values >= 0) & (values <= 1) | np.isnan(values))]
    if out.size:
        raise DataError(f"{what} must be of 0 to 1 (a share, not percent) or NaN, got {out[0]:g}")
    values.setflags(write=False)
    return values


def _plain(row: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in row]


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(each, kind) for each in value)
