"""A small training for tests/test_distributed.py, run alone or by torch's launcher. Writes weights and losses."""

import sys
from contextlib import nullcontext

import torch
from torch import nn

from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BinaryRNN,
    Bytes,
    ShiftBatchNorm1d,
    Sign,
    TrainConfig,
    distributed,
    fit_classifier,
)

N_ROWS = 103  # neither the batches nor the last of them divide evenly


def net() -> nn.Module:
    torch.manual_seed(distributed.rank())  # process 0 decides
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), Sign("approx_sign"),
        BinaryConv2d(8, 8, 3, binarizer="xnor_corrected"), nn.BatchNorm2d(8), Sign("approx_sign"),
        nn.Flatten(), BinaryLinear(8 * 16, 3), nn.BatchNorm1d(3),
    )  # fmt: skip


def what_reads_a_batch() -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return {
        "norm": nn.BatchNorm1d(4),
        "shift": ShiftBatchNorm1d(4),
        "bytes": Bytes(n=4, momentum=0.5),
        "steps": nn.Sequential(nn.Unflatten(1, (2, 2)), BinaryRNN(2, 3, "batch", n_steps=2)),
    }


def statistics(path: str) -> None:
    """Write what layers with statistics keep of one batch, and the gradients of their parameters."""
    rows, share = distributed.shard(torch.arange(12))
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
    found = {}
    for name, layer in what_reads_a_batch().items():
        is_shared = distributed.n_processes() > 1
        with distributed.synchronized_norms(layer) if is_shared else nullcontext():
            out = layer(x[rows])
            out = out[0] if isinstance(out, tuple) else out
            if any(p.requires_grad for p in layer.parameters()):
                (out.square().flatten(1).sum(1).mean() * share).backward()
                distributed.sum_gradients(layer)
        found |= {f"{name}.{key}": t for key, t in layer.state_dict().items()}
        found |= {f"{name}.{key}.grad": p.grad for key, p in layer.named_parameters()}
    if distributed.rank() == 0:
        torch.save(found, path)


def main(path: str) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N_ROWS, 1, 8, 8, generator=generator)
    y = (x[:, 0, 2, 2] > 0).long() + (x[:, 0, 5, 5] > 0).long()
    config = TrainConfig(3, 17, learning_rate=1e-3, patience=None, optimizer="adam")
    with distributed.launched():
        model = net()
        history = fit_classifier(model, x, y, config, valid=(x, y))
        if distributed.rank() == 0:
            torch.save(
                {
                    "state": model.state_dict(),
                    "losses": [e.train_loss for e in history.epochs],
                    "n_processes": distributed.n_processes(),
                },
                path,
            )


if __name__ == "__main__":
    main(sys.argv[1])
    with distributed.launched():
        statistics(sys.argv[1] + ".statistics")
