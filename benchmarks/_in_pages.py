"""JavaScript and WebAssembly in Node, beside the same C compiled for this machine: time and bytes."""

import json
import shutil
import tempfile
from pathlib import Path

from _frame import Row
from _small import mlp

from bimetal.export import TARGETS, job_for
from bimetal.export.clang import CLANG, llvm
from bimetal.export.js.places import NODE
from bimetal.export.rows import rows_for
from bimetal.export.tools import call, node_module
from bimetal.program import Program

WIDTHS = (256, 512, 512, 3)
HERE = Path(__file__).parent
N_ROWS = 1000
GOAL_OVER_NATIVE, GOAL_OVER_WEB = 1.1, 200
NEEDED = "ort-wasm-simd-threaded.wasm"
"""What its build for processors, ort.wasm.min.mjs, loads; its others are larger."""
WEB = node_module("onnxruntime-web", "npm install onnxruntime-web")


def pages(quick: bool) -> list[Row]:
    """Time one row of the 256-512-512-3 net, encoder and readout included, and weigh the files."""
    tools = (NODE, CLANG, llvm("wasm-ld"))
    missing = [tool.install for tool in tools if tool.find() is None]
    if missing:
        print(f"pages: skipped, {missing[0]}")
        return []
    program, turns = mlp(WIDTHS), 60 if quick else 1500
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows.f32").write_bytes(rows_for(program, N_ROWS).tobytes())
        sizes = _written(program, folder)
        shutil.copy(HERE / "_in_pages.mjs", folder)
        node = [str(NODE.find()), "_in_pages.mjs", str(N_ROWS), str(turns)]
        least = json.loads(call(node, folder))
        native = {kernel: _native(program, kernel, turns, folder) for kernel in ("auto", "row")}
    return [*_times(least, native), *_bytes(sizes, program)]


def _written(program: Program, folder: Path) -> dict[str, int]:
    sizes = {}
    for name in ("js", "wasm"):
        target = TARGETS[name]
        for end, content in target.write(job_for(program, target, "net", name, {})).items():
            (folder / f"{name}{end}").write_bytes(content)
            sizes[name + end] = len(content)
    return sizes


def _native(program: Program, kernel: str, turns: int, folder: Path) -> float:
    """Return nanoseconds a row of the header: "auto" is portable C, "row" may count by popcnt."""
    core = "generic" if kernel == "auto" else "x86-64"
    target = TARGETS["c"]
    job = job_for(program, target, "net", "net", {"kernel": kernel, "core": core})
    (folder / "net.h").write_bytes(target.write(job)[".h"])
    shutil.copy(HERE / "_in_native.c", folder)
    call([str(CLANG.find()), "-O3", "-D_DEFAULT_SOURCE", "_in_native.c", "-o", "run"], folder)
    return float(call(["./run", str(N_ROWS), str(turns)], folder))


def _times(least: dict[str, float], native: dict[str, float]) -> list[Row]:
    portable, popcnt = native["auto"], native["row"]
    best = min(least["wasm.wasm"], least["wasm_simd.wasm"])
    return [
        Row("native, portable C, clang -O3", portable, "ns/row", "lower"),
        Row("native, popcnt allowed", popcnt, "ns/row", "lower"),
        *(Row(f"Node, {name}", ns, "ns/row", "lower") for name, ns in least.items()),
        Row("WebAssembly over portable C", best / portable, "times", "lower", GOAL_OVER_NATIVE),
        Row("WebAssembly over C with popcnt", best / popcnt, "times", "lower"),
    ]


def _bytes(sizes: dict[str, int], program: Program) -> list[Row]:
    packed = sum(op.weights.nbytes for op in program.ops if hasattr(op, "weights"))
    goal = 1.1 * packed + 3072
    rows = [Row("packed weights", packed, "bytes", "lower")]
    for name, n in sizes.items():
        rows.append(Row(name, n, "bytes", "lower", goal if name.endswith(".wasm") else None))
    return rows + _over_web(sizes["wasm.wasm"])


def _over_web(ours: int) -> list[Row]:
    where = WEB.find()
    if where is None:
        print("onnxruntime-web is not compared: npm install onnxruntime-web")
        return []
    theirs = (Path(where) / "dist" / NEEDED).stat().st_size
    return [
        Row(
            "onnxruntime-web's module over ours, bytes",
            theirs / ours,
            "times",
            goal=GOAL_OVER_WEB,
        )
    ]
