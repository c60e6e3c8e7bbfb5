"""The architectures as data: what AlexNet and VGG-16 are, whatever their numbers are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bimetal.errors import DataError

__all__ = ["ALEXNET", "IMAGENET_MEAN", "IMAGENET_STD", "VGG16", "Layout", "Stage"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Stage:
    """One convolution, and the max pooling after it if there is one."""

    n_out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: tuple[int, int] | None = None  # kernel, stride

    def size(self, n: int) -> int:
        """Return how many pixels of `n` are left along one axis; not positive if none is.

        Examples
        --------
        >>> Stage(64, 11, 4, 2, pool=(3, 2)).size(224)
        27
        """
        n = (n + 2 * self.padding - self.kernel) // self.stride + 1
        return n if self.pool is None else (n - self.pool[0]) // self.pool[1] + 1


@dataclass(frozen=True)
class Layout:
    """Convolutions, then fully connected layers, then the classes.

    Attributes
    ----------
    stages : tuple of Stage
        The convolutions.
    dense : tuple of int
        Neurons of the fully connected layers but the last.
    drops_first : bool
        Whether the float net has its dropout before those layers (AlexNet) or after them (VGG).
    """

    name: str
    stages: tuple[Stage, ...]
    dense: tuple[int, ...] = (4096, 4096)
    drops_first: bool = False

    def scaled(self, width: float) -> "Layout":
        """Return the layout with `width` times as many channels and neurons, at least 1 each."""
        if not width > 0:
            raise DataError(f"width must be above 0, got {width}")
        stages = tuple(replace(s, n_out=max(1, round(s.n_out * width))) for s in self.stages)
        return replace(
            self, stages=stages, dense=tuple(max(1, round(n * width)) for n in self.dense)
        )

    def last_size(self, image_size: int) -> int:
        """Return the height (and width) of the last map.

        Raises
        ------
        DataError
            When the picture is too small.
        """
        size = self._size(image_size)
        if size < 1:
            least = next(n for n in range(1, 1000) if self._size(n) >= 1)
            raise DataError(
                f"{self.name} needs an image_size of at least {least}, got {image_size}"
            )
        return size

    def _size(self, size: int) -> int:
        for stage in self.stages:
            size = stage.size(size)
            if size < 1:
                return 0
        return size


ALEXNET = Layout(
    "AlexNet",
    (
        Stage(64, 11, stride=4, padding=2, pool=(3, 2)),
        Stage(192, 5, padding=2, pool=(3, 2)),
        Stage(384, 3, padding=1),
        Stage(256, 3, padding=1),
        Stage(256, 3, padding=1, pool=(3, 2)),
    ),
    drops_first=True,
)
"""One column of Krizhevsky 2014 (arXiv:1404.5997), as in torchvision."""


def _vgg(*widths: Sequence[int]) -> tuple[Stage, ...]:
    """Return blocks of 3×3 convolutions, each block with a pooling at its end."""
    return tuple(
        Stage(n, 3, padding=1, pool=(2, 2) if i == len(block) - 1 else None)
        for block in widths
        for i, n in enumerate(block)
    )


VGG16 = Layout("VGG-16", _vgg([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3))
"""Configuration D of Simonyan & Zisserman 2014 (arXiv:1409.1556), as in torchvision."""
