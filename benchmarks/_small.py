"""The small measures: a tiny net one row at a time, and the bare XNOR product of matrices."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import _peers as peers
import numpy as np
from _names import EAGER, FAISS, NUMKONG, ORT, OURS, TORCH
from _turns import take_turns
from torch import nn

from bimetal.bits import n_bytes
from bimetal.columns import Column
from bimetal.ops import Conv, Planes, Pool, Quantize
from bimetal.program import Dense, Encode, Link, Program, Readout
from bimetal.runtime import Engine

ROWS, WIDE = 256, 4096
MACS = ROWS * WIDE * WIDE


def mlp(widths: tuple[int, ...], seed: int = 0) -> Program:
    """Return a Program of random weights: one bit a column, binary layers, points and answers."""
    rng = np.random.default_rng(seed)
    no = np.array([], np.float32)
    columns = tuple(Column(f"x{i}") for i in range(widths[0]))
    encode = Encode(
        np.arange(widths[0], dtype=np.uint16),
        np.zeros(widths[0], np.uint8),
        np.zeros(widths[0], np.float32),
        no.astype(np.uint16),
        no,
    )
    ops: list[Any] = [encode]
    for i, (n_in, n_out) in enumerate(pairwise(widths[:-1])):
        weights = rng.integers(0, 256, (n_out, n_bytes(n_in)), np.uint8)
        weights[:, -1] &= 255 >> -n_in % 8  # bits beyond the end of a row are 0
        ops.append(Dense(i + 1, n_in, weights, np.full(n_out, n_in // 2, np.int32)))
    points = rng.integers(-99, 100, (widths[-1], widths[-2])).astype(np.int16)
    ops.append(Readout((len(ops),), points, np.zeros(widths[-1], np.int32)))
    ops.append(_link(len(ops), widths[-1], 0.01))
    return Program(columns, tuple(ops))


def _link(value: int, n: int, scale: float) -> Link:
    no = np.array([], np.float32)
    return Link(value, "identity", np.full(n, scale), np.zeros(n), no.astype(np.int32), no)


def float_mlp(widths: tuple[int, ...]) -> nn.Module:
    parts: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        parts += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*parts[:-1]).eval()


def tiny(folder: Path, quick: bool) -> dict[str, float]:
    """Seconds a row of 256 → 512 → 512 → 3, from Python, one call a row, rows varying."""
    widths = (256, 512, 512, 3)
    rows = np.random.default_rng(0).standard_normal((64, widths[0]), np.float32)
    path = folder / "tiny.onnx"
    peers.to_onnx(float_mlp(widths), widths[:1], path)
    calls: dict[str, Callable[[], Any]] = {
        OURS: _by_row(mlp(widths), rows),
        "a net of one bit": _by_row(mlp((1, 1, 1)), rows[:, :1].copy()),
        ORT: peers.onnxruntime_by_row(path, rows),
        EAGER: peers.pytorch_by_row(float_mlp(widths), rows),
    }
    times = take_turns(calls, 5 if quick else 31)
    return {name: t / len(rows) for name, t in times.items()}


def _by_row(program: Program, rows: np.ndarray) -> Callable[[], None]:
    engine = Engine(program)
    out, run, views = np.empty(engine.n_outputs, np.float32), engine.predict_into, list(rows)

    def call() -> None:
        for row in views:
            run(row, out)

    return call


def chain(depth: int) -> Program:
    """Return a Program of `depth` layers of 4096 neurons on each of 256 pixels of 4096 bits."""
    rng = np.random.default_rng(0)
    ones = np.ones(WIDE, np.float32)
    channel, byte = np.arange(WIDE, dtype=np.uint16), np.ones(WIDE, np.uint8)
    shape = (16, 16, WIDE)
    ops: list[Any] = [
        Quantize(0, 40 * ones, 128 * ones),
        Planes(1, WIDE, channel, 255 * byte, 128 * byte),
    ]
    for _ in range(depth):
        weights = rng.integers(0, 256, (WIDE, WIDE // 8), np.uint8)
        bias = np.zeros(WIDE, np.int32)
        one, no = (1, 1), (0, 0, 0, 0)
        ops.append(Conv(len(ops), "bits", shape, one, one, one, no, "-1", 1, weights, bias))
    ops.append(Pool(len(ops), "sum", shape, shape[:2], shape[:2], no))
    ops.append(_link(len(ops), WIDE, 1.0))
    return Program((Column("x", "array", size=ROWS * WIDE),), tuple(ops))


def product(quick: bool, is_avx2: bool = False) -> dict[str, Any]:
    """Seconds of 256 x 4096 x 4096 on bits.

    Ours is what one more layer adds to a net, packed bits in and packed bits out: the difference
    between nets of five and of one such layers, by four; with the kernel that the engine chooses,
    and with each that it has.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (n, WIDE // 8), np.uint8) for n in (ROWS, WIDE))
    x = rng.standard_normal((1, ROWS * WIDE), np.float32)
    calls: dict[str, Callable[[], Any]] = {}
    names = {OURS: None} | {f"{OURS}, {kernel}": kernel for kernel in ("words", "planes", "tiles")}
    for depth in (1, 5):
        program = chain(depth)
        for name, kernel in names.items():
            forced = {i: kernel for i in range(len(program.ops)) if kernel}
            engine = Engine(program, kernels=forced)
            if kernel is None or any(step.kernel == kernel for step in engine.plan()):
                calls[f"{name} {depth}"] = _call(engine, x)
    makers: dict[str, Callable[[], Callable[[], Any]]] = {
        NUMKONG: lambda: peers.numkong(a, b),
        FAISS: lambda: peers.faiss(a, b),
    }
    if is_avx2:
        makers = {TORCH: lambda: peers.pytorch_product(ROWS, WIDE, WIDE)}
    skipped = {}
    for name, make in makers.items():
        try:
            calls[name] = make()
        except peers.Unavailable as error:
            skipped[name] = str(error)
    times = take_turns(calls, 5 if quick else 21)
    for name in names:
        if f"{name} 5" in times:
            times[name] = (times.pop(f"{name} 5") - times.pop(f"{name} 1")) / 4
    return {"times": times, "skipped": skipped}


def _call(engine: Engine, x: np.ndarray) -> Callable[[], Any]:
    out = np.empty((len(x), engine.n_outputs), np.float32)
    return lambda: engine.predict_into(x, out)
