"""Recurrent layers: torch's own where weights are real, bits where they are not, and they learn."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bimetal.errors import DataError
from bimetal.nn import (
    STEP_NORMS,
    BinaryGRU,
    BinaryLSTM,
    BinaryRNN,
    StepNorm,
    adamw,
    clip_latent,
    latent_weights,
    real_weights,
)
from bimetal.nn.step_norm import step_norm

LAYERS: list[type[Any]] = [BinaryRNN, BinaryGRU, BinaryLSTM]
each_layer = pytest.mark.parametrize("kind", LAYERS)
each_norm = pytest.mark.parametrize("norm", STEP_NORMS)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Steps this small are slower on several threads, and far slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed))


def signs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, shape, generator=seeded(seed)).float() * 2 - 1


def parts(state: Any) -> list[Tensor]:
    return list(state) if isinstance(state, tuple) else [state]


@torch.no_grad()
def give(layer: Any, twin: Any) -> None:
    """Give a layer the weights and offsets of one of torch's."""
    layer.input.latent_weight.copy_(twin.weight_ih_l0[None])
    layer.recurrent.latent_weight.copy_(twin.weight_hh_l0[None])
    layer.input_norm.bias.copy_(twin.bias_ih_l0)
    layer.state_norm.bias.copy_(twin.bias_hh_l0)


@pytest.mark.parametrize(("kind", "twin_kind"), [(BinaryGRU, nn.GRU), (BinaryLSTM, nn.LSTM)])
@pytest.mark.parametrize("has_state", [False, True])
def test_with_real_weights_and_no_norm_a_layer_is_torchs_own(
    kind: Any, twin_kind: Any, has_state: bool
) -> None:
    layer, twin = kind(4, 6, norm="none"), twin_kind(4, 6, batch_first=True)
    give(layer, twin)
    x, h = drawn(3, 9, 4), drawn(1, 3, 6, seed=1)
    state = (h if kind is BinaryGRU else (h, drawn(1, 3, 6, seed=2))) if has_state else None
    with real_weights(layer):
        outputs, last = layer(x, state)
    expected, expected_last = twin(x, state)
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-5)
    for ours, torchs in zip(parts(last), parts(expected_last), strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-5)
    latent_gradient = torch.autograd.grad(outputs.square().sum(), layer.recurrent.latent_weight)[0]
    expected_gradient = torch.autograd.grad(expected.square().sum(), twin.weight_hh_l0)[0]
    torch.testing.assert_close(latent_gradient[0], expected_gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "twin_kind"), [(BinaryGRU, nn.GRU), (BinaryLSTM, nn.LSTM)])
def test_with_binary_weights_it_is_torchs_own_with_their_signs(kind: Any, twin_kind: Any) -> None:
    layer, twin = kind(4, 6, norm="none"), twin_kind(4, 6, batch_first=True)
    give(layer, twin)
    for weight in (twin.weight_ih_l0, twin.weight_hh_l0):
        weight.data = torch.where(weight.data >= 0, 1.0, -1.0)
    x = drawn(3, 9, 4)
    torch.testing.assert_close(layer(x)[0], twin(x)[0], rtol=1e-5, atol=1e-5)


def by_hand(layer: BinaryRNN, x: Any) -> Any:
    """Run a binary RNN on whole numbers: sums, and one threshold a neuron that is asked for."""
    w, u = (
        np.where(part.latent_weight[0].detach().numpy() >= 0, 1, -1)
        for part in (layer.input, layer.recurrent)
    )
    n = w.shape[1] + u.shape[1]
    sums = torch.arange(-n, n + 1.0)[:, None].expand(-1, layer.n_hidden).contiguous()
    fires = [(layer.sum_norm(sums, step) >= 0).detach().numpy() for step in range(x.shape[1])]
    h, made = np.zeros((len(x), layer.n_hidden), int), []
    for step in range(x.shape[1]):
        total = x[:, step].astype(int) @ w.T + h @ u.T
        h = np.where(np.take_along_axis(fires[step], total + n, axis=0), 1, -1)
        made.append(h)
    return np.stack(made, 1)


@pytest.mark.parametrize("norm", ["affine", "batch", "none"])
def test_a_step_of_a_binary_rnn_is_whole_sums_and_a_threshold_for_each_neuron(norm: Any) -> None:
    layer = BinaryRNN(5, 8, norm, n_steps=6, generator=seeded())
    for seed in range(3):
        layer(signs(32, 6, 5, seed=seed))
    layer.sum_norm.bias.data = drawn(8)
    layer.eval()
    x = signs(20, 6, 5, seed=9)
    outputs, state = layer(x)
    np.testing.assert_array_equal(outputs.numpy(force=True), by_hand(layer, x.numpy()))
    assert torch.equal(state[0], outputs[:, -1])


@each_layer
@each_norm
def test_the_future_does_not_change_the_past(kind: Any, norm: Any) -> None:
    layer = kind(3, 5, norm=norm, n_steps=4, generator=seeded()).eval()
    x = drawn(6, 10, 3)
    other = x.clone()
    other[:, 7:] = drawn(6, 3, 3, seed=1)
    assert torch.equal(layer(x)[0][:, :7], layer(other)[0][:, :7])


@each_layer
@pytest.mark.parametrize("norm", ["affine", "layer", "none"])
def test_a_sequence_may_be_cut_where_the_state_is_handed_on(kind: Any, norm: Any) -> None:
    layer = kind(3, 5, norm=norm, generator=seeded()).eval()
    x = drawn(6, 10, 3)
    whole, last = layer(x)
    first, state = layer(x[:, :4])
    second, end = layer(x[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    for ours, expected in zip(parts(end), parts(last), strict=True):
        torch.testing.assert_close(ours, expected)


@each_layer
def test_rows_do_not_see_each_other(kind: Any) -> None:
    layer = kind(3, 5, generator=seeded()).eval()
    x = drawn(6, 4, 3)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(layer(x[order])[0], layer(x)[0][order])


@pytest.mark.parametrize("kind", [BinaryGRU, BinaryLSTM])
def test_a_binary_state_is_read_by_its_signs_and_kept_in_full(kind: Any) -> None:
    layer = kind(3, 5, norm="affine", is_state_binary=True, generator=seeded()).eval()
    read: list[Tensor] = []
    layer.state_norm.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    outputs = layer(drawn(2, 4, 3))[0]
    assert (read[0] == 0).all(), "before the first step there is nothing to read"
    for sums in read[1:]:
        assert torch.equal(sums, sums.round())
        assert torch.equal(sums.abs() % 2, torch.ones_like(sums)), "five terms of ±1 are odd"
    assert len(outputs.unique()) > 5


@each_layer
def test_a_binary_input_is_read_by_its_signs(kind: Any) -> None:
    layer = kind(3, 5, is_input_binary=True, generator=seeded()).eval()
    x = drawn(2, 4, 3)
    assert torch.equal(layer(x)[0], layer(torch.where(x >= 0, 1.0, -1.0))[0])


@each_layer
def test_weights_drawn_at_random_are_the_same_for_all_steps_of_a_call(kind: Any) -> None:
    layer = kind(3, 5, norm="none", binarizer="binaryconnect_stochastic", generator=seeded())
    x = drawn(1, 1, 3).expand(1, 6, 3)
    sums = []
    hook = layer.sum_norm if kind is BinaryRNN else layer.input_norm
    hook.register_forward_pre_hook(lambda _, inputs: sums.append(inputs[0]))
    state = signs(1, 1, 5) if kind is BinaryRNN else None
    layer.recurrent.latent_weight.data.fill_(1.0)  # drawn as +1 for certain
    layer(x, state)
    if kind is not BinaryRNN:
        assert all(torch.equal(made, sums[0]) for made in sums)
    torch.manual_seed(1)
    first = layer(x, state)[0]
    torch.manual_seed(1)
    assert torch.equal(layer(x, state)[0], first)


@each_layer
@each_norm
def test_every_parameter_gets_a_gradient(kind: Any, norm: Any) -> None:
    layer = kind(3, 5, norm=norm, n_steps=4, generator=seeded())
    layer(drawn(8, 4, 3))[0].mul(drawn(8, 4, 5, seed=1)).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if norm != "none":
            assert parameter.grad.abs().max() > 0, name


@each_layer
def test_latent_weights_of_both_products_are_found_and_clipped(kind: Any) -> None:
    layer = kind(3, 5)
    for weight in latent_weights(layer):
        weight.data.fill_(3.0)
    clip_latent(layer)
    n = layer.n_gates * 5
    assert [tuple(w.shape) for w in latent_weights(layer)] == [(1, n, 3), (1, n, 5)]
    assert all((w == 1).all() for w in latent_weights(layer))


def recalled(kind: Any, length: int, n_updates: int, **options: Any) -> float:
    """Train to tell the first of some symbols after the last; return how often it can."""
    generator = seeded()

    def batch(n: int) -> tuple[Tensor, Tensor]:
        symbols = torch.randint(0, 2, (n, length, 1), generator=generator).float() * 2 - 1
        is_first = torch.full((n, length, 1), -1.0)
        is_first[:, 0] = 1.0
        return torch.cat([symbols, is_first], 2), (symbols[:, 0, 0] + 1) / 2

    layer, head = kind(2, 24, generator=generator, **options), nn.Linear(24, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    net = nn.ModuleList([layer, head])
    optimizer = adamw(net, 0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_updates)
    for _ in range(n_updates):
        x, y = batch(64)
        loss = binary_cross_entropy_with_logits(head(layer(x)[0][:, -1])[:, 0], y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        clip_latent(net)
    net.eval()
    x, y = batch(500)
    return float(((head(layer(x)[0][:, -1])[:, 0] > 0) == (y > 0.5)).float().mean())


LEARNERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rnn": (BinaryRNN, {}),
    "rnn with batch norm": (BinaryRNN, {"norm": "batch", "n_steps": 6}),
    "gru": (BinaryGRU, {}),
    "gru of bits": (BinaryGRU, {"is_state_binary": True, "is_input_binary": True}),
    "lstm": (BinaryLSTM, {}),
    "lstm of bits": (BinaryLSTM, {"is_state_binary": True, "norm": "affine"}),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_to_remember_the_first_symbol(name: str) -> None:
    kind, options = LEARNERS[name]
    assert recalled(kind, length=6, n_updates=100, **options) > 0.97


def test_a_step_norm_is_torchs_batch_norm_with_statistics_for_each_step() -> None:
    norm = StepNorm(4, n_steps=3, scale=0.1)
    twins = [nn.BatchNorm1d(4) for _ in range(3)]
    for twin in twins:
        nn.init.constant_(twin.weight, 0.1)
    for seed in range(4):
        for step in range(5):
            x = drawn(8, 4, seed=10 * seed + step) * (1 + step)
            torch.testing.assert_close(norm(x, step), twins[min(step, 2)](x))
    norm.eval()
    for step in range(5):
        x = drawn(3, 4, seed=99)
        torch.testing.assert_close(norm(x, step), twins[min(step, 2)].eval()(x))


def test_layers_name_their_sizes() -> None:
    assert "BinaryLSTM(\n  3, 5, norm='layer'" in repr(BinaryLSTM(3, 5))


def called(layer: nn.Module, *shape: int, state: Any = None) -> Callable[[], object]:
    return lambda: layer(torch.zeros(shape), state)


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: BinaryRNN(0, 5), "sizes must be at least 1, got 0 inputs and 5 hidden"),
    (lambda: BinaryGRU(3, 0), "sizes must be at least 1"),
    (lambda: BinaryGRU(3, 5, norm="no"), r"norm must be one of \['affine', .*got 'no'"),  # type: ignore[arg-type]
    (lambda: BinaryLSTM(3, 5, norm="batch"), "give n_steps, the length .*got None"),
    (lambda: step_norm("batch", 3, 0), "at least 1, got 0"),
    (lambda: BinaryGRU(3, 5, binarizer="no"), "binarizer must be"),
    (lambda: BinaryGRU(3, 5, surrogate_name="no"), "surrogate must be"),
    (called(BinaryGRU(3, 5), 2, 4, 2), r"expected \(n_rows, n_steps, 3\), got \(2, 4, 2\)"),
    (called(BinaryGRU(3, 5), 4, 3), r"expected \(n_rows, n_steps, 3\), got \(4, 3\)"),
    (called(BinaryGRU(3, 5), 2, 0, 3), "at least one step"),
    (called(BinaryGRU(3, 5), 2, 4, 3, state=torch.zeros(2, 5)), r"a state of shape \(1, 2, 5\)"),
    (called(BinaryLSTM(3, 5), 2, 4, 3, state=torch.zeros(1, 2, 5)), r"is \(h, c\), got 1 parts"),
    (called(BinaryRNN(3, 5, "batch", 4), 1, 4, 3), "two rows or more, got 1; call eval"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_does_not_fit_is_said(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
