"""Pictures as flat rows of bytes, in a part to learn from and a part to be asked about.

For tests the publisher's parts are as they are. For a validation stream the publisher's test part is not
touched: the last training pictures stand in for it, and the others are learned from.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.sequence import Task
from bimetal.continual.sequences.maker import Split
from bimetal.datasets.files import FOLDER_VARIABLE
from bimetal.datasets.pictures import load_pictures
from bimetal.errors import MissingExtraError

__all__ = ["HELD_OUT", "SMALL_DIGITS", "Rows", "rows_of"]

SMALL_DIGITS = "digits"
"""Name of the 1,797 digits of 8 × 8 pixels that come with scikit-learn, for want of anything to download."""

HELD_OUT = {
    SMALL_DIGITS: 300, "mnist": 10_000, "fashion_mnist": 10_000, "usps": 1_500, "cifar10_subset": 2_000,
}  # fmt: skip
"""How many of the last training pictures stand in for test pictures in a validation stream."""

SMALL_DIGITS_TEST = 397
SMALL_DIGITS_SCALE = 15  # grey levels of 0 to 16 become bytes of 0 to 240

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Flat pictures with their classes.

    Attributes
    ----------
    x_train, x_test : numpy.ndarray
        uint8 (n_rows, n_pixels).
    y_train, y_test : numpy.ndarray
        int64 (n_rows,).

    Examples
    --------
    >>> x, y = np.eye(4, dtype=np.uint8), np.array([0, 1, 0, 1])
    >>> Rows(x, y, x, y).of_classes([1]).task("ones", n_rows=1).x_train
    array([[0, 1, 0, 0]], dtype=uint8)
    """

    x_train: Bytes
    y_train: Labels
    x_test: Bytes
    y_test: Labels

    def task(self, name: str, n_rows: int | None = None) -> Task:
        """Return them as a task, of training rows the first `n_rows`."""
        return Task(name, self.x_train[:n_rows], self.y_train[:n_rows], self.x_test, self.y_test)

    def of_classes(self, classes: Sequence[int]) -> "Rows":
        """Return the rows of some classes, in their order."""
        train, test = np.isin(self.y_train, classes), np.isin(self.y_test, classes)
        return Rows(self.x_train[train], self.y_train[train], self.x_test[test], self.y_test[test])

    def ordered(self, pixels: NDArray[np.intp]) -> "Rows":
        """Return the same rows with their pixels in another order."""
        return replace(self, x_train=self.x_train[:, pixels], x_test=self.x_test[:, pixels])

    def first(self, n_rows: int | None) -> "Rows":
        """Return the first training rows, and all test rows."""
        return replace(self, x_train=self.x_train[:n_rows], y_train=self.y_train[:n_rows])

    def held_out(self, n: int) -> "Rows":
        """Return the rows of a validation stream: the last `n` training rows in place of test rows."""
        return Rows(self.x_train[:-n], self.y_train[:-n], self.x_train[-n:], self.y_train[-n:])


def rows_of(name: str, split: Split) -> Rows:
    """Return pictures by their name in `bimetal.datasets.picture_names`, or `SMALL_DIGITS`.

    Raises
    ------
    DataError
        As `load_pictures` raises it: when the file is not in the folder that ``BIMETAL_DATA`` names.
    MissingExtraError
        When scikit-learn, which has the small digits, is not installed.

    Examples
    --------
    >>> rows_of("digits", "test").x_train.shape, rows_of("digits", "validation").x_train.shape
    ((1400, 64), (1100, 64))
    """
    rows = _loaded(name, os.environ.get(FOLDER_VARIABLE))
    return rows if split == "test" else rows.held_out(HELD_OUT[name])


@lru_cache(maxsize=4)
def _loaded(name: str, folder: str | None) -> Rows:
    """Return all rows; `folder` is there for the cache to tell one folder's from another's."""
    del folder
    if name == SMALL_DIGITS:
        return _small_digits()
    found = load_pictures(name)
    x_train, x_test = (x.reshape(len(x), -1) for x in (found.x_train, found.x_test))
    return Rows(x_train, found.y_train, x_test, found.y_test)


def _small_digits() -> Rows:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "train", "the sequence 'digits'") from error
    x, y = load_digits(return_X_y=True)
    x, y = (x * SMALL_DIGITS_SCALE).astype(np.uint8), y.astype(np.int64)
    return Rows(x, y, x[:0], y[:0]).held_out(SMALL_DIGITS_TEST)
