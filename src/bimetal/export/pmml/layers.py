"""Layers as threshold neurons over bits 0 and 1: a neuron gives 1 when bias + sum of weight · bit > 0.

A binary neuron fires when popcount(a XOR w) <= t. With weights of ±1 the sum over its bits is |w| less
that count, so the bias is t − |w| and half of one, which keeps the sum off 0. Each sum is a whole number
and a half: exact, in whatever order it is added.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bimetal.export.form import table_bits, weight_bits
from bimetal.export.pmml.xml import indented
from bimetal.ops import Dense, Lut, Readout, Rules

__all__ = ["dense", "lut", "n_synapses", "readout", "rules"]

Con = tuple[str, int]


def _neuron(name: str, bias: float, cons: Sequence[Con], spare: str) -> str:
    """Return a neuron; one without connections has one of weight 0, as PMML asks for one at least."""
    lines = [f'<Con from="{source}" weight="{weight}"/>' for source, weight in cons or [(spare, 0)]]
    return indented("Neuron", {"id": name, "bias": bias}, lines)


def _layer(neurons: Sequence[str], activation: str) -> str:
    attributes: dict[str, object] = {
        "numberOfNeurons": len(neurons),
        "activationFunction": activation,
    }
    return indented(
        "NeuralLayer",
        attributes | ({"threshold": 0} if activation == "threshold" else {}),
        list(neurons),
    )


def dense(op: Dense, value: int) -> str:
    """Return the layer that makes `value`."""
    k, per_group = op.n_in // op.groups, len(op.thresholds) // op.groups
    neurons = []
    for o, (weights, threshold) in enumerate(
        zip(weight_bits(op), op.thresholds.tolist(), strict=True)
    ):
        first = o // per_group * k
        cons = [
            (f"v{op.input}_{first + i}", 1 if w else -1) for i, w in enumerate(weights.tolist())
        ]
        neurons.append(_neuron(f"v{value}_{o}", threshold - int(weights.sum()) + 0.5, cons, ""))
    return _layer(neurons, "threshold")


def rules(op: Rules, value: int) -> str:
    """Return the layer that makes `value`: all plain literals 1 and all negated ones 0."""
    neurons = []
    for o, literals in enumerate(np.split(op.literals, np.cumsum(op.fan_in, dtype=np.int64)[:-1])):
        plain = {int(c) // 2 for c in literals if c % 2 == 0}
        negated = {int(c) // 2 for c in literals if c % 2}
        # A bit that should be 1 and 0 has no connection but counts: the rule never holds.
        cons = [(b, 1) for b in sorted(plain - negated)] + [
            (b, -1) for b in sorted(negated - plain)
        ]
        named = [(f"v{op.input}_{b}", weight) for b, weight in cons]
        neurons.append(_neuron(f"v{value}_{o}", 0.5 - len(plain), named, f"v{op.input}_0"))
    return _layer(neurons, "threshold")


def lut(op: Lut, value: int) -> Iterator[str]:
    """Yield two layers: a neuron for each address of the rarer answer, and one that asks for any."""
    addresses, answers = [], []
    for o, (places, table) in enumerate(zip(op.places.tolist(), table_bits(op), strict=True)):
        rare = bool(table.sum() * 2 <= len(table))  # the answer that fewer addresses have
        names = []
        for address in np.flatnonzero(table == rare).tolist():
            names.append(f"v{value}_{o}_{address}")
            addresses.append(_address(names[-1], address, places, op.input))
        cons = [(name, 1 if rare else -1) for name in names]
        answers.append(_neuron(f"v{value}_{o}", -0.5 if rare else 0.5, cons, f"v{op.input}_0"))
    if addresses:
        yield _layer(addresses, "threshold")
    yield _layer(answers, "threshold")


def _address(name: str, address: int, places: Sequence[int], source: int) -> str:
    """Return the neuron that fires where the bits at `places` spell `address`."""
    weights: dict[int, int] = {}
    wanted = 0
    for j, place in enumerate(places):
        bit = address >> j & 1
        wanted += bit
        weights[place] = weights.get(place, 0) + (1 if bit else -1)
    # A place that comes twice adds up: asked for 1 and 0, it is 0 and the sum stays below.
    cons = [(f"v{source}_{place}", w) for place, w in sorted(weights.items()) if w]
    return _neuron(name, 0.5 - wanted, cons, f"v{source}_0")


def readout(op: Readout, value: int, sizes: Sequence[int]) -> str:
    """Return the layer of points; a bit that comes twice is connected once, with both weights."""
    sources = [f"v{v}_{i}" for v, size in zip(op.inputs, sizes, strict=True) for i in range(size)]
    neurons = []
    for c, (weights, bias) in enumerate(zip(op.weights.tolist(), op.bias.tolist(), strict=True)):
        merged: dict[str, int] = {}
        for source, weight in zip(sources, weights, strict=True):
            merged[source] = merged.get(source, 0) + weight
        cons = [(source, weight) for source, weight in merged.items() if weight]
        neurons.append(_neuron(f"v{value}_{c}", bias, cons, sources[0]))
    return _layer(neurons, "identity")


def n_synapses(op: Dense | Rules | Lut | Readout) -> int:
    """Return how many connections an operation needs, at most."""
    match op:
        case Dense():
            return len(op.thresholds) * (op.n_in // op.groups)
        case Rules():
            return len(op.literals)
        case Lut():
            fan_in: int = op.places.shape[1]
            ones: list[int] = table_bits(op).sum(axis=1).tolist()
            return sum(min(n, (1 << fan_in) - n) for n in ones) * (fan_in + 1) + len(ones)
        case Readout():
            return len(np.flatnonzero(op.weights))
