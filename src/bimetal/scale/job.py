"""A job of scoring, as data that travels to a worker: the model's bytes, and what to do with which file."""

import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bimetal.columns import Column
from bimetal.errors import DataError, FormatError
from bimetal.finance.credit.model import CreditModel
from bimetal.format import dumps, loads
from bimetal.program import Program
from bimetal.runtime import Engine
from bimetal.scale.credit import CreditScores
from bimetal.scale.scores import AnswerScores, Scores

__all__ = ["Job", "Recipe", "recipe_of"]


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a `Scores`, small enough to be sent to every worker once.

    Attributes
    ----------
    model : bytes
        Of the .bimetal file.
    isa : str or None
        As of `Engine`; each worker chooses its own best where None. All give the same bits.
    with_reasons : bool
    as_of : str or None
        Of a credit model with dates: the day they count back from, or its column.
    """

    model: bytes
    isa: str | None = None
    with_reasons: bool = False
    as_of: str | None = None

    def scores(self) -> Scores:
        """Build what scores, tested by its golden rows; a process builds it once.

        Raises
        ------
        FormatError
            When the bytes are no model.
        DataError
            When reasons are wanted of a model that has none, or a day of one that counts from none.
        ProgramError
            When golden rows come out otherwise than the file says.
        """
        return _built(self)


@lru_cache(maxsize=2)
def _built(recipe: Recipe) -> Scores:
    program = loads(recipe.model)
    engine = Engine(program, isa=recipe.isa)
    engine.self_test()
    if "credit" in program.provenance:
        model = CreditModel.loads(recipe.model)
        _require_dates(recipe, model.policy.dates)
        return CreditScores(model, recipe.isa, recipe.with_reasons, recipe.as_of)
    if recipe.with_reasons:
        raise DataError(
            "reasons need a credit model (BinaryScorecard, `bimetal credit train`), but this file "
            "has no policy; score it without --reasons"
        )
    _require_dates(recipe, ())
    return AnswerScores(engine)


def _require_dates(recipe: Recipe, dates: Sequence[Any]) -> None:
    if recipe.as_of is not None and not dates:
        raise DataError("as_of is for a credit model that counts from dates; leave it out")


def recipe_of(
    model: str | os.PathLike[str] | Program | CreditModel,
    isa: str | None = None,
    with_reasons: bool = False,
    as_of: str | None = None,
) -> Recipe:
    """Return the recipe of a model, read from its file where a path is given: see `Recipe`.

    Raises
    ------
    FormatError
        When the file is damaged or hostile.
    OSError
        When it cannot be read.
    """
    if isinstance(model, CreditModel):
        return Recipe(model.dumps(), isa, with_reasons, as_of)
    if isinstance(model, Program):
        return Recipe(dumps(model), isa, with_reasons, as_of)
    recipe = Recipe(Path(model).read_bytes(), isa, with_reasons, as_of)
    try:
        recipe.scores()
    except FormatError as error:
        raise FormatError(f"'{model}': {error}") from None
    return recipe


@dataclass(frozen=True)
class Job:
    """Which file to score, and how its scores are to look.

    Attributes
    ----------
    data : str
        The file as the user named it, for messages.
    path : str
        The same from the root, for workers in other folders.
    keep : tuple of str
        Columns to copy along.
    batch_rows : int
    schema : pyarrow.Schema
        Of the scores.
    columns, others : tuple
        What is read of the file: see `Scores.inputs`.
    """

    data: str
    path: str
    keep: tuple[str, ...]
    batch_rows: int
    schema: Any
    columns: tuple[Column, ...]
    others: tuple[str, ...]

    def scored(self, scores: Scores, batches: Iterable[Any], n_before: int = 0) -> Generator[Any]:
        """Yield the scores of batches that begin at a row of the file.

        Raises
        ------
        DataError
            When the table does not fit the model; file and batch are named.
        """
        import pyarrow as pa

        for batch in batches:
            try:
                columns = scores.columns(batch)
            except DataError as error:
                where = f" (of the batch that begins at row {n_before})" if n_before else ""
                raise type(error)(f"'{self.data}': {error}{where}") from error
            kept = [batch.column(name) for name in self.keep]
            yield pa.RecordBatch.from_arrays([*kept, *columns], schema=self.schema)
            n_before += batch.num_rows
