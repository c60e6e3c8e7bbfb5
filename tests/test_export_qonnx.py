"""QONNX: the net between encoder and link, in the form that FINN's and hls4ml's importers take."""

import json
from typing import Any

import numpy as np
import onnx
import pytest
from export_programs import HOSTILE, encode, layered, link, wide_net
from golden.lut import lut_program
from golden.map import map_program
from golden.tiny import tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import random_dense, random_encode, random_link, random_rows, seeds, widths

from bimetal import reference
from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.errors import ExportError
from bimetal.export import Job, job_for
from bimetal.export.qonnx import TARGET
from bimetal.export.qonnx.places import signs_of, whole
from bimetal.export.verify import hold
from bimetal.ops import GE, Dense, Encode, Op, Readout
from bimetal.program import Program

FLAVORS = ("finn", "hls4ml")
PLACES = {place.name: place for place in TARGET.places}


def job_of(program: Program, flavor: str = "finn") -> Job:
    return job_for(program, TARGET, "net", "net", {"flavor": flavor})


def model_of(program: Program, flavor: str = "finn") -> onnx.ModelProto:
    return onnx.load_from_string(TARGET.write(job_of(program, flavor))[".qonnx"])


@st.composite
def chains(draw: st.DrawFn) -> Program:
    """Draw an encoder, some dense layers (grouped or not), points of any type, and a link."""
    rng = np.random.default_rng(draw(seeds()))
    n_in = draw(widths(130))
    ops: list[Op] = [random_encode(rng, 4, n_in)]
    for _ in range(draw(st.integers(0, 3))):
        groups = draw(st.sampled_from([g for g in (1, 2, 3) if n_in % g == 0]))
        n_out = max(1, draw(widths(130)) // groups) * groups
        ops.append(random_dense(rng, len(ops), n_in, n_out, groups))
        n_in = n_out
    n_points = draw(st.sampled_from([1, 2, 5]))
    dtype = draw(st.sampled_from([np.int8, np.int16, np.int32]))
    most = min(int(np.iinfo(dtype).max), 2**22 // n_in)
    weights = rng.integers(-most, most, (n_points, n_in), endpoint=True).astype(dtype)
    bias = rng.integers(-(2**21), 2**21, n_points).astype(np.int32)
    ops.append(Readout((len(ops),), weights, bias))
    ops.append(random_link(rng, len(ops), n_points, "identity"))
    return Program(tuple(Column(f"x{i}") for i in range(4)), tuple(ops))


# ---- a reader of our own, from the words of the specification ----


def run(model: onnx.ModelProto, bits: NDArray[np.float32]) -> NDArray[np.float32]:
    values: dict[str, Any] = {
        c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer
    }
    values["bits"] = bits
    for node in model.graph.node:
        values[node.output[0]] = step(node, *(values[name] for name in node.input))
    return values["points"]


def step(node: onnx.NodeProto, *x: NDArray[np.float32]) -> NDArray[np.float32]:
    match node.op_type:
        case "MatMul":
            return x[0] @ x[1]
        case "Add":
            return x[0] + x[1]
        case "Mul":
            return x[0] * x[1]
        case "BipolarQuant":
            return np.where(x[0] >= 0, np.float32(1), np.float32(-1)) * x[1]
        case "Quant":
            narrow = onnx.helper.get_node_attr_value(node, "narrow")
            half = 2.0 ** (float(x[3]) - 1)
            return (np.clip(np.rint(x[0] / x[1]), -half + narrow, half - 1) * x[1]).astype(
                np.float32
            )
        case _:
            raise AssertionError(f"what is {node.op_type}?")


@settings(max_examples=80, deadline=None)
@given(chains(), seeds(), st.sampled_from(FLAVORS))
def test_the_points_are_those_of_the_reference(program: Program, seed: int, flavor: str) -> None:
    rows = random_rows(np.random.default_rng(seed), 30, 4)
    job = job_of(program, flavor)
    points = run(model_of(program, flavor), signs_of(job, rows))
    assert (whole(points) == reference.trace(program, rows)[-2]).all()


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("groups", [1, 3])
def test_the_executor_of_qonnx_agrees(flavor: str, groups: int) -> None:
    place = PLACES["qonnx"]
    if place.missing():
        pytest.skip(f"needs {place.missing()[0].name}")
    rng = np.random.default_rng(1)
    ops = (
        random_encode(rng, 4, 33),
        random_dense(rng, 1, 33, 21, groups),
        random_dense(rng, 2, 21, 9, 1),
    )
    weights = rng.integers(-128, 128, (3, 9)).astype(np.int8)
    readout = Readout((3,), weights, np.array([7, -8, 0], np.int32))
    columns = tuple(Column(f"x{i}") for i in range(4))
    program = Program(columns, (*ops, readout, random_link(rng, 4, 3, "softmax")))
    assert hold(TARGET, place, job_of(program, flavor), 200, 0).is_exact


# ---- the form ----


def signs_in(model: onnx.ModelProto) -> tuple[int, int]:
    """Return how many BipolarQuant read a constant, and how many a value."""
    constants = {c.name for c in model.graph.initializer}
    read = [
        node.input[0] in constants for node in model.graph.node if node.op_type == "BipolarQuant"
    ]
    return sum(read), len(read) - sum(read)


@settings(max_examples=30, deadline=None)
@given(chains())
def test_finn_gets_signs_of_scale_one_and_thresholds_as_additions(program: Program) -> None:
    model = model_of(program, "finn")
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    layers = [op for op in program.ops if isinstance(op, Dense)]
    assert signs_in(model) == (sum(op.groups == 1 for op in layers), len(layers) + 1)
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type == "BipolarQuant":
            assert constants[node.input[1]] == 1
            before = makers.get(node.input[0])
            assert before is None or before.op_type == "Add"
        if node.op_type == "Quant":
            assert node.input[0] in constants  # weights only
    assert_stock_or_qonnx(model)


@settings(max_examples=30, deadline=None)
@given(chains())
def test_hls4ml_gets_no_constant_through_bipolar_quant(program: Program) -> None:
    model = model_of(program, "hls4ml")
    assert signs_in(model) == (0, sum(isinstance(op, Dense) for op in program.ops))
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
    assert_stock_or_qonnx(model)


def assert_stock_or_qonnx(model: onnx.ModelProto) -> None:
    kinds = {(node.domain, node.op_type) for node in model.graph.node}
    stock = {("", kind) for kind in ("MatMul", "Add", "Mul")}
    own = {("qonnx.custom_op.general", kind) for kind in ("Quant", "BipolarQuant")}
    assert kinds <= stock | own


def test_a_neuron_at_its_threshold_fires() -> None:
    first = encode([(0, GE, v) for v in (1, 2, 3, 4)])
    dense = Dense(1, 4, pack(np.ones((5, 4), bool)), np.arange(-1, 4, dtype=np.int32))
    ops = (first, dense, Readout((2,), np.eye(5, dtype=np.int8), np.zeros(5, np.int32)))
    program = Program((Column("a"),), (*ops, link(3, "identity", [1] * 5, [0] * 5)))
    rows = np.arange(6, dtype=np.float32)[:, None]
    for flavor in FLAVORS:
        points = run(model_of(program, flavor), signs_of(job_of(program, flavor), rows))
        assert points.astype(int).tolist()[2] == [0, 0, 0, 1, 1]  # two bits differ
        assert (points == reference.trace(program, rows)[-2]).all()


def test_the_metadata_suffice_to_encode_a_row_and_to_read_its_points() -> None:
    columns = tuple(Column(name) for name in HOSTILE)
    rng = np.random.default_rng(0)
    first = random_encode(rng, len(columns), 40)
    weights = rng.integers(-99, 99, (1, 40)).astype(np.int8)
    ops = first, Readout((1,), weights, np.zeros(1, np.int32)), random_link(rng, 2, 1, "sigmoid")
    program = Program(columns, ops, ("good", "bad"))
    model = model_of(program)
    told = {p.key: p.value for p in model.metadata_props}
    assert all(text.isascii() and text.isprintable() for text in told.values())
    assert told["bimetal.id"] == program.id
    stored = {k: np.array(v) for k, v in json.loads(told["bimetal.encode"]).items()}
    same = Encode(**{k: stored[k].astype(a.dtype) for k, a in first.arrays().items()})
    rows = random_rows(rng, 50, len(columns))
    bits = reference.tables.encode(same, rows)
    assert (run(model, np.where(bits, 1, -1)) == reference.trace(program, rows)[-2]).all()
    assert json.loads(told["bimetal.link"])["scale"] == ops[2].scale.tolist()


def test_the_batch_is_one_row_as_importers_want_it() -> None:
    model = model_of(wide_net([24, 16], 3))
    shapes = [
        [d.dim_value for d in port.type.tensor_type.shape.dim]
        for port in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [[1, 24], [1, 3]]


# ---- refusals ----


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (tiny_program(), "cannot express operation 2, a Rules"),
        (map_program(), "cannot express operation 0, a Quantize"),
        (lut_program(), "cannot express operation 1, a Lut"),
        (layered([Column("a")], norms_rows=False), "cannot express operation 2, a Rules"),
    ],
)
def test_operations_without_a_form_are_refused(program: Program, said: str) -> None:
    with pytest.raises(ExportError, match=said):
        job_of(program)


def two_layers(second_reads: int, readout_reads: tuple[int, ...]) -> Program:
    rng = np.random.default_rng(0)
    sizes = {1: 8, 2: 8, 3: 8}
    weights = np.ones((1, sum(sizes[v] for v in readout_reads)), np.int8)
    ops = (
        random_encode(rng, 2, 8),
        random_dense(rng, 1, 8, 8, 1),
        random_dense(rng, second_reads, 8, 8, 1),
        Readout(readout_reads, weights, np.zeros(1, np.int32)),
        random_link(rng, 4, 1, "sigmoid"),
    )
    return Program((Column("a"), Column("b")), ops)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            two_layers(1, (2, 3)),
            "wants operation 2 .* value 2 only, but it reads 1; it fits a chain",
        ),
        (
            two_layers(2, (2, 3)),
            "wants operation 3 .* value 3 only, but it reads 2, 3; it fits a chain",
        ),
        (
            two_layers(2, (3, 3)),
            "wants operation 3 .* value 3 only, but it reads 3, 3; it fits a chain",
        ),
    ],
)
def test_what_is_no_chain_is_refused_and_what_fits_is_said(program: Program, said: str) -> None:
    with pytest.raises(ExportError, match=said):
        job_of(program)


def test_several_encoders_are_no_chain() -> None:
    rng = np.random.default_rng(0)
    readout = Readout((1, 2), np.ones((1, 16), np.int8), np.zeros(1, np.int32))
    ops = (
        random_encode(rng, 2, 8),
        random_encode(rng, 2, 8),
        readout,
        random_link(rng, 3, 1, "sigmoid"),
    )
    with pytest.raises(
        ExportError, match="no form for Encode → Encode → Readout → Link; it fits a chain"
    ):
        job_of(Program((Column("a"), Column("b")), ops))


def test_values_that_nobody_reads_do_no_harm() -> None:
    program = two_layers(1, (3,))
    rows = random_rows(np.random.default_rng(0), 40, 2)
    points = run(model_of(program), signs_of(job_of(program), rows))
    assert (points == reference.trace(program, rows)[-2]).all()


def test_points_that_float32_would_round_are_refused() -> None:
    readout = Readout((1,), np.array([[2**22, -(2**22)]], np.int32), np.array([1], np.int32))
    ops = encode([(0, GE, 1), (0, GE, 2)]), readout, link(2, "sigmoid", [1e-6], [0])
    with pytest.raises(ExportError, match="twice the points reach 16,777,218"):
        job_of(Program((Column("a"),), ops))


def test_points_that_are_not_whole_are_refused() -> None:
    with pytest.raises(ExportError, match="no whole numbers"):
        whole(np.array([[1.0, 0.5]], np.float32))


def test_an_unknown_flavor_is_refused() -> None:
    with pytest.raises(ExportError, match="one of finn, hls4ml, got 'vivado'"):
        job_of(two_layers(2, (3,)), "vivado")
