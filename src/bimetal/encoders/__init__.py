"""Encoders: the columns of a table become bits, and the first operation of a Program.

A number becomes a thermometer (bits that ask "is x at least this?"), a category one bit for each
value, a missing value and a special code a bit of their own. The encoders differ only in where the
cut-points of the thermometers come from. To add one, write a class with one method and name it in
`ENCODERS`: the conformance suite then holds it to the laws of all encoders.
"""

from bimetal.encoders.base import Encoder
from bimetal.encoders.binning import OptBinningEncoder
from bimetal.encoders.given import CutPointEncoder
from bimetal.encoders.quantile import QuantileEncoder
from bimetal.encoders.tree import TreeEncoder

__all__ = [
    "ENCODERS",
    "CutPointEncoder",
    "Encoder",
    "OptBinningEncoder",
    "QuantileEncoder",
    "TreeEncoder",
]

ENCODERS: tuple[type[Encoder], ...] = (
    QuantileEncoder,
    TreeEncoder,
    OptBinningEncoder,
    CutPointEncoder,
)
"""Every encoder; the conformance suite, the CLI and the docs read this list."""
