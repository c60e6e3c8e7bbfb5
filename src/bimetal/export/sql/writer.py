"""One SELECT that scores a table: a chain of steps, each of which reads the one before.

Every value of the Program is a few columns of one step and is carried along as long as a later
operation reads it. The planner must not paste the text of a step into the next (a neuron would be
written out once for every neuron that reads it), so each ends in its dialect's fence; no step is
stored, rows flow through all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bimetal.errors import ExportError
from bimetal.export.form import link_of, live, reads
from bimetal.export.names import comment
from bimetal.export.sql import layers
from bimetal.export.sql.columns import number_of, regular_numbers, tests_of
from bimetal.export.sql.dialect import Dialect, total
from bimetal.export.sql.link import Step, answer_steps
from bimetal.ops import Dense, Encode, Lut, Op, Readout, RowThreshold, Rules
from bimetal.program import Program

__all__ = ["Query", "chain", "fresh"]

ROW_KEY = "row_key"


@dataclass
class Query:
    """A statement that grows step by step."""

    dialect: Dialect
    source: str
    taken: str
    keyed: bool
    steps: list[str] = field(default_factory=list)

    def add(self, title: str, items: Step) -> None:
        """Add a step: names and expressions over the names of the step before."""
        if len(items) > self.dialect.most_columns:
            raise ExportError(
                f"the layer '{title}' needs {len(items):,} columns at once and {self.dialect.name} "
                f"takes {self.dialect.most_columns:,}; use a narrower net or another dialect"
            )
        key = [(ROW_KEY, ROW_KEY)] if self.keyed and self.steps else []
        shown = ",\n    ".join(
            name if name == text else f"{text} AS {name}" for name, text in [*key, *items]
        )
        name = fresh(f"step_{len(self.steps)}", self.taken)
        self.steps.append(
            f"-- {title}\n{name} AS NOT MATERIALIZED (\n  SELECT\n    {shown or '1 AS nothing'}\n"
            f"  FROM {self.source}{self.dialect.fence}\n)"
        )
        self.source = name

    def text(self, last: Step) -> str:
        """Return the statement, which ends with the names of `last`, already quoted."""
        shown = ",\n  ".join(f"{text} AS {name}" for name, text in last)
        return "WITH\n" + ",\n".join(self.steps) + f"\nSELECT\n  {shown}\nFROM {self.source};\n"


def fresh(name: str, taken: str) -> str:
    """Return `name`, with underscores behind it until it differs from the user's."""
    while name == taken.lower():
        name += "_"
    return name


def chain(query: Query, program: Program, first: Step, alias: str) -> list[str]:
    """Add all steps up to the answers; return the names of the points."""
    ops = live(program)
    encodes = [i for i in ops if isinstance(program.ops[i], Encode)]
    _read_table(query, program, encodes, first, alias)
    values = _encode(query, program, encodes)
    for i in ops[:-1]:
        if i not in encodes:
            wanted = {v for later in ops if later >= i for v in reads(program.ops[later])}
            values = {v: names for v, names in values.items() if v in wanted}
            _add_op(query, program, i, values)
    link = link_of(program)
    points = values[link.input]
    kept = [(p, p) for p in points]
    title = f"answers: {link.kind}"
    for step in answer_steps(query.dialect, link, points):
        query.add(title, [*kept, *step])
    return points


def _read_table(
    query: Query, program: Program, encodes: Sequence[int], first: Step, alias: str
) -> None:
    used = sorted({int(j) for i in encodes for j in np.unique(_encode_at(program, i).column)})
    numbers = [(f"x{j}", number_of(query.dialect, program, j, alias)) for j in used]
    query.add("the raw row: numbers, codes of categories, NULL where missing", [*first, *numbers])


def _encode_at(program: Program, i: int) -> Encode:
    op = program.ops[i]
    assert isinstance(op, Encode)
    return op


def _encode(query: Query, program: Program, encodes: Sequence[int]) -> dict[int, list[str]]:
    blanked = {i: regular_numbers(query.dialect, program, _encode_at(program, i)) for i in encodes}
    if any(blanked.values()):
        used = sorted({int(j) for i in encodes for j in np.unique(_encode_at(program, i).column)})
        items = [(f"x{j}", f"x{j}") for j in used]
        items += [(f"g{i}_{j}", text) for i in encodes for j, text in blanked[i].items()]
        query.add("numbers with their special codes taken out", items)
    items, values = [], {}
    for i in encodes:
        names = {j: f"g{i}_{j}" for j in blanked[i]}
        tests = tests_of(query.dialect, program, _encode_at(program, i), names)
        values[i + 1] = _pack(query.dialect, i + 1, tests, items)
    query.add("encode: what each bit asks", items)
    return values


def _pack(dialect: Dialect, value: int, conditions: list[str], items: Step) -> list[str]:
    """Append the columns that hold these bits to `items`; return their names."""
    width, names = dialect.width, []
    for w, start in enumerate(range(0, len(conditions), width)):
        names.append(f"v{value}_{w}")
        items.append((names[-1], dialect.pack(conditions[start : start + width])))
    return names


def _add_op(query: Query, program: Program, i: int, values: dict[int, list[str]]) -> None:
    """Add the step of an operation, and its columns to `values`."""
    op, dialect = program.ops[i], query.dialect
    kept = [(name, name) for names in values.values() for name in names]
    title = comment(f"value {i + 1}: {type(op).__name__.lower()}")
    columns = values[reads(op)[0]]
    items = list(kept)
    match op:
        case Dense():
            known = _known(query, op, columns, kept)
            tests = layers.neurons(dialect, op, columns, known)
            values[i + 1] = _pack(dialect, i + 1, tests, items)
        case Rules():
            n_in = program.values[op.input].n
            tests = layers.rules(dialect, op, columns, n_in)
            values[i + 1] = _pack(dialect, i + 1, tests, items)
        case Lut():
            tests = layers.tables(dialect, op, columns)
            values[i + 1] = _pack(dialect, i + 1, tests, items)
        case Readout():
            sizes = [program.values[v].n for v in op.inputs]
            sums = layers.points(dialect, op, [values[v] for v in op.inputs], sizes)
            values[i + 1] = [f"v{i + 1}_{c}" for c in range(len(sums))]
            items += list(zip(values[i + 1], sums, strict=True))
        case RowThreshold():
            tests = _row_threshold(query, program, op, columns, kept)
            values[i + 1] = _pack(dialect, i + 1, tests, items)
        case _:
            raise AssertionError(f"sql has no {type(op).__name__}")
    query.add(title, items)


def _known(query: Query, op: Dense, columns: list[str], kept: Step) -> list[str]:
    prepared = [query.dialect.prepared(columns, care) for care in layers.care_of(op)]
    if not any(prepared):
        return prepared
    names = [f"n{g}" for g in range(len(prepared))]
    query.add("bits that are set", [*kept, *zip(names, prepared, strict=True)])
    return names


def _row_threshold(
    query: Query, program: Program, op: RowThreshold, columns: list[str], kept: Step
) -> list[str]:
    n, most = op.channels, (2**31 - 1) // op.channels
    bound = min(most, bound_of(program.ops[op.input - 1]))
    rows = [columns[i : i + n] for i in range(0, len(columns), n)]
    clipped = [(f"c{i}", _brought_into(name, most)) for i, name in enumerate(columns)]
    names = [[f"c{r * n + c}" for c in range(n)] for r in range(len(rows))]
    query.add("points brought into their range", [*kept, *clipped])
    kept = [*kept, *((name, name) for name, _ in clipped)]
    sums = [(f"s{r}", total_of(row)) for r, row in enumerate(names)]
    squares = [(f"t{r}", total_of([f"{c} * {c}" for c in row])) for r, row in enumerate(names)]
    query.add("sums of each row, and of its squares", [*kept, *sums, *squares])
    spread = [(f"q{r}", f"{n} * t{r} - s{r} * s{r}") for r in range(len(rows))]
    stands = [(f"d{i}", f"{n} * c{i} - s{i // n}") for i in range(len(columns))]
    query.add(
        "how far each element stands out", [*(kept[: len(kept) - len(clipped)]), *spread, *stands]
    )
    dialect = query.dialect
    return [
        layers.row_fires(dialect, op, f"q{i // n}", f"d{i}", bound) for i in range(len(columns))
    ]


def bound_of(op: Op) -> int:
    """Return a magnitude that no element of an operation's ints exceeds."""
    return layers.points_bound(op) if isinstance(op, Readout) else 2**31


def total_of(terms: Sequence[str]) -> str:
    """Return the sum of terms."""
    return total(list(terms))


def _brought_into(name: str, most: int) -> str:
    return (
        f"CASE WHEN {name} > {most} THEN {most} WHEN {name} < {-most} THEN {-most} ELSE {name} END"
    )
