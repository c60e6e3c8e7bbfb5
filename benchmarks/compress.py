"""Every method of compression on one LeNet-sized float net and MNIST: accuracy, bytes, latency.

The goals are what issue and literature suggest: the best binary net that the engine runs within a
point and a half of the float net, faster than it in ONNX Runtime for one row, and ten times smaller.
"""

import torch
from _frame import Row, options, report
from torch import nn

from bimetal.compress import CompressConfig, CompressData, Study, compress, read_data

QUICK_ROWS, QUICK_EPOCHS, EPOCHS = (1_000, 300), 1, 12


def lenet() -> nn.Sequential:
    """LeNet-5's sizes with ReLU and max pooling: 61,706 weights (LeCun et al. 1998)."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def main() -> None:
    """Run all methods, print the table, and the figures with goals."""
    args = options(
        __doc__.splitlines()[0],
        data={"default": "mnist", "help": "a set of pictures of one channel, 28×28 (mnist)"},
        methods={"nargs": "*", "help": "some methods or families only"},
        epochs={"type": int, "help": f"of models trained from the start (default {EPOCHS})"},
        out={"help": "folder for the page and the models"},
    )
    torch.manual_seed(0)
    data = read_data(args.data)
    if args.quick:
        data = data.shortened(*QUICK_ROWS)
    epochs = args.epochs or (QUICK_EPOCHS if args.quick else EPOCHS)
    config = CompressConfig(epochs=epochs, is_quick=args.quick)
    study = compress(
        lenet(), data, args.methods, config, is_trained=False, folder=args.out, progress=say(data)
    )
    print(study.table())
    if args.out:
        from bimetal.report.compression import write_compression

        print("page:", write_compression(study, args.out))
    report(figures(study), args.json, study=study.values())


def say(data: CompressData):
    """Say what begins, not every epoch of it."""
    return lambda text: None if "epoch" in text else print(f"{data.name}: {text}", flush=True)


def figures(study: Study) -> list[Row]:
    """Return the best binary net beside the baseline."""
    base, binary = study.baseline, [r for r in study.results if r.is_packed]
    rows = [Row("baseline float32: accuracy", 100 * base.accuracy, "%")]
    if not binary or study.was_interrupted:
        return rows
    best = max(binary, key=lambda r: r.valid_accuracy)  # chosen by other rows than it is judged on
    n_differ = sum(r.n_differ or 0 for r in binary)
    return [
        *rows,
        Row(f"{best.name}: accuracy", 100 * best.accuracy, "%"),
        Row("points lost to the baseline", 100 * (base.accuracy - best.accuracy), "points", "lower", 1.5),
        Row("times smaller, file by file", base.n_bytes / best.n_bytes, "x", goal=10),
        Row("times as fast for one row", base.one_row_us / best.one_row_us, "x", goal=1),
        Row("times as fast for a batch", base.batch_row_us / best.batch_row_us, "x", goal=1),
        Row("test rows answered otherwise by a packed file", n_differ, "rows", "lower", 0),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
