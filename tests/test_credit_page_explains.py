"""What the page's JavaScript says of a row is what Python says: points, contributions, reasons, changes."""

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from credit_models import toy_model, toy_rows

from bimetal.explain.reasons import principal_reasons
from bimetal.export.js.places import NODE
from bimetal.export.tools import call
from bimetal.finance.credit.page.facts import facts_of, rows_of_bins
from bimetal.finance.credit.page.settings import PageSettings
from bimetal.finance.credit.page.writer import MODULES, page_files

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(NODE.find() is None, reason="node is not here")
GROUPED: dict[str, Any] = {
    "groups": {"money": ("income", "amount")},
    "texts": {"money": "Income insufficient for the amount"},
    "codes": {"money": "R01"},
    "one_way": {"age": "up", "utilisation": "down"},
    "immutable": ("enquiries",),
}


def said_by_the_page(model: Any, rows: Any, folder: Path) -> Any:
    """What the modules of a page say of raw rows, in Node."""
    for name, content in page_files(model, engine="js").items():
        (folder / name).write_bytes(content)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "facts.json").write_text(json.dumps(facts_of(model, PageSettings())))
    given = [[None if np.isnan(v) else v for v in row] for row in rows.tolist()]
    (folder / "rows.json").write_text(json.dumps(given))
    call([str(NODE.find()), HERE / "credit_page.mjs", folder], folder)
    return json.loads((folder / "out.json").read_text())


@pytest.fixture(scope="module", params=["plain", "grouped", "wide", "referring"])
def case(request: Any, tmp_path_factory: Any) -> tuple[Any, Any, Any]:
    """A model, rows, and what the page says of them."""
    model = {
        "plain": lambda: toy_model(0),
        "grouped": lambda: toy_model(1, **GROUPED),
        "wide": lambda: toy_model(2, n_columns=8, n_rules=200),
        "referring": lambda: toy_model(3, cutoff=54_000, refer=(53_000, 55_500), max_reasons=2),
    }[request.param]()
    rows = np.concatenate([toy_rows(model.program, 80, 5), rows_of_bins(model, 60, 6)])
    return model, rows, said_by_the_page(model, rows, tmp_path_factory.mktemp("page"))


def test_the_page_passes_its_own_proofs(case: Any) -> None:
    assert case[2]["wrong"] is None


def test_bits_points_probabilities_and_decisions_are_pythons(case: Any) -> None:
    model, rows, said = case
    packed = np.packbits(model.form.bits(rows), axis=1, bitorder="little")
    assert [row["bits"] for row in said["rows"]] == [_base64(bits) for bits in packed]
    assessed = model.assess(rows)
    assert [row["points"] for row in said["rows"]] == assessed.points.tolist()
    assert [row["scorer"] for row in said["rows"]] == assessed.points.tolist()
    assert [row["decision"] for row in said["rows"]] == assessed.decision.tolist()
    probabilities = np.array([row["answers"][1] for row in said["rows"]], np.float32)
    np.testing.assert_array_equal(probabilities, assessed.probability)


def test_contributions_are_the_same_whole_numbers(case: Any) -> None:
    model, rows, said = case
    found = model.contributions(rows)
    assert [row["numerators"] for row in said["rows"]] == found.numerators.tolist()


def test_reasons_are_pythons_in_their_order(case: Any) -> None:
    model, rows, said = case
    names = [name for name, _ in model.players]
    for row, reasons in zip(said["rows"], model.reasons(rows), strict=True):
        if row["decision"] != "approve":
            assert [names[p] for p in row["reasons"]] == [reason.group for reason in reasons]
    numerators = model.contributions(rows).numerators
    most = model.policy.max_reasons
    assert [row["reasons"] for row in said["rows"]] == [
        list(principal_reasons(n, most)) for n in numerators
    ]


def test_changes_are_pythons_in_their_order_and_their_words(case: Any) -> None:
    model, rows, said = case
    n_found = 0
    for row, told in zip(rows, said["rows"], strict=True):
        answer = model.counterfactuals(row, max_changes=2)
        assert answer.is_proved_nearest
        expected = [
            ([(c.column, c.after, _openness(c.text)) for c in found.changes], found.points)
            for found in answer.counterfactuals
        ]
        assert [_read(model, change) for change in told["changes"]] == expected
        n_found += len(expected)
    assert n_found > 50


def _read(model: Any, change: Any) -> Any:
    """A change of the page as one of Python."""
    parts = []
    for one in change["changes"]:
        column = model.form.columns[one["column"]]
        b = column.bins[one["bin"]]
        is_up = b.kind == "range" and (np.isinf(b.high) or (one["isOpen"] and one["isUp"]))
        is_down = b.kind == "range" and (np.isinf(b.low) or (one["isOpen"] and not one["isUp"]))
        parts.append((column.name, b.label, "up" if is_up else "down" if is_down else ""))
    return parts, change["points"]


def _openness(text: str) -> str:
    """Which end Python's words leave open."""
    if text.endswith(" or more"):
        return "up"
    return "down" if " to below " in text else ""


def _base64(bits: Any) -> str:
    return base64.b64encode(bits.tobytes()).decode()


def test_every_module_is_a_file_and_every_file_a_module_in_order() -> None:
    folder = files("bimetal.finance.credit.page") / "templates"
    found = {item.name for item in folder.iterdir() if item.name.endswith(".js")}
    assert found == {*MODULES, "sw.js"}
