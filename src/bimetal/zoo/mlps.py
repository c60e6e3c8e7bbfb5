"""Fully connected nets of the literature, each as a binary net and as its float32 twin.

* `binaryconnect_mlp`: Courbariaux et al. 2015 (arXiv:1511.00363), binary weights, ReLU activations.
* `binarynet_mlp`: Courbariaux & Hubara et al. 2016 (arXiv:1602.02830), both binary.
* `xnor_mlp`: Rastegari et al. 2016 (arXiv:1603.05279), norm → sign → layer, scaled by mean |w|.
* `finn_mlp`: Umuroglu et al. 2017 (arXiv:1612.07119), input and answers binary as well.

All of them read pictures of 0 to 255, so the data needs no other preparation.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from bimetal.errors import DataError
from bimetal.nn import BitPlanes, TensorNorm, Thermometer
from bimetal.nn.activations import Pixels
from bimetal.zoo.base import Net, check_sizes, seeded
from bimetal.zoo.kits import Bits, Floats, Kit

__all__ = ["PixelStem", "binaryconnect_mlp", "binarynet_mlp", "finn_mlp", "xnor_mlp"]

PixelStem = Literal["pixels", "threshold", "thermometer", "planes"]
STEMS: dict[PixelStem, tuple[Callable[[int], nn.Module], Callable[[int], int]]] = {
    "pixels": (lambda n_levels: Pixels(0.5, 0.5), lambda n_levels: 1),
    "threshold": (lambda n_levels: Thermometer(1), lambda n_levels: 1),
    "thermometer": (Thermometer, lambda n_levels: n_levels),
    "planes": (lambda n_levels: BitPlanes(), lambda n_levels: 8),
}
"""From pixels to what the first layer reads, and how many of it there are for each pixel."""


def binarynet_mlp(
    hidden: Sequence[int] = (4096, 4096, 4096),
    n_classes: int = 10,
    image_size: int = 28,
    in_channels: int = 1,
    *,
    binary: bool = True,
    stem: PixelStem = "pixels",
    n_levels: int = 8,
    dropout: tuple[float, float] = (0.2, 0.5),
    surrogate_name: str = "clipped",
    seed: int | None = None,
) -> Net:
    """Return BinaryNet's permutation-invariant MLP: published 0.96 % error on MNIST.

    Dropout → [binary layer → norm → sign → dropout] × 3 → binary layer → norm.

    Parameters
    ----------
    hidden : sequence of int
        Neurons of each hidden layer.
    n_classes, image_size, in_channels : int
        Answers, height and width of the pictures, and their channels.
    binary : bool, default True
        Which of the twins; the float one has ReLU and reads pixels.
    stem : {"pixels", "threshold", "thermometer", "planes"}
        What the first layer reads: pixels of −1 to 1 as in the paper, one bit a pixel, `n_levels`
        thermometer bits a pixel, or its eight binary digits.
    n_levels : int, default 8
        Of the thermometer.
    dropout : tuple of float
        Of the input and of the hidden layers.
    surrogate_name : str, default "clipped"
        Of activations and weights.
    seed : int, optional
        Of the weights; by default torch's own generator goes on.

    Raises
    ------
    DataError
        When an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> net = binarynet_mlp(hidden=(16, 16), seed=0)
    >>> net.eval()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    kit: Kit = Bits(surrogate_name, surrogate_name) if binary else Floats()
    shape = (in_channels, image_size, image_size)
    with seeded(seed):
        start, n_in = _start(stem if binary else "pixels", shape, n_levels, dropout[0])
        middle, last = _stack(kit, [n_in, *hidden, n_classes], kit.act, dropout[1])
        return Net([*start, *middle], [last, kit.norm(last)], shape)


def binaryconnect_mlp(
    hidden: Sequence[int] = (1024, 1024, 1024),
    n_classes: int = 10,
    image_size: int = 28,
    in_channels: int = 1,
    *,
    binary: bool = True,
    stochastic: bool = False,
    dropout: tuple[float, float] = (0.0, 0.0),
    seed: int | None = None,
) -> Net:
    """Return BinaryConnect's MLP: published 1.29 % error on MNIST, 1.18 % when `stochastic`.

    [Binary layer → norm → ReLU] × 3 → binary layer → norm. Its activations are real, so for a Program
    they are made bytes, which learns nothing anew: ``lower_cnn(with_byte_activations(net, pictures))``.
    Other parameters and errors are those of `binarynet_mlp`.

    Parameters
    ----------
    stochastic : bool, default False
        Whether weights are drawn at random in training, see `bimetal.nn.binarizers.drawn_signs`.

    Examples
    --------
    >>> import torch
    >>> net = binaryconnect_mlp(hidden=(16, 16), seed=0)
    >>> net.eval()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    kit: Kit = Bits(f"binaryconnect{'_stochastic' * stochastic}") if binary else Floats()
    shape = (in_channels, image_size, image_size)
    with seeded(seed):
        start, n_in = _start("pixels", shape, 0, dropout[0])
        middle, last = _stack(kit, [n_in, *hidden, n_classes], nn.ReLU, dropout[1])
        return Net([*start, *middle], [last, kit.norm(last)], shape)


def xnor_mlp(
    hidden: Sequence[int] = (1024, 1024, 1024),
    n_classes: int = 10,
    image_size: int = 28,
    in_channels: int = 1,
    *,
    binary: bool = True,
    binarizer: str = "xnor",
    dropout: float = 0.0,
    seed: int | None = None,
) -> Net:
    """Return an MLP in the order of XNOR-Net, its first and last layers in 8 bits.

    8-bit layer → [norm → sign → dropout → binary layer × α] × (n − 1) → norm → sign → 8-bit layer.
    Other parameters and errors are those of `binarynet_mlp`.

    Parameters
    ----------
    binarizer : str, default "xnor"
        Of the weights, see `bimetal.nn.BINARIZERS`.
    dropout : float, default 0.0
        Before each binary layer.

    Examples
    --------
    >>> import torch
    >>> net = xnor_mlp(hidden=(16, 16), seed=0)
    >>> net.eval()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    kit: Kit = Bits(binarizer) if binary else Floats()
    shape = (in_channels, image_size, image_size)
    check_sizes(*shape, *hidden, n_classes)
    if not hidden:
        raise DataError("xnor_mlp needs a hidden layer, got none")
    with seeded(seed):
        first = kit.first(in_channels, hidden[0], (image_size, image_size))
        layers = [*first, kit.norm(first[-1]), nn.Flatten(), kit.act(), nn.Dropout(dropout)]
        for n, n_next in pairwise(hidden):
            layer = kit.linear(n, n_next)
            layers += [layer, kit.norm(layer), kit.act(), nn.Dropout(dropout)]
        return Net(layers[:-1], [kit.last(hidden[-1], n_classes)], shape)


def finn_mlp(
    width: int = 64,
    n_classes: int = 10,
    image_size: int = 28,
    in_channels: int = 1,
    *,
    n_hidden: int = 3,
    binary: bool = True,
    dropout: float = 0.2,
    surrogate_name: str = "clipped",
    seed: int | None = None,
) -> Net:
    """Return the fully binary MLP of FINN: one bit a pixel, and binary weights throughout.

    A width of 64, 256 or 1024 is TFC, SFC or LFC: 93.17, 97.81 and 98.88 % on MNIST as trained by
    Brevitas. Dropout → [binary layer → norm → sign → dropout] × 3 → binary layer → `TensorNorm`.
    Other parameters and errors are those of `binarynet_mlp`.

    Parameters
    ----------
    width : int, default 64
        Neurons of each hidden layer.
    n_hidden : int, default 3
        Hidden layers.
    dropout : float, default 0.2
        Of the input and of the hidden layers.

    Examples
    --------
    >>> import torch
    >>> net = finn_mlp(64, seed=0)
    >>> net.eval()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    kit: Kit = Bits(surrogate_name, surrogate_name) if binary else Floats()
    shape = (in_channels, image_size, image_size)
    with seeded(seed):
        start, n_in = _start("threshold" if binary else "pixels", shape, 1, dropout)
        sizes = [n_in, *[width] * n_hidden, n_classes]
        middle, last = _stack(kit, sizes, kit.act, dropout)
        return Net([*start, *middle], [last, _tensor_norm(n_classes, sizes[-2])], shape)


def _start(
    stem: PixelStem, shape: tuple[int, int, int], n_levels: int, dropout: float
) -> tuple[list[nn.Module], int]:
    """Return the layers from pixels to the first row, and its length."""
    check_sizes(*shape)
    if stem not in STEMS:
        raise DataError(f"stem must be one of {list(STEMS)}, got {stem!r}")
    make, n_each = STEMS[stem]
    n_in = shape[0] * shape[1] * shape[2] * n_each(n_levels)
    return [make(n_levels), nn.Dropout(dropout), nn.Flatten()], n_in


def _stack(
    kit: Kit, sizes: Sequence[int], act: Callable[[], nn.Module], dropout: float
) -> tuple[list[nn.Module], nn.Module]:
    """Return the hidden layers, and the last one, whose norm is the caller's."""
    check_sizes(*sizes)
    layers: list[nn.Module] = []
    for n, n_next in pairwise(sizes[:-1]):
        layer = kit.linear(n, n_next)
        layers += [layer, kit.norm(layer), act(), nn.Dropout(dropout)]
    return layers, kit.linear(sizes[-2], sizes[-1])


def _tensor_norm(n: int, variance: float) -> TensorNorm:
    """Return the norm with the variance of sums of random bits."""
    norm = TensorNorm(n)
    norm.running_var.fill_(variance)
    return norm
