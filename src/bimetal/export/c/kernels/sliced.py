"""The bit-sliced kernel: 32 neurons side by side in the bits of a word, inputs one after the other.

Counting is then adding bits, in pairs that cost four operations an input (see dense_slice.c), on any
core: no popcount, no multiplication, no branch on data. The steps depend on shapes alone, so it is
the constant-time form as it stands. A vector unit holds four such words.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.export.c.kernels.base import Emitted
from bimetal.export.c.kernels.swar import Swar
from bimetal.export.c.template import Words, template
from bimetal.export.c.text import counted, table

__all__ = ["Sliced", "Walk", "sliced_cuts", "sliced_table"]

CHEAP = 256  # bytes: about what the code of a second kernel takes
FEW = 1 / 16  # of the weights: what may be zeros to fill a word
MANY = 14  # neurons: from here on a whole word takes fewer steps than rows
ROOMS = (9, 16)  # levels that the stack has room for: up to 1023 inputs, or any


@dataclass(frozen=True)
class Walk:
    """How the inputs of a layer are walked: in fours, the last ones first.

    Attributes
    ----------
    k : int
        Inputs.

    Examples
    --------
    >>> walk = Walk(512)
    >>> walk.n_fours, walk.levels, walk.first
    (128, 9, 384)
    """

    k: int

    @property
    def n_fours(self) -> int:
        """Fours of inputs; zeros fill the last."""
        return -(-self.k // 4)

    @property
    def levels(self) -> int:
        """Carries that may wait: 2**levels fours, and a count of k in levels + 1 bits."""
        return max(3, (self.n_fours - 1).bit_length(), self.k.bit_length() - 1)

    @property
    def first(self) -> int:
        """The number of the first four, when the last is 2**levels - 1."""
        return (1 << self.levels) - self.n_fours

    def steps(self, whole_words: bool) -> tuple[int, int, int, int]:
        """Return fours, carries of fours, whole words of inputs and carries of those.

        >>> Walk(20).steps(True), Walk(64).steps(True), Walk(64).steps(False)
        ((5, 7, 0, 0), (0, 0, 2, 3), (16, 17, 0, 0))
        """
        end = 1 << self.levels
        n_whole = self.k // 32 + (self.n_fours % 8 == 0 and self.k % 32 > 0) if whole_words else 0
        fours = range(self.first, end - 8 * n_whole)
        whole = range((end - 8 * n_whole) // 8, end // 8)
        return len(fours), _ones_at_end(fours), len(whole), _ones_at_end(whole)


def _ones_at_end(numbers: range) -> int:
    """Return how many ones stand at the ends of numbers: how often a carry goes on."""
    return sum((n & ~(n + 1)).bit_length() for n in numbers)


def sliced_table(
    weights: NDArray[np.bool_], thresholds: NDArray[np.int32], lanes: int
) -> NDArray[np.uint8]:
    """Return the rows of a table: for each `lanes` neurons their limits, weights and who may fire.

    Returns
    -------
    numpy.ndarray
        Packed bits, uint8 (rows, lanes / 8); ``rows = n_groups * (levels + 2 + 4 * n_fours)``.
    """
    n_out, k = weights.shape
    walk = Walk(k)
    n = -(-n_out // lanes) * lanes
    padded = np.zeros((n, 4 * walk.n_fours), np.bool_)
    padded[:n_out, :k] = weights
    padded[:, 1::2] ^= padded[:, 0::2]
    limits = np.zeros(n, np.int64)
    limits[:n_out] = thresholds.astype(np.int64) + 1
    n_planes = walk.levels + 1
    start = ((1 << n_planes) - limits)[:, None] >> np.arange(n_planes) & 1
    rows = np.hstack([start.astype(np.bool_), padded[:, ::-1], limits[:, None] > 0])
    groups = rows.reshape(n // lanes, lanes, -1).transpose(0, 2, 1)
    bits = np.ascontiguousarray(groups).reshape(-1, lanes)
    return np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little"))


def sliced_cuts(n_out: int, k: int, core: str) -> tuple[int, int, int, int]:
    """Return where neurons in vectors, in words and in rows begin, and where the last end.

    Zeros fill the last word of neurons where that takes fewer steps and little flash; else those
    neurons are counted in rows.

    Examples
    --------
    >>> sliced_cuts(200, 512, "cortex-m4"), sliced_cuts(200, 512, "cortex-m55")
    ((0, 0, 192, 200), (0, 128, 192, 200))
    """
    vectors = n_out // 128 * 128 if core == "cortex-m55" else 0
    wasted = -n_out % 32 * k / 8
    is_filled = wasted <= CHEAP or (wasted <= FEW * n_out * k / 8 and n_out % 32 >= MANY)
    return 0, vectors, n_out if is_filled else n_out // 32 * 32, n_out


class Sliced:
    """Counts 32 neurons at a time, on a Cortex-M55 128."""

    def emit(
        self,
        weights: NDArray[np.bool_],
        thresholds: NDArray[np.int32],
        symbol: str,
        core: str,
        constant_time: bool,
    ) -> Emitted:
        """Return the C text of a layer."""
        if core in ("avr", "8051"):
            return _bytes(weights, thresholds, symbol)
        cuts = sliced_cuts(len(weights), weights.shape[1], core)
        parts = [
            emit(
                weights[a:b],
                thresholds[a:b],
                f"{symbol}_{name}",
                f"({{y}} + {a // 32})" if a else "{y}",
            )
            for (name, emit), a, b in zip(
                (("v", _vectors), ("s", _words), ("r", _rows)), cuts, cuts[1:], strict=False
            )
            if b > a
        ]
        return Emitted(
            tuple(dict.fromkeys(text for part in parts for text in part.shared)),
            "\n\n".join(part.tables for part in parts),
            "\n".join(part.call for part in parts),
        )


def _rows(w: NDArray[np.bool_], t: NDArray[np.int32], symbol: str, y: str) -> Emitted:
    part = Swar().emit(w, t, symbol, "generic", True)
    return Emitted(part.shared, part.tables, part.call.replace("{y}", y))


def _slice(word: str, spread: Callable[[str], str], k: int) -> tuple[str, str]:
    """Return the function that counts for one word of neurons, and its name."""
    room = next(levels for levels in ROOMS if Walk(k).levels <= levels)
    words: Words = {"WORD": word, "SPREAD": spread, "LEVELS": str(room)}
    text, tag = template("dense_slice.c", words), f"{word[5]}{room}"
    for own in ("NAME_ADD", "NAME_MISS", "NAME_4", "NAME_HERE", "name_slice"):
        text = text.replace(own, f"{own}_{tag if own.islower() else tag.upper()}")
    return text, f"name_slice_{tag}"


def _words(w: NDArray[np.bool_], t: NDArray[np.int32], symbol: str, y: str) -> Emitted:
    (n_out, k), n = w.shape, -(-len(w) // 32)
    walk = Walk(k)
    rows = _hex(sliced_table(w, t, 32), n)
    text, function = _slice("uint32_t", "({})".format, k)
    place = f"{symbol} + i * {len(rows[0])}" if n > 1 else symbol
    count = f"{function}({{x}}, {place}, {walk.first}, {walk.levels})"
    call = (
        f"for (uint32_t i = 0; i < {n}; i++) {y}[i] = {count};" if n > 1 else f"{y}[0] = {count};"
    )
    table_ = table("uint32_t", symbol, rows, _shape(n, "words", n_out, walk))
    return Emitted((template("apart.c"), text), table_, call)


def _vectors(w: NDArray[np.bool_], t: NDArray[np.int32], symbol: str, y: str) -> Emitted:
    """Return the same with four words in a vector; its functions have names of their own."""
    (n_out, k), n = w.shape, len(w) // 128
    walk = Walk(k)
    rows = _hex(sliced_table(w, t, 128), n)
    text, function = _slice("name_vector", "((name_vector){{{0}, {0}, {0}, {0}}})".format, k)
    tag = function.removeprefix("name_slice_")
    loop = template("dense_sliced_vectors.c").replace("name_slice_v", function)
    loop = loop.replace("name_dense_sliced_v", f"name_dense_sliced_{tag}")
    call = (
        f"name_dense_sliced_{tag}({{x}}, {symbol}, {n}, {len(rows[0])}, "
        f"{walk.first}, {walk.levels}, {y});"
    )
    shared = (template("apart.c"), template("vector.c"), text, loop)
    return Emitted(shared, table("uint32_t", symbol, rows, _shape(n, "vectors", n_out, walk)), call)


def _hex(packed: NDArray[np.uint8], n: int) -> list[list[str]]:
    return [[f"0x{word:08X}" for word in row] for row in packed.view("<u4").reshape(n, -1).tolist()]


def _shape(n: int, what: str, n_out: int, walk: Walk) -> str:
    return f"({counted(n, what)} of {counted(n_out, 'neurons')}, {walk.levels} + 2 + {4 * walk.n_fours})"


def _bytes(w: NDArray[np.bool_], t: NDArray[np.int32], symbol: str) -> Emitted:
    n_out, k = w.shape
    walk, n = Walk(k), -(-n_out // 8)
    rows = [[f"0x{word:02X}" for word in row] for row in sliced_table(w, t, 8).reshape(n, -1)]
    text = table("uint8_t", symbol, rows, _shape(n, "bytes", n_out, walk))
    call = (
        f"{{{{ uint8_t wait[{3 * walk.levels + 3}]; "
        f"name_dense_sliced({{x}}, {symbol}, {n}, {walk.first}, {walk.levels}, wait, {{y}}); }}}}"
    )
    return Emitted((template("dense_sliced_bytes.c"),), text, call)
