"""What a training step of a binary net costs beside its float twin's, and what evaluation gains in bits.

Steps are of the training loop itself: batch, forward, loss, backward, optimizer, clip. The twins take turns.
Larq is measured in the same turns where ``--larq-python`` names an interpreter that has it (TensorFlow
with Keras 2); its tutorial's own figure for BinaryNet on CIFAR-10, 100 epochs of 1,000 steps in 200 minutes
on a GTX 1050, is 8.3 steps a second.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _frame import Row, options, report
from _turns import take_turns
from torch import nn

from bimetal import zoo
from bimetal.nn import clip_latent, float_twin, predict, squared_hinge
from bimetal.nn.optim import optimizer
from bimetal.packed import Packed

LARQ = Path(__file__).with_name("_larq_steps.py")
NETS: dict[str, tuple[Callable[[], zoo.Net], int, str]] = {
    "LFC, 784–1024–1024–1024–10": (lambda: zoo.finn_mlp(1024, seed=0), 100, "adam"),
    "the same, batch 500": (lambda: zoo.finn_mlp(1024, seed=0), 500, "adam"),
    "BinaryConnect, 3 × 1024": (lambda: zoo.binaryconnect_mlp(seed=0), 100, "adam"),
    "XNOR LeNet-5": (lambda: zoo.lenet5_xnor(seed=0), 128, "adam"),
    "BinaryNet VGG, a quarter as wide": (lambda: zoo.vgg_small(width=0.25, seed=0), 50, "adam"),
    "ReActNet-18, a quarter as wide": (
        lambda: zoo.react18(10, 32, width=0.25, stem="cifar", seed=0), 50, "adam",
    ),
    "BinaryNet VGG": (lambda: zoo.vgg_small(seed=0), 50, "adam"),
}  # fmt: skip
QUICK = ("LFC, 784–1024–1024–1024–10", "XNOR LeNet-5")
EVALUATED = {QUICK[0]: 10_000, QUICK[1]: 10_000, "BinaryNet VGG": 1000}


def main() -> None:
    """Measure, print, write."""
    args = options(
        __doc__.splitlines()[0],
        threads={"type": int, "default": 1},
        larq_python={"help": "a Python with larq, to measure it as well"},
    )
    torch.set_num_threads(args.threads)
    rows: list[Row] = []
    for name, (make, batch, kind) in NETS.items():
        if not args.quick or name in QUICK:
            rows += _steps(name, make(), batch, kind, 3 if args.quick else 15)
    for name, n_rows in EVALUATED.items():
        if not args.quick or name in QUICK:
            rows += _evaluation(name, NETS[name][0](), 200 if args.quick else n_rows)
    if args.larq_python:
        rows += _larq(args.larq_python, args.threads, NETS["BinaryNet VGG"][1])
    report(rows, args.json, threads=args.threads)


def _stepper(net: nn.Module, shape: tuple[int, ...], batch: int, kind: str) -> Callable[[], None]:
    """Return one step as `bimetal.nn.train` does it."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (batch, *shape), generator=generator, dtype=torch.uint8)
    y = torch.randint(0, 10, (batch,), generator=generator)
    steps = optimizer(kind, net, 1e-3)
    net.train()

    def step() -> None:
        value = squared_hinge(net(x.float()), y)
        steps.zero_grad(set_to_none=True)
        value.backward()
        steps.step()
        clip_latent(net)

    return step


def _steps(name: str, net: zoo.Net, batch: int, kind: str, rounds: int) -> list[Row]:
    calls = {
        "binary": _stepper(net, net.image_shape, batch, kind),
        "float": _stepper(float_twin(net), net.image_shape, batch, kind),
    }
    seconds = take_turns(calls, rounds, turn=0.5)
    print(
        f"{name}: {1 / seconds['binary']:.1f} steps/s, float {1 / seconds['float']:.1f}", flush=True
    )
    return [
        Row(f"{name}, batch {batch}", 1 / seconds["binary"], "steps/s"),
        Row(f"{name}: its step over its float twin's", seconds["binary"] / seconds["float"], "×", "lower", 1.25),
    ]  # fmt: skip


def _evaluation(name: str, net: zoo.Net, n_rows: int) -> list[Row]:
    """Return torch's time over the engine's for the answers to some rows, the lowering included."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (n_rows, *net.image_shape), generator=generator, dtype=torch.uint8)
    zoo.calibrate(net, x[:64].float())
    net.eval()
    calls = {"torch": lambda: predict(net, x), "packed": lambda: Packed(net).answers(x)}
    seconds = take_turns(calls, 3, turn=0.5)
    ratio = seconds["torch"] / seconds["packed"]
    print(f"{name}: evaluation {ratio:.1f} × faster packed", flush=True)
    return [
        Row(f"{name}: evaluating {n_rows:,} rows in torch over lowering and the engine", ratio, "×")
    ]


def _larq(python: str, threads: int, batch: int) -> list[Row]:
    """Run Larq's BinaryNet (its own example's net) in turns with ours, each in a process of its own."""
    ours, theirs = [], []
    net = zoo.vgg_small(seed=0)
    step = _stepper(net, net.image_shape, batch, "adam")
    step()
    for _ in range(3):
        done = subprocess.run(
            [python, str(LARQ), str(threads), str(batch)],
            capture_output=True,
            text=True,
            check=True,
        )
        theirs.append(json.loads(done.stdout.splitlines()[-1]))
        for _ in range(3):
            begin = time.perf_counter()
            step()
            ours.append(time.perf_counter() - begin)
    larq = float(np.median([t["seconds"] for t in theirs]))
    return [
        Row(f"Larq {theirs[0]['larq']}, TensorFlow {theirs[0]['tensorflow']}: BinaryNet VGG, batch {batch}", 1 / larq, "steps/s"),
        Row("Larq's step over ours", larq / float(np.median(ours)), "×", "higher", 1.0),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
