"""Knowledge distillation: a narrow copy of the user's model learns from its answers.

The student has the same layers with a part of the channels, new weights, and a loss of two terms: to
the labels, and to the teacher's probabilities (Hinton, Vinyals & Dean 2015, arXiv:1503.02531). The same
student taught by labels alone stands beside it, so that the table tells what the teacher was good for.
"""

from collections.abc import Iterator

import torch
from torch import nn

from bimetal.compress.deploy import as_floats
from bimetal.compress.graph import without_channels
from bimetal.compress.lesson import Lesson
from bimetal.compress.pruning import kept_channels
from bimetal.compress.result import Candidate

__all__ = ["narrower", "students"]

FAMILY = "distillation"
WIDTHS = ((0.5, True), (0.5, False), (0.25, True))
NAMES = {0.5: "half", 0.25: "a quarter"}


def students(lesson: Lesson) -> Iterator[Candidate]:
    """Train narrow copies, with the teacher and, once, without."""
    levels = WIDTHS[:2] if lesson.config.is_quick else WIDTHS
    for width, is_distilled in levels:
        taught = "distilled" if is_distilled else "labels only"
        name = f"student {NAMES[width]} as wide, {taught}"
        model = narrower(lesson.model, width, lesson.config.seed)
        seconds = lesson.fit(model, name, is_distilled=is_distilled)
        note = f"the same layers, {width:.0%} of the channels, trained anew; {taught}"
        yield Candidate(name, FAMILY, note, model, as_floats, seconds)


def narrower(model: nn.Module, width: float, seed: int = 0) -> nn.Module:
    """Return a copy of a model with a part of its inner channels and new weights.

    Parameters
    ----------
    model : torch.nn.Module
        It is left as it is.
    width : float
        Share of the channels that are left in each inner layer.
    seed : int, default 0
        Of the weights.

    Raises
    ------
    DataError
        When no layer has channels that can be taken out.

    Examples
    --------
    >>> narrower(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), 0.5)
    Sequential(
      (0): Linear(in_features=4, out_features=4, bias=True)
      (1): ReLU()
      (2): Linear(in_features=4, out_features=2, bias=True)
    )
    """
    small = without_channels(model, kept_channels(model, 1 - width))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in small.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
    return small
