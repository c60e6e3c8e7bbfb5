"""What may be chosen for a QONNX file: whose importer will read it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Flavor", "QonnxOptions"]

Flavor = Literal["finn", "hls4ml"]


@dataclass(frozen=True)
class QonnxOptions:
    """Options of the target `qonnx`.

    Attributes
    ----------
    flavor : str
        "finn": weights and activations through `BipolarQuant` of scale 1, thresholds as plain `Add`.
        "hls4ml": weights, thresholds and the input through `Quant`, as its importer (1.3.0) turns
        weights of `BipolarQuant` into all ones after the first layer.
    """

    flavor: Flavor = "finn"
