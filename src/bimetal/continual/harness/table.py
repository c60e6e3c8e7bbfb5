"""The table of a comparison: a row for each method, its measures as means over seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bimetal.amounts import amount
from bimetal.continual.harness.record import Run
from bimetal.continual.harness.spread import MeanAndSd, mean_and_sd
from bimetal.continual.learners.learner import Method

__all__ = ["CEILING", "COSTS", "Row", "as_text", "contenders", "described", "row_of"]

CEILING = "joint"
"""The method that is no method of continual learning, but what there would be if nothing was forgotten."""

SHOWN = ("average_accuracy", "backward_transfer", "forgetting", "learning_accuracy")

COSTS: dict[str, Callable[[Run], float | None]] = {
    "state_bytes": lambda run: run.state_bytes,
    "packed_bytes": lambda run: run.n_packed_bytes,
    "cpu_seconds": lambda run: run.cpu_seconds,
    "step_seconds": lambda run: run.step_seconds,
}
"""What a row tells of whole runs beside the `MEASURES` of their matrices; None where there is none."""


@dataclass(frozen=True)
class Row:
    """A method in the table.

    Attributes
    ----------
    name, title, source : str
        Of the method.
    uses : str
        What it was told besides rows, in words.
    strength : float
        That of its runs.
    strength_name : str
        What it is; empty where there is none.
    is_tuned : bool
        Whether the strength was chosen on the validation stream.
    seeds : tuple of int
        Of its whole runs.
    measures : mapping of str to MeanAndSd
        Over seeds, by name in `MEASURES` and `COSTS`; without those that were not measured.
    n_differ : int or None
        Test rows that Programs answered otherwise than the nets, all runs; None where there is none.
    """

    name: str
    title: str
    source: str
    uses: str
    strength: float
    strength_name: str
    is_tuned: bool
    seeds: tuple[int, ...]
    measures: Mapping[str, MeanAndSd]
    n_differ: int | None

    def mean(self, measure: str) -> float | None:
        """Return the mean of a measure; None where it was not measured."""
        found = self.measures.get(measure)
        return None if found is None else found.mean

    def percent(self, measure: str) -> str:
        """Return a share as tables have it, "84.0 ± 0.4"; nothing where it was not measured."""
        found = self.measures.get(measure)
        return "" if found is None else found.percent()

    def values(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        measures = {name: found._asdict() for name, found in self.measures.items()}
        return {**vars(self), "seeds": list(self.seeds), "measures": measures}


def described(method: Method) -> dict[str, Any]:
    """Return what a reader should know of a method, as JSON values.

    Examples
    --------
    >>> from bimetal.continual.learners.methods import METHODS
    >>> described(METHODS["plain"])["uses"]
    'boundaries, task ids'
    """
    return {
        "title": method.title,
        "source": method.source,
        "uses": method.uses.words(),
        **vars(method.uses),
        "strengths": list(method.strengths),
        "strength_name": method.strength_name,
    }


def row_of(name: str, facts: Mapping[str, Any], runs: Sequence[Run], *, is_tuned: bool) -> Row:
    """Return the row of a method from its whole runs and from what is known of it.

    Parameters
    ----------
    name : str
        Of the method.
    facts : mapping
        Of the method, see `described`.
    runs : sequence of Run
        One for each seed, at least one.
    is_tuned : bool
        Whether the strength was chosen on the validation stream.
    """
    costs = {cost: _over([of(run) for run in runs]) for cost, of in COSTS.items()}
    differ = [run.n_differ for run in runs if run.n_differ is not None]
    return Row(
        name=name,
        title=facts["title"],
        source=facts["source"],
        uses=facts["uses"],
        strength=runs[0].strength,
        strength_name=facts["strength_name"],
        is_tuned=is_tuned,
        seeds=tuple(run.setting.seed for run in runs),
        measures=mean_and_sd(run.matrix for run in runs)
        | {cost: found for cost, found in costs.items() if found is not None},
        n_differ=sum(differ) if differ else None,
    )


def contenders(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without the ceiling (unless there is no other), the best average first."""
    found = [row for row in rows if row.name != CEILING] or list(rows)
    return sorted(found, key=lambda row: row.mean("average_accuracy") or 0.0, reverse=True)


def as_text(rows: Sequence[Row]) -> str:
    """Return the table as plain text, percent and points."""
    head = (
        "",
        "told",
        "strength",
        "average",
        "BWT",
        "forgetting",
        "learned",
        "state",
        "CPU s",
        "differ",
    )
    lines = [head, *(_line(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _line(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.uses,
        f"{row.strength:g}" if row.strength_name else "",
        *(row.percent(measure) for measure in SHOWN),
        amount(row.mean("state_bytes") or 0),
        f"{row.mean('cpu_seconds') or 0:.1f}",
        "" if row.n_differ is None else amount(row.n_differ),
    )


def _over(found: Sequence[float | None]) -> MeanAndSd | None:
    known = [value for value in found if value is not None]
    if not known or len(known) < len(found):
        return None
    return MeanAndSd(
        float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None
    )
