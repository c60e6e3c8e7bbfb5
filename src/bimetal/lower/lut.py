"""Layers of look-up tables as operations: bits go in, bits come out, or the points of the classes.

A `LutLinear` in evaluation looks its answers up in tables that it asks of its own norm; those tables
are the operation. torch has channels first in a flattened map and a Program has them last, so places
are turned over here, once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bimetal.bits import pack
from bimetal.errors import ProgramError
from bimetal.lower.asking import Span
from bimetal.lower.state import At, Writer, require_kind, require_row
from bimetal.nn.lut import GroupSum, LutLinear
from bimetal.nn.scales import Logits
from bimetal.ops import MAX_BITS, Lut, Readout

__all__ = ["group_sum", "lut_linear"]


def lut_linear(writer: Writer, at: At, layer: LutLinear) -> At:
    """Bits → bits.

    Raises
    ------
    ProgramError
        When here are no bits of ±1 in one row of the right length, or more than a Lut reads.
    """
    _require_signs(at, layer.n_in)
    if max(layer.n_in, layer.n_out) > MAX_BITS:
        raise ProgramError(
            f"tables read and make at most {MAX_BITS} bits, got {layer.n_in} inputs and {layer.n_out} "
            "neurons"
        )
    places = _places(at)[layer.places.numpy()].astype(np.uint16)
    value = writer.write(Lut(at.value, places, pack(layer.tables().numpy())))
    return At("bits", (1, 1, layer.n_out), value, is_flat=True)


def group_sum(writer: Writer, at: At, layer: GroupSum) -> At:
    """Bits → points, and the scale of the layer that waits.

    The sum of ±1 is twice the number of bits that are set, less the number of bits.
    """
    _require_signs(at, layer.n_in)
    each = layer.n_in // layer.n_out
    weights = np.zeros((layer.n_out, layer.n_in), np.int8)
    weights[np.arange(layer.n_in) // each, _places(at)] = 2
    bias = np.full(layer.n_out, -each, np.int32)
    value = writer.write(Readout((at.value,), weights, bias))
    scale: Tensor = layer.scale.detach().expand(layer.n_out)
    sums = At("ints", (1, 1, layer.n_out), value, span=Span(-each, each, 2), is_flat=True)
    return sums.then(Logits.of(scale, scale.new_zeros(layer.n_out)))


def _require_signs(at: At, n_in: int) -> None:
    require_kind(at, "bits", "put a Sign before it")
    if at.lowest == 0:
        raise ProgramError(
            "reads −1 and +1, but here are bits of 0 and 1: give lower_encoded lowest=-1.0 and train on "
            "2 * bits - 1, or build the RowThreshold before it with levels='-1/+1'"
        )
    require_row(at, n_in)


def _places(at: At) -> NDArray[Any]:
    """Return where each element of torch's row is in the Program's."""
    height, width, n = at.shape
    return np.arange(height * width * n).reshape(height, width, n).transpose(2, 0, 1).ravel()
