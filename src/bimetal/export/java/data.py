"""What of a Program goes into the class: constants, arrays, lists of names, and the steps of `points`."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.errors import ExportError
from bimetal.export.form import link_of, live, reads
from bimetal.export.java.text import encoded, filled, java_string, label, narrow
from bimetal.export.keys import key_of
from bimetal.export.rows import rows_for
from bimetal.ops import Dense, Encode, Link, Lut, Op, Readout, RowThreshold, Rules
from bimetal.program import Program

__all__ = ["data", "steps"]


def data(program: Program, n_golden: int) -> str:
    """Return the fields of the class and the methods that fill its lists."""
    private = [*_columns(program), *_golden(program, n_golden), *_link(link_of(program))]
    text = "".join(
        f"    /** {said} */\n    public static final {name} = {value};\n"
        for said, name, value in _public(program)
    )
    text += "    /** What each column holds: n a number, c a category, a an array. */\n"
    text += _fields(private)
    for i in live(program):
        text += f"    // {_shape(program, i)}\n{_fields(_arrays(program.ops[i], i + 1))}"
    return f"{text}\n{_lists(program)}"


def _fields(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"    private static final {name} = {value};\n" for name, value in pairs)


def _shape(program: Program, i: int) -> str:
    """Say in a few words what an operation reads and makes."""
    op, values = program.ops[i], program.values
    read = " and ".join(
        f"v{v} ({values[v].n} {values[v].kind})" if v else "the row" for v in reads(op)
    )
    made = values[i + 1]
    return f"v{i + 1}: {type(op).__name__.lower()} of {read}: {made.n} {made.kind}"


def _public(program: Program) -> list[tuple[str, str, str]]:
    return [
        ("Identifies the model: SHA-256 of all that it computes.", "String ID", f'"{program.id}"'),
        ("Numbers of a raw row.", "int N_COLUMNS", str(program.n_columns)),
        ("Whole numbers that the answers are made of.", "int N_POINTS", str(_n_points(program))),
        ("Answers: probabilities of the classes, or values.", "int N_ANSWERS", str(program.n_outputs)),
        ("Names of the columns.", "List<String> COLUMNS", "columns()"),
        ("Labels in the order of the answers; none for a regressor.", "List<Object> CLASSES", "classes()"),
    ]  # fmt: skip


def _n_points(program: Program) -> int:
    return program.values[link_of(program).input].n


def _columns(program: Program) -> list[tuple[str, str]]:
    sizes = np.array([column.size for column in program.columns], np.int32)
    return [
        ("String KINDS", java_string("".join(c.kind[0] for c in program.columns), longest=65_535)),
        ("int[] SIZES", narrow(sizes)),
        ("List<List<Object>> CATEGORIES", "categories()"),
    ]


def _golden(program: Program, n: int) -> list[tuple[str, str]]:
    rows = rows_for(program, n)
    answers = reference.run(program, rows)
    return [
        ("float[][] GOLDEN_ROWS", encoded("rows", rows, f"{program.n_columns}, ")),
        ("float[][] GOLDEN_ANSWERS", encoded("rows", answers, f"{program.n_outputs}, ")),
    ]


def _link(op: Link) -> list[tuple[str, str]]:
    if op.kind == "table":
        return [
            ("int[] KNOTS", narrow(op.knots)),
            ("float[] VALUES", encoded("rows", op.values, f"{len(op.values)}, ") + "[0]"),
        ]
    return [
        (f"double[] {name}", f"{{{', '.join(float(x).hex() for x in array)}}}")
        for name, array in (("SCALE", op.scale), ("OFFSET", op.offset))
    ]


def _lists(program: Program) -> str:
    columns = [f"to.add({java_string(column.name)});" for column in program.columns]
    classes = [f"to.add({label(value)});" for value in program.classes]
    known = [
        f"to.get({j}).add({label(value)});"
        for j, column in enumerate(program.columns)
        for value in column.categories
    ]
    n = len(program.columns)
    empty = f"Collections.nCopies({n}, null)"
    lists = filled("categories", "List<Object>", empty, known)
    each = "        to.replaceAll(none -> new ArrayList<>());\n"
    first = lists.index(
        "        ", lists.index(empty)
    )  # the line after the one that makes the list
    return "\n".join(
        [
            filled("columns", "String", "", columns),
            filled("classes", "Object", "", classes),
            lists[:first] + each + lists[first:],
        ]
    )


def _arrays(op: Op, value: int) -> Iterator[tuple[str, str]]:
    """Yield the fields of an operation that makes `value`: (type and name, what it is set to)."""
    match op:
        case Encode():
            yield f"int[] COLUMN_{value}", narrow(op.column)
            yield f"byte[] KIND_{value}", encoded("bytes", op.kind)
            yield f"int[] KEY_{value}", narrow(key_of(op.value))
            yield f"int[] SPECIAL_COLUMN_{value}", narrow(op.special_column)
            yield f"int[] SPECIAL_KEY_{value}", narrow(key_of(op.special_value))
        case Dense():
            yield f"long[] WEIGHTS_{value}", encoded("longs", _words(op))
            yield f"int[] THRESHOLDS_{value}", narrow(op.thresholds)
        case Rules():
            yield f"int[] LITERALS_{value}", narrow(op.literals)
            yield f"byte[] FAN_IN_{value}", encoded("bytes", op.fan_in)
        case Lut():
            yield f"int[] PLACES_{value}", narrow(op.places)
            yield f"byte[] TABLES_{value}", encoded("bytes", op.tables)
        case Readout():
            yield f"int[] BIAS_{value}", narrow(op.bias)
            yield f"int[] WEIGHTS_{value}", narrow(op.weights.T)


def _words(op: Dense) -> NDArray[np.uint64]:
    """Return the weights in words of 64 bits, each neuron from a word of its own on."""
    n_out, size = op.weights.shape
    padded = np.zeros((n_out, -(-size // 8) * 8), np.uint8)
    padded[:, :size] = op.weights
    return padded.view("<u8").astype(np.uint64)


def steps(program: Program) -> Iterator[str]:
    """Yield the lines of `points`."""
    yield "int[] keys = keys(row);"
    link = link_of(program)
    for i in live(program)[:-1]:
        made, kind = f"v{i + 1}", "int[]" if program.values[i + 1].kind == "ints" else "long[]"
        yield f"{kind} {made} = {_call(program, program.ops[i], i + 1)};"
    yield f"return v{link.input};"


def _call(program: Program, op: Op, v: int) -> str:
    match op:
        case Encode():
            return (
                f"encode(keys, COLUMN_{v}, KIND_{v}, KEY_{v}, SPECIAL_COLUMN_{v}, SPECIAL_KEY_{v})"
            )
        case Dense():
            return f"dense(v{op.input}, {op.n_in}, {op.groups}, WEIGHTS_{v}, THRESHOLDS_{v})"
        case Rules():
            return f"rules(v{op.input}, LITERALS_{v}, FAN_IN_{v})"
        case Lut():
            return f"lut(v{op.input}, {op.places.shape[1]}, PLACES_{v}, TABLES_{v})"
        case RowThreshold():
            return f"rowThreshold(v{op.input}, {op.channels}, {op.top}, {op.bottom})"
        case Readout():
            sizes = ", ".join(str(program.values[i].n) for i in op.inputs)
            inputs = ", ".join(f"v{i}" for i in op.inputs)
            return f"readout(BIAS_{v}, WEIGHTS_{v}, new int[] {{{sizes}}}, {inputs})"
        case _:
            raise ExportError(f"java has no {type(op).__name__}")
