"""The laws of every net of the zoo: a new member of `NETS` is held to them by being listed."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bimetal import zoo
from bimetal.lower import lower_cnn
from bimetal.nn import binary_layers, clip_latent, fold_norms
from bimetal.reference import run
from bimetal.runtime import Engine

each_net = pytest.mark.parametrize("member", zoo.NETS, ids=[member.name for member in zoo.NETS])
N_CLASSES = 7


def built(member: zoo.Architecture, binary: bool = True, **options: Any) -> zoo.Net:
    return member.build(
        **{"n_classes": N_CLASSES, "seed": 0, **member.small, **options}, binary=binary
    )


def inputs(net: zoo.Net, n: int = 4, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, *net.image_shape), generator=generator).float()


def rows(x: Tensor) -> Any:
    return x.movedim(1, -1).reshape(len(x), -1).numpy()


def test_every_net_is_on_the_face_of_the_zoo() -> None:
    assert {member.name for member in zoo.NETS} <= set(zoo.__all__)
    assert all(getattr(zoo, member.name) is member.build for member in zoo.NETS)
    assert len({member.name for member in zoo.NETS}) == len(zoo.NETS)


@each_net
def test_a_net_has_the_options_of_all_nets(member: zoo.Architecture) -> None:
    options = inspect.signature(member.build).parameters
    assert {"binary", "n_classes", "seed"} <= set(options)
    assert member.summary.endswith((".", ",")) or ":" in member.summary


@each_net
@pytest.mark.parametrize("binary", [True, False])
def test_either_twin_answers_each_picture_with_a_number_a_class(
    member: zoo.Architecture, binary: bool
) -> None:
    net = built(member, binary).eval()
    x = inputs(net)
    with torch.no_grad():
        answers = net(x)
    assert answers.shape == (4, N_CLASSES)
    assert bool(answers.isfinite().all())
    assert bool(binary_layers(net)) == binary


@each_net
def test_the_same_seed_makes_the_same_net_and_leaves_torchs_generator_alone(
    member: zoo.Architecture,
) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (built(member, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


@each_net
@pytest.mark.parametrize("binary", [True, False])
def test_a_few_steps_of_training_lower_the_loss(member: zoo.Architecture, binary: bool) -> None:
    net = built(member, binary).train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    x, y = inputs(net, N_CLASSES), torch.arange(N_CLASSES)
    optimizer = torch.optim.Adam(net.parameters(), 0.02 if binary else 0.003)
    losses = []
    for _ in range(6):
        loss = cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in net.parameters())
        optimizer.step()
        clip_latent(net)
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@each_net
def test_a_net_and_its_program_answer_alike(member: zoo.Architecture) -> None:
    net = built(member)
    zoo.calibrate(net)
    folded = fold_norms(
        net
    )  # what a Program computes, with a norm that no sign follows in two steps
    x = inputs(net)
    with torch.no_grad():
        expected = folded(x).numpy()
    program = lower_cnn(folded, net.image_shape)
    answers = run(program, rows(x))
    np.testing.assert_array_equal(Engine(program).run(rows(x)), answers)
    # a norm behind the last sums is one float64 step in a Program and two float32 ones in torch
    np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(answers.argmax(1), expected.argmax(1))
    assert len(np.unique(expected, axis=0)) == len(x), "different pictures, different answers"
