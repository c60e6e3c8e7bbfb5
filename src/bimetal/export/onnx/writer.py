"""A Program as an ONNX model: each operation becomes stock operators, the rest is what people read.

The model takes "row", float32 (batch, n_columns), and gives "points", int32, and "answers", float32.
What a caller has to know of the columns (names, categories, classes, the id of the Program) lies in
its metadata as JSON in ASCII, so that no name of a stranger meets a parser unprotected.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from bimetal.errors import ExportError, MissingExtraError
from bimetal.export.form import link_of, live
from bimetal.export.onnx import pools, tables
from bimetal.export.onnx.dispatch import nodes_of
from bimetal.export.onnx.graph import TYPE_CODES, Graph
from bimetal.export.target import Job
from bimetal.ops import ByteConv, Conv, Dense, Op, Pool
from bimetal.program import Program

__all__ = ["OPSET", "check", "graph_of", "metadata", "model_of", "write"]

OPSET, IR_VERSION = 18, 8
LARGEST_FILE = 2**31 - 2**24  # protobuf ends at 2 GiB; the rest is room for names
BYTES_A_BIT = {"packed": 1 / 8, "int8": 1, "float": 4}


def write(job: Job) -> dict[str, bytes]:
    """Return the model as a file.

    Raises
    ------
    MissingExtraError
        When the package `onnx` is not installed.
    """
    graph = graph_of(job.program, job.options.weights)
    outputs = [
        ("points", np.int32, _n_points(job.program)),
        ("answers", np.float32, job.program.n_outputs),
    ]
    inputs = [("row", np.float32, job.program.n_columns)]
    return {".onnx": model_of(graph, job.name, inputs, outputs, metadata(job.program))}


def graph_of(program: Program, weights: Any) -> Graph:
    """Return the nodes of a Program; operations that the answer does not need are left out."""
    graph = Graph(weights)
    names = {0: "row"}
    for i in live(program):
        names[i + 1] = nodes_of(graph, program, i, names)
    graph.name(names[link_of(program).input], "points")
    graph.name(names[len(program.ops)], "answers")
    return graph


def _n_points(program: Program) -> int:
    return program.values[link_of(program).input].n


Port = tuple[str, Any, int]
"""An input or output: its name, its type and its numbers a row."""


def model_of(
    graph: Graph,
    name: str,
    inputs: list[Port],
    outputs: list[Port],
    told: Mapping[str, str],
    batch: int | str = "batch",
) -> bytes:
    """Return a graph as the bytes of a model; `told` are its metadata."""
    try:
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise MissingExtraError("onnx", "export", "writing ONNX") from error

    def port(given: Port) -> Any:
        port_name, kind, n = given
        return helper.make_tensor_value_info(port_name, TYPE_CODES[np.dtype(kind)], [batch, n])

    nodes = [helper.make_node(x.kind, x.inputs, x.outputs, **x.attributes) for x in graph.nodes]
    constants = [numpy_helper.from_array(array, key) for key, array in graph.constants.items()]
    body = helper.make_graph(nodes, name, [*map(port, inputs)], [*map(port, outputs)], constants)
    domains = {"": OPSET} | {
        x.attributes["domain"]: 1 for x in graph.nodes if "domain" in x.attributes
    }
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    model = helper.make_model(
        body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="bimetal", doc_string=DOC
    )
    helper.set_model_props(model, dict(told))
    data: bytes = model.SerializeToString()
    return data


DOC = (
    "A binarized net written by bimetal. In a raw row a number is itself, a category its place in the list "
    "of its column (unseen: -1), a missing value NaN; metadata 'bimetal.columns' has the columns in order."
)


def metadata(program: Program) -> dict[str, str]:
    """Return what a caller has to know, as JSON in ASCII."""
    return {
        "bimetal.id": program.id,
        "bimetal.columns": json.dumps([column.spec() for column in program.columns]),
        "bimetal.classes": json.dumps(list(program.classes)),
    }


def check(job: Job) -> None:
    """Raise `ExportError` when a part of the Program has no exact form in this file."""
    program, weights = job.program, job.options.weights
    for i in live(program):
        op = program.ops[i]
        if isinstance(op, Pool):
            _check_pool(i, op, program.values[op.input].kind)
        if isinstance(op, ByteConv) and weights == "float":
            _check_float_sums(i, op)
    size = sum(_bytes(op, weights) for op in program.ops)
    if size > LARGEST_FILE:
        raise ExportError(
            f"an ONNX file holds at most {LARGEST_FILE:,} bytes, but with weights={weights!r} this Program "
            f"takes about {size:,}; write it with weights='packed', or make the net smaller"
        )


def _check_pool(i: int, op: Pool, kind: str) -> None:
    taps = pools.n_taps(op, kind)
    if taps > pools.MAX_TAPS:
        raise ExportError(
            f"target 'onnx' pools {kind} over at most {pools.MAX_TAPS:,} places of a window, but operation {i} "
            f"has {taps:,}; pool in two steps"
        )


def _check_float_sums(i: int, op: ByteConv) -> None:
    largest = 255 * int(np.abs(op.weights.astype(np.int64)).sum(axis=1).max())
    if largest > tables.FLOAT32_WHOLE:
        raise ExportError(
            f"float32 holds sums of whole numbers up to {tables.FLOAT32_WHOLE:,}, but those of operation {i} "
            f"reach {largest:,}; write it with weights='packed' or 'int8'"
        )


def _bytes(op: Op, weights: str) -> int:
    is_binary = isinstance(op, Dense | Conv)
    grows = 8 * BYTES_A_BIT[weights] if is_binary else 4.0 if weights == "float" else 1.0
    return int(
        sum(a.nbytes * (grows if name == "weights" else 1) for name, a in op.arrays().items())
    )
