"""The kernels of dense layers in C: exact at every width, within bounds, no larger than they must be."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from strategies import random_dense, random_readout

from bimetal.columns import Column
from bimetal.errors import ExportError
from bimetal.export import TARGETS, job_for
from bimetal.export.c.cores import CORES
from bimetal.export.c.kernels import BEST, KERNELS, choose
from bimetal.export.c.kernels.costs import COSTS, dense_instructions
from bimetal.export.c.kernels.sliced import Walk, sliced_cuts, sliced_table
from bimetal.export.c.template import fit
from bimetal.export.c.text import table_bytes
from bimetal.export.places.measure import chip_of, count_each
from bimetal.export.rows import rows_for
from bimetal.ops import GE, Encode, Link
from bimetal.program import Program

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
CHECKED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WIDTHS = (
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    36,
    63,
    64,
    65,
    96,
    100,
    127,
    128,
    129,
    130,
)
ON_HOST = (  # kernel, the core it is written for
    ("row", "generic"),
    ("row", "x86-64"),
    ("row", "rv32imc_zbb"),
    ("swar", "generic"),
    ("sliced", "generic"),
    ("sliced", "cortex-m55"),
    ("sliced", "avr"),
)


@dataclass(frozen=True)
class Layer:
    """Weights, thresholds, a few inputs, and what must come out."""

    weights: NDArray[np.bool_]
    thresholds: NDArray[np.int32]
    x: NDArray[np.bool_]

    @property
    def y(self) -> NDArray[np.bool_]:
        """What NumPy says, bool (inputs, n_out)."""
        mismatches = (self.x[:, None, :] != self.weights[None]).sum(axis=2)
        return np.asarray(mismatches <= self.thresholds)


def layer(n_out: int, k: int, rng: np.random.Generator) -> Layer:
    """Draw a layer with thresholds near the middle, and some that are -1, 0 and k."""
    weights = rng.random((n_out, k)) < 0.5
    near = rng.integers(-2, 3, n_out) + k // 2
    kinds = rng.integers(0, 8, n_out)
    thresholds = np.select([kinds == 0, kinds == 1, kinds == 2], [-1, 0, k], np.clip(near, -1, k))
    x = np.stack([rng.random(k) < 0.5, weights[0], ~weights[-1]])
    return Layer(weights, thresholds.astype(np.int32), x)


def layers(seed: int, widths: tuple[int, ...] = WIDTHS) -> list[Layer]:
    """Draw a layer of every other width, with any number of neurons; and three more."""
    rng = np.random.default_rng(seed)
    drawn = [layer(int(rng.integers(1, 131)), k, rng) for k in widths[seed % 2 :: 2]]
    return [*drawn, layer(256, 40, rng), layer(3, 2000, rng), layer(1, 1100, rng)]


def words_of(bits: NDArray[np.bool_]) -> str:
    """Return 32-bit words as C writes them, least significant bit first."""
    padded = np.pad(bits, (0, -len(bits) % 32))
    words = np.packbits(padded, bitorder="little").view("<u4")
    return ", ".join(f"0x{word:X}u" for word in words.tolist())


def program_text(kernel: str, core: str, drawn: list[Layer]) -> str:
    """Return a C program whose exit code says in how many words outputs differ, at most 100.

    Each input and output is an array of its own, so that a sanitizer sees a step beyond.
    """
    shared: dict[str, None] = {}
    arrays, calls = [], []
    for i, each in enumerate(drawn):
        emitted = KERNELS[kernel].emit(
            each.weights, each.thresholds, f"name_dense_{i}", core, constant_time=False
        )
        shared.update(dict.fromkeys(emitted.shared))
        arrays.append(emitted.tables)
        n = -(-each.y.shape[1] // 32)
        for j, (x, y) in enumerate(zip(each.x, each.y, strict=True)):
            at = f"{i}_{j}"
            arrays.append(
                f"static const uint32_t x_{at}[] = {{{words_of(x)}}}, right_{at}[] = {{{words_of(y)}}};"
            )
            arrays.append(f"static uint32_t y_{at}[{n}] = {{{', '.join(n * ['0xDEADBEEFu'])}}};")
            call = emitted.call.format(x=f"x_{at}", y=f"y_{at}")
            calls.append(f"    {call}\n    bad += differ(y_{at}, right_{at}, {n});")
    differ = (
        "static int differ(const uint32_t *a, const uint32_t *b, int n)\n"
        "{\n    int bad = 0;\n    for (; n; n--) bad += *a++ != *b++;\n    return bad;\n}"
    )
    main = (
        "int main(void)\n{\n    int bad = 0;\n"
        + "\n".join(calls)
        + "\n    return bad > 100 ? 100 : bad;\n}"
    )
    on_host = CORES["generic" if core in ("avr", "8051") else core]
    return fit("\n\n".join(["#include <stdint.h>", *shared, *arrays, differ, main]), "net", on_host)


def wrong_words(folder: Path, text: str, compiler: list[str], simulator: list[str]) -> int:
    """Build and run a program, and return its exit code."""
    for tool in (compiler[0], *simulator[:1]):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here")
    (folder / "kernel.c").write_text(f"{text}\n", encoding="utf-8")
    subprocess.run([*compiler, "kernel.c", "-o", "kernel"], cwd=folder, check=True)
    run = subprocess.run([*simulator, "./kernel"], cwd=folder, capture_output=True, check=False)
    assert not run.stderr, run.stderr.decode()[-2000:]
    return run.returncode


# ---- exactness ----


@pytest.mark.parametrize(("kernel", "core"), ON_HOST)
def test_a_kernel_is_exact_at_every_width_and_reads_nothing_beyond(
    kernel: str, core: str, tmp_path: Path
) -> None:
    seed = 7
    text = program_text(kernel, core, layers(seed))
    assert wrong_words(tmp_path, text, ["gcc", *STRICT, *CHECKED], []) == 0, f"seed {seed}"


@pytest.mark.parametrize("level", ["-Os", "-O3"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_both_forms_of_the_sliced_kernel_are_exact_with_any_compiler(
    compiler: str, level: str, tmp_path: Path
) -> None:
    text = program_text("sliced", "cortex-m55", layers(8))
    assert wrong_words(tmp_path, text, [compiler, *STRICT, level], []) == 0


EMULATED = (
    ("s390x-linux-gnu-gcc", "qemu-s390x", "s390x", ("sliced", "swar", "row")),
    ("aarch64-linux-gnu-gcc", "qemu-aarch64", "aarch64", ("neon", "row", "sliced")),
    ("arm-linux-gnueabihf-gcc", "qemu-arm", "armhf", ("sliced", "swar")),
)
CROSS = [(cc, qemu, core, kernel) for cc, qemu, core, kernels in EMULATED for kernel in kernels]


@pytest.mark.parametrize(("compiler", "simulator", "core", "kernel"), CROSS)
def test_a_kernel_is_exact_on_other_cores(
    compiler: str, simulator: str, core: str, kernel: str, tmp_path: Path
) -> None:
    text = program_text(kernel, core, layers(9))
    assert wrong_words(tmp_path, text, [compiler, *STRICT, "-O3", "-static"], [simulator]) == 0


def test_the_bytes_of_an_avr_are_exact_on_a_big_endian_machine(tmp_path: Path) -> None:
    text = program_text("sliced", "avr", layers(10))
    compiler = ["s390x-linux-gnu-gcc", *STRICT, "-O2", "-static"]
    assert wrong_words(tmp_path, text, compiler, ["qemu-s390x"]) == 0


# ---- the text ----


@pytest.mark.parametrize("file", ["dense_row", "dense_row4", "dense_swar", "dense_slice", "dense_sliced_bytes", "dense_sliced_vectors", "widen", "popcount", "apart", "vector"])  # fmt: skip
def test_a_template_is_c_that_a_compiler_can_check_by_itself(file: str, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here")
    folder = Path(__file__).parents[1] / "src" / "bimetal" / "export" / "c" / "templates"
    words = ["gcc", *STRICT, "-Wno-unused", "-fsyntax-only", str(folder / f"{file}.c")]
    subprocess.run(words, cwd=tmp_path, check=True)


@pytest.mark.parametrize(("kernel", "core"), [*ON_HOST, ("neon", "aarch64")])
def test_two_layers_share_their_functions(kernel: str, core: str) -> None:
    rng = np.random.default_rng(1)
    first, second = (layer(160, 64, rng), layer(160, 200, rng))
    shared = [
        KERNELS[kernel].emit(w.weights, w.thresholds, "name_d", core, True).shared
        for w in (first, second)
    ]
    assert set(shared[0]) == set(shared[1])


def test_lengths_beyond_the_common_room_have_functions_of_their_own() -> None:
    rng = np.random.default_rng(2)
    short, long = (layer(32, 1023, rng), layer(32, 1024, rng))
    names = []
    for each in (short, long):
        shared = (
            KERNELS["sliced"]
            .emit(each.weights, each.thresholds, "name_d", "cortex-m0", True)
            .shared
        )
        names += re.findall(r"\bname_slice_\w+", "\n".join(shared))
    assert len(set(names)) == 2


def test_neon_says_which_core_it_needs() -> None:
    one = layer(8, 8, np.random.default_rng(0))
    with pytest.raises(ExportError, match=r"'neon' needs the core aarch64, got cortex-m0"):
        KERNELS["neon"].emit(
            one.weights, one.thresholds, "name_d", "cortex-m0", constant_time=False
        )


# ---- sizes ----


@pytest.mark.parametrize(
    ("n_out", "k"), [(64, 64), (512, 256), (512, 512), (100, 500), (3, 512), (41, 96)]
)
def test_sliced_tables_are_little_more_than_the_weights(n_out: int, k: int) -> None:
    one = layer(n_out, k, np.random.default_rng(3))
    emitted = KERNELS["sliced"].emit(
        one.weights, one.thresholds, "name_d", "cortex-m0", constant_time=False
    )
    raw = n_out * k / 8 + 2 * n_out
    assert table_bytes(fit(emitted.tables, "net", CORES["generic"])) <= raw * 1.08 + 256


def test_few_neurons_beyond_whole_words_are_counted_in_rows() -> None:
    assert sliced_cuts(512 + 3, 512, "cortex-m4") == (0, 0, 512, 515)
    assert sliced_cuts(512 + 30, 512, "cortex-m4") == (0, 0, 542, 542)
    assert sliced_cuts(200, 512, "cortex-m55") == (0, 128, 192, 200)


@pytest.mark.parametrize("k", [1, 15, 16, 31, 32, 512, 1023, 1024, 65535])
def test_the_bits_of_a_count_hold_every_count(k: int) -> None:
    walk = Walk(k)
    assert 2 ** (walk.levels + 1) > k
    assert 0 <= walk.first < 2**walk.levels
    fours, _, whole, _ = walk.steps(True)
    assert fours + 8 * whole == walk.n_fours
    assert walk.levels <= 16


def test_neurons_that_never_fire_are_off_in_the_table() -> None:
    weights = np.zeros((3, 4), np.bool_)
    rows = sliced_table(weights, np.array([-1, 0, 4], np.int32), 8)
    assert rows[-1, 0] == 0b110


# ---- steps ----


def test_the_chosen_kernel_takes_the_fewest_instructions() -> None:
    for core in {core for core, _, _ in COSTS}:
        found = {
            name: dense_instructions(name, core, 256, 256)
            for name in ("row", "swar", "sliced", "neon")
        }
        counted = {name: count for name, count in found.items() if count is not None}
        assert min(counted, key=lambda name: counted[name]) == choose(core, constant_time=False), (
            core
        )


def test_the_constant_time_form_is_the_only_form() -> None:
    one = layer(40, 100, np.random.default_rng(4))
    for kernel, core in (*ON_HOST, ("neon", "aarch64")):
        forms = [
            KERNELS[kernel].emit(one.weights, one.thresholds, "name_d", core, constant_time)
            for constant_time in (False, True)
        ]
        assert forms[0] == forms[1]
    assert all(choose(core, True) == choose(core, False) for core in CORES)
    assert set(BEST) <= set(CORES)


def test_every_kernel_of_a_micro_controller_has_costs() -> None:
    cores = [core for core in CORES if core.startswith(("cortex", "rv32"))]
    for core, level, (n_out, k) in product(
        cores, ("-O3", "-Os"), ((64, 64), (35, 300), (256, 130))
    ):
        count = dense_instructions("sliced", core, n_out, k, level)
        assert count is not None and count > 0
    assert dense_instructions("sliced", "8051", 64, 64) is None


def net(widths: tuple[int, ...]) -> Program:
    """Return a net of dense layers of these widths over one column, with one output."""
    rng = np.random.default_rng(5)
    n, none = widths[0], np.zeros(0, np.float32)
    cuts = np.linspace(-1, 1, n).astype(np.float32)
    column, kind = np.zeros(n, np.uint16), np.full(n, GE, np.uint8)
    encode = Encode(column, kind, cuts, none.astype(np.uint16), none)
    hidden = [random_dense(rng, i, k, m, 1) for i, (k, m) in enumerate(pairwise(widths), 1)]
    last = len(hidden) + 1
    readout = random_readout(rng, (last,), widths[-1], 1, np.int8)
    link = Link(last + 1, "identity", np.ones(1), np.zeros(1), none.astype(np.int32), none)
    return Program((Column("a"),), (encode, *hidden, readout, link))


def mean_steps(widths: tuple[int, ...], core: str) -> float:
    job = job_for(net(widths), TARGETS["c"], "net", "net", {"core": core})
    steps = count_each(job, TARGETS["c"].write(job), rows_for(job.program, 2), core)
    return float(np.mean(steps))


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "rv32imc_zbb"])
def test_the_cost_of_a_layer_is_what_a_header_takes_more_with_it(core: str) -> None:
    for tool in chip_of(core).tools:
        if tool.find() is None:
            pytest.skip(f"{tool.name} is not here: {tool.install}")
    more = mean_steps((96, 96, 96, 96), core) - mean_steps((96, 96, 96), core)
    said = dense_instructions(choose(core, constant_time=False), core, 96, 96)
    assert said == pytest.approx(more, rel=0.03)
