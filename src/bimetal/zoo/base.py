"""What all nets of the zoo share: they know the shape of what they read."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from bimetal.errors import DataError

__all__ = ["Net", "check_sizes", "scaled", "seeded", "size_after"]


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
