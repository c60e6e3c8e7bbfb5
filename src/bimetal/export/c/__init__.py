"""The target ``c``: one C99 header that is meant to be read, for anything from an 8051 to a server.

`header` writes it. The chips are in `cores`, what can be chosen in `options`, the ways to count in
`kernels`, and the C itself in templates that a compiler can check.
"""

from bimetal.export.c.options import COptions
from bimetal.export.c.text import table_bytes
from bimetal.export.c.writer import OPS, header, write
from bimetal.export.places import C_PLACES
from bimetal.export.target import Target

__all__ = ["OPS", "TARGET", "COptions", "header", "table_bytes", "write"]

TARGET = Target(
    name="c",
    title="one C99 header, meant to be read: no libc, no malloc, the same bits everywhere",
    suffix=".h",
    ops=OPS,
    options=COptions,
    write=write,
    places=C_PLACES,
    language="c",
)
