"""Nets in the order of XNOR-Net (Rastegari et al. 2016, arXiv:1603.05279): norm → sign → layer → pool.

The norm comes before the sign and the pooling after the sums, so that no sign is taken of what was
pooled as bits, and each sum is scaled by the mean of its |weights|. The scale K of the inputs is left
out, as in the authors' own code. A ReLU stands behind each binary layer, as in the layouts of
XNOR-Net-PyTorch; first and last layers, float there, have 8-bit weights here.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from bimetal.nn import Binarizer
from bimetal.zoo.base import Net, check_sizes, scaled, seeded, size_after
from bimetal.zoo.kits import Bits, Floats, Kit, PadValue
from bimetal.zoo.layouts import Stage

__all__ = ["lenet5_xnor", "xnor_alexnet"]


@dataclass(frozen=True)
class XnorLayout:
    """Convolutions with their poolings, fully connected layers, and the dropout before the last."""

    name: str
    stages: tuple[Stage, ...]
    dense: tuple[int, ...]
    dropout: float = 0.0

    def size(self, n: int) -> int:
        """Return how many pixels of `n` are left along one axis."""
        for stage in self.stages:
            n = stage.size(n) if n > 0 else 0
        return n


LENET5 = XnorLayout(
    "lenet5_xnor", (Stage(20, 5, pool=(2, 2)), Stage(50, 5, pool=(2, 2))), dense=(500,)
)
ALEXNET = XnorLayout(
    "xnor_alexnet",
    (
        Stage(96, 11, stride=4, padding=2, pool=(3, 2)),
        Stage(256, 5, padding=2, pool=(3, 2)),
        Stage(384, 3, padding=1),
        Stage(384, 3, padding=1),
        Stage(256, 3, padding=1, pool=(3, 2)),
    ),
    dense=(4096, 4096),
    dropout=0.5,
)


def lenet5_xnor(
    n_classes: int = 10,
    image_size: int = 28,
    in_channels: int = 1,
    width: float = 1.0,
    *,
    binary: bool = True,
    binarizer: str | Binarizer = "xnor",
    surrogate_name: str = "clipped",
    pad_value: PadValue = -1,
    seed: int | None = None,
) -> Net:
    """Return a LeNet-5-sized XNOR net: 99.23 % on MNIST in XNOR-Net-PyTorch, 99.34 % in floats.

    20C5 in 8 bits – P2 – 50C5 – P2 – 500FC – 10FC in 8 bits. It differs from that code in the norm
    before the fully connected layer, which is one for each channel here and for each neuron there.

    Parameters
    ----------
    n_classes, image_size, in_channels : int
        Answers, height and width of the pictures (at least 16), and their channels.
    width : float, default 1.0
        Factor of all channels and neurons, for small nets.
    binary : bool, default True
        Which of the twins; the float one has no signs.
    binarizer, surrogate_name, pad_value
        Of the binary twin: of weights, of activations, and of the edge.
    seed : int, optional
        Of the weights; by default torch's own generator goes on.

    Raises
    ------
    DataError
        When an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> net = lenet5_xnor(width=0.2, seed=0)
    >>> net.eval()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    return _xnor_net(LENET5, kit, n_classes, (in_channels, image_size), width, seed)


def xnor_alexnet(
    n_classes: int = 1000,
    image_size: int = 224,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    binary: bool = True,
    binarizer: str | Binarizer = "xnor",
    surrogate_name: str = "clipped",
    pad_value: PadValue = -1,
    seed: int | None = None,
) -> Net:
    """Return XNOR-Net's AlexNet: 44.2 % on ImageNet in the paper, 44.87 % in XNOR-Net-PyTorch.

    96C11/4 in 8 bits – P3/2 – 256C5 – P3/2 – 384C3 – 384C3 – 256C3 – P3/2 – 2 × 4096FC – 1000FC in 8 bits.
    Pictures have 224 pixels and the first convolution a padding of 2, where that code has 227 and none;
    `image_size` is at least 63. Other parameters and errors are those of `lenet5_xnor`.

    Examples
    --------
    >>> import torch
    >>> net = xnor_alexnet(n_classes=7, image_size=63, width=0.0625, seed=0)
    >>> net.eval()(torch.zeros(2, 3, 63, 63)).shape
    torch.Size([2, 7])
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    return _xnor_net(ALEXNET, kit, n_classes, (in_channels, image_size), width, seed)


def _xnor_net(
    layout: XnorLayout,
    kit: Kit,
    n_classes: int,
    image: tuple[int, int],
    width: float,
    seed: int | None,
) -> Net:
    check_sizes(n_classes, *image)
    size = size_after(layout.name, layout.size, image[1])
    with seeded(seed):
        layers = _convolutions(layout, kit, image[0], width)
        n_dense = [scaled(n, width) for n in layout.dense]
        n_in = scaled(layout.stages[-1].n_out, width) * size * size
        layers += [nn.Flatten()]
        for i, (n, n_next) in enumerate(pairwise([n_in, *n_dense])):
            drop = [nn.Dropout(layout.dropout)] if i and layout.dropout else []
            layer = kit.linear(n, n_next)
            layers += [*([kit.act()] if i else []), *drop, layer, nn.ReLU(), kit.norm(layer)]
        return Net(layers, kit.head(n_dense[-1], n_classes), (*image, image[1]))


def _convolutions(layout: XnorLayout, kit: Kit, in_channels: int, width: float) -> list[nn.Module]:
    """Return convolution → ReLU → pooling → norm → sign for each stage."""
    layers: list[nn.Module] = []
    n = in_channels
    for i, s in enumerate(layout.stages):
        n_out, sizes = scaled(s.n_out, width), (s.kernel, s.stride, s.padding)
        conv = [kit.conv(n, n_out, *sizes)] if i else kit.first(n, n_out, *sizes)
        own_norm = [] if i else [kit.norm(conv[-1])]
        pool = [] if s.pool is None else [nn.MaxPool2d(*s.pool)]
        layers += [*conv, *own_norm, nn.ReLU(), *pool, kit.norm(conv[-1]), kit.act()]
        n = n_out
    return layers
