"""The encoder in C: questions to the raw row, asked of whole numbers.

A float32's bits, read as sign and size, are a whole number of the same order (its key), so that no
chip needs floats to compare them. Questions about one column in a row make a run:

    {column, special codes, questions ">=", questions "=="}

and the cut-points of all runs stand in one table, special codes of a run first. To ask whether a
number is missing is "== the lowest key", which NaN alone has. Where no cut-point needs more than
the upper half of its key (whole numbers up to 256, and many others), halves are stored. Rows of
whole numbers are compared as they are wherever that means the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bimetal.columns import places
from bimetal.errors import ExportError
from bimetal.export.c.plan import Part, Plan
from bimetal.export.c.scale import Scale, scale_for
from bimetal.export.c.template import Word, template
from bimetal.export.c.text import literals, read_of, uint_type, wrapped
from bimetal.export.names import comment
from bimetal.ops import EQ, GE, Encode
from bimetal.wording import bit_names

__all__ = ["LISTED", "Run", "encode", "row_type", "runs_of"]

LISTED = 4096
"""The most questions that are listed one a line, with their words."""


@dataclass(frozen=True)
class Run:
    """Questions to one column, one after the other: `n_ge` with >=, then `n_eq` with ==."""

    column: int
    first: int  # bit
    n_ge: int
    n_eq: int
    specials: tuple[float, ...]  # only where >= is asked

    @property
    def last(self) -> int:
        """Its last bit."""
        return self.first + self.n_ge + self.n_eq - 1


def encode(plan: Plan, value: int, op: Encode) -> Part:
    """Return the part of one encoder."""
    encoders = [other for _, other in plan.all(Encode)]
    scale = scale_for(plan.options.input, encoders)
    runs = runs_of(op, scale)
    numbers = [row for other in encoders for row in map(_numbers, runs_of(other, scale))]
    run_type = uint_type(*zip(*numbers, strict=True))
    tables = [_run_table(plan, value, runs, run_type), _cut_table(plan, value, op, runs, scale)]
    call = f"name_encode(row, name_runs_{value}, {len(runs)}, name_cuts_{value}, {plan.places[value]});"
    return Part(call, "\n\n".join(tables), _functions(plan, scale, run_type))


def row_type(plan: Plan) -> str:
    """Return the C type of a number of the raw row."""
    return {"float": "float", "int16": "int16_t", "int32": "int32_t"}[plan.options.input]


def runs_of(op: Encode, scale: Scale) -> list[Run]:
    """Return the questions of an encoder, column by column."""
    runs: list[Run] = []
    for bit, (column, kind) in enumerate(zip(op.column.tolist(), op.kind.tolist(), strict=True)):
        is_ge = kind == GE
        before = runs[-1] if runs else None
        if before and before.column == column and not (is_ge and before.n_eq):
            first, n_ge, n_eq = before.first, before.n_ge + is_ge, before.n_eq + (not is_ge)
            runs.pop()
        else:
            first, n_ge, n_eq = bit, int(is_ge), int(not is_ge)
        specials = scale.specials(op, column) if n_ge else ()
        runs.append(Run(column, first, n_ge, n_eq, specials))
    return runs


def _numbers(run: Run) -> tuple[int, int, int, int]:
    return run.column, len(run.specials), run.n_ge, run.n_eq


def _functions(plan: Plan, scale: Scale, run_type: str) -> tuple[str, ...]:
    is_ct = plan.options.constant_time
    if is_ct and scale.key == "key_whole.c":
        raise ExportError(
            "constant_time with whole numbers needs cut-points that they can be compared with "
            f"directly, but one is beyond the range of {plan.options.input}; use input='float'"
        )
    words: dict[str, Word] = {
        "ROW_T": row_type(plan), "RUN_T": run_type, "AT_RUN": read_of(run_type),
        "MISSING": scale.missing, "KEY": scale.key_call.format,
        "CUT_KEY": scale.cut_key.format, "CUT_T": scale.cut_type,
        "AT_CUT": read_of(scale.cut_type),
    }  # fmt: skip
    key_file = scale.key.replace(".c", "_ct.c") if is_ct and scale.key else scale.key
    key = (
        [template(key_file, {"ROW_T": row_type(plan), "MISSING": scale.lowest})] if key_file else []
    )
    helpers = [template("compare_ct.c")] if is_ct else []
    ending = "_ct.c" if is_ct else ".c"
    has_specials = any(len(op.special_value) for _, op in plan.all(Encode))
    specials = template(f"specials{ending}", words) if has_specials else ""
    words |= {"REGULAR": "regular" if specials else "x", "TAKE_SPECIALS": specials}
    text = template(f"encode{ending}", words).replace("        \n", "")
    return (template("apart.c"), *key, *helpers, text)


def _run_table(plan: Plan, value: int, runs: Sequence[Run], run_type: str) -> str:
    names = _column_names(plan, [run.column for run in runs])
    head = f"static const FLASH {run_type} name_runs_{value}[{len(runs)}][4] = {{"
    lines = [f"{head} /* (runs, 4): column, special codes, >=, == */"]
    for run, name in zip(runs, names, strict=True):
        numbers = ", ".join(f"{n:3}" for n in _numbers(run))
        more = f" to {run.last}" if run.last > run.first else ""
        lines.append(f"    {{{numbers}}}, /* {name}: bits {run.first}{more} */")
    return "\n".join([*lines, "};"])


def _column_names(plan: Plan, columns: Sequence[int]) -> list[str]:
    found = places(plan.program.columns, columns)
    named = [(plan.program.columns[j], i) for j, i in found]
    return [comment(c.name + (f"[{i}]" if c.kind == "array" else ""), 60) for c, i in named]


def _cut_table(plan: Plan, value: int, op: Encode, runs: Sequence[Run], scale: Scale) -> str:
    n = sum(len(run.specials) + run.n_ge + run.n_eq for run in runs)
    head = f"static const FLASH {scale.cut_type} name_cuts_{value}[{n}] = {{ /* {scale.title} */"
    is_listed = len(op.column) <= LISTED
    names = bit_names(plan.program.columns, op) if is_listed else ()
    lines = [line for run in runs for line in _cut_lines(run, op, scale, names)]
    return "\n".join([head, *lines, "};"])


def _cut_lines(run: Run, op: Encode, scale: Scale, names: Sequence[str]) -> Iterator[str]:
    bits = range(run.first, run.last + 1)
    cuts = [scale.cut(int(op.kind[i]), float(op.value[i])) for i in bits]
    codes = [scale.cut(EQ, code) for code in run.specials]
    if not names:
        yield wrapped(literals([*codes, *cuts], scale.cut_type))
        return
    words = literals([*codes, *cuts], scale.cut_type)
    texts = [f"special code {code:.9g}" for code in run.specials]
    texts += [f"bit {i}: {comment(names[i], 70)}" for i in bits]
    for word, text in zip(words, texts, strict=True):
        yield f"    {word + ',':12} /* {text} */"
