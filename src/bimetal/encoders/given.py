"""Cut-points that the user gives: policy limits, published scorecards, regulators' bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.encoders.base import Encoder
from bimetal.encoders.training import Training, finite_numbers, require_columns
from bimetal.errors import ColumnError, DataError

__all__ = ["CutPointEncoder"]


@dataclass(kw_only=True, eq=False)
class CutPointEncoder(Encoder):
    """Cut numbers where the user says.

    Parameters
    ----------
    cut_points : mapping of str to sequence of float
        Ascending cut-points by column; each gives the bit "x >= cut-point". A number without an
        entry gets no thermometer. For an ordinal column they are codes: 0.5 asks "is it at least
        the second category?". `max_bits_per_column` does not apply.

    See `Encoder` for the other parameters and the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> encoder = CutPointEncoder(cut_points={"x0": [18, 65]}).fit(np.array([[30.0], [70.0]]))
    >>> encoder.bit_names_
    ('x0 >= 18', 'x0 >= 65')
    """

    cut_points: Mapping[str, Sequence[float]] | None = None

    def _cut_points(self, training: Training) -> dict[int, NDArray[np.float32]]:
        given = self.cut_points or {}
        require_columns("cut_points", given, training.columns)
        cuts = {}
        for j, column in enumerate(training.columns):
            if column.name in given:
                if column.kind == "category" and j not in training.ordinal:
                    raise ColumnError(
                        f"cut_points names '{column.name}', which holds categories; "
                        "name their order in ordinal, or leave it out"
                    )
                top = len(column.categories) - 1 if j in training.ordinal else None
                cuts[j] = _checked(column.name, given[column.name], top)
        return cuts


def _checked(name: str, given: Sequence[float], top: int | None) -> NDArray[np.float32]:
    cuts = finite_numbers(f"the cut-points of '{name}'", given)
    if (np.diff(cuts) <= 0).any():
        raise DataError(
            f"the cut-points of '{name}' must ascend, each above the one before (as float32), "
            f"got {list(given)}"
        )
    if top is not None and len(cuts) and (cuts[0] <= 0 or cuts[-1] > top):
        raise DataError(f"the cut-points of '{name}' are codes in (0, {top}], got {list(given)}")
    return cuts
