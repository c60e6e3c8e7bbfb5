"""The files of the target ``wasm``: two modules, and the JavaScript that loads one of them."""

from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from bimetal.export.js.face import Form, base64_of, constants, literal, template, types
from bimetal.export.js.writer import assembled, suffixes
from bimetal.export.js.writer import check as check_js
from bimetal.export.target import Job
from bimetal.export.wasm.build import plain_wasm, simd_wasm

__all__ = ["WasmOptions", "check", "write"]

NAMES = ("id", "columns", "classes", "load")


@dataclass(frozen=True)
class WasmOptions:
    """What may be chosen.

    Attributes
    ----------
    inline : bool
        Whether the JavaScript holds both modules itself (in base64) and fetches nothing.
    form : {"module", "script"}
        An ES module (.mjs), or a classic script that makes one global object named after the
        model, which a page opened from a folder (file://) can load too; it is always inline.
    golden : int
        Rows and their answers that `load` holds the module against, 0 to 256.
    """

    inline: bool = False
    form: Form = "module"
    golden: int = 8


check = check_js


def write(job: Job) -> dict[str, bytes]:
    """Return both modules, the code that loads them, and its types."""
    plain, simd = plain_wasm(job), simd_wasm(job)
    code, declared = suffixes(job.options.form)
    body = [
        *("// ---- 1. what the net was trained on\n", constants(job)),
        *("// ---- 2. values in, answers out\n", template("face.js")),
        *("// ---- 3. the net\n", _sources(job, plain, simd), template("loader.js", __package__)),
        "const MODULE = Object.freeze({ id: ID, columns: COLUMNS, classes: CLASSES, load: loadModel });\n",
    ]
    text = assembled(job, "\n".join(body), NAMES, "MODULE")
    source = (
        "\n/** Where the net comes from; the files beside this one unless given. */\ntype Source ="
    )
    source += " WebAssembly.Module | BufferSource | URL | string;\n"
    declarations = types(job, job.options.form, is_loaded=True, before=source)
    return {".wasm": plain, "_simd.wasm": simd, code: text.encode(), declared: declarations}


def _sources(job: Job, plain: bytes, simd: bytes) -> str:
    is_script = job.options.form == "script"
    here = "undefined" if is_script else "import.meta.url"
    urls = [quote(f"./{job.stem}{end}") for end in (".wasm", "_simd.wasm")]
    found = ["null" if is_script else f"new URL({literal(url)}, {here})" for url in urls]
    is_inline = job.options.inline or is_script
    texts = [base64_of(np.frombuffer(module, np.uint8)) for module in (plain, simd)]
    return (
        f"const INLINE = {'[' + ', '.join(texts) + ']' if is_inline else 'null'};\n"
        f"const BASE_URL = {here};\n"
        f"const PLAIN_URL = {found[0]};\n"
        f"const SIMD_URL = {found[1]};\n"
    )
