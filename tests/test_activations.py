"""`Bytes` is the operation `Quantize`; `Pixels` are exact; a last step is the last one."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bimetal.errors import DataError
from bimetal.nn import BinaryLinear, BitPlanes, ByteConv2d, ByteLinear, Thermometer
from bimetal.nn.activations import Bytes, Pixels
from bimetal.nn.take import Last
from bimetal.ops import Quantize
from bimetal.reference.maps import quantize

FLOATS32 = st.floats(width=32, allow_nan=True, allow_infinity=True)
RANGES = st.tuples(
    st.floats(-1e6, 1e6, width=32), st.floats(1 / 1024, 1e6, width=32)
)  # low, high − low


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).float()


@given(
    x=st.lists(FLOATS32, min_size=1, max_size=8),
    ranges=st.lists(RANGES, min_size=1, max_size=3),
    is_shared=st.booleans(),
)
def test_bytes_are_what_quantize_makes(x: list[float], ranges: Any, is_shared: bool) -> None:
    layer = Bytes(n=None if is_shared else len(ranges)).eval()
    layer.low = torch.tensor([low for low, _ in ranges][: 1 if is_shared else None])
    layer.high = layer.low + torch.tensor([size for _, size in ranges][: len(layer.low)])
    if not bool((layer.low < layer.high).all()):
        return  # the size was lost in the sum
    rows = torch.tensor(x)[:, None].expand(len(x), len(ranges))
    n = len(ranges)
    op = Quantize(0, *(np.resize(t.numpy(), n) for t in (layer.scale, layer.offset)))
    with np.errstate(all="ignore"):
        expected = quantize(op, np.ascontiguousarray(rows.numpy()))
    np.testing.assert_array_equal(layer(rows).numpy(), expected)


def test_the_ends_of_the_range_are_the_ends_of_the_bytes() -> None:
    layer = Bytes(low=-2.0, high=3.0)
    x = torch.tensor([[-2.0, 3.0, -9.0, 9.0, -torch.inf, torch.inf]])
    assert layer(x).tolist() == [[0, 255, 0, 255, 0, 255]]


def test_nan_is_zero_in_an_engine_and_seen_in_training() -> None:
    x = torch.tensor([[torch.nan]])
    assert Bytes().eval()(x).item() == 0
    assert Bytes().train()(x).isnan().item()


def test_the_gradient_passes_within_the_range_only() -> None:
    x = torch.tensor([[-1.0, 0.3, 0.7, 2.0]], requires_grad=True)
    Bytes(0.0, 0.5)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 510.0, 0.0, 0.0]]


def test_a_range_is_found_from_data_channel_by_channel() -> None:
    x = torch.tensor([[[0.0, 4.0], [5.0, 5.0]], [[-2.0, 1.0], [5.0, 5.0]]])  # (2, 2, 2)
    layer = Bytes(n=2).calibrate(x)
    assert layer.low.tolist() == [-2.0, 5.0]
    assert layer.high.tolist() == [4.0, 10.0], "a range of one value is widened"
    shared = Bytes().calibrate(x)
    assert (shared.low.item(), shared.high.item()) == (-2.0, 5.0)


def test_a_range_follows_the_data_in_training_only() -> None:
    layer = Bytes(momentum=0.5)
    layer(torch.tensor([[0.0, 8.0]]))
    assert (layer.low.item(), layer.high.item()) == (0.0, 8.0)
    layer(torch.tensor([[-2.0, 4.0]]))
    assert (layer.low.item(), layer.high.item()) == (-1.0, 6.0)
    layer.eval()(torch.tensor([[-50.0, 50.0]]))
    assert (layer.low.item(), layer.high.item()) == (-1.0, 6.0)
    again = Bytes(momentum=0.5)
    again.load_state_dict(layer.state_dict())
    again(torch.tensor([[-1.0, 8.0]]))
    assert again.high.item() == 7.0, "it goes on where it was"


@given(
    mean=st.floats(0, 1), std=st.floats(0.01, 2), n=st.integers(1, 400), seed=st.integers(0, 2**31)
)
def test_sums_of_pixels_times_signs_are_exact(mean: float, std: float, n: int, seed: int) -> None:
    layer, signs = Pixels(mean, std), BinaryLinear(n, 3).eval()
    x = layer(pixels(4, n, seed=seed))
    exact = x.double() @ signs.binary_weight[0].T.double()
    assert torch.equal(signs(x).double(), exact)


def test_pixels_are_normalized_but_for_two_roundings() -> None:
    layer = Pixels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert layer.centre.tolist() == [124, 116, 104]
    assert layer.scale.tolist() == [1 / 64] * 3
    x = pixels(2, 3, 4, 4)
    exact = (x / 255 - 0.456) / 0.224
    ratio = (layer(x)[:, 1] / exact[:, 1]).mean().item()
    assert 2**-0.5 <= ratio <= 2**0.5
    assert Pixels()(torch.tensor([[255.0]])).item() == 255 / 256


def test_a_thermometer_of_one_level_cuts_in_the_middle() -> None:
    # FINN's nets read sign(2x / 255 − 1)
    x = torch.arange(256.0).view(1, 1, 256)
    expected = torch.where(2 * x / 255 - 1 >= 0, 1.0, -1.0)
    assert torch.equal(Thermometer(1)(x), expected)
    assert Thermometer(1).levels.tolist() == [128]


@pytest.mark.parametrize("layer", [BitPlanes(), Thermometer(5)])
def test_sequences_become_bits_as_pictures_do(layer: Any) -> None:
    x = pixels(2, 3, 7)
    assert torch.equal(layer(x), layer(x[:, :, None])[:, :, 0])
    assert torch.equal(layer(x[:, :, 0]), layer(x)[:, :, 0])


def test_an_answer_from_bytes_is_the_linear_layer_but_for_the_rounding_of_weights() -> None:
    layer, x = ByteLinear(600, 3, reads="bytes"), pixels(5, 600)
    torch.nn.init.uniform_(layer.bias)
    expected = x / 255 @ layer.weight.T + layer.bias
    torch.testing.assert_close(layer(x), expected, atol=0.05, rtol=0)
    whole, scale = layer.rounded()
    sums = x.double() @ whole.T.double()  # 127 * 255 * 600 is more than float32 can hold
    assert torch.equal(layer(x), (sums * scale.scale + scale.offset).float())


@pytest.mark.parametrize("layer", [ByteConv2d(2, 3, 2), ByteLinear(8, 3, reads="bytes")])
def test_layers_behind_bytes_pass_their_gradient_on(layer: Any) -> None:
    x = (pixels(1, 2, 2, 2) - 1).requires_grad_()
    layer(x if isinstance(layer, ByteConv2d) else x.flatten(1)).sum().backward()
    assert x.grad is not None
    assert bool(((x.grad != 0) == (x.detach() >= 0)).all()), "and none from beyond the range"


def test_sums_of_very_many_bytes_are_exact_once_trained() -> None:
    layer = BinaryLinear(70_001, 2).eval()  # 255 * 70,001 is more than float32 can hold
    layer.latent_weight.data.fill_(1.0)
    x = torch.full((1, 70_001), 255.0)
    x[0, 0] = 254
    assert layer(x)[0, 0].item() == np.float32(255 * 70_001 - 1)
    assert layer(x).dtype == torch.float32


def test_the_last_step_is_taken() -> None:
    x = torch.randn(3, 4, 5)
    assert torch.equal(Last()(x), x[:, :, 4])


ERRORS: list[tuple[Any, str]] = [
    (lambda: Bytes(1.0, 1.0), r"low must lie below high.* low=1\.0, high=1\.0"),
    (lambda: Bytes(0.0, float("inf")), "both finite"),
    (lambda: Bytes(n=0), "channels must be at least 1"),
    (lambda: Bytes(momentum=1.5), "momentum must be above 0 and at most 1"),
    (lambda: Bytes().calibrate(torch.zeros(0, 3)), "there and finite"),
    (lambda: Bytes().calibrate(torch.tensor([[torch.nan]])), "there and finite"),
    (lambda: Bytes(n=3).calibrate(torch.zeros(2, 4)), r"of 3 channels, got shape \(2, 4\)"),
    (lambda: Pixels(1.5), "one mean of 0 to 1"),
    (lambda: Pixels(0.5, 0.0), "one deviation"),
    (lambda: Pixels((0.1, 0.2), (0.1, 0.2, 0.3)), "as many of each as there are channels"),
    (lambda: Pixels(()), "one mean"),
    (lambda: ByteLinear(3, 2, reads="words"), "reads must be 'bits' or 'bytes', got 'words'"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_makes_no_sense_says_why(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_layers_name_their_numbers_when_printed() -> None:
    assert "low=-1, high=2, n=3, momentum=0.1" in repr(Bytes(-1, 2, 3, 0.1))
    assert "mean=[0.502], std=[0.502]" in repr(Pixels(0.5, 0.5))
    assert "reads='bytes'" in repr(ByteLinear(3, 2, reads="bytes"))
