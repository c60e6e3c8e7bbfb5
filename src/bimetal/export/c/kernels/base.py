"""What a kernel of a dense layer is: C text that counts where inputs and weights differ.

All texts are C as in `bimetal.export.c.text`: ``name_x`` and ``NAME_X`` become names of this
header, ``AT8(table, i)`` (and AT16, AT32, AT64) reads a constant, ``FLASH`` in a declaration and
``CODE`` in a pointer's type say where it lies: on most chips they vanish.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Emitted", "Kernel"]


@dataclass(frozen=True)
class Emitted:
    """The C text of one dense layer.

    Attributes
    ----------
    shared : tuple of str
        Functions that layers of this kernel call; each text is written once.
    tables : str
        The constants of this layer.
    call : str
        Statements with ``{x}`` (const uint32_t *, the input bits) and ``{y}`` (uint32_t *, the
        output bits): packed in 32-bit words, least significant first, bits beyond the end 0.
    """

    shared: tuple[str, ...]
    tables: str
    call: str


class Kernel(Protocol):
    """A way to count."""

    def emit(
        self,
        weights: NDArray[np.bool_],
        thresholds: NDArray[np.int32],
        symbol: str,
        core: str,
        constant_time: bool,
    ) -> Emitted:
        """Return the C text of a layer: weights (n_out, k), thresholds (n_out,)."""
        ...
