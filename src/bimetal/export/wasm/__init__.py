"""WebAssembly: the exported C header compiled to modules without imports, behind the face of ``js``.

Four files: the module for any machine (.wasm), the one for machines with 128-bit vectors
(_simd.wasm), and an ES module with types that loads whichever runs.
"""

from bimetal.export.c import OPS
from bimetal.export.target import Target
from bimetal.export.wasm.places import PLACES
from bimetal.export.wasm.writer import WasmOptions, check, write

__all__ = ["TARGET", "WasmOptions", "write"]

TARGET = Target(
    name="wasm",
    title="WebAssembly with and without SIMD, and the typed ES module that loads it",
    suffix=".wasm",
    ops=OPS,
    options=WasmOptions,
    write=write,
    places=PLACES,
    language="js",
    check=check,
)
