"""The plain kernel of a dense layer: rows of weights, counted word by word.

On a core that counts the bits of a word in one instruction, or nearly, four neurons share each word
that is read. Elsewhere it adds neighbouring bits (Warren 2013, Hacker's Delight, section 5-1), and is
the smallest and slowest kernel: the one to compare others with.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.export.c.cores import core_named
from bimetal.export.c.kernels.base import Emitted
from bimetal.export.c.template import template
from bimetal.export.c.text import array, counted, read_of, table

__all__ = ["Row", "row_tables", "rows_of_words"]

WIDE = ("x86-64", "aarch64", "s390x", "wasm32", "rv64gc")
"""Cores whose words have 64 bits."""


class Row:
    """Counts one neuron at a time, or four where an instruction counts bits."""

    def emit(
        self,
        weights: NDArray[np.bool_],
        thresholds: NDArray[np.int32],
        symbol: str,
        core: str,
        constant_time: bool,
    ) -> Emitted:
        """Return the C text of a layer."""
        if core_named(core).has_popcount:
            return _fours(weights, thresholds, symbol, 64 if core in WIDE else 32)
        n_out, k = weights.shape
        tables, limit = row_tables(weights, thresholds, symbol)
        call = f"name_dense_row({{x}}, {-(-k // 32)}, {symbol}_w, {symbol}_t, {n_out}, {{y}});"
        loop = template("dense_row.c", {"LIMIT_T": limit, "AT_LIMIT": read_of(limit)})
        return Emitted((template("apart.c"), template("popcount.c"), loop), tables, call)


def rows_of_words(weights: NDArray[np.bool_], bits: int) -> NDArray[np.unsignedinteger]:
    """Return the rows in words of 8, 32 or 64 bits, least significant bit first.

    Examples
    --------
    >>> rows_of_words(np.array([[True, False, True]]), 32)
    array([[5]], dtype=uint32)
    """
    packed = np.packbits(weights, axis=1, bitorder="little")
    size = bits // 8
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % size)))
    return np.ascontiguousarray(padded).view(f"<u{size}").astype(f"u{size}")


def row_tables(
    weights: NDArray[np.bool_], thresholds: NDArray[np.int32], symbol: str
) -> tuple[str, str]:
    """Return the tables of a layer, row after row, and the type of its thresholds."""
    n_out, k = weights.shape
    words = rows_of_words(weights, 32)
    rows = [[f"0x{word:08X}" for word in row] for row in words.tolist()]
    shape = f"({counted(n_out, 'neurons')}, {counted(words.shape[1], 'words')} of {k} bits)"
    limit = "int16_t" if thresholds.max() < 2**15 else "int32_t"
    limits = array(limit, f"{symbol}_t", thresholds, "(neurons,)")
    return f"{table('uint32_t', f'{symbol}_w', rows, shape)}\n\n{limits}", limit


def _fours(
    weights: NDArray[np.bool_], thresholds: NDArray[np.int32], symbol: str, bits: int
) -> Emitted:
    """Return the form that counts four neurons at a time; the last four may have rows of zeros."""
    (n_out, k), spare = weights.shape, -len(weights) % 4
    words = rows_of_words(np.pad(weights, ((0, spare), (0, 0))), bits)
    n_words = words.shape[1]
    fours = words.reshape(-1, 4, n_words).transpose(0, 2, 1).reshape(-1, 4 * n_words)
    end = "ULL" if bits == 64 else ""
    rows = [[f"0x{word:0{bits // 4}X}{end}" for word in row] for row in fours.tolist()]
    shape = f"(fours of {counted(n_out, 'neurons')}, {counted(n_words, 'words')} of {k} bits, 4 neurons)"
    limit = "int16_t" if thresholds.max() < 2**15 else "int32_t"
    limits = array(
        limit, f"{symbol}_t", np.pad(thresholds, (0, spare), constant_values=-1), "(neurons,)"
    )
    loop = template(
        "dense_row4.c",
        {
            "WORD": f"uint{bits}_t",
            "AT_WORD": f"AT{bits}",
            "COUNT": "__builtin_popcountll" if bits == 64 else "__builtin_popcount",
            "LIMIT_T": limit,
            "AT_LIMIT": read_of(limit),
        },
    )
    tables = f"{table(f'uint{bits}_t', f'{symbol}_w', rows, shape)}\n\n{limits}"
    counts = f"name_dense_row4({{}}, {n_words}, {symbol}_w, {symbol}_t, {n_out}, {{{{y}}}});".format
    if bits == 32:
        return Emitted((template("apart.c"), loop), tables, counts("{x}"))
    n_narrow = -(-k // 32)
    call = (
        f"{{{{ uint64_t wide[{n_words}]; name_widen({{x}}, {n_narrow}, wide); {counts('wide')} }}}}"
    )
    return Emitted((template("apart.c"), template("widen.c"), loop), tables, call)
