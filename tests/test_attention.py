"""Attention with binary projections: torch's own where weights are real, and no step sees the future."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import BinaryAttention, BinaryLinear, binary_layers, latent_weights, real_weights


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Steps this small are slower on several threads, and far slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def twins(n_heads: int, is_causal: bool = False) -> tuple[BinaryAttention, nn.MultiheadAttention]:
    """Return a layer that reads real inputs, and torch's with the same latent weights."""
    layer = BinaryAttention(
        8, n_heads, is_input_binary=False, is_causal=is_causal, binarizer="binarynet"
    )
    twin = nn.MultiheadAttention(8, n_heads, bias=False, batch_first=True)
    weights = twin.in_proj_weight.detach().chunk(3)
    for latent, weight in zip(latent_weights(layer), (*weights, twin.out_proj.weight), strict=True):
        latent.data = weight.detach()[None].clone()
    return layer, twin


@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_with_real_weights_and_inputs_it_is_torchs_own(n_heads: int) -> None:
    layer, twin = twins(n_heads)
    x, memory = drawn(3, 5, 8), drawn(3, 6, 8, seed=1)
    with real_weights(layer):
        torch.testing.assert_close(layer(x), twin(x, x, x)[0])
        torch.testing.assert_close(layer(x, memory), twin(x, memory, memory)[0])


def test_its_causal_mask_is_torchs() -> None:
    layer, twin = twins(2, is_causal=True)
    x = drawn(3, 5, 8)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    with real_weights(layer):
        torch.testing.assert_close(layer(x), twin(x, x, x, attn_mask=hidden)[0])


def test_its_projections_are_binary() -> None:
    layer = BinaryAttention(8, 2)
    assert list(binary_layers(layer)) == ["query.2", "key.2", "value.2", "out.2"]
    read: list[Tensor] = []
    for projection in binary_layers(layer).values():
        projection.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    layer(drawn(3, 5, 8))
    assert all(set(x.unique().tolist()) == {-1.0, 1.0} for x in read)
    assert len(read) == 4


def test_the_future_does_not_change_the_past() -> None:
    layer = BinaryAttention(8, 2, is_causal=True)
    x = drawn(3, 10, 8)
    other = x.clone()
    other[:, 6:] = drawn(3, 4, 8, seed=1)
    torch.testing.assert_close(layer(x)[:, :6], layer(other)[:, :6])
    assert not torch.equal(layer(x)[:, 6:], layer(other)[:, 6:])


def test_without_a_mask_the_order_of_steps_does_not_matter() -> None:
    # without signs inside: a sum of floats in another order may fall on the other side of 0
    layer, x = BinaryAttention(8, 2, is_input_binary=False), drawn(3, 5, 8)
    order = torch.tensor([4, 2, 0, 1, 3])
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_a_place_that_is_masked_is_as_if_it_were_not_there() -> None:
    layer = BinaryAttention(8, 2, is_input_binary=False)
    x, memory = drawn(3, 5, 8), drawn(3, 6, 8, seed=1)
    may_look = torch.tensor([True, True, False, True, True, False])
    torch.testing.assert_close(layer(x, memory, may_look), layer(x, memory[:, may_look]))


def test_masks_and_causality_combine() -> None:
    layer, x = BinaryAttention(8, is_causal=True), drawn(2, 4, 8)
    made = layer(x, mask=torch.tensor([True, False, True, True]))
    torch.testing.assert_close(made[:, 0], layer(x)[:, 0])
    torch.testing.assert_close(made[:, 1], made[:, 0])  # both see the first place alone


def test_a_step_that_may_look_nowhere_answers_from_zeros() -> None:
    layer, x = BinaryAttention(8, 2), drawn(2, 4, 8)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2] = False
    made = layer(x, mask=mask)
    torch.testing.assert_close(made[:, 2], layer.out(torch.zeros(2, 8)))


def test_every_parameter_gets_a_gradient() -> None:
    layer = BinaryAttention(8, 2, generator=torch.Generator().manual_seed(0))
    layer(drawn(3, 5, 8)).mul(drawn(3, 5, 8, seed=1)).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_it_learns_to_look_where_it_is_told() -> None:
    """The answer is the first feature of the one step whose second feature is positive."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    layer, head = BinaryAttention(16, 2, generator=generator), nn.Linear(16, 1)
    embed = BinaryLinear(2, 16, binarizer="binarynet", generator=generator)
    net = nn.ModuleList([embed, layer, head])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)

    def batch(n: int) -> tuple[Tensor, Tensor]:
        values = torch.randint(0, 2, (n, 5), generator=generator).float() * 2 - 1
        at = torch.randint(0, 5, (n,), generator=generator)
        marks = torch.full((n, 5), -1.0).scatter(1, at[:, None], 1.0)
        return torch.stack([values, marks], 2), values.gather(1, at[:, None])[:, 0]

    def answer(x: Tensor) -> Tensor:
        embedded = embed(x.flatten(0, 1)).view(len(x), 5, 16)
        return head(layer(embedded).mean(1))[:, 0]

    for _ in range(150):
        x, y = batch(64)
        loss = nn.functional.soft_margin_loss(answer(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, y = batch(500)
    assert ((answer(x) > 0) == (y > 0)).float().mean() > 0.9


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: BinaryAttention(8, 3), "8 features do not divide into 3 heads"),
    (lambda: BinaryAttention(0), "both must be positive"),
    (lambda: BinaryAttention(8, 0), "both must be positive"),
    (
        lambda: BinaryAttention(8)(torch.zeros(2, 8)),
        r"expected \(n_rows, n_steps, 8\), got \(2, 8\)",
    ),
    (lambda: BinaryAttention(8)(torch.zeros(2, 3, 8), torch.zeros(2, 3, 7)), r"got \(2, 3, 7\)"),
    (
        lambda: BinaryAttention(8, is_causal=True)(torch.zeros(2, 3, 8), torch.zeros(2, 3, 8)),
        "attends to its own input",
    ),
]


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_does_not_fit_is_said(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
