"""The peers of the engine benchmark: the same float net, run by what people use today.

Each maker returns a function of no arguments that runs the net once on fixed inputs, with its threads
set. A peer that cannot be had raises `Unavailable`, and the benchmark says so aloud.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

Call = Callable[[], Any]


class Unavailable(Exception):  # noqa: N818 (a state, not a mistake)
    """A peer is not installed, or cannot run here; the text says why."""


# ---- the float net as an ONNX file ---------------------------------------------------------------


def to_onnx(net: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """Write a sequential float net as ONNX; batch normalisation is folded as any exporter folds it.

    `shape` is that of one input without the batch, which stays open.
    """
    graph = _Graph()
    for module in _flat(net):
        _add(graph, module)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])
    y = helper.make_tensor_value_info(graph.last, TensorProto.FLOAT, None)
    made = helper.make_graph(graph.nodes, "net", [x], [y], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path)


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "x"

    def constant(self, value: torch.Tensor) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.detach().numpy(), name))
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> None:
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *inputs], [out], out, **attributes))
        self.last = out


def _flat(net: nn.Module) -> Iterator[nn.Module]:
    """Yield the leaves of a sequential net, each batch normalisation folded into what precedes it."""
    leaves = [m for m in net.modules() if not list(m.children())]
    for module, after in zip(leaves, [*leaves[1:], None], strict=True):
        if isinstance(after, nn.BatchNorm2d | nn.BatchNorm1d):
            yield _fold(module, after)
        elif not isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d | nn.Dropout | nn.Identity):
            yield module


def _fold(layer: nn.Module, norm: nn.BatchNorm2d | nn.BatchNorm1d) -> nn.Module:
    fuse = (
        torch.nn.utils.fusion.fuse_conv_bn_eval
        if isinstance(layer, nn.Conv2d)
        else torch.nn.utils.fusion.fuse_linear_bn_eval
    )
    return fuse(layer, norm)  # type: ignore[type-var]


def _pair(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _add(graph: _Graph, module: nn.Module) -> None:
    match module:
        case nn.Conv2d() | nn.Linear():
            n_out = module.weight.shape[0]
            bias = module.bias if module.bias is not None else torch.zeros(n_out)
            constants = graph.constant(module.weight), graph.constant(bias)
            if isinstance(module, nn.Linear):
                graph.add("Gemm", *constants, transB=1)
            else:
                settings = {"strides": _pair(module.stride), "pads": _pair(module.padding) * 2}
                graph.add("Conv", *constants, **settings, group=module.groups)
        case nn.MaxPool2d():
            graph.add(
                "MaxPool",
                kernel_shape=_pair(module.kernel_size),
                strides=_pair(module.stride),
                pads=_pair(module.padding) * 2,
            )
        case nn.AdaptiveAvgPool2d():
            pass  # the identity at 224 x 224, which all nets here have
        case nn.ReLU() | nn.Flatten():
            graph.add(type(module).__name__.replace("ReLU", "Relu"))
        case _:
            raise TypeError(f"the benchmark has no ONNX for {type(module).__name__}")


def to_int8(path: Path, shape: tuple[int, ...]) -> Path:
    """Quantize an ONNX file: static, uint8 inputs and int8 weights by channel, random calibration."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Random(CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.rows = iter([{"x": rng.standard_normal((1, *shape), np.float32)}] * 2)

        def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
            return next(self.rows, None)

    made = path.with_suffix(".int8.onnx")
    quantize_static(
        path,
        made,
        Random(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return made


# ---- runners -------------------------------------------------------------------------------------


def _session(path: Path, n_threads: int, profile: str = "") -> Any:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = n_threads, 1
    settings.log_severity_level = 3
    if profile:
        settings.enable_profiling, settings.profile_file_prefix = True, profile
    return ort.InferenceSession(str(path), settings, ["CPUExecutionProvider"])


def onnxruntime(path: Path, x: np.ndarray, n_threads: int) -> Call:
    """ONNX Runtime on an ONNX file; int8 where the file is."""
    session = _session(path, n_threads)
    return lambda: session.run(None, {"x": x})


def onnxruntime_by_row(path: Path, rows: np.ndarray) -> Call:
    """ONNX Runtime on one row after another, on one thread."""
    run, feeds = _session(path, 1).run, [{"x": row[None].copy()} for row in rows]

    def call() -> None:
        for feed in feeds:
            run(None, feed)

    return call


def pytorch_by_row(net: nn.Module, rows: np.ndarray) -> Call:
    """Eager PyTorch on one row after another, on one thread."""
    torch.set_num_threads(1)
    given = [torch.from_numpy(row[None].copy()) for row in rows]

    def call() -> None:
        with torch.inference_mode():
            for row in given:
                net(row)

    return call


class Profiled:
    """ONNX Runtime on one thread, timed layer by layer by its own profiler."""

    def __init__(self, path: Path, x: np.ndarray, folder: Path) -> None:
        self.session = _session(path, 1, str(folder / path.stem))
        self.x = x

    def run(self) -> None:
        self.session.run(None, {"x": self.x})

    def layers(self) -> list[float]:
        """Median seconds of each convolution and each product of matrices, in order."""
        times: dict[str, list[float]] = {}
        for event in json.loads(Path(self.session.end_profiling()).read_text()):
            op = event.get("args", {}).get("op_name", "")
            if event["name"].endswith("_kernel_time") and op.endswith(("Conv", "Gemm")):
                times.setdefault(event["name"], []).append(event["dur"] / 1e6)
        return [float(np.median(taken)) for taken in times.values()]


def openvino(path: Path, x: np.ndarray, n_threads: int, precision: str = "f32") -> Call:
    """OpenVINO on an ONNX file, at a fixed batch; `precision` is what it may compute floats in."""
    try:
        import openvino as ov
    except ImportError as error:
        raise Unavailable("not installed; pip install -r requirements/bench.txt") from error
    core = ov.Core()
    model = core.read_model(path)
    model.reshape(list(x.shape))
    settings = {
        "INFERENCE_NUM_THREADS": n_threads,
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(ov.Tensor(x))
    return request.infer


def pytorch(net: nn.Module, x: np.ndarray, n_threads: int, mode: str = "eager") -> Call:
    """PyTorch as it comes ("eager"), with channels last, or compiled."""
    torch.set_num_threads(n_threads)
    given = torch.from_numpy(x)
    if mode == "channels_last":
        import copy

        net = copy.deepcopy(net).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        given = given.contiguous(memory_format=torch.channels_last)
    elif mode == "compiled":
        net = torch.compile(net)  # type: ignore[assignment]

    def call() -> Any:
        with torch.inference_mode():
            return net(given)

    try:
        call()
    except Exception as error:  # the compiler it wants, the Python headers
        raise Unavailable(f"{mode}: {str(error).splitlines()[0]}") from error
    return call


def larq(*_: Any) -> Call:
    """Larq Compute Engine: its last release wants Python 3.10 and TensorFlow 2.10."""
    raise Unavailable("its last release, 0.16, needs Python 3.10 and TensorFlow 2.10")


def numkong(a: np.ndarray, b: np.ndarray) -> Call:
    """NumKong: all Hamming distances between packed rows (uint8) of `a` and of `b`."""
    try:
        import numkong as nk
    except ImportError as error:
        raise Unavailable("not installed; pip install -r requirements/bench.txt") from error
    packed = nk.hammings_pack(b, dtype="uint1")
    return lambda: nk.hammings_packed(a, packed)


def pytorch_product(n: int, m: int, k: int) -> Call:
    """PyTorch's float32 product of matrices on one thread."""
    torch.set_num_threads(1)
    left, right = torch.randn(n, k), torch.randn(k, m)
    return lambda: left @ right


def faiss(a: np.ndarray, b: np.ndarray) -> Call:
    """faiss IndexBinaryFlat: the nearest row of `b` for each of `a`, by brute force over all."""
    try:
        import faiss as module
    except ImportError as error:
        raise Unavailable("not installed; pip install -r requirements/bench.txt") from error
    module.omp_set_num_threads(1)
    index = module.IndexBinaryFlat(8 * b.shape[1])
    index.add(b)
    return lambda: index.search(a, 1)


def scratch() -> Path:
    """Return a folder for ONNX files, in memory where the system has such a place."""
    shm = Path("/dev/shm")
    return Path(
        tempfile.mkdtemp(prefix="bimetal-bench-", dir=shm if os.access(shm, os.W_OK) else None)
    )
