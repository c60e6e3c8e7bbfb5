"""Where a C header is built and run: every place agrees with the reference, and says what went wrong."""

import numpy as np
import pytest
from golden.tiny import tiny_program

from bimetal import reference
from bimetal.errors import DataError, ExportError, MissingToolError
from bimetal.export.c import COptions, header
from bimetal.export.places import C_PLACES, board
from bimetal.export.places.data import as_whole
from bimetal.export.places.measure import CHIPS, count_each, footprint
from bimetal.export.rows import rows_for, whole_rows_for
from bimetal.export.target import Job, Place
from bimetal.export.tools import require

PLACES = {place.name: place for place in C_PLACES}
PROGRAM = tiny_program()
ROWS = rows_for(PROGRAM, 24)
TOY = """#include <stdint.h>
#define CREDIT_N_COLUMNS 3
#define CREDIT_N_POINTS 1
#define CREDIT_N_ANSWERS 2
static inline void credit_points(const float row[], int32_t points[]) {{ {points} }}
#ifndef CREDIT_NO_DOUBLE
static inline void credit_link(const int32_t points[], float answers[])
{{ answers[0] = 0.0f; answers[1] = points[0] > 0 ? 1.0f : 0.0f; }}
static inline void credit_answers(const float row[], float answers[])
{{ int32_t points[1]; credit_points(row, points); credit_link(points, answers); }}
static inline int credit_class(const float row[]) {{ {class_} }}
#endif
static inline int credit_selftest(void) {{ return {selftest}; }}
"""


def toy(
    points: str = "(void)row; points[0] = 7;",
    class_: str = "int32_t p[1]; credit_points(row, p); return p[0] > 0;",
    selftest: int = 0,
):
    """Return a header by hand with the sizes of the golden table, for what no writer would write."""
    return TOY.format(points=points, class_=class_, selftest=selftest)


def need(name: str) -> Place:
    place = PLACES[name]
    if place.missing():
        pytest.skip(f"{name} needs {place.missing()[0].name}")
    return place


def job_of(program=PROGRAM, **options) -> Job:
    return Job(program, "credit", "credit", COptions(**options))


def run(place: Place, folder, text: str | None = None, job: Job | None = None, rows=ROWS):
    job = job or job_of(**place.options)
    return place.run(job, {".h": (header(job) if text is None else text).encode()}, folder, rows)


@pytest.mark.parametrize("name", PLACES)
def test_every_place_agrees_with_the_reference_on_the_golden_table(name, tmp_path):
    outcome = run(need(name), tmp_path)
    values = reference.trace(PROGRAM, ROWS)
    np.testing.assert_array_equal(outcome.points, values[-2])
    if outcome.answers is None:
        assert name in ("simavr:atmega328p", "ucsim:8051")  # their C has no float64
    else:
        assert outcome.answers.tobytes() == values[-1].tobytes()
    if name.startswith(("qemu:", "simavr:")):
        notes = outcome.notes
        assert 0 < notes["instructions_min"] <= outcome.instructions <= notes["instructions_max"]


@pytest.mark.parametrize("name", ["host:gcc", "qemu:cortex-m0", "qemu:s390x", "ucsim:8051"])
@pytest.mark.parametrize("kind", ["int16", "int32"])
def test_whole_numbers_come_in_as_the_header_expects_them(name, kind, tmp_path):
    place = need(name)
    job = job_of(**place.options, input=kind)
    rows = whole_rows_for(PROGRAM, 24, bits=int(kind[3:]))
    outcome = run(place, tmp_path, job=job, rows=rows)
    np.testing.assert_array_equal(outcome.points, reference.trace(PROGRAM, rows)[-2])


@pytest.mark.parametrize("name", ["host:gcc", "qemu:cortex-m0"])
def test_one_bit_of_difference_is_caught(name, tmp_path):
    place = need(name)
    right = header(job_of(**place.options, golden=0))
    dense = PROGRAM.ops[1]
    weights = dense.weights.copy()
    weights[0] ^= 1
    other = type(dense)(dense.input, dense.n_in, weights, dense.thresholds, dense.groups)
    ops = (PROGRAM.ops[0], other, *PROGRAM.ops[2:])
    program = type(PROGRAM)(PROGRAM.columns, ops, PROGRAM.classes, PROGRAM.provenance)
    wrong = header(job_of(program, **place.options, golden=0))
    assert wrong != right
    points = run(place, tmp_path, wrong).points
    assert (points != reference.trace(PROGRAM, ROWS)[-2]).any()


@pytest.mark.parametrize("name", ["host:gcc", "qemu:cortex-m0", "simavr:atmega328p", "ucsim:8051"])
def test_a_failing_self_test_is_told(name, tmp_path):
    with pytest.raises(ExportError, match="self-test fails: it returned 3"):
        run(need(name), tmp_path, toy(selftest=3))


@pytest.mark.parametrize("name", ["host:gcc", "qemu:cortex-m0"])
def test_a_class_that_contradicts_the_answers_is_told(name, tmp_path):
    with pytest.raises(ExportError, match="contradict its points and link on 24 rows"):
        run(need(name), tmp_path, toy(class_="(void)row; return 0;"))


@pytest.mark.parametrize(
    "name", ["host:gcc", "host:clang", "qemu:cortex-m0", "simavr:atmega328p", "ucsim:8051"]
)
def test_a_build_that_fails_says_what_the_compiler_said(name, tmp_path):
    with pytest.raises(ExportError, match="not_declared_anywhere"):
        run(need(name), tmp_path, toy("points[0] = not_declared_anywhere;"))


@pytest.mark.parametrize("name", ["host:gcc", "host:clang", "qemu:aarch64", "qemu:cortex-m0"])
def test_a_warning_is_an_error(name, tmp_path):
    with pytest.raises(ExportError, match="onversion"):
        run(need(name), tmp_path, toy("int64_t wide = (int64_t)row[0]; points[0] = wide;"))


def test_the_sanitizers_find_what_a_run_alone_would_not(tmp_path):
    overflow = "points[0] = INT32_MAX; points[0] += row[0] < 1e30f;"
    with pytest.raises(ExportError, match="signed integer overflow"):
        run(need("host:sanitizers"), tmp_path, toy(overflow))


def test_a_header_of_other_sizes_is_refused(tmp_path):
    with pytest.raises(ExportError, match="states other sizes than its Program has"):
        run(need("host:gcc"), tmp_path, toy().replace("N_COLUMNS 3", "N_COLUMNS 4"))


def test_files_without_a_header_are_refused(tmp_path):
    with pytest.raises(ExportError, match=r"a C header expected, but the target wrote \.v"):
        PLACES["host:gcc"].run(job_of(), {".v": b""}, tmp_path, ROWS)


@pytest.mark.parametrize("name", ["qemu:cortex-m0", "qemu:rv32imc"])
def test_a_fault_of_the_chip_is_told_and_does_not_hang(name, tmp_path):
    fault = "(void)row; (void)points; __builtin_trap();"
    with pytest.raises(ExportError, match="that the chip refuses"):
        run(need(name), tmp_path, toy(fault))


@pytest.mark.parametrize("name", ["qemu:cortex-m0", "simavr:atmega328p"])
def test_a_stack_that_is_too_small_is_told(name, tmp_path):
    size = 15_000 if name.startswith("qemu") else 3_000
    deep = (
        f"volatile uint8_t much[{size}]; int16_t i; for (i = {size - 1}; i >= 0; i--) much[i] = 0; "
    )
    with pytest.raises(ExportError, match="the stack ran into the variables"):
        run(need(name), tmp_path, toy(deep + "(void)row; points[0] = much[0];"))


def test_a_run_that_never_ends_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "TIMEOUT", 2)
    with pytest.raises(ExportError, match="took more than 2 seconds"):
        run(need("qemu:cortex-m0"), tmp_path, toy("for (;;) points[0] = (int32_t)row[0];"))


@pytest.mark.parametrize("name", PLACES)
def test_a_missing_tool_is_named_with_the_words_that_install_it(name, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError, match="install it with: apt-get install"):
        require(PLACES[name].tools, f"running on {name}")


def test_rows_that_are_no_whole_numbers_are_refused():
    for bad in (1.5, 32768.0, -32768.0, np.inf):
        with pytest.raises(DataError, match="whole numbers of int16 expected"):
            as_whole(np.array([[bad]], np.float32), "int16")
    whole = as_whole(np.array([[-32767, np.nan, -0.0]], np.float32), "int16")
    assert whole.tolist() == [[-32767, -32768, 0]]
    assert as_whole(np.array([[np.nan, 2**30]], np.float32), "int32").tolist() == [
        [-(2**31), 2**30]
    ]


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "rv32imc", "aarch64", "avr", "8051"])
def test_counts_are_exact_for_each_row_and_the_same_again(core):
    name = {"avr": "simavr:atmega328p", "8051": "ucsim:8051"}.get(core, f"qemu:{core}")
    need(name)
    slow = toy(
        "int32_t i, n = (int32_t)row[0]; points[0] = 0; for (i = 0; i < n; i++) points[0] ^= i * n;"
    )
    rows = np.zeros((5, 3), np.float32)
    rows[:, 0] = [0, 1, 2, 9, 2]
    slow = slow.replace("points[0] ^=", "*(volatile int32_t *)points ^=")  # or the loop is unrolled
    steps = count_each(job_of(), {".h": slow.encode()}, rows, core, "-Os")
    again = count_each(job_of(), {".h": slow.encode()}, rows[::-1], core, "-Os")
    np.testing.assert_array_equal(steps, again[::-1])
    assert steps[2] == steps[4] and steps[0] < steps[1] < steps[2] < steps[3]
    turn = (
        steps[2] - steps[1]
    )  # once round the loop: always the same where a product is one instruction
    assert core in ("avr", "8051") or (steps[3] - steps[1] == 8 * turn)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m55", "rv32imc_zbb", "avr", "8051"])
def test_a_footprint_counts_code_constants_variables_and_stack(core):
    chip = CHIPS[core]
    if any(tool.find() is None for tool in chip.tools):
        pytest.skip(f"{core} needs its compiler and simulator")
    where = {"avr": ("", " __attribute__((progmem))"), "8051": ("__code ", "")}.get(core, ("", ""))
    numbers = ",".join(str((i * 37) % 251) for i in range(1000))
    table = f"static const {where[0]}uint8_t credit_t[1000]{where[1]} = {{{numbers}}};\nstatic int32_t credit_v[25];\n"
    uses = "points[0] = credit_t[(int16_t)row[0] & 511]; credit_v[(int16_t)row[1] & 15] += 1;"
    plain = footprint(job_of(), {".h": toy().encode()}, core)
    text = toy(uses).replace(
        "static inline void credit_points", table + "static inline void credit_points"
    )
    more = footprint(job_of(), {".h": text.encode()}, core)
    assert plain.flash_tables == 0 and plain.ram < 8 and 0 < plain.flash_code < 120
    assert more.flash_tables == 1000
    assert 100 <= more.ram - plain.ram < 132 and more.flash > 1000 + plain.flash_code
    assert 0 <= plain.stack < 32


def test_cores_without_a_simulator_or_without_flash_are_refused_by_name():
    files = {".h": toy().encode()}
    with pytest.raises(ExportError, match=r"no simulator of core 'z80'; there are .*cortex-m0"):
        count_each(job_of(), files, ROWS, "z80")
    with pytest.raises(ExportError, match=r"'aarch64' has no flash to measure; .*cortex-m0"):
        footprint(job_of(), files, "aarch64")


def test_ten_thousand_rows_pass_through_sixteen_kilobytes_of_ram(tmp_path):
    rows = np.tile(ROWS, (417, 1))[:10_000]
    outcome = run(need("qemu:cortex-m0"), tmp_path, rows=rows)
    np.testing.assert_array_equal(outcome.points, reference.trace(PROGRAM, rows)[-2])


def test_a_net_of_any_name_fits_the_harness(tmp_path):
    job = Job(PROGRAM, "rows_2B", "my-net", COptions())
    outcome = need("host:gcc").run(job, {".h": header(job).encode()}, tmp_path, ROWS)
    assert outcome.answers.tobytes() == reference.run(PROGRAM, ROWS).tobytes()
