"""``bimetal inspect``: what is in a model file, and whether it still answers as it should."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.looks import facts, table
from bimetal.columns import places
from bimetal.errors import ProgramError
from bimetal.format import load
from bimetal.program import Encode, Program
from bimetal.runtime import Engine, isas
from bimetal.wording import bit_names

__all__ = ["inspect"]

Model = Annotated[Path, typer.Argument(help="A .bimetal file.", show_default=False)]


@answering
def inspect(model: Model, as_json: AsJson = False) -> Answer:
    """Show layers, bits, bytes, columns and provenance of a model, and run its self-test."""
    program = load(model)
    values = {
        "file": str(model),
        "file_bytes": model.stat().st_size,
        **_program_values(program),
        "self_test": _self_test(program),
    }
    is_sound = all(test["passed"] for test in values["self_test"])
    return Answer(values, _page(values), 0 if is_sound else 2)


def _program_values(program: Program) -> dict[str, Any]:
    cost = program.cost()
    rows = [vars(row) for row in cost.rows]
    return {
        "id": program.id,
        "task": "classification" if program.classes else "regression",
        "classes": list(program.classes),
        "n_outputs": program.n_outputs,
        "cost": {k: getattr(cost, k) for k in ("bits", "bytes", "bit_ops", "int_ops", "float_ops")},
        "layers": rows,
        "columns": _columns(program),
        "n_golden": len(program.golden_x),
        "provenance": dict(program.provenance),
    }


def _columns(program: Program) -> list[dict[str, Any]]:
    names: dict[int, list[str]] = {j: [] for j in range(len(program.columns))}
    for op in program.ops:
        if isinstance(op, Encode):
            columns = places(program.columns, op.column.tolist())
            for (j, _), name in zip(columns, bit_names(program.columns, op), strict=True):
                names[j].append(name)
    return [
        {
            "name": column.name,
            "kind": column.kind if column.size == 1 else f"{column.kind} of {column.size:,}",
            "n_categories": len(column.categories),
            "n_bits": len(names[j]),
            "bits": names[j],
        }
        for j, column in enumerate(program.columns)
    ]


def _self_test(program: Program) -> list[dict[str, Any]]:
    """Run the golden rows on every instruction set of this machine."""
    results = []
    for isa in isas():
        try:
            Engine(program, isa=isa).self_test()
        except ProgramError as error:
            results.append({"isa": isa, "passed": False, "message": str(error)})
        else:
            results.append({"isa": isa, "passed": True, "message": ""})
    return results


def _page(values: dict[str, Any]) -> Any:
    cost = values["cost"]
    summary = facts(
        {
            "file": f"{values['file']}, {amount(values['file_bytes'])} bytes",
            "id": values["id"],
            "answers": _answers(values),
            "binary weights": amount(cost["bits"]),
            "arrays": f"{amount(cost['bytes'])} bytes",
            "work for one row": f"{amount(cost['bit_ops'])} bit, {amount(cost['int_ops'])} integer, "
            f"{amount(cost['float_ops'])} float operations",
            "self-test": _verdict(values),
        }
    )
    return Group(summary, _layers(values["layers"]), _column_table(values), _provenance(values))


def _answers(values: dict[str, Any]) -> str:
    if not values["classes"]:
        return f"{values['n_outputs']} number(s)"
    return "probabilities of " + ", ".join(map(str, values["classes"]))


def _verdict(values: dict[str, Any]) -> str:
    failed = [test["message"] for test in values["self_test"] if not test["passed"]]
    if failed:
        return "FAILED: " + "; ".join(failed)
    if not values["n_golden"]:
        return "none: the Program carries no golden rows"
    passed = ", ".join(test["isa"] for test in values["self_test"])
    return f"{values['n_golden']} golden rows, equal bit for bit on {passed}"


def _layers(layers: list[dict[str, Any]]) -> Table:
    shown = table("layer", *(f">{name.replace('_', ' ')}" for name in list(layers[0])[1:]))
    for layer in layers:
        shown.add_row(layer["op"], *(amount(n) for n in list(layer.values())[1:]))
    return shown


def _column_table(values: dict[str, Any]) -> Table:
    shown = table("column", "kind", ">bits", "what they ask")
    for column in values["columns"]:
        bits = column["bits"]
        some = ", ".join(bits[:3]) + (", …" if len(bits) > 3 else "")
        shown.add_row(escape(column["name"]), column["kind"], str(len(bits)), escape(some))
    return shown


def _provenance(values: dict[str, Any]) -> Any:
    flat = {k: v for k, v in values["provenance"].items() if np.isscalar(v)}
    return facts({f"made: {k}" if k == "created" else k: v for k, v in flat.items()})
