"""Pictures to learn from, by name: digits, garments, and a part of CIFAR-10, checked as they are read.

They are the ones that the literature of binarized nets states its numbers on. Nothing is downloaded
and nothing is redistributed here: each is one npz file in the folder that ``BIMETAL_DATA`` names, and
where it is missing the error says where to get it and how to store it.
"""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.datasets.files import find, how_to_get, named
from bimetal.errors import DataError

__all__ = ["Pictures", "load_pictures", "picture_names"]

PARTS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures with their classes.

    Attributes
    ----------
    name, title : str
        The name to load them by, and their full one.
    x_train, x_test : numpy.ndarray
        uint8 arrays of shape (n_rows, n_channels, height, width).
    y_train, y_test : numpy.ndarray
        int64 arrays of shape (n_rows,): places in `classes`.
    classes : tuple of str
        What the labels mean.
    licence, caveats : str
        On what terms they come, and what to beware of.
    """

    name: str
    title: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    classes: tuple[str, ...]
    licence: str
    caveats: str = ""


@dataclass(frozen=True)
class PictureSource:
    """A row of the catalogue below; `sha256` is the `fingerprint` of the four arrays.

    Attributes
    ----------
    name, title, licence, caveats, classes
        As in `Pictures`.
    page : str
        Where a reader finds the pictures.
    shape : tuple of int
        Of one picture as stored: (height, width), or (height, width, n_channels).
    n_train, n_test : int
        Pictures in each part.
    sha256 : str
        Expected fingerprint.
    """

    name: str
    title: str
    licence: str
    page: str
    shape: tuple[int, ...]
    n_train: int
    n_test: int
    classes: tuple[str, ...]
    sha256: str
    caveats: str = ""


DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
THINGS = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

PICTURES: tuple[PictureSource, ...] = (
    PictureSource(
        "mnist",
        "MNIST handwritten digits",
        "CC BY-SA 3.0 (LeCun, Cortes and Burges)",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz (as it is)",
        shape=(28, 28),
        n_train=60_000,
        n_test=10_000,
        classes=DIGITS,
        sha256="bc652dcd86cf4fc07b4db1e31cf9c237f3fc2ac7d9eda6a0ffa9b76897068ab8",
    ),
    PictureSource(
        "fashion_mnist",
        "Fashion-MNIST",
        "MIT (Zalando SE)",
        "https://github.com/zalandoresearch/fashion-mnist",
        shape=(28, 28),
        n_train=60_000,
        n_test=10_000,
        classes=GARMENTS,
        sha256="caf66866a1a9dfdd9fb1bab248531c0f1f33f63fd8db107828f61e094d3fd996",
        caveats="The rows may be in any order.",
    ),
    PictureSource(
        "usps",
        "USPS zip codes",
        "not stated by the publisher",
        "https://hastie.su.domains/ElemStatLearn/data.html (ZIP code; zip.train.gz, zip.test.gz)",
        shape=(16, 16),
        n_train=7291,
        n_test=2007,
        classes=DIGITS,
        sha256="51b36555bac2cbb509e737099e2ea7dc1a5b3be664cdb097ff23edc73e676887",
        caveats="Published as numbers v of −1 to 1; stored as np.rint(127.5 * (v + 1)). The test part "
        "is harder than the training part: people err on 2.5 % of it.",
    ),
    PictureSource(
        "cifar10_subset",
        "CIFAR-10: the first training batch and the first 1,000 test pictures",
        "not stated by the publisher (Krizhevsky 2009)",
        "https://www.cs.toronto.edu/~kriz/cifar.html (data_batch_1; test_batch, the first 1,000)",
        shape=(32, 32, 3),
        n_train=10_000,
        n_test=1000,
        classes=THINGS,
        sha256="13ec5ccec6deabcdc15111c762dbe27310888bbef16aa25f443abebcecfc5c04",
        caveats="A subset: a fifth of the training pictures and a tenth of the test ones, so no "
        "accuracy on it compares with a published one.",
    ),
)


def picture_names() -> tuple[str, ...]:
    """Return the names that `load_pictures` knows.

    Examples
    --------
    >>> picture_names()
    ('mnist', 'fashion_mnist', 'usps', 'cifar10_subset')
    """
    return tuple(source.name for source in PICTURES)


def load_pictures(name: str) -> Pictures:
    """Load pictures from ``<name>/<name>.npz`` in the folder that ``BIMETAL_DATA`` names.

    The file holds the arrays ``x_train``, ``y_train``, ``x_test`` and ``y_test``; pictures as uint8
    of shape (n_rows, height, width) or (n_rows, height, width, n_channels), labels as integers.

    Parameters
    ----------
    name : str
        One of `picture_names`.

    Raises
    ------
    DataError
        When there are no pictures of that name, the file is not there (the message says how to get
        it), cannot be read, or holds something else than expected.
    """
    source = named(name, PICTURES, "set of pictures")
    path = find(name, (".npz",))
    if path is None:
        why = "no such file, and pictures are not downloaded"
        form = f"an npz file of the arrays {', '.join(PARTS)} (see load_pictures)"
        raise DataError(how_to_get(name, why, source.page, f"{name}/{name}.npz", form))
    arrays = _read(path)
    _check(source, path, arrays)
    return Pictures(
        name,
        source.title,
        _channels_first(arrays["x_train"]),
        arrays["y_train"].astype(np.int64),
        _channels_first(arrays["x_test"]),
        arrays["y_test"].astype(np.int64),
        source.classes,
        source.licence,
        source.caveats,
    )


def fingerprint(*parts: NDArray[np.generic]) -> str:
    """Return the sha256 of the sums of the pixels of each class, whatever the order of the rows.

    Publishers and copies differ in the order of rows, which is no error; a changed pixel, or a
    picture with another's label, is one, and changes a sum.

    Parameters
    ----------
    *parts : numpy.ndarray
        Pictures (n_rows, ...) and labels (n_rows,), by turns.

    Examples
    --------
    >>> x, y = np.arange(6, dtype=np.uint8).reshape(3, 2), np.array([0, 1, 0])
    >>> fingerprint(x, y) == fingerprint(x[::-1], y[::-1]) != fingerprint(x, y[[1, 0, 2]])
    True
    """
    digest = hashlib.sha256()
    for x, y in zip(parts[::2], parts[1::2], strict=True):
        for label in np.unique(y):
            rows = x[y == label]
            digest.update(f"{label} {len(rows)} ".encode())
            digest.update(rows.sum(axis=0, dtype=np.uint64).astype("<u8").tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {part: _member(archive, f"{part}.npy") for part in PARTS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as an npz file of {', '.join(PARTS)}: {error}; "
            "replace or remove it"
        ) from error


def _member(archive: zipfile.ZipFile, member: str) -> NDArray[np.generic]:
    with archive.open(member) as file:
        array: NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _check(source: PictureSource, path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    for part, n_rows in (("train", source.n_train), ("test", source.n_test)):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or x.shape != (n_rows, *source.shape):
            wanted = f"uint8 of shape {(n_rows, *source.shape)}"
            raise DataError(f"{path}: x_{part} should be {wanted}, got {x.dtype} of {x.shape}")
        if not np.issubdtype(y.dtype, np.integer) or y.shape != (n_rows,):
            wanted = f"integers of shape {(n_rows,)}"
            raise DataError(f"{path}: y_{part} should be {wanted}, got {y.dtype} of {y.shape}")
        low, high = int(y.min()), int(y.max())
        if low < 0 or high >= len(source.classes):
            wanted = f"labels of 0 to {len(source.classes) - 1}"
            raise DataError(f"{path}: y_{part} should be {wanted}, got {low} to {high}")
    found = fingerprint(*(arrays[part] for part in PARTS))
    if found != source.sha256:
        raise DataError(
            f"{path} holds other pictures or labels than {source.name}: the sums of its pixels have "
            f"the sha256 {found}, not {source.sha256}; get it anew from {source.page}"
        )


def _channels_first(x: NDArray[np.generic]) -> NDArray[np.uint8]:
    pictures = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pictures, dtype=np.uint8)
