"""What all nets of the zoo share: they know the shape of what they read, and can be calibrated.

A net of random weights answers much the same for every input unless its norms fit the sums they
get, so `calibrate` is what makes an untrained net a fair test of lowering.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.activations import Bytes

__all__ = ["Net", "calibrate", "check_sizes", "scaled", "seeded", "size_after"]

Norm = nn.BatchNorm1d | nn.BatchNorm2d


class Net(nn.Sequential):
    """Features, then a classifier.

    Parameters
    ----------
    features, classifier : iterable of torch.nn.Module
        Layers, in their order.
    image_shape : tuple of int
        What the net reads without the rows: (channels, height, width), or (channels, length).
    between : mapping of str to torch.nn.Module, optional
        What stands between the two, by name.

    Examples
    --------
    >>> net = Net([nn.Flatten()], [nn.Linear(4, 3)], (1, 2, 2))
    >>> net(torch.zeros(5, 1, 2, 2)).shape
    torch.Size([5, 3])
    """

    image_shape: tuple[int, ...]

    def __init__(
        self,
        features: Iterable[nn.Module],
        classifier: Iterable[nn.Module],
        image_shape: tuple[int, ...],
        between: Mapping[str, nn.Module] | None = None,
    ) -> None:
        ends = nn.Sequential(*features), nn.Sequential(*classifier)
        super().__init__(
            OrderedDict({"features": ends[0], **(between or {}), "classifier": ends[1]})
        )
        self.image_shape = image_shape


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw from a generator of this seed within a ``with`` block; None goes on with torch's own."""
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def check_sizes(*sizes: int) -> None:
    """Raise `DataError` unless sizes (channels, pixels, neurons, classes) are at least 1."""
    if min(sizes) < 1:
        raise DataError(f"sizes must be at least 1, got {min(sizes)} among {list(sizes)}")


def scaled(n: int, width: float) -> int:
    """Return `width` times `n` channels, at least 1.

    Raises
    ------
    DataError
        When the width is not positive.

    Examples
    --------
    >>> scaled(128, 0.25)
    32
    """
    if not width > 0:
        raise DataError(f"width must be above 0, got {width}")
    return max(1, round(n * width))


def size_after(name: str, size: Callable[[int], int], image_size: int) -> int:
    """Return the height (and width) of the last map of a net.

    Parameters
    ----------
    name : str
        Of the net, for the error.
    size : callable
        Pixels of the picture along one axis → of the last map; not positive if none is left.
    image_size : int
        Of the picture.

    Raises
    ------
    DataError
        When the picture is too small.

    Examples
    --------
    >>> size_after("net", lambda n: n // 8, 32)
    4
    """
    left = size(image_size)
    if left < 1:
        least = next(n for n in range(1, 1000) if size(n) >= 1)
        raise DataError(f"{name} needs an image_size of at least {least}, got {image_size}")
    return left


@torch.no_grad()
def calibrate(net: Net, images: Tensor | None = None, seed: int = 0) -> None:
    """Set the statistics of all batch norms, and the ranges of all `Bytes`, to those of some inputs.

    A net with random weights answers much the same for every input unless its norms fit the sums
    they get. Nets of the zoo begin with statistics that fit independent random bits; this fits them
    to real inputs instead, as an epoch of training would.

    Parameters
    ----------
    net : Net
        Binary or not; changed in place.
    images : torch.Tensor, optional
        (n_rows, *net.image_shape) of 0 to 255, two rows at least; by default eight of noise.
    seed : int, default 0
        Of the noise.

    Raises
    ------
    DataError
        When there are fewer than two inputs.

    Examples
    --------
    >>> net = Net([nn.Flatten(), nn.BatchNorm1d(4)], [], (1, 2, 2))
    >>> calibrate(net)
    >>> bool(net.features[1].running_mean.min() > 50)
    True
    """
    if images is None:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (8, *net.image_shape), generator=generator).float()
    if len(images) < 2:
        raise DataError(f"statistics need two pictures at least, got {len(images)}")
    norms = [m for m in net.modules() if isinstance(m, Norm)]
    ranges = [m for m in net.modules() if isinstance(m, Bytes) and m.momentum is not None]
    modes = {m: m.training for m in net.modules()}
    momenta = [norm.momentum for norm in norms]
    net.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches, here of one
        norm.train()
    for each in ranges:
        each.n_batches.zero_()
        each.train()
    net(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, mode in modes.items():
        module.training = mode
