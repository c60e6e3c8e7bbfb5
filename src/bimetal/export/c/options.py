"""What can be chosen about a C header."""

from dataclasses import dataclass
from typing import Literal

from bimetal.errors import ExportError

__all__ = ["COptions", "CoreName", "KernelName"]

CoreName = Literal[
    "generic", "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55",
    "rv32imc", "rv32imc_zbb", "rv64gc", "aarch64", "x86-64", "s390x", "armhf", "avr", "8051", "wasm32",
]  # fmt: skip
KernelName = Literal["auto", "row", "swar", "sliced", "neon", "simd128"]
MAX_GOLDEN = 256


@dataclass(frozen=True)
class COptions:
    """The options of the target ``c``.

    Attributes
    ----------
    core : str
        The chip that it is for: it picks the kernel and sets the limits of flash and RAM.
    kernel : str
        How a dense layer counts; "auto" is the best for the core.
    constant_time : bool
        Whether `NAME_points` takes the same steps for every row.
    input : {"float", "int16", "int32"}
        What a raw row is made of. Of whole numbers the most negative one means missing.
    golden : int
        Vectors in the self-test, 0 to 256.
    """

    core: CoreName = "generic"
    kernel: KernelName = "auto"
    constant_time: bool = False
    input: Literal["float", "int16", "int32"] = "float"
    golden: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.golden <= MAX_GOLDEN:
            raise ExportError(
                f"golden must be 0 to {MAX_GOLDEN} vectors in the self-test, got {self.golden}"
            )
