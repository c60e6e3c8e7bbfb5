"""Random valid Programs over maps, for hypothesis or for a plain NumPy generator.

`MapProgramMaker` asks a `choose` function for every decision of structure (sizes, wiring, kinds):
hypothesis answers it with draws, so that a failure shrinks (options stand from plain to strange);
`random_map_program` answers it from a generator. Bulk constants always come from a generator.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray
from strategies import (
    random_dense,
    random_encode,
    random_link,
    random_lut,
    random_readout,
    random_rules,
    seeds,
)

from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.ops.checks_maps import MAX_BIAS, out_size
from bimetal.program import (
    Add,
    Affine,
    ByteConv,
    Concat,
    Conv,
    Op,
    Planes,
    Pool,
    PReLU,
    Program,
    Quantize,
    RowThreshold,
    Threshold,
)

Shape = tuple[int, int, int]
Choose = Callable[[Sequence[Any]], Any]
CHANNELS = (1, 3, 8, 2, 31, 32, 33, 64, 65, 96, 128, 130)
INT32 = np.iinfo(np.int32)
STRANGE = np.array(
    [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38, -3.4e38, 254.5, 255.5, 256, -0.5], np.float32
)


def random_map_program(rng: Generator, max_steps: int = 6, largest: int = 4000) -> Program:
    """Return a valid Program over maps of at most about `largest` elements."""
    return MapProgramMaker(lambda options: options[rng.integers(len(options))], rng).make(
        max_steps, largest
    )


@st.composite
def map_programs(draw: st.DrawFn, max_steps: int = 6, largest: int = 4000) -> Program:
    """Draw a Program over maps; it shrinks to few operations on small maps."""
    rng = np.random.default_rng(draw(seeds()))
    return MapProgramMaker(lambda options: draw(st.sampled_from(options)), rng).make(
        max_steps, largest
    )


def random_map_rows(rng: Generator, n_rows: int, n_columns: int) -> NDArray[np.float32]:
    """Return raw rows: bytes, halves (where rint must go to even), fractions, and strange floats."""
    rows = rng.integers(0, 256, (n_rows, n_columns)).astype(np.float32)
    half, fraction, strange = (rng.random(rows.shape) < p for p in (0.2, 0.2, 0.05))
    rows[half] += np.float32(0.5)
    rows[fraction] = rng.normal(0, 2, int(fraction.sum()))
    rows[strange] = rng.choice(STRANGE, int(strange.sum()))
    return rows


class MapProgramMaker:
    """Builds one Program, operation by operation; `shapes[v]` is how value v came to be."""

    def __init__(self, choose: Choose, rng: Generator) -> None:
        self.choose, self.rng = choose, rng
        self.ops: list[Op] = []
        self.kinds: list[str] = ["row"]
        self.shapes: list[Shape] = []

    def make(self, max_steps: int, largest: int) -> Program:
        self.largest = largest
        columns = self._raw_row()
        self._stem()
        for _ in range(self.choose(range(max_steps + 1))):
            self._step(self._any_value())
        self._head()
        return Program(columns, tuple(self.ops))

    # -- where it begins

    def _raw_row(self) -> tuple[Column, ...]:
        channels = self.choose(CHANNELS)
        sides = [n for n in (1, 2, 3, 5, 7, 8, 12) if n * n * channels <= self.largest] or [1]
        height = self.choose(sides)
        width = self.choose([height, *sides])
        n = height * width * channels
        self.shapes.append((height, width, channels))
        image = Column("image", "array", size=n)
        if n == 1 or self.choose([True, True, False]):
            return (image,)
        return (Column("age"), Column("rest", "array", size=n - 1))

    def _stem(self) -> None:
        how = self.choose(["planes", "bytes", "pooled bytes", "encode"])
        if how == "encode":
            height, width, _ = self.shapes[0]
            shape = (height, width, self.choose(CHANNELS[:9]))
            n_columns = int(np.prod(self.shapes[0]))
            encode = random_encode(self.rng, min(n_columns, 2**16 - 1), int(np.prod(shape)))
            self._take(encode, "bits", shape)
            return
        self._quantize(0)
        if how == "pooled bytes":
            self._pool(self._last())
        source = self._last()
        if self.kinds[source] == "bytes":
            self._planes(source) if how == "planes" else self._byte_conv(source)

    # -- a step of the body

    def _step(self, source: int) -> None:
        steps: dict[str, list[Callable[[int], Any]]] = {
            "bits": [self._conv, self._pool, self._real_path, self._dense, self._concat, self._rules,
                     self._lut, self._row_path],
            "bytes": [self._byte_conv, self._planes, self._pool],
            "ints": [self._affine, self._threshold, self._row_threshold, self._add, self._affine, self._pool,
                     self._concat],
            "floats": [self._prelu, self._residual, self._prelu, self._residual, self._threshold, self._affine, self._add,
                       self._pool, self._concat, self._quantize],
        }  # fmt: skip
        self.choose(steps[self.kinds[source]])(source)

    def _quantize(self, source: int) -> None:
        shape = self._seen_as(source)
        scale = self._floats(shape[2], [1, 0.5, 255, 127.5, 2, -1, 0, 3e38])
        offset = self._floats(shape[2], [0, 0.5, 127.5, -100, 255])
        self._take(Quantize(source, scale, offset), "bytes", shape)

    def _planes(self, source: int) -> None:
        height, width, channels = self._seen_as(source)
        n_out = self._n_out(height * width)
        rng = self.rng
        if self.choose([True, False]):
            mask = np.full(n_out, 255, np.uint8)
            level = rng.integers(1, 256, n_out).astype(np.uint8)
        else:
            mask = level = (1 << rng.integers(0, 8, n_out)).astype(np.uint8)
        op = Planes(
            source, channels, rng.integers(0, channels, n_out).astype(np.uint16), mask, level
        )
        self._take(op, "bits", (height, width, n_out))

    def _conv(self, source: int, makes: str = "", n_out: int = 0) -> None:
        rng, makes = self.rng, makes or self.choose(["bits", "ints"])
        shape, kernel, stride, dilation, padding, groups, made = self._geometry(source, n_out)
        n_out, window = made[2], kernel[0] * kernel[1] * shape[2] // groups
        weights = pack(rng.random((n_out, window)) < 0.5)
        bias = rng.normal(0, 1 + window**0.5, n_out).round().astype(np.int32)
        bias[rng.random(n_out) < 0.05] = rng.choice([-MAX_BIAS, MAX_BIAS])
        pad = self.choose(["0", "-1", "+1"])
        op = Conv(
            source, makes, shape, kernel, stride, dilation, padding, pad, groups, weights, bias
        )  # type: ignore[arg-type]
        self._take(op, makes, made)

    def _byte_conv(self, source: int) -> None:
        rng, makes = self.rng, self.choose(["bits", "ints"])
        shape, kernel, stride, dilation, padding, groups, made = self._geometry(source)
        n_out, window = made[2], kernel[0] * kernel[1] * shape[2] // groups
        weights = rng.integers(-127, 128, (n_out, window)).astype(np.int8)
        weights[rng.random(n_out) < 0.1] = rng.choice([-127, 127])
        centre = -127.5 * weights.sum(axis=1, dtype=np.int64)
        bias = centre + rng.normal(0, 1 + 5000 * window**0.5, n_out)
        room = INT32.max - 255 * np.abs(weights.astype(np.int64)).sum(axis=1)
        bias = np.clip(bias.round().astype(np.int64), -room, room)
        at_the_edge = rng.random(n_out) < 0.1
        bias[at_the_edge] = room[at_the_edge] * rng.choice([-1, 1])
        pad = rng.integers(0, 256, shape[2]).astype(np.uint8)
        op = ByteConv(source, makes, shape, kernel, stride, dilation, padding, groups, pad, weights,
                      bias.astype(np.int32))  # fmt: skip
        self._take(op, makes, made)

    def _pool(self, source: int, kind: str = "") -> None:
        height, width, channels = shape = self._seen_as(source)
        kind = kind or self.choose(["max", "sum"])
        sizes = [tuple(self.choose((2, 3, 1, 4, 5)) for _ in range(2)), (height, width)]
        kernel = self.choose(sizes)
        stride = self.choose([kernel, (1, 1), (2, 2), (2, 1), (1, 3)])
        padding = tuple(self.choose(range(min(k, 4))) for k in (*kernel, *kernel))
        rows = out_size(height, kernel[0], stride[0], padding[0], padding[2])
        columns = out_size(width, kernel[1], stride[1], padding[1], padding[3])
        if min(rows, columns) < 1 or rows * columns * channels > 4 * self.largest:
            kernel, stride, padding, rows, columns = (1, 1), (1, 1), (0, 0, 0, 0), height, width
        made = self.kinds[source] if kind == "max" or self.kinds[source] == "floats" else "ints"
        op = Pool(source, kind, shape, kernel, stride, padding)  # type: ignore[arg-type]
        self._take(op, made, (rows, columns, channels))

    def _threshold(self, source: int) -> None:
        shape, rng = self._seen_as(source), self.rng
        n = shape[2]
        if self.kinds[source] == "ints":
            near = rng.normal(0, 20, n).round().astype(np.int32)
            strange = rng.choice(np.array([INT32.min, INT32.max, 0], np.int32), n)
        else:
            near = rng.normal(0, 5, n).astype(np.float32)
            strange = rng.choice(np.array([0.0, -0.0, 3.4e38, -3.4e38, 1e-45], np.float32), n)
        thresholds = np.where(rng.random(n) < 0.2, strange, near)
        op = Threshold(source, thresholds, (rng.random(n) < 0.3).astype(np.uint8))
        self._take(op, "bits", shape)

    def _row_threshold(self, source: int) -> None:
        """Of pixels, of all of the map as one, or of single elements."""
        shape, n = self._seen_as(source), self._n(source)
        channels = self.choose([shape[2], n, 1])
        top, bottom = self.choose(
            [(1, 1), (0, 1), (1, 2), (3, 2), (2, 1), (17, 13), (255, 1), (1, 255)]
        )
        self._take(RowThreshold(source, channels, top, bottom), "bits", shape)

    def _affine(self, source: int) -> None:
        shape = self._seen_as(source)
        scale = self._floats(shape[2], [1, 0.1, -0.3, 1e-3, 0, -0.0, 3e38])
        op = Affine(source, scale, self._floats(shape[2], [0, 1.5, -7, 1e-3, -3e38]))
        self._take(op, "floats", shape)

    def _prelu(self, source: int) -> None:
        shape = self._seen_as(source)
        before, slope, after = (
            self._floats(shape[2], some)
            for some in ([0, 0.1, -2], [0.25, 0, -1, 1, 3e38], [0, 0.3, -5])
        )
        self._take(PReLU(source, before, slope, after), "floats", shape)

    def _add(self, source: int) -> None:
        kind, n = self.kinds[source], self._n(source)
        alike = [v for v in range(1, len(self.kinds)) if self.kinds[v] == kind]
        others = [v for v in alike if self._n(v) == n]
        inputs = (source, *(self.choose(others) for _ in range(self.choose([1, 2, 3]))))
        self._take(Add(inputs), kind, self.shapes[source])

    def _concat(self, source: int) -> None:
        kind, (height, width, _) = self.kinds[source], self._seen_as(source)
        pixels = height * width
        alike = [v for v in range(1, len(self.kinds)) if self.kinds[v] == kind]
        others = [v for v in alike if self._n(v) % pixels == 0]
        inputs = (source, *(self.choose(others) for _ in range(self.choose([1, 2]))))
        channels = tuple(self._n(v) // pixels for v in inputs)
        if sum(channels) * pixels <= 4 * self.largest:
            self._take(Concat(inputs, channels), kind, (height, width, sum(channels)))

    def _dense(self, source: int) -> None:
        n_in, n_out = self._n(source), self.choose([64, 10, 33, 128, 1])
        groups = self.choose([g for g in (1, 2, 3, 8) if n_in % g == 0])
        n_out = -(-n_out // groups) * groups
        self._take(random_dense(self.rng, source, n_in, n_out, groups), "bits", (1, 1, n_out))

    def _rules(self, source: int) -> None:
        n_out = self.choose([12, 33, 1])
        self._take(random_rules(self.rng, source, self._n(source), n_out), "bits", (1, 1, n_out))

    def _lut(self, source: int) -> None:
        n_out, fan_in = self.choose([12, 33, 1]), self.choose([1, 2, 4, 6, 8])
        self._take(
            random_lut(self.rng, source, self._n(source), n_out, fan_in), "bits", (1, 1, n_out)
        )

    def _real_path(self, source: int) -> None:
        """Bits → sums → floats → bent floats."""
        self._conv(source, "ints")
        self._affine(self._last())
        self._prelu(self._last())

    def _row_path(self, source: int) -> None:
        """Bits → sums → those that stand out of their row: a layer that knows no task."""
        self._conv(source, "ints")
        self._row_threshold(self._last())

    def _residual(self, source: int) -> None:
        """Floats + affine(conv(threshold(floats))): a block as of Bi-Real net or ReActNet."""
        self._threshold(source)
        height, width, channels = shape = self.shapes[-1]
        kernel, window = (3, 3), 9 * channels
        weights = pack(self.rng.random((channels, window)) < 0.5)
        bias = np.zeros(channels, np.int32)
        op = Conv(self._last(), "ints", shape, kernel, (1, 1), (1, 1), (1, 1, 1, 1),
                  self.choose(["0", "-1", "+1"]), 1, weights, bias)  # fmt: skip
        self._take(op, "ints", shape)
        self._affine(self._last())
        self._take(Add((source, self._last())), "floats", (height, width, channels))

    # -- where it ends

    def _head(self) -> None:
        source = self._any_value()
        if self.kinds[source] == "floats":
            self.choose([self._threshold, self._quantize])(source)
            source = self._last()
        if self.kinds[source] == "bytes":
            self._planes(source)
            source = self._last()
        if self.kinds[source] == "bits":
            source = self._head_of_bits(source)
        if self._n(source) > 40:
            shape = self._seen_as(source)
            whole = Pool(source, "sum", shape, shape[:2], (1, 1), (0, 0, 0, 0))
            self._take(whole, "ints", (1, 1, shape[2]))
            source = self._last()
        n = self._n(source)
        kinds = ["sigmoid", "table"] if n == 1 else ["softmax"]
        kind = self.choose(["identity", "identity", "identity", *kinds])
        link = random_link(self.rng, source, n, kind)
        if self.choose([True, True, False]):  # let every point be seen in the answer
            link = replace(link, scale=np.ones(n), offset=np.zeros(n))
        self._take(link, "floats", (1, 1, n))

    def _head_of_bits(self, source: int) -> int:
        n_points = self.choose([1, 2, 5])
        how = self.choose(["readout", "whole conv", "conv", "two sources"])
        if how == "conv":
            self._conv(source, "ints", n_points)
        elif how == "whole conv":
            shape = self._seen_as(source)
            weights = pack(self.rng.random((n_points, self._n(source))) < 0.5)
            bias = self.rng.integers(-9, 9, n_points).astype(np.int32)
            op = Conv(source, "ints", shape, shape[:2], (1, 1), (1, 1), (0, 0, 0, 0), "0", 1,
                      weights, bias)  # fmt: skip
            self._take(op, "ints", (1, 1, n_points))
        else:
            bits = [v for v, kind in enumerate(self.kinds) if kind == "bits"]
            sources = (source,) if how == "readout" else (source, self.choose(bits))
            n_in = sum(self._n(v) for v in sources)
            dtype = self.choose([np.int8, np.int16, np.int32])
            self._take(
                random_readout(self.rng, sources, n_in, n_points, dtype), "ints", (1, 1, n_points)
            )
        return self._last()

    # -- small pieces

    def _take(self, op: Op, kind: str, shape: Shape) -> None:
        self.ops.append(op)
        self.kinds.append(kind)
        self.shapes.append(shape)

    def _last(self) -> int:
        return len(self.kinds) - 1

    def _any_value(self) -> int:
        """Return a value to read: mostly the last one."""
        values = range(self._last(), 0, -1)
        return self.choose([self._last(), self._last(), self.choose(values)])

    def _n(self, source: int) -> int:
        return int(np.prod(self.shapes[source]))

    def _seen_as(self, source: int) -> Shape:
        """Return the shape in which an operation sees a value: mostly the one it was made in."""
        height, width, channels = self.shapes[source]
        others = [(width, height, channels), (1, height * width, channels)]
        if channels % 2 == 0:
            others.append((height, 2 * width, channels // 2))
        if width % 2 == 0:
            others.append((height, width // 2, 2 * channels))
        return self.choose([(height, width, channels)] * 6 + others)

    def _n_out(self, pixels: int, groups: int = 1) -> int:
        fitting = [c for c in CHANNELS if c * pixels <= self.largest] or [1]
        return -(-self.choose(fitting) // groups) * groups

    def _geometry(self, source: int, n_out: int = 0) -> tuple[Any, ...]:
        """Return shape, kernel, stride, dilation, padding, groups and the shape that is made."""
        height, width, channels = shape = self._seen_as(source)
        wanted = [tuple(self.choose((3, 1, 2, 5, 4)) for _ in range(2)), (1, 1)]
        kernel = self.choose(wanted)
        stride = (self.choose((1, 2, 3)), self.choose((1, 2, 4)))
        dilation = (self.choose((1, 1, 2)), self.choose((1, 1, 3)))
        padding = tuple(self.choose((0, 1, 2, 3)) for _ in range(4))
        groups = (
            1 if n_out else self.choose([g for g in (1, 2, 3, 32, channels) if channels % g == 0])
        )
        rows = out_size(height, kernel[0], stride[0], padding[0], padding[2], dilation[0])
        columns = out_size(width, kernel[1], stride[1], padding[1], padding[3], dilation[1])
        if min(rows, columns) < 1:
            kernel, stride, dilation, padding = (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)
            rows, columns = height, width
        n_out = n_out or self._n_out(rows * columns, groups)
        return shape, kernel, stride, dilation, padding, groups, (rows, columns, n_out)

    def _floats(self, n: int, some: list[float]) -> NDArray[np.float32]:
        """Return constants near some of the first, and now and then a strange one."""
        n_plain = max(1, len(some) - 3)
        values = self.rng.choice(some[:n_plain], n) + self.rng.normal(0, 0.1, n)
        exact = self.rng.random(n) < 0.5
        values[exact] = self.rng.choice(some, int(exact.sum()))
        return values.astype(np.float32)
