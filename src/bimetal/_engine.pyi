"""The native engine (csrc/): constants in once, then rows in and answers out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

def isas() -> list[str]: ...

class Core:
    def __init__(self, isa: str, n_columns: int) -> None: ...
    def encode(
        self,
        column: NDArray[np.uint16],
        kind: NDArray[np.uint8],
        value: NDArray[np.float32],
        special_column: NDArray[np.uint16],
        special_value: NDArray[np.float32],
    ) -> None: ...
    def dense(
        self, input: int, groups: int, weights: NDArray[np.uint8], thresholds: NDArray[np.int32]
    ) -> None: ...
    def rules(
        self, input: int, literals: NDArray[np.uint16], fan_in: NDArray[np.uint8]
    ) -> None: ...
    def readout(
        self, inputs: tuple[int, ...], weights: NDArray[np.int32], bias: NDArray[np.int32]
    ) -> None: ...
    def link(
        self,
        input: int,
        kind: str,
        scale: NDArray[np.float64],
        offset: NDArray[np.float64],
        knots: NDArray[np.int32],
        values: NDArray[np.float32],
    ) -> None: ...
    def predict_into(self) -> Callable[[NDArray[Any], NDArray[Any]], None]: ...
