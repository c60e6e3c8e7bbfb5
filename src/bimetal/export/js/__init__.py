"""JavaScript: one file without dependencies, for pages whose policy allows no WebAssembly.

JavaScript's numbers are float64 and its bit operations int32, which is all that a Program needs; one
rounding to float32 at the end is `Math.fround`. The code is the same for every Program, so it can be
reviewed once: small functions, and a list of the net's steps with their constants in base64.
"""

from bimetal.export.js.places import PLACES
from bimetal.export.js.writer import JsOptions, check, write
from bimetal.export.target import Target
from bimetal.ops import OPS

__all__ = ["TARGET", "JsOptions", "write"]

TARGET = Target(
    name="js",
    title="JavaScript module with types, no WebAssembly, no dependencies",
    suffix=".mjs",
    ops=OPS,
    options=JsOptions,
    write=write,
    places=PLACES,
    language="js",
    check=check,
)
