"""Binarizers: each method of the literature against its formula, and what all of them have in common."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import (
    BINARIZERS,
    Binarizer,
    BinaryConv2d,
    BinaryLinear,
    Sign,
    binarizer,
    kept_signs,
    real_weights,
    set_progress,
)
from bimetal.nn.binarizers import DRAWS, PREPARATIONS, SCALES, drawn_signs, recu

G = torch.Generator().manual_seed(0)
each_method = pytest.mark.parametrize("name", sorted(BINARIZERS))


def layer(name: str | Binarizer, seed: int = 0) -> BinaryConv2d:
    return BinaryConv2d(
        3, 4, 3, binarizer=name, generator=torch.Generator().manual_seed(seed), init_bound=0.7
    )


@each_method
def test_in_evaluation_weights_are_plus_or_minus_one_and_the_output_their_scaled_sum(
    name: str,
) -> None:
    conv, x = layer(name).eval(), torch.randn(2, 3, 6, 6, generator=G).sign()
    assert set(conv.binary_weight.unique().tolist()) == {-1.0, 1.0}
    sums = nn.functional.conv2d(x, conv.binary_weight)
    alpha = conv.alpha if conv.alpha is not None else torch.ones(4)
    expected = sums * alpha.view(1, -1, 1, 1)
    if conv.binarizer.is_shifted:
        w = conv.latent_weight.flatten(1).mean(1).view(4, 1, 1, 1).expand_as(conv.latent_weight)
        expected = expected + nn.functional.conv2d(x, w)
    torch.testing.assert_close(conv(x), expected)


@each_method
def test_every_latent_weight_gets_a_gradient(name: str) -> None:
    conv = layer(name)
    x = torch.randn(5, 3, 6, 6, generator=G).sign()
    conv(x).square().sum().backward()
    assert torch.isfinite(conv.latent_weight.grad).all()
    assert (conv.latent_weight.grad != 0).float().mean() > 0.95


@each_method
@pytest.mark.parametrize("groups", [1, 2])
def test_a_dense_layer_is_a_convolution_of_one_pixel(name: str, groups: int) -> None:
    dense = BinaryLinear(6, 4, groups, binarizer=name, generator=torch.Generator().manual_seed(1))
    conv = BinaryConv2d(6, 4, 1, groups=groups, binarizer=name)
    conv.latent_weight.data = dense.latent_weight.data.reshape(4, 6 // groups, 1, 1)
    x = torch.randn(7, 6, generator=G).sign()
    torch.testing.assert_close(dense.eval()(x), conv.eval()(x[:, :, None, None]).flatten(1))


@each_method
def test_a_state_comes_back_whole(name: str) -> None:
    first, second = layer(name, 1).eval(), layer(name, 2).eval()
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 3, 6, 6, generator=G).sign()
    assert torch.equal(first(x), second(x))


def effective(conv: BinaryConv2d) -> Tensor:
    """The weights that a method stands for, from the layer's answer to a picture of one pixel."""
    assert conv.alpha is not None
    return conv.binary_weight * conv.alpha.view(-1, 1, 1, 1)


def gradients(conv: BinaryConv2d, arriving: Tensor) -> Tensor:
    """What arrives at latent weights when `arriving` reaches the scaled binary ones."""
    (effective(conv) * arriving).sum().backward()
    return conv.latent_weight.grad


def test_xnor_has_the_published_gradient() -> None:
    conv = layer(replace(BINARIZERS["xnor"], prepare="as_they_are"))
    arriving = torch.randn(4, 3, 3, 3, generator=G)
    w = conv.latent_weight.detach()
    alpha = w.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
    expected = arriving * (1 / 27 + alpha * (w.abs() <= 1))
    torch.testing.assert_close(gradients(conv, arriving), expected)


def test_the_xnor_gradient_goes_with_signs_that_are_drawn() -> None:
    conv = layer(Binarizer("xnor", draw="stochastic"))
    assert not torch.equal(conv.binary_weight, conv.binary_weight)
    assert torch.equal(conv.eval().binary_weight, conv.binary_weight)


def test_corrected_xnor_has_the_derivative_of_its_scale() -> None:
    conv = layer(replace(BINARIZERS["xnor_corrected"], prepare="as_they_are"))
    arriving = torch.randn(4, 3, 3, 3, generator=G)
    w = conv.latent_weight.detach()
    alpha = w.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
    through = (arriving * w.sign()).flatten(1).sum(1).view(-1, 1, 1, 1)
    expected = w.sign() * through / 27 + alpha * arriving * (w.abs() <= 1)
    torch.testing.assert_close(gradients(conv, arriving), expected)


def test_xnor_weights_are_centred_over_the_input_channels() -> None:
    conv = layer("xnor")
    w = conv.latent_weight.detach()
    centred = w - w.mean(1, keepdim=True)
    assert torch.equal(conv.binary_weight, torch.where(centred >= 0, 1.0, -1.0))
    torch.testing.assert_close(conv.alpha, centred.abs().flatten(1).mean(1))


def test_stochastic_weights_are_plus_one_as_often_as_the_hard_sigmoid_says() -> None:
    conv = BinaryLinear(1, 4, binarizer="binaryconnect_stochastic")
    conv.latent_weight.data = torch.tensor([-2.0, -0.5, 0.0, 0.8]).view(1, 4, 1)
    torch.manual_seed(0)
    share = torch.stack([conv.binary_weight.detach() for _ in range(4000)]).eq(1).float().mean(0)
    torch.testing.assert_close(
        share.flatten(), torch.tensor([0, 0.25, 0.5, 0.9]), atol=0.03, rtol=0
    )
    assert torch.equal(conv.eval().binary_weight.flatten(), torch.tensor([-1.0, -1, 1, 1]))


def test_binaryconnect_passes_gradients_as_they_are_and_binarynet_within_one() -> None:
    for name, expected in (("binaryconnect", [1.0, 1.0]), ("binarynet", [0.0, 1.0])):
        dense = BinaryLinear(1, 2, binarizer=name)
        dense.latent_weight.data = torch.tensor([3.0, 0.5]).view(1, 2, 1)
        dense.binary_weight.sum().backward()
        assert dense.latent_weight.grad.flatten().tolist() == expected


def test_ir_net_balances_its_bits_and_scales_by_a_power_of_two() -> None:
    conv = layer("ir_net")
    conv.latent_weight.data += 0.4
    w = conv.latent_weight.detach().flatten(1)
    z = (w - w.mean(1, keepdim=True)) / w.std(1, keepdim=True)
    torch.testing.assert_close(conv.binary_weight.flatten(1), torch.where(z >= 0, 1.0, -1.0))
    assert all(math.log2(a) == round(math.log2(a)) for a in conv.alpha.tolist())


@pytest.mark.parametrize(("progress", "tau"), [(0.0, 0.85), (1.0, 0.99)])
def test_recu_moves_the_tails_to_the_quantile_of_a_laplace_distribution(progress, tau) -> None:
    w = torch.distributions.Laplace(0, 1).sample((1, 20000))
    z = (w - w.mean()) / w.std()
    bound = recu(w, progress).abs().max()
    torch.testing.assert_close(bound, z.abs().mean() * -math.log(2 - 2 * tau), rtol=1e-4, atol=0)
    assert (z.abs() > bound).float().mean().item() == pytest.approx(2 - 2 * tau, abs=0.01)


def test_adabin_has_two_values_around_the_mean_of_its_weights() -> None:
    conv = layer("adabin").eval()
    conv.latent_weight.data += 0.3
    pixel = torch.zeros(27, 3, 3, 3)
    pixel.view(27, 27)[range(27), range(27)] = 1  # the answer to one pixel is one weight
    w = conv(pixel).flatten(1).T
    latent = conv.latent_weight.detach().flatten(1)
    middle, spread = latent.mean(1, keepdim=True), latent.std(1, keepdim=True, unbiased=False)
    expected = torch.where(latent >= middle, middle + spread, middle - spread)
    torch.testing.assert_close(w, expected, rtol=1e-4, atol=1e-5)


def test_progressive_signs_near_the_sign_and_are_one_in_evaluation() -> None:
    x = torch.tensor([-0.4, -1e-4, 0.0, 0.3])
    distances = [
        (drawn_signs(x, "identity", "progressive", True, p) - torch.where(x >= 0, 1.0, -1.0))
        .abs()
        .sum()
        for p in (0.0, 0.2, 0.5, 1.0)
    ]
    assert distances == sorted(distances, reverse=True)
    assert torch.equal(
        drawn_signs(x, "identity", "progressive", False), torch.tensor([-1.0, -1, 1, 1])
    )


@pytest.mark.parametrize("draw", DRAWS)
def test_activations_may_be_drawn_and_gradients_are_those_of_the_surrogate(draw) -> None:
    sign = Sign("clipped", draw)
    x = torch.tensor([-0.9, 0.1, 0.7], requires_grad=True)
    assert sign(x).abs().max() <= 1
    sign(x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    assert set(sign.eval()(x).tolist()) == {-1.0, 1.0}


def test_progress_reaches_every_layer_that_asks_for_it() -> None:
    net = nn.Sequential(nn.Sequential(layer("ir_net")), Sign("ede"))
    set_progress(net, 0.75)
    assert (net[0][0].progress, net[1].progress) == (0.75, 0.75)
    slopes = []
    for progress in (0.0, 1.0):
        set_progress(net, progress)
        x = torch.tensor([1e-3], requires_grad=True)
        net[1](x).backward()
        slopes.append(x.grad.item())
    assert slopes == pytest.approx([1, 10], rel=1e-3), "first the identity, in the end steep at 0"


def test_real_weights_work_inside_the_block_and_nowhere_else() -> None:
    net = nn.Sequential(layer("bi_real"))
    x = torch.randn(2, 3, 6, 6, generator=G)
    binary = net(x)
    with real_weights(net):
        assert net[0].alpha is None
        torch.testing.assert_close(net(x), nn.functional.conv2d(x, net[0].latent_weight))
        with real_weights(net):
            pass
        assert net[0].uses_latent, "an inner block must not end the outer one"
    assert torch.equal(net(x), binary)


@each_method
def test_real_weights_work_where_signs_are_kept_as_well(name: str) -> None:
    net, x = nn.Sequential(layer(name)).eval(), torch.randn(2, 3, 6, 6, generator=G)
    with real_weights(net):
        expected = net(x)
        with kept_signs(net):
            assert torch.equal(net(x), expected)
    with kept_signs(net), real_weights(net):
        assert torch.equal(net(x), expected)


def test_two_stages_share_every_weight() -> None:
    net = nn.Sequential(layer("bi_real"))
    before = net[0].latent_weight
    with real_weights(net):
        net(torch.ones(1, 3, 6, 6)).sum().backward()
    assert net[0].latent_weight is before
    assert before.grad is not None


def test_kept_signs_are_worked_out_once_and_forgotten_afterwards() -> None:
    conv = layer("xnor").eval()
    x = torch.ones(1, 3, 6, 6)
    with kept_signs(conv):
        first = conv(x)
        assert conv.binary_weight is conv.binary_weight
    conv.latent_weight.data.neg_()
    assert not torch.equal(conv(x), first)
    assert conv.binary_weight is not conv.binary_weight


@pytest.mark.parametrize("f", SCALES, ids=lambda f: f.__name__)
def test_a_scale_is_positive_and_grows_with_the_weights(f) -> None:
    w = torch.randn(5, 3, 2, 2, generator=G)
    torch.testing.assert_close(f(4 * w), 4 * f(w))
    assert (f(w) > 0).all()
    assert f(w).shape == (5,)


@pytest.mark.parametrize("f", PREPARATIONS, ids=lambda f: f.__name__)
def test_a_preparation_keeps_shapes_and_survives_equal_weights(f) -> None:
    assert f(torch.randn(2, 3, 2, 2, generator=G), 0.5).shape == (2, 3, 2, 2)
    assert torch.isfinite(f(torch.full((2, 4), 0.3), 0.5)).all()


@pytest.mark.parametrize("f", PREPARATIONS, ids=lambda f: f.__name__)
def test_the_gradient_of_a_preparation_is_its_derivative(f) -> None:
    w = torch.randn(3, 4, 2, 2, generator=G, dtype=torch.float64).requires_grad_()
    if f is recu:  # Q is held constant there, as its authors do
        bound = f(w.detach(), 0.5).abs().amax((1, 2, 3)).view(-1, 1, 1, 1)
        inside = (f(w.detach(), 0.5).abs() < bound).double()
        weights = inside * torch.randn(w.shape, generator=G, dtype=torch.float64)
        by_parts = torch.autograd.grad((f(w, 0.5) * weights).sum(), w)[0]
        plain = torch.autograd.grad((PREPARATIONS[2](w, 0.5) * weights).sum(), w)[0]
        torch.testing.assert_close(by_parts, plain)
    else:
        assert torch.autograd.gradcheck(lambda x: f(x, 0.5), (w,))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Binarizer(surrogate="stee"), "surrogate must be one of"),
        (lambda: Binarizer(scale="max"), r"scale must be one of \['none', 'learned', 'mean_abs'.*got 'max'"),
        (lambda: Binarizer(prepare="whiten"), "prepare must be one of .*got 'whiten'"),
        (lambda: Binarizer(draw="dice"), "draw must be one of .*got 'dice'"),
        (lambda: Binarizer(clip=0), "clip must be a positive number or None, got 0"),
        (lambda: binarizer("xnornet"), "binarizer must be a Binarizer, one of .*got 'xnornet'"),
        (lambda: BinaryConv2d(4, 4, 3, groups=4, binarizer="xnor").binary_weight, "'centred' weights need"),
        (lambda: BinaryLinear(1, 4, binarizer="recu").binary_weight, "'recu' weights need two inputs"),
        (lambda: Sign("clipped", "dice"), "draw must be one of"),
        (lambda: Sign("xnor"), "surrogate must be one of"),
    ],
)  # fmt: skip
def test_what_is_unknown_is_refused_and_the_known_named(call, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


def test_a_binarizer_prints_as_what_makes_it() -> None:
    assert eval(repr(BINARIZERS["xnor"])) == BINARIZERS["xnor"]
    assert repr(Binarizer()) == "Binarizer()"
