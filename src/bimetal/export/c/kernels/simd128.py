"""The kernel for WebAssembly's 128-bit vectors: one byte of 32 neurons at a time, counted byte by byte.

Vectors that hold bytes of one neuron would have to be added across; here each lane is a neuron. In
layers of few neurons most lanes would be empty: those are counted as on any other machine.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.c.kernels.base import Emitted
from bimetal.export.c.kernels.row import Row, rows_of_words
from bimetal.export.c.template import template
from bimetal.export.c.text import array, counted, table

__all__ = ["Simd128"]

MOST_EMPTY = 0.2  # of the lanes
MOST_IN = 2**15 - 8  # bits of the input: what is left of a threshold is an int16


class Simd128:
    """Counts 32 neurons at a time; for the core wasm32 only."""

    def emit(
        self,
        weights: NDArray[np.bool_],
        thresholds: NDArray[np.int32],
        symbol: str,
        core: str,
        constant_time: bool,
    ) -> Emitted:
        """Return the C text of a layer.

        Raises
        ------
        ExportError
            When the core is another than wasm32.
        """
        if core != "wasm32":
            raise ExportError(
                f"the kernel 'simd128' needs the core wasm32, got {core}; use the kernel 'auto'"
            )
        n_out, k = weights.shape
        if -n_out % 32 > MOST_EMPTY * (n_out + -n_out % 32) or k > MOST_IN:
            return Row().emit(weights, thresholds, symbol, core, constant_time)
        limits = np.pad(thresholds, (0, -n_out % 32), constant_values=-1)
        n_words = -(-k // 32)
        padded = np.pad(weights, ((0, -n_out % 32), (0, -k % 32)))
        lanes = rows_of_words(padded, 8).reshape(-1, 32, 4 * n_words).transpose(0, 2, 1)
        words = np.ascontiguousarray(lanes).view("<u4").reshape(len(lanes), -1)
        rows = [[f"0x{word:08X}" for word in row] for row in words.tolist()]
        shape = (
            f"(32s of {counted(n_out, 'neurons')}, {4 * n_words} times 8 of {k} bits, 32 neurons)"
        )
        tables = (
            table("uint32_t", f"{symbol}_w", rows, shape),
            array("int16_t", f"{symbol}_t", limits, "(neurons,)"),
        )
        count = (
            f"name_dense_simd128({{x}}, {n_words}, {symbol}_w, {symbol}_t, {n_out}, spread, {{y}});"
        )
        call = f"{{{{ v128_t spread[{4 * n_words}]; {count} }}}}"
        return Emitted((template("dense_simd128.c"),), "\n\n".join(tables), call)
