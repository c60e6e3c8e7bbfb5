"""The circuit before it is text: signals, the cycle in which each holds, and registers between them.

A node is a piece of Verilog whose operands are other nodes. Equal pieces are one node, so a cut-point
that two neurons use is one comparator. A node whose operands hold in different cycles waits for the
latest: the earlier ones pass through registers, which all who wait share. What no output reads is
never written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["ALWAYS", "ONE", "ZERO", "Expr", "Netlist", "Node", "width_of"]

Expr = tuple[str | int, ...]
"""Verilog in pieces: text, and the numbers of the nodes that it reads."""

ALWAYS = -1
"""The cycle of a constant, which holds in all of them."""
ZERO, ONE = 0, 1
"""The nodes of the constant bits."""


def width_of(low: int, high: int) -> int:
    """Return the bits that hold whole numbers from `low` to `high`, in two's complement if low < 0.

    Examples
    --------
    >>> width_of(0, 1), width_of(0, 4), width_of(-4, 3), width_of(-1, 4)
    (1, 3, 3, 4)
    """
    if low >= 0:
        return max(1, high.bit_length())
    return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1


@dataclass(frozen=True)
class Node:
    """One signal.

    Attributes
    ----------
    expr : Expr
        What drives it; of a register, the one node that it delays.
    low, high : int
        The whole numbers that it can be.
    bus : str
        Its single bits stand in one vector of this name, and its words begin with it.
    cycle : int
        The clock edges that its row has passed when it holds; `ALWAYS` of a constant.
    depth : int
        Levels of logic since the last register.
    is_register : bool
        Driven at the clock edge.
    name : str
        Of a word; "" is numbered.
    note : str
        A comment for its line.
    """

    expr: Expr
    low: int
    high: int
    bus: str
    cycle: int
    depth: int
    is_register: bool = False
    name: str = ""
    note: str = ""

    @property
    def width(self) -> int:
        """Bits of the signal."""
        return width_of(self.low, self.high)

    @property
    def reads(self) -> list[int]:
        """Nodes that drive it."""
        return [part for part in self.expr if isinstance(part, int)]


def _constants() -> list[Node]:
    return [Node((f"1'b{b}",), b, b, "", ALWAYS, 0) for b in (0, 1)]


@dataclass
class Netlist:
    """Nodes in the order in which they were made: each reads earlier ones only.

    `levels` is how much logic may stand between two registers; None sets no limit.
    """

    levels: int | None = None
    nodes: list[Node] = field(default_factory=_constants)
    _known: dict[Expr, int] = field(default_factory=dict)
    _delayed: dict[int, int] = field(default_factory=dict)

    def constant(self, expr: str, high: int, bus: str) -> int:
        """Return a word that holds in every cycle."""
        return self._made((expr,), Node((expr,), 0, high, bus, ALWAYS, 0))

    def port(self, expr: str, low: int, high: int, bus: str, name: str) -> int:
        """Return a part of the row, which holds in cycle 0."""
        return self._made((expr,), Node((expr,), low, high, bus, 0, 0, name=name))

    def add(
        self,
        *expr: str | int,
        bus: str,
        low: int = 0,
        high: int = 1,
        cost: int = 1,
        name: str = "",
        note: str = "",
    ) -> int:
        """Return the node of `expr`, which takes `cost` levels of logic, behind registers if need be."""
        if expr in self._known:
            return self._known[expr]
        cycle, depth = self._arrival(part for part in expr if isinstance(part, int))
        if self.levels is not None and depth > 0 and depth + cost > self.levels:
            cycle, depth = cycle + 1, 0
        aligned = tuple(self.at(p, cycle) if isinstance(p, int) else p for p in expr)
        node = Node(aligned, low, high, bus, cycle, depth + cost, name=name, note=note)
        return self._made(expr, node)

    def _made(self, key: Expr, node: Node) -> int:
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
        return self._known[key]

    def _arrival(self, reads: Iterable[int]) -> tuple[int, int]:
        """Return when the last of some nodes holds, and the deepest logic behind it."""
        return max(((self.nodes[r].cycle, self.nodes[r].depth) for r in reads), default=(ALWAYS, 0))

    def register(self, node: int) -> int:
        """Return a signal one cycle later; a constant is itself."""
        of = self.nodes[node]
        if of.cycle == ALWAYS:
            return node
        if node not in self._delayed:
            self._delayed[node] = len(self.nodes)
            later = Node((node,), of.low, of.high, of.bus, of.cycle + 1, 0, True, of.name)
            self.nodes.append(later)
        return self._delayed[node]

    def at(self, node: int, cycle: int) -> int:
        """Return a signal as it holds in a later `cycle`."""
        while ALWAYS != self.nodes[node].cycle < cycle:
            node = self.register(node)
        return node

    def last_cycle(self, nodes: Sequence[int]) -> int:
        """Return the first cycle in which all of some nodes hold."""
        return max(0, self._arrival(nodes)[0])

    def live(self, outputs: Iterable[int]) -> list[int]:
        """Return the nodes that `outputs` depend on, in order."""
        needed, waiting = set(), list(outputs)
        while waiting:
            node = waiting.pop()
            if node not in needed:
                needed.add(node)
                waiting += self.nodes[node].reads
        return sorted(needed)
