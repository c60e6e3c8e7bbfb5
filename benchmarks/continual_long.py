"""The published protocol at full length, and ours at the same length: permuted MNIST, 60,000 pictures,
40 epochs a task, two hidden layers of 512 units, the smallest width of the paper (its figure 3).

The published rule and protocol (Laborieux et al. 2021: m = 1.35, learning rate 0.005, batch norms and
statistics of their own for each task, Adam anew for each task, the task told at test time) stand beside
the boundary-free default, which is told nothing. One run is 240,000 steps, about an hour of one core. What is
measured is written after each task, so a run that is stopped has its first tasks.
"""

import json
import time
from pathlib import Path
from typing import Any

import torch
from _frame import machine, versions

from bimetal.continual.learners.learner import Setting
from bimetal.continual.learners.methods import METHODS
from bimetal.continual.sequences import SEQUENCES
from bimetal.files import atomic_write


def run(method: str, strength: float, args: Any, state: Path) -> None:
    """Learn task after task; write the matrix so far after each."""
    torch.set_num_threads(1)
    sequence = SEQUENCES["permuted_mnist"].make(args.seed, n_tasks=args.tasks, n_rows=60_000)
    setting = Setting(
        784, 10, (args.width,) * 2, seed=args.seed, n_epochs=args.epochs, n_tasks=args.tasks
    )
    learner = METHODS[method].make(setting, strength)
    uses, matrix, seconds = METHODS[method].uses, [], 0.0
    tests = [(torch.from_numpy(t.x_test), torch.from_numpy(t.y_test)) for t in sequence]
    for number in range(args.tasks):
        task, start = sequence.task(number), time.process_time()
        x, y = torch.from_numpy(task.x_train), torch.from_numpy(task.y_train)
        order = torch.Generator().manual_seed(1000 * args.seed + number)
        if uses.boundaries:
            learner.begin_task(number)
        for _ in range(args.epochs):
            for rows in torch.split(torch.randperm(len(x), generator=order), setting.batch_size):
                learner.observe(x[rows], y[rows])
        if uses.boundaries:
            learner.end_task(task)
        seconds += time.process_time() - start
        seen = tests[: number + 1]
        matrix.append(
            [
                float(
                    (learner.scores(a, j if uses.task_ids else None).argmax(1) == b).float().mean()
                )
                for j, (a, b) in enumerate(seen)
            ]
        )
        mean = sum(matrix[-1]) / len(matrix[-1])
        print(
            f"{method} task {number + 1}: mean {mean:.4f}, last {matrix[-1][-1]:.4f}, {seconds:.0f} s",
            flush=True,
        )
        values = {
            "method": method, "strength": strength, "seed": args.seed, "width": args.width,
            "epochs": args.epochs, "rows": 60_000, "told": uses.words(), "matrix": matrix,
            "cpu_seconds": round(seconds), "insight": learner.insight(),
            "bytes": learner.state_bytes(), "machine": machine(), "versions": versions(),
        }  # fmt: skip
        with atomic_write(state) as file:
            file.write(json.dumps(values, indent=1).encode())


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="published")
    parser.add_argument("--strength", type=float, default=1.35)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two tasks, one epoch, 64 units")
    parser.add_argument("--json", type=Path, default=Path("runs/continual_long.json"))
    given = parser.parse_args()
    if given.quick:
        given.tasks, given.epochs, given.width = 2, 1, 64
    given.json.parent.mkdir(parents=True, exist_ok=True)
    run(given.method, given.strength, given, given.json)
