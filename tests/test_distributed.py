"""Two processes, started by torch's own launcher, do what one does, but for the order of additions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bimetal.errors import DataError
from bimetal.nn import Bytes, ShiftBatchNorm1d, distributed

SCRIPT = Path(__file__).with_name("launched_training.py")
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def run(path: Path, *launcher: str) -> dict:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("WORLD_SIZE", None)
    command = [sys.executable, *launcher, str(SCRIPT), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(path, weights_only=True)


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one.pt"), run(tmp_path / "two.pt", *LAUNCHER)
    assert (one["n_processes"], two["n_processes"]) == (1, 2)
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
    for name, tensor in one["state"].items():
        # 21 steps of Adam at 1e-3 move a weight by up to 0.02; floats added in another order, by 1e-4
        torch.testing.assert_close(two["state"][name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    one, two = (
        torch.load(tmp_path / f"{n}.pt.statistics", weights_only=True) for n in ("one", "two")
    )
    for name, tensor in one.items():  # every layer that looks at a batch sees the whole of it
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_alone_every_function_does_nothing() -> None:
    model, rows = nn.Linear(2, 2), torch.arange(9)
    before = [p.detach().clone() for p in model.parameters()]
    with distributed.launched():
        assert (distributed.rank(), distributed.n_processes()) == (0, 1)
        ours, share = distributed.shard(rows)
        assert share == 1
        assert torch.equal(ours, rows)
        assert distributed.total(torch.tensor(2.5)) == distributed.of_first(2.5) == 2.5
        distributed.sum_gradients(model)
    assert all(map(torch.equal, before, model.parameters()))
    assert all(p.grad is None for p in model.parameters())


def test_a_norm_over_all_batches_is_refused() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2, momentum=None))
    with (
        pytest.raises(DataError, match="norm '0' needs a number as its momentum"),
        distributed.synchronized_norms(model),
    ):
        pass


def test_norms_are_themselves_again_afterwards() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), ShiftBatchNorm1d(2), Bytes(momentum=0.1))
    before = [set(vars(layer)) for layer in model]
    with distributed.synchronized_norms(model):
        assert all(set(vars(layer)) > names for layer, names in zip(model, before, strict=True))
    assert [set(vars(layer)) for layer in model] == before
