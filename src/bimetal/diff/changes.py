"""What can differ between two operations of one kind: bits, numbers, the form of an array, wiring.

Arrays of binary weights are compared bit by bit, all others number by number, and numbers by their
bytes: 0.0 and −0.0 differ here because they differ in the file.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import unpack
from bimetal.program import Conv, Dense, Op

__all__ = ["Change", "Flips", "Moves", "Recast", "Rewired", "changes_of"]

Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Flips:
    """Binary weights of one layer that changed their sign; there is one for each layer, flips or none.

    Attributes
    ----------
    op : int
        Number of the operation in the first Program.
    kind : str
        "Dense" or "Conv".
    neurons, inputs : numpy.ndarray
        intp (n_flips,): which neuron (or output channel), and which of the bits it reads: of a Dense
        the number of the input bit, of a Conv the place within the window.
    n_weights, n_neurons : int
        Binary weights and neurons of the layer.
    """

    op: int
    kind: str
    neurons: Places
    inputs: Places
    n_weights: int
    n_neurons: int

    @property
    def n(self) -> int:
        """Weights that flipped."""
        return len(self.neurons)

    @property
    def share(self) -> float:
        """Weights that flipped, of all weights of the layer."""
        return self.n / self.n_weights

    def __str__(self) -> str:
        touched = len(np.unique(self.neurons))
        return (
            f"{self.kind} {self.op}: {self.n:,} of {self.n_weights:,} weights flipped "
            f"({self.share:.2%}), in {touched:,} of {self.n_neurons:,} neurons"
        )

    def values(self, limit: int | None = None) -> dict[str, Any]:
        """Return JSON values; at most `limit` flips are listed, all are counted."""
        listed = np.stack([self.neurons, self.inputs], axis=1)[:limit]
        return {
            "op": self.op, "kind": self.kind, "n": self.n, "n_weights": self.n_weights,
            "share": self.share, "flips": listed.tolist(),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Moves:
    """Numbers of one array (thresholds, points, scales, cut-points) that are others now.

    Attributes
    ----------
    op, kind, array : int, str, str
        Number of the operation in the first Program, its kind, the name of the array.
    places : numpy.ndarray
        intp (n_moves, n_axes): where in the array.
    before, after : numpy.ndarray
        (n_moves,) of the array's own type.
    n_numbers : int
        Numbers in the array.
    """

    op: int
    kind: str
    array: str
    places: Places
    before: NDArray[Any]
    after: NDArray[Any]
    n_numbers: int

    @property
    def n(self) -> int:
        """Numbers that moved."""
        return len(self.before)

    @property
    def largest(self) -> float:
        """The largest distance that any of them moved."""
        with np.errstate(all="ignore"):  # a threshold may be infinite
            far = np.abs(self.after.astype(np.float64) - self.before.astype(np.float64))
        return float(far.max(initial=0.0))

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.op}, {self.array}: {self.n:,} of {self.n_numbers:,} moved, "
            f"the farthest by {self.largest:.6g}"
        )

    def values(self, limit: int | None = None) -> dict[str, Any]:
        """Return JSON values; at most `limit` moves are listed, all are counted."""
        shown = slice(limit)
        rows = zip(
            *(x[shown].tolist() for x in (self.places, self.before, self.after)), strict=True
        )
        return {
            "op": self.op, "kind": self.kind, "array": self.array, "n": self.n, "n_numbers": self.n_numbers,
            "largest": _plain(self.largest),
            "moves": [{"at": at, "from": _plain(a), "to": _plain(b)} for at, a, b in rows],
        }  # fmt: skip


@dataclass(frozen=True)
class Recast:
    """An array of another size or type: neurons were added, say, or points became wider."""

    op: int
    kind: str
    array: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.kind} {self.op}, {self.array}: {self.before} became {self.after}"

    def values(self, limit: int | None = None) -> dict[str, Any]:
        """Return JSON values."""
        del limit
        return dict(vars(self))


@dataclass(frozen=True)
class Rewired:
    """A setting of an operation that is no array: what it reads, its shape, its kind."""

    op: int
    kind: str
    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.kind} {self.op}, {self.name}: {self.before!r} became {self.after!r}"

    def values(self, limit: int | None = None) -> dict[str, Any]:
        """Return JSON values."""
        del limit
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}


Change = Flips | Moves | Recast | Rewired


def changes_of(number: int, a: Op, b: Op) -> Iterator[Change]:
    """Yield how operation `b` differs from `a`, which is of its kind; of binary layers also "not at all"."""
    kind = type(a).__name__
    other = b.scalars()
    for name, scalar in a.scalars().items():
        if scalar != other[name]:
            yield Rewired(number, kind, name, scalar, other[name])
    for name, array in a.arrays().items():
        is_binary = isinstance(a, Dense | Conv) and name == "weights"
        yield from _array_changes(number, a, b, name, array, b.arrays()[name], is_binary)


def _array_changes(
    number: int, a: Op, b: Op, name: str, old: NDArray[Any], new: NDArray[Any], is_binary: bool
) -> Iterator[Change]:
    kind = type(a).__name__
    if old.shape != new.shape or old.dtype != new.dtype:
        yield Recast(number, kind, name, _form(old), _form(new))
    if old.shape != new.shape:
        return
    if is_binary:
        yield _flips(number, a, b, old, new)  # type: ignore[arg-type]
        return
    places = np.argwhere(_differ(old, new))
    if len(places):
        at = tuple(places.T)
        yield Moves(number, kind, name, places, old[at], new[at], old.size)


def _flips(
    number: int, a: Dense | Conv, b: Dense | Conv, old: NDArray[Any], new: NDArray[Any]
) -> Flips:
    n_out, k = len(old), fan_in(a)
    neurons, inputs = np.nonzero(unpack(old ^ new, max(k, fan_in(b))))
    if isinstance(a, Dense):  # each group of neurons reads its own part of the input
        inputs = inputs + neurons // (n_out // a.groups) * k
    return Flips(number, type(a).__name__, neurons, inputs, n_out * k, n_out)


def fan_in(op: Dense | Conv) -> int:
    """Return how many binary weights each neuron of a layer has."""
    if isinstance(op, Dense):
        return op.n_in // op.groups
    return math.prod(op.kernel) * op.shape[2] // op.groups


def _differ(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
    if old.dtype != new.dtype:
        return np.asarray(old != new)
    whole = f"u{old.itemsize}"
    return np.asarray(old.view(whole) != new.view(whole))


def _form(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"


def _plain(number: Any) -> Any:
    """Return a number as JSON can say it: infinite ones as text."""
    return number if math.isfinite(number) else str(number)
