"""A Program's net as QONNX, for tools that make circuits: FINN and hls4ml.

QONNX (Pappalardo et al. 2022, arXiv:2206.07527) is ONNX with operators that say how a float is
quantized. The file holds what lies between the encoder and the link: input "bits" of ±1, float32
(1, n_bits), output "points", whole numbers in float32 (1, n_points). The encoder's tests and the link
are in the metadata as JSON, for the host to compute.

A neuron fires when popcount(x XOR w) <= t, that is when the product of ±1 is at least k − 2t: a product,
an addition of 2t − k, and `BipolarQuant`, which gives +1 for 0 and above. `Sign` is not used: its 0 is
no bit.
"""

import json
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.form import link_of, live, reads, weight_bits
from bimetal.export.onnx.graph import Graph
from bimetal.export.onnx.tables import FLOAT32_WHOLE
from bimetal.export.onnx.writer import metadata, model_of
from bimetal.export.target import Job
from bimetal.ops import Dense, Encode, Op, Readout
from bimetal.program import Program

__all__ = ["chain", "check", "net_of", "write"]

DOMAIN = "qonnx.custom_op.general"
FITS = "it fits a chain: one Encode, any number of Dense, one Readout, the Link, each reading the one before"


def write(job: Job) -> dict[str, bytes]:
    """Return the model as a file."""
    encode, layers, readout = chain(job.program)
    graph = net_of(layers, readout, job.options.flavor)
    inputs = [("bits", np.float32, len(encode.column))]
    outputs = [("points", np.float32, len(readout.bias))]
    told = metadata(job.program) | {
        "bimetal.encode": json.dumps({name: a.tolist() for name, a in encode.arrays().items()}),
        "bimetal.link": json.dumps(_spec(link_of(job.program))),
    }
    return {".qonnx": model_of(graph, job.name, inputs, outputs, told, batch=1)}


def _spec(op: Op) -> dict[str, Any]:
    return op.scalars() | {name: a.tolist() for name, a in op.arrays().items()}


def net_of(layers: list[Dense], readout: Readout, flavor: str) -> Graph:
    """Return the nodes between the bits and the points."""
    g = Graph("float")
    is_finn = flavor == "finn"
    x = bipolar(g, "bits", "input") if is_finn else quant(g, "bits", 2, "input", narrow=1)
    for i, layer in enumerate(layers):
        x = _dense(g, x, layer, f"dense{i + 1}", is_finn)
    g.name(_readout(g, x, readout, is_finn), "points")
    return g


def bipolar(g: Graph, x: str | NDArray[np.float32], name: str) -> str:
    """Return +1 where x >= 0, else −1."""
    return g.op("BipolarQuant", x, np.float32(1), domain=DOMAIN, name=f"{name}_sign")


def quant(
    g: Graph,
    x: str | NDArray[np.float32],
    n_bits: int,
    name: str,
    scale: float = 1,
    narrow: int = 0,
) -> str:
    """Return x as a signed number of `n_bits` bits, times `scale`; what is given fits already."""
    constants = (np.float32(scale), np.float32(0), np.float32(n_bits))
    how = {"signed": 1, "narrow": narrow, "rounding_mode": "ROUND"}
    return g.op("Quant", x, *constants, domain=DOMAIN, name=f"{name}_quant", **how)


def _dense(g: Graph, x: str, op: Dense, name: str, is_finn: bool) -> str:
    """Return ±1 of each neuron; groups become blocks of one matrix, with 0 elsewhere."""
    blocks = _blocks(op)
    is_full = op.groups == 1
    if is_finn and is_full:
        w = bipolar(g, blocks, f"{name}_weights")
    else:
        w = quant(g, blocks, 2, f"{name}_weights", narrow=1)
    bounds = op.n_in // op.groups - 2 * op.thresholds.astype(np.int64)
    sums = _affine(g, x, w, (-bounds).astype(np.float32), name, is_finn)
    return bipolar(g, sums, name)


def _blocks(op: Dense) -> NDArray[np.float32]:
    """Return weights of ±1, float32 (n_in, n_out)."""
    n_out, k = len(op.thresholds) // op.groups, op.n_in // op.groups
    signs = np.where(weight_bits(op), np.float32(1), np.float32(-1))
    matrix = np.zeros((op.n_in, len(op.thresholds)), np.float32)
    for i in range(op.groups):
        out = slice(i * n_out, (i + 1) * n_out)
        matrix[i * k : (i + 1) * k, out] = signs[out].T
    return matrix


def _readout(g: Graph, x: str, op: Readout, is_finn: bool) -> str:
    """Return the points.

    A bit is (x + 1) / 2 of its ±1, so the points are (bias + sum of weights / 2) + sum of
    (weights / 2) · x: FINN gets all of it twice, in whole numbers, and a product with 1/2 at the end;
    hls4ml halves, as numbers of one bit behind the point.
    """
    weights = op.weights.astype(np.int64)
    twice = 2 * op.bias.astype(np.int64) + weights.sum(axis=1)
    if is_finn:
        w = quant(g, weights.T.astype(np.float32), _n_bits(weights), "readout_weights")
        sums = _affine(g, x, w, twice.astype(np.float32), "readout", is_finn)
        return g.op("Mul", sums, np.float32(0.5), name="readout_half")
    halves = (weights.T / 2).astype(np.float32)
    w = quant(g, halves, _n_bits(weights), "readout_weights", scale=0.5)
    return _affine(g, x, w, (twice / 2).astype(np.float32), "readout", is_finn, scale=0.5)


def _affine(
    g: Graph, x: str, w: str, shift: NDArray[np.float32], name: str, is_finn: bool, scale: float = 1
) -> str:
    sums = g.op("MatMul", x, w, name=f"{name}_product")
    if is_finn:
        return g.op("Add", sums, shift, name=f"{name}_shift")
    n_bits = _n_bits((shift / scale).astype(np.int64))
    return g.op("Add", sums, quant(g, shift, n_bits, f"{name}_shift", scale), name=f"{name}_sum")


def _n_bits(numbers: NDArray[np.int64]) -> int:
    """Return the bits of a signed number that hold all of `numbers`, at least 2."""
    return max(
        2, max(int(n if n >= 0 else ~n).bit_length() + 1 for n in (numbers.min(), numbers.max()))
    )


def chain(program: Program) -> tuple[Encode, list[Dense], Readout]:
    """Return the parts of a Program that is a chain.

    Raises
    ------
    ExportError
        When it is none.
    """
    places = live(program)
    ops = [program.ops[i] for i in places]
    encode, *middle, readout, _ = ops
    layers = [op for op in middle if isinstance(op, Dense)]
    if (
        len(layers) < len(middle)
        or not isinstance(encode, Encode)
        or not isinstance(readout, Readout)
    ):
        kinds = " → ".join(type(op).__name__ for op in ops)
        raise ExportError(f"target 'qonnx' has no form for {kinds}; {FITS}")
    for before, i in pairwise(places):
        _check_wiring(program, before + 1, i)
    return encode, layers, readout


def _check_wiring(program: Program, value: int, i: int) -> None:
    read = reads(program.ops[i])
    if read != (value,):
        raise ExportError(
            f"target 'qonnx' wants operation {i} ({type(program.ops[i]).__name__}) to read value {value} only, "
            f"but it reads {', '.join(map(str, read))}; {FITS}"
        )


def check(job: Job) -> None:
    """Raise `ExportError` when the Program is no chain, or float32 would round its points."""
    readout = chain(job.program)[2]
    weights, bias = readout.weights.astype(np.int64), readout.bias.astype(np.int64)
    largest = 2 * int((np.abs(weights).sum(axis=1) + np.abs(bias)).max())
    if largest > FLOAT32_WHOLE:
        raise ExportError(
            f"QONNX carries whole numbers in float32, exact up to {FLOAT32_WHOLE:,}, but twice the points reach "
            f"{largest:,}; quantize the readout more coarsely, or use target 'onnx'"
        )
