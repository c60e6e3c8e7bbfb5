"""Where does the sign flip? Not worked out by algebra but asked of the trained layers themselves.

What stands between a sum and its sign (a norm, a shift, a slope) acts on each channel by itself and
rises or falls with the sum. So it is evaluated on sums that can occur, and the one place where the
sign flips is read off: on all of them, if there are few enough, and else by halving, where both
sides of the place that is found, and a few hundred places elsewhere, are asked again as a check.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bimetal.errors import ProgramError

__all__ = [
    "FLOATS",
    "Answers",
    "Crossing",
    "Span",
    "crossing",
    "layers_answer",
]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Answers = Callable[[Ints], Bools]
"""Numbers of places, (k, n_channels) → whether each channel fires there."""

MOST_ASKED = 2**17  # places that are asked one by one
AT_ONCE = 2**21  # answers of one call: few enough to stay in the cache
N_PROBES = 256


@dataclass(frozen=True)
class Span:
    """The values that something can take: ``low, low + step, ... high``.

    Floats are counted in the order of their bit patterns, so that −0.0 and +0.0 are both 0 and the
    next larger float of every float is one further.
    """

    low: int
    high: int
    step: int = 1
    is_float: bool = False

    @property
    def n(self) -> int:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    def values(self, places: Ints) -> NDArray[np.float32]:
        """Return the values at these places (0 is the lowest) as float32."""
        counts = self.low + self.step * places
        if not self.is_float:
            return counts.astype(np.float32)
        magnitude = np.abs(counts).astype(np.uint32).view(np.float32)
        return np.where(counts < 0, -magnitude, magnitude).astype(np.float32)


_LARGEST = int(np.float32(np.finfo(np.float32).max).view(np.uint32))
FLOATS = Span(-_LARGEST, _LARGEST, is_float=True)
"""All finite float32."""


@dataclass(frozen=True)
class Crossing:
    """For each channel: it fires from place `at` on, or, where it `falls`, below place `at` only.

    Always is ``at = 0`` and rising, never is ``at = 0`` and falling.
    """

    at: Ints
    falls: Bools


def crossing(fires: Answers, n_places: int, n_channels: int) -> Crossing:
    """Return where each channel begins or ceases to fire.

    Parameters
    ----------
    fires : callable
        Asked about places from 0 to `n_places` − 1.
    n_places, n_channels : int
        At least 1.

    Raises
    ------
    ProgramError
        When a channel was found to begin or cease to fire more than once.

    Examples
    --------
    >>> found = crossing(lambda places: places >= np.array([3, 0]), n_places=9, n_channels=2)
    >>> found.at.tolist(), found.falls.tolist()
    ([3, 0], [False, False])
    """
    if n_places <= MOST_ASKED:
        return _ask_all(fires, n_places, n_channels)
    return _ask_by_halving(fires, n_places, n_channels)


def _ask_all(fires: Answers, n_places: int, n_channels: int) -> Crossing:
    first = previous = fires(np.zeros((1, n_channels), np.int64))[0]
    flips, n_fire = np.zeros(n_channels, np.int64), np.zeros(n_channels, np.int64)
    chunk = max(1, AT_ONCE // n_channels)
    for start in range(0, n_places, chunk):
        places = np.arange(start, min(start + chunk, n_places))
        answers = fires(np.broadcast_to(places[:, None], (len(places), n_channels)))
        n_fire += np.count_nonzero(answers, axis=0)
        flips += np.count_nonzero(answers[1:] != answers[:-1], axis=0) + (answers[0] != previous)
        previous = answers[-1]
    _require_monotone(bool((flips <= 1).all()))
    falls = (first & (flips == 1)) | (n_fire == 0)
    return Crossing(np.where(falls, n_fire, n_places - n_fire), falls)


def _ask_by_halving(fires: Answers, n_places: int, n_channels: int) -> Crossing:
    ends = np.broadcast_to(np.array([[0], [n_places - 1]]), (2, n_channels))
    first, last = fires(ends)
    # invariant: the answer at `low` is that at the lower end, the answer at `high` that at the upper
    low, high = np.zeros(n_channels, np.int64), np.full(n_channels, n_places - 1, np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        is_first = fires(middle[None])[0] == first
        low, high = np.where(is_first, middle, low), np.where(is_first, high, middle)
    is_constant = first == last
    found = Crossing(np.where(is_constant, 0, high), np.where(is_constant, ~first, first))
    _check_probes(fires, found, n_places)
    return found


def _check_probes(fires: Answers, found: Crossing, n_places: int) -> None:
    """Ask beside the crossing, farther and farther from it on both sides, and at even distances."""
    steps = 2 ** np.arange(n_places.bit_length())
    even = np.linspace(0, n_places - 1, N_PROBES).astype(np.int64)
    near = np.concatenate([-steps, [0], steps])[:, None] + found.at
    far = np.broadcast_to(even[:, None], (len(even), len(found.at)))
    places = np.concatenate([near, far]).clip(0, n_places - 1)
    _require_monotone(bool((fires(places) == ((places >= found.at) != found.falls)).all()))


def _require_monotone(holds: bool) -> None:
    if not holds:
        raise ProgramError(
            "what stands between a binary layer and its sign is not monotone; it has no single "
            "threshold (a slope of PReLU below 0 is one cause)"
        )


def layers_answer(layers: Sequence[nn.Module], span: Span, n_axes: int) -> Answers:
    """Return what `layers`, one after another, answer about the values of a span.

    They are asked in the layout in which they run, since torch's norms round by the layout:
    (n_rows, n_channels) after a dense layer (no axes), (n_rows, n_channels, length) on a sequence
    (one axis), (n_rows, n_channels, height, width) on a map (two).
    """

    @torch.no_grad()
    def fires(places: Ints) -> Bools:
        x = torch.from_numpy(span.values(places))
        if n_axes:
            x = x.T.contiguous().view(1, x.shape[1], len(x), *[1] * (n_axes - 1))
        for layer in layers:
            x = layer(x)
        answers: Bools = (x >= 0).numpy()
        return answers.reshape(places.shape[::-1]).T if n_axes else answers

    return fires
