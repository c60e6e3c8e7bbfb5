"""Decisions as a table or as JSON lines: rows with the names of their columns, categories by theirs.

The file holds personal data, unlike the chain; who exports answers for where it goes.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bimetal.errors import DataError
from bimetal.files import atomic_write
from bimetal.format import loads
from bimetal.program import Program
from bimetal.service.log.chained import ChainedLog
from bimetal.service.log.record import Entry, Record
from bimetal.tables import open_sink
from bimetal.tables.kinds import arrow

__all__ = ["INPUT", "decoded", "described", "export"]

INPUT = "input_"
"""What the names of the model's columns begin with in a table, so that none is taken for one of ours."""
ROWS = 4_096
FIXED = {
    "sequence": "int64", "time": "string", "request_id": "string", "role": "string", "model_name": "string",
    "model_id": "string", "policy_id": "string", "file_hash": "string", "points": "int64",
    "probability": "float32", "decision": "string", "reasons": "string", "warnings": "string",
    "key_id": "string", "as_of": "string", "is_erased": "bool", "hash": "string",
}  # fmt: skip
UNKNOWN = "(unknown)"


def export(
    log: ChainedLog,
    out: str | os.PathLike[str],
    start: int = 1,
    stop: int | None = None,
    models: Mapping[str, bytes] | None = None,
    progress: Callable[[int], None] = lambda n_rows: None,
) -> int:
    """Write decisions to a file, which appears when all are written.

    Parameters
    ----------
    log : ChainedLog
    out : path-like
        ``.parquet``, ``.csv``, ``.arrow`` or ``.jsonl``.
    start, stop : int
        Sequence numbers, the last one excluded; see `ChainedLog.since`.
    models : mapping of str to bytes, optional
        More model files by their sha256, for columns that the log's archive does not explain.
    progress : callable, optional
        Told how many rows are done.

    Returns
    -------
    int
        How many decisions.

    Raises
    ------
    DataError
        When a model is in no archive, or the name of the file ends otherwise.
    LogUnavailable
        When the log cannot be read.
    OSError
        When the file cannot be written; nothing is left behind.
    """
    last = log.head()[0] + 1 if stop is None else stop  # the same end for both passes

    @lru_cache(64)
    def program(file_hash: str) -> Program:
        return loads((models or {}).get(file_hash) or log.model(file_hash))

    def rows() -> Iterator[dict[str, Any]]:
        for entry in log.entries(start, last):
            if isinstance(entry.record, Record):
                yield described(entry, program(entry.record.file_hash))

    if Path(out).suffix == ".jsonl":
        return _lines(out, rows(), progress)
    records = (entry.record for entry in log.entries(start, last))
    hashes = dict.fromkeys(r.file_hash for r in records if isinstance(r, Record))
    kinds = _kinds([program(file_hash) for file_hash in hashes])
    return _table(out, rows(), kinds, progress)


def described(entry: Entry, program: Program) -> dict[str, Any]:
    """Return a decision as JSON values; ``input`` is its row, None when it was erased.

    Raises
    ------
    DataError
        When the row is not one of the Program's.
    """
    record = entry.record
    assert isinstance(record, Record)
    given = {name: getattr(record, name, None) for name in FIXED}
    mine = {"sequence": entry.sequence, "time": entry.time, "hash": entry.hash}
    row = None if entry.is_erased else decoded(program, record.row)
    return {**given, **mine, "is_erased": entry.is_erased, "input": row}


def decoded(program: Program, row: bytes) -> dict[str, Any]:
    """Return a raw row as people write it: categories as their names, None where missing.

    Raises
    ------
    DataError
        When the row has another number of values than the Program.
    """
    values = np.frombuffer(row, "<f4").tolist()
    if len(values) != program.n_columns:
        raise DataError(f"a row of {program.n_columns} values expected, got {len(values)}")
    given: dict[str, Any] = {}
    at = 0
    for column in program.columns:
        own = [None if v != v else v for v in values[at : at + column.size]]
        at += column.size
        if column.kind == "category":
            given[column.name] = _category(column.categories, own[0])
        else:
            given[column.name] = own if column.kind == "array" else own[0]
    return given


def _category(categories: Sequence[Any], code: float | None) -> Any:
    if code is None:
        return None
    is_known = 0 <= code < len(categories) and code == int(code)
    return categories[int(code)] if is_known else UNKNOWN


def _lines(
    out: str | os.PathLike[str], rows: Iterator[dict[str, Any]], progress: Callable[[int], None]
) -> int:
    n = 0
    with atomic_write(out) as file:
        for n, row in enumerate(rows, 1):
            file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            if n % ROWS == 0:
                progress(n)
    return n


def _table(
    out: str | os.PathLike[str],
    rows: Iterator[dict[str, Any]],
    kinds: Mapping[str, str],
    progress: Callable[[int], None],
) -> int:
    pa = arrow()
    fixed = [(name, pa.type_for_alias(kind)) for name, kind in FIXED.items()]
    inputs = [(INPUT + name, pa.type_for_alias(kind)) for name, kind in kinds.items()]
    schema, n = pa.schema([*fixed, *inputs]), 0
    with open_sink(out, schema) as write:
        while chunk := [_flat(row, kinds) for row in islice(rows, ROWS)]:
            write(pa.RecordBatch.from_pylist(chunk, schema=schema))
            n += len(chunk)
            progress(n)
    return n


def _kinds(programs: Sequence[Program]) -> dict[str, str]:
    """Return the columns of all models with types: a column that is a number in all is one."""
    kinds: dict[str, str] = {}
    for column in (column for program in programs for column in program.columns):
        kind = "float32" if column.kind == "number" else "string"
        kinds[column.name] = kind if kinds.get(column.name, kind) == kind else "string"
    return kinds


def _flat(row: dict[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    texts = {name: json.dumps(row[name]) for name in ("reasons", "warnings")}
    given = row.pop("input") or {}
    inputs = {INPUT + name: _as(kind, given.get(name)) for name, kind in kinds.items()}
    return {**row, **texts, **inputs}


def _as(kind: str, value: Any) -> Any:
    if value is None or kind == "float32":
        return value
    return value if isinstance(value, str) else json.dumps(value)
