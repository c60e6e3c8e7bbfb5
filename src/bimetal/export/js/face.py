"""The face of a JavaScript module: columns, classes, golden rows and types, as text.

Names, categories and labels come from files that anyone can make, and the module may be pasted into
an HTML page. So each stands in a string literal of ASCII without `<`, and never as the key of an
object, where "__proto__" would mean something else.
"""

import base64
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.columns.column import Column
from bimetal.export.form import link_of
from bimetal.export.rows import rows_for
from bimetal.export.target import Job

__all__ = ["NAMES", "Form", "base64_of", "constants", "literal", "template", "types"]

Form = Literal["module", "script"]
"""An ES module, or a classic script that makes one global object."""

NAMES = (
    *("id", "columns", "classes", "row", "points", "answers", "classOf"),
    *("pointsMany", "answersMany", "predict", "selfTest"),
)
"""What every model has; ``templates/types.d.ts`` says what each is."""

LARGEST_SAFE = 2**53 - 1  # Number.MAX_SAFE_INTEGER; beyond it only a bigint is exact
MOST_NAMED = 50  # categories of one column that the types list
MOST_NUMBERS = 2**16  # of all golden rows together
_INHERITED = """constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf"""
EVERY_OBJECT_HAS = frozenset(_INHERITED.split())
"""Names for which TypeScript sees a function in an object that does not have them itself."""


def template(name: str, package: str = "bimetal.export.js") -> str:
    """Return the text of a template of a package."""
    return (files(package) / "templates" / name).read_text(encoding="utf-8")


def literal(value: str | int | float | bool) -> str:
    r"""Return a JavaScript literal that is harmless inside a script of an HTML page too.

    Examples
    --------
    >>> print(literal("</script>"), literal(2**60), literal(True))
    "\u003c/script>" 1152921504606846976n true
    """
    if type(value) is int and abs(value) > LARGEST_SAFE:
        return f"{value}n"
    return json.dumps(value).replace("<", "\\u003c")


def base64_of(array: NDArray[Any]) -> str:
    """Return the elements, little-endian, as a JavaScript string of base64."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return f'"{base64.b64encode(little.tobytes()).decode()}"'


def constants(job: Job) -> str:
    """Return the constants that ``templates/face.js`` stands on."""
    program = job.program
    golden = rows_for(program, min(job.options.golden, max(1, MOST_NUMBERS // program.n_columns)))
    columns = "\n".join(f"  {_column(column)}," for column in program.columns)
    return f"""\
const ID = "{program.id}";
const N_COLUMNS = {program.n_columns};
const N_POINTS = {program.values[link_of(program).input].n};
const N_ANSWERS = {program.n_outputs};
const COLUMNS = Object.freeze([
{columns}
]);
const CLASSES = Object.freeze([{", ".join(map(literal, program.classes))}]);
// Rows and their answers, by which any copy can test itself.
const GOLDEN_X = {base64_of(golden)};
const GOLDEN_Y = {base64_of(reference.run(program, golden))};
"""


def types(job: Job, form: Form, is_loaded: bool, before: str = "") -> bytes:
    """Return the declarations of a module or script for TypeScript.

    `is_loaded` is for a model that comes out of a promise, as WebAssembly does; `before` are further
    types that it needs.
    """
    given = {
        "LABEL": " | ".join(map(literal, job.program.classes)) or "never",
        "PREDICTION": "Classified" if job.program.classes else "Answered",
        "VALUES": "\n".join(f"  {_typed(column)};" for column in job.program.columns),
    }
    text = template("types.d.ts")
    for name, value in given.items():
        text = text.replace(f"/*{name}*/ unknown", value)
    parts = [(name, f'Model["{name}"]') for name in (NAMES[:3] if is_loaded else NAMES)]
    parts += [("load", "(source?: Source) => Promise<Model>")] if is_loaded else []
    return _declared(job.name, form, text + before, parts).encode()


def _declared(name: str, form: Form, text: str, parts: Sequence[tuple[str, str]]) -> str:
    """Return types and values as those of a module, or of one global namespace."""
    if form == "script":
        values = "".join(f"const {part}: {kind};\n" for part, kind in parts)
        body = "".join(f"  {line}".rstrip() + "\n" for line in f"{text}\n{values}".splitlines())
        return f"declare namespace {name} {{\n{body}}}\n"
    values = "".join(f"export declare const {part}: {kind};\n" for part, kind in parts)
    whole = "".join(f"  readonly {part}: {kind};\n" for part, kind in parts)
    default = f"declare const _default: {{\n{whole}}};\nexport default _default;\n"
    return f"{text}\n{values}{default}export type {{ Column, Values, Prediction, Model }};\n"


def _column(column: Column) -> str:
    categories = ", ".join(map(literal, column.categories))
    return (
        f'Object.freeze({{ name: {literal(column.name)}, kind: "{column.kind}", '
        f"size: {column.size}, categories: Object.freeze([{categories}]) }})"
    )


def _typed(column: Column) -> str:
    function = " | Function" if column.name in EVERY_OBJECT_HAS else ""
    return f"readonly {literal(column.name)}?: {_values_of(column)} | null{function}"


def _values_of(column: Column) -> str:
    if column.kind == "array":
        return "ArrayLike<number | null>"
    if column.kind == "number":
        return "number | bigint | boolean"
    kinds = {str: "(string & {})", int: "(number & {}) | bigint | boolean"}
    of = {kind: text for kind, text in kinds.items() if kind in set(map(type, column.categories))}
    others = " | ".join((of or kinds).values())
    named = [literal(category) for category in column.categories[:MOST_NAMED]]
    return " | ".join([*named, others])
