"""`score`: a model, a table and a place for the scores, in one call."""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bimetal.errors import DataError
from bimetal.finance.credit.model import CreditModel
from bimetal.program import Program
from bimetal.scale.cluster import Cluster
from bimetal.scale.files import BATCH_ROWS, Tally, score_file
from bimetal.scale.job import Recipe, recipe_of

__all__ = ["ENGINES", "Summary", "cluster_of", "score"]

ENGINES = ("local", "ray")
"""Where scoring may run."""


@dataclass(frozen=True)
class Summary:
    """What a job wrote.

    Attributes
    ----------
    n_rows : int
    n_refused : int
        Applications that the policy refuses; their ``problem`` says why.
    n_warned : int
        Applications scored in spite of a ``problem``, such as a category never seen.
    model_id : str
        Of the Program.
    """

    n_rows: int
    n_refused: int
    n_warned: int
    model_id: str


def score(
    model: str | os.PathLike[str] | Program | CreditModel,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    engine: str = "local",
    reasons: bool = False,
    keep: Sequence[str] = (),
    missing: Sequence[str] = (),
    isa: str | None = None,
    as_of: str | None = None,
    batch_rows: int = BATCH_ROWS,
    address: str | None = None,
    workers: int | None = None,
) -> Summary:
    """Score a table in a file into another file, which appears when all rows are scored.

    Parameters
    ----------
    model : path, Program or CreditModel
        What scores. A credit model adds points, score, decision and problem to its probabilities.
    source, out : path
        CSV, Parquet or Arrow files, told by the end of their names.
    engine : {"local", "ray"}
        Where: the output is the same.
    reasons : bool
        Of a credit model: what cost points, where an application is not approved.
    keep : sequence of str
        Columns to copy along.
    missing : sequence of str
        Words that mean a missing value in CSV, besides the empty one.
    isa : str, optional
        As of `Engine`.
    as_of : str, optional
        Of a credit model with dates: the day they count back from ("2026-11-28"), or the column that
        holds the day of each application.
    batch_rows : int
        Rows that are read, scored and written at once.
    address, workers
        As of `Cluster`, for ``engine="ray"``.

    Returns
    -------
    Summary

    Raises
    ------
    DataError
        When the table does not fit the model, or an argument does not fit; nothing is left behind.
    FormatError
        When the model's file is damaged.
    MissingExtraError
        When pyarrow or Ray is needed and not installed.
    OSError
        When a file cannot be read or written, or the cluster fails; nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pyarrow as pa
    >>> import pyarrow.parquet as parquet
    >>> from bimetal.columns import Column
    >>> from bimetal.program import Encode, Link, Readout
    >>> no = np.array([], "f4")
    >>> adult = Encode(np.array([0], "u2"), np.array([0], "u1"), np.array([18], "f4"), no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> identity = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> program = Program((Column("age"),), (adult, points, identity))
    >>> folder = Path(tempfile.mkdtemp())
    >>> parquet.write_table(pa.table({"age": [17.0, 30.0]}), folder / "people.parquet")
    >>> score(program, folder / "people.parquet", folder / "scores.parquet").n_rows
    2
    >>> parquet.read_table(folder / "scores.parquet").to_pydict()
    {'prediction': [600.0, 620.0]}
    """
    recipe = recipe_of(model, isa, reasons, as_of)
    scores, tally = recipe.scores(), Tally()
    cluster = cluster_of(engine, recipe, address, workers)
    where = Path(source), Path(out)
    steps = score_file(scores, *where, keep, missing, batch_rows, cluster, tally)
    with closing(steps):
        deque(steps, maxlen=0)
    return Summary(tally.n_rows, tally.n_refused, tally.n_warned, scores.program.id)


def cluster_of(
    engine: str, recipe: Recipe, address: str | None = None, workers: int | None = None
) -> Cluster | None:
    """Return the cluster that an engine's name means; None for this process.

    Raises
    ------
    DataError
        When there is no such engine, or an address or workers are given to this process.
    """
    if engine not in ENGINES:
        raise DataError(f"engine: one of {', '.join(ENGINES)} expected, got {engine!r:.80}")
    if engine == "ray":
        return Cluster(recipe, address, workers)
    if address is not None or workers is not None:
        raise DataError("address and workers are for the engine 'ray'; add it, or leave them out")
    return None
