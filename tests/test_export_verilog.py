"""Verilog: the circuit gives the reference's points and class, in the cycles that it declares."""

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_programs import (
    HOSTILE,
    HOSTILE_VALUES,
    NO_KNOTS,
    NO_VALUES,
    bits_as_points,
    encode,
    layered,
    link,
)
from golden.lut import lut_program
from golden.tiny import tiny_program
from numpy.random import Generator
from numpy.typing import NDArray
from strategies import random_dense, random_encode, random_lut, random_readout, random_rules

from bimetal import reference
from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.errors import DataError, ExportError, MissingToolError
from bimetal.export import Job, Outcome, Place, job_for, verify
from bimetal.export.form import link_of
from bimetal.export.rows import rows_for, whole_rows_for
from bimetal.export.tools import call
from bimetal.export.verilog import TARGET, bench, logic, report
from bimetal.export.verilog.columns import first_whole
from bimetal.export.verilog.layers import design
from bimetal.export.verilog.netlist import ONE, ZERO, Netlist, width_of
from bimetal.ops import EQ, GE, MISSING, Dense, Link, Lut, Op, Readout, Rules
from bimetal.program import Program

ICARUS, VERILATOR = TARGET.places
FORMS = ("none", "layer", "full")


def need(place: Place) -> None:
    for tool in place.missing():
        pytest.skip(f"needs {tool.name}: {tool.install}")


def job_of(program: Program, name: str = "net", stem: str = "", **options: Any) -> Job:
    return job_for(program, TARGET, name, stem or name, {"rows": 20, **options})


def module(job: Job) -> str:
    return TARGET.write(job)[".v"].decode("ascii")


def rows_of(job: Job, n: int, seed: int = 0) -> NDArray[np.float32]:
    kind = job.options.input
    if kind == "float32":
        return rows_for(job.program, n, seed)
    return whole_rows_for(job.program, n, seed, int(kind.removeprefix("int")))


def run(place: Place, job: Job, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    folder.mkdir(exist_ok=True)
    return place.run(job, TARGET.write(job), folder, rows)


def assert_exact(place: Place, job: Job, folder: Path, rows: NDArray[np.float32]) -> None:
    found = run(place, job, folder, rows)
    expected = reference.trace(job.program, rows)[link_of(job.program).input]
    np.testing.assert_array_equal(found.points, expected)
    assert found.notes["cycles"] == design(job).latency
    assert found.notes.get("classes_differ", 0) == 0


def random_program(rng: Generator, largest: int = 24) -> Program:
    """Return a small Program with layers of each kind in any wiring."""
    n_columns, n_bits = int(rng.integers(1, 5)), int(rng.integers(1, largest))
    ops: list[Op] = [random_encode(rng, n_columns, n_bits)]
    sizes = {1: n_bits}
    for kind in rng.choice(["dense", "rules", "lut", "encode"], rng.integers(1, 5)):
        source = int(rng.choice(list(sizes)))
        n_in, n_out = sizes[source], int(rng.integers(1, largest))
        if kind == "dense":
            groups = 2 if n_in % 2 == 0 else 1
            n_out *= groups
            ops.append(random_dense(rng, source, n_in, n_out, groups))
        elif kind == "rules":
            ops.append(random_rules(rng, source, n_in, n_out))
        elif kind == "lut":
            ops.append(random_lut(rng, source, n_in, n_out, int(rng.integers(1, 9))))
        else:
            ops.append(random_encode(rng, n_columns, n_out))
        sizes[len(ops)] = n_out
    sources = tuple(rng.choice(list(sizes), rng.integers(1, 4)).tolist())
    n_points = int(rng.choice([1, 2, 3, 5]))
    dtype = [np.int8, np.int16, np.int32][rng.integers(3)]
    ops.append(random_readout(rng, sources, sum(sizes[s] for s in sources), n_points, dtype))
    scale, offset = float(rng.choice([1e-3, 1.0, -0.5])), float(rng.choice([0.0, 0.3]))
    kind = "sigmoid" if n_points == 1 else str(rng.choice(["softmax", "identity"]))
    ops.append(link(len(ops), kind, [scale] * n_points, [offset] * n_points))
    return Program(tuple(Column(f"x{i}") for i in range(n_columns)), tuple(ops))


def thermometers(n_columns: int, cuts: list[float], *ops: Op) -> Program:
    tests = [(j, GE, cut) for j in range(n_columns) for cut in cuts]
    return Program(tuple(Column(f"x{j}") for j in range(n_columns)), (encode(tests), *ops))


@pytest.mark.parametrize("kind", ["float32", "int16", "int32", "int5"])
@pytest.mark.parametrize("pipeline", FORMS)
def test_random_programs_equal_the_reference(pipeline: str, kind: str, tmp_path: Path) -> None:
    need(ICARUS)
    for seed in range(6):
        rng = np.random.default_rng([seed, len(pipeline), len(kind)])
        options = {"levels": int(rng.integers(1, 4)), "lut": str(rng.choice(["4", "6"]))}
        job = job_of(random_program(rng), pipeline=pipeline, input=kind, **options)
        assert_exact(ICARUS, job, tmp_path / str(seed), rows_of(job, 100, seed))


def test_a_golden_program_equals_the_reference_in_verilator(tmp_path: Path) -> None:
    need(VERILATOR)
    job = job_of(lut_program(), pipeline="full", reset=True)
    assert_exact(VERILATOR, job, tmp_path, rows_of(job, 20_000))


@pytest.mark.parametrize("place", [ICARUS, VERILATOR], ids=lambda place: place.name)
def test_every_row_that_there_is_equals_the_reference(place: Place, tmp_path: Path) -> None:
    """Four columns of four bits are 65,536 rows; Icarus takes the 4,096 of three columns."""
    need(place)
    n_columns = 3 if place is ICARUS else 4
    rng = np.random.default_rng(5)
    n_bits = 5 * n_columns
    program = thermometers(
        n_columns,
        [-5.5, -2, 0, 1, 4.25],
        random_dense(rng, 1, n_bits, 16, 1),
        random_lut(rng, 2, 16, 12, 6),
        random_readout(rng, (2, 3), 28, 3, np.int8),
        link(4, "softmax", [0.01] * 3, [0.0] * 3),
    )
    values = np.append(np.arange(-7, 8, dtype=np.float32), np.float32(np.nan))
    rows = np.stack(np.meshgrid(*[values] * n_columns), axis=-1).reshape(-1, n_columns)
    assert_exact(place, job_of(program, input="int4", pipeline="layer"), tmp_path, rows)


def test_the_public_verify_runs_it() -> None:
    need(ICARUS)
    found = verify(tiny_program(), "icarus", vectors=300, pipeline="full", input="int12")
    assert found.is_exact
    assert found.n_rows == 300


# --- the delivered test bench ---------------------------------------------------------------------


def bench_says(job: Job, folder: Path, files: dict[str, bytes]) -> tuple[int, str]:
    for suffix, content in files.items():
        (folder / f"{job.stem}{suffix}").write_bytes(content)
    sources = [f"./{job.stem}.v", f"./{job.stem}_tb.v"]
    call(["iverilog", "-g2001", "-Wall", "-o", "bench.vvp", *sources], folder)
    done = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("pipeline", FORMS)
def test_the_bench_passes_as_it_is_delivered(pipeline: str, tmp_path: Path) -> None:
    need(ICARUS)
    job = job_of(layered([Column("a"), Column("b")], norms_rows=False), pipeline=pipeline)
    assert bench_says(job, tmp_path, TARGET.write(job)) == (0, "PASSED 20\n")


def flipped(text: str, pattern: str) -> bytes:
    """Return text with one hexadecimal digit, at the end of the first match, turned over in its lowest bit."""
    found = re.search(pattern, text, re.MULTILINE)
    assert found
    end = found.end()
    return (text[: end - 1] + f"{int(text[end - 1], 16) ^ 1:x}" + text[end:]).encode()


@pytest.mark.parametrize("suffix", [".v", "_points.hex", "_rows.hex"])
def test_the_bench_finds_one_flipped_bit(suffix: str, tmp_path: Path) -> None:
    need(ICARUS)
    program = thermometers(
        2,
        [0.0],
        Lut(1, np.array([[0, 1]], np.uint16), np.array([[0b0110]], np.uint8)),
        Readout((2,), np.array([[5]], np.int8), np.array([1], np.int32)),
        link(3, "identity", [1.0], [0.0]),
    )
    job = job_of(program, rows=100, input="int2")
    files = TARGET.write(job)
    pattern = {".v": r"= 4'h[0-9a-f]", "_points.hex": r"\A.", "_rows.hex": r"\A[cdef4567]"}
    if (
        suffix == "_rows.hex"
    ):  # a lower bit of a column that is not missing turns a 0 into a 1: the same test
        files[suffix] = b"5\n" * 100
        files["_points.hex"] = b"0\n" * 100
    else:
        files[suffix] = flipped(files[suffix].decode(), pattern[suffix])
    code, said = bench_says(job, tmp_path, files)
    assert code == 1
    assert said.startswith("FAILED net: row ")


def test_the_bench_measures_the_latency(tmp_path: Path) -> None:
    need(ICARUS)
    job = job_of(tiny_program(), pipeline="layer")
    files = TARGET.write(job)
    n = design(job).latency
    assert f"{n} clock edges" in files[".v"].decode()
    files["_tb.v"] = files["_tb.v"].replace(b"LATENCY = %d" % n, b"LATENCY = %d" % (n + 1))
    assert bench_says(job, tmp_path, files)[0] == 1


def test_a_layer_is_one_cycle_and_full_pipelines_take_more() -> None:
    program = layered([Column("a"), Column("b")], norms_rows=False)
    latencies = [design(job_of(program, pipeline=form)).latency for form in FORMS]
    assert latencies[:2] == [0, 5]  # encode, dense, table, points, class
    assert latencies[2] > 5
    deeper = design(job_of(program, pipeline="full", levels=3)).latency
    assert 1 <= deeper < latencies[2]


def test_a_reset_clears_what_is_in_flight(tmp_path: Path) -> None:
    need(ICARUS)
    job = job_of(tiny_program(), pipeline="layer", reset=True)
    n = design(job).latency
    (tmp_path / "net.v").write_bytes(TARGET.write(job)[".v"])
    (tmp_path / "tb.v").write_text(
        f"""module tb;
        reg clk, rst, valid_in; wire valid_out; integer i;
        net dut (.clk(clk), .rst(rst), .valid_in(valid_in), .row(96'd0), .valid_out(valid_out),
                 .points(), .class_index());
        initial begin
            clk = 0; rst = 1; valid_in = 0; #1 clk = 1; #1 clk = 0;
            rst = 0; valid_in = 1; #1 clk = 1; #1 clk = 0;
            valid_in = 0; rst = 1; #1 clk = 1; #1 clk = 0; rst = 0;
            for (i = 0; i < {n + 2}; i = i + 1) begin
                if (valid_out !== 1'b0) $display("came out");
                #1 clk = 1; #1 clk = 0;
            end
        end
        endmodule"""
    )
    call(["iverilog", "-g2001", "-o", "tb.vvp", "net.v", "tb.v"], tmp_path)
    assert call(["vvp", "-n", "tb.vvp"], tmp_path) == b""


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float32", "int16"])
@pytest.mark.parametrize("pipeline", FORMS)
def test_verilator_has_nothing_to_warn_of(pipeline: str, kind: str, tmp_path: Path) -> None:
    need(VERILATOR)
    for seed in range(3):
        program = random_program(np.random.default_rng(seed))
        job = job_of(program, pipeline=pipeline, input=kind)
        (tmp_path / "net.v").write_text(module(job))
        call(["verilator", "--lint-only", "-Wall", "net.v"], tmp_path)


def test_a_cut_point_used_twice_is_one_comparator() -> None:
    twice = encode([(0, GE, 2.5), (0, GE, 2.5), (0, GE, 3.0)])
    program = bits_as_points([Column("x")], twice)
    assert module(job_of(program)).count("// x >= ") == 2
    assert (
        module(job_of(program, input="int16")).count("// x >= ") == 1
    )  # no whole number parts 2.5 and 3


def test_what_no_answer_reads_is_not_written() -> None:
    def program(*, reads_all: bool) -> Program:
        weights = np.array([[3, 7 if reads_all else 0]], np.int8)
        return thermometers(
            2,
            [1.0],
            Rules(1, np.array([0, 2], np.uint16), np.array([1, 1], np.uint8)),
            Readout((2,), weights, np.zeros(1, np.int32)),
            link(3, "identity", [1.0], [0.0]),
        )

    assert "// x1 >= 1" in module(job_of(program(reads_all=True)))
    assert "// x1 >= 1" not in module(job_of(program(reads_all=False)))


def test_points_have_the_fewest_bits_that_hold_them() -> None:
    for weights, bias, bits in (
        ([1], 0, 2),
        ([1], -1, 1),
        ([127], 0, 8),
        ([-1], -128, 9),
        ([0], 0, 1),
    ):
        readout = Readout((1,), np.array([weights], np.int16), np.array([bias], np.int32))
        program = thermometers(1, [0.0], readout, link(2, "identity", [1.0], [0.0]))
        assert design(job_of(program)).point_bits == bits


def test_the_largest_sums_fit(tmp_path: Path) -> None:
    need(ICARUS)
    most = 2**31 - 1
    readout = Readout((1,), np.array([[most], [-most]], np.int32), np.zeros(2, np.int32))
    program = thermometers(1, [0.0], readout, link(2, "identity", [1.0] * 2, [0.0] * 2))
    for pipeline in FORMS:
        job = job_of(program, pipeline=pipeline)
        assert_exact(ICARUS, job, tmp_path / pipeline, np.array([[1], [-1]], np.float32))


def test_a_program_that_reads_nothing_is_a_constant(tmp_path: Path) -> None:
    need(ICARUS)
    never = Dense(1, 1, np.zeros((2, 1), np.uint8), np.array([-1, 1], np.int32))
    readout = Readout((2,), np.array([[5, -9]], np.int8), np.array([2], np.int32))
    program = thermometers(1, [0.0], never, readout, link(3, "sigmoid", [1.0], [0.0]))
    for pipeline in FORMS:
        job = job_of(program, pipeline=pipeline)
        assert_exact(ICARUS, job, tmp_path / pipeline, np.array([[1], [-1]], np.float32))


@pytest.mark.parametrize("kind", ["float32", "int16", "int32"])
def test_each_test_of_a_column_is_exact(kind: str, tmp_path: Path) -> None:
    """Every kind of test and special codes, at values of every size, ±0 and NaN among the rows."""
    need(ICARUS)
    values = [
        0.0,
        1.0,
        -1.0,
        0.5,
        -2.5,
        32767.0,
        -32767.0,
        -32768.0,
        40000.0,
        16777220.0,
        -3e9,
        3e38,
        1e-45,
    ]
    tests = [(0, k, v) for v in values for k in (GE, EQ)] + [(0, MISSING, 0.0)]
    program = bits_as_points([Column("x")], encode(tests, [(0, 1.0), (0, -32767.0)]))
    job = job_of(program, input=kind, pipeline="none")
    assert_exact(ICARUS, job, tmp_path, rows_of(job, 400))


@pytest.mark.parametrize("bits", [2, 5, 16, 32])
def test_a_whole_number_cut_point_asks_what_the_float_asked(bits: int) -> None:
    rng = np.random.default_rng(bits)
    most = 2 ** (bits - 1) - 1
    drawn = rng.uniform(-1.2 * most, 1.2 * most, 300).astype(np.float32)
    for value in [*drawn, np.float32(0), np.float32(most), np.float32(-most)]:
        first = first_whole(float(value), bits)
        for whole in {min(max(first + d, -most), most) for d in (-1, 0, 1)}:
            assert (np.float32(whole) >= value) == (whole >= first)


def test_tables_read_only_what_they_depend_on() -> None:
    """Constant, doubled and idle inputs go, whatever the table; it says the same of the rest."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        net = Netlist()
        bits = [net.port(f"row[{i}]", 0, 1, "c", "") for i in range(3)]
        inverse = logic.inverse(net, bits[0], "v")
        k = int(rng.integers(1, 7))
        inputs = rng.choice([ZERO, ONE, *bits, inverse], k).tolist()
        truth = rng.random(2**k) < rng.random()
        made = logic.table(net, inputs, truth, "v", is_shared=bool(rng.integers(2)))
        for row in range(8):
            given = {ZERO: 0, ONE: 1} | {bit: row >> i & 1 for i, bit in enumerate(bits)}
            given[inverse] = 1 - given[bits[0]]
            index = sum(given[bit] << j for j, bit in enumerate(inputs))
            assert _value(net, made, given) == truth[index]


def _value(net: Netlist, bit: int, given: dict[int, int]) -> bool:
    if bit in given:
        return bool(given[bit])
    node = net.nodes[bit]
    if node.expr[0] == "~":
        return not _value(net, int(node.expr[1]), given)
    constant = int(str(net.nodes[int(node.expr[0])].expr[0]).partition("'h")[2], 16)
    read = [part for part in node.expr[1:] if isinstance(part, int)]
    assert len(set(read)) == len(read)
    index = 0
    for part in read:  # the highest first
        index = 2 * index + _value(net, part, given)
    return bool(constant >> index & 1)


def test_widths_hold_their_numbers_and_no_fewer_bits_would() -> None:
    for low in range(-9, 1):
        for high in range(low, 10):
            n = width_of(low, high)
            least, most = (0, 2**n - 1) if low >= 0 else (-(2 ** (n - 1)), 2 ** (n - 1) - 1)
            assert least <= low <= high <= most
            assert n == 1 or not (least // 2 <= low and high <= most // 2)


# --- the class ------------------------------------------------------------------------------------


def scored(
    kind: str, scale: float, offset: float, knots: Any = NO_KNOTS, values: Any = NO_VALUES
) -> Program:
    weights = np.array([[-40, 25, 7, 1, 9, -3]], np.int8)
    readout = Readout((1,), weights, np.array([2], np.int32))
    last = Link(
        2, kind, np.array([scale]), np.array([offset]), np.asarray(knots), np.asarray(values)
    )  # type: ignore[arg-type]
    return thermometers(2, [-1.0, 0.0, 1.0], readout, last)


@pytest.mark.parametrize(
    "program",
    [
        scored("sigmoid", 1.0, 0.0),
        scored("sigmoid", -0.25, 1.25),
        scored("sigmoid", 1e-9, 0.0),
        scored("sigmoid", 1.0, 1e6),
        scored("sigmoid", 0.0, 1.0),
        scored(
            "table", 1.0, 0.0, np.array([-3, 4], np.int32), np.array([0.1, 0.5, 0.7], np.float32)
        ),
        scored("table", 1.0, 0.0, np.array([4], np.int32), np.array([0.6, 0.7], np.float32)),
    ],
)
def test_the_class_of_a_score_is_its_largest_answer(program: Program, tmp_path: Path) -> None:
    need(ICARUS)
    job = job_of(program, pipeline="none")
    found = run(ICARUS, job, tmp_path, rows_of(job, 100))
    assert found.notes["classes_differ"] == 0


def test_no_class_is_given_where_points_do_not_prove_it() -> None:
    def program(kind: str, scale: list[float], classes: tuple[str, ...]) -> Program:
        readout = Readout((1,), np.array([[1], [2]], np.int8), np.zeros(2, np.int32))
        last = link(2, kind, scale, [0.0, 0.0])
        return Program((Column("x"),), (encode([(0, GE, 0.0)]), readout, last), classes)

    assert "class_index," not in module(job_of(program("softmax", [1.0, 2.0], ())))
    assert "No class_index" in module(job_of(program("softmax", [1.0, 2.0], ())))
    assert "No class_index" in module(job_of(program("softmax", [1e-9, 1e-9], ())))
    assert "No class_index" in module(job_of(program("identity", [1.0, 1.0], ())))
    assert "[0:0] class_index" in module(job_of(program("identity", [1.0, 1.0], ("a", "b"))))


# --- names and refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", FORMS)
def test_hostile_names_stay_in_comments(pipeline: str, tmp_path: Path) -> None:
    need(ICARUS)
    columns = [Column(name) for name in HOSTILE] + [Column("c", "category", HOSTILE_VALUES)]
    labels = tuple(HOSTILE_VALUES[:4])
    program = layered(columns, classes=labels, norms_rows=False)
    job = job_of(program, pipeline=pipeline)
    assert_exact(ICARUS, job, tmp_path, rows_of(job, 50))
    code = re.sub(r"//.*", "", module(job))
    assert not re.search(r"DROP|script|u2028", code)


@pytest.mark.parametrize(
    "name", ["row", "points", "clk", "valid", "x", "v2", "NAME", "N_ROWS", "ROWS_HEX"]
)
def test_a_module_may_be_called_as_its_parts_are(name: str, tmp_path: Path) -> None:
    need(ICARUS)
    job = job_of(tiny_program(), name)
    assert_exact(ICARUS, job, tmp_path, rows_of(job, 20))


def test_odd_file_names_work(tmp_path: Path) -> None:
    need(ICARUS)
    job = job_of(tiny_program(), "net", "-é 100%s?")
    code, said = bench_says(job, tmp_path, TARGET.write(job))
    assert code == 0
    assert said.endswith("PASSED 20\n")  # after a word of Icarus about letters beyond ASCII


@pytest.mark.parametrize("stem", ['a"b', "a\\b", "a\nb"])
def test_a_file_name_that_a_script_cannot_hold_is_refused(stem: str) -> None:
    with pytest.raises(ExportError, match="quotation marks"):
        job_of(tiny_program(), "net", stem)


@pytest.mark.parametrize("name", ["module", "9lives", "a-b", "logic"])
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(ExportError, match="no name in verilog"):
        job_of(tiny_program(), name, "net")


def test_an_operation_that_is_no_circuit_here_is_refused() -> None:
    with pytest.raises(ExportError, match="cannot express operation 6, a RowThreshold"):
        job_of(layered([Column("a")], norms_rows=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input": "float64"}, "must be 'float32' or a whole number of 2 to 32 bits"),
        ({"input": "int1"}, "such as 'int16'"),
        ({"input": "int33"}, "got 'int33'"),
        ({"levels": 0}, "'levels' must lie in 1 to 16"),
        ({"rows": 0}, "'rows' must lie in 1 to 100,000"),
        ({"pipeline": "none", "reset": True}, "needs registers to clear"),
        ({"pipeline": "some"}, "must be one of layer, full, none"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ExportError, match=said):
        job_of(tiny_program(), **options)


def test_what_is_too_wide_or_too_large_is_refused() -> None:
    pixels = (Column("pixels", "array", size=3000),)
    wide = bits_as_points(pixels, encode([(0, GE, 0.0)]))
    with pytest.raises(ExportError, match="96,000 bits wide"):
        job_of(wide)
    assert job_of(wide, input="int16")
    n = 2100
    huge = thermometers(
        1,
        [float(i) for i in range(n)],
        Dense(1, n, pack(np.zeros((n, n), bool)), np.zeros(n, np.int32)),
        Readout((2,), np.zeros((1, n), np.int8), np.zeros(1, np.int32)),
        link(3, "identity", [1.0], [0.0]),
    )
    with pytest.raises(ExportError, match="train a smaller or sparser net"):
        job_of(huge)


def test_rows_that_a_column_cannot_hold_are_refused() -> None:
    for value in (0.5, 40000.0, np.inf):
        with pytest.raises(DataError, match="takes whole numbers from -32767 to 32767"):
            bench.row_lines("int16", np.array([[value]], np.float32))
    assert bench.row_lines("int16", np.array([[-1, np.nan]], np.float32)) == "8000ffff\n"
    assert bench.row_lines("int5", np.array([[-1, 1]], np.float32)) == "03f\n"


def test_a_signal_that_nobody_drives_is_an_error() -> None:
    with pytest.raises(ExportError, match="no hexadecimal answers"):
        bench.bits_of_lines(["0x", "01"], 8)


# --- area and speed -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["ice40", "xilinx"])
def test_a_report_counts_what_the_tools_find(family: report.Family) -> None:
    missing = [tool for tool in report.tools_of(family) if tool.find() is None]
    if missing:
        pytest.skip(f"needs {missing[0].name}: {missing[0].install}")
    job = job_of(tiny_program(), input="int8")
    area = report.synthesize(job, family)
    assert 20 < area.luts < 250
    assert 10 < area.ffs < 60
    assert area.cycles == design(job).latency
    if family == "ice40":
        assert area.fmax_mhz is not None
        assert area.latency_ns == pytest.approx(1000 * area.cycles / area.fmax_mhz)
        assert 30 < area.fmax_mhz < 500
    else:
        assert area.fmax_mhz is area.latency_ns is None
    assert "estimated by Yosys" in str(area)


def test_the_delivered_script_runs(tmp_path: Path) -> None:
    (yosys,) = report.tools_of("xilinx")
    found = yosys.find()
    if found is None:
        pytest.skip(f"needs {yosys.name}: {yosys.install}")
    job = job_of(tiny_program(), "net", "a net 2", input="int8")
    for suffix, content in TARGET.write(job).items():
        (tmp_path / f"{job.stem}{suffix}").write_bytes(content)
    assert b"LUT4" in call([found, f"./{job.stem}_synth.ys"], tmp_path)


def test_a_report_names_the_tool_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.shutil, "which", lambda *_, **__: None)
    with pytest.raises(MissingToolError, match=r"needs 'yosys'.*apt-get install yosys"):
        report.synthesize(job_of(tiny_program()))


def test_a_family_that_is_unknown_is_refused() -> None:
    with pytest.raises(DataError, match="ecp5, ice40, xilinx"):
        report.synthesize(job_of(tiny_program()), "stratix")  # type: ignore[arg-type]
