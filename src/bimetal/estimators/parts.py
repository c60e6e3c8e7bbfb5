"""A part of a model: scores that are a weighted sum of bits, its own and the encoder's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.estimators.tasks import Floats
from bimetal.program import EQ, GE, Dense, Encode, Rules

__all__ = ["Bits", "Part", "levels_of"]


@dataclass(frozen=True)
class Part:
    """Bit operations and the real-valued readout of their last bits.

    Attributes
    ----------
    name : str
        "linear", "rules" or "members".
    ops : tuple of Dense or Rules
        The first reads the encoder's bits, each next one the one before; may be empty.
    direct : numpy.ndarray
        float64 (n_outputs, n_bits): weights of the encoder's bits.
    hidden : numpy.ndarray
        float64 (n_outputs, n_hidden): weights of the bits of the last op; n_hidden may be 0.
    bias : numpy.ndarray
        float64 (n_outputs,).
    """

    name: str
    ops: tuple[Dense | Rules, ...]
    direct: Floats
    hidden: Floats
    bias: Floats


@dataclass(frozen=True)
class Bits:
    """Encoded rows in the two forms that learners read.

    Attributes
    ----------
    bits : numpy.ndarray
        bool (n_rows, n_bits).
    levels : numpy.ndarray
        float32 (n_rows, n_features): how many bits of each feature are set.
    features : tuple of tuple of int
        The bits of each feature: the cut-points of a thermometer, rising, or one lone bit.
    """

    bits: NDArray[np.bool_]
    levels: NDArray[np.float32]
    features: tuple[tuple[int, ...], ...]

    def take(self, rows: NDArray[np.intp]) -> "Bits":
        """Return the same encoding of some of the rows."""
        return Bits(self.bits[rows], self.levels[rows], self.features)


def levels_of(bits: NDArray[np.bool_], op: Encode) -> Bits:
    """Count set bits feature by feature: a thermometer is one feature, any other bit is its own."""
    features: list[tuple[int, ...]] = []
    for column in np.unique(op.column):
        mine = np.flatnonzero(op.column == column)
        cuts = mine[op.kind[mine] == GE]
        if len(cuts):
            features.append(tuple(cuts[np.argsort(op.value[cuts], kind="stable")].tolist()))
        features += [(int(i),) for i in mine[op.kind[mine] >= EQ]]
    levels = np.stack([bits[:, list(f)].sum(axis=1) for f in features], axis=1)
    return Bits(bits, levels.astype(np.float32), tuple(features))
