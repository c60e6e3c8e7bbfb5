"""AlexNet and VGG-16, binary and float: their files, their times end to end and layer by layer."""

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _peers as peers
import numpy as np
import torch
from _ceiling import TRIPLE, again
from _names import (
    COMPILED,
    EAGER,
    LARQ,
    LAST,
    NETS,
    ORT,
    ORT8,
    OURS,
    OV,
    OV8,
    OV16,
    PEERS,
)
from _turns import take_turns
from torch import nn

from bimetal import format, zoo
from bimetal.lower import lower_cnn
from bimetal.program import ByteConv, Conv, Dense, Program, Readout
from bimetal.runtime import Engine

SHAPE = (3, 224, 224)
ZOO = dict(zip(NETS, (zoo.alexnet, zoo.vgg16), strict=True))
KERNELS = ("words", "planes", "tiles")


def twin(name: str) -> nn.Module:
    """Return the float32 net with random weights, ready to run."""
    return ZOO[name](seed=0).eval()


def prepare(folder: Path, name: str) -> dict[str, float]:
    """Write the files of a net, and return the bytes of the float and of the binary one."""
    net = twin(name)
    n_float = sum(4 * p.numel() for p in net.parameters())
    path = folder / f"{name}.onnx"
    peers.to_onnx(net, SHAPE, path)
    peers.to_int8(path, SHAPE)
    program = lower_cnn(ZOO[name](binary=True, seed=0))
    ours = folder / f"{name}.bimetal"
    format.save(program, ours)
    return {"float32": n_float, "bimetal": ours.stat().st_size, "cost": program.cost().bytes}


def image(batch: int) -> np.ndarray:
    """Return a batch of random pictures, normalized: (n, channels, height, width)."""
    return np.random.default_rng(0).standard_normal((batch, *SHAPE), np.float32)


def rows_of(images: np.ndarray) -> np.ndarray:
    """Turn normalized pictures into raw rows of 0 to 255: (n, height * width * channels)."""
    rows = images.transpose(0, 2, 3, 1).reshape(len(images), -1)
    return np.clip(np.rint(120 + 58 * rows), 0, 255).astype(np.float32)


def ours(path: Path, images: np.ndarray, n_threads: int) -> Callable[[], Any]:
    """Our engine on a file."""
    engine = Engine(format.load(path), threads=n_threads, batch_size=len(images))
    x, out = rows_of(images), np.empty((len(images), engine.n_outputs), np.float32)
    return lambda: engine.predict_into(x, out)


def contestants(
    folder: Path, name: str, batch: int, n_threads: int, wanted: tuple[str, ...]
) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:
    """Return what runs the net, and why the others do not."""
    x, net = image(batch), twin(name)
    path, int8 = folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
    makers: dict[str, Callable[[], Callable[[], Any]]] = {
        ORT: lambda: peers.onnxruntime(path, x, n_threads),
        ORT8: lambda: peers.onnxruntime(int8, x, n_threads),
        OV: lambda: peers.openvino(path, x, n_threads),
        OV16: lambda: peers.openvino(path, x, n_threads, "bf16"),
        OV8: lambda: peers.openvino(int8, x, n_threads),
        EAGER: lambda: peers.pytorch(net, x, n_threads),
        LAST: lambda: peers.pytorch(net, x, n_threads, "channels_last"),
        COMPILED: lambda: peers.pytorch(net, x, n_threads, "compiled"),
        LARQ: peers.larq,
    }
    calls, skipped = {OURS: ours(folder / f"{name}.bimetal", x, n_threads)}, {}
    for peer in wanted:
        try:
            calls[peer] = makers[peer]()
        except peers.Unavailable as error:
            skipped[peer] = str(error)
    return calls, skipped


def end_to_end(folder: Path, n_threads: int, quick: bool) -> dict[str, Any]:
    """Seconds a batch: {"net, batch": {contestant: seconds}}, and what was skipped."""
    times, skipped = {}, {}
    for name in NETS:
        for batch in (1, 16):
            is_big = name == "VGG-16" and batch == 16
            if is_big and quick:
                continue
            left_out = {COMPILED} if quick or (name, batch) != ("AlexNet", 1) else set()
            wanted = tuple(p for p in PEERS if p not in left_out)
            calls, why = contestants(folder, name, batch, n_threads, wanted)
            n_rounds = 3 if quick or is_big else 9
            times[f"{name}, {batch}"] = take_turns(calls, n_rounds)
            skipped |= why
    return {"times": times, "skipped": skipped}


def geometry(name: str) -> list[dict[str, Any]]:
    """Return the sizes of each layer with weights, in order, by its usual name."""
    found: list[dict[str, Any]] = []
    place = [1, 0]  # block, layer within it

    def note(module: nn.Module, given: Any, made: torch.Tensor) -> None:
        if isinstance(module, nn.MaxPool2d):
            place[:] = place[0] + 1, 0
            return
        is_conv = isinstance(module, nn.Conv2d)
        place[1] += 1
        label = f"conv{place[0]}_{place[1]}" if name == "VGG-16" else f"conv{len(found) + 1}"
        weights = module.weight.numel()
        found.append(
            {
                "layer": label if is_conv else f"fc{5 + place[1]}",
                "macs": weights * (made.shape[2] * made.shape[3] if is_conv else 1),
                "weights": weights,
                "fan_in": module.weight[0].numel(),
                "values": given[0].numel() + made.numel(),
            }
        )

    net = twin(name)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.MaxPool2d):
            module.register_forward_hook(note)
    with torch.inference_mode():
        net(torch.from_numpy(image(1)))
    return found


def layers(folder: Path, quick: bool) -> dict[str, Any]:
    """Median seconds of each layer at batch 1 on one thread: ours, and in ONNX Runtime's profile.

    Beside them the rate of every kernel on every binary convolution, at batch 1 and 16.
    """
    return {name: _layers(folder, name, quick) for name in NETS}


def _layers(folder: Path, name: str, quick: bool) -> list[dict[str, Any]]:
    program, x = format.load(folder / f"{name}.bimetal"), image(1)
    engine, rows = Engine(program), rows_of(x)
    floats, bytes_ = (
        peers.Profiled(folder / f"{name}{kind}.onnx", x, folder) for kind in ("", ".int8")
    )
    ours = []
    for _ in range(5 if quick else 25):
        # A turn each, as in `take_turns`: after some calls the weights lie where they can stay.
        ours += [_seconds(engine, rows) for _ in range(12)][4:]
        for other in (floats, floats, bytes_, bytes_):
            other.run()
    table = geometry(name)
    batches = (1,) if quick and name == "VGG-16" else (1, 16)
    rates = _rates(folder, program, table, batches)
    own = _with_weights(program)
    middle = np.median(ours, axis=0)
    kernels = {step.op: step.kernel for step in engine.plan() if step.name != "border"}
    for i, layer, ort, ort8 in zip(own, table, floats.layers(), bytes_.layers(), strict=True):
        layer |= {OURS: middle[i], "kernel": kernels[i], ORT: ort, ORT8: ort8, "rates": rates[i]}
    rest = float(middle.sum() - middle[own].sum())
    return [*table, {"layer": "all else", "macs": 0, "weights": 0, "values": 0, OURS: rest}]


def _with_weights(program: Program) -> list[int]:
    """Return which operations have weights: the layers, in order."""
    kinds = Conv | ByteConv | Dense | Readout
    return [i for i, op in enumerate(program.ops) if isinstance(op, kinds)]


def _seconds(engine: Engine, rows: np.ndarray) -> np.ndarray:
    """Run once, and return the seconds of each operation of the Program."""
    seconds = np.zeros(len(engine.program.ops))
    for step, taken in engine.profile(rows):
        seconds[step.op] += taken
    return seconds


def _rates(
    folder: Path, program: Program, table: list[dict[str, Any]], batches: tuple[int, ...]
) -> dict[int, Any]:
    """Return {layer: {kernel, batch: rate}} of the binary convolutions on one core.

    A rate is multiply-accumulates a second, and its share of the ceiling of xor + popcount + add
    measured in the same rounds.
    """
    own = _with_weights(program)
    found: dict[int, Any] = {i: {} for i in own}
    for batch, kernel in itertools.product(batches, KERNELS):
        rows = rows_of(image(batch))
        forced = dict.fromkeys(range(len(program.ops)), kernel)
        engine = Engine(program, batch_size=batch, kernels=forced)
        used = {step.op for step in engine.plan() if step.kernel == kernel}
        _seconds(engine, rows)
        both = [(_seconds(engine, rows), again(folder, TRIPLE)) for _ in range(7)]
        taken = np.median([seconds for seconds, _ in both], axis=0)
        ceiling = float(np.median([at_best for _, at_best in both]))
        for i, layer in zip(own, table, strict=True):
            is_conv = isinstance(program.ops[i], Conv) and layer["layer"].startswith("conv")
            if i in used and is_conv:
                rate = batch * layer["macs"] / taken[i]
                found[i][f"{kernel}, {batch}"] = [rate, rate / ceiling]
    return found


def avx2(folder: Path, quick: bool) -> dict[str, Any]:
    """The nets at batch 1 on AVX2; the process was started with all peers forced to it."""
    times, x = {}, image(1)
    for name in NETS:
        calls = {OURS: ours(folder / f"{name}.bimetal", x, 1)}
        calls[EAGER] = peers.pytorch(twin(name), x, 1)
        with contextlib.suppress(peers.Unavailable):
            calls[OV] = peers.openvino(folder / f"{name}.onnx", x, 1)
        times[f"{name}, 1"] = take_turns(calls, 3 if quick else 9)
    return {"nets": times}
