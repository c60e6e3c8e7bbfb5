"""Labels that come months after the decision: what was known then, kept until the outcome is known.

A lender decides today and learns in a year whether it was right. `DelayedLabels` keeps the row as it was
known at the decision, and hands it out with its label when that arrives, in the order of arrival: a
model that learns from it sees nothing before its time. A case without bad news within the performance
window is a good one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from bimetal.columns import Lists
from bimetal.continual.stream.labels import Label, plain_label
from bimetal.errors import CheckpointError, DataError

__all__ = ["DelayedLabels", "Outcome"]

Key = str | int
Value = float | int | bool | str | None
VERSION = 1


@dataclass(frozen=True)
class Outcome:
    """A case whose label is known.

    Attributes
    ----------
    key : str or int
        Of the case.
    row : mapping
        What was known at the decision.
    label : label
        What came of it.
    asked, known : float
        When the decision was made, and from when on the label was known.
    """

    key: Key
    row: Mapping[str, Value]
    label: Label
    asked: float
    known: float


class DelayedLabels:
    """Cases between decision and outcome.

    Time is a number in a unit of your own (days, say) and never goes back.

    Parameters
    ----------
    window : float, optional
        Performance window: a case that has no label this long after its decision gets `otherwise`. A
        label at the very end of the window still counts. By default cases stay open for good.
    otherwise : label, optional
        What a case is whose window ends without a label (0, "good").

    Attributes
    ----------
    now : float
        Time of the last event; −inf before the first.
    n_open : int
        Cases without a label.
    n_late : int
        Labels that came for cases that were not open: after the window, or never asked about.

    Raises
    ------
    DataError
        When the window is not above 0, or only one of `window` and `otherwise` is given.

    Examples
    --------
    >>> cases = DelayedLabels(window=365, otherwise="good")
    >>> cases.ask("loan 1", {"income": 2100.0}, time=0)
    >>> cases.ask("loan 2", {"income": 1500.0}, time=10)
    >>> cases.tell("loan 2", "bad", time=100)
    True
    >>> cases.advance(time=400)
    >>> [(case.key, case.label, case.known) for case in cases.arrived()]
    [('loan 2', 'bad', 100), ('loan 1', 'good', 365)]
    """

    def __init__(self, window: float | None = None, otherwise: Label | None = None) -> None:
        if (window is None) != (otherwise is None):
            raise DataError(
                "window and otherwise belong together: how long to wait, and what a case is after that; "
                f"got {window!r} and {otherwise!r}"
            )
        if window is not None and not 0 < window < math.inf:
            raise DataError(f"window must be above 0 and finite, got {window!r}")
        self.window = window
        self.otherwise = None if otherwise is None else plain_label(otherwise)
        self.now, self.n_late = -math.inf, 0
        self._open: dict[Key, tuple[Mapping[str, Value], float]] = {}  # in order of their decisions
        self._arrived: list[Outcome] = []

    @property
    def n_open(self) -> int:
        """Cases without a label."""
        return len(self._open)

    @property
    def oldest(self) -> float | None:
        """Time of the decision that has waited longest; None if none waits."""
        return next((asked for _, asked in self._open.values()), None)

    def ask(self, key: Key, row: Mapping[Any, Any], time: float) -> None:
        """Keep what is known at a decision; later changes of `row` do not reach it.

        Raises
        ------
        DataError
            When the key is open already or is neither text nor a whole number, a value is no number,
            text, boolean or None, or time goes back.
        """
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise DataError(f"a key is text or a whole number, got {key!r}")
        if key in self._open:
            raise DataError(f"case {key!r} is open already; every decision needs a key of its own")
        kept = {str(name): _plain(str(name), value) for name, value in row.items()}
        self.advance(time)
        self._open[key] = (MappingProxyType(kept), time)

    def tell(self, key: Key, label: Any, time: float) -> bool:
        """Learn the outcome of a case.

        Returns
        -------
        bool
            Whether the case was open. A label after the window changes nothing: the case was good.

        Raises
        ------
        DataError
            When time goes back, or the label is none; without a window also when no such case is open.
        """
        label = plain_label(label)
        self.advance(time)
        if key not in self._open:
            if self.window is None:
                raise DataError(f"no case {key!r} is open; ask about it first, and tell once only")
            self.n_late += 1
            return False
        row, asked = self._open.pop(key)
        self._arrived.append(Outcome(key, row, label, asked, time))
        return True

    def advance(self, time: float) -> None:
        """Let time pass: cases whose window has ended get their label, those first that ended first.

        Raises
        ------
        DataError
            When time goes back or is not finite.
        """
        if not -math.inf < time < math.inf or time < self.now:
            raise DataError(f"time goes on and is finite: it was {self.now}, got {time}")
        self.now = time
        if self.window is None or self.otherwise is None:
            return
        while self._open:
            key, (row, asked) = next(iter(self._open.items()))
            if time <= asked + self.window:
                return
            del self._open[key]
            end = asked + self.window
            self._arrived.append(Outcome(key, row, self.otherwise, asked, end))

    def arrived(self) -> list[Outcome]:
        """Hand out the cases whose label has arrived since the last call, in the order of arrival."""
        found, self._arrived = self._arrived, []
        return found

    @staticmethod
    def table(cases: Sequence[Outcome]) -> tuple[Lists, list[Label]]:
        """Return rows and labels as `ContinualClassifier.partial_fit` reads them.

        Raises
        ------
        DataError
            When there is no case.
        """
        names = dict.fromkeys(name for case in cases for name in case.row)
        rows = Lists({name: [case.row.get(name) for case in cases] for name in names})
        return rows, [case.label for case in cases]

    def to_json(self) -> str:
        """Return everything as JSON; `from_json` goes on from there."""
        return json.dumps(
            {
                "version": VERSION,
                "window": self.window,
                "otherwise": self.otherwise,
                "now": None if self.now == -math.inf else self.now,
                "n_late": self.n_late,
                "open": [[key, dict(row), asked] for key, (row, asked) in self._open.items()],
                "arrived": [[c.key, dict(c.row), c.label, c.asked, c.known] for c in self._arrived],
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the cases that `to_json` was asked of.

        Raises
        ------
        CheckpointError
            When the text is damaged or of another version.
        """
        try:
            given = json.loads(text)
            if given["version"] != VERSION:
                raise ValueError(f"version {given['version']!r}")
            found = cls(given["window"], given["otherwise"])
            found.now = -math.inf if given["now"] is None else given["now"]
            found.n_late = given["n_late"]
            found._open = {key: (MappingProxyType(row), asked) for key, row, asked in given["open"]}
            found._arrived = [
                Outcome(key, MappingProxyType(row), label, asked, known)
                for key, row, label, asked, known in given["arrived"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"no state of delayed labels of version {VERSION}: {error}; take an undamaged copy"
            ) from None
        return found


def _plain(name: str, value: Any) -> Value:
    plain = value.item() if hasattr(value, "item") else value
    if plain is not None and not isinstance(plain, str | int | float):
        raise DataError(f"'{name}' must be a number, text, a boolean or None, got {value!r}")
    if isinstance(plain, float) and not math.isfinite(plain):
        if math.isnan(plain):
            return None
        raise DataError(f"'{name}' must be finite, got {plain}; mark what is missing as None")
    return plain
