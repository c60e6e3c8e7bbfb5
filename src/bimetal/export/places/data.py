"""Raw rows as the bytes that a chip reads, and the records that it sends back.

The order of bytes is the chip's own ("<" or ">"), so that its harness neither knows nor cares.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError, ExportError
from bimetal.export.places.build import n_points, row_kind
from bimetal.export.target import Job

__all__ = [
    "HEAD_BYTES",
    "Records",
    "as_whole",
    "check_head",
    "check_selftest",
    "read_records",
    "row_bytes",
]

MARK, HEAD_BYTES = 0x62696D65, 16
Records = tuple[NDArray[np.int32], NDArray[np.float32], int]
"""Points (n_rows, n_points), answers (n_rows, n_outputs), bytes of stack (−1 where unknown)."""


def row_bytes(job: Job, rows: NDArray[np.float32], order: str = "<") -> bytes:
    """Return the raw rows, float32 (n_rows, n_columns), as the chip reads them.

    Raises
    ------
    DataError
        When the header takes whole numbers and a row has others.
    """
    kind = row_kind(job)
    if kind == "float":
        return rows.astype(f"{order}f4").tobytes()
    return as_whole(rows, kind).astype(f"{order}i{2 if kind == 'int16' else 4}").tobytes()


def as_whole(rows: NDArray[np.float32], kind: str) -> NDArray[np.int64]:
    """Return rows as whole numbers of a kind, "int16" or "int32"; the most negative one is NaN.

    Raises
    ------
    DataError
        When a number is not whole, or does not fit.

    Examples
    --------
    >>> as_whole(np.array([[3.0, np.nan]], np.float32), "int16").tolist()
    [[3, -32768]]
    """
    missing = -(2 ** (15 if kind == "int16" else 31))
    is_missing = np.isnan(rows)
    fits = is_missing | ((rows > missing) & (rows < -missing) & (np.rint(rows) == rows))
    if not fits.all():
        bad = float(rows[~fits][0])
        raise DataError(
            f"whole numbers of {kind} expected (NaN is missing), got {bad!r}; round them"
        )
    return np.where(is_missing, np.float32(0), rows).astype(np.int64) + np.where(
        is_missing, missing, 0
    )


def read_records(job: Job, data: bytes, n_rows: int, order: str = "<") -> Records:
    """Return what the harness ``stream.c`` sent back.

    Raises
    ------
    ExportError
        When the self-test failed there, or something other than `n_rows` records came.
    """
    stack = check_head(data, n_rows, order)
    record = np.dtype(
        [
            ("points", f"{order}i4", (n_points(job),)),
            ("answers", f"{order}f4", (job.program.n_outputs,)),
        ]
    )
    if len(data) != HEAD_BYTES + n_rows * record.itemsize:
        n = (len(data) - HEAD_BYTES) / record.itemsize
        raise ExportError(f"{n_rows} records expected, got {n:g}")
    records = np.frombuffer(data, record, offset=HEAD_BYTES)
    points, answers = records["points"], records["answers"]
    return points.astype(np.int32), answers.astype(np.float32), stack


def check_head(data: bytes, n_rows: int, order: str = "<") -> int:
    """Check what stands before the records, and return the bytes of stack in it.

    Raises
    ------
    ExportError
        When it makes no sense, the self-test failed, or the header contradicts itself.
    """
    head = np.frombuffer(data[:HEAD_BYTES], f"{order}i4")
    if len(head) < HEAD_BYTES // 4 or head[0] != MARK:
        raise ExportError(
            f"{n_rows} records expected, but the run sent {len(data)} bytes of no sense"
        )
    check_selftest(int(head[1]))
    if head[2]:
        raise ExportError(
            f"answers or class of the header contradict its points and link on {head[2]} rows; "
            "please report it"
        )
    return int(head[3])


def check_selftest(failures: int) -> None:
    """Raise `ExportError` unless the self-test found all well."""
    if failures:
        raise ExportError(f"the header's self-test fails: it returned {failures}, not 0")
