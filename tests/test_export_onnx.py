"""ONNX: stock operators only, exact in onnxruntime with and without its optimisations, whatever the batch."""

import json
import sys
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from export_programs import HOSTILE, HOSTILE_VALUES, bits_as_points, encode, layered, link, wide_net
from golden.lut import lut_program
from golden.map import map_program
from golden.row import row_program
from golden.tiny import tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import programs, random_dense, random_encode, random_link, random_rows, seeds
from strategies_maps import map_programs, random_map_rows

from bimetal import reference
from bimetal.columns import Column
from bimetal.errors import ExportError, MissingExtraError
from bimetal.export import job_for
from bimetal.export.form import link_of
from bimetal.export.onnx import TARGET
from bimetal.export.onnx import writer as writer_module
from bimetal.export.onnx.graph import Graph
from bimetal.export.onnx.options import Weights
from bimetal.export.onnx.places import session
from bimetal.export.rows import rows_for
from bimetal.export.verify import hold
from bimetal.ops import GE, OPS, Add, Affine, ByteConv, Conv, Pool, Quantize, Readout
from bimetal.program import Program

WEIGHTS = get_args(Weights)
ROUND = (0, 0, 0, 0)
GOLDEN = (tiny_program, map_program, row_program, lut_program)


def model_of(program: Program, weights: str = "packed") -> bytes:
    return TARGET.write(job_for(program, TARGET, "net", "net", {"weights": weights}))[".onnx"]


def assert_exact(
    program: Program, rows: NDArray[np.float32], weights: str = "packed", optimised: bool = True
) -> None:
    values = reference.trace(program, rows)
    expected = values[link_of(program).input], values[-1]
    runs = session(model_of(program, weights), optimised)
    for part in (slice(None), slice(0, 1)):
        came = runs.run(["points", "answers"], {"row": rows[part]})
        for got, wanted in zip(came, expected, strict=True):
            assert got.dtype == wanted.dtype
            assert got.tobytes() == wanted[part].tobytes()


def column_of(n: int) -> tuple[Column, ...]:
    return (Column("x", "array", size=n),)


# ---- exactness ----


@settings(max_examples=40, deadline=None)
@given(programs(), seeds(), st.sampled_from(WEIGHTS), st.booleans())
def test_points_and_answers_are_those_of_the_reference(
    program: Program, seed: int, weights: str, optimised: bool
) -> None:
    rows = random_rows(np.random.default_rng(seed), 40, program.n_columns)
    assert_exact(program, rows, weights, optimised)


@settings(max_examples=40, deadline=None)
@given(map_programs(largest=500), seeds(), st.sampled_from(WEIGHTS), st.booleans())
def test_points_and_answers_of_maps_are_those_of_the_reference(
    program: Program, seed: int, weights: str, optimised: bool
) -> None:
    rows = random_map_rows(np.random.default_rng(seed), 4, program.n_columns)
    try:
        assert_exact(program, rows, weights, optimised)
    except ExportError as error:
        assert weights == "float"
        assert "float32 holds" in str(error)


@pytest.mark.parametrize("make", GOLDEN, ids=lambda f: f.__name__)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_golden_programs_are_exact_where_onnxruntime_runs(make: Any, weights: str) -> None:
    job = job_for(make(), TARGET, "net", "net", {"weights": weights})
    assert hold(TARGET, TARGET.places[0], job, 300, 0).is_exact


def test_every_operation_there_is_can_be_written() -> None:
    assert TARGET.ops == OPS
    seen = {type(op) for make in GOLDEN for op in make().ops}
    seen |= {type(op) for op in layered([Column("a"), Column("b")]).ops}
    assert seen == set(OPS)


def test_a_batch_of_no_rows_gives_no_answers() -> None:
    points, answers = session(model_of(tiny_program())).run(
        None, {"row": np.zeros((0, 3), np.float32)}
    )
    assert points.shape == (0, 1)
    assert answers.shape == (0, 2)


@pytest.mark.parametrize("offset", [0.0, -0.0])
@pytest.mark.parametrize("scale", [-0.05, -0.0, 0.05])
def test_a_zero_keeps_its_sign_though_runtimes_drop_additions_of_zero(
    offset: float, scale: float
) -> None:
    readout = Readout((1,), np.array([[5]], np.int8), np.zeros(1, np.int32))
    answer = link(2, "identity", [scale], [offset])
    program = Program((Column("a"),), (encode([(0, GE, 30)]), readout, answer))
    assert_exact(program, np.array([[0], [40]], np.float32))


@pytest.mark.parametrize("kind", ["softmax", "identity"])
def test_many_classes_are_added_in_their_own_order(kind: str) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-100, 100, (150, 40)).astype(np.int8)
    readout = Readout((1,), weights, rng.integers(-9, 9, 150).astype(np.int32))
    ops = random_encode(rng, 7, 40), readout, random_link(rng, 2, 150, kind)
    program = Program(tuple(Column(f"x{i}") for i in range(7)), ops)
    assert_exact(program, random_rows(rng, 64, 7))


@pytest.mark.parametrize("kernel", [(2, 2), (1, 2)])
@pytest.mark.parametrize("weights", ["packed", "int8"])
def test_ints_wrap_around_where_a_sum_of_onnxruntime_saturates(
    kernel: tuple[int, int], weights: str
) -> None:
    near_the_end = np.full(2, 2**31 - 1 - 255, np.int32)
    conv = ByteConv(
        1, "ints", (2, 2, 1), (1, 1), (1, 1), (1, 1), ROUND, 1,
        np.zeros(1, np.uint8), np.array([[1], [-1]], np.int8), near_the_end * np.array([1, -1], np.int32),
    )  # fmt: skip
    pool = Pool(2, "sum", (2, 2, 2), kernel, (1, 1), ROUND)
    n = 2 if kernel == (2, 2) else 4
    ops = (
        Quantize(0, np.ones(1, np.float32), np.zeros(1, np.float32)),
        conv,
        pool,
        Add((3, 3, 3)),
        link(4, "identity", [1] * n, [0] * n),
    )
    rows = np.random.default_rng(0).integers(0, 256, (9, 4)).astype(np.float32)
    assert_exact(Program(column_of(4), ops), rows, weights)


def test_operations_that_no_answer_needs_are_left_out() -> None:
    rng = np.random.default_rng(0)
    needed = wide_net([24, 16], 3)
    dead = random_dense(rng, 1, 24, 999, 1)
    first, dense, readout, answer = needed.ops
    later = replace(readout, inputs=(2,)), replace(answer, input=4)
    program = Program(needed.columns, (first, dense, dead, *later))
    assert len(model_of(program)) < len(model_of(needed)) + 64
    assert_exact(program, rows_for(program, 50))


def test_zero_padding_of_bits_is_neither_sign() -> None:
    weights = np.array([[0xFF, 1]], np.uint8)
    conv = Conv(
        1,
        "ints",
        (3, 3, 1),
        (3, 3),
        (1, 1),
        (1, 1),
        (1, 1, 1, 1),
        "0",
        1,
        weights,
        np.zeros(1, np.int32),
    )
    first = encode([(j, GE, 0.5) for j in range(9)])
    program = Program(column_of(9), (first, conv, link(2, "identity", [1] * 9, [0] * 9)))
    assert_exact(program, np.ones((1, 9), np.float32))
    points = session(model_of(program)).run(["points"], {"row": np.ones((1, 9), np.float32)})[0]
    assert points.reshape(3, 3).tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


# ---- what the file is made of ----


@settings(max_examples=20, deadline=None)
@given(st.one_of(programs(), map_programs(largest=300)), st.sampled_from(WEIGHTS))
def test_only_stock_operators_of_opset_18_are_used_and_the_checker_agrees(
    program: Program, weights: str
) -> None:
    try:
        model = onnx.load_from_string(model_of(program, weights))
    except ExportError:
        return
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
    assert {node.domain for node in model.graph.node} <= {""}
    assert "Sign" not in {node.op_type for node in model.graph.node}
    assert [(i.name, i.type.tensor_type.elem_type) for i in model.graph.input] == [("row", 1)]
    made = [(o.name, o.type.tensor_type.elem_type) for o in model.graph.output]
    assert made == [("points", onnx.TensorProto.INT32), ("answers", onnx.TensorProto.FLOAT)]


@settings(max_examples=20, deadline=None)
@given(st.one_of(programs(), map_programs(largest=300)), st.sampled_from(["packed", "int8"]))
def test_no_pair_of_products_can_saturate_in_int16(program: Program, weights: str) -> None:
    """Kernels of uint8 · int8 for x86 without VNNI add pairs in int16: there the uint8 must be bits."""
    model = onnx.load_from_string(model_of(program, weights))
    types = types_of(model)
    products = [node for node in model.graph.node if node.op_type.endswith("Integer")]
    for node in products:
        x, w = (types[name] for name in node.input[:2])
        assert x == onnx.TensorProto.UINT8
        if w == onnx.TensorProto.INT8:
            model.graph.output.append(onnx.helper.make_tensor_value_info(node.input[0], x, None))
    rows = random_map_rows(np.random.default_rng(0), 4, program.n_columns)
    bits = session(model.SerializeToString(), optimised=False).run(None, {"row": rows})[2:]
    assert all(b.max(initial=0) <= 1 for b in bits)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    known = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.input)}
    return known | {c.name: c.data_type for c in inferred.initializer}


def test_packed_weights_take_a_bit_each() -> None:
    program = wide_net([256, 512, 512], 20)
    sizes = {w: len(model_of(program, w)) for w in WEIGHTS}
    assert sizes["packed"] <= 1.10 * program.cost().bytes
    n_binary = 256 * 512 + 512 * 512
    assert n_binary < sizes["int8"] < n_binary + 20_000
    assert 4 * n_binary < sizes["float"] < 4 * n_binary + 30_000


def test_equal_constants_are_stored_once() -> None:
    graph = Graph("packed")
    names = {graph.constant(np.ones(3, np.float32)) for _ in range(3)}
    assert len(names) == len(graph.constants) == 1
    assert graph.constant(np.ones(3, np.float64)) not in names


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_what_is_unpacked_in_the_graph_is_what_was_packed(bits: list[bool]) -> None:
    graph = Graph("packed")
    graph.name(graph.unpacked(np.array(bits)), "out")
    port = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.UINT8, None)
    nodes = [
        onnx.helper.make_node(n.kind, n.inputs, n.outputs, **n.attributes) for n in graph.nodes
    ]
    constants = [onnx.numpy_helper.from_array(a, name) for name, a in graph.constants.items()]
    body = onnx.helper.make_graph(nodes, "unpacking", [], [port], constants)
    model = onnx.helper.make_model(
        body, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8
    )
    assert session(model.SerializeToString()).run(None, {})[0].tolist() == [int(b) for b in bits]


def test_hostile_names_come_back_from_the_metadata_as_they_were() -> None:
    columns = [Column(name, "category", HOSTILE_VALUES) for name in HOSTILE]
    first = encode([(j, GE, 0.5) for j in range(len(columns))])
    program = bits_as_points(columns, first, HOSTILE)
    data = model_of(program)
    told = {p.key: p.value for p in onnx.load_from_string(data).metadata_props}
    assert told["bimetal.id"] == program.id
    assert [Column.from_spec(c) for c in json.loads(told["bimetal.columns"])] == columns
    assert tuple(json.loads(told["bimetal.classes"])) == HOSTILE
    assert all(text.isascii() and text.isprintable() for text in told.values())
    assert_exact(program, rows_for(program, 20))


def test_the_same_program_gives_the_same_bytes() -> None:
    assert model_of(map_program()) == model_of(map_program())


# ---- refusals ----


def test_an_unknown_form_of_weights_is_refused() -> None:
    with pytest.raises(ExportError, match="must be one of packed, int8, float, got 'int4'"):
        model_of(tiny_program(), "int4")


def test_a_window_of_too_many_places_is_refused() -> None:
    side = 40
    ops = (
        Quantize(0, np.ones(1, np.float32), np.zeros(1, np.float32)),
        ByteConv(
            1, "ints", (side, side, 1), (1, 1), (1, 1), (1, 1), ROUND, 1,
            np.zeros(1, np.uint8), np.ones((1, 1), np.int8), np.zeros(1, np.int32),
        ),
        Affine(2, np.ones(1, np.float32), np.zeros(1, np.float32)),
        Pool(3, "sum", (side, side, 1), (side, side), (1, 1), ROUND),
        Quantize(4, np.ones(1, np.float32), np.zeros(1, np.float32)),
        ByteConv(
            5, "ints", (1, 1, 1), (1, 1), (1, 1), (1, 1), ROUND, 1,
            np.zeros(1, np.uint8), np.ones((1, 1), np.int8), np.zeros(1, np.int32),
        ),
        link(6, "identity", [1], [0]),
    )  # fmt: skip
    with pytest.raises(
        ExportError, match=r"at most 1,024 places .* operation 3 has 1,600; pool in two"
    ):
        model_of(Program(column_of(side * side), ops))


def test_sums_that_float32_would_round_are_refused() -> None:
    n = 600
    ops = (
        Quantize(0, np.ones(1, np.float32), np.zeros(1, np.float32)),
        ByteConv(
            1, "ints", (1, 1, n), (1, 1), (1, 1), (1, 1), ROUND, 1,
            np.zeros(n, np.uint8), np.full((1, n), 127, np.int8), np.zeros(1, np.int32),
        ),
        link(2, "identity", [1], [0]),
    )  # fmt: skip
    program = Program(column_of(n), ops)
    with pytest.raises(
        ExportError, match=r"up to 16,777,216, .* reach 19,431,000; .*'packed' or 'int8'"
    ):
        model_of(program, "float")
    assert_exact(program, np.full((2, n), 255, np.float32))


def test_a_model_beyond_what_a_file_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "LARGEST_FILE", 100_000)
    program = wide_net([256, 512], 5)
    model_of(program, "packed")
    with pytest.raises(
        ExportError, match=r"at most 100,000 bytes, but with weights='float' .* weights='packed'"
    ):
        model_of(program, "float")


def test_without_the_package_onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"bimetal\[export\]"):
        model_of(tiny_program())
