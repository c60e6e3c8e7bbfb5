"""A norm of each row and a comparison as one operation: whole sums go in, bits come out.

`RowThreshold` does not feel a scale that is common to all channels, so one that waits is dropped: the
half of sums of 0 and 1, a power of two of pixels or of an average. But only where torch, which does
multiply, rounds nothing by it, since a rounding could decide a tie.
"""

import math
from collections.abc import Iterable
from fractions import Fraction

from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower.channelwise import folded
from bimetal.lower.state import At, Writer, write_ints
from bimetal.nn.row_threshold import RowThreshold
from bimetal.ops import RowThreshold as RowThresholdOp

__all__ = ["row_threshold"]

EXACT = 2**24
"""Whole numbers up to here are exact in float32."""


def row_threshold(writer: Writer, at: At, layer: RowThreshold) -> At:
    """Whole sums → bits: those that stand out of their row, or of their pixel on a map.

    Raises
    ------
    ProgramError
        When here are floats, or scales that differ or round; when the sums can grow too large.
    """
    at = write_ints(writer, at)
    if at.kind != "ints":
        raise ProgramError(
            f"reads whole sums, but here are {at.kind}; put it behind a binary layer"
        )
    n = math.prod(at.shape) if at.is_flat else at.n_channels
    largest = max(-at.reach.low, at.reach.high)
    most = min((2**31 - 1) // n, EXACT)
    if largest > most:
        raise ProgramError(
            f"its sums can reach {largest}, but those of a row of {n} are exact up to {most} only; "
            "let the layer before read or make fewer channels"
        )
    _require_common_scale(at.layers, largest)
    top, bottom = layer.threshold.numerator, layer.threshold.denominator
    value = writer.write(RowThresholdOp(at.value, n, top, bottom))
    return At("bits", at.shape, value, is_flat=at.is_flat, lowest=layer.lowest)


def _require_common_scale(layers: Iterable[nn.Module], largest: int) -> None:
    """Raise `ProgramError` unless the layers multiply all sums by one number, without a rounding.

    The product of a sum and m · 2**k, m odd, is exact in float32 if sum · m is at most 2**24.
    """
    total = Fraction(1)
    for layer in layers:
        total *= _common_scale(layer)
    odd = total.numerator // (total.numerator & -total.numerator)
    if largest * odd > EXACT or largest * total >= 2**127:
        raise ProgramError(
            f"a scale of {float(total):g} rounds the sums that it reads; leave the scale out, since a "
            "RowThreshold gives the same with any"
        )


def _common_scale(layer: nn.Module) -> Fraction:
    scale = folded(layer)
    if scale is None or bool(scale.offset.any()) or not bool((scale.scale == scale.scale[0]).all()):
        raise ProgramError(
            f"only a scale common to all channels may stand between the sums and it, but here waits a "
            f"{type(layer).__name__}; a binarizer with a scale for each output is such a one"
        )
    if not 0 < float(scale.scale[0]) < math.inf:
        raise ProgramError(
            f"a scale of {float(scale.scale[0]):g} waits before it; it has to be positive"
        )
    return Fraction(float(scale.scale[0]))
