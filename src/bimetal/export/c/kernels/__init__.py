"""The kernels of a dense layer in C, and which one a core likes best."""

from collections.abc import Mapping

from bimetal.export.c.kernels.base import Emitted, Kernel
from bimetal.export.c.kernels.neon import Neon
from bimetal.export.c.kernels.row import Row
from bimetal.export.c.kernels.simd128 import Simd128
from bimetal.export.c.kernels.sliced import Sliced
from bimetal.export.c.kernels.swar import Swar

__all__ = ["BEST", "KERNELS", "Emitted", "Kernel", "choose"]

KERNELS: Mapping[str, Kernel] = {
    "row": Row(),
    "swar": Swar(),
    "sliced": Sliced(),
    "neon": Neon(),
    "simd128": Simd128(),
}
"""Every kernel by its name."""


BEST: Mapping[str, str] = {
    "rv32imc_zbb": "row",
    "aarch64": "neon",
    "x86-64": "row",
    "s390x": "row",
    "wasm32": "row",
}
"""The kernel of a core that counts bits by an instruction; all others take "sliced"."""


def choose(core: str, constant_time: bool) -> str:
    """Return the name of the kernel that takes the fewest instructions on a core.

    No kernel branches on data, so the constant-time form is the same.

    Examples
    --------
    >>> choose("cortex-m0", constant_time=False), choose("aarch64", constant_time=True)
    ('sliced', 'neon')
    """
    return BEST.get(core, "sliced")
