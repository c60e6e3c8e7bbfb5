"""PMML: a network of threshold neurons for the scoring engines of banks, without loss.

Points are exact in any engine. Answers are spelt out in PMML's own arithmetic, so that an engine that
computes in doubles gives the reference's float32, bit for bit.
"""

from bimetal.export.pmml.places import PLACES
from bimetal.export.pmml.writer import check, write
from bimetal.export.target import NoOptions, Target
from bimetal.ops import Dense, Encode, Link, Lut, Readout, Rules

__all__ = ["TARGET"]

TARGET = Target(
    "pmml",
    "a PMML 4.4 network of threshold neurons for scoring engines",
    ".pmml",
    (Encode, Dense, Rules, Lut, Readout, Link),
    NoOptions,
    write,
    PLACES,
    check=check,
)
