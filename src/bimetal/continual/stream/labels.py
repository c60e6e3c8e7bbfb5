"""The classes of a stream: each gets a number when it first comes, and keeps it."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError

__all__ = ["Label", "Labels", "plain_label"]

Label = str | int | float | bool


def plain_label(given: Any) -> Label:
    """Return a label as Python's own type.

    Raises
    ------
    DataError
        When it is no text, number or boolean, or no finite one.
    """
    label = given.item() if isinstance(given, np.generic) else given
    is_odd = isinstance(label, float) and not np.isfinite(label)
    if not isinstance(label, str | int | float | bool) or is_odd:
        raise DataError(
            f"a class must be text, a finite number or a boolean, got {given!r}; a row whose class is "
            "not known yet waits in DelayedLabels"
        )
    return label


class Labels:
    """Classes in the order in which they came, and how often each has come.

    Attributes
    ----------
    known : list
        The labels; the number of a class is its position.
    counts : list of float
        Weight of the rows of each so far.
    order : list of int
        The numbers of the classes in sorted order of their labels: numbers before text.

    Examples
    --------
    >>> labels = Labels()
    >>> [labels.add(label) for label in ("good", "bad", "good")]
    [0, 1, 0]
    >>> labels.order, labels.sorted().tolist()
    ([1, 0], ['bad', 'good'])
    """

    def __init__(self, known: Iterable[Label] = (), counts: Iterable[float] = ()) -> None:
        self.known = list(known)
        self.counts = list(counts) or [0.0] * len(self.known)
        self._codes = {label: code for code, label in enumerate(self.known)}
        self.order = self._sorted_codes()

    def __len__(self) -> int:
        return len(self.known)

    def __contains__(self, label: object) -> bool:
        return label in self._codes

    def declare(self, label: Label) -> int:
        """Know a class without a row of it; return its number."""
        code = self._codes.get(label)
        if code is None:
            code = self._codes[label] = len(self.known)
            self.known.append(label)
            self.counts.append(0.0)
            self.order = self._sorted_codes()
        return code

    def add(self, label: Label, weight: float = 1.0) -> int:
        """Count a row; return the number of its class."""
        code = self.declare(label)
        self.counts[code] += weight
        return code

    def sorted(self) -> NDArray[Any]:
        """Return the labels, sorted, as an array that keeps them what they are."""
        found = [self.known[code] for code in self.order]
        is_mixed = len({type(label) for label in found}) > 1
        return np.array(found, dtype=object if is_mixed else None)

    def _sorted_codes(self) -> list[int]:
        keys = [(isinstance(label, str), label) for label in self.known]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def weights(self, class_weight: Mapping[Any, float] | str | None) -> NDArray[np.float64]:
        """Return what a row of each class counts; "balanced" goes by the rows that have come so far.

        Raises
        ------
        DataError
            When `class_weight` is neither a mapping of labels, "balanced" nor None.
        """
        if class_weight is None:
            return np.ones(len(self))
        if isinstance(class_weight, Mapping):
            return np.array([float(class_weight.get(label, 1.0)) for label in self.known])
        if class_weight == "balanced":
            counts = (
                np.array(self.counts) + 1.0
            )  # a class of which no row has come counts as if one had
            return np.asarray(counts.sum() / (len(counts) * counts))
        raise DataError(
            f"class_weight must be a dict of classes, 'balanced' or None, got {class_weight!r}"
        )

    def prior(self, class_weight: Mapping[Any, float] | str | None) -> NDArray[np.float64]:
        """Return the share of each class so far, (n_classes,): one row of each is taken for granted."""
        weighted = (np.array(self.counts) + 1.0) * self.weights(class_weight)
        return np.asarray(weighted / weighted.sum())
