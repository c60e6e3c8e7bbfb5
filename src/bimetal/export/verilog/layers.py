"""A Program as a netlist: comparators, neurons, rules, tables, points, and the index of the class."""

from dataclasses import dataclass

import numpy as np

from bimetal.export.form import link_of, live, table_bits, weight_bits
from bimetal.export.target import Job
from bimetal.export.verilog import logic, sums
from bimetal.export.verilog.columns import Columns
from bimetal.export.verilog.compare import at_least
from bimetal.export.verilog.netlist import ALWAYS, ONE, ZERO, Netlist, width_of
from bimetal.export.verilog.options import Options, column_bits
from bimetal.export.verilog.winner import winner
from bimetal.ops import Dense, Encode, Lut, Op, Readout, Rules
from bimetal.program import Program

__all__ = ["Design", "design"]

DENSE_CHUNK = 3
"""Synapses that are counted by one table: of three, neurons share nearly all."""


@dataclass(frozen=True)
class Design:
    """A circuit and what its ports mean.

    Attributes
    ----------
    net : Netlist
        The circuit.
    points : tuple of int
        The node of each sum that the link reads.
    point_bits : int
        The width of each on the port.
    class_index : int or None
        The node of the class, where points alone decide it.
    class_bits : int
        Its width; 0 where there is none.
    latency : int
        Clock edges from a row to its points; 0 of a combinational circuit.
    bits : int
        Of each number of the row.
    """

    net: Netlist
    points: tuple[int, ...]
    point_bits: int
    class_index: int | None
    class_bits: int
    latency: int
    bits: int


def design(job: Job) -> Design:
    """Return the circuit of a Program."""
    options: Options = job.options
    builder = _Builder(job.program, options)
    points = builder.points()
    index, n_classes = winner(builder.net, job.program, points)
    outputs = [*points] + ([] if index is None else [index])
    outputs = builder.ended(outputs)
    latency = 0
    if options.pipeline != "none":
        latency = max(1, builder.net.last_cycle(outputs))
    outputs = [builder.net.at(node, latency) for node in outputs]
    class_bits = 0 if index is None else (n_classes - 1).bit_length()
    nodes = [builder.net.nodes[p] for p in points]
    point_bits = max(width_of(min(n.low, -1), n.high) for n in nodes)
    return Design(
        builder.net,
        tuple(outputs[: len(points)]),
        point_bits,
        None if index is None else outputs[-1],
        class_bits,
        latency,
        builder.columns.bits,
    )


class _Builder:
    """Walks the operations; `values` are the nodes of the bits that each has made."""

    def __init__(self, program: Program, options: Options) -> None:
        self.program, self.options = program, options
        self.net = Netlist(options.levels if options.pipeline == "full" else None)
        is_float = options.input == "float32"
        self.columns = Columns(self.net, program, column_bits(options), is_float)
        self.values: dict[int, list[int]] = {}

    def points(self) -> tuple[int, ...]:
        """Return the words that the link reads."""
        for i in live(self.program)[:-1]:
            self.values[i + 1] = self._after(self.made(self.program.ops[i], f"v{i + 1}"))
        return tuple(self.values[link_of(self.program).input])

    def _after(self, nodes: list[int]) -> list[int]:
        is_layered = self.options.pipeline == "layer"
        return [self.net.register(n) for n in nodes] if is_layered else nodes

    def ended(self, nodes: list[int]) -> list[int]:
        """Return outputs behind a last register, where there are registers at all."""
        if self.options.pipeline == "none":
            return nodes
        return [n if self._is_settled(n) else self.net.register(n) for n in nodes]

    def _is_settled(self, node: int) -> bool:
        return self.net.nodes[node].is_register or self.net.nodes[node].cycle == ALWAYS

    def made(self, op: Op, bus: str) -> list[int]:
        """Return the nodes of what an operation makes."""
        match op:
            case Encode():
                return self.columns.encoded(op)
            case Dense():
                return self._dense(op, bus)
            case Rules():
                return self._rules(op, bus)
            case Lut():
                return self._lut(op, bus)
            case Readout():
                return self._readout(op, bus)
            case _:
                raise AssertionError(f"{type(op).__name__} is not in Target.ops")

    def _dense(self, op: Dense, bus: str) -> list[int]:
        """Return neurons: each counts b where its weight is 0, and 1 − b where it is 1."""
        bits, k = self.values[op.input], op.n_in // op.groups
        size = len(op.thresholds) // op.groups
        made = []
        for o, (row, most) in enumerate(zip(weight_bits(op), op.thresholds.tolist(), strict=True)):
            group = bits[o // size * k : (o // size + 1) * k]
            made.append(self._neuron(group, row.tolist(), most, bus))
        return made

    def _neuron(self, bits: list[int], weights: list[bool], most: int, bus: str) -> int:
        signs, constant = sums.collected(self.net, bits, [-1 if w else 1 for w in weights])
        lowest = sum(min(sign, 0) for sign in signs.values())
        highest = sum(max(sign, 0) for sign in signs.values())
        most -= constant + sum(weights) + lowest  # as the count below starts at 0
        if not 0 <= most < highest - lowest:
            return ZERO if most < 0 else ONE
        if len(signs) <= int(self.options.lut):
            return self._small_neuron(signs, most + lowest, bus)
        count = sums.weighted_sum(self.net, signs, -lowest, DENSE_CHUNK, bus, is_shared=True)
        return logic.inverse(self.net, at_least(self.net, count, most + 1, bus), bus)

    def _small_neuron(self, signs: dict[int, int], most: int, bus: str) -> int:
        """Return a neuron of so few inputs that it is one table."""
        sums = np.zeros(1, dtype=np.int64)
        for sign in signs.values():
            sums = np.concatenate([sums, sums + sign])
        return logic.table(self.net, list(signs), sums <= most, bus)

    def _rules(self, op: Rules, bus: str) -> list[int]:
        bits, made, start = self.values[op.input], [], 0
        for n in op.fan_in.tolist():
            literals = op.literals[start : start + n].tolist()
            pairs = [(bits[literal >> 1], bool(literal & 1)) for literal in literals]
            made.append(logic.all_of(self.net, pairs, bus))
            start += n
        return made

    def _lut(self, op: Lut, bus: str) -> list[int]:
        bits, truths = self.values[op.input], table_bits(op)
        return [
            logic.table(self.net, [bits[place] for place in places], truth, bus)
            for places, truth in zip(op.places.tolist(), truths, strict=True)
        ]

    def _readout(self, op: Readout, bus: str) -> list[int]:
        bits = [bit for i in op.inputs for bit in self.values[i]]
        made = []
        for weights, bias in zip(op.weights.tolist(), op.bias.tolist(), strict=True):
            kept, constant = sums.collected(self.net, bits, weights)
            chunk = int(self.options.lut)
            made.append(sums.weighted_sum(self.net, kept, bias + constant, chunk, bus))
        return made
