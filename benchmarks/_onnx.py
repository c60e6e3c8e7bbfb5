"""A float32 net as an ONNX graph that reads the raw row, for ONNX Runtime."""

from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from bimetal.encoders import Encoder
from bimetal.program import EQ, GE, MISSING


class Graph:
    """Nodes and constants of a graph under construction; `x` (n, n_columns) comes in."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "x"

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        self.last = out
        return out

    def session(self, n_columns: int) -> ort.InferenceSession:
        """Build and load the graph, one thread."""
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, n_columns])
        y = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, [None, 1])
        graph = helper.make_graph(self.nodes, "net", [x], [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        return ort.InferenceSession(model.SerializeToString(), settings, ["CPUExecutionProvider"])


def standardise(graph: Graph, mean: np.ndarray, scale: np.ndarray) -> None:
    """Replace missing values by the mean, then (x − mean) / scale."""
    shifted = graph.add("Sub", graph.last, graph.constant(mean.astype(np.float32)))
    is_missing = graph.add("IsNaN", shifted)
    filled = graph.add("Where", is_missing, graph.constant(np.zeros(1, np.float32)), shifted)
    graph.add("Div", filled, graph.constant(scale.astype(np.float32)))


def thermometer(graph: Graph, encoder: Encoder) -> None:
    """Compute an encoder's bits as 0.0 and 1.0: the same inputs that the binary net sees."""
    op, parts = encoder.op_, []
    for kind, test in ((GE, "GreaterOrEqual"), (EQ, "Equal"), (MISSING, "IsNaN")):
        mine = op.kind == kind
        if not mine.any():
            continue
        values = [graph.constant(op.value[mine])] if kind != MISSING else []
        wide = graph.add("Gather", "x", graph.constant(op.column[mine].astype(np.int64)), axis=1)
        tested = graph.add(test, wide, *values)
        parts.append(graph.add("Cast", tested, to=TensorProto.FLOAT))
    if len(parts) > 1:
        graph.add("Concat", *parts, axis=1)


def bits_in_graph_order(encoder: Encoder, bits: np.ndarray) -> np.ndarray:
    """Put an encoder's bits in the order in which `thermometer` computes them."""
    return bits[:, np.argsort(encoder.op_.kind, kind="stable")]


def layers(graph: Graph, weights: list[np.ndarray], biases: list[np.ndarray]) -> None:
    """Add fully connected layers, ReLU between them and a sigmoid at the end."""
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        graph.add(
            "Gemm",
            graph.last,
            graph.constant(w.astype(np.float32)),
            graph.constant(b.astype(np.float32)),
        )
        graph.add("Relu" if i < len(weights) - 1 else "Sigmoid", graph.last)
