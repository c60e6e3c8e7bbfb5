"""The kernel for NEON: 128 bits of eight neurons at a time, counted byte by byte.

AArch64 counts bits in bytes only (CNT); the bytes of seven vectors add up before they must widen.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.c.kernels.base import Emitted
from bimetal.export.c.kernels.row import rows_of_words
from bimetal.export.c.template import template
from bimetal.export.c.text import array, counted, table

__all__ = ["Neon"]


class Neon:
    """Counts eight neurons at a time; for the core aarch64 only."""

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
            When the core is another than aarch64.
        """
        if core != "aarch64":
            raise ExportError(
                f"the kernel 'neon' needs the core aarch64, got {core}; use the kernel 'auto'"
            )
        n_out, k = weights.shape
        padded = np.pad(weights, ((0, -n_out % 8), (0, -k % 128)))
        n_vectors = padded.shape[1] // 128
        vectors = rows_of_words(padded, 32).reshape(-1, 8, n_vectors, 4).transpose(0, 2, 1, 3)
        rows = [
            [f"0x{word:08X}" for word in row]
            for row in vectors.reshape(-1, 32 * n_vectors).tolist()
        ]
        shape = (
            f"(eights of {counted(n_out, 'neurons')}, {n_vectors} times 128 of {k} bits, 8 neurons)"
        )
        limits = np.pad(thresholds, (0, -n_out % 8), constant_values=-1)
        tables = (
            table("uint32_t", f"{symbol}_w", rows, shape),
            array("int32_t", f"{symbol}_t", limits, "(neurons,)"),
        )
        count = f"name_dense_neon({{x}}, {-(-k // 32)}, {symbol}_w, {symbol}_t, {n_out}, vectors, {{y}});"
        call = f"{{{{ uint32x4_t vectors[{n_vectors}]; {count} }}}}"
        return Emitted((template("apart.c"), template("dense_neon.c")), "\n\n".join(tables), call)
