"""The chips that a C header can be written for: what they hold, and where they keep constants.

The numbers are those of a common board of each kind; a header for a larger chip of the same core is
written with ``core="generic"``, which has no limits. `memory` says how constants are read: most
chips see flash and RAM in one space, an AVR needs instructions of its own for flash, and an 8051
has pointers of another kind.
"""

from dataclasses import dataclass
from typing import Literal

from bimetal.errors import ExportError

__all__ = ["CORES", "Core", "core_named"]

KIB = 1024


@dataclass(frozen=True)
class Core:
    """A kind of chip.

    Attributes
    ----------
    name, title : str
        Its name as an option, and one line for people.
    flash, ram : int or None
        Bytes for code and constants, and for everything that changes; None is no limit.
    memory : {"flat", "avr", "8051"}
        How constants are declared and read.
    has_popcount : bool
        Whether ``__builtin_popcount`` is one instruction or a few.
    has_double : bool
        Whether its C has a float64, in hardware or in software.
    """

    name: str
    title: str
    flash: int | None = None
    ram: int | None = None
    memory: Literal["flat", "avr", "8051"] = "flat"
    has_popcount: bool = False
    has_double: bool = True


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        Core("generic", "any C99 compiler"),
        Core("cortex-m0", "Cortex-M0 as on the micro:bit", 256 * KIB, 16 * KIB),
        Core("cortex-m3", "Cortex-M3", 512 * KIB, 64 * KIB),
        Core("cortex-m4", "Cortex-M4", 1024 * KIB, 192 * KIB),
        Core("cortex-m7", "Cortex-M7", 2048 * KIB, 512 * KIB),
        Core("cortex-m33", "Cortex-M33", 1024 * KIB, 256 * KIB),
        Core("cortex-m55", "Cortex-M55 with Helium", 2048 * KIB, 1024 * KIB),
        Core("rv32imc", "32-bit RISC-V", 4096 * KIB, 320 * KIB),
        Core("rv32imc_zbb", "32-bit RISC-V with Zbb", 4096 * KIB, 320 * KIB, has_popcount=True),
        Core("rv64gc", "64-bit RISC-V"),
        Core("aarch64", "64-bit Arm with NEON", has_popcount=True),
        Core("x86-64", "64-bit x86", has_popcount=True),
        Core("s390x", "IBM Z, big-endian", has_popcount=True),
        Core("armhf", "32-bit Arm with Linux"),
        Core("avr", "AVR as the ATmega328P", 32 * KIB, 2 * KIB, "avr", has_double=False),
        Core("8051", "8051 with 64 KiB of code", 64 * KIB, 2 * KIB, "8051", has_double=False),
        Core("wasm32", "WebAssembly", has_popcount=True),
    )
}
"""Every core by its name."""


def core_named(name: str) -> Core:
    """Return a core by its name.

    Raises
    ------
    ExportError
        When there is none of that name.

    Examples
    --------
    >>> core_named("cortex-m0").ram
    16384
    """
    if name not in CORES:
        raise ExportError(f"no core '{name}'; there are {', '.join(CORES)}")
    return CORES[name]
