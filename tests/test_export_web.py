"""JavaScript and WebAssembly: named values, hostile names, pages and their policies, types, sizes."""

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_programs import (
    HOSTILE,
    HOSTILE_VALUES,
    asked_in_every_way,
    bits_as_points,
    layered,
    link,
    wide_net,
)
from golden.map import map_program
from golden.tiny import tiny_program
from hypothesis import HealthCheck, Phase, given, settings
from strategies import programs, random_encode, random_readout
from strategies_maps import map_programs

from bimetal import reference
from bimetal.columns import Column, to_rows
from bimetal.errors import ExportError, MissingToolError
from bimetal.export import TARGETS, Target, export, job_for
from bimetal.export.js import TARGET as JS
from bimetal.export.js.browser import CHROMIUM, page_text, said_at, said_by, serving
from bimetal.export.js.face import base64_of, literal
from bimetal.export.js.places import NO_WASM, NODE
from bimetal.export.rows import rows_for
from bimetal.export.tools import Tool, call, command, node_module
from bimetal.export.verify import hold
from bimetal.export.wasm import TARGET as WASM
from bimetal.export.wasm.build import CLANG, LINKER
from bimetal.export.wasm.places import WITH_WASM
from bimetal.ops import MAX_BITS, RowThreshold
from bimetal.program import Program, Readout

BOTH = pytest.mark.parametrize("target", [JS, WASM], ids=["js", "wasm"])
FEW = settings(
    max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
NAMES = (*HOSTILE, "__proto__", "constructor", "toString", "housing", "code", "mixed", "unknown")
LABELS = ("</script><script>say('broken')</script>", '"; alert(1); "', "__proto__", "a\nb\u2028\\")


def need(*tools: Tool) -> None:
    for tool in tools:
        if tool.find() is None:
            pytest.skip(f"needs {tool.name}: {tool.install}")


def need_for(target: Target, *tools: Tool) -> None:
    need(*tools, *((CLANG, LINKER) if target is WASM else ()))


def columns() -> tuple[Column, ...]:
    categories = {
        "housing": ("own", "rent", *HOSTILE_VALUES, "__proto__"),
        "code": (1, 2, -7, 2**60 + 1),
        "mixed": ("1", 1, "two"),
        "unknown": (),
    }
    return tuple(
        Column(n, "category", categories[n]) if n in categories else Column(n) for n in NAMES
    )


@functools.cache
def hostile() -> Program:
    return layered(columns(), classes=LABELS)


BUILT: dict[tuple[object, ...], dict[str, bytes]] = {}


def put(target: Target, program: Program, folder: Path, **options: Any) -> dict[str, bytes]:
    """Write the files of a target into a folder, as ``net…``; each is built once."""
    key = target.name, program.id, *sorted(options.items())
    if key not in BUILT:
        BUILT[key] = target.write(job_for(program, target, "net", "net", options))
    files = BUILT[key]
    for end, content in files.items():
        (folder / f"net{end}").write_bytes(content)
    return files


def ask(folder: Path, body: str, data: object = None) -> Any:
    """Run JavaScript that has `model`, `face` and `data`, and return what it returns."""
    (folder / "data.json").write_text(json.dumps(data))
    (folder / "ask.mjs").write_text(
        f"""import {{ readFileSync }} from "node:fs";
import * as face from "./net.mjs";
const model = face.load ? await face.load() : face;
const data = JSON.parse(readFileSync("data.json", "utf8"));
const said = async () => {{ {body} }};
process.stdout.write(JSON.stringify(await said(), (_, x) => typeof x === "bigint" ? `${{x}}n` : x));
"""
    )
    return json.loads(call([str(NODE.find()), "ask.mjs"], folder) or b"null")


def assert_exact(
    target: Target, place: str, program: Program, n: int = 300, **options: Any
) -> None:
    found = next(p for p in target.places if p.name == place)
    need(*found.tools)
    job = job_for(program, target, "net", "net", {**found.options, **options})
    held = hold(target, found, job, n, seed=5)
    assert held.is_exact, held


# ---- the same bits ----


@FEW
@given(program=programs(largest=260))
def test_random_tables_give_the_same_bits_in_javascript(program: Program) -> None:
    assert_exact(JS, "node", program)


@BOTH
@FEW
@given(program=map_programs())
def test_random_maps_give_the_same_bits(target: Target, program: Program) -> None:
    assert_exact(target, "node", program, 40)


@pytest.mark.parametrize("widths", [(70, 33, 64), (257, 96, 31), (4000, 160, 65)])
def test_both_webassembly_builds_give_the_same_bits_for_awkward_widths(
    widths: Sequence[int],
) -> None:
    """4,000 bits of input are 125 words: more than a byte can count before it must widen."""
    assert_exact(WASM, "node", wide_net(widths, 7))


@pytest.mark.parametrize(
    ("target", "form"), [(JS, "script"), (WASM, "module")], ids=["js-script", "wasm-module"]
)
def test_hostile_names_and_labels_change_no_bit(target: Target, form: str) -> None:
    assert_exact(target, "node", hostile(), 2000, form=form)


@pytest.mark.parametrize(
    ("target", "form"), [(JS, "module"), (WASM, "script")], ids=["js-module", "wasm-script"]
)
def test_thousands_of_rows_are_exact_in_a_page_that_holds_hostile_names(
    target: Target, form: str
) -> None:
    assert_exact(target, "chromium", hostile(), 3000, form=form)


@pytest.mark.parametrize(("n", "top", "bottom"), [(1, 1, 1), (3, 0, 9), (7, 255, 254), (64, 5, 9)])
def test_a_row_threshold_is_exact_where_float64_is_not(n: int, top: int, bottom: int) -> None:
    rng = np.random.default_rng(n)
    first = random_encode(rng, 5, 40)
    sums = random_readout(rng, (1,), 40, n, np.int32)
    last = Readout((3,), rng.integers(-9, 9, (1, n)).astype(np.int8), np.zeros(1, np.int32))
    ops = (first, sums, RowThreshold(2, n, top, bottom), last, link(4, "identity", [1.0], [0.0]))
    program = Program(tuple(Column(f"x{i}") for i in range(5)), ops)
    assert_exact(JS, "node", program, 500)
    assert_exact(WASM, "node", program, 500)


# ---- named values ----


def named(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    """Return rows of named values as JSON can say them."""
    choices: dict[str, Sequence[Any]] = {c.name: [None, 0.1, 1, 2.0, -3, True] for c in columns()}
    choices["housing"] = [None, "boat", "own", "rent", *HOSTILE_VALUES, "__proto__", "toString"]
    choices["code"] = [None, 1, 2, -7, 5, 1.5, True]
    choices["mixed"] = [None, "1", 1, "two", 2, "x"]
    choices["unknown"] = [None, "x", 3]
    return [
        {name: values[int(rng.integers(len(values)))] for name, values in choices.items()}
        for _ in range(n)
    ]


@BOTH
def test_named_values_make_the_rows_that_python_makes(target: Target, tmp_path: Path) -> None:
    need_for(target, NODE)
    put(target, hostile(), tmp_path)
    given_rows = named(np.random.default_rng(0), 60)
    table = np.array([list(row.values()) for row in given_rows], dtype=object)
    expected = to_rows(table, columns())
    rows = ask(tmp_path, "return data.map((values) => [...model.row(values)])", given_rows)
    came = np.array([[np.nan if x is None else x for x in row] for row in rows], np.float32)
    np.testing.assert_array_equal(came, expected)


@BOTH
def test_a_prediction_names_the_class_and_shows_points_and_answers(
    target: Target, tmp_path: Path
) -> None:
    need_for(target, NODE)
    put(target, hostile(), tmp_path)
    rows = named(np.random.default_rng(1), 20)
    came = ask(
        tmp_path,
        """return data.map((values) => {
          const { answers, points, index, class: label } = model.predict(values);
          return { answers: [...answers], points: [...points], index, label };
        })""",
        rows,
    )
    x = to_rows(np.array([list(row.values()) for row in rows], dtype=object), columns())
    values = reference.trace(hostile(), x)
    assert [p["points"] for p in came] == values[-2].tolist()
    assert np.array([p["answers"] for p in came], np.float32).tobytes() == values[-1].tobytes()
    assert [p["index"] for p in came] == values[-1].argmax(axis=1).tolist()
    assert [p["label"] for p in came] == [LABELS[i] for i in values[-1].argmax(axis=1)]


def test_columns_classes_and_id_are_those_of_the_program(tmp_path: Path) -> None:
    need(NODE)
    put(JS, hostile(), tmp_path)
    id_, names, categories, classes = ask(
        tmp_path,
        "return [model.id, model.columns.map(c => c.name), model.columns.map(c => c.categories), model.classes]",
    )
    assert (id_, names, classes) == (hostile().id, list(NAMES), list(LABELS))
    said = [[f"{c}n" if c == 2**60 + 1 else c for c in column.categories] for column in columns()]
    assert categories == said


def test_what_is_not_named_is_missing_and_a_map_names_too(tmp_path: Path) -> None:
    need(NODE)
    put(JS, tiny_program(), tmp_path)
    rows = ask(
        tmp_path,
        """const given = [{}, { age: undefined, income: NaN, housing: null }, new Map([["age", 3n], ["housing", "rent"]]),
             { age: 0.1, income: false, housing: "boat" }];
           return given.map((values) => [...model.row(values)]);""",
    )
    short = float(np.float32(0.1))
    assert rows == [[None] * 3, [None] * 3, [3, None, 1], [short, 0, -1]]


def test_an_array_column_takes_as_many_numbers(tmp_path: Path) -> None:
    need(NODE)
    program = map_program()
    name, size = program.columns[0].name, program.columns[0].size
    put(JS, program, tmp_path)
    said = ask(
        tmp_path,
        f"""const said = (pixels) => {{ try {{ return model.row({{ {literal(name)}: pixels }}).length }} catch (e) {{ return e.message }} }};
            return [said(new Array({size}).fill(1.5)), said(null), said([1, 2]), said(3)];""",
    )
    assert said[:2] == [size, size]
    assert (
        f"takes {size} numbers, got 2" in said[2] and f"takes {size} numbers, got number" in said[3]
    )


def test_a_regressor_gives_answers_and_no_class(tmp_path: Path) -> None:
    need(NODE)
    program = bits_as_points((Column("x"),), asked_in_every_way(1))
    put(JS, program, tmp_path)
    assert ask(tmp_path, "return Object.keys(model.predict({ x: 2 }))") == ["answers", "points"]


WRONG = [
    ("model.predict({ agee: 3 })", 'no column "agee"; the columns are "age", "income", "housing"'),
    ("model.predict({ toString: 3 })", 'no column "toString"'),
    ("model.predict(JSON.parse('{\"__proto__\": 3}'))", 'no column "__proto__"'),
    ("model.predict([1, 2, 3])", "an object of named values expected"),
    ("model.predict(new Float32Array(3))", "an object of named values expected"),
    ("model.predict(null)", "an object of named values expected"),
    ("model.predict('age')", "an object of named values expected"),
    ("model.predict({ age: '42' })", 'column "age" takes a number, got string "42"; convert it'),
    ("model.predict({ age: {} })", 'column "age" takes a number, got object'),
    ("model.predict({ age: 1e39 })", 'column "age": 1e+39 is too large for float32'),
    (
        "model.predict({ age: -Infinity })",
        'column "age" is infinite; give a finite number, or null',
    ),
    ("model.predict({ housing: 1 })", 'has categories such as "own", got number 1; convert it'),
    ("model.predict({ housing: ['own'] })", 'column "housing" takes a category, got object'),
    ("model.points([1, 2])", "a raw row of 3 numbers expected, got 2"),
    ("model.answers({ age: 3 })", "named values go to predict()"),
    ("model.answers([1, 'x', 3])", "number 1 of a raw row takes a number, got string"),
    ("model.answersMany(new Float32Array(4))", "rows of 3 numbers expected, got 4 numbers"),
    ("model.answersMany(new Float32Array(6), 3)", "got 6 numbers and n = 3"),
    ("model.pointsMany([1, 2, 3])", "a Float32Array of n rows of 3 numbers expected"),
]


@BOTH
def test_what_does_not_fit_is_refused_with_what_was_expected_and_what_came(
    target: Target, tmp_path: Path
) -> None:
    need_for(target, NODE)
    put(target, tiny_program(), tmp_path)
    tried = ", ".join(f"() => {code}" for code, _ in WRONG)
    said = ask(
        tmp_path,
        f"return [{tried}].map((f) => {{ try {{ return f() }} catch (e) {{ return e.message }} }})",
    )
    for (code, expected), message in zip(WRONG, said, strict=True):
        assert expected in str(message), code


# ---- pages ----


def test_nothing_in_the_code_ends_a_script_of_a_page() -> None:
    for form in ("module", "script"):
        code, _ = JS.write(job_for(hostile(), JS, "net", "net", {"form": form})).values()
        text = code.decode().lower()
        assert text.isascii()
        assert (
            "</" not in text
            and "<!" not in text
            and "]]>" not in text.replace('"\\u003c!-- ]]>', "")
        )


def test_a_page_whose_policy_forbids_webassembly_runs_the_javascript(tmp_path: Path) -> None:
    need(CHROMIUM)
    code = put(JS, hostile(), tmp_path, form="script")[".js"].decode()
    script = """
      const refused = await WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)).then(() => false, () => true);
      const names = net.columns.map((column) => column.name);
      say(JSON.stringify([refused, net.selfTest(), names, net.classes]));
    """
    said = said_by(page_text([("", code), ("module", script)], NO_WASM), tmp_path)
    assert json.loads(said) == [True, 0, list(NAMES), list(LABELS)]


@BOTH
def test_a_served_page_imports_the_module_and_a_worker_runs_it(
    target: Target, tmp_path: Path
) -> None:
    need_for(target, CHROMIUM)
    put(target, tiny_program(), tmp_path)
    script = """
      import face, { id } from "./net.mjs";
      const model = face.load ? await face.load() : face;
      const worker = new Worker("./net.mjs", { type: "module" });
      const ask = (message) => new Promise((keep) => {
        worker.onmessage = ({ data }) => keep(data);
        worker.postMessage(message);
      });
      const rows = Float32Array.of(42, 2500, 0, NaN, -9, 1);
      const many = await ask({ id: 7, rows });
      const one = await ask({ id: 8, values: { age: 42, income: 2500, housing: "own" } });
      const bad = await ask({ id: 9, values: { agee: 1 } });
      worker.terminate();
      say(JSON.stringify([id, [...model.points(rows.subarray(0, 3))], many.id, [...many.points], one.result.class, bad.error]));
    """
    policy = "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'"
    said = json.loads(said_by(page_text([("module", script)], policy), tmp_path))
    program = tiny_program()
    label = program.classes[0]
    assert said[:5] == [program.id, [-126], 7, [-126, 164], label]
    assert 'no column "agee"' in said[5]


def test_a_page_in_a_folder_loads_the_inline_webassembly(tmp_path: Path) -> None:
    """Files beside a page of file:// cannot be imported or fetched; a classic script can be loaded."""
    need_for(WASM, CHROMIUM)
    put(WASM, tiny_program(), tmp_path, form="script")
    script = "say(String((await net.load()).selfTest()))"
    with serving(tmp_path) as (address, said):
        policy = WITH_WASM.replace("script-src", "script-src file:").replace("'self'", address)
        page = page_text([("module", script)], policy).replace('"/said"', f'"{address}/said"')
        page = page.replace("</title>", '</title><script src="net.js"></script>')
        (tmp_path / "page.html").write_text(page)
        assert said_at((tmp_path / "page.html").as_uri(), tmp_path, said) == "0"


# ---- WebAssembly ----


def test_a_module_imports_nothing_and_exports_what_the_loader_uses(tmp_path: Path) -> None:
    need_for(WASM, NODE)
    put(WASM, hostile(), tmp_path)
    said = ask(
        tmp_path,
        """const modules = [".wasm", "_simd.wasm"].map((end) => new WebAssembly.Module(readFileSync("net" + end)));
           return modules.map((m) => [WebAssembly.Module.imports(m), WebAssembly.Module.exports(m).map((e) => e.name).sort()])""",
    )
    assert said == [[[], ["answers", "heap", "id", "memory", "points"]]] * 2


def test_the_plain_module_needs_nothing_beyond_the_first_webassembly(tmp_path: Path) -> None:
    validate = command("wasm-validate", "apt-get install wabt")
    need_for(WASM, validate)
    put(WASM, wide_net((64, 64), 5), tmp_path)
    off = [
        f"--disable-{feature}"
        for feature in (
            "simd", "bulk-memory", "reference-types", "sign-extension", "saturating-float-to-int",
            "multi-value", "mutable-globals",
        )
    ]  # fmt: skip
    call([str(validate.find()), *off, "net.wasm"], tmp_path)
    with pytest.raises(ExportError, match="ended with"):
        call([str(validate.find()), "--disable-simd", "net_simd.wasm"], tmp_path)


def test_a_module_of_another_program_is_refused(tmp_path: Path) -> None:
    need_for(WASM, NODE)
    put(WASM, tiny_program(), tmp_path)
    other = WASM.write(job_for(hostile(), WASM, "net", "net", {}))
    (tmp_path / "other.wasm").write_bytes(other[".wasm"])
    tried = ("readFileSync('other.wasm')", "'nowhere.wasm'", "3", "new Uint8Array(8)")
    said = ask(
        tmp_path,
        f"""const said = [];
            for (const source of [{", ".join(tried)}]) said.push(await face.load(source).then(() => "", (e) => e.message));
            return said;""",
    )
    assert said[0].startswith("this WebAssembly is Program ") and tiny_program().id in said[0]
    assert "nowhere.wasm" in said[1]
    assert "load() takes a WebAssembly.Module, its bytes, an address or nothing, got 3" in said[2]
    assert "WebAssembly" in said[3]


def test_one_wrong_bit_is_counted_and_stops_a_load(tmp_path: Path) -> None:
    need_for(WASM, NODE)
    answers = reference.run(hostile(), rows_for(hostile(), 8))
    wrong = answers.copy()
    wrong.view(np.uint32)[3, 0] ^= 1
    for target in (JS, WASM):
        code = put(target, hostile(), tmp_path)[".mjs"].decode()
        assert code.count(base64_of(answers)) == 1
        (tmp_path / "net.mjs").write_text(code.replace(base64_of(answers), base64_of(wrong)))
        if target is JS:
            assert ask(tmp_path, "return model.selfTest()") == 1
    with pytest.raises(ExportError, match="1 golden rows give wrong answers on this machine"):
        ask(tmp_path, "return 0")


def test_a_module_without_golden_rows_has_nothing_wrong(tmp_path: Path) -> None:
    need(NODE)
    put(JS, tiny_program(), tmp_path, golden=0)
    assert ask(tmp_path, "return model.selfTest()") == 0


def test_many_rows_go_through_a_memory_that_holds_some(tmp_path: Path) -> None:
    need_for(WASM, NODE)
    program = wide_net((64, 32), 600)
    put(WASM, program, tmp_path)
    rows = rows_for(program, 300, 2)
    (tmp_path / "rows.f32").write_bytes(rows.tobytes())
    came = ask(
        tmp_path,
        """const rows = new Float32Array(new Uint8Array(readFileSync("rows.f32")).buffer);
           return [[...model.answersMany(rows)], model.answersMany(new Float32Array(0)).length]""",
    )
    expected = reference.run(program, rows)
    assert np.array(came[0], np.float32).tobytes() == expected.tobytes() and came[1] == 0


def test_the_widest_layers_fit_the_stack_of_both_builds() -> None:
    assert_exact(WASM, "node", wide_net((MAX_BITS, 32), 3), 8)


# ---- files ----


def test_sizes_stay_close_to_the_packed_weights() -> None:
    need_for(WASM)
    program = wide_net((256, 512, 512), 20)
    packed = sum(op.weights.nbytes for op in program.ops if hasattr(op, "weights"))
    wasm = WASM.write(job_for(program, WASM, "net", "net", {}))
    assert len(wasm[".wasm"]) <= 1.1 * packed + 3072
    assert len(wasm["_simd.wasm"]) <= 1.1 * packed + 3072
    js = JS.write(job_for(program, JS, "net", "net", {}))
    assert len(js[".mjs"]) <= 4 / 3 * program.cost().bytes + 20_000


@BOTH
def test_an_export_is_the_same_bytes_every_time(target: Target) -> None:
    need_for(target)
    job = job_for(tiny_program(), target, "net", "net", {})
    assert target.write(job) == target.write(job)


@BOTH
def test_the_files_are_named_by_their_form(target: Target, tmp_path: Path) -> None:
    need_for(target)
    path = tmp_path / f"my net #1{target.suffix}"
    written = (
        export(tiny_program(), path, target=target.name, name="credit")
        if target.name in TARGETS
        else None
    )
    ends = list(target.write(job_for(tiny_program(), target, "net", "net", {})))
    modules = [] if target is JS else [".wasm", "_simd.wasm"]
    assert ends == [*modules, ".mjs", ".d.mts"]
    if written:
        assert [p.name for p in written] == [f"my net #1{end}" for end in ends]
    scripts = list(target.write(job_for(tiny_program(), target, "net", "net", {"form": "script"})))
    assert scripts == [*modules, ".js", ".d.ts"]


def test_the_default_address_of_a_module_survives_an_odd_file_name(tmp_path: Path) -> None:
    need_for(WASM, NODE)
    files = WASM.write(job_for(tiny_program(), WASM, "net", "my net #1?", {}))
    for end, content in files.items():
        (tmp_path / f"my net #1?{end}").write_bytes(content)
    (tmp_path / "run.mjs").write_text(
        'import { load } from "./my%20net%20%231%3F.mjs"; process.stdout.write(String((await load()).selfTest()));'
    )
    assert call([str(NODE.find()), "run.mjs"], tmp_path) == b"0"


def test_a_name_of_every_page_is_refused_for_a_script() -> None:
    with pytest.raises(
        ExportError, match=r"'location' is a global of every page.*name='my_location'"
    ):
        job_for(tiny_program(), JS, "location", "net", {"form": "script"})
    job_for(tiny_program(), JS, "location", "net", {})
    with pytest.raises(ExportError, match="the language keeps that word"):
        job_for(tiny_program(), JS, "function", "net", {})


@BOTH
@pytest.mark.parametrize("golden", [-1, 257])
def test_golden_rows_beyond_what_there_may_be_are_refused(target: Target, golden: int) -> None:
    with pytest.raises(ExportError, match=f"golden must be 0 to 256 rows, got {golden}"):
        job_for(tiny_program(), target, "net", "net", {"golden": golden})


def test_a_missing_compiler_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Tool("clang", "apt-get install clang", lambda: None)
    monkeypatch.setattr("bimetal.export.wasm.build.CLANG", absent)
    with pytest.raises(MissingToolError, match="apt-get install clang"):
        WASM.write(job_for(tiny_program(), WASM, "net", "net", {}))


TYPED = """
import model, { predict, classes, row, type Values, type Prediction } from "./net.mjs";
const values: Values = { housing: "own", code: 2, mixed: "1", "x0": null };
const found: Prediction = predict(values);
const label: "good" | "</script>" = found.class;
const made: Float32Array = row(values);
const wrong: number = model.selfTest() + classes.length;
// @ts-expect-error there is no such column
predict({ agee: 3 });
// @ts-expect-error text is no number
predict({ x0: "3" });
export { label, made, wrong };
"""
LOADED = """
import { load } from "./net.mjs";
const model = await load(new URL("http://localhost/net.wasm"));
export const answers: Float32Array = model.answersMany(new Float32Array(3), 1);
"""


@BOTH
def test_the_types_are_those_that_typescript_checks(target: Target, tmp_path: Path) -> None:
    typescript = node_module("typescript", "npm install typescript")
    need_for(target, NODE, typescript)
    put(target, layered(columns(), classes=("good", "</script>")), tmp_path)
    (tmp_path / "use.mts").write_text(TYPED if target is JS else LOADED)
    checker = Path(str(typescript.find())) / "bin" / "tsc"
    flags = [
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2023,dom",
    ]
    call([str(NODE.find()), checker, *flags, "use.mts"], tmp_path)


def test_a_literal_is_the_value_again() -> None:
    for value in ("</script>", "\u2028", 'a"b\\', 1, -(2**63), 0.1, True, "\U0001f4b6"):
        said = literal(value)
        assert said.isascii() and "<" not in said
        back = int(said[:-1]) if re.fullmatch(r"-?\d+n", said) else json.loads(said)
        assert back == value and type(back) is type(value)
