"""The C header: the same points, answers and classes as the reference, bit for bit, and readable."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import (
    programs,
    random_dense,
    random_encode,
    random_link,
    random_readout,
    random_rows,
    seeds,
)
from strategies_maps import random_map_program, random_map_rows

from bimetal import format as bimetal_format
from bimetal import reference
from bimetal.columns import Column
from bimetal.errors import ExportError
from bimetal.export.c import COptions, header, table_bytes
from bimetal.export.c.classify import cut_of, largest_points_win
from bimetal.export.c.cores import CORES
from bimetal.export.c.plan import plan_for
from bimetal.export.c.scale import scale_for, signed_key
from bimetal.export.form import link_of
from bimetal.export.rows import rows_for, whole_rows_for
from bimetal.export.target import Job
from bimetal.program import EQ, GE, MISSING, Encode, Link, Program, Readout
from bimetal.reference.link import link as answers_of

GOLDEN = Path(__file__).parent / "golden"
TEMPLATES = Path(__file__).parents[1] / "src/bimetal/export/c/templates"
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ROW = {"float": "float", "int16": "int16_t", "int32": "int32_t"}
MAIN = """
    {{
        static {row} row[{NAME}_N_COLUMNS];
        int32_t n, points[{NAME}_N_POINTS], best;
        float answers[{NAME}_N_ANSWERS];
        if (fread(&n, 4, 1, stdin) != 1) return 1;
        for (; n > 0; n--) {{
            if (fread(row, sizeof row, 1, stdin) != 1) return 2;
            {name}_points(row, points);
            {name}_answers(row, answers);
            best = {name}_class(row);
            fwrite(points, sizeof points, 1, stdout);
            fwrite(answers, sizeof answers, 1, stdout);
            fwrite(&best, 4, 1, stdout);
        }}
        best = {name}_selftest();
        fwrite(&best, 4, 1, stdout);
    }}
"""


@dataclass(frozen=True)
class Case:
    """A Program, how it is exported, and raw rows of the type that the header reads."""

    program: Program
    options: COptions
    rows: NDArray[np.generic]

    def floats(self) -> NDArray[np.float32]:
        if self.options.input == "float":
            return self.rows.astype(np.float32)
        missing = self.rows == np.iinfo(self.rows.dtype).min
        return np.where(missing, np.float32(np.nan), self.rows.astype(np.float32))


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here")


def text_of(program: Program, name: str = "net", **options: object) -> str:
    return header(Job(program, name, name, COptions(**options)))  # type: ignore[arg-type]


def case_of(program: Program, seed: int = 0, **options: object) -> Case:
    chosen = COptions(**options)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    n = program.n_columns
    if chosen.input == "float":
        drawn = random_rows(rng, 20, n)
        return Case(program, chosen, np.concatenate([rows_for(program, 30, seed), drawn]))
    kind = np.iinfo(chosen.input)
    whole = whole_rows_for(program, 30, seed, bits=kind.bits).astype(np.float64)
    whole[np.isnan(whole)] = kind.min
    drawn = rng.integers(kind.min, kind.max, (20, n), endpoint=True)
    return Case(program, chosen, np.concatenate([whole, drawn]).astype(chosen.input))


def hold(
    cases: Sequence[Case], folder: Path, compiler: str = "gcc", flags: Sequence[str] = ("-O0",)
) -> None:
    """Compile all headers into one program, run it, and compare all that it says."""
    need(compiler)
    names = [f"net{i}" for i in range(len(cases))]
    for name, case in zip(names, cases, strict=True):
        (folder / f"{name}.h").write_text(header(Job(case.program, name, name, case.options)))
    includes = "".join(f'#include "{name}.h"\n' for name in names)
    blocks = "".join(
        MAIN.format(name=name, NAME=name.upper(), row=ROW[case.options.input])
        for name, case in zip(names, cases, strict=True)
    )
    main = f"#include <stdio.h>\n{includes}int main(void)\n{{{blocks}    return 0;\n}}\n"
    (folder / "main.c").write_text(main)
    subprocess.run([compiler, *STRICT, *flags, "main.c", "-o", "main"], cwd=folder, check=True)
    sent = b"".join(np.int32(len(c.rows)).tobytes() + c.rows.tobytes() for c in cases)
    said = subprocess.run(["./main"], cwd=folder, input=sent, stdout=subprocess.PIPE, check=True)
    rest = said.stdout
    for case in cases:
        rest = _compare(case, rest)
    assert rest == b""


def _compare(case: Case, said: bytes) -> bytes:
    values = reference.trace(case.program, case.floats())
    points, answers = values[link_of(case.program).input], values[-1]
    ends = np.cumsum([points.shape[1], answers.shape[1], 1])
    size = 4 * ends[-1] * len(case.rows)
    got = np.frombuffer(said[:size], np.int32).reshape(len(case.rows), -1)
    np.testing.assert_array_equal(got[:, : ends[0]], points)
    np.testing.assert_array_equal(got[:, ends[0] : ends[1]], answers.view(np.int32))
    np.testing.assert_array_equal(got[:, -1], answers.argmax(axis=1))
    assert np.frombuffer(said[size : size + 4], np.int32) == 0, "the self-test fails"
    return said[size + 4 :]


def drawn_cases(seed: int, n: int, **options: object) -> list[Case]:
    found: list[Program] = []

    @settings(max_examples=n, database=None, deadline=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(programs(largest=200), st.just(seed))
    def collect(program: Program, _: int) -> None:
        found.append(program)

    collect()
    return [case_of(program, seed + i, **options) for i, program in enumerate(found)]


def net(
    widths: Sequence[int] = (256, 512, 512), n_out: int = 3, n_columns: int = 20, seed: int = 0
) -> Program:
    """Return a chain of dense layers behind an encoder of float cut-points."""
    rng = np.random.default_rng(seed)
    n, no_codes = widths[0], (np.zeros(0, np.uint16), np.zeros(0, np.float32))
    column = np.sort(rng.integers(0, n_columns, n)).astype(np.uint16)
    cuts = rng.normal(0, 5, n).astype(np.float32)
    ops: list = [Encode(column, np.zeros(n, np.uint8), cuts, *no_codes)]
    for n_in, wide in pairwise(widths):
        ops.append(random_dense(rng, len(ops), n_in, wide, 1))
    weights = rng.integers(-127, 128, (n_out, widths[-1])).astype(np.int8)
    ops.append(Readout((len(ops),), weights, np.zeros(n_out, np.int32)))
    ops.append(link_to(len(ops), "softmax" if n_out > 1 else "sigmoid", n_out, 1 / 64))
    return Program(tuple(Column(f"x{i}") for i in range(n_columns)), tuple(ops))


def link_to(source: int, kind: str, n: int, scale: float, offset: float = 0.0) -> Link:
    nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    return Link(source, kind, np.full(n, scale), np.full(n, offset), *nothing)  # type: ignore[arg-type]


def card(columns: tuple[Column, ...] = (Column("age"),), **link: object) -> Program:
    """Return a scorecard of one question a column."""
    n = len(columns)
    none = np.zeros(0, np.uint16), np.zeros(0, np.float32)
    encode = Encode(
        np.arange(n, dtype=np.uint16), np.zeros(n, np.uint8), np.full(n, 30, np.float32), *none
    )
    readout = Readout((1,), np.full((1, n), 20, np.int16), np.array([-10], np.int32))
    return Program(columns, (encode, readout, link_to(2, "sigmoid", 1, 0.1)))


def golden(name: str) -> Program:
    return bimetal_format.load(GOLDEN / f"{name}.bimetal")


# -- the same bits


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [("gcc", ["-O0"]), ("gcc", ["-O2"]), ("gcc", ["-Os"]), ("clang", ["-O2"]), ("clang", ["-Os"])],
    ids=lambda given: given if isinstance(given, str) else given[0],
)
def test_any_program_gives_the_reference_s_bits(compiler, flags, tmp_path):
    hold(drawn_cases(len(flags[0]), 8, kernel="row"), tmp_path, compiler, flags)


def test_the_sanitizers_find_nothing(tmp_path):
    hold(drawn_cases(7, 6, kernel="row"), tmp_path, "gcc", SANITIZED)


@pytest.mark.parametrize("given_as", ["int16", "int32"])
def test_rows_of_whole_numbers_mean_their_float32(given_as, tmp_path):
    hold(drawn_cases(3, 8, kernel="row", input=given_as), tmp_path)


def test_the_same_steps_give_the_same_bits(tmp_path):
    hold(drawn_cases(5, 8, kernel="row", constant_time=True), tmp_path, "gcc", ["-O2"])


@pytest.mark.parametrize("flags", [["-O2"], SANITIZED], ids=["-O2", "sanitizers"])
def test_programs_over_maps_give_the_reference_s_bits(flags, tmp_path):
    rng = np.random.default_rng(len(flags))
    made = [random_map_program(rng, 6, 800) for _ in range(8)]
    rows = [random_map_rows(rng, 20, program.n_columns) for program in made]
    options = COptions(kernel="row", golden=2)
    hold([Case(p, options, x) for p, x in zip(made, rows, strict=True)], tmp_path, "gcc", flags)


def test_fusing_compilers_change_no_bit(tmp_path):
    """-ffp-contract=fast lets a compiler fuse what C99 lets it, and some by default."""
    need("clang")
    if "fma" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor fuses nothing")
    rng = np.random.default_rng(5)
    made = [random_map_program(rng, 6, 500) for _ in range(4)]
    cases = [Case(p, COptions(kernel="row"), random_map_rows(rng, 20, p.n_columns)) for p in made]
    flags = ["-O3", "-mfma", "-ffp-contract=fast"]
    hold([*cases, *drawn_cases(11, 3, kernel="row")], tmp_path, "clang", flags)


@pytest.mark.parametrize("name", ["tiny", "map", "row"])
def test_golden_programs_give_their_answers(name, tmp_path):
    program = golden(name)
    options = COptions(kernel="row", golden=64)
    rows = np.concatenate(
        [program.golden_x, random_rows(np.random.default_rng(0), 30, program.n_columns)]
    )
    hold([Case(program, options, rows)], tmp_path)


def test_wide_counts_and_many_outputs_have_room(tmp_path):
    """Runs beyond 255 questions, tables beyond uint8, biases in a table, int32 weights at their bound."""
    rng = np.random.default_rng(2)
    encode = replace(
        random_encode(rng, 300, 700), column=np.repeat([299, 0], [320, 380]).astype(np.uint16),
        kind=np.zeros(700, np.uint8),
    )  # fmt: skip
    readout = random_readout(rng, (1, 1), 1400, 9, np.int32)
    program = Program(
        tuple(Column(f"x{i}") for i in range(300)),
        (encode, readout, random_link(rng, 2, 9, "identity")),
    )
    assert "name_runs_1" not in text_of(program) and "uint16_t net_runs_1[2][4]" in text_of(program)
    hold([case_of(program)], tmp_path, "gcc", SANITIZED)


# -- the encoder's whole numbers


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2))
def test_keys_order_as_floats_do(pair):
    a, b = np.array(pair, np.float32)
    ka, kb = signed_key(a), signed_key(b)
    assert (a >= b, a == b) == (ka >= kb, ka == kb)


@given(
    st.integers(-(2**31) + 1, 2**31 - 1), st.floats(-(2.0**26), 2.0**26, width=32), st.booleans()
)
def test_a_whole_cut_point_means_what_its_float_means(x, value, is_ge):
    none = np.zeros(0, np.uint16), np.zeros(0, np.float32)
    kind = GE if is_ge else EQ
    op = Encode(np.zeros(1, "u2"), np.array([kind], "u1"), np.array([value], "f4"), *none)
    scale = scale_for("int32", [op])
    if scale.is_direct:
        cut = scale.cut(kind, float(np.float32(value)))
        x32 = np.float32(x)
        said = x >= cut if is_ge else x == cut
        assert said == (x32 >= np.float32(value) if is_ge else x32 == np.float32(value))


def test_cut_points_take_the_least_room_that_holds_them():
    none = np.zeros(0, np.uint16), np.zeros(0, np.float32)

    def stored(given_as: str, *cuts: float) -> str:
        n = len(cuts)
        kinds = np.array([GE] * n + [MISSING], np.uint8)
        values = np.array([*cuts, 0], np.float32)
        return scale_for(given_as, [Encode(np.zeros(n + 1, "u2"), kinds, values, *none)]).cut_type

    assert stored("float", 30, 65.5, -200) == "int16_t"
    assert stored("float", 30, 0.1) == "int32_t"
    assert stored("int16", 30, 0.1) == "int16_t"
    assert stored("int32", 30, 1e6) == "int32_t"


# -- the class without floats


@settings(max_examples=60, deadline=None)
@given(seeds())
def test_a_proved_cut_names_the_class_of_every_number_of_points(seed):
    rng = np.random.default_rng(seed)
    scale = float(rng.choice([1e-9, 2e-7, 1e-3, -1e-3, 1 / 64, -0.5, 0.0, 3.0]))
    link = link_to(1, "sigmoid", 1, scale, float(rng.choice([0, -0.5, 1e-8, 0.3, -7])))
    if rng.random() < 0.3:
        link = random_link(rng, 1, 1, "table")
    low, high = sorted(rng.integers(-4000, 4000, 2).tolist())
    cut = cut_of(link, low, high)
    assert cut is not None
    points = np.arange(low, high + 1, dtype=np.int32)
    is_second = points >= cut.points if cut.is_upward else points <= cut.points
    np.testing.assert_array_equal(is_second, answers_of(link, points[:, None]).argmax(axis=1))


def test_a_cut_that_would_need_too_many_questions_is_not_claimed():
    link = link_to(1, "sigmoid", 1, 1e-16)
    assert cut_of(link, -(2**31), 2**31 - 1) is None


@settings(max_examples=40, deadline=None)
@given(seeds(), st.sampled_from(["identity", "softmax"]))
def test_where_the_largest_points_win_they_have_the_largest_answer(seed, kind):
    rng = np.random.default_rng(seed)
    scale = float(rng.choice([1e-7, 2.0**-20, 2.0**-19, 1 / 64, 1.0, -1.0]))
    link = link_to(1, kind, 3, scale, float(rng.choice([0.0, 1.0, -1e5, 1e9])))
    most = int(rng.choice([3, 1000, 2**20, 2**30]))
    if largest_points_win(link, -most, most):
        points = rng.integers(-most, most, (200, 1), endpoint=True) + rng.integers(-2, 3, (200, 3))
        points = np.clip(points, -most, most).astype(np.int32)
        found = answers_of(link, points).argmax(axis=1)
        np.testing.assert_array_equal(found, points.argmax(axis=1))


def test_equal_neighbours_are_not_claimed():
    """Beyond 2**24 an identity gives neighbours one float32: the lowest index wins, not the largest."""
    assert not largest_points_win(link_to(1, "identity", 2, 1.0), 0, 2**26)
    assert not largest_points_win(link_to(1, "softmax", 2, 2.0**-24), 0, 100)


# -- what a compiler makes of it


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_freestanding_object_needs_nothing(compiler, tmp_path):
    need(compiler, "nm")
    (tmp_path / "net.h").write_text(text_of(net((64, 64, 64)), kernel="row"))
    (tmp_path / "net.c").write_text(
        '#include "net.h"\nint f(const float *row, float *answers);\n'
        "int f(const float *row, float *answers)\n{\n    net_answers(row, answers);\n"
        "    return net_class(row) + net_selftest();\n}\n"
    )
    build = [compiler, *STRICT, "-O2", "-ffreestanding", "-c", "net.c"]
    subprocess.run(build, cwd=tmp_path, check=True)
    missing = subprocess.run(
        ["nm", "-u", "net.o"], cwd=tmp_path, stdout=subprocess.PIPE, check=True
    )
    assert missing.stdout.split() == []


def test_a_microcontroller_s_code_and_memory_stay_small(tmp_path):
    need("arm-none-eabi-gcc", "arm-none-eabi-size")
    program = net()
    text = text_of(program, core="cortex-m0", kernel="row", golden=0)
    plan = plan_for(Job(program, "net", "net", COptions()))
    assert plan.n_buffer_bytes == 128
    (tmp_path / "net.h").write_text(text)
    points = "void f(const float *row, int32_t *points)\n{\n    net_points(row, points);\n}\n"
    (tmp_path / "net.c").write_text(f'#include "net.h"\n{points}')
    words = [
        "-mcpu=cortex-m0",
        "-mthumb",
        "-std=c99",
        "-Os",
        "-ffreestanding",
        "-fstack-usage",
        "-c",
        "net.c",
    ]
    subprocess.run(["arm-none-eabi-gcc", *words], cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["arm-none-eabi-size", "-A", "net.o"], cwd=tmp_path, stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    sizes = dict(re.findall(r"^(\.\w+)[\w.]*\s+(\d+)", listed, re.MULTILINE))
    frames = dict(re.findall(r":(\w+)\t(\d+)\t", (tmp_path / "net.su").read_text()))
    own = [int(frames.pop(name, 0)) for name in ("f", "net_points")]
    stack = sum(own) + max(
        map(int, frames.values())
    )  # what it calls are leaves, one after the other
    assert int(sizes[".text"]) <= 600
    assert stack <= 256
    assert int(sizes[".rodata"]) == table_bytes(text[: text.index("Link: points to answers")])


def test_doubles_and_vectors_can_be_left_out(tmp_path):
    need("gcc")
    (tmp_path / "net.h").write_text(text_of(card()))
    (tmp_path / "net.c").write_text(
        '#define NET_NO_DOUBLE\n#define NET_NO_SELFTEST\n#include "net.h"\n'
        "void net_link(void);\nint net_selftest(void);\n"
        "int main(void)\n{\n    float row[1] = {31};\n    int32_t points[1];\n"
        "    net_points(row, points);\n    return points[0] == 10 && net_class(row) ? 0 : 1;\n}\n"
    )
    subprocess.run(["gcc", *STRICT, "net.c", "-o", "net"], cwd=tmp_path, check=True)
    subprocess.run(["./net"], cwd=tmp_path, check=True)


def test_it_is_also_cpp(tmp_path):
    need("g++")
    (tmp_path / "net.h").write_text(text_of(golden("tiny"), kernel="row"))
    (tmp_path / "net.cpp").write_text('#include "net.h"\nint main() { return net_selftest(); }\n')
    build = [
        "g++",
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "net.cpp",
        "-o",
        "net",
    ]
    subprocess.run(build, cwd=tmp_path, check=True)
    subprocess.run(["./net"], cwd=tmp_path, check=True)


def test_a_damaged_header_fails_its_self_test(tmp_path):
    need("gcc")
    text = text_of(golden("tiny"), name="credit", kernel="row")
    damaged = text.replace(
        "    -60,         /* income >= 2000 */", "    -61,         /* income >= 2000 */"
    )
    assert damaged != text
    (tmp_path / "credit.h").write_text(damaged)
    (tmp_path / "main.c").write_text(
        '#include "credit.h"\nint main(void) { return credit_selftest(); }\n'
    )
    subprocess.run(["gcc", *STRICT, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    assert subprocess.run(["./main"], cwd=tmp_path, check=False).returncode > 0


def test_inexact_floats_are_refused_by_the_header_itself(tmp_path):
    need("gcc")
    (tmp_path / "net.h").write_text(text_of(card()))
    build = ["gcc", "-std=c99", "-ffast-math", "-fsyntax-only", "-x", "c", "net.h"]
    said = subprocess.run(build, cwd=tmp_path, stderr=subprocess.PIPE, check=False)
    assert said.returncode and b"-ffast-math" in said.stderr


OWN = sorted(
    path.name for path in TEMPLATES.glob("*.c")
    if not re.match(r"dense_|memory_|apart|widen|vector", path.name)
)  # fmt: skip


def test_each_template_is_c_by_itself():
    need("gcc")
    words = [*STRICT, "-Wno-unused-function", "-fsyntax-only", *OWN]
    subprocess.run(["gcc", *words], cwd=TEMPLATES, check=True)


# -- to be read


def test_every_array_says_its_shape():
    text = text_of(golden("tiny"), kernel="row") + text_of(golden("map"), kernel="row")
    arrays = re.findall(r"^static const .*= \{.*$", text, re.MULTILINE)
    assert arrays and all("/*" in line for line in arrays if "struct" not in line)


def test_the_head_names_columns_answers_and_the_program():
    program = golden("tiny")
    text = text_of(program, name="credit")
    head = text[: text.index("*/")]
    for said in (program.id, "age", "1 cut-point, 30; may be missing", "special code -9", "0 own, 1 rent",
                 "0  good", "1  bad", "credit_answers(row, answers);", "SPDX-License-Identifier: 0BSD"):  # fmt: skip
        assert said in head
    assert "income >= 2000" in text and "no float" not in head


def test_sections_are_numbered_in_order():
    numbers = re.findall(r"^/\* (\d+)\. \w+", text_of(golden("tiny")), re.MULTILINE)
    assert numbers == [str(i) for i in range(1, len(numbers) + 1)] and len(numbers) == 8


def test_only_what_the_answer_needs_is_written():
    program = golden("tiny")
    ops = (*program.ops[:3], replace(program.ops[3], inputs=(1,), weights=program.ops[3].weights[:, :6]),
           program.ops[4])  # fmt: skip
    text = text_of(Program(program.columns, ops))
    assert "dense" not in text and "rules" not in text


def test_hostile_names_end_no_comment(tmp_path):
    need("gcc")
    names = (
        '*/ #error "out"',
        "a\nb \\",
        "name_x NAME_ FLASH AT8(",
        "??/",
        "ü*/é\u202e",
        "/*",
        "x" * 900,
    )
    columns = (*map(Column, names), Column("c", "category", ("*/", "own\n*/")))
    bare = card(columns)
    program = Program(columns, bare.ops, ("*/ bad", "good\n\\"), {"*/": "*/\n", "at": "*/ int x;"})
    (tmp_path / "net.h").write_text(text_of(program))
    (tmp_path / "main.c").write_text(
        '#include "net.h"\nint main(void) { return net_selftest(); }\n'
    )
    text = (tmp_path / "net.h").read_text()
    assert text.isascii() and "name_x NAME_ FLASH AT8(" in text
    subprocess.run(["gcc", *STRICT, "-trigraphs", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    subprocess.run(["./main"], cwd=tmp_path, check=True)


def test_the_same_program_gives_the_same_text():
    assert text_of(golden("row")) == text_of(golden("row"))


# -- refusals


@pytest.mark.parametrize("name", ["int", "9lives", "a-b", "", "x y", "while", "a" * 64])
def test_a_name_that_c_does_not_take_is_refused(name):
    with pytest.raises(ExportError, match="is no name in c"):
        text_of(card(), name=name)


def test_a_net_too_large_for_the_core_is_refused():
    with pytest.raises(
        ExportError, match=r"bytes of flash, but AVR .* has 32,768; choose .*cortex-m0"
    ):
        text_of(net(), core="avr")
    many = tuple(Column(f"x{i}") for i in range(600))
    with pytest.raises(ExportError, match=r"bytes of RAM, but AVR .* has 2,048"):
        text_of(card(many), core="avr")


def test_the_same_steps_are_not_promised_where_they_cannot_be_kept():
    with pytest.raises(
        ExportError, match=r"constant_time covers Encode, .* but operation 0 is a Quantize"
    ):
        text_of(golden("map"), constant_time=True)
    with pytest.raises(ExportError, match="constant_time with whole numbers"):
        text_of(net((8, 8)), constant_time=True, input="int16") and text_of(
            replace_cut(card(), 1e9), constant_time=True, input="int16"
        )


def test_an_8051_takes_tables_only():
    with pytest.raises(ExportError, match="no room for the temporaries of operation 0, a Quantize"):
        text_of(golden("map"), core="8051")


def replace_cut(program: Program, cut: float) -> Program:
    encode, *rest = program.ops
    return Program(program.columns, (replace(encode, value=np.full(1, cut, np.float32)), *rest))


def test_vectors_of_the_self_test_are_between_none_and_many():
    assert "There are no golden vectors" in text_of(card(), golden=0)
    for n in (-1, 257):
        with pytest.raises(ExportError, match="golden must be 0 to 256"):
            COptions(golden=n)


def test_every_core_writes_a_small_net():
    for core in CORES:
        assert "net_points" in text_of(card(), core=core)
