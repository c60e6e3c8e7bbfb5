"""A small training for tests/test_distributed.py, run alone or by torch's launcher. Writes weights and losses."""

import sys

import torch
from torch import nn

from bimetal.nn import BinaryConv2d, BinaryLinear, Sign, TrainConfig, distributed, fit_classifier

N_ROWS = 103  # neither the batches nor the last of them divide evenly


def net() -> nn.Module:
    torch.manual_seed(distributed.rank())  # process 0 decides
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), Sign("approx_sign"),
        BinaryConv2d(8, 8, 3, binarizer="xnor_corrected"), nn.BatchNorm2d(8), Sign("approx_sign"),
        nn.Flatten(), BinaryLinear(8 * 16, 3), nn.BatchNorm1d(3),
    )  # fmt: skip


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
