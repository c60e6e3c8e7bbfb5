"""Families together: what one leaves over, another takes.

A binary net taught by the user's model, the same at twice the width (a bit is cheap, and width is what
binary nets lack: WRPN, Mishra et al. 2018, arXiv:1709.01134), on channels that pruning left, and low
rank or fewer channels with 8 bits.
"""

from collections.abc import Iterator

from bimetal.compress.binarization import binary_candidate
from bimetal.compress.deploy import as_int8
from bimetal.compress.graph import without_channels
from bimetal.compress.lesson import Lesson
from bimetal.compress.low_rank import factorized
from bimetal.compress.pruning import kept_channels
from bimetal.compress.result import Candidate

__all__ = ["channels_and_8_bits", "channels_and_binary", "distilled_binary", "low_rank_and_8_bits",
           "wide_binary"]  # fmt: skip

FAMILY = "combination"
HOW = "bi_real"


def distilled_binary(lesson: Lesson) -> Iterator[Candidate]:
    """Teach a binary twin by the user's model."""
    note = "taught by the user's model"
    yield binary_candidate(lesson, "binary, distilled", FAMILY, note, HOW, is_distilled=True)


def wide_binary(lesson: Lesson) -> Iterator[Candidate]:
    """Teach a binary twin of twice the width."""
    note = "twice the channels, taught by the user's model"
    yield binary_candidate(
        lesson, "binary, twice as wide, distilled", FAMILY, note, HOW, width=2, is_distilled=True
    )


def channels_and_binary(lesson: Lesson) -> Iterator[Candidate]:
    """Take channels out, then teach a binary twin of what is left."""
    model = without_channels(lesson.model, kept_channels(lesson.model, 0.25))
    note = "a quarter of the channels taken out first, taught by the user's model"
    name = "channels pruned, 25% + binary, distilled"
    yield binary_candidate(lesson, name, FAMILY, note, HOW, model=model, is_distilled=True)


def channels_and_8_bits(lesson: Lesson) -> Iterator[Candidate]:
    """Take channels out, fine-tune, then 8 bits."""
    name = "channels pruned, 50% + 8 bit"
    model = without_channels(lesson.model, kept_channels(lesson.model, 0.5))
    seconds = lesson.tune(model, name)
    note = "half of the channels taken out, fine-tuned, then 8 bits, static"
    yield Candidate(name, FAMILY, note, model, as_int8, seconds)


def low_rank_and_8_bits(lesson: Lesson) -> Iterator[Candidate]:
    """Factorize, fine-tune, then 8 bits."""
    name = "low rank, 75% energy + 8 bit"
    model = factorized(lesson.model, 0.75)
    seconds = lesson.tune(model, name)
    note = "layers split in two, fine-tuned, then 8 bits, static"
    yield Candidate(name, FAMILY, note, model, as_int8, seconds)
