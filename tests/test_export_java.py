"""Java: one class that compiles whatever it is called on to hold, and gives the reference's bits."""

from collections.abc import Iterator
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
from bimetal.export.java import TARGET
from bimetal.export.java.places import JAVA, JAVAC, read_rows
from bimetal.export.java.text import java_string
from bimetal.export.rows import rows_for
from bimetal.export.tools import call
from bimetal.ops import EQ, GE, MISSING, Link, Op, Readout, RowThreshold
from bimetal.program import Program


def job_of(program: Program, name: str = "Net", **options: Any) -> Job:
    return job_for(program, TARGET, name, name, options)


def source(job: Job) -> bytes:
    return TARGET.write(job)[".java"]


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


def row_threshold(top: int, bottom: int) -> Program:
    rng = np.random.default_rng(top)
    weights = rng.integers(-2_000_000, 2_000_000, (12, 24)).astype(np.int32)
    ops: tuple[Op, ...] = (
        encode([(0, GE, float(c)) for c in range(24)]),
        Readout((1,), weights, np.zeros(12, np.int32)),
        RowThreshold(2, 6, top, bottom),
        Readout((3,), np.eye(12, dtype=np.int8), np.zeros(12, np.int32)),
        link(4, "identity", [1.0] * 12, [0.0] * 12),
    )
    return Program((Column("x"),), ops)


def mixed_columns() -> Program:
    columns = [
        Column("text", "category", HOSTILE_VALUES),
        Column("whole", "category", (3, -(2**63), 2**63 - 1, 0)),
        Column("number"),
        Column("pixels", "array", size=3),
    ]
    tests = [(0, EQ, c) for c in range(-1, len(HOSTILE_VALUES))] + [
        (1, EQ, c) for c in range(-1, 4)
    ]
    tests += [(2, GE, 16777217.0), (2, EQ, 1.0), *((j, GE, 0.5) for j in (3, 4, 5))]
    return bits_as_points(columns, encode([*tests, *((j, MISSING, 0) for j in range(6))]))


STAIRS = ([-5, 1, 2, 8, 900], np.array([0, 1e-45, 0.1, 0.3, 0.3, 1], np.float32))
PROGRAMS = {
    "Hostile": layered([Column(name) for name in HOSTILE], classes=HOSTILE_VALUES[:4]),
    "Mixed": mixed_columns(),
    "Wide": wide_net([256, 512, 512], 32),
    "Many": bits_as_points(
        [
            Column("c", "category", tuple(f"category {i}" for i in range(3000))),
            *(Column(f"x{i}") for i in range(3000)),
        ],
        encode([(0, EQ, 2999), (3000, GE, 0)]),
    ),
    "Identity": answering(
        "identity", [1.0, 1 / 3, 1e-48, -1e-50, 1e38, -1e279], [0.0, 0.5, 0.0, -1e-60, 0.0, -0.0]
    ),
    "Sigmoid": answering("sigmoid", [-0.05], [2.0]),
    "SigmoidBeyond": answering("sigmoid", [1e200], [-5e-324]),
    "Softmax": answering("softmax", [1e-4, 0.7, -0.003], [1.0, 0.0, 30.0]),
    "Staircase": answering("table", [1.0], [0.0], np.array(STAIRS[0], np.int32), STAIRS[1]),
    "RowThresholdFine": row_threshold(255, 251),
    "RowThresholdNone": row_threshold(0, 1),
    "Grouped": layered([Column(f"c{i}") for i in range(33)], seed=3),
}

DRIVER = r"""
import java.math.BigDecimal;
import java.util.*;

public final class Driver {
    static void say(String what, Object text, Object whole, Object number, Object pixels) {
        Map<String, Object> named = new HashMap<>();
        named.put("text", text);
        named.put("whole", whole);
        named.put("number", number);
        named.put("pixels", pixels);
        named.put("not asked for", "x");
        System.out.println(what + " " + Arrays.toString(Mixed.row(named)));
        if (!Arrays.equals(Mixed.predict(named), Mixed.answers(Mixed.row(named)))) {
            throw new AssertionError(what);
        }
    }

    static void refuse(Runnable wrong) {
        try {
            wrong.run();
        } catch (IllegalArgumentException error) {
            System.out.println("refused " + error.getMessage());
            return;
        }
        throw new AssertionError("taken");
    }

    public static void main(String[] words) {
        float[] three = {1, 2, 3};
        List<Object> texts = Mixed.categories(0);
        for (Object text : texts) {
            say("text", text, 3L, 1, three);
        }
        say("unseen", "never seen", 4, 1.0f, new double[] {1, 2, 3});
        say("missing", null, Double.NaN, null, null);
        say("whole", 3, (short) 3, 16777217L, Arrays.asList(1, null, 2.5));
        say("double", "a\nb", 3.0, 16777217.0, three);
        say("half", "a\nb", 2.5, new BigDecimal("1.00"), three);
        say("edge", "a\nb", Long.MIN_VALUE, true, three);
        say("edge", "a\nb", Long.MAX_VALUE, false, three);
        say("decimal", "a\nb", new BigDecimal("3"), 1e300, three);
        refuse(() -> say("", "", 1, "1.0", three));
        refuse(() -> say("", "", 1, 1, new float[] {1, 2}));
        refuse(() -> say("", "", 1, 1, "1,2,3"));
        refuse(() -> Mixed.predict(Map.of("text", "")));
        refuse(() -> Mixed.points(three));
        System.out.println("classes " + Hostile.CLASSES.size() + " " + Hostile.CLASSES.get(3));
        System.out.println("class " + Hostile.classOf(new float[Hostile.N_COLUMNS]));
        System.out.println("name " + Hostile.COLUMNS.get(0));
        System.out.println("id " + Hostile.ID);
    }
}
"""


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Compile every class of `PROGRAMS` and a driver in one go, warnings as errors."""
    for tool in (JAVAC, JAVA):
        if tool.find() is None:
            pytest.skip(f"needs {tool.name}: {tool.install}")
    folder = tmp_path_factory.mktemp("java")
    for name, program in PROGRAMS.items():
        (folder / f"{name}.java").write_bytes(source(job_of(program, name)))
    (folder / "Driver.java").write_text(DRIVER, "ascii")
    (folder / "Packed.java").write_bytes(
        source(job_of(PROGRAMS["Sigmoid"], "Packed", package="com.bank.scores"))
    )
    flags = ["-Xlint:all", "-Werror", "--release", "11", "-encoding", "US-ASCII", "-d", "classes"]
    call([str(JAVAC.find()), *flags, *sorted(p.name for p in folder.glob("*.java"))], folder)
    yield folder


def run(classes: Path, name: str, *words: str, stdin: bytes = b"") -> str:
    flags = [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dfile.encoding=UTF-8",
        "-cp",
        "classes",
    ]
    return call([str(JAVA.find()), *flags, name, *words], classes, stdin=stdin).decode()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_class_gives_the_bits_of_the_reference(classes: Path, name: str) -> None:
    program = PROGRAMS[name]
    rows = rows_for(program, 30, 1)
    if name in ("Identity", "Sigmoid", "SigmoidBeyond", "Softmax", "Staircase"):
        rows = np.arange(0, 14, dtype=np.float32)[:, None]
    halves = [line.split(";") for line in run(classes, name, stdin=read_rows(rows)).splitlines()]
    values = reference.trace(program, rows)
    assert [[int(x) for x in half[0].split(",")] for half in halves] == values[-2].tolist()
    answers = np.array([half[1].split(",") for half in halves]).astype(np.float32)
    np.testing.assert_array_equal(answers.view(np.uint32), values[-1].view(np.uint32))


def test_a_class_tests_itself_and_sees_a_changed_number(classes: Path) -> None:
    assert run(classes, "Hostile", "selftest") == "0 of 8 golden rows are wrong\n"
    text = source(job_of(PROGRAMS["Sigmoid"], "Changed"))
    at = text.index(b"BIAS_2 = ints(1, ") + len(b'BIAS_2 = ints(1, "')
    assert text[at : at + 1] == b"A"
    (classes / "Changed.java").write_bytes(text[:at] + b"g" + text[at + 1 :])
    call([str(JAVAC.find()), "-d", "classes", "Changed.java"], classes)
    with pytest.raises(ExportError, match=r"[1-8] of 8 golden rows are wrong"):
        run(classes, "Changed", "selftest")


def test_a_class_may_live_in_a_package(classes: Path) -> None:
    assert run(classes, "com.bank.scores.Packed", "selftest") == "0 of 8 golden rows are wrong\n"


def test_values_by_name_make_the_row_that_python_makes(classes: Path) -> None:
    lines = run(classes, "Driver").splitlines()
    said = [line.partition(" ") for line in lines if not line.startswith(("\u2028", "refused"))]
    rows = [(what, rest.strip("[]").split(", ")) for what, _, rest in said if rest.startswith("[")]
    codes = [float(row[0]) for what, row in rows if what == "text"]
    assert codes == list(range(len(HOSTILE_VALUES)))
    by_name = {what: [float(x) for x in row] for what, row in rows}
    assert by_name["unseen"][:2] == [-1, -1]
    assert np.isnan(by_name["missing"]).all()
    assert by_name["whole"][:3] == [-1, 0, 16777216]
    assert by_name["whole"][3] == 1 and np.isnan(by_name["whole"][4]) and by_name["whole"][5] == 2.5
    assert by_name["double"][1:3] == [0, 16777216]
    assert by_name["half"][1:3] == [-1, 1]
    assert [[float(x) for x in row][1:3] for what, row in rows if what == "edge"] == [
        [1, 1],
        [2, 0],
    ]
    assert by_name["decimal"][1:3] == [0, np.inf]


def test_what_does_not_fit_is_refused_by_name(classes: Path) -> None:
    refused = [line for line in run(classes, "Driver").splitlines() if line.startswith("refused")]
    assert refused == [
        "refused column 'number': a number expected, got java.lang.String",
        "refused column 'pixels': 3 numbers expected, got 2",
        "refused column 'pixels': 3 numbers expected, got java.lang.String",
        "refused column 'whole' is not there",
        "refused a row of 6 numbers expected, got 3",
    ]


def test_names_and_labels_come_back_letter_by_letter(classes: Path) -> None:
    printed = run(classes, "Driver")
    assert f"name {HOSTILE[0]}\n" in printed
    assert "classes 4 \\\n" in printed
    zeros = np.zeros((1, len(HOSTILE)), np.float32)
    assert f"class {reference.run(PROGRAMS['Hostile'], zeros).argmax()}\n" in printed
    assert f"id {PROGRAMS['Hostile'].id}\n" in printed


def test_no_text_can_end_a_string_or_a_comment() -> None:
    text = source(job_of(PROGRAMS["Hostile"], "Hostile")).decode("ascii")
    assert "\\\\u000a" in text  # a backslash and a u of the user's: not an escape
    assert java_string('\n\r"\\\u2028é\x7f') == '"\\012\\015\\"\\\\\\u2028\\u00e9\\177"'
    assert java_string("\U0001f4b6") == '"\\ud83d\\udcb6"'


# Refusals


def test_the_class_must_be_called_as_its_file() -> None:
    with pytest.raises(ExportError, match=r"in a file 'Net\.java', got 'credit\.java'"):
        job_for(PROGRAMS["Sigmoid"], TARGET, "Net", "credit", {})


@pytest.mark.parametrize("name", ["List", "System", "ByteBuffer"])
def test_a_name_that_the_file_needs_itself_is_refused(name: str) -> None:
    with pytest.raises(ExportError, match="it uses Java's own"):
        job_of(PROGRAMS["Sigmoid"], name)


@pytest.mark.parametrize("name", ["class", "1st", "a-b", "Größe", ""])
def test_a_name_that_java_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(ExportError, match="is no name in java"):
        job_of(PROGRAMS["Sigmoid"], name)
    with pytest.raises(ExportError, match="is no name in java"):
        job_of(PROGRAMS["Sigmoid"], package=f"com.{name}")


def test_what_is_too_large_for_one_class_is_refused() -> None:
    columns = [Column("c", "category", tuple(range(20_001)))]
    with pytest.raises(ExportError, match="20,002 columns and categories"):
        job_of(bits_as_points(columns, encode([(0, EQ, 0)])))
    long = [Column("c", "category", ("x" * 10_001,))]
    with pytest.raises(ExportError, match="up to 10,000 characters"):
        source(job_of(bits_as_points(long, encode([(0, EQ, 0)]))))
    ops = [
        asked_in_every_way(1),
        *(Readout((1,), np.zeros((1, 4), np.int8), np.zeros(1, np.int32)) for _ in range(1000)),
    ]
    many = Program((Column("x"),), (*ops, link(2, "identity", [1.0], [0.0])))
    with pytest.raises(ExportError, match="1,002 operations"):
        job_of(many)
    wide = Readout((1,), np.ones((1_000_000, 4), np.int32), np.zeros(1_000_000, np.int32))
    zeros = np.zeros(1_000_000)
    huge = Program(
        (Column("x"),),
        (asked_in_every_way(1), wide, Link(2, "identity", zeros, zeros, NO_KNOTS, NO_VALUES)),
    )
    with pytest.raises(ExportError, match="bytes of arrays"):
        job_of(huge)


@pytest.mark.parametrize("golden", [-1, 1001])
def test_a_self_test_of_no_size_is_refused(golden: int) -> None:
    with pytest.raises(ExportError, match="golden must be 0 to 1000"):
        job_of(PROGRAMS["Sigmoid"], golden=golden)


def test_unused_parts_of_the_template_are_left_out() -> None:
    text = source(job_of(PROGRAMS["Staircase"], "Staircase")).decode()
    assert "staircase(" in text
    for gone in ("dense(", "lut(", "rules(", "rowThreshold(", "softmax(", "exp(", "Net", "// <"):
        assert gone not in text
