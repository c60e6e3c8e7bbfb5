"""What is told of a net in training is what its signs did, and a sick layer is told from a well one."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import (
    BINARIZERS,
    SURROGATES,
    Binarizer,
    BinaryConv2d,
    BinaryLinear,
    LayerInsight,
    Sign,
    Watch,
    clip_latent,
    surrogate,
    watch_activations,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def net(binarizer: Binarizer | str = "binarynet") -> nn.Sequential:
    return nn.Sequential(
        BinaryConv2d(3, 8, 3, binarizer=binarizer, generator=seeded(1)),
        nn.Flatten(),
        BinaryLinear(8 * 4 * 4, 6, groups=2, binarizer=binarizer, generator=seeded(2)),
    )


@torch.no_grad()
def change(w: Tensor, to: Tensor | float) -> None:
    w.copy_(torch.as_tensor(to).expand_as(w))


def watched(model: nn.Module, step: Callable[[], Any], n_epochs: int = 1) -> Watch:
    watch = Watch(model)
    for _ in range(n_epochs):
        watch.begin()
        step()
        watch.end()
    return watch


def one(layer: nn.Module, step: Callable[[], Any] = lambda: None) -> LayerInsight:
    watch = Watch(nn.Sequential(layer))
    watch.begin()
    step()
    return watch.end()["0"]


# --- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_flipped", [0, 1, 17, 60])
def test_the_flip_ratio_is_the_share_of_weights_negated(n_flipped: int) -> None:
    layer = BinaryLinear(10, 6, generator=seeded())
    mask = torch.zeros(60, dtype=torch.bool)
    mask[torch.randperm(60, generator=seeded(3))[:n_flipped]] = True
    w = layer.latent_weight.detach()
    insight = one(layer, lambda: change(layer.latent_weight, torch.where(mask.view_as(w), -w, w)))
    assert insight.flip_ratio == n_flipped / 60
    assert insight.never_flipped == pytest.approx(1 - n_flipped / 60)


@pytest.mark.parametrize("name", BINARIZERS)
def test_a_flip_is_one_of_the_weights_that_would_be_deployed(name: str) -> None:
    model = net(name)
    layer = model[0]

    def deployed() -> Tensor:
        signs: Tensor = layer.eval().binary_weight.detach().clone()
        layer.train()
        return signs

    before = deployed()
    watch = Watch(model)
    watch.begin()
    noise = torch.rand(layer.latent_weight.shape, generator=seeded(5)) - 0.5
    change(layer.latent_weight, layer.latent_weight.detach() + 0.1 * noise)
    insight = watch.end()["0"]
    assert insight.flip_ratio == pytest.approx((before != deployed()).float().mean().item())
    assert insight.flip_ratio > 0
    assert insight.positive_share == pytest.approx((deployed() > 0).float().mean().item())


@pytest.mark.parametrize("name", BINARIZERS)
def test_watching_changes_neither_the_model_nor_the_random_numbers(name: str) -> None:
    model = net(name).train()
    model[0].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    dice = torch.random.get_rng_state()
    watched(model, lambda: None)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [m.training for m in model] == [False, True, True]
    assert torch.equal(torch.random.get_rng_state(), dice)


def test_a_weight_that_flipped_once_is_silent_no_more() -> None:
    layer = BinaryLinear(10, 1, generator=seeded())
    watch = Watch(nn.Sequential(layer))
    have_flipped, shares = torch.zeros(10, dtype=torch.bool), []
    for epoch in range(6):
        flips = torch.rand(10, generator=seeded(epoch)) < 0.2
        have_flipped |= flips
        watch.begin()
        w = layer.latent_weight.detach()
        change(layer.latent_weight, torch.where(flips, -w, w))
        shares.append(watch.end()["0"].never_flipped)
        assert shares[-1] == pytest.approx(1 - have_flipped.float().mean().item())
    assert shares == sorted(shares, reverse=True)


def test_weights_at_their_clip_are_saturated() -> None:
    layer = BinaryLinear(4, 1, binarizer=Binarizer(clip=0.5))
    change(layer.latent_weight, torch.tensor([9.0, -9.0, 0.4, -0.49]))
    clip_latent(layer)
    assert one(layer).saturation == 0.5
    assert one(BinaryLinear(4, 1, binarizer="ir_net")).saturation == 0


@pytest.mark.parametrize("clip", [1.0, 0.25, None])
def test_the_histogram_counts_every_latent_weight(clip: float | None) -> None:
    layer = BinaryLinear(20, 9, binarizer=Binarizer(clip=clip))
    change(layer.latent_weight, torch.randn(layer.latent_weight.shape, generator=seeded()))
    insight = one(layer)
    bound = insight.max_abs if clip is None else clip
    w = layer.latent_weight.detach().clamp(-bound, bound).numpy()
    counts, edges = np.histogram(w, len(insight.histogram.counts), (-bound, bound))
    assert sum(insight.histogram.counts) == 180
    assert np.abs(counts - insight.histogram.counts).sum() <= 2  # one value may sit on an edge
    assert insight.histogram.edges == pytest.approx(edges.tolist())
    assert insight.mean_abs == pytest.approx(layer.latent_weight.abs().mean().item())


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_weights_that_are_nothing_are_looked_at_without_complaint(value: float) -> None:
    layer = BinaryLinear(4, 2, binarizer="adabin")
    change(layer.latent_weight, value)
    assert len(one(layer).histogram.edges) == len(one(layer).histogram.counts) + 1


# --- remarks ---------------------------------------------------------------------------------


def test_a_net_in_good_health_draws_no_remark() -> None:
    model = net()
    noise = [0.01 * torch.rand(m.latent_weight.shape) for m in (model[0], model[2])]
    signs = iter([1, -1] * 4)

    def step() -> None:
        s = next(signs)
        for layer, n in zip((model[0], model[2]), noise, strict=True):
            change(layer.latent_weight, layer.latent_weight.detach() + s * n)

    assert watched(model, step, 8).remarks() == ()


def test_nothing_is_remarked_before_anything_was_seen() -> None:
    assert Watch(net()).remarks() == ()


def test_a_layer_that_flips_no_more_is_remarked_until_it_flips() -> None:
    model = net()
    watch = watched(model, lambda: None, 2)
    assert watch.remarks() == ()
    for n in (3, 4):
        watch.begin()
        watch.end()
        quiet = [f"layer '{m}': no weight has flipped in the last {n} epochs" for m in ("0", "2")]
        assert list(watch.remarks()) == quiet
    watch.begin()
    model[0].latent_weight.data[0, 0, 0, 0].neg_()
    watch.end()
    assert watch.remarks() == ("layer '2': no weight has flipped in the last 5 epochs",)


def filled(value: float, binarizer: Binarizer | str = "binarynet") -> nn.Sequential:
    layer = BinaryLinear(10, 2, binarizer=binarizer)
    change(layer.latent_weight, value * torch.tensor([1.0, -1.0] * 5))
    return nn.Sequential(layer)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (filled(3.2), r"not clipped: one has grown to 3\.2, beyond ±1; call clip_latent"),
        (filled(3.2), "100% of the latent weights are where the surrogate 'clipped' has no slope"),
        (filled(1.3, Binarizer("clipped_wide", clip=None)), "have no clip and have grown to 1.3 "),
        (filled(1.3, Binarizer("clipped_wide", clip=None)), "'clipped_wide' has no slope"),
    ],
)
def test_weights_that_grew_are_remarked(model: nn.Module, message: str) -> None:
    remarks = watched(model, lambda: None).remarks()
    assert any(re.search(message, remark) for remark in remarks), remarks


@pytest.mark.parametrize("name", [*BINARIZERS, *(f.__name__ for f in SURROGATES)])
def test_new_layers_of_every_method_are_in_good_health(name: str) -> None:
    assert watched(net(name), lambda: None).remarks() == ()


@pytest.mark.parametrize(("value", "sign"), [(0.1, r"\+1"), (-0.1, "-1")])
def test_weights_of_one_sign_are_remarked(value: float, sign: str) -> None:
    layer = BinaryLinear(3, 2)
    change(layer.latent_weight, value)
    (remark,) = watched(nn.Sequential(layer), lambda: None).remarks()
    assert (
        remark
        == f"layer '0': all weights are {sign[-2:]}: were they lost on the way into this model?"
    )


def test_a_restless_layer_is_remarked() -> None:
    model = filled(0.1)
    watch = watched(model, lambda: change(model[0].latent_weight, -model[0].latent_weight.detach()))
    (remark,) = watch.remarks()
    assert "100% of the weights flipped in one epoch" in remark
    assert "lower the learning rate" in remark


# --- errors ----------------------------------------------------------------------------------


def test_an_end_without_a_beginning_is_refused() -> None:
    with pytest.raises(DataError, match=r"\['0', '2'\] are not those .*call begin\(\) first"):
        Watch(net()).end()


def test_layers_that_changed_in_between_are_refused_by_name() -> None:
    model = net()
    watch = Watch(model)
    watch.begin()
    model[2] = BinaryLinear(128, 8)
    with pytest.raises(DataError, match=r"\['2'\] are not those that were there"):
        watch.end()


# --- activations -----------------------------------------------------------------------------

SHAPES = [(12, 5), (12, 5, 3, 4), (12, 5, 7)]


@pytest.mark.parametrize("name", [f.__name__ for f in SURROGATES])
@pytest.mark.parametrize("shape", SHAPES)
def test_activations_are_counted_as_numpy_counts_them(name: str, shape: tuple[int, ...]) -> None:
    x = 2 * torch.randn(shape, generator=seeded())
    x[:, 1] = x[:, 1].abs()
    x[:, 3] = -x[:, 3].abs() - 1e-3
    model = nn.Sequential(Sign(name))
    with watch_activations(model) as activity:
        model(x)
    seen = activity.insight()["0"]
    signs = np.moveaxis((x >= 0).numpy(), 1, 0).reshape(5, -1)
    assert seen.n_values == x.numel()
    assert seen.positive_share == signs.mean()
    assert (seen.n_neurons, seen.n_constant) == (5, int((signs == signs[:, :1]).all(1).sum()))
    assert seen.dead_share == pytest.approx((surrogate(name)(x) == 0).double().mean().item())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_batches_do_not_matter(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=seeded())
    model = nn.Sequential(Sign("approx_sign"))
    found = []
    for size in (12, 5, 1):
        with watch_activations(model) as activity:
            for batch in x.split(size):
                model(batch)
        found.append(activity.insight()["0"])
    for other in found[1:]:
        assert other.dead_share == pytest.approx(found[0].dead_share)
        assert (other.positive_share, other.n_constant) == (
            found[0].positive_share,
            found[0].n_constant,
        )


def test_after_the_block_nothing_is_counted_and_no_hook_is_left() -> None:
    model = nn.Sequential(nn.Linear(2, 3), Sign(), Sign())
    with watch_activations(model) as activity:
        assert activity.insight() == {}
        model(torch.ones(4, 2))
        model(torch.ones(0, 2))
    before = activity.insight()
    model(torch.ones(4, 2))
    assert activity.insight() == before
    assert list(before) == ["1", "2"]
    assert not any(m._forward_pre_hooks for m in model)


def test_gradients_flow_as_if_nobody_watched() -> None:
    model = nn.Sequential(Sign())
    x = torch.tensor([[0.5, -2.0]], requires_grad=True)
    with watch_activations(model):
        model(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1.0, 0.0]]
