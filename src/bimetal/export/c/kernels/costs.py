"""How many instructions a kernel takes on a core: a sum of its steps, each with its own cost.

Kernels take no branch on data, so the count follows from the shape. The costs are fitted to counts
under emulation, of layers of 1 to 1,500 inputs and 1 to 384 neurons, with GCC 12 at -O3 and at -Os.
The sum is within 0.7 % of each count for the sliced kernel and within 4 % for the others, but 8 %
for rows at -O3 on aarch64 and x86-64, whose loops the compiler rewrites by their lengths.
"""

from collections.abc import Mapping

from bimetal.export.c.cores import core_named
from bimetal.export.c.kernels.row import WIDE
from bimetal.export.c.kernels.sliced import Walk, sliced_cuts

__all__ = ["COSTS", "dense_instructions", "loops"]

COSTS: Mapping[tuple[str, str, str], tuple[float, ...]] = {
    ("aarch64", "neon", "-O3"): (22.8, 32.5, 37.1, -12.19, 35.2, 10.16, -1.73, 11.02),
    ("aarch64", "neon", "-Os"): (36.2, 17.96, 36.9, 11.71, 14.64, 11.13, 4.92, 6.23),
    ("aarch64", "row4", "-O3"): (15.5, 32.1, 30.4, 10.73, 38, 1.51, -30.5),
    ("aarch64", "row4", "-Os"): (28.1, 33.6, 33.9, -2.23, 40.4, 10.78, 0.73),
    ("aarch64", "slice", "-O3"): (-4.73, 62, -0.3, 24.8, 17.3, 220.7, 24.5),
    ("aarch64", "slice", "-Os"): (-3.1, 39.7, 4.81, 24.1, 19.91, 0, 0),
    ("aarch64", "swar", "-O3"): (-26.6, 49.4, 27.2, 21.9, 12.83, 8.19, -60.4, 20.8, 7.36),
    ("aarch64", "swar", "-Os"): (24.9, -2.97, 17.03, 30, 16.15, 20.9, 0.18, 0.15, -0.04),
    ("armhf", "row", "-O3"): (27.5, 19.13, 16, -6.63),
    ("armhf", "row", "-Os"): (24.2, 20.2, 17, -6.4),
    ("armhf", "slice", "-O3"): (-6.81, 61.1, 1.66, 25.9, 21.9, 214.9, 27.7),
    ("armhf", "slice", "-Os"): (-9.98, 48.1, 4.43, 27.2, 23.1, 0, 0),
    ("armhf", "swar", "-O3"): (-5.15, 36.2, 25.8, 29.7, 11.15, 19.38, -0.32, 10.64, 7.62),
    ("armhf", "swar", "-Os"): (27.7, -3.92, 21, 31, 16.15, 26.1, -0.04, 0.02, -0.04),
    ("cortex-m0", "row", "-O3"): (47.6, 34.2, 27, -10.78),
    ("cortex-m0", "row", "-Os"): (21.7, 33.1, 33, -1.77),
    ("cortex-m0", "slice", "-O3"): (-11.34, 99.1, -0.01, 35.9, 25.1, 327.8, 35.2),
    ("cortex-m0", "slice", "-Os"): (-16.23, 66.8, 2.87, 32.6, 31.7, 0, 0),
    ("cortex-m0", "swar", "-O3"): (8.59, 35.6, 47.8, 34.7, 15.17, 29.4, 0.02, 10.69, 7.41),
    ("cortex-m0", "swar", "-Os"): (26.8, 2.08, 25.1, 41, 23, 36, -0.15, -0.12, -0.08),
    ("cortex-m3", "row", "-O3"): (25.3, 18.23, 17, -9.46),
    ("cortex-m3", "row", "-Os"): (24.2, 20.2, 17, -6.4),
    ("cortex-m3", "slice", "-O3"): (-6.97, 60.2, 2.01, 26.1, 21.9, 214.7, 27.8),
    ("cortex-m3", "slice", "-Os"): (-9.98, 48.1, 4.43, 27.2, 23.1, 0, 0),
    ("cortex-m3", "swar", "-O3"): (1.86, 25, 33.1, 29.8, 11.34, 18.01, -0.35, 8.79, 6.26),
    ("cortex-m3", "swar", "-Os"): (27.7, -3.91, 18.99, 32, 16.15, 26.1, -0.04, 0.03, -0.03),
    ("cortex-m33", "row", "-O3"): (25.3, 18.23, 17, -9.46),
    ("cortex-m33", "row", "-Os"): (24.2, 20.2, 17, -6.4),
    ("cortex-m33", "slice", "-O3"): (-6.97, 60.2, 2.01, 26.1, 21.9, 214.7, 27.8),
    ("cortex-m33", "slice", "-Os"): (-9.98, 48.1, 4.43, 27.2, 23.1, 0, 0),
    ("cortex-m33", "swar", "-O3"): (1.86, 25, 33.1, 29.8, 11.34, 18.01, -0.35, 8.79, 6.26),
    ("cortex-m33", "swar", "-Os"): (27.7, -3.91, 18.99, 32, 16.15, 26.1, -0.04, 0.03, -0.03),
    ("cortex-m4", "row", "-O3"): (22.6, 18.13, 17, -6.71),
    ("cortex-m4", "row", "-Os"): (24.2, 20.2, 17, -6.4),
    ("cortex-m4", "slice", "-O3"): (-6.99, 60.4, 1.84, 26, 22, 214.4, 28.1),
    ("cortex-m4", "slice", "-Os"): (-9.98, 48.1, 4.43, 27.2, 23.1, 0, 0),
    ("cortex-m4", "swar", "-O3"): (0.02, 27, 33, 29.8, 11.32, 17.96, -0.2, 8.91, 6.33),
    ("cortex-m4", "swar", "-Os"): (27.7, -3.91, 18.99, 32, 16.15, 25.1, -0.04, 0.03, -0.03),
    ("cortex-m55", "row", "-Os"): (24.2, 24.2, 17, -6.36),
    ("cortex-m55", "slice", "-O3"): (-9.28, 62.6, 0.61, 25.1, 19.92, 218.4, 26.1),
    ("cortex-m55", "slice", "-Os"): (6.12, 32.5, 6.01, 31.3, 19.02, 0, 0),
    ("cortex-m55", "slice_v", "-O3"): (19.04, 50.4, 6.47, 34.6, 19.51, 282.7, 22.4),
    ("cortex-m55", "slice_v", "-Os"): (25.1, 51.3, 8.04, 37.5, 20.6, 0, 0),
    ("cortex-m55", "swar", "-O3"): (-0.41, 32.7, 39.1, 26.9, 10.9, 13.11, -76, 5.58, 4.96),
    ("cortex-m55", "swar", "-Os"): (27.7, -3.94, 21, 32, 16.15, 28.1, -0.04, 0.03, -0.04),
    ("cortex-m7", "row", "-O3"): (22.6, 18.13, 17, -6.71),
    ("cortex-m7", "row", "-Os"): (24.2, 20.2, 17, -6.4),
    ("cortex-m7", "slice", "-O3"): (-6.71, 59.5, 1.68, 26.1, 22, 227.8, 27.7),
    ("cortex-m7", "slice", "-Os"): (-9.98, 48.1, 4.43, 27.2, 23.1, 0, 0),
    ("cortex-m7", "swar", "-O3"): (0.02, 27, 33, 29.8, 11.32, 17.96, -0.2, 8.91, 6.33),
    ("cortex-m7", "swar", "-Os"): (27.7, -3.91, 18.99, 32, 16.15, 25.1, -0.04, 0.03, -0.03),
    ("rv32imc", "row", "-O3"): (22, 19, 22, -3),
    ("rv32imc", "row", "-Os"): (21, 20, 21, 1),
    ("rv32imc", "slice", "-O3"): (-3.96, 71.3, 4.63, 32.8, 21, 274.7, 26.1),
    ("rv32imc", "slice", "-Os"): (-7.12, 55.3, 5.52, 31.4, 23.9, 0, 0),
    ("rv32imc", "swar", "-O3"): (44.5, 16.25, 14.72, 28.9, 14.58, 14.13, -0.24, 4.02, 2.92),
    ("rv32imc", "swar", "-Os"): (49, 4, 17, 30, 17, 22, 0, 0, 0),
    ("rv32imc_zbb", "row4", "-O3"): (35.1, 28, 20, 4.91, -0.04, 0, -0.01),
    ("rv32imc_zbb", "row4", "-Os"): (23.9, 28, 23, 4.08, 0.04, 0, 0.01),
    ("rv32imc_zbb", "slice", "-O3"): (-3.95, 68.3, 4.63, 31.8, 20, 259.8, 25.1),
    ("rv32imc_zbb", "slice", "-Os"): (-7.1, 54.3, 5.53, 30.4, 22.9, 0, 0),
    ("rv32imc_zbb", "swar", "-O3"): (44.5, 16.25, 14.72, 28.9, 14.58, 14.13, -0.24, 4.02, 2.92),
    ("rv32imc_zbb", "swar", "-Os"): (49, 4, 17, 30, 17, 22, 0, 0, 0),
    ("rv64gc", "row", "-O3"): (35, 20, 22, -3),
    ("rv64gc", "row", "-Os"): (31, 21, 23, 1),
    ("rv64gc", "slice", "-O3"): (-3.81, 69.4, 3.33, 36.6, 22.3, 308.2, 27.7),
    ("rv64gc", "slice", "-Os"): (-6.45, 57.5, 5.4, 35.2, 24.1, 0, 0),
    ("rv64gc", "swar", "-O3"): (39, 18.76, 16.65, 28.9, 14.5, 14.38, -0.27, 4.81, 3.48),
    ("rv64gc", "swar", "-Os"): (50, 4, 19, 31, 17, 23, 0, 0, 0),
    ("s390x", "row4", "-O3"): (28, 44, 47, 4, 8, 2, 0),
    ("s390x", "row4", "-Os"): (36.8, 39.3, 50, 0.39, 42.2, 10.5, 0.1),
    ("s390x", "slice", "-O3"): (-5.96, 65, 3.45, 30.5, 21.4, 253.4, 26.9),
    ("s390x", "slice", "-Os"): (-8.44, 48.3, 4.31, 29, 24.4, 0, 0),
    ("s390x", "swar", "-O3"): (24.8, 7.16, 22.9, 28, 13.93, 15.24, -0.02, 0.8, 0.57),
    ("s390x", "swar", "-Os"): (25, 2, 18, 32, 17, 29, 0.01, 0, -0.01),
    ("x86-64", "row4", "-O3"): (18.87, 39, 19.22, 24, 49.5, 3.23, -42),
    ("x86-64", "row4", "-Os"): (42.8, 38.4, 21, -0.49, 48.2, 12.39, 0.57),
    ("x86-64", "slice", "-O3"): (-11.55, 81.5, 4.24, 31.9, 22.5, 294.3, 28.6),
    ("x86-64", "slice", "-Os"): (-13.86, 64.6, 5.04, 29.8, 26.1, 0, 0),
    ("x86-64", "swar", "-O3"): (77, -37.1, 22.9, 23.2, 15.27, 21.3, -52.8, 19.56, 17.75),
    ("x86-64", "swar", "-Os"): (32, 1, 22, 34, 19, 26, 0.01, 0, -0.01),
}
"""(core, loop, "-O3" or "-Os") → the cost of each step of `loops`."""


def dense_instructions(
    kernel: str, core: str, n_out: int, k: int, optimize: str = "-O3"
) -> float | None:
    """Return the instructions of a dense layer, or None where they were not counted.

    Parameters
    ----------
    kernel, core : str
        Names in `KERNELS` and `CORES`.
    n_out, k : int
        Neurons, and inputs of each.
    optimize : {"-O3", "-Os"}
        The compiler's level.

    Examples
    --------
    >>> round(dense_instructions("sliced", "cortex-m4", 512, 512) / 512**2, 2)
    0.24
    """
    total = 0.0
    for loop, steps in loops(kernel, core, n_out, k, optimize).items():
        costs = COSTS.get((core, loop, optimize))
        if costs is None:
            return None
        total += sum(cost * step for cost, step in zip(costs, steps, strict=True))
    return total


def loops(
    kernel: str, core: str, n_out: int, k: int, optimize: str
) -> dict[str, tuple[float, ...]]:
    """Return the loops that a kernel runs for a layer, and how often each of their steps."""
    if kernel == "sliced":
        return _sliced(core, n_out, k, optimize)
    n_words, n_outs = -(-k // 32), -(-n_out // 32)
    if kernel == "neon":
        eights, vectors = -(-n_out // 8), -(-k // 128)
        chunks = -(-vectors // 7)
        return {
            "neon": (
                1,
                eights,
                eights * vectors,
                eights * chunks,
                n_outs,
                n_words // 4,
                n_words % 4 > 0,
                n_words % 4,
            )
        }
    if kernel == "row" and core_named(core).has_popcount:
        fours, n_wide = -(-n_out // 4), -(-n_words // 2) if core in WIDE else n_words
        return {"row4": (1, fours, fours * n_wide, n_outs, n_words // 4, n_words % 4, n_words >= 4)}
    if kernel == "row":
        return {"row": (1, n_out, n_out * n_words, n_outs)}
    return {"swar": _swar(n_out, k)}


def _swar(n_out: int, k: int) -> tuple[float, ...]:
    """Return the steps of rows; fours of pairs and the rest apart, as some compilers take four at once."""
    n_words = -(-k // 32)
    chunks = [min(30, n_words - i) // 2 for i in range(0, n_words, 30)]
    pairs, fours = sum(chunks), sum(n // 4 for n in chunks)
    ragged = sum(n % 4 > 0 for n in chunks)
    vectors = sum(n >= 4 for n in chunks)
    each = (1, pairs, n_words % 2, len(chunks), fours, ragged, vectors)
    return 1, -(-n_out // 32), *(n_out * step for step in each)


def _sliced(core: str, n_out: int, k: int, optimize: str) -> dict[str, tuple[float, ...]]:
    first, vectors, words, end = sliced_cuts(n_out, k, core)
    walk = Walk(k)
    steps = walk.steps(optimize != "-Os")
    found: dict[str, tuple[float, ...]] = {}
    for loop, a, b, lanes in (("slice_v", first, vectors, 128), ("slice", vectors, words, 32)):
        n = -(-(b - a) // lanes)
        if n:
            found[loop] = (1, n, n * walk.levels, *(n * step for step in steps))
    if end > words:
        found["swar"] = _swar(end - words, k)
    return found
