"""Norms and ranges found anew from data: what they come to, and what is left alone."""

import pytest
import torch
from torch import nn

from bimetal.errors import DataError
from bimetal.nn import BinaryLinear, Bytes, calibrate, real_weights

X = torch.randn(70, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1


def test_statistics_are_the_means_over_the_batches() -> None:
    norm = nn.BatchNorm1d(5)
    calibrate(norm, X, batch_size=35)
    halves = X.split(35)
    torch.testing.assert_close(norm.running_mean, torch.stack([h.mean(0) for h in halves]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([h.var(0) for h in halves]).mean(0))


def test_a_last_batch_of_one_row_has_no_variance_and_is_left_out() -> None:
    norm = nn.BatchNorm1d(5)
    calibrate(norm, X, batch_size=69)
    torch.testing.assert_close(norm.running_mean, X[:69].mean(0))


def test_weights_modes_and_momenta_stay() -> None:
    net = nn.Sequential(
        BinaryLinear(5, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Dropout(0.5)
    ).train()
    net[2].eval()
    before = [p.detach().clone() for p in net.parameters()]
    calibrate(net, X)
    assert all(map(torch.equal, before, net.parameters()))
    assert [m.training for m in net.modules()] == [True, True, True, False]
    assert net[1].momentum == 0.3


def test_they_are_those_of_the_weights_that_answer() -> None:
    net = nn.Sequential(BinaryLinear(5, 4, binarizer="binaryconnect_stochastic"), nn.BatchNorm1d(4))
    calibrate(net, X)
    torch.testing.assert_close(net[1].running_mean, net[0].eval()(X).mean(0))
    with real_weights(net):
        calibrate(net, X)
        torch.testing.assert_close(net[1].running_mean, net[0](X).mean(0))


def test_ranges_of_bytes_are_found_as_well() -> None:
    net = nn.Sequential(nn.Identity(), Bytes(momentum=0.1))
    calibrate(net, X)
    whole = net.eval()(X)
    assert (whole.min(), whole.max()) == (0, 255)


@pytest.mark.parametrize(
    ("x", "message"),
    [(X[:1], "two inputs at least, got 1"), (None, "does not name their shape")],
)
def test_too_few_inputs_are_refused(x, message: str) -> None:
    with pytest.raises(DataError, match=message):
        calibrate(nn.BatchNorm1d(5), x)


def test_modes_come_back_after_an_error() -> None:
    net = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(3, 2)).train()
    with pytest.raises(RuntimeError):
        calibrate(net, X)
    assert all(m.training for m in net.modules())
    assert net[0].momentum == 0.1
