"""The list of all nets of the zoo, which tests and documentation read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bimetal.zoo.base import Net
from bimetal.zoo.classic import alexnet, vgg16
from bimetal.zoo.luts import lut_mlp
from bimetal.zoo.mlps import binaryconnect_mlp, binarynet_mlp, finn_mlp, xnor_mlp
from bimetal.zoo.mobile import quicknet, reactnet
from bimetal.zoo.residual import bi_real18, react18
from bimetal.zoo.sequences import binary_tcn
from bimetal.zoo.vgg import vgg_small
from bimetal.zoo.xnor import lenet5_xnor, xnor_alexnet

__all__ = ["NETS", "Architecture"]


@dataclass(frozen=True)
class Architecture:
    """A net of the zoo.

    Attributes
    ----------
    build : callable
        Options → the net; it has ``binary``, ``n_classes`` and ``seed`` among them.
    small : mapping
        Options with which it runs in milliseconds.
    has_real_activations : bool
        Whether only its weights are binary, so that a Program needs its activations in 8 bits: see
        `bimetal.nn.with_byte_activations`.
    """

    build: Callable[..., Net]
    small: Mapping[str, Any] = field(default_factory=dict)
    has_real_activations: bool = False

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.build.__name__

    @property
    def summary(self) -> str:
        """First line of its documentation."""
        return (self.build.__doc__ or "").splitlines()[0]


_SMALL_RESNET = {"image_size": 16, "stem": "cifar", "width": 0.0625}

NETS: tuple[Architecture, ...] = (
    Architecture(
        binaryconnect_mlp, {"hidden": (16, 12), "image_size": 10}, has_real_activations=True
    ),
    Architecture(binarynet_mlp, {"hidden": (16, 12), "image_size": 10}),
    Architecture(xnor_mlp, {"hidden": (16, 12), "image_size": 10}),
    Architecture(finn_mlp, {"width": 16, "image_size": 10}),
    Architecture(lut_mlp, {"hidden": (40,), "votes": 8, "image_size": 10}),
    Architecture(lenet5_xnor, {"image_size": 16, "width": 0.2}),
    Architecture(vgg_small, {"image_size": 16, "width": 0.0625}),
    Architecture(alexnet, {"image_size": 63, "width": 0.0625}),
    Architecture(vgg16, {"image_size": 32, "width": 0.0625}),
    Architecture(xnor_alexnet, {"image_size": 63, "width": 0.0625}),
    Architecture(bi_real18, _SMALL_RESNET),
    Architecture(react18, _SMALL_RESNET),
    Architecture(reactnet, {"image_size": 16, "stem": "cifar", "width": 0.0625}),
    Architecture(
        quicknet, {"image_size": 16, "stem": "cifar", "width": 0.125, "sections": (1, 2, 1, 1)}
    ),
    Architecture(binary_tcn, {"n_channels": 2, "length": 12, "width": 8, "n_blocks": 2}),
)
"""By family: fully connected, chains of convolutions, residual, on time series."""
