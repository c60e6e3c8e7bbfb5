"""The one convention: laws of sign, pack, unpack and xor_popcount."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bimetal.bits import n_bytes, pack, sign, unpack, xor_popcount

ROWS_OF_BITS = hnp.arrays(bool, st.tuples(st.integers(1, 5), st.integers(1, 140)))


def test_the_sign_of_zero_is_plus_one() -> None:
    assert sign([0.0, -0.0, 0]).tolist() == [1, 1, 1]


@given(hnp.arrays(np.float64, st.integers(0, 20), elements=st.floats(allow_nan=False)))
def test_a_sign_is_never_zero(x: np.ndarray) -> None:
    assert np.isin(sign(x), [-1, 1]).all()
    np.testing.assert_array_equal(sign(x) == 1, x >= 0)


@given(ROWS_OF_BITS)
def test_pack_then_unpack_is_identity(bits: np.ndarray) -> None:
    np.testing.assert_array_equal(unpack(pack(bits), bits.shape[1]), bits)


@given(ROWS_OF_BITS)
def test_bit_i_is_bit_i_mod_8_of_byte_i_div_8(bits: np.ndarray) -> None:
    packed = pack(bits)
    for i in range(bits.shape[1]):
        np.testing.assert_array_equal((packed[:, i // 8] >> (i % 8)) & 1, bits[:, i])


@given(ROWS_OF_BITS)
def test_tail_bits_are_zero(bits: np.ndarray) -> None:
    everything = unpack(pack(bits), 8 * n_bytes(bits.shape[1]))
    assert not everything[:, bits.shape[1] :].any()


@given(ROWS_OF_BITS, st.randoms(use_true_random=False))
def test_n_minus_twice_the_popcount_is_the_dot_product(bits: np.ndarray, random) -> None:
    n = bits.shape[1]
    weights = np.array([[random.random() < 0.5 for _ in range(n)] for _ in range(3)])
    dots = n - 2 * xor_popcount(pack(bits), pack(weights))
    signs_a, signs_w = np.where(bits, 1, -1), np.where(weights, 1, -1)
    np.testing.assert_array_equal(dots, signs_a @ signs_w.T)


@given(ROWS_OF_BITS, st.integers(1, 20))
def test_padding_bits_never_change_a_sum(bits: np.ndarray, extra: int) -> None:
    padded = np.pad(bits, ((0, 0), (0, extra)))
    np.testing.assert_array_equal(
        xor_popcount(pack(bits), pack(bits)), xor_popcount(pack(padded), pack(padded))
    )


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 1), (8, 1), (9, 2), (64, 8), (65, 9)])
def test_bits_fill_whole_bytes(n: int, expected: int) -> None:
    assert n_bytes(n) == expected
