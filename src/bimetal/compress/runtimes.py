"""What runs a compressed model, on one thread: ONNX Runtime, PyTorch as it comes, or our Engine.

Each function here returns a *start*: given rows, it prepares all that need not be timed and returns a
call of no arguments.
"""

import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bimetal.compress.graph import put
from bimetal.errors import MissingExtraError
from bimetal.nn import BinaryConv2d, BinaryLinear
from bimetal.nn.sequence import BinaryConv1d
from bimetal.program import Program
from bimetal.runtime import Engine

__all__ = ["EAGER", "ENGINE", "ORT", "Call", "Floats", "Start", "as_float", "bimetal_engine", "calibrated",
           "exported", "onnx_runtime", "pytorch", "quiet"]  # fmt: skip

Floats = NDArray[np.float32]
Call = Callable[[], Floats]
Start = Callable[[Floats], Call]

ORT, EAGER, ENGINE = "ONNX Runtime", "PyTorch", "bimetal"
OPSET = 17


def exported(model: nn.Module, example: Tensor) -> bytes:
    """Return a float model as the bytes of an ONNX file, the number of rows left open.

    torch's older exporter is used, which needs no further package; it says on each call that it will
    not be there for ever.
    """
    buffer: Any = io.BytesIO()
    with quiet():
        torch.onnx.export(
            copy.deepcopy(model).eval(),
            (example,),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
        )
    return bytes(buffer.getvalue())


def onnx_runtime(file: bytes | Path) -> Start:
    """Run an ONNX file on one thread."""
    ort = _onnxruntime()
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    given = file if isinstance(file, bytes) else str(file)
    session = ort.InferenceSession(given, settings, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def start(x: Floats) -> Call:
        feed = {name: x}
        return lambda: session.run(None, feed)[0]

    return start


def pytorch(model: nn.Module) -> Start:
    """Run a model in torch, eagerly, on as many threads as torch has just then."""
    model = copy.deepcopy(model).eval()

    def start(x: Floats) -> Call:
        rows = torch.from_numpy(x)

        def call() -> Floats:
            with torch.inference_mode():
                logits: Floats = model(rows).numpy()
            return logits

        return call

    return start


def bimetal_engine(program: Program) -> Start:
    """Run a Program; engines for one row and for many choose their kernels each for itself."""

    def start(x: Floats) -> Call:
        engine = Engine(program, batch_size=len(x))
        out = np.empty((len(x), engine.n_outputs), np.float32)

        def call() -> Floats:
            engine.predict_into(x, out)
            return out

        return call

    return start


def calibrated(file: bytes, rows: Floats, path: Path) -> None:
    """Write an ONNX file whose weights and activations have 8 bits, their ranges taken from some rows.

    Weights are int8 with a scale for each output, activations uint8 (static quantization, QDQ).
    """
    _onnxruntime()
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Rows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.parts = iter(
                [{"x": part} for part in np.array_split(rows, max(1, len(rows) // 64))]
            )

        def get_next(self) -> dict[str, Floats] | None:
            return next(self.parts, None)

    with quiet():
        quantize_static(
            onnx.load_from_string(file), path, Rows(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip


def as_float(model: nn.Module) -> nn.Module:
    """Return a copy whose weights of few levels are plain float32 ones, for runtimes that know no other.

    Examples
    --------
    >>> as_float(nn.Sequential(BinaryLinear(4, 2)))
    Sequential(
      (0): Linear(in_features=4, out_features=2, bias=False)
    )
    """
    plain = copy.deepcopy(model).eval()
    for name, module in list(plain.named_modules()):
        if parametrize.is_parametrized(module, "weight"):
            put(plain, name, _unparametrized(module))
        elif _is_one_product(module):
            put(plain, name, _float_layer(module))
    return plain


def _unparametrized(module: Any) -> nn.Module:
    """Return a layer with its computed weight as a plain parameter.

    `torch.nn.utils.parametrize.remove_parametrizations` would do, but it takes the weight away from
    the class, which a copy shares with its original.
    """
    weight = module.weight.detach()
    plain = copy.deepcopy(module)
    plain.__class__ = parametrize.type_before_parametrizations(module)
    del plain.parametrizations
    plain.weight = nn.Parameter(weight)
    return plain  # type: ignore[no-any-return]


def _is_one_product(module: nn.Module) -> bool:
    """Tell whether a binary layer is a product with real numbers that torch's own layer has, too."""
    match module:
        case BinaryLinear():
            return module.groups == 1
        case BinaryConv1d():
            left, right = module.padding
            return left == right and (left == 0 or module.pad_value == 0)
        case BinaryConv2d():
            return module.padding == (0, 0) or module.pad_value == 0
    return False


@torch.no_grad()
def _float_layer(layer: Any) -> nn.Module:
    signs = layer.binary_weight[0] if isinstance(layer, BinaryLinear) else layer.binary_weight
    if isinstance(layer, BinaryLinear):
        made: nn.Module = nn.Linear(layer.n_in, layer.n_out, bias=False)
    else:
        kind = nn.Conv1d if isinstance(layer, BinaryConv1d) else nn.Conv2d
        padding = layer.padding[0] if isinstance(layer, BinaryConv1d) else layer.padding
        sizes = (layer.kernel_size, layer.stride, padding, layer.dilation, layer.groups)
        made = kind(layer.n_in, layer.n_out, *sizes, bias=False)
    alpha = torch.ones(len(signs)) if layer.alpha is None else layer.alpha
    made.get_parameter("weight").copy_(signs * alpha.view(-1, *[1] * (signs.ndim - 1)))
    return made


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and log lines of other libraries still within a ``with`` block: exporters chat."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _onnxruntime() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            str(error.name), "compress", "ONNX Runtime beside the others"
        ) from error
    return onnxruntime
