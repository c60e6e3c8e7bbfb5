"""Cortex-M cores on boards that QEMU emulates, from the micro:bit up to a Cortex-M55 with Helium."""

from bimetal.export.places.board import Board
from bimetal.export.places.elf import Binutils
from bimetal.export.tools import command

__all__ = ["CORTEX_M", "CORTEX_M_PLACES"]

KIB, MIB = 1024, 1024 * 1024
GCC = Binutils("arm-none-eabi", "apt-get install gcc-arm-none-eabi")
QEMU = command("qemu-system-arm", "apt-get install qemu-system-arm")


def _board(
    core: str,
    machine: str,
    flash: tuple[int, int],
    ram: tuple[int, int],
    *flags: str,
) -> Board:
    chip = (f"-mcpu={core}", "-mthumb", *flags)
    return Board(
        core,
        f"{core.title()} ({machine}), bare, QEMU",
        GCC,
        chip,
        chip,
        "start_cortex_m.c",
        QEMU,
        ("-M", machine),
        flash,
        ram,
    )


_MPS2 = (0, 4 * MIB), (0x20000000, 4 * MIB)
CORTEX_M = (
    _board("cortex-m0", "microbit", (0, 256 * KIB), (0x20000000, 16 * KIB)),
    _board("cortex-m3", "mps2-an385", *_MPS2),
    _board("cortex-m4", "mps2-an386", *_MPS2, "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    _board("cortex-m7", "mps2-an500", *_MPS2, "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
    _board("cortex-m33", "mps2-an505", (0x10000000, 4 * MIB), (0x38000000, 4 * MIB)),
    _board("cortex-m55", "mps3-an547", (0, 512 * KIB), (0x20000000, 512 * KIB), "-mfloat-abi=hard"),
)
"""The boards, by rising core."""

CORTEX_M_PLACES = tuple(board.place() for board in CORTEX_M)
"""Their places."""
