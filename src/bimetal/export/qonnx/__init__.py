"""The target `qonnx`: the net after its encoder, for tools that make circuits of quantized nets."""

from bimetal.export.qonnx.options import QonnxOptions
from bimetal.export.qonnx.places import PLACES
from bimetal.export.qonnx.writer import check, write
from bimetal.export.target import Target
from bimetal.ops import Dense, Encode, Link, Readout

__all__ = ["TARGET", "QonnxOptions"]

TARGET = Target(
    "qonnx",
    "QONNX for FINN and hls4ml: the net after the encoder",
    ".qonnx",
    (Encode, Dense, Readout, Link),
    QonnxOptions,
    write,
    PLACES,
    check=check,
)
