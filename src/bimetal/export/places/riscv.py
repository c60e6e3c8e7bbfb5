"""RISC-V cores without an operating system, on the board that QEMU calls virt."""

from bimetal.export.places.board import Board
from bimetal.export.places.elf import Binutils
from bimetal.export.tools import command

__all__ = ["RISCV", "RISCV_PLACES"]

MIB = 1024 * 1024
GCC = Binutils("riscv64-unknown-elf", "apt-get install gcc-riscv64-unknown-elf")


def _board(core: str, bits: int, cpu: str, abi: str, march: str, library: str = "") -> Board:
    common = (f"-mabi={abi}", "-mcmodel=medany")
    return Board(
        core,
        f"{bits}-bit RISC-V ({march}), bare, QEMU",
        GCC,
        (f"-march={march}", *common),
        (
            f"-march={library or march}",
            *common,
        ),  # libgcc is there for a few sets of extensions only
        "start_riscv.c",
        command(f"qemu-system-riscv{bits}", "apt-get install qemu-system-misc"),
        ("-M", "virt", "-bios", "none", "-cpu", cpu),
        (0x80000000, 16 * MIB),
        (0x81000000, 16 * MIB),
    )


RISCV = (
    _board("rv32imc", 32, "rv32,zba=off,zbb=off,zbc=off,zbs=off", "ilp32", "rv32imc"),
    _board("rv32imc_zbb", 32, "rv32", "ilp32", "rv32imc_zbb", "rv32imc"),
    _board("rv64gc", 64, "rv64,zba=off,zbb=off,zbc=off,zbs=off", "lp64d", "rv64gc"),
)
"""The boards."""

RISCV_PLACES = tuple(board.place() for board in RISCV)
"""Their places."""
