"""Pictures come whole, channels first, and as their publishers made them, or not at all."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimetal import datasets
from bimetal.datasets import pictures
from bimetal.datasets.files import FOLDER_VARIABLE
from bimetal.datasets.pictures import PARTS, PICTURES, fingerprint
from bimetal.errors import DataError

FOLDER = os.environ.get(FOLDER_VARIABLE, "")

# pictures, channels, height and width, first labels, mean of the training part over 255
PUBLISHED = {
    "mnist": ((60_000, 1, 28, 28), 10_000, [5, 0, 4, 1, 9], 0.1307),
    "fashion_mnist": ((60_000, 1, 28, 28), 10_000, None, 0.2860),
    "usps": ((7291, 1, 16, 16), 2007, [6, 5, 4, 7, 3], None),
    "cifar10_subset": ((10_000, 3, 32, 32), 1000, [6, 9, 9, 4, 1], 0.4734),  # of all 50,000
}


@pytest.mark.parametrize("name", datasets.picture_names())
def test_real_pictures_have_the_published_sizes_labels_and_mean(name: str) -> None:
    if not FOLDER or not (Path(FOLDER) / name / f"{name}.npz").is_file():
        pytest.skip(f"{name} is not in the folder {FOLDER_VARIABLE} names")
    loaded = datasets.load_pictures(name)
    shape, n_test, first, mean = PUBLISHED[name]
    assert loaded.x_train.shape == shape
    assert loaded.x_test.shape == (n_test, *shape[1:])
    assert loaded.x_train.dtype == loaded.x_test.dtype == np.uint8
    assert loaded.x_train.flags.c_contiguous
    assert loaded.y_train.dtype == loaded.y_test.dtype == np.int64
    assert set(loaded.y_train) == set(loaded.y_test) == set(range(len(loaded.classes)))
    assert first is None or loaded.y_train[:5].tolist() == first
    assert mean is None or loaded.x_train.mean() / 255 == pytest.approx(mean, abs=2e-3)


def test_every_set_of_pictures_is_named_once() -> None:
    assert len(set(datasets.picture_names())) == len(datasets.picture_names())
    assert set(datasets.picture_names()) == set(PUBLISHED)


# --- small ones, made here -------------------------------------------------------------------


def made(shape: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, n in (("train", 30), ("test", 10)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[f"y_{part}"] = (np.arange(n) % 10).astype(np.uint8)
    return arrays


def stored(
    name: str, arrays: dict[str, Any], folder: Path, patch: pytest.MonkeyPatch, **stand_in: Any
) -> None:
    """Store the arrays where pictures are looked for, and expect pictures of such sizes."""
    patch.setenv(FOLDER_VARIABLE, str(folder))
    (folder / name).mkdir(exist_ok=True)
    np.savez(folder / name / f"{name}.npz", **arrays)
    expect = {"n_train": 30, "n_test": 10} | stand_in
    patch.setattr(
        pictures,
        "PICTURES",
        tuple(dataclasses.replace(s, **expect) if s.name == name else s for s in PICTURES),
    )


@pytest.mark.parametrize(("name", "shape"), [("mnist", (28, 28)), ("cifar10_subset", (32, 32, 3))])
def test_stored_pictures_come_back_channels_first(
    name: str, shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = made(shape)
    sha256 = fingerprint(*(arrays[part] for part in PARTS))
    stored(name, arrays, tmp_path, monkeypatch, sha256=sha256)
    loaded = datasets.load_pictures(name)
    back = loaded.x_train.transpose(0, 2, 3, 1).reshape(arrays["x_train"].shape)
    assert (back == arrays["x_train"]).all()
    assert (loaded.y_test == arrays["y_test"]).all()
    assert (loaded.y_train.dtype, loaded.x_test.ndim) == (np.int64, 4)


def test_the_fingerprint_sees_pixels_and_labels_but_not_the_order() -> None:
    arrays = made((4, 4))
    x, y = arrays["x_train"], arrays["y_train"]
    order = np.random.default_rng(1).permutation(len(x))
    other = x.copy()
    other[3, 2, 1] ^= 1
    swapped = y.copy()
    swapped[[0, 1]] = y[[1, 0]]
    assert fingerprint(x[order], y[order]) == fingerprint(x, y.astype(np.int64))
    assert fingerprint(other, y) != fingerprint(x, y)
    assert fingerprint(x, swapped) != fingerprint(x, y)


def without(arrays: dict[str, Any], part: str) -> dict[str, Any]:
    return {key: value for key, value in arrays.items() if key != part}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: without(a, "y_test"), "cannot be read as an npz file .*y_test"),
        (lambda a: a | {"y_test": np.array([None] * 10)}, "cannot be read .*allow_pickle"),
        (lambda a: a | {"x_train": a["x_train"] / 255}, r"uint8 of shape \(30, 28, 28\), got fl"),
        (lambda a: a | {"x_test": a["x_test"][:9]}, r"x_test should be .*got uint8 of \(9, 28, 28"),
        (lambda a: a | {"x_train": a["x_train"][:, None]}, r"got uint8 of \(30, 1, 28, 28\)"),
        (lambda a: a | {"y_train": a["y_train"][:, None]}, r"y_train should be integers of shape"),
        (lambda a: a | {"y_train": a["y_train"] + 0.5}, "y_train should be integers .*float64"),
        (lambda a: a | {"y_test": a["y_test"] + 1}, "labels of 0 to 9, got 1 to 10"),
        (lambda a: a | {"y_test": a["y_test"].astype(int) - 1}, "labels of 0 to 9, got -1 to 8"),
        (lambda a: a, r"holds other pictures or labels than mnist: .*get it anew from https"),
    ],
)
def test_a_file_of_something_else_is_refused(
    change: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored("mnist", change(made((28, 28))), tmp_path, monkeypatch)
    with pytest.raises(DataError, match=message):
        datasets.load_pictures("mnist")


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_file_cut_short_or_damaged_is_refused(
    keep: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored("mnist", made((28, 28)), tmp_path, monkeypatch)
    path = tmp_path / "mnist" / "mnist.npz"
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw))])
    with pytest.raises(DataError, match="cannot be read as an npz file"):
        datasets.load_pictures("mnist")
    path.write_bytes(raw[:2000] + bytes(500) + raw[2500:])
    with pytest.raises(DataError, match="cannot be read as an npz file"):
        datasets.load_pictures("mnist")


def test_a_lone_array_is_no_npz_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored("mnist", made((28, 28)), tmp_path, monkeypatch)
    with (tmp_path / "mnist" / "mnist.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="cannot be read as an npz file"):
        datasets.load_pictures("mnist")


@pytest.mark.parametrize("name", datasets.picture_names())
def test_without_a_file_the_error_says_how_to_get_and_store_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (str(tmp_path), ""):
        monkeypatch.setenv(FOLDER_VARIABLE, folder)
        with pytest.raises(DataError, match=rf"'{name}' is not at hand: .*https?://") as error:
            datasets.load_pictures(name)
        assert f"{name}/{name}.npz" in str(error.value)
        assert "x_train, y_train, x_test, y_test" in str(error.value)
        assert FOLDER_VARIABLE in str(error.value)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no set of pictures is called 'cifar10'.*'cifar10_sub"):
        datasets.load_pictures("cifar10")
