"""What a comparison of methods has found: its runs, what was tried to tune them, and the table of both.

It goes through JSON unchanged, so that a page can be drawn of it later and elsewhere.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bimetal.continual.harness.record import Run
from bimetal.continual.harness.table import Row, as_text, row_of
from bimetal.continual.harness.tuning import Tuning
from bimetal.errors import DataError

__all__ = ["Skipped", "Study"]


@dataclass(frozen=True)
class Skipped:
    """A method that came to nothing here, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Study:
    """What was found.

    Attributes
    ----------
    runs : tuple of Run
        By method in the order asked for, then by seed; one that was interrupted says so.
    tunings : tuple of Tuning
        What was tried on the validation stream.
    skipped : tuple of Skipped
        What came to nothing.
    facts : mapping
        Sequence, methods, options, machine, versions: JSON values.
    was_interrupted : bool
        Whether Ctrl-C ended it; the table holds the methods and seeds that were finished.
    """

    runs: tuple[Run, ...]
    tunings: tuple[Tuning, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    was_interrupted: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods that have a whole run, in the order asked for."""
        return tuple(dict.fromkeys(run.method for run in self.runs if run.is_whole))

    def whole(self, method: str) -> tuple[Run, ...]:
        """Return the whole runs of a method, one a seed."""
        return tuple(run for run in self.runs if run.method == method and run.is_whole)

    def tuning(self, method: str) -> Tuning | None:
        """Return what was tried for a method, if anything was."""
        return next((tuning for tuning in self.tunings if tuning.method == method), None)

    def rows(self) -> tuple[Row, ...]:
        """Return the table: a row for each method that has a whole run."""
        return tuple(
            row_of(
                name,
                self.facts["methods"][name],
                self.whole(name),
                is_tuned=self.tuning(name) is not None,
            )
            for name in self.methods
        )

    def table(self) -> str:
        """Return the table as plain text: percent and points, means ± deviations over seeds."""
        left_out = [f"{skipped.name}: left out: {skipped.reason}" for skipped in self.skipped]
        return "\n".join([as_text(self.rows()), *left_out])

    def values(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            **self.facts,
            "was_interrupted": self.was_interrupted,
            "table": [row.values() for row in self.rows()],
            "runs": [run.values() for run in self.runs],
            "tunings": [tuning.values() for tuning in self.tunings],
            "skipped": [dict(vars(skipped)) for skipped in self.skipped],
        }

    def to_json(self) -> str:
        """Return `values` as JSON text."""
        return json.dumps(self.values(), indent=1, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> "Study":
        """Return the study that `to_json` wrote, without Programs.

        Raises
        ------
        DataError
            When the text is something else.
        """
        try:
            values = json.loads(text)
            runs = tuple(map(Run.from_values, values.pop("runs")))
            tunings = tuple(map(Tuning.from_values, values.pop("tunings")))
            skipped = tuple(Skipped(**found) for found in values.pop("skipped"))
            was_interrupted = values.pop("was_interrupted")
            values.pop("table")
            return Study(runs, tunings, skipped, values, was_interrupted)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"this is no study as bimetal writes it ({type(error).__name__}: {error})"
            ) from error
