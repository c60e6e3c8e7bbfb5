"""Options that hold several things: lists of names, and special codes by column."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bimetal.errors import DataError

__all__ = ["AsOf", "names_of", "require_folder", "special_codes_of"]

AsOf = Annotated[
    str | None,
    typer.Option(help="Of models with dates: the day they count back from, or its column."),
]


def names_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """Split names at commas; an option may also be given several times.

    Examples
    --------
    >>> names_of(["id,date", "branch"])
    ('id', 'date', 'branch')
    """
    return tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())


def special_codes_of(given: Sequence[str] | None) -> dict[str, tuple[float, ...]]:
    """Read ``column=-9,-8``.

    Raises
    ------
    DataError
        When the text is of another form.

    Examples
    --------
    >>> special_codes_of(["score=-9,-8"])
    {'score': (-9.0, -8.0)}
    """
    codes: dict[str, tuple[float, ...]] = {}
    for text in given or ():
        name, _, numbers = text.rpartition("=")
        try:
            parsed = tuple(float(number) for number in numbers.split(","))
        except ValueError:
            parsed = ()
        if not name or not parsed:
            raise DataError(f"--special expects column=code,code such as score=-9,-8; got {text!r}")
        codes[name] = codes.get(name, ()) + parsed
    return codes


def require_folder(out: Path) -> None:
    """Raise `DataError` unless there is a folder for the file to be written."""
    if not out.parent.is_dir():
        raise DataError(f"--out '{out}': there is no folder '{out.parent}'; make it first")
