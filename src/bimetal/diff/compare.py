"""Two Programs side by side: columns, classes, encoder bits, operations.

Operations are paired by their order where both Programs have the same kinds of them, and otherwise as
lines of text are: what is alike stays together, the rest was added or removed. So any two Programs can
be compared, also such as have nothing in common.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, TypeVar

from bimetal.diff.changes import Change, Flips, Moves, Recast, Rewired, changes_of
from bimetal.diff.patch import Patch
from bimetal.program import Encode, Op, Program
from bimetal.wording import bit_names

__all__ = ["ProgramDiff", "diff"]

T = TypeVar("T", Flips, Moves, Recast, Rewired)
MAX_NAMES = 5
"""Names listed on a line of a summary."""


@dataclass(frozen=True, eq=False)
class ProgramDiff:
    """How `b` differs from `a`. Golden rows and provenance do not count: they are no part of the id.

    Attributes
    ----------
    a, b : Program
        The two Programs.
    columns_added, columns_removed, columns_changed : tuple of str
        By name; a changed one is of another kind, or has other categories.
    is_reordered : bool
        Whether columns stand in another order.
    is_relabelled : bool
        Whether the classes differ.
    bits_added, bits_removed : tuple of str
        What encoder bits ask, in words, of `b` alone and of `a` alone.
    ops_added, ops_removed : tuple of str
        Kind and number of operations without a counterpart.
    changes : tuple
        `Flips`, `Moves`, `Recast` and `Rewired` of operations that have one.
    """

    a: Program
    b: Program
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    columns_changed: tuple[str, ...]
    is_reordered: bool
    is_relabelled: bool
    bits_added: tuple[str, ...]
    bits_removed: tuple[str, ...]
    ops_added: tuple[str, ...]
    ops_removed: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def flips(self) -> tuple[Flips, ...]:
        """One for each pair of binary layers of one size, flips or none."""
        return self._of(Flips)

    @property
    def moves(self) -> tuple[Moves, ...]:
        """One for each array of numbers of which some moved."""
        return self._of(Moves)

    @property
    def recasts(self) -> tuple[Recast, ...]:
        """Arrays of another size or type."""
        return self._of(Recast)

    @property
    def rewired(self) -> tuple[Rewired, ...]:
        """Settings of operations that are others now."""
        return self._of(Rewired)

    def _of(self, kind: type[T]) -> tuple[T, ...]:
        return tuple(change for change in self.changes if isinstance(change, kind))

    @property
    def n_flips(self) -> int:
        """Binary weights that flipped, of all layers."""
        return sum(layer.n for layer in self.flips)

    @property
    def flip_share(self) -> float:
        """Binary weights that flipped, of all weights of paired layers; 0.0 if there are none."""
        return self.n_flips / max(1, sum(layer.n_weights for layer in self.flips))

    @property
    def n_moves(self) -> int:
        """Numbers that moved, of all arrays."""
        return sum(moved.n for moved in self.moves)

    @property
    def is_same_structure(self) -> bool:
        """Whether nothing but the values of weights and numbers differs."""
        return not any((*self._structure().values(), self.recasts, self.rewired))

    @property
    def is_empty(self) -> bool:
        """Whether the two are the same function written the same way: their ids are equal."""
        return self.is_same_structure and not self.n_flips and not self.n_moves

    @cached_property
    def patch(self) -> Patch:
        """What turns `a` into `b`, and back."""
        return Patch.between(self.a, self.b)

    def apply(self, program: Program) -> Program:
        """Return `b` from `a`, to the last byte; see `Patch.apply` for what it raises."""
        return self.patch.apply(program)

    def revert(self, program: Program) -> Program:
        """Return `a` from `b`, to the last byte."""
        return self.patch.revert(program)

    def _structure(self) -> dict[str, Any]:
        names = (
            "columns_added", "columns_removed", "columns_changed", "is_reordered", "is_relabelled",
            "bits_added", "bits_removed", "ops_added", "ops_removed",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def values(self, limit: int | None = 1000) -> dict[str, Any]:
        """Return JSON values.

        Parameters
        ----------
        limit : int or None, default 1000
            Flips and moves of one array that are listed at most; all are counted. None lists all.
        """
        structure = {
            k: list(v) if isinstance(v, tuple) else v for k, v in self._structure().items()
        }
        names = ("flips", "moves", "recasts", "rewired")
        return {
            "before": self.a.id, "after": self.b.id, "is_empty": self.is_empty, "n_flips": self.n_flips,
            "flip_share": self.flip_share, "n_moves": self.n_moves, **structure,
            **{name: [change.values(limit) for change in getattr(self, name)] for name in names},
        }  # fmt: skip

    def to_json(self, limit: int | None = 1000) -> str:
        """Return `values` as JSON."""
        return json.dumps(self.values(limit), allow_nan=False)

    def summary(self) -> str:
        """Return it in words, a line for each thing that differs."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return the lines of `summary`."""
        if self.is_empty:
            return [f"the same Program, {self.a.id[:12]}…"]
        head = f"{self.a.id[:12]}… became {self.b.id[:12]}…"
        return [head, *self.structure_lines(), *map(str, (*self.flips, *self.moves))]

    def structure_lines(self) -> list[str]:
        """Return in words what differs besides the values of weights and numbers."""
        told = []
        for name, value in self._structure().items():
            what = name.removeprefix("is_").replace("_", " ").replace("ops", "operations")
            if value:
                told.append(what if value is True else f"{what}: {_some(value)}")
        return told + [str(change) for change in (*self.recasts, *self.rewired)]


def diff(a: Program, b: Program) -> ProgramDiff:
    """Return how Program `b` differs from Program `a`.

    Parameters
    ----------
    a, b : Program
        Before and after.

    Examples
    --------
    >>> import numpy as np
    >>> from dataclasses import replace
    >>> from bimetal.columns import Column
    >>> from bimetal.program import GE, Link, Readout
    >>> adult = Encode(np.array([0], "u2"), np.array([GE], "u1"), np.array([18], "f4"),
    ...                np.array([], "u2"), np.array([], "f4"))
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> score = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), np.array([], "f4"))
    >>> a = Program((Column("age"),), (adult, points, score))
    >>> b = replace(a, ops=(adult, replace(points, weights=np.array([[25]], "i2")), score))
    >>> print(diff(a, b).summary().splitlines()[1])
    Readout 1, weights: 1 of 1 moved, the farthest by 5
    >>> diff(a, b).apply(a).id == b.id
    True
    """
    old, new = ({c.name: c.spec() for c in program.columns} for program in (a, b))
    kept = [name for name in old if name in new]
    was, now = Counter(_asked(a)), Counter(_asked(b))
    pairs = list(_pairs(a.ops, b.ops))
    changes = (c for i, j in pairs if i is not None and j is not None
               for c in changes_of(i, a.ops[i], b.ops[j]))  # fmt: skip
    return ProgramDiff(
        a=a,
        b=b,
        columns_added=tuple(name for name in new if name not in old),
        columns_removed=tuple(name for name in old if name not in new),
        columns_changed=tuple(name for name in kept if old[name] != new[name]),
        is_reordered=kept != [name for name in new if name in old],
        is_relabelled=json.dumps(list(a.classes)) != json.dumps(list(b.classes)),
        bits_added=tuple((now - was).elements()),
        bits_removed=tuple((was - now).elements()),
        ops_added=tuple(_named(b.ops, j) for i, j in pairs if i is None and j is not None),
        ops_removed=tuple(_named(a.ops, i) for i, j in pairs if j is None and i is not None),
        changes=tuple(changes),
    )


def _asked(program: Program) -> Iterator[str]:
    """Yield what the encoder bits of a Program ask, in words."""
    for op in program.ops:
        if isinstance(op, Encode):
            yield from bit_names(program.columns, op)


def _pairs(a: Sequence[Op], b: Sequence[Op]) -> Iterator[tuple[int | None, int | None]]:
    """Yield numbers of operations that belong together; None stands where there is no counterpart."""
    if [type(op) for op in a] == [type(op) for op in b]:
        yield from ((i, i) for i in range(len(a)))
        return
    for _, old, new in _blocks(list(map(_signature, a)), list(map(_signature, b))):
        kinds = [type(a[i]).__name__ for i in old], [type(b[j]).__name__ for j in new]
        for is_alike, x, y in _blocks(*kinds):  # alike but for their sizes
            if is_alike:
                yield from ((old[i], new[j]) for i, j in zip(x, y, strict=True))
            else:
                yield from ((old[i], None) for i in x)
                yield from ((None, new[j]) for j in y)


def _blocks(a: Sequence[Any], b: Sequence[Any]) -> Iterator[tuple[bool, range, range]]:
    """Yield runs of two lists that stand against each other, and whether they are equal."""
    for tag, i, i_end, j, j_end in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        yield tag == "equal", range(i, i_end), range(j, j_end)


def _signature(op: Op) -> tuple[Any, ...]:
    return type(op).__name__, *(array.shape for array in op.arrays().values())


def _named(ops: Sequence[Op], number: int) -> str:
    return f"{type(ops[number]).__name__} {number}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
