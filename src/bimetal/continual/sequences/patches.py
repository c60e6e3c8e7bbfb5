"""Features of coloured pictures from small patches, where no pretrained network is at hand.

After Coates, Lee & Ng 2011 ("An analysis of single-layer networks in unsupervised feature learning") and
Coates & Ng 2011 ("The importance of encoding versus training with sparse coding and vector quantization"):
patches are levelled and whitened, compared with a dictionary, thresholded, and summed over the quarters of
the picture. The dictionary is drawn from the patches themselves, which the second paper found nearly as
good as one learned by k-means, and which does not turn a difference in the last digit into other features.
"""

import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bimetal.continual.sequences.maker import Split, drawn_order
from bimetal.continual.sequences.rows import Rows, rows_of
from bimetal.datasets.files import FOLDER_VARIABLE

__all__ = ["Dictionary", "patch_rows"]

SHAPE = (3, 32, 32)
SIDE, STRIDE = 6, 2
N_FILTERS = 64
N_LOOKED_AT, N_PATCHES = 500, 20_000  # pictures and patches that the dictionary is drawn from
LEVEL, WHITE = 10.0, 0.1  # added to variances, as published
THRESHOLD = 1.0
CHUNK = 200
BRIGHT = 99  # percentile of a feature that becomes the byte 255

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Whitened patches that others are compared with.

    Attributes
    ----------
    filters : numpy.ndarray
        float32 (n_pixels of a patch, n_filters).
    offset : numpy.ndarray
        float32 (n_filters,), taken off what the filters say.
    """

    filters: Floats
    offset: Floats

    @classmethod
    def drawn(cls, pictures: Bytes) -> "Dictionary":
        """Draw a dictionary from patches of pictures, uint8 (n_pictures, 3, 32, 32)."""
        patches = _patches(pictures).reshape(-1, SHAPE[0] * SIDE * SIDE)
        patches = patches[drawn_order(len(patches), "patches")[:N_PATCHES]]
        mean, white = _whitening(patches)
        chosen = (patches[:N_FILTERS] - mean) @ white
        chosen /= np.linalg.norm(chosen, axis=1, keepdims=True)
        filters = (white @ chosen.T).astype(np.float32)
        return cls(filters, mean @ filters)

    def features(self, pictures: Bytes) -> Floats:
        """Return float32 (n_pictures, 4 · 2 · n_filters), not negative.

        Four quarters, and in each how much is like a filter and how much is like its opposite.
        """
        parts = range(0, len(pictures), CHUNK)
        return np.concatenate([self._features(pictures[i : i + CHUNK]) for i in parts])

    def _features(self, pictures: Bytes) -> Floats:
        alike = _patches(pictures) @ self.filters - self.offset
        half = alike.shape[1] // 2
        quarters = (alike[:, i : i + half, j : j + half] for i in (0, half) for j in (0, half))
        sums = [np.maximum(s * q - THRESHOLD, 0).sum((1, 2)) for q in quarters for s in (1, -1)]
        return np.concatenate(sums, axis=1)


def patch_rows(name: str, split: Split, classes: tuple[int, ...]) -> Rows:
    """Return coloured pictures as rows of bytes that say how much there is of which patch, and where.

    Dictionary and scales come from training pictures of `classes` alone, those of the first task, and
    from no label of theirs. On one machine they are always the same; elsewhere a byte may differ by one.

    Raises
    ------
    DataError
        When the pictures are not at hand.
    """
    return _patch_rows(name, split, classes, os.environ.get(FOLDER_VARIABLE))


@lru_cache(maxsize=2)
def _patch_rows(name: str, split: Split, classes: tuple[int, ...], folder: str | None) -> Rows:
    del folder  # tells the cache one from another
    rows = rows_of(name, split)
    known = rows.x_train[np.isin(rows.y_train, classes)].reshape(-1, *SHAPE)
    dictionary = Dictionary.drawn(known[:N_LOOKED_AT])
    train, test = (dictionary.features(x.reshape(-1, *SHAPE)) for x in (rows.x_train, rows.x_test))
    bright = np.percentile(train[np.isin(rows.y_train, classes)], BRIGHT, axis=0)
    scale = (255 / np.maximum(bright, 1e-6)).astype(np.float32)
    return Rows(_bytes(train * scale), rows.y_train, _bytes(test * scale), rows.y_test)


def _patches(pictures: Bytes) -> Floats:
    """Return float32 (n, height, width, n_pixels): every second patch, its own mean and contrast taken out."""
    windows = sliding_window_view(pictures, (SIDE, SIDE), axis=(2, 3))[:, :, ::STRIDE, ::STRIDE]
    patches = windows.transpose(0, 2, 3, 1, 4, 5).astype(np.float32)
    patches = patches.reshape(*patches.shape[:3], -1)
    patches -= patches.mean(-1, keepdims=True)
    patches /= np.sqrt(patches.var(-1, keepdims=True) + LEVEL)
    return patches


def _whitening(patches: Floats) -> tuple[Floats, Floats]:
    """Return mean and ZCA matrix: (patches − mean) @ matrix have no correlations left."""
    mean = patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov(patches.T.astype(np.float64)))
    matrix = (vectors / np.sqrt(values + WHITE)) @ vectors.T
    return mean, matrix.astype(np.float32)


def _bytes(values: Floats) -> Bytes:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
