"""The small VGG of the binary literature, for pictures of 32 × 32.

Six 3×3 convolutions and three poolings, in BinaryNet's order: convolution → pooling → norm → sign, so
that whole sums are pooled, not bits (`vgg16` and `alexnet` pool bits, which costs less to run).
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from bimetal.errors import DataError
from bimetal.nn import Binarizer
from bimetal.zoo.base import Net, check_sizes, scaled, seeded, size_after
from bimetal.zoo.kits import Bits, Floats, Kit, PadValue
from bimetal.zoo.nets import Last

__all__ = ["vgg_small"]

CHANNELS = (128, 128, 256, 256, 512, 512)


def vgg_small(
    n_classes: int = 10,
    image_size: int = 32,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    dense: Sequence[int] = (1024, 1024),
    binary: bool = True,
    last: Last = "1bit",
    binarizer: str | Binarizer = "binarynet",
    surrogate_name: str = "clipped",
    pad_value: PadValue = -1,
    seed: int | None = None,
) -> Net:
    """Return BinaryNet's VGG for CIFAR-10, published 11.40 % error (arXiv:1602.02830).

    2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 2 × 1024FC – 10FC. The "VGG-small" of later papers
    (LQ-Nets, IR-Net: 90.4 %, ReCU: 92.2 %) is ``dense=(), last="8bit"``. Two things differ from the
    papers: the first convolution has 8-bit weights (BinaryNet: binary ones on 8-bit pixels; the later
    papers: float ones), and the edge of a convolution is `pad_value`, by default −1 and not 0.

    Parameters
    ----------
    n_classes, image_size, in_channels : int
        Answers, height and width of the pictures (at least 8), and their channels.
    width : float, default 1.0
        Factor of all channels and neurons, for small nets.
    dense : sequence of int
        Neurons of the fully connected layers but the last.
    binary : bool, default True
        Which of the twins; the float one has ReLU in place of the sign.
    last : {"1bit", "8bit"}
        Weights of the last layer; a norm follows the binary one.
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
    >>> net = vgg_small(width=0.0625, seed=0)
    >>> net.eval()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    check_sizes(n_classes, in_channels, image_size, *dense)
    if last not in ("1bit", "8bit"):
        raise DataError(f"last must be one of ('1bit', '8bit'), got {last!r}")
    size = size_after("vgg_small", lambda n: n // 8, image_size)
    with seeded(seed):
        channels = [in_channels, *(scaled(n, width) for n in CHANNELS)]
        features = [*_convolutions(kit, channels), nn.Flatten()]
        sizes = [channels[-1] * size * size, *(scaled(n, width) for n in dense)]
        for n, n_next in pairwise(sizes):
            layer = kit.linear(n, n_next)
            features += [layer, kit.norm(layer), kit.act()]
        shape = (in_channels, image_size, image_size)
        return Net(features, _answers(kit, sizes[-1], n_classes, last), shape)


def _convolutions(kit: Kit, channels: Sequence[int]) -> list[nn.Module]:
    """Return the convolutions, every second of them pooled."""
    layers: list[nn.Module] = []
    for i, (n, n_next) in enumerate(pairwise(channels)):
        is_pooled = i % 2 == 1
        conv = [kit.conv(n, n_next, 3, padding=1)] if i else kit.first(n, n_next, 3, padding=1)
        pool = [nn.MaxPool2d(2)] if is_pooled else []
        layers += [*conv, *pool, kit.norm(conv[-1], 4 if is_pooled else 1), kit.act()]
    return layers


def _answers(kit: Kit, n_in: int, n_classes: int, last: Last) -> list[nn.Module]:
    if last == "8bit":
        return [kit.last(n_in, n_classes)]
    layer = kit.linear(n_in, n_classes)
    return [layer, kit.norm(layer)]
