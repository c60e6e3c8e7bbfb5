"""A shared library with a plain C interface, for any language and any system.

Python, Rust, Java, C#, Swift and Go all load such a file and call it; the exported C header is
compiled once, with nothing around it that a system would have to provide.
"""

from bimetal.export.c import OPS
from bimetal.export.library.places import PLACES
from bimetal.export.library.writer import LibraryOptions, check, write
from bimetal.export.target import Target

__all__ = ["TARGET", "LibraryOptions", "write"]

TARGET = Target(
    name="library",
    title="shared library (.so, .dylib, .dll) with a C interface and its header",
    suffix=".so",
    ops=OPS,
    options=LibraryOptions,
    write=write,
    places=PLACES,
    language="c",
    check=check,
)
