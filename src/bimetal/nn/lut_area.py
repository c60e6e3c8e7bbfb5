"""How large a trained LUT layer is: what its tables turned out to need, before any synthesis.

A table may ignore inputs, say the same whatever comes, or repeat another one. A synthesis tool finds
most of that, and more, by itself; counted here, it tells whether training used what it was given.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bimetal.nn.lut import LutLinear

__all__ = ["LutArea", "lut_areas"]


@dataclass(frozen=True)
class LutArea:
    """What the tables of a layer need.

    Attributes
    ----------
    n_neurons : int
        Tables.
    n_inputs : int
        Different inputs of the layer that some table depends on.
    fan_in : tuple of int
        For each neuron, the inputs that its table depends on: 0 of a constant.
    n_constants : int
        Neurons that say the same whatever comes.
    n_wires : int
        Neurons that repeat one input or its opposite; they need no table, since whoever reads them can
        read that input.
    n_duplicates : int
        Neurons that say what an earlier one says: the same function of the same inputs. Constants and
        wires are not counted again.
    sizes : tuple of int
        Inputs of each table that is left, ascending: of no constant, no wire, no duplicate.
    """

    n_neurons: int
    n_inputs: int
    fan_in: tuple[int, ...]
    n_constants: int
    n_wires: int
    n_duplicates: int
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, layer: LutLinear) -> "LutArea":
        """Return the area of a layer, as it answers in evaluation.

        Examples
        --------
        >>> layer = LutLinear(4, 2, fan_in=2, connections=[[0, 1], [2, 3]], norm="threshold")
        >>> _ = nn.init.zeros_(layer.coefficient)
        >>> area = LutArea.of(layer)  # the sign of 0 is +1, always
        >>> area.n_constants, area.n_inputs, area.n_luts()
        (2, 0, 0)
        """
        rows = zip(layer.places.cpu().numpy(), layer.tables().cpu().numpy(), strict=True)
        functions = [_reduced(places, table) for places, table in rows]
        sizes = [len(places) for places, _ in functions]
        left = {function for function in functions if len(function[0]) > 1}
        n_constants, n_wires = sizes.count(0), sizes.count(1)
        return cls(
            n_neurons=len(functions),
            n_inputs=len({place for places, _ in functions for place in places}),
            fan_in=tuple(sizes),
            n_constants=n_constants,
            n_wires=n_wires,
            n_duplicates=len(functions) - n_constants - n_wires - len(left),
            sizes=tuple(sorted(len(places) for places, _ in left)),
        )

    def n_luts(self, size: int = 6) -> int:
        """Return the look-up tables of `size` inputs that hold what is left.

        A table of more inputs is made of 2 or 4 or more of them, whose joining multiplexers are not
        counted: most FPGAs have those beside their tables.

        Examples
        --------
        >>> LutArea(3, 9, (6, 6, 7), 0, 0, 0, (6, 6, 7)).n_luts()
        4
        """
        return sum(2 ** max(0, n - size) for n in self.sizes)


def _reduced(places: NDArray[np.int64], table: NDArray[np.bool_]) -> tuple[tuple[int, ...], bytes]:
    """Return the inputs that a table depends on, in ascending order, and its entries for them alone."""
    fan_in = len(places)
    cube = table.reshape((2,) * fan_in)  # axis fan_in − 1 − j is input j
    cube = cube.transpose([fan_in - 1 - int(j) for j in np.argsort(places)])  # axis i: i-th place
    kept = []
    for axis, place in enumerate(sorted(places.tolist())):
        low, high = (np.take(cube, [i], axis) for i in (0, 1))
        if (low != high).any():
            kept.append(place)
        else:
            cube = low
    return tuple(kept), cube.tobytes()


@torch.no_grad()
def lut_areas(model: nn.Module) -> dict[str, LutArea]:
    """Return the area of every LUT layer in a model by its name.

    Examples
    --------
    >>> areas = lut_areas(nn.Sequential(LutLinear(9, 5), LutLinear(5, 3, fan_in=4)))
    >>> [area.n_neurons for area in areas.values()]
    [5, 3]
    """
    return {
        name: LutArea.of(layer)
        for name, layer in model.named_modules()
        if isinstance(layer, LutLinear)
    }
