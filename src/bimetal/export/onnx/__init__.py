"""The target `onnx`: a Program in stock operators of opset 18, exact in every runtime that has them.

No custom operator and no `Sign` (whose 0 is no bit). Binary weights lie packed, eight to a byte, and
are unpacked by the graph itself when a session starts.
"""

from bimetal.export.onnx.options import OnnxOptions
from bimetal.export.onnx.places import PLACES
from bimetal.export.onnx.writer import check, write
from bimetal.export.target import Target
from bimetal.ops import OPS

__all__ = ["TARGET", "OnnxOptions"]

TARGET = Target(
    "onnx",
    "ONNX, stock operators of opset 18, packed weights",
    ".onnx",
    OPS,
    OnnxOptions,
    write,
    PLACES,
    check=check,
)
