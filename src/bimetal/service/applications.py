"""From an application, as it came, to a raw row: every field known, none forgotten, each in its range.

The checks are written by hand against the columns of one model and made once when it is loaded, because
they stand in the way of every request. An error names the field and what was expected, never the value.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.errors import DataError
from bimetal.explain.grid import encode_of, has_missing_bit
from bimetal.finance.credit.dates import DateSpec, apply_dates
from bimetal.program import Encode, Program

__all__ = ["Errors", "Field", "Form"]

Errors = list[dict[str, Any]]
_LARGEST = float(np.finfo(np.float32).max)
_HINTS = 5
_SHOWN = 80
_UNSEEN = "{}: a category that training never saw; taken as 'other'"


@dataclass(frozen=True)
class Field:
    """What one column takes.

    Attributes
    ----------
    column : Column
    takes_missing : bool
        Whether null is an answer.
    least, greatest : float or None
        As the policy says.
    codes : frozenset of float
        Numbers that mean something else; no limit holds for them.
    """

    column: Column
    takes_missing: bool
    least: float | None
    greatest: float | None
    codes: frozenset[float]

    @cached_property
    def low(self) -> float:
        """The least float64 that is taken."""
        return -_LARGEST if self.least is None else _least(self.least)

    @cached_property
    def high(self) -> float:
        """The greatest float64 that is taken."""
        return _LARGEST if self.greatest is None else -_least(-self.greatest)

    @cached_property
    def known(self) -> dict[Any, float]:
        """What may stand for a category, and for a missing one: its code."""
        codes: dict[Any, float] = {c: float(i) for i, c in enumerate(self.column.categories)}
        return codes | ({None: math.nan} if self.takes_missing else {})

    def read(self, value: Any) -> float | None:
        """Return the raw number of a value, −1 for a category never seen; None when it is not taken."""
        kind = type(value)
        if value is None:
            return math.nan if self.takes_missing else None
        if self.column.kind == "number":
            is_good = kind in (float, int, bool) and (
                self.low <= value <= self.high or value in self.codes
            )
            return float(value) if is_good else None
        if kind not in (str, int, float):
            return None
        return self.known.get(value, -1.0 if self._is_kin(kind, value) else None)

    def _is_kin(self, kind: type, value: Any) -> bool:
        """Tell whether a category that was never seen is at least of the type of those that were."""
        kinds = {type(c) for c in self.column.categories} or {str, int}
        return (str in kinds) if kind is str else (int in kinds and float(value).is_integer())

    @property
    def expected(self) -> str:
        """What is taken, in words."""
        null = " or null" if self.takes_missing else ""
        if self.column.kind == "category":
            kinds = {type(c) for c in self.column.categories}
            words = {str: "a text", int: "a whole number"}
            return " or ".join(words[k] for k in (str, int) if k in kinds) + null
        low, high = self.least, self.greatest
        if low is None and high is None:
            return f"a number{null}"
        if high is None:
            return f"a number of at least {low:g}{null}"
        return f"a number {f'from {low:g} to' if low is not None else 'of at most'} {high:g}{null}"

    def spec(self) -> dict[str, Any]:
        """Return the field as JSON values, for those who fill it in."""
        return {
            "name": self.column.name,
            "kind": self.column.kind,
            "categories": list(self.column.categories),
            "missing": self.takes_missing,
            "least": self.least,
            "greatest": self.greatest,
            "codes": sorted(self.codes),
        }


class Form:
    """The columns of a model as a form to be filled in.

    Parameters
    ----------
    program : Program
        Of table rows; its encoder says which columns may be missing and which codes are special.
    limits : mapping of str to (float or None, float or None)
        Least and greatest value of columns.
    refuses_unknown : bool
        Whether a category that training never saw is an error; else it is a warning.
    dates : sequence of DateSpec
        Fields that an application states as dates, and the columns they become.

    Raises
    ------
    ProgramError
        When the Program is none of table rows.

    Examples
    --------
    >>> from bimetal.program import Encode, Link, Readout
    >>> no = np.array([], "f4")
    >>> encode = Encode(np.array([0], "u2"), np.array([0], "u1"), np.array([18], "f4"),
    ...                 no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> link = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> form = Form(Program((Column("age"),), (encode, points, link)), {"age": (18, 110)})
    >>> form.row({"age": 41})
    ([41.0], [], [])
    >>> form.row({"agee": 41})[2]
    [{'pointer': '/agee', 'detail': "no such field; did you mean 'age'?"},
     {'pointer': '/age', 'detail': 'missing; a number from 18 to 110 expected'}]
    """

    def __init__(
        self,
        program: Program,
        limits: Mapping[str, Sequence[float | None]] | None = None,
        refuses_unknown: bool = False,
        dates: Sequence[DateSpec] = (),
    ) -> None:
        encode = encode_of(program)
        self.dates = tuple(dates)
        self.fields = tuple(
            _field(column, j, encode, (limits or {}).get(column.name, (None, None)))
            for j, column in enumerate(program.columns)
        )
        self.names = tuple(column.name for column in program.columns)
        stated = {spec.name: spec.column for spec in dates}
        self.stated = tuple(dict.fromkeys(stated.get(name, name) for name in self.names))
        self._dated = frozenset(stated)  # known only once the dates are numbers
        self._refuses_unknown = refuses_unknown
        self._values = _getter(self.names)
        self._quick = tuple(map(_quick, self.fields))

    def __len__(self) -> int:
        return len(self.fields)

    def row(
        self, application: Any, at: str = "", as_of: str | None = None
    ) -> tuple[list[float], list[str], Errors]:
        """Return the raw row of an application, warnings, and errors: with errors the row is void.

        Parameters
        ----------
        application : object
            As JSON gave it.
        at : str
            Where it stands in the body (a JSON pointer).
        as_of : str, optional
            The day, or moment, that dates are counted back from; needed where there are any.
        """
        if type(application) is not dict:
            return [], [], [_error(at, "an object with the fields of the model expected")]
        if self.dates:
            application, wrong = self._undated(application, at, as_of)
            if wrong:
                return [], [], wrong
        quick = self._quick_row(application)
        return (quick, [], []) if quick is not None else self._careful_row(application, at)

    def _undated(
        self, application: dict[str, Any], at: str, as_of: str | None
    ) -> tuple[dict[str, Any], Errors]:
        """Return the application with numbers in place of its dates."""
        kept = dict(application)
        errors = self._strangers(at, application)
        for spec in self.dates:
            pointer = f"{at}/{_escaped(spec.column)}"
            if spec.column not in application:
                errors.append(_error(pointer, "missing; a date (2026-11-28) expected"))
                continue
            kept.pop(spec.column, None)
            try:
                dated = apply_dates(
                    {spec.column: [application[spec.column]]}, [spec], (as_of or "")[:10]
                )
            except DataError:
                errors.append(_error(pointer, "a date (2026-11-28) expected, not after as_of"))
            else:
                kept[spec.name] = dated.values[spec.name][0]
        return kept, errors

    def _quick_row(self, application: dict[str, Any]) -> list[float] | None:
        """Return the row of an application of which there is nothing to say; else None."""
        if len(application) != len(self.fields):
            return None
        row: list[float] = []
        try:
            for value, (known, low, high, null) in zip(
                self._values(application), self._quick, strict=True
            ):
                kind = type(value)
                if known is not None and kind is not bool:
                    row.append(known[value])
                elif kind is float and low <= value <= high:
                    row.append(value)
                elif kind is int and low <= value <= high:
                    row.append(float(value))
                elif value is None and null is not None:
                    row.append(null)
                else:
                    return None
        except (KeyError, TypeError):  # a field or a category that is not known
            return None
        return row

    def _careful_row(
        self, application: dict[str, Any], at: str
    ) -> tuple[list[float], list[str], Errors]:
        row: list[float] = []
        warnings: list[str] = []
        errors = self._strangers(at, application, self._dated)
        for field in self.fields:
            name, is_there = field.column.name, field.column.name in application
            value = field.read(application[name]) if is_there else None
            is_unseen = value == -1 and field.column.kind == "category"
            if value is None or (is_unseen and self._refuses_unknown):
                errors.append(_wrong(at, field, is_there, type(application.get(name))))
                continue
            row.append(value)
            if is_unseen:
                warnings.append(_UNSEEN.format(name))
        return row, warnings, errors

    def check(self, rows: NDArray[np.float32]) -> tuple[list[tuple[int, str]], Errors]:
        """Return warnings (row, text) and errors of raw rows, float32 (n_rows, n_columns)."""
        warnings: list[tuple[int, str]] = []
        errors: Errors = []
        for j, field in enumerate(self.fields):
            values, name = rows[:, j], field.column.name
            wrong = np.isinf(values) | (np.isnan(values) & (not field.takes_missing))
            if field.column.kind == "category":
                unseen = values == -1
                if self._refuses_unknown:
                    wrong |= unseen
                else:
                    warnings += [(int(i), _UNSEEN.format(name)) for i in np.flatnonzero(unseen)]
            else:
                beyond = (values < field.low) | (values > field.high)
                wrong |= beyond & ~np.isin(values, list(field.codes))
            errors += [_error(f"/{i}/{_escaped(name)}", f"{field.expected} expected")
                       for i in np.flatnonzero(wrong)[:_SHOWN]]  # fmt: skip
        return sorted(warnings), errors

    def unknown(self, names: Sequence[str], at: str = "") -> Errors:
        """Return an error for each name that is no field, and for each field that has no name."""
        stated = set(self.stated)
        given = [f for f in self.fields if f.column.name in stated]
        missing = [f for f in given if f.column.name not in set(names)]
        undated = dict.fromkeys(s.column for s in self.dates if s.column not in set(names))
        strange = self._strangers(at, dict.fromkeys(names))
        absent = [_error(f"{at}/{_escaped(name)}", "missing; dates expected") for name in undated]
        return strange + absent + [_wrong(at, field, False, type(None)) for field in missing]

    def _strangers(
        self, at: str, application: Mapping[str, Any], known: Collection[str] = ()
    ) -> Errors:
        strange = application.keys() - set(self.stated) - set(known)
        found = []
        for k, name in enumerate(sorted(strange)):
            short = name[:_SHOWN]
            near = get_close_matches(short, self.stated, n=1) if k < _HINTS else []
            hint = f"; did you mean '{near[0]}'?" if near else ""
            found.append(_error(f"{at}/{_escaped(short)}", f"no such field{hint}"))
        return found


def _field(column: Column, j: int, encode: Encode, limits: Sequence[float | None]) -> Field:
    if column.kind == "array":
        raise DataError(f"'{column.name}' is an array; the service takes single values")
    codes = frozenset(encode.special_value[encode.special_column == j].tolist())
    least, greatest = limits
    return Field(column, has_missing_bit(encode, j), least, greatest, codes)


def _getter(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) == 1:
        return lambda application: (application[names[0]],)
    return itemgetter(*names)


def _quick(field: Field) -> tuple[dict[Any, float] | None, float, float, float | None]:
    known = field.known if field.column.kind == "category" else None
    return known, field.low, field.high, math.nan if field.takes_missing else None


def _wrong(at: str, field: Field, is_there: bool, kind: type) -> dict[str, Any]:
    text = f"{field.expected} expected"
    if not is_there:
        text = f"missing; {text}"
    elif field.column.kind == "category" and kind in (str, int, float):
        text = f"one of the model's categories expected ({field.expected})"
    return _error(f"{at}/{_escaped(field.column.name)}", text)


def _error(pointer: str, detail: str) -> dict[str, Any]:
    return {"pointer": pointer, "detail": detail}


def _escaped(name: str) -> str:
    """Escape a name for a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _least(limit: float) -> float:
    """Return the least float64 that is `limit` or above once both are float32.

    Limits hold for raw rows, which are float32: whoever asks must hear the same of 17.9999999.
    """
    target = np.float32(limit)
    below = np.nextafter(target, np.float32(-np.inf))
    middle = (float(target) + float(below)) / 2
    return middle if np.float32(middle) >= target else math.nextafter(middle, math.inf)
