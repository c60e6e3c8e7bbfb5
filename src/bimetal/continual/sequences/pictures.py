"""Sequences of pictures, on which the literature of forgetting states its numbers.

Pixels in another order for each task (permuted MNIST: Goodfellow et al. 2013, arXiv:1312.6211), two
classes at a time (split MNIST: Zenke, Poole & Ganguli 2017, arXiv:1703.04200; by domain and by class:
van de Ven & Tolias 2019, arXiv:1904.07734), one set of pictures after another, and one set in small
pieces (both Laborieux et al. 2021). Tasks are made when they are asked for, and what is drawn depends on
the name, the split, the seed and the number of the task alone.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.sequence import Scenario, Sequence, Task
from bimetal.continual.sequences.maker import SequenceMaker, Split, drawn_order
from bimetal.continual.sequences.patches import patch_rows
from bimetal.continual.sequences.rows import SMALL_DIGITS, Rows, rows_of
from bimetal.errors import DataError

__all__ = ["PICTURE_SEQUENCES"]

N_CLASSES = 10
STREAM_TASKS, STREAM_ROWS = 60, 1_000
PERMUTED_ROWS = 20_000
USPS_SIDE, USPS_PADDING = 16, 6  # 6 + 16 + 6 = 28
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "usps": "USPS"}
KINDS = (("vehicles", (0, 1, 8, 9)), ("animals", (2, 3, 4, 5, 6, 7)))  # labels of CIFAR-10
ASKED: dict[Split, str] = {
    "test": "Asked about the test pictures.",
    "validation": "To choose by: asked about the last training pictures, which are not learned from.",
}


# --- pixels in another order for each task -------------------------------------------------------


def _permuted_maker(name: str, title: str, pictures: str, n_tasks: int) -> SequenceMaker:
    needs = () if pictures == SMALL_DIGITS else (pictures,)
    build = partial(_permuted, name, title, pictures, n_tasks)
    return SequenceMaker(name, title, needs, build, n_tasks)


def _permuted(
    name: str,
    title: str,
    pictures: str,
    default: int,
    seed: int,
    split: Split,
    n_tasks: int | None,
    n_rows: int | None,
) -> Sequence:
    """Build a sequence of tasks that each see the pixels in an order of their own, the first one too."""
    n_rows = n_rows or PERMUTED_ROWS
    rows = rows_of(pictures, split).first(n_rows)
    note = (
        f"The first {len(rows.x_train):,} training pictures; every task, the first one too, sees the pixels in "
        f"an order of its own. {ASKED[split]}"
    )
    make = partial(_permutation, pictures, split, n_rows, (name, split, seed))
    return Sequence(
        name, title, n_tasks or default, rows.x_train.shape[1], N_CLASSES, "domain", make, note
    )


def _permutation(
    pictures: str, split: Split, n_rows: int, key: tuple[object, ...], number: int
) -> Task:
    rows = rows_of(pictures, split).first(n_rows)
    pixels = drawn_order(rows.x_train.shape[1], *key, number)
    return rows.ordered(pixels).task(f"permutation {number + 1}")


# --- two classes at a time -----------------------------------------------------------------------


def _split_maker(name: str, title: str, *, is_class: bool) -> SequenceMaker:
    build = partial(_split, name, title, is_class)
    n = N_CLASSES // 2
    return SequenceMaker(name, title, ("mnist",), build, n_tasks=n, most_tasks=n)


def _split(
    name: str,
    title: str,
    is_class: bool,
    seed: int,
    split: Split,
    n_tasks: int | None,
    n_rows: int | None,
) -> Sequence:
    """Build a sequence of pairs of digits; the answer is the place in the pair, or the digit itself."""
    rows_of("mnist", split)  # missing data is told now, not with the first task
    is_natural = seed == 0 and split == "test"
    digits = np.arange(N_CLASSES) if is_natural else drawn_order(N_CLASSES, name, split, seed)
    pairs = digits.reshape(-1, 2).tolist()[:n_tasks]
    answer = "the digit" if is_class else "which of the two it is, the first or the second"
    note = f"{', '.join(map(_pair_name, pairs))}; the answer is {answer}. {ASKED[split]}"
    make = partial(_pair, pairs, is_class, split, n_rows)
    n_classes = N_CLASSES if is_class else 2
    scenario: Scenario = "class" if is_class else "domain"
    return Sequence(name, title, len(pairs), 784, n_classes, scenario, make, note)


def _pair(
    pairs: list[list[int]], is_class: bool, split: Split, n_rows: int | None, number: int
) -> Task:
    pair = pairs[number]
    rows = rows_of("mnist", split).of_classes(pair)
    if not is_class:
        y_train, y_test = ((y == pair[1]).astype(np.int64) for y in (rows.y_train, rows.y_test))
        rows = Rows(rows.x_train, y_train, rows.x_test, y_test)
    return rows.task(_pair_name(pair), n_rows)


def _pair_name(pair: list[int]) -> str:
    return f"{pair[0]} and {pair[1]}"


# --- one set of pictures after another -----------------------------------------------------------


def _whole_maker(name: str, *sets: str) -> SequenceMaker:
    title = " → ".join(TITLES[each] for each in sets)
    return SequenceMaker(name, title, sets, partial(_whole, name, title, sets), n_tasks=len(sets))


def _whole(
    name: str,
    title: str,
    sets: tuple[str, ...],
    seed: int,
    split: Split,
    n_tasks: int | None,
    n_rows: int | None,
) -> Sequence:
    """Build a sequence of whole sets of pictures; tasks beyond their number are the same ones again."""
    del seed  # nothing is drawn
    for each in sets:
        rows_of(each, split)
    padding = " USPS has a margin of 6 black pixels all around." if "usps" in sets else ""
    note = f"Nothing is drawn, and all sets have the same ten outputs.{padding} {ASKED[split]}"
    make = partial(_whole_set, sets, split, n_rows)
    return Sequence(name, title, n_tasks or len(sets), 784, N_CLASSES, "domain", make, note)


def _whole_set(sets: tuple[str, ...], split: Split, n_rows: int | None, number: int) -> Task:
    visit, place = divmod(number, len(sets))
    rows = rows_of(sets[place], split).first(n_rows)
    if sets[place] == "usps":
        rows = Rows(_padded(rows.x_train), rows.y_train, _padded(rows.x_test), rows.y_test)
    return rows.task(TITLES[sets[place]] + " again" * bool(visit))


def _padded(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    margin = (USPS_PADDING, USPS_PADDING)
    pictures = np.pad(x.reshape(-1, USPS_SIDE, USPS_SIDE), ((0, 0), margin, margin))
    return pictures.reshape(len(x), -1)


# --- one set of pictures in small pieces ---------------------------------------------------------


def _stream_maker(name: str, pictures: str) -> SequenceMaker:
    title = f"{TITLES[pictures]} in small pieces"
    build = partial(_stream, name, title, pictures)
    return SequenceMaker(name, title, (pictures,), build, n_tasks=STREAM_TASKS)


def _stream(
    name: str,
    title: str,
    pictures: str,
    seed: int,
    split: Split,
    n_tasks: int | None,
    n_rows: int | None,
) -> Sequence:
    """Build a stream of pieces of one set of pictures, each picture in one of them at most."""
    size, n_all = n_rows or STREAM_ROWS, len(rows_of(pictures, split).y_train)
    n = n_tasks or min(STREAM_TASKS, max(1, n_all // size))
    if n * size > n_all:
        raise DataError(
            f"{name}: {n} pieces of {size:,} pictures are more than the {n_all:,} there are; ask for fewer "
            "tasks or rows"
        )
    note = (
        f"Pieces of {size:,} pictures in a drawn order, none seen twice. After every piece the same rows are "
        "asked about, so R[i, j] is the same for all j: how good the net is after piece i. "
        f"{ASKED[split]}"
    )
    make = partial(_piece, pictures, split, size, (name, split, seed))
    return Sequence(name, title, n, 784, N_CLASSES, "stream", make, note)


def _piece(pictures: str, split: Split, size: int, key: tuple[object, ...], number: int) -> Task:
    rows = rows_of(pictures, split)
    places = drawn_order(len(rows.y_train), *key)[number * size : (number + 1) * size]
    piece = Rows(rows.x_train[places], rows.y_train[places], rows.x_test, rows.y_test)
    return piece.task(f"piece {number + 1}")


# --- features of coloured pictures ---------------------------------------------------------------


def _cifar_features(
    name: str, title: str, seed: int, split: Split, n_tasks: int | None, n_rows: int | None
) -> Sequence:
    """Build vehicles → animals on features of patches, made from training pictures of vehicles."""
    del seed  # neither the order nor the features are drawn anew
    n_in = patch_rows("cifar10_subset", split, KINDS[0][1]).x_train.shape[1]
    note = (
        f"A part of CIFAR-10 as {n_in:,} features of small patches (Coates, Lee & Ng 2011), which are made from "
        "training pictures of vehicles without their labels. They are not the features of a pretrained ResNet "
        f"that the paper has, and accuracies do not compare with its own. {ASKED[split]}"
    )
    make = partial(_kind, split, n_rows)
    return Sequence(name, title, n_tasks or len(KINDS), n_in, N_CLASSES, "class", make, note)


def _kind(split: Split, n_rows: int | None, number: int) -> Task:
    kind, classes = KINDS[number]
    rows = patch_rows("cifar10_subset", split, KINDS[0][1])
    return rows.of_classes(classes).task(kind, n_rows)


def _cifar_maker(name: str, title: str) -> SequenceMaker:
    build = partial(_cifar_features, name, title)
    return SequenceMaker(name, title, ("cifar10_subset",), build, n_tasks=2, most_tasks=2)


PICTURE_SEQUENCES: tuple[SequenceMaker, ...] = (
    _permuted_maker(
        "digits", "permuted digits, 8 × 8 pixels, of scikit-learn", SMALL_DIGITS, n_tasks=5
    ),
    _permuted_maker("permuted_mnist", "permuted MNIST", "mnist", n_tasks=10),
    _split_maker("split_mnist_domain", "split MNIST, which of two", is_class=False),
    _split_maker("split_mnist_class", "split MNIST, which of ten", is_class=True),
    _whole_maker("mnist_fashion", "mnist", "fashion_mnist"),
    _whole_maker("fashion_mnist", "fashion_mnist", "mnist"),
    _whole_maker("digits_clothes", "mnist", "usps", "fashion_mnist"),
    _stream_maker("stream_mnist", "mnist"),
    _stream_maker("stream_fashion", "fashion_mnist"),
    _cifar_maker("cifar_features", "vehicles → animals of CIFAR-10"),
)
