"""The native engine (csrc/): constants in once, then rows in and answers out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

def isas() -> list[str]: ...

class _TableOps:
    def encode(
        self,
        column: NDArray[np.uint16],
        kind: NDArray[np.uint8],
        value: NDArray[np.float32],
        special_column: NDArray[np.uint16],
        special_value: NDArray[np.float32],
    ) -> None: ...
    def dense(
        self, input: int, groups: int, weights: NDArray[np.uint8], thresholds: NDArray[np.int32]
    ) -> None: ...
    def rules(
        self, input: int, literals: NDArray[np.uint16], fan_in: NDArray[np.uint8]
    ) -> None: ...
    def lut(self, input: int, places: NDArray[np.uint16], tables: NDArray[np.uint8]) -> None: ...
    def readout(
        self, inputs: tuple[int, ...], weights: NDArray[np.int32], bias: NDArray[np.int32]
    ) -> None: ...
    def link(
        self,
        input: int,
        kind: str,
        scale: NDArray[np.float64],
        offset: NDArray[np.float64],
        knots: NDArray[np.int32],
        values: NDArray[np.float32],
    ) -> None: ...
    def predict_into(self) -> Callable[[NDArray[Any], NDArray[Any]], None]: ...

class Core(_TableOps):
    def __init__(self, isa: str, n_columns: int, n_threads: int, cpus: list[int]) -> None: ...

class NetCore(_TableOps):
    constant_bytes: int
    n_threads: int
    def __init__(
        self,
        isa: str,
        n_columns: int,
        n_threads: int,
        cpus: list[int],
        batch: int,
        kernels: list[str],
    ) -> None: ...
    def quantize(
        self, input: int, scale: NDArray[np.float32], offset: NDArray[np.float32]
    ) -> None: ...
    def planes(
        self,
        input: int,
        channels: int,
        channel: NDArray[np.uint16],
        mask: NDArray[np.uint8],
        level: NDArray[np.uint8],
    ) -> None: ...
    def conv(
        self,
        input: int,
        makes_bits: bool,
        shape: tuple[int, ...],
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        dilation: tuple[int, ...],
        padding: tuple[int, ...],
        pad: int,
        groups: int,
        weights: NDArray[np.uint8],
        bias: NDArray[np.int32],
    ) -> None: ...
    def byte_conv(
        self,
        input: int,
        makes_bits: bool,
        shape: tuple[int, ...],
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        dilation: tuple[int, ...],
        padding: tuple[int, ...],
        groups: int,
        pad: NDArray[np.uint8],
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
    ) -> None: ...
    def pool(
        self,
        input: int,
        is_max: bool,
        shape: tuple[int, ...],
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[int, ...],
    ) -> None: ...
    def threshold(
        self,
        input: int,
        ints: NDArray[np.int32],
        floats: NDArray[np.float32],
        flips: NDArray[np.uint8],
    ) -> None: ...
    def row_threshold(self, input: int, channels: int, top: int, bottom: int) -> None: ...
    def affine(
        self, input: int, scale: NDArray[np.float32], offset: NDArray[np.float32]
    ) -> None: ...
    def prelu(
        self,
        input: int,
        before: NDArray[np.float32],
        slope: NDArray[np.float32],
        after: NDArray[np.float32],
    ) -> None: ...
    def add(self, inputs: tuple[int, ...]) -> None: ...
    def concat(self, inputs: tuple[int, ...], channels: tuple[int, ...]) -> None: ...
    def finish(self) -> None: ...
    def plan(self) -> list[tuple[int, str, str, float]]: ...
    def profile(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> list[float]: ...

class Stream:
    def __init__(self, engine: Core | NetCore, row: NDArray[np.float32]) -> None: ...
    def start(self, row: NDArray[np.float32]) -> None: ...
    def copy_row(self, out: NDArray[np.float32]) -> None: ...
    def copy_answers(self, out: NDArray[np.float32]) -> None: ...
    def update_into(
        self,
    ) -> Callable[[NDArray[Any], NDArray[np.float32], NDArray[np.float32]], None]: ...

class ExplainCore:
    def __init__(self, isa: str, n_columns: int, n_players: int) -> None: ...
    def encode(
        self,
        column: NDArray[np.uint16],
        kind: NDArray[np.uint8],
        value: NDArray[np.float32],
        special_column: NDArray[np.uint16],
        special_value: NDArray[np.float32],
    ) -> None: ...
    def bits(
        self,
        start: NDArray[np.int64],
        points: int,
        player: NDArray[np.uint32],
        numerator: NDArray[np.int64],
        bit_points: NDArray[np.int64],
    ) -> None: ...
    def terms(self, starts: NDArray[np.uint32], literals: NDArray[np.uint32]) -> None: ...
    def tabulated(
        self,
        terms: NDArray[np.uint32],
        players: NDArray[np.uint32],
        points: NDArray[np.int32],
        scale: int,
        table: NDArray[np.int32],
    ) -> None: ...
    def walked(
        self,
        terms: NDArray[np.uint32],
        players: NDArray[np.uint32],
        points: NDArray[np.int32],
        scale: int,
        starts: NDArray[np.uint32],
        cases: NDArray[np.uint64],
        times: NDArray[np.int64],
        up: NDArray[np.int64],
        down: NDArray[np.int64],
    ) -> None: ...
    def run(
        self, rows: NDArray[np.float32], numerators: NDArray[np.int64], points: NDArray[np.int64]
    ) -> None: ...
    def run_bits(
        self, bits: NDArray[np.uint8], numerators: NDArray[np.int64], points: NDArray[np.int64]
    ) -> None: ...
