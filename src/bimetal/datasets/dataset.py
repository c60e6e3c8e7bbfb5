"""Dataset: a table, its target, and what one has to know before using them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError, MissingExtraError

__all__ = ["Backend", "Dataset", "as_backend"]

Backend = Literal["pandas", "polars", "pyarrow"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table to learn from.

    Attributes
    ----------
    name, title : str
        The name to load it by, and its full one.
    X : frame
        What was known when the decision was made: columns that leak the outcome are dropped.
    y : numpy.ndarray
        int64 array of 0 and 1 of shape (n_rows,), 1 as `positive` says; float64 for a regression.
    target : str
        The column that `y` was made from.
    positive : str
        What 1 means, or, for a regression, what the number is.
    task : {"classification", "regression"}
        What there is to predict.
    licence, caveats : str
        On what terms it comes, and what to beware of.
    origin : {"folder", "download", "simulated"}
        Where the rows came from.
    time : numpy.ndarray or None
        datetime64 array of shape (n_rows,): when each decision was made.
    split : numpy.ndarray or None
        "train" or "test" for each row, where the publisher or time gives a split.
    categorical : tuple of str
        Columns of whole numbers that are codes of categories.
    special_codes : mapping of str to sequence of float
        Numbers that mean something else, by column.
    default_probability : numpy.ndarray or None
        The true probability of `positive`, known for simulated rows only.
    """

    name: str
    title: str
    X: Any
    y: NDArray[Any]
    target: str
    positive: str
    licence: str
    origin: Literal["folder", "download", "simulated"]
    caveats: str = ""
    task: Literal["classification", "regression"] = "classification"
    time: NDArray[np.datetime64] | None = None
    split: NDArray[np.str_] | None = None
    categorical: tuple[str, ...] = ()
    special_codes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    default_probability: NDArray[np.float64] | None = None


def as_backend(frame: Any, backend: str) -> Any:
    """Turn a pandas frame into one of another library.

    Raises
    ------
    DataError
        When the library is not one of pandas, polars, pyarrow.
    MissingExtraError
        When it is not installed.
    """
    if backend == "pandas":
        return frame
    if backend not in ("polars", "pyarrow"):
        raise DataError(f"backend must be 'pandas', 'polars' or 'pyarrow', got {backend!r}")
    try:
        import pyarrow

        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        if backend == "pyarrow":
            return table
        import polars
    except ImportError as error:
        raise MissingExtraError(backend, "data", f"backend='{backend}'") from error
    return polars.from_arrow(table)
