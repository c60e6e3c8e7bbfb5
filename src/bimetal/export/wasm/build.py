"""The two WebAssembly builds of a net: for any machine, and for those with 128-bit vectors.

Both are clang's work on the exported C header. Neither imports anything.
"""

import tempfile
from pathlib import Path

from bimetal.export.c.options import COptions, KernelName
from bimetal.export.clang import CLANG, FLAGS, found, lay_out, llvm, stack_bytes
from bimetal.export.target import Job
from bimetal.export.tools import call, require

__all__ = ["LINKER", "plain_wasm", "simd_wasm"]

LINKER = llvm("wasm-ld")
# Loops that stay rolled are a quarter of the size, and as fast once a browser has compiled them.
TARGET = (
    "--target=wasm32-unknown-unknown",
    "-nostdlib",
    "-DINNER_NO_SELFTEST",
    "-fno-unroll-loops",
)
LINKED = ("-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--gc-sections", "-Wl,--stack-first")
SCALAR = ("-fno-vectorize", "-fno-slp-vectorize")
"""Vectors only where the kernel has them: what clang makes of the other loops is slower."""


def plain_wasm(job: Job) -> bytes:
    """Return the module for any machine that knows WebAssembly."""
    return _built(job, "row")


def simd_wasm(job: Job) -> bytes:
    """Return the module for machines with 128-bit vectors."""
    return _built(job, "simd128", "-msimd128", "-mbulk-memory", *SCALAR)


def _built(job: Job, kernel: KernelName, *flags: str) -> bytes:
    require((CLANG, LINKER), "exporting WebAssembly")
    stack = -(-stack_bytes(job) // 16) * 16
    with tempfile.TemporaryDirectory(prefix="bimetal-") as name:
        folder = Path(name)
        lay_out(job, COptions("wasm32", kernel, golden=0), folder, __package__, "model.c")
        words = [*TARGET, *FLAGS, *flags, *LINKED, f"-Wl,-z,stack-size={stack}"]
        beside = f"-B{Path(str(LINKER.find())).parent}"  # where clang looks for its linker
        sources = ("model.c", "freestanding.c", "-o", "model.wasm")
        call([found(CLANG, "exporting WebAssembly"), beside, *words, *sources], folder)
        return (folder / "model.wasm").read_bytes()
