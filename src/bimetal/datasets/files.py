"""Where a table comes from: the user's folder, the cache, the publisher; and its checksum."""

import hashlib
import io
import os
import zipfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bimetal.datasets.catalog import Download, Source
from bimetal.errors import DataError, MissingExtraError

__all__ = [
    "FOLDER_VARIABLE",
    "content_sha256",
    "download",
    "find",
    "how_to_get",
    "named",
    "parse",
    "read_folder",
]

FOLDER_VARIABLE = "BIMETAL_DATA"
MAX_BYTES = 500_000_000  # of an archive's member once unpacked: none of ours has a tenth of it


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Row = TypeVar("_Row", bound=_Named)


def named(name: str, rows: Sequence[_Row], noun: str = "data set") -> _Row:
    """Return the row of a catalogue that has this name.

    Raises
    ------
    DataError
        When none has; the message tells the nearest, and all of them.
    """
    for row in rows:
        if row.name == name:
            return row
    names = [row.name for row in rows]
    near = get_close_matches(str(name), names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise DataError(f"no {noun} is called {name!r}.{hint} There are: {', '.join(names)}")


def how_to_get(name: str, why: str, page: str, file: str, form: str = "") -> str:
    """Return why a data set is not at hand, and how a reader gets it."""
    as_what = f", {form}," if form else ""
    return (
        f"'{name}' is not at hand: {why}. To use it, get it from {page}, store it as "
        f"{file}{as_what} in a folder, and name that folder in the environment variable "
        f"{FOLDER_VARIABLE}"
    )


def find(name: str, suffixes: Sequence[str] = (".parquet", ".csv")) -> Path | None:
    """Return ``<folder>/<name>/<name>.parquet`` (or .csv) if it is there."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    paths = (Path(folder) / name / f"{name}{suffix}" for suffix in suffixes)
    return next((path for path in paths if path.is_file()), None)


def read_folder(path: Path) -> Any:
    """Read a Parquet or CSV file into a pandas table."""
    pandas = _pandas()
    try:
        return pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as a table: {error}; replace or remove it"
        ) from error


def download(source: Source) -> Any:
    """Fetch a data set from its publisher, or the cache, check it and read it.

    Raises
    ------
    DataError
        When there is nothing to download, it cannot be reached, or a checksum differs.
    MissingExtraError
        When pooch or a reader is not installed.
    """
    wanted = source.download
    if wanted is None:
        raise DataError("its publisher offers no direct download")
    path = _retrieve(source.name, wanted)
    table = parse(path.read_bytes(), wanted)
    if wanted.content_sha256 and content_sha256(table) != wanted.content_sha256:
        raise DataError(
            f"the table in {path} differs from the one expected: its checksum is "
            f"{content_sha256(table)}, not {wanted.content_sha256}; nothing was deleted. Has "
            "the publisher changed it? Remove the file to fetch it anew"
        )
    return table


def parse(raw: bytes, wanted: Download) -> Any:
    """Read a file as published into a pandas table with our column names."""
    pandas = _pandas()
    stream = io.BytesIO(_member(raw, wanted.member) if wanted.member else raw)
    match wanted.reader:
        case "csv":
            table = pandas.read_csv(stream, **wanted.options)
        case "arff":
            table = pandas.read_csv(io.BytesIO(_arff_rows(stream.read())), **wanted.options)
        case "excel":
            table = _read_excel(stream, wanted)
    return table.rename(columns=dict(wanted.rename))


def content_sha256(table: Any) -> str:
    """Return the sha256 of a pandas table: its column names and values, whatever its file was.

    Numbers are written in the fewest digits that give the same float64 back, whole ones as
    integers, missing values as nothing, so that the type a reader chose does not matter.

    Examples
    --------
    >>> import pandas as pd
    >>> whole, real = pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": [1.0, 2.0]})
    >>> content_sha256(whole) == content_sha256(real)
    True
    """
    digest = hashlib.sha256()
    for name in table.columns:
        values = "\n".join(_written(value) for value in table[name].tolist())
        digest.update(f"{name}\n{values}\n\n".encode())
    return digest.hexdigest()


def _written(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float | int) and float(value).is_integer():
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


def _retrieve(name: str, wanted: Download) -> Path:
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError("pooch", "data", f"downloading '{name}'") from error
    known = f"sha256:{wanted.sha256}" if wanted.sha256 else None
    cache = Path(pooch.os_cache("bimetal")) / name
    file_name = wanted.url.rsplit("/", 1)[-1].replace("+", "_")
    try:
        return Path(pooch.retrieve(wanted.url, known, fname=file_name, path=cache))
    except (OSError, ValueError) as error:
        raise DataError(f"{wanted.url} could not be had: {error}; nothing was deleted") from error


def _member(raw: bytes, member: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if archive.getinfo(member).file_size > MAX_BYTES:
                raise DataError(f"'{member}' would unpack to more than {MAX_BYTES} bytes")
            return archive.read(member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"a zip archive with '{member}' expected: {error}") from error


def _arff_rows(raw: bytes) -> bytes:
    """Return what follows the @data line of an ARFF file."""
    head, mark, rows = raw.partition(b"@data")
    if not mark:
        raise DataError(f"an ARFF file with a @data line expected, got {head[:40]!r} ...")
    return rows.lstrip()


def _read_excel(stream: io.BytesIO, wanted: Download) -> Any:
    try:
        return _pandas().read_excel(stream, engine="calamine", **wanted.options)
    except ImportError as error:
        raise MissingExtraError("python-calamine", "data", "reading an Excel file") from error


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("pandas", "data", "bimetal.datasets") from error
    return pandas
