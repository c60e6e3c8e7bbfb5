"""What may be chosen for an ONNX file: how its binary weights lie in it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["OnnxOptions", "Weights"]

Weights = Literal["packed", "int8", "float"]


@dataclass(frozen=True)
class OnnxOptions:
    """Options of the target `onnx`.

    Attributes
    ----------
    weights : str
        "packed": one bit a weight, unpacked in the graph when a session starts. "int8": one byte,
        for runtimes that do not fold constants. "float": four bytes and floating-point products,
        for runtimes without `MatMulInteger`; the answers are the same.
    """

    weights: Weights = "packed"
