"""Trained torch net → bit operations: norms and signs become integer thresholds.

`lower_mlp`, `lower_dense` and `lower_encoded` are for nets on the rows of a table, `lower_cnn` for nets on pictures
and sequences; `trace` also tells which layer each operation comes from.
"""

from bimetal.lower.cnn import lower_cnn
from bimetal.lower.dense import LoweredMLP, lower_dense, lower_mlp
from bimetal.lower.encoded import lower_encoded
from bimetal.lower.trace import Lowered, trace
from bimetal.lower.walk import SUPPORTED

__all__ = [
    "SUPPORTED",
    "Lowered",
    "LoweredMLP",
    "lower_cnn",
    "lower_dense",
    "lower_encoded",
    "lower_mlp",
    "trace",
]
