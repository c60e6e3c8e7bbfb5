"""Cut-points at the quantiles of each column: no target needed, and never a bad choice."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.encoders.base import Encoder
from bimetal.encoders.training import Training
from bimetal.errors import DataError

__all__ = ["QuantileEncoder", "midpoints", "quantile_cuts"]


@dataclass(kw_only=True, eq=False)
class QuantileEncoder(Encoder):
    """Cut every number into bins of about equal weight.

    A value heavy enough to fill a bin gets one of its own, and the others share what is left. The
    cut-points lie halfway between observed values, so no observed value sits on one.

    Parameters
    ----------
    max_bits : int, optional
        At most this many cut-points over all columns, in equal shares; what a column of few values
        does not need goes to the others. Every column gets at least one.

    See `Encoder` for the other parameters and the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> encoder = QuantileEncoder(max_bits_per_column=3).fit(np.arange(8.0).reshape(-1, 1))
    >>> encoder.bit_names_
    ('x0 >= 1.5', 'x0 >= 3.5', 'x0 >= 5.5')
    >>> encoder.transform([[4.0]])
    array([[ True,  True, False]])
    """

    max_bits: int | None = None

    def _cut_points(self, training: Training) -> dict[int, NDArray[np.float32]]:
        found = {j: training.values(j) for j in training.thermometers}
        most = {j: min(len(v) - 1, self.max_bits_per_column) for j, (v, _) in found.items()}
        cap = self.max_bits_per_column if self.max_bits is None else _share(most, self.max_bits)
        return {j: quantile_cuts(*found[j], cap) for j in found}

    def _check_options(self) -> None:
        super()._check_options()
        if self.max_bits is not None and self.max_bits < 1:
            raise DataError(f"max_bits must be at least 1, got {self.max_bits!r}")


def _share(most: Mapping[int, int], total: int) -> int:
    """Return the largest cap, 1 or more, under which all columns together stay within `total`."""
    caps = range(max(most.values(), default=1), 1, -1)
    return next((cap for cap in caps if sum(min(m, cap) for m in most.values()) <= total), 1)


def quantile_cuts(
    values: NDArray[np.float32], weights: NDArray[np.float64], n_cuts: int
) -> NDArray[np.float32]:
    """Return at most `n_cuts` cut-points between ascending distinct values, at even weights.

    Examples
    --------
    >>> quantile_cuts(np.array([0, 1, 2], "f4"), np.array([98.0, 1.0, 1.0]), 1)
    array([0.5], dtype=float32)
    """
    between = midpoints(values)
    if len(between) <= n_cuts:
        return between
    # A weight above the size of a bin is cut down to it, which makes bins smaller, and so on: a
    # heavy value then fills exactly one bin.
    for _ in range(16):
        weights = np.minimum(weights, weights.sum() / (n_cuts + 1))
    reached = np.cumsum(weights)[:-1]
    wanted = weights.sum() * np.arange(1, n_cuts + 1) / (n_cuts + 1)
    after = np.searchsorted(reached, wanted).clip(max=len(reached) - 1)
    before = (after - 1).clip(min=0)
    is_nearer = np.abs(reached[before] - wanted) < np.abs(reached[after] - wanted)
    chosen: NDArray[np.float32] = between[np.unique(np.where(is_nearer, before, after))]
    return chosen


def midpoints(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one cut-point between each two neighbours of ascending distinct values."""
    low, high = values[:-1], values[1:]
    middle = ((low.astype(np.float64) + high) / 2).astype(np.float32)
    np.copyto(middle, high, where=middle <= low)  # between float32 neighbours there is no third
    return middle
