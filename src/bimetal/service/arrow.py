"""Applications and decisions as Arrow streams, read as what they are: bytes from a stranger.

An Arrow stream can say in few bytes that it is huge: compressed buffers, runs, views, columns of
nothing. So only plain columns are taken, uncompressed, validated in full, and counted before they are
turned into rows.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import to_rows
from bimetal.errors import BimetalError, MissingExtraError
from bimetal.finance.credit.dates import apply_dates
from bimetal.service.applications import Errors, Field, Form
from bimetal.service.problem import Problem
from bimetal.service.wire import ModelRef, Scored

__all__ = ["MEDIA_TYPE", "read_stream", "write_stream"]

MEDIA_TYPE = "application/vnd.apache.arrow.stream"


def read_stream(
    body: bytes, form: Form, most_rows: int, text: int, as_of: str | None = None
) -> NDArray[np.float32]:
    """Return the raw rows of a stream, float32 (n_rows, n_columns); values are not yet checked.

    Parameters
    ----------
    body : bytes
        An Arrow IPC stream, uncompressed.
    form : Form
    most_rows, text : int
        Rows, and characters of one text, at most.
    as_of : str, optional
        What dates are counted back from.

    Raises
    ------
    Problem
        400 when it is no such stream, 413 when it has too many rows, 422 when columns do not fit.
    """
    pa = _pyarrow()
    try:
        _refuse_compression(body)
        with pa.ipc.open_stream(pa.BufferReader(body)) as reader:
            _require_columns(reader.schema, form)
            table = _table(reader, most_rows, text)
    except Problem:
        raise
    except (pa.ArrowException, ValueError, KeyError, IndexError, OSError, struct.error):
        raise Problem(400, "arrow", "a valid, uncompressed Arrow IPC stream expected") from None
    try:
        if form.dates:
            table = apply_dates(table, form.dates, (as_of or "")[:10])
        with np.errstate(all="ignore"):
            return to_rows(table, [field.column for field in form.fields])
    except BimetalError:
        raise Problem(
            422, "columns", "columns as the model describes them expected, dates not after as_of"
        ) from None


def write_stream(results: Sequence[Scored], model: ModelRef) -> bytes:
    """Return the decisions as an Arrow stream; the model stands in the schema's metadata."""
    pa = _pyarrow()
    reason = pa.struct([("group", pa.string()), ("code", pa.string()), ("text", pa.string()),
                        ("points", pa.float64())])  # fmt: skip
    reasons = [
        [{"group": r.group, "code": r.code, "text": r.text, "points": r.points} for r in s.reasons]
        for s in results
    ]
    columns = {
        "request_id": pa.array([s.request_id for s in results], pa.string()),
        "points": pa.array([s.points for s in results], pa.int64()),
        "score": pa.array([s.score for s in results], pa.float64()),
        "probability": pa.array([s.probability for s in results], pa.float32()),
        "decision": pa.array([s.decision for s in results], pa.string()),
        "predicted": pa.array(
            [None if s.predicted is None else str(s.predicted) for s in results], pa.string()
        ),
        "reasons": pa.array(reasons, pa.list_(reason)),
        "warnings": pa.array([s.warnings for s in results], pa.list_(pa.string())),
        "repeated": pa.array([s.repeated for s in results], pa.bool_()),
    }
    parts = {"name": model.name, "id": model.id, "policy_id": model.policy_id or "",
             "file_hash": model.file_hash}  # fmt: skip
    table = pa.table(columns).replace_schema_metadata({f"bimetal.{k}": v for k, v in parts.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise MissingExtraError("pyarrow", "serve", "batches as Arrow streams") from error
    return pyarrow


def _table(reader: Any, most_rows: int, text: int) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    batches, n_rows = [], 0
    for batch in reader:
        n_rows += batch.num_rows
        if n_rows > most_rows:
            raise Problem(413, "rows", f"at most {most_rows} applications expected")
        batch.validate(full=True)
        for column in batch.columns:
            texts = column.dictionary if pa.types.is_dictionary(column.type) else column
            is_text = pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)
            if is_text and (pc.max(pc.binary_length(texts)).as_py() or 0) > text:
                raise Problem(413, "text", f"texts of at most {text} bytes expected")
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _require_columns(schema: Any, form: Form) -> None:
    names = list(schema.names)
    errors = form.unknown(names)
    if len(set(names)) < len(names):
        errors.append({"pointer": "", "detail": "each column once expected"})
    if not errors:
        errors = [
            e
            for field in form.fields
            if field.column.name in form.stated
            for e in _misfit(schema.field(field.column.name), field)
        ]
    if errors:
        raise Problem(422, "columns", "the columns do not fit the model", errors)


def _misfit(given: Any, field: Field) -> Errors:
    import pyarrow as pa

    kind, types = given.type, pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    is_text = types.is_string(kind) or types.is_large_string(kind)
    is_whole = types.is_integer(kind)
    is_number = is_whole or types.is_floating(kind) or types.is_boolean(kind)
    kinds = {type(c) for c in field.column.categories} or {str, int}
    if field.column.kind == "number":
        fits = is_number and kind is given.type
    else:
        fits = (is_text and str in kinds) or (is_whole and int in kinds)
    pointer = "/" + field.column.name.replace("~", "~0").replace("/", "~1")
    return [] if fits else [{"pointer": pointer, "detail": f"{field.expected} expected"}]


def _refuse_compression(body: bytes) -> None:
    """Refuse record batches with compressed buffers, before anything is unpacked."""
    for message in _messages(body):
        if _has_compression(message):
            raise Problem(400, "arrow", "an uncompressed Arrow stream expected")


def _messages(body: bytes) -> Iterator[bytes]:
    """Yield the metadata of each message of an IPC stream (a flatbuffer `Message`)."""
    at = 0
    while at + 8 <= len(body):
        mark, size = struct.unpack_from("<Ii", body, at)
        if mark != 0xFFFFFFFF:
            raise ValueError("no continuation mark")
        if size == 0:
            return
        if size < 0 or at + 8 + size > len(body):
            raise ValueError("metadata beyond the end")
        metadata = body[at + 8 : at + 8 + size]
        at += 8 + size + _body_length(metadata)
        yield metadata


def _slot(buffer: bytes, table: int, number: int) -> int:
    """Return where field `number` of a flatbuffer table lies; 0 when it is absent."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    if vtable < 0 or 4 + 2 * number >= struct.unpack_from("<H", buffer, vtable)[0]:
        return 0
    offset = int(struct.unpack_from("<H", buffer, vtable + 4 + 2 * number)[0])
    return table + offset if offset else 0


def _follow(buffer: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", buffer, at)[0])


def _body_length(metadata: bytes) -> int:
    at = _slot(metadata, _follow(metadata, 0), 3)
    length = int(struct.unpack_from("<q", metadata, at)[0]) if at else 0
    if length < 0:
        raise ValueError("a body of negative length")
    return length


def _has_compression(metadata: bytes) -> bool:
    # Message: version, header_type, header, bodyLength. RecordBatch (3): length, nodes, buffers,
    # compression. DictionaryBatch (2): id, data (a RecordBatch).
    message = _follow(metadata, 0)
    kind, header = _slot(metadata, message, 1), _slot(metadata, message, 2)
    if not kind or not header or metadata[kind] not in (2, 3):
        return False
    table = _follow(metadata, header)
    if metadata[kind] == 2:
        data = _slot(metadata, table, 1)
        if not data:
            return False
        table = _follow(metadata, data)
    return bool(_slot(metadata, table, 3))
