"""The data that models are compressed on: pictures or rows of features, in three parts.

Training rows teach, validation rows choose the best epoch (and may choose a model), test rows are
looked at once, for the table. Arrays come as they are, from an npz file, or by the name of a set of
pictures.
"""

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bimetal.datasets.pictures import load_pictures, picture_names
from bimetal.errors import DataError, NotFiniteError

__all__ = ["CompressData", "Part", "read_data"]

MIN_TRAIN, MIN_HELD_OUT = 32, 8
SHARE_VALID, SHARE_TEST = 0.1, 0.2
ARRAYS = "x_train, y_train, x_test and y_test (x_valid and y_valid if you like), or x and y"

Reads = Literal["floats", "bytes"]


class Part(NamedTuple):
    """Rows with their labels: uint8 or float32 (n_rows, ...), and int64 (n_rows,)."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True, eq=False)
class CompressData:
    """Training, validation and test rows.

    Attributes
    ----------
    train, valid, test : Part
        The rows, and labels from 0. Rows are uint8 or float32 of shape (n_rows, n_features),
        (n_rows, channels, length) for sequences, or (n_rows, channels, height, width) for pictures;
        uint8 of three axes are grey pictures.
    name : str
        What tables and pages call it.

    Raises
    ------
    DataError
        When shapes contradict each other, rows are too few, or labels are none.
    NotFiniteError
        When a value is missing or infinite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> data = CompressData.split(rng.normal(size=(100, 4)), rng.integers(0, 3, 100))
    >>> len(data.train.y), len(data.valid.y), len(data.test.y), data.n_classes
    (72, 8, 20, 3)
    """

    train: Part
    valid: Part
    test: Part
    name: str = "data"

    def __post_init__(self) -> None:
        for name in ("train", "valid", "test"):
            _check_part(name, getattr(self, name), self.train.x, self.train.y)

    @classmethod
    def of(
        cls,
        train: tuple[ArrayLike, ArrayLike],
        test: tuple[ArrayLike, ArrayLike],
        valid: tuple[ArrayLike, ArrayLike] | None = None,
        *,
        name: str = "data",
        is_time_ordered: bool = False,
        seed: int = 0,
    ) -> "CompressData":
        """Put arrays together; without validation rows, a tenth of the training rows are those.

        They are the latest where rows are in the order of time, else drawn at random.
        """
        whole = _part(*train)
        if valid is not None:
            return cls(whole, _part(*valid), _part(*test), name)
        kept, held = _cut(whole, SHARE_VALID, is_time_ordered, seed)
        return cls(kept, held, _part(*test), name)

    @classmethod
    def split(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        *,
        name: str = "data",
        is_time_ordered: bool = False,
        seed: int = 0,
    ) -> "CompressData":
        """Hold out a fifth of the rows to test, and a tenth of the rest to validate.

        They are the latest where rows are in the order of time, else drawn at random.
        """
        rest, test = _cut(_part(x, y), SHARE_TEST, is_time_ordered, seed)
        kept, held = _cut(rest, SHARE_VALID, is_time_ordered, seed)
        return cls(kept, held, test, name)

    def shortened(self, n_train: int, n_held: int) -> "CompressData":
        """Return some rows of each part, evenly spaced (they may be in the order of class or time)."""
        train, valid = _some(self.train, n_train), _some(self.valid, n_held)
        return CompressData(train, valid, _some(self.test, n_held), self.name)

    @cached_property
    def n_classes(self) -> int:
        """Classes: the largest label of the training rows, and one."""
        return int(self.train.y.max()) + 1

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return tuple(self.train.x.shape[1:])

    @property
    def picture_shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of a row; a sequence is one pixel high; None for features."""
        channels, *size = self.sample_shape
        if len(size) not in (1, 2):
            return None
        return channels, size[0] if len(size) == 2 else 1, size[-1]

    @cached_property
    def span(self) -> tuple[float, float]:
        """What a model sees for the bytes 0 and 255: 0 and 1 for bytes, else the extreme values."""
        if self.train.x.dtype == torch.uint8:
            return 0.0, 1.0
        return float(self.train.x.min()), float(self.train.x.max())

    def floats(self, x: Tensor) -> Tensor:
        """Return rows as the user's model reads them: float32, bytes divided by 255."""
        return x.float() / 255 if x.dtype == torch.uint8 else x

    def bytes(self, x: Tensor) -> Tensor:
        """Return pictures as whole numbers of 0 to 255, in float32, as a Program reads them."""
        if x.dtype != torch.uint8:
            low, high = self.span
            x = ((x - low) * (255 / (high - low or 1.0))).round().clamp(0, 255)
        shape = self.picture_shape or self.sample_shape
        return x.float().view(len(x), *shape)

    def read(self, x: Tensor, reads: Reads) -> Tensor:
        """Return rows in one of the two ways above."""
        return self.bytes(x) if reads == "bytes" else self.floats(x)


def read_data(
    source: str | os.PathLike[str], *, is_time_ordered: bool = False, seed: int = 0
) -> CompressData:
    """Read an npz file, or load pictures by their name.

    Parameters
    ----------
    source : str or path-like
        A file of the arrays x_train, y_train, x_test and y_test (x_valid and y_valid if you like),
        or of x and y, which are split; or a name in `bimetal.datasets.picture_names`.
    is_time_ordered : bool, default False
        Whether rows are in the order of time: then the latest are held out.
    seed : int, default 0
        Of a split at random.

    Raises
    ------
    DataError
        When there is no such file or name, or the arrays are others.
    """
    how: dict[str, Any] = {"is_time_ordered": is_time_ordered, "seed": seed}
    if str(source) in picture_names():
        found = load_pictures(str(source))
        train, test = (found.x_train, found.y_train), (found.x_test, found.y_test)
        return CompressData.of(train, test, name=found.title, **how)
    arrays = _read_npz(Path(source))
    how["name"] = Path(source).stem
    if {"x_train", "y_train", "x_test", "y_test"} <= set(arrays):
        valid = (arrays["x_valid"], arrays["y_valid"]) if "x_valid" in arrays else None
        train, test = ((arrays[f"x_{p}"], arrays[f"y_{p}"]) for p in ("train", "test"))
        return CompressData.of(train, test, valid, **how)
    if {"x", "y"} <= set(arrays):
        return CompressData.split(arrays["x"], arrays["y"], **how)
    raise DataError(f"'{source}' holds the arrays {sorted(arrays)}; {ARRAYS} expected")


def _read_npz(path: Path) -> Mapping[str, NDArray[Any]]:
    if not path.is_file():
        raise DataError(
            f"there is no file '{path}', and no pictures of that name; expected an npz file of "
            f"{ARRAYS}, or one of {', '.join(picture_names())}"
        )
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive of arrays, which np.savez writes")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"'{path}' cannot be read as an npz file of plain arrays: {error}"
        ) from error
    if ("x_valid" in arrays) != ("y_valid" in arrays):
        raise DataError(f"'{path}' holds one of x_valid and y_valid; both or neither expected")
    return arrays


def _part(x: ArrayLike, y: ArrayLike) -> Part:
    rows, labels = np.asarray(x), np.asarray(y)
    if rows.dtype.kind not in "biuf" or rows.ndim < 2:
        raise DataError(
            "rows are numbers of shape (n_rows, n_features) or (n_rows, channels, height, width), got "
            f"{rows.dtype} of shape {rows.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != rows.shape[:1]:
        raise DataError(
            f"labels are whole numbers from 0, one for each of {len(rows)} rows; got {labels.dtype} of "
            f"shape {labels.shape}"
        )
    if rows.dtype != np.uint8:
        rows = rows.astype(np.float32)
    elif rows.ndim == 3:
        rows = rows[:, None]  # pictures of one channel
    return Part(
        torch.from_numpy(np.array(rows, order="C")), torch.from_numpy(labels.astype(np.int64))
    )


def _check_part(name: str, part: Part, like: Tensor, train_labels: Tensor) -> None:
    least = MIN_TRAIN if name == "train" else MIN_HELD_OUT
    if len(part.y) < least:
        raise DataError(f"the {name} part needs at least {least} rows, got {len(part.y)}")
    if part.x.shape[1:] != like.shape[1:] or part.x.dtype != like.dtype:
        raise DataError(
            f"rows of the {name} part are {part.x.dtype} of {tuple(part.x.shape[1:])}, those of the "
            f"train part {like.dtype} of {tuple(like.shape[1:])}"
        )
    if not torch.isfinite(part.x.float()).all():
        raise NotFiniteError(f"the {name} part holds missing or infinite values; fill or drop them")
    n_classes = int(train_labels.max()) + 1
    low, high = int(part.y.min()), int(part.y.max())
    if low < 0 or high >= n_classes or n_classes < 2:
        raise DataError(
            f"labels count from 0, and the largest one occurs in the train part; the {name} part "
            f"holds {low} to {high}, the train part up to {n_classes - 1}, at least 1 expected"
        )


def _some(part: Part, n: int) -> Part:
    rows = torch.linspace(0, len(part.y) - 1, min(n, len(part.y))).round().long()
    return Part(part.x[rows], part.y[rows])


def _cut(part: Part, share: float, is_time_ordered: bool, seed: int) -> tuple[Part, Part]:
    n = len(part.y)
    generator = torch.Generator().manual_seed(seed)
    order = torch.arange(n) if is_time_ordered else torch.randperm(n, generator=generator)
    kept, held = order[: n - round(share * n)], order[n - round(share * n) :]
    return Part(part.x[kept], part.y[kept]), Part(part.x[held], part.y[held])
