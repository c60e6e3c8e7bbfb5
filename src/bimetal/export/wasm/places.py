"""Where the WebAssembly modules are run: Node and headless Chromium, both builds side by side."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.export.clang import CLANG
from bimetal.export.js.browser import CHROMIUM
from bimetal.export.js.places import NODE, code_of, in_chromium, in_node
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.wasm.build import LINKER

__all__ = ["PLACES"]

WITH_WASM = "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; connect-src 'self'"
"""A page's policy under which WebAssembly compiles, and eval does not run."""
BUILDS = (CLANG, LINKER)


def _models(job: Job, files: Files, read: str) -> str:
    """Return the JavaScript that makes a model of each build, and asks that none imports anything."""
    has_files = code_of(files)[0] == ".mjs"
    ends = [".wasm", "_simd.wasm"] if has_files else []
    sources = ", ".join(f'read("{read}{end}")' for end in ends) or "undefined"
    return f"""
async function modelsOf(face, read) {{
  const models = [];
  for (const source of [{sources}]) {{
    const module = source && (await WebAssembly.compile(source));
    if (module && WebAssembly.Module.imports(module).length > 0) throw new Error("the module has imports");
    models.push(await face.load(module));
  }}
  return models;
}}
"""


def _node(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    return in_node(job, files, folder, rows, _models(job, files, job.stem))


def _chromium(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    return in_chromium(job, files, folder, rows, _models(job, files, ""), WITH_WASM)


PLACES = (
    Place("node", "Node, both builds", (NODE, *BUILDS), _node),
    Place("chromium", "headless Chromium, both builds", (CHROMIUM, *BUILDS), _chromium),
)
"""The places of the target ``wasm``."""
