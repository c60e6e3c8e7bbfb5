"""The row kernel for cores that cannot count bits: neighbours are added within words.

A word holds its own partial sums, two words at a time (Warren 2013, Hacker's Delight, section 5-1).
Weights lie row by row, so no neuron is padded; it takes the few that fill no word of the sliced kernel.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.export.c.kernels.base import Emitted
from bimetal.export.c.kernels.row import row_tables
from bimetal.export.c.template import template
from bimetal.export.c.text import read_of

__all__ = ["Swar"]


class Swar:
    """Counts one neuron at a time, two words of its inputs at once."""

    def emit(
        self,
        weights: NDArray[np.bool_],
        thresholds: NDArray[np.int32],
        symbol: str,
        core: str,
        constant_time: bool,
    ) -> Emitted:
        """Return the C text of a layer."""
        n_out, k = weights.shape
        tables, limit = row_tables(weights, thresholds, symbol)
        call = f"name_dense_swar({{x}}, {-(-k // 32)}, {symbol}_w, {symbol}_t, {n_out}, {{y}});"
        loop = template("dense_swar.c", {"LIMIT_T": limit, "AT_LIMIT": read_of(limit)})
        return Emitted((template("apart.c"), loop), tables, call)
