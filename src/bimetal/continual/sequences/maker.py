"""How a sequence is asked for by name, and how everything random in it is drawn.

A `SequenceMaker` is a row of the list: title, what data it needs, how many tasks. Its `build` says how
the tasks are made. Whatever is drawn is drawn by `drawn_order` from a key in words, so that a stream is
the same in every worker and process, whoever asks first.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.sequence import Sequence
from bimetal.errors import DataError

__all__ = ["Build", "SequenceMaker", "Split", "drawn_order"]

Split = Literal["test", "validation"]
"""The stream that tables are made on, and one to choose strengths on without looking at the other."""

Build = Callable[[int, Split, int | None, int | None], Sequence]
"""(seed, split, n_tasks, n_rows) → Sequence; None says: as many as by default."""


@dataclass(frozen=True)
class SequenceMaker:
    """A sequence as the list names it.

    Attributes
    ----------
    name, title : str
        Of the command line, and of tables.
    needs : tuple of str
        Data sets that must be in the folder that ``BIMETAL_DATA`` names; empty: none.
    build : callable
        (seed, split, n_tasks, n_rows) → `Sequence`, given checked arguments.
    n_tasks : int
        How many tasks by default.
    most_tasks : int or None
        The largest number of tasks; None: any.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    build: Build
    n_tasks: int
    most_tasks: int | None = None

    def make(
        self,
        seed: int = 0,
        *,
        split: Split = "test",
        n_tasks: int | None = None,
        n_rows: int | None = None,
    ) -> Sequence:
        """Return the sequence.

        Parameters
        ----------
        seed : int, default 0
            Of permutations and orders.
        split : {"test", "validation"}, default "test"
            With "validation" the last training rows are asked about instead of the test rows and are
            not trained on, and what is drawn is drawn anew: to choose a strength by.
        n_tasks : int, optional
            How many tasks; by default as many as `n_tasks` says.
        n_rows : int, optional
            The largest number of training rows of a task: its first ones.

        Raises
        ------
        DataError
            When an argument is out of its range, or the data is not at hand.
        MissingExtraError
            When a package that reads the data is not installed.

        Examples
        --------
        >>> from bimetal.continual.sequences import SEQUENCES
        >>> sequence = SEQUENCES["digits"].make(n_tasks=3, n_rows=100)
        >>> [task.x_train.shape for task in sequence]
        [(100, 64), (100, 64), (100, 64)]
        """
        if split not in get_args(Split):
            raise DataError(f"split must be one of {get_args(Split)}, got {split!r}")
        if seed < 0:
            raise DataError(f"seed must be 0 or more, got {seed}")
        most = self.most_tasks
        if n_tasks is not None and not 1 <= n_tasks <= (most or n_tasks):
            raise DataError(f"{self.name} has 1 to {most or 'any number of'} tasks, not {n_tasks}")
        if n_rows is not None and n_rows < 1:
            raise DataError(f"n_rows must be at least 1, got {n_rows}")
        return self.build(int(seed), split, n_tasks, n_rows)


def drawn_order(n: int, *key: object) -> NDArray[np.intp]:
    """Return the numbers 0 to n − 1 in an order that the key alone decides.

    The key is hashed to the seed of a PCG64, and the order is that of its raw words. NumPy promises
    that these stay the same from version to version, which it does not of `Generator.permutation`.

    Parameters
    ----------
    n : int
        How many.
    *key : object
        Anything that prints the same everywhere: names, numbers.

    Examples
    --------
    >>> drawn_order(6, "example", 0)
    array([4, 0, 2, 5, 3, 1])
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    words = np.random.PCG64(int.from_bytes(digest, "little")).random_raw(n)
    return np.argsort(words, kind="stable")
