"""CMSIS-NN's int8 dense layers behind the face of an exported header, to be counted on the same boards.

CMSIS-NN (Arm, Apache-2.0) is in no package registry: name a checkout of it in ``CMSIS_NN``. Only its
layers are counted: the int8 input lies there ready, while our count includes the encoder.
"""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from bimetal.export.places.board import Board
from bimetal.export.places.cortex_m import CORTEX_M

__all__ = ["ROOMY", "cmsis_board", "cmsis_header", "cmsis_source"]

MIB = 1024 * 1024
_LARGE = {"machine": ("-M", "mps2-an385"), "flash": (0, 4 * MIB), "ram": (0x20000000, 4 * MIB)}
ROOMY: dict[str, Board] = {
    board.core: replace(board, **_LARGE) if board.core == "cortex-m0" else board
    for board in CORTEX_M
}
"""The boards, with a Cortex-M0's code on a board that has flash enough for int8 weights."""

FILES = (
    "Source/NNSupportFunctions/arm_nn_vec_mat_mult_t_s8.c",
    "Source/FullyConnectedFunctions/arm_fully_connected_s8.c",
    "Source/FullyConnectedFunctions/arm_vector_sum_s8.c",
)

LAYER = """
    {{
        const cmsis_nn_dims in = {{1, 1, 1, {n_in}}}, filter = {{{n_in}, 1, 1, {n_out}}}, bias = {{1, 1, 1, {n_out}}}, out = {{1, 1, 1, {n_out}}};
        const cmsis_nn_fc_params params = {{0, 0, 0, {{-128, 127}}}};
        const cmsis_nn_per_tensor_quant_params scale = {{1073741824, -8}};
        const cmsis_nn_context context = {{sums_{i}, sizeof sums_{i}}};
        (void)arm_fully_connected_s8(&context, &params, &scale, &in, {x}, &filter, weights_{i}, &bias, bias_{i}, &out, {y});
    }}"""


def cmsis_source() -> Path | None:
    """Return the checkout that ``CMSIS_NN`` names, or None."""
    given = Path(os.environ.get("CMSIS_NN", "/nonexistent"))
    return given if (given / FILES[0]).is_file() else None


def cmsis_board(core: str) -> Board:
    """Return the board of a core whose compiler finds the checkout's headers."""
    board = ROOMY[core]
    return replace(board, flags=(*board.flags, f"-I{cmsis_source()}/Include"))


def cmsis_header(widths: tuple[int, ...], name: str = "net", seed: int = 0) -> bytes:
    """Return a header with the face of ours that runs int8 dense layers of these widths."""
    source = cmsis_source()
    rng = np.random.default_rng(seed)
    parts = ["#pragma GCC system_header", "#include <stddef.h>", "#include <stdint.h>"]
    # Boards compile freestanding code, where memcpy would be a call for every four bytes.
    parts += ["#include <string.h>", "#define memcpy __builtin_memcpy"]
    parts += [f'#include "{source / "Include/arm_nnfunctions.h"}"'] if source else []
    parts += [f'#include "{source / file}"' for file in FILES] if source else []
    calls, n_last = [], len(widths) - 2
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        weights = ",".join(map(str, rng.integers(-127, 128, n_in * n_out)))
        bias = ",".join(map(str, rng.integers(-500, 500, n_out)))
        parts.append(f"static const int8_t weights_{i}[{n_in * n_out}] = {{{weights}}};")
        parts.append(f"static const int32_t bias_{i}[{n_out}] = {{{bias}}};")
        parts.append(f"static int32_t sums_{i}[{n_out}];")
        x, y = f"values_{i % 2}" if i else "input", f"values_{(i + 1) % 2}"
        calls.append(LAYER.format(i=i, n_in=n_in, n_out=n_out, x=x, y=y))
    widest = max(widths)
    parts.append(f"static int8_t values_0[{widest}], values_1[{widest}];")
    parts.append(f"static int8_t input[{widths[0]}];")
    upper, last = name.upper(), f"values_{(n_last + 1) % 2}"
    parts += [f"#define {upper}_N_COLUMNS {widths[0]}", f"#define {upper}_N_POINTS {widths[-1]}",
              f"#define {upper}_N_ANSWERS {widths[-1]}"]  # fmt: skip
    copy = f"for (int i = 0; i < {widths[-1]}; i++) points[i] = {last}[i];"
    parts.append(
        f"static inline void {name}_points(const float *row, int32_t *points) {{ (void)row;{''.join(calls)} {copy} }}"
    )
    links = "".join(f"answers[{i}] = (float)points[{i}];" for i in range(widths[-1]))
    parts.append(
        f"static inline void {name}_link(const int32_t *points, float *answers) {{ {links} }}"
    )
    parts.append(
        f"static inline void {name}_answers(const float *row, float *answers) "
        f"{{ int32_t p[{widths[-1]}]; {name}_points(row, p); {name}_link(p, answers); }}"
    )
    best = f"for (int i = 1; i < {widths[-1]}; i++) if (p[i] > p[best]) best = i;"
    parts.append(
        f"static inline int {name}_class(const float *row) "
        f"{{ int32_t p[{widths[-1]}]; int best = 0; {name}_points(row, p); {best} return best; }}"
    )
    parts.append(f"static inline int {name}_selftest(void) {{ return 0; }}")
    return "\n".join(parts).encode() + b"\n"
