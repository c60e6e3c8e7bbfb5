"""Load a data set by name: from the folder, else from the publisher, else say how to proceed."""

import warnings
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.datasets.catalog import SOURCES, Source
from bimetal.datasets.dataset import Backend, Dataset, as_backend
from bimetal.datasets.files import download, find, how_to_get, named, read_folder
from bimetal.datasets.simulation import simulate_credit
from bimetal.errors import BimetalError, ColumnError, DataError

__all__ = ["load", "load_or_simulate", "names"]


def names() -> tuple[str, ...]:
    """Return the names that `load` knows.

    Examples
    --------
    >>> "german_credit" in names()
    True
    """
    return tuple(source.name for source in SOURCES)


def load(name: str, *, backend: Backend = "pandas", offline: bool = False) -> Dataset:
    """Load a data set.

    The file ``<name>/<name>.parquet`` (or .csv) in the folder that the environment variable
    ``BIMETAL_DATA`` names is taken first; else the publisher's file, checked and kept in the user's
    cache.

    Parameters
    ----------
    name : str
        One of `names`.
    backend : {"pandas", "polars", "pyarrow"}
        The kind of frame wanted.
    offline : bool
        Never download.

    Raises
    ------
    DataError
        When there is no such data set or it cannot be had; the message says how to get it.
    MissingExtraError
        When a package of the extra ``data`` is not installed.
    """
    source = _source(name)
    path = find(name)
    if path is not None:
        return _dataset(source, read_folder(path), "folder", backend)
    if offline:
        raise DataError(_how_to_get(source, "offline=True forbids a download"))
    try:
        table = download(source)
    except DataError as error:
        raise DataError(_how_to_get(source, str(error))) from error
    return _dataset(source, table, "download", backend)


def load_or_simulate(name: str, *, backend: Backend = "pandas", offline: bool = False) -> Dataset:
    """Load a data set or, saying so in a `UserWarning`, simulate a credit portfolio instead.

    Raises
    ------
    DataError
        When there is no data set of that name.
    """
    _source(name)
    try:
        return load(name, backend=backend, offline=offline)
    except BimetalError as error:
        warnings.warn(f"A SIMULATED portfolio takes the place of {name}: {error}", stacklevel=2)
    simulated = simulate_credit()
    return replace(simulated, X=as_backend(simulated.X, backend))


def _source(name: str) -> Source:
    return named(name, SOURCES)


def _how_to_get(source: Source, why: str) -> str:
    file = f"{source.name}/{source.name}.csv (or .parquet)"
    return how_to_get(source.name, why, source.page, file)


def _dataset(
    source: Source, table: Any, origin: Literal["folder", "download"], backend: str
) -> Dataset:
    if source.target not in table.columns:
        raise ColumnError(
            f"'{source.name}' should have a column '{source.target}', got {list(table.columns)[:8]}"
        )
    prepared = source.prepare(table)
    return Dataset(
        name=source.name,
        title=source.title,
        X=as_backend(_features(source, prepared.table), backend),
        y=_target(source, table[source.target]),
        target=source.target,
        positive=source.positive,
        licence=source.licence,
        origin=origin,
        caveats=source.caveats,
        task="regression" if source.event is None else "classification",
        time=prepared.time,
        split=prepared.split,
        categorical=source.categorical,
        special_codes=dict(source.special_codes),
    )


def _features(source: Source, table: Any) -> Any:
    dropped = {source.target, *source.drop}
    return table[[name for name in table.columns if name not in dropped]]


def _target(source: Source, column: Any) -> NDArray[Any]:
    if source.event is None:
        return np.asarray(column.to_numpy(), dtype=np.float64)
    if column.isna().any():
        raise DataError(f"'{source.name}': the target '{source.target}' has missing values")
    return np.asarray(column.to_numpy() == source.event).astype(np.int64)
