"""What a lender sets on the page: its words, the order of its fields, and where results may be sent.

Nothing here touches the score. The names of columns and categories are those of the training table;
an applicant should read better ones.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bimetal.columns.column import Column, is_portable, listed
from bimetal.errors import BimetalError, DataError
from bimetal.strict_json import parse_object

__all__ = ["NOTICE", "PageSettings"]

NOTICE = """This result was calculated on this device from the answers given. It is not an offer: the lender checks \
the answers and decides."""
_URL = re.compile(
    r"(https://[A-Za-z0-9.-]+(:[0-9]+)?|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)?/(?!/)[A-Za-z0-9/._~%-]*"
)


@dataclass(frozen=True)
class PageSettings:
    """The words of a page.

    Parameters
    ----------
    title, lender : str
        At the top of the page; `lender` may be empty.
    notice : str
        Under the result.
    labels, hints, units : mapping of column to str
        How a column reads, a sentence under it, and what stands behind the number ("€", "months"). What is
        counted from a date is asked for as that date: give its column a label.
    categories : mapping of column to mapping of str to str
        How categories read, and special codes of numbers ({"score": {"-9": "No record"}}).
    whole : tuple of str
        Columns of whole numbers.
    sections : mapping of str to tuple of str
        Headings and the columns under them; the others come last. By default all in one.
    example : mapping of column to value
        Behind the button "Fill in an example"; there is none without.
    verify_url : str
        Where a signed result may be posted: a path of the same server ("/v1/models/credit/verify"), an
        https address, or "" for nowhere. Another origin must allow it by CORS.
    needs_key : bool
        Whether whoever sends has to enter a key of that server, which the page keeps nowhere.

    Raises
    ------
    DataError
        When an address is of another form, or a part of another type.

    Examples
    --------
    >>> PageSettings(title="Car loan", labels={"dur": "Duration"}, units={"dur": "months"}).title
    'Car loan'
    """

    title: str = "Credit check"
    lender: str = ""
    notice: str = NOTICE
    labels: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    whole: tuple[str, ...] = ()
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    example: Mapping[str, str | int | float | None] = field(default_factory=dict)
    verify_url: str = ""
    needs_key: bool = False

    def __post_init__(self) -> None:
        for name in ("title", "lender", "notice", "verify_url"):
            _require_text(name, getattr(self, name))
        for name in ("labels", "hints", "units"):
            for key, text in _mapping(name, getattr(self, name)).items():
                _require_text(f"{name} of '{key}'", text)
        for key, names in _mapping("categories", self.categories).items():
            for text in _mapping(f"categories of '{key}'", names).values():
                _require_text(f"categories of '{key}'", text)
        if not isinstance(self.needs_key, bool):
            raise DataError(f"needs_key: true or false expected, got {self.needs_key!r:.100}")
        if self.verify_url and not _URL.fullmatch(self.verify_url):
            raise DataError(
                "verify_url: a path such as /v1/models/credit/verify or an https address without query "
                f"expected, got {self.verify_url!r:.100}"
            )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "PageSettings":
        """Read settings from a JSON file with the names of the parameters as keys.

        Raises
        ------
        DataError
            When it is no such file.
        OSError
            When it cannot be read.
        """
        try:
            given = parse_object(Path(path).read_bytes(), f"'{path}'")
        except BimetalError as error:
            raise DataError(str(error)) from error
        unknown = sorted(set(given) - {f.name for f in fields(cls)})
        if unknown:
            raise DataError(
                f"settings of a page are {listed([f.name for f in fields(cls)])}, got {unknown[0]!r}"
            )
        for name, value in _mapping("sections", given.get("sections", {})).items():
            given["sections"][name] = _names(f"section '{name}'", value)
        given["whole"] = _names("whole", given.get("whole", []))
        return cls(**given)

    def require_columns(self, columns: tuple[Column, ...], dates: Sequence[str] = ()) -> None:
        """Refuse settings that speak of columns which the model does not have, and dates it does not count.

        Raises
        ------
        DataError
            Naming them.
        """
        known = [column.name for column in columns]
        spoken: list[Any] = [self.units, self.categories, self.whole, self.example]
        unknown = [
            n for names in (*spoken, *self.sections.values()) for n in names if n not in known
        ]
        asked = [*self.labels, *self.hints]
        unknown += [name for name in asked if name not in known and name not in dates]
        if unknown:
            raise DataError(
                f"a column of {listed(known)} expected in the settings, got {unknown[0]!r}"
            )
        placed = [name for names in self.sections.values() for name in names]
        twice = [name for name in placed if placed.count(name) > 1]
        if twice:
            raise DataError(f"each column in one section expected, got '{twice[0]}' in two")

    def label(self, column: str) -> str:
        """Return how a column reads: its label, or its name in plain letters.

        Examples
        --------
        >>> PageSettings().label("checking_status")
        'Checking status'
        """
        plain = " ".join(column.replace("_", " ").split()) or column
        return self.labels.get(column, plain[:1].upper() + plain[1:])


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not is_portable(value):
        raise DataError(f"{name}: text expected, got {json.dumps(value, default=repr)[:100]}")


def _mapping(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{name}: an object of names and texts expected, got {value!r:.100}")
    return value


def _names(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise DataError(f"{name}: a list of columns expected, got {value!r:.100}")
    return tuple(value)
