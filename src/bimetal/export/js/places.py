"""Where a JavaScript face is run on this machine: Node, and a page of a headless Chromium.

The page holds the code, the rows and a strict policy of its own.
"""

import base64
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.form import link_of
from bimetal.export.js.browser import CHROMIUM, page_text, said_by
from bimetal.export.js.face import template
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import call, command

__all__ = ["NODE", "NO_WASM", "PLACES", "code_of", "in_chromium", "in_node"]

NODE = command("node", "apt-get install nodejs")
NO_WASM = "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'"
"""A page's policy under which WebAssembly does not compile."""
ONE_MODEL = "const modelsOf = async (face) => [face];\n"


def code_of(files: Files) -> tuple[str, bytes]:
    """Return the JavaScript among the files: what is appended to the stem, and its text."""
    return next((end, files[end]) for end in files if end.endswith((".mjs", ".js")))


def in_node(
    job: Job, files: Files, folder: Path, rows: NDArray[np.float32], models: str
) -> Outcome:
    """Run rows in Node; `models` is the JavaScript that makes a list of models of the face."""
    for end, content in files.items():
        (folder / f"{job.stem}{end}").write_bytes(content)
    script = models + template("run_rows.js") + template("run_node.mjs")
    (folder / "run_node.mjs").write_text(script, encoding="utf-8")
    (folder / "rows.f32").write_bytes(rows.astype("<f4").tobytes())
    call([str(NODE.find()), "run_node.mjs", f"{job.stem}{code_of(files)[0]}", job.name], folder)
    return _outcome(job, json.loads((folder / "out.json").read_bytes()), len(rows))


def in_chromium(
    job: Job, files: Files, folder: Path, rows: NDArray[np.float32], models: str, policy: str
) -> Outcome:
    """Run rows in a page of Chromium that has this policy."""
    end, code = code_of(files)
    face = f"globalThis.{job.name}" if end == ".js" else "face"
    harness = f"""
{template("run_rows.js")}{models}
const models = await modelsOf({face}, (path) => FILES.get(path));
const rows = new Float32Array(Uint8Array.from(atob(ROWS), (c) => c.charCodeAt(0)).buffer);
say(JSON.stringify(models.map((model) => outcomeOf(model, rows))));
"""
    carried = _carried(files, rows)
    if end == ".js":
        scripts = [("", code.decode()), ("module", carried + harness)]
    else:
        exported = code.decode().replace("export default", "const face =")
        scripts = [("module", exported + carried + harness)]
    said = said_by(page_text(scripts, policy), folder)
    if not said.startswith("["):
        raise ExportError(f"Chromium gave no rows: {said[:2000]}")
    return _outcome(job, json.loads(said), len(rows))


def _carried(files: Files, rows: NDArray[np.float32]) -> str:
    """Return the rows and the files that are no code as constants of a page."""
    others = {end: content for end, content in files.items() if end.endswith(".wasm")}
    entries = ", ".join(
        f'["{end}", Uint8Array.from(atob("{base64.b64encode(content).decode()}"), (c) => c.charCodeAt(0))]'
        for end, content in others.items()
    )
    text = base64.b64encode(rows.astype("<f4").tobytes()).decode()
    return f'\nconst FILES = new Map([{entries}]);\nconst ROWS = "{text}";\n'


def _outcome(job: Job, came: list[dict[str, object]], n_rows: int) -> Outcome:
    """Return the first model's outcome, once all models are seen to agree."""
    first, *others = came
    if any(other != first for other in others):
        raise ExportError(f"the builds of '{job.name}' do not give the same answers; report it")
    if first["wrong"] or first["id"] != job.program.id:
        raise ExportError(
            f"'{job.name}' says that it is {first['id']} with {first['wrong']} wrong golden rows, "
            f"expected {job.program.id} with none"
        )
    points = np.frombuffer(base64.b64decode(str(first["points"])), "<i4")
    answers = np.frombuffer(base64.b64decode(str(first["answers"])), "<f4")
    return Outcome(
        points.reshape(n_rows, len(link_of(job.program).scale)).astype(np.int32),
        answers.reshape(n_rows, job.program.n_outputs).astype(np.float32),
    )


def _node(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    return in_node(job, files, folder, rows, ONE_MODEL)


def _chromium(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    return in_chromium(job, files, folder, rows, ONE_MODEL, NO_WASM)


PLACES = (
    Place("node", "Node", (NODE,), _node),
    Place(
        "chromium", "headless Chromium, a page that allows no WebAssembly", (CHROMIUM,), _chromium
    ),
)
"""The places of the target ``js``."""
