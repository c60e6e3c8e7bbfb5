"""What a built file says of itself: where its functions lie, how large its parts are."""

from dataclasses import dataclass
from pathlib import Path

from bimetal.export.places.build import found
from bimetal.export.tools import Tool, call, command

__all__ = ["Binutils", "Symbol", "sizes", "symbols"]

FLASH, RAM = (".text", ".rodata", ".data"), (".data", ".bss")


@dataclass(frozen=True)
class Symbol:
    """Where something of a built file lies."""

    address: int
    size: int
    kind: str  # FUNC or OBJECT
    section: str


@dataclass(frozen=True)
class Binutils:
    """The compiler of a chip and the tools that come with it, by what their names begin with."""

    prefix: str
    install: str

    def tool(self, name: str) -> Tool:
        """Return one of them: "gcc", "nm", "size", "objcopy"."""
        return command(f"{self.prefix}-{name}", self.install)


def symbols(binutils: Binutils, binary: Path) -> dict[str, Symbol]:
    """Return the symbols of a built file that have a size, by name."""
    words = [found(binutils.tool("nm")), "--defined-only", "--format=sysv", str(binary)]
    found_there = {}
    for line in call(words, binary.parent).decode().splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 7 and parts[4]:
            address, size = int(parts[1], 16), int(parts[4], 16)
            found_there[parts[0]] = Symbol(address, size, parts[3], parts[6])
    return found_there


def sizes(binutils: Binutils, binary: Path) -> tuple[int, int, int]:
    """Return bytes of code, of named constants, and of variables of a built file."""
    said = call([found(binutils.tool("size")), "-A", binary], binary.parent).decode().splitlines()
    parts = [line.split() for line in said]
    section = {p[0]: int(p[1]) for p in parts if len(p) == 3 and p[0].startswith(".")}
    flash = sum(size for name, size in section.items() if name.startswith(FLASH))
    ram = sum(size for name, size in section.items() if name.startswith(RAM))
    has = symbols(binutils, binary).values()
    tables = sum(s.size for s in has if s.kind == "OBJECT" and s.section.startswith(FLASH))
    return flash - tables, tables, ram
