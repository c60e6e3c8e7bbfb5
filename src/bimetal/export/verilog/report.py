"""Area and speed of a module, as open tools estimate them: yosys maps it, nextpnr places and routes it.

All figures are estimates of these tools and none was measured on a chip. Paths are timed between the
registers of the module and one row of registers before and behind it; pads are not in them.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bimetal.errors import DataError
from bimetal.export.target import Job
from bimetal.export.tools import Tool, call, require
from bimetal.export.verilog import bench
from bimetal.export.verilog.layers import design
from bimetal.export.verilog.text import module_text

__all__ = ["FAMILIES", "Area", "Family", "synthesize", "tools_of"]

Family = Literal["ecp5", "ice40", "xilinx"]
FAMILIES: tuple[Family, ...] = get_args(Family)


@dataclass(frozen=True)
class Area:
    """What a module takes, estimated by the tools named.

    Attributes
    ----------
    family : str
        The chips it was mapped to.
    luts : int
        Look-up tables, those in adders included: of four inputs on ECP5 and iCE40, of six on Xilinx.
    ffs : int
        Flip-flops.
    cells : mapping
        How many of each part of the chip.
    cycles : int
        Clock cycles from a registered row to a registered answer; 1 for a combinational module.
    fmax_mhz : float or None
        The fastest clock after placing and routing; None where the family is only mapped.
    latency_ns : float or None
        `cycles` at that clock: encoder, net, points and class.
    tools : tuple of str
        Names and versions.
    """

    family: str
    luts: int
    ffs: int
    cells: Mapping[str, int]
    cycles: int
    fmax_mhz: float | None
    latency_ns: float | None
    tools: tuple[str, ...]

    def __str__(self) -> str:
        speed = "not placed"
        if self.fmax_mhz is not None:
            speed = f"{self.fmax_mhz:.0f} MHz, {self.cycles} cycles, {self.latency_ns:.1f} ns"
        return f"{self.family}: {self.luts:,} LUTs, {self.ffs:,} FFs, {speed} (estimated by {', '.join(self.tools)})"


@dataclass(frozen=True)
class _Chip:
    """How one family is mapped and placed, and what its parts count as."""

    synth: str
    luts: Mapping[str, int]
    ffs: tuple[str, ...]
    place: str = ""
    device: tuple[str, ...] = ()


_CHIPS: Mapping[str, _Chip] = {
    "ecp5": _Chip(
        "synth_ecp5",
        {"LUT4": 1, "CCU2C": 2},
        ("TRELLIS_FF",),
        "nextpnr-ecp5",
        ("--25k", "--package", "CABGA381", "--speed", "8", "--lpf-allow-unconstrained"),
    ),
    "ice40": _Chip(
        "synth_ice40",
        {"SB_LUT4": 1},
        ("SB_DFF",),
        "nextpnr-ice40",
        ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
    ),
    "xilinx": _Chip("synth_xilinx -family xcup -noiopad -noclkbuf", {"LUT": 1}, ("FD",)),
}


def _either(name: str, install: str) -> Tool:
    """Return a tool that is a command, or its build for WebAssembly that pip installs."""

    def look() -> str | None:
        here = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return shutil.which(name) or shutil.which(f"yowasp-{name}", path=here)

    return Tool(name, f"{install}, or: pip install yowasp-{name}", look)


def tools_of(family: Family) -> tuple[Tool, ...]:
    """Return what a report on a family needs."""
    yosys = _either("yosys", "apt-get install yosys")
    chip = _CHIPS[family]
    if not chip.place:
        return (yosys,)
    return (yosys, _either(chip.place, f"apt-get install {chip.place} (where Debian has it)"))


def synthesize(
    job: Job,
    family: Family = "ecp5",
    *,
    target_mhz: float = 300,
    seed: int = 1,
    timeout: float = 3600,
) -> Area:
    """Map, place and route a module; seconds for a small net, minutes for a large one.

    Parameters
    ----------
    job : Job
        As the `verilog` target takes it.
    family : {"ecp5", "ice40", "xilinx"}
        ECP5-25K of speed grade 8; iCE40 HX8K; Xilinx UltraScale+, which is only mapped.
    target_mhz : float
        The clock that the placer aims at.
    seed : int
        Of the placer.
    timeout : float
        Seconds that each tool may take.

    Raises
    ------
    MissingToolError
        When yosys or nextpnr is not here.
    ExportError
        When a tool fails: the net is too large for the chip, for example.
    """
    if family not in FAMILIES:
        raise DataError(f"family must be one of {', '.join(FAMILIES)}, got {family!r:.80}")
    tools, chip = tools_of(family), _CHIPS[family]
    require(tools, f"an area report for {family}")
    paths = [str(tool.find()) for tool in tools]
    made = design(job)
    with tempfile.TemporaryDirectory(prefix="bimetal-") as folder:
        at = Path(folder)
        _write(job, chip, at)
        call([paths[0], "-q", "-s", "map.ys"], at, timeout=timeout)
        cells = _cells((at / "area.json").read_text(encoding="utf-8"))
        fmax = None
        if chip.place:
            words = [*chip.device, "--freq", str(target_mhz), "--seed", str(seed)]
            words += ["--timing-allow-fail", "-q", "--json", "pins.json", "--report", "report.json"]
            call([paths[1], *words], at, timeout=timeout)
            fmax = _fmax((at / "report.json").read_text(encoding="utf-8"))
        versions = tuple(_version(path, at) for path in paths)
    cycles = max(1, made.latency)
    return Area(
        family,
        sum(n * _weight(kind, chip.luts) for kind, n in cells.items()),
        sum(n for kind, n in cells.items() if kind.startswith(chip.ffs)),
        cells,
        cycles,
        fmax,
        None if fmax is None else 1000 * cycles / fmax,
        versions,
    )


def _write(job: Job, chip: _Chip, folder: Path) -> None:
    made = design(job)
    words = {
        "NAME": job.name,
        "N_ROW_BITS": str(made.bits * job.program.n_columns),
        "N_ANSWER_BITS": str(bench.answer_bits(made)),
        "// INSTANCE": bench.instance(job, made),
    }
    (folder / "net.v").write_text(module_text(job, made), encoding="ascii")
    (folder / "pins.v").write_text(bench.template("pins.v", words), encoding="ascii")
    (folder / "map.ys").write_text(_script(job.name, chip), encoding="ascii")


def _script(name: str, chip: _Chip) -> str:
    """Map the module and count its cells; then map the pins around it, which changes none of them."""
    lines = [bench.script(name, "net.v", chip.synth), "tee -q -o area.json stat -json\n"]
    if chip.place:
        lines.append(f"read_verilog pins.v\n{chip.synth} -top {name}_pins -json pins.json\n")
    return "".join(lines)


def _weight(kind: str, luts: Mapping[str, int]) -> int:
    """Return the look-up tables in one cell; "LUT" stands for LUT1 to LUT6."""
    is_numbered = kind.startswith("LUT") and kind[3:].isdecimal()
    return luts.get(kind, luts.get("LUT", 0) if is_numbered else 0)


def _cells(text: str) -> dict[str, int]:
    found: Mapping[str, int] = json.loads(text)["design"]["num_cells_by_type"]
    return dict(found)


def _fmax(text: str) -> float:
    clocks: Mapping[str, Mapping[str, Any]] = json.loads(text)["fmax"]
    return min(float(clock["achieved"]) for clock in clocks.values())


def _version(path: str, folder: Path) -> str:
    """Return a tool's name and version, which nextpnr prints where others print errors."""
    flag = "-V" if "yosys" in path else "--version"
    said = call(["sh", "-c", '"$0" "$1" 2>&1', path, flag], folder).decode(errors="replace")
    lines = [line for line in said.splitlines() if any(c.isdigit() for c in line)]
    return lines[0].strip().replace('"', "")[:80] if lines else Path(path).name
