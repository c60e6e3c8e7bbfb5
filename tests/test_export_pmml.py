"""PMML: two engines that know nothing of us or of each other score a net of thresholds to the last bit."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_programs import (
    HOSTILE,
    HOSTILE_VALUES,
    NO_KNOTS,
    NO_VALUES,
    asked_in_every_way,
    bits_as_points,
    encode,
    layered,
    link,
    wide_net,
)

from bimetal import reference
from bimetal.columns import Column
from bimetal.errors import ExportError
from bimetal.export import Job, job_for
from bimetal.export.doubles import highest, lowest
from bimetal.export.pmml import TARGET
from bimetal.export.pmml.places import scored, values_of
from bimetal.export.pmml.writer import names_of
from bimetal.export.rows import rows_for
from bimetal.ops import EQ, GE, MISSING, Link, Lut, Op, Readout, Rules
from bimetal.program import Program

PLACES = {place.name: place for place in TARGET.places}
SPACE = "{http://www.dmg.org/PMML-4_4}"
COLUMNS = tuple(name for name in HOSTILE if name.isprintable() or "\n" in name)


def job_of(program: Program) -> Job:
    return job_for(program, TARGET, "net", "net", {})


def document(program: Program) -> bytes:
    return TARGET.write(job_of(program))[".pmml"]


def answering(
    kind: str,
    scale: list[float],
    offset: list[float],
    knots: Any = NO_KNOTS,
    values: Any = NO_VALUES,
) -> Program:
    first = encode([(0, GE, float(c)) for c in range(1, 13)])
    weights = np.array(
        [[1, 1, 3, 3, 40, 900, 7, 1, 16777216 - 956, 1, 2, 1]] * len(scale), np.int32
    )
    last = Link(2, kind, np.array(scale), np.array(offset), np.asarray(knots), np.asarray(values))  # type: ignore[arg-type]
    return Program(
        (Column("x"),), (first, Readout((1,), weights, np.zeros(len(scale), np.int32)), last)
    )


def awkward_layers() -> Program:
    """Return rules that contradict themselves, tables that are constant or read a bit twice, empty points."""
    first = encode([(0, GE, float(c)) for c in range(8)])
    rules = Rules(
        1, np.array([0, 1, 2, 2, 5, 6, 9, 9], np.uint16), np.array([2, 2, 1, 3], np.uint8)
    )
    places = np.array([[0, 0, 1], [2, 3, 4], [5, 6, 7], [1, 1, 1], [7, 2, 7]], np.uint16)
    tables = np.array([[0b01101001], [0], [255], [0b10000001], [0b11101101]], np.uint8)
    points = Readout((2, 3, 2), np.eye(13, dtype=np.int8) * 3, np.zeros(13, np.int32))
    ops: tuple[Op, ...] = (first, rules, Lut(1, places, tables), points)
    return Program((Column("x"),), (*ops, link(4, "identity", [1.0] * 13, [0.0] * 13)))


def mixed_columns() -> Program:
    columns = [
        Column("text", "category", HOSTILE_VALUES),
        Column("whole", "category", (3, -(2**31), 2**31 - 1, 0)),
        Column("mixed", "category", (3, "three", "-1")),
        Column("none", "category", ()),
    ]
    codes = (
        [(0, c) for c in range(len(HOSTILE_VALUES))]
        + [(1, c) for c in range(4)]
        + [(2, c) for c in range(3)]
    )
    tests = [(j, kind, c) for j, c in [*codes, *((j, -1) for j in range(4))] for kind in (EQ, GE)]
    return bits_as_points(
        columns, encode([*tests, *((j, MISSING, 0) for j in range(4))], [(0, 3.0)])
    )


def gaps() -> Program:
    """Return cut-points below, at, between and above several special codes."""
    cuts = [-10.0, -9.0, -8.5, 0.0, 1.0, 5.0, 7.0, 8.0]
    specials = [
        (0, -9.0),
        (0, 1.0),
        (0, float(np.nextafter(np.float32(1), np.float32(2)))),
        (0, 7.0),
    ]
    return bits_as_points([Column("x")], encode([(0, GE, c) for c in cuts], specials))


PROGRAMS = {
    "hostile": layered(
        [Column(name) for name in COLUMNS], classes=HOSTILE_VALUES, norms_rows=False
    ),
    "categories": mixed_columns(),
    "gaps": gaps(),
    "awkward": awkward_layers(),
    "net": wide_net([64, 64], 8),
    "identity": answering(
        "identity", [1.0, 1 / 3, 1e-48, -1e-50, 1e-45], [0.0, 0.5, 0.0, -1e-60, 0.0]
    ),
    "sigmoid": answering("sigmoid", [-0.05], [2.0]),
    "sigmoid beyond": answering("sigmoid", [1e200], [-5e-324]),
    "softmax": answering("softmax", [1e-4, 0.7, -0.003], [1.0, 0.0, 30.0]),
    "softmax beyond": answering("softmax", [1e279, -1e279], [0.0, 1e289]),
    "staircase": answering(
        "table",
        [1.0],
        [0.0],
        np.array([-5, 1, 2, 8, 900], np.int32),
        np.array([0, 1e-45, 0.1, 0.3, 0.3, 1], np.float32),
    ),
}
ROWS = {
    name: rows_for(program, 24, 1)
    if name in ("hostile", "categories", "gaps", "net")
    else np.arange(0, 14, dtype=np.float32)[:, None]
    for name, program in PROGRAMS.items()
}
NEAR = [f(c) for c in (1.0, -9.0, 7.0, 0.0, 1.0000001) for f in (lowest, highest, float)]
DOUBLES = [float(np.nextafter(x, to)) for x in NEAR for to in (-np.inf, x, np.inf)]

Came = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module", params=["pypmml", "jpmml"])
def came(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Came:
    """Score the rows of every Program, and doubles beside float32, in one start of the engine."""
    for tool in PLACES[request.param].missing():
        pytest.skip(f"needs {tool.name}: {tool.install}")
    rows, names = [], list(PROGRAMS)
    for i, name in enumerate(names):
        rows += [(i, row) for row in values_of(job_of(PROGRAMS[name]), ROWS[name])]
    rows += [(names.index("gaps"), {"x": x}) for x in DOUBLES]
    folder = tmp_path_factory.mktemp("pmml")
    all_ = iter(scored(request.param, [document(PROGRAMS[name]) for name in names], rows, folder))
    return {name: [next(all_) for _ in ROWS[name]] for name in names} | {"doubles": list(all_)}


def assert_exact(program: Program, rows: Any, came: list[dict[str, Any]]) -> None:
    names, values = names_of(program), reference.trace(program, rows)
    points = np.array([[row[name] for name in names.points] for row in came])
    answers = np.array([[row[name] for name in names.answers] for row in came])
    np.testing.assert_array_equal(points, values[program.ops[-1].input])  # type: ignore[union-attr]
    # −0.0 + 0.0 is 0.0: an engine keeps no sign of zero.
    expected = (values[-1] + np.float32(0)).view(np.uint32)
    np.testing.assert_array_equal(answers.astype(np.float32).view(np.uint32), expected)
    np.testing.assert_array_equal(answers, answers.astype(np.float32).astype(float))


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_engine_gives_the_points_and_answers_of_the_reference(came: Came, name: str) -> None:
    assert_exact(PROGRAMS[name], ROWS[name], came[name])


def test_a_double_counts_as_the_float32_that_it_rounds_to(came: Came) -> None:
    rows = np.array(DOUBLES).astype(np.float32)[:, None]
    assert_exact(PROGRAMS["gaps"], rows, came["doubles"])


def test_the_label_is_that_of_the_largest_answer(came: Came) -> None:
    for name in ("hostile", "net"):
        program = PROGRAMS[name]
        best = reference.run(program, ROWS[name]).argmax(axis=1)
        assert [row[names_of(program).label] for row in came[name]] == [
            program.classes[c] for c in best
        ]


# The document


def test_names_of_strangers_come_back_letter_by_letter() -> None:
    root = ElementTree.fromstring(document(PROGRAMS["hostile"]))
    named = [field.get("name") for field in root.iter(f"{SPACE}DataField")]
    assert named[: len(COLUMNS)] == list(COLUMNS)
    assert len(set(named)) == len(named)


def test_no_name_of_ours_is_one_of_the_users() -> None:
    program = layered(
        [Column(n) for n in ("points_0", "answer_1", "best_", "x_3__", "code_0")], norms_rows=False
    )
    root = ElementTree.fromstring(document(program))
    fields = [
        f.get("name")
        for tag in ("DataField", "DerivedField", "OutputField")
        for f in root.iter(SPACE + tag)
    ]
    named = [name for name in fields if name is not None]
    assert len(set(named)) == len(named)
    assert names_of(program).points == ["points_0___", "points_1___"]


def test_every_connection_comes_from_a_neuron_that_is_there_before() -> None:
    root = ElementTree.fromstring(document(PROGRAMS["hostile"]))
    seen = {str(i.get("id")) for i in root.iter(f"{SPACE}NeuralInput")}
    for neuron in root.iter(f"{SPACE}Neuron"):
        sources = [str(con.get("from")) for con in neuron.iter(f"{SPACE}Con")]
        assert sources and set(sources) <= seen
        assert len(set(sources)) == len(sources)
        seen.add(str(neuron.get("id")))


def test_only_results_are_final() -> None:
    root = ElementTree.fromstring(document(PROGRAMS["net"]))
    fields = [f for f in root.iter(f"{SPACE}OutputField") if f.get("isFinalResult") != "false"]
    names = names_of(PROGRAMS["net"])
    assert [f.get("name") for f in fields] == [*names.points, *names.answers, names.label]


def test_the_header_names_the_program() -> None:
    root = ElementTree.fromstring(document(PROGRAMS["net"]))
    header = root.find(f"{SPACE}Header")
    assert header is not None and header.get("description") == f"Program {PROGRAMS['net'].id}"


# Refusals


def one(column: Column) -> Program:
    return bits_as_points([column], encode([(0, EQ, 0)]))


@pytest.mark.parametrize("wrong", ["a\0b", "a\x1bb", "a\ufffeb"])
def test_characters_that_xml_cannot_write_are_refused(wrong: str) -> None:
    for program in (
        one(Column(wrong)),
        one(Column("c", "category", (wrong,))),
        layered([Column("a")], classes=(wrong, "b"), norms_rows=False),
    ):
        with pytest.raises(ExportError, match="XML has no way to write"):
            job_of(program)


def test_what_pmml_has_no_word_for_is_refused() -> None:
    with pytest.raises(ExportError, match="no arrays"):
        job_of(one(Column("pixels", "array", size=3)))
    with pytest.raises(ExportError, match="cannot express operation 6, a RowThreshold"):
        job_of(layered([Column("a")]))
    with pytest.raises(ExportError, match="cannot tell them apart"):
        job_of(one(Column("c", "category", (3, "3"))))
    with pytest.raises(ExportError, match="beyond 32 bits"):
        job_of(one(Column("c", "category", (2**31,))))
    base = answering("identity", [1.0, 1.0], [0.0, 0.0])
    with pytest.raises(ExportError, match="written alike"):
        job_of(Program(base.columns, base.ops, (1, "1")))
    with pytest.raises(ExportError, match="beyond float32"):
        job_of(answering("identity", [1e35], [0.0]))


def test_a_document_that_would_be_too_large_is_refused() -> None:
    with pytest.raises(ExportError, match=r"connections.*up to 50,000"):
        job_of(wide_net([256, 256], 4))
    with pytest.raises(ExportError, match="10,001 categories"):
        job_of(one(Column("c", "category", tuple(range(10_001)))))
    with pytest.raises(ExportError, match="101 answers"):
        job_of(answering("softmax", [1.0] * 101, [0.0] * 101))
    values = np.linspace(0, 1, 202).astype(np.float32)
    with pytest.raises(ExportError, match="201 knots"):
        job_of(answering("table", [1.0], [0.0], np.arange(201, dtype=np.int32), values))


def test_a_table_costs_its_rarer_answers() -> None:
    rare = Lut(1, np.zeros((100, 8), np.uint16), np.full((100, 32), 255, np.uint8))
    ops: tuple[Op, ...] = (
        asked_in_every_way(1),
        rare,
        Readout((2,), np.ones((1, 100), np.int8), np.zeros(1, np.int32)),
    )
    text = document(Program((Column("x"),), (*ops, link(3, "identity", [1.0], [0.0]))))
    assert len(text) < 30_000


def test_rows_are_sent_as_strict_json(tmp_path: Path) -> None:
    rows = values_of(job_of(PROGRAMS["categories"]), ROWS["categories"])
    assert json.loads(json.dumps(rows)) == rows
