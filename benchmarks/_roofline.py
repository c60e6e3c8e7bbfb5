"""The roofline picture: every layer of both nets at batch 1, between compute and memory.

Work is in multiply-accumulates, traffic in bytes of weights and activations read and written once.
"""

from pathlib import Path
from typing import Any

from _ceiling import AMX, DRAM, FMA, FMA_256, L2, L3, LOGIC, LOOKUP, TRIPLE
from _names import ORT, OURS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOFS = {
    AMX: "int8 tiles (AMX)",
    LOGIC: "three-input logic (bit planes)",
    TRIPLE: "xor + popcount + add",
    LOOKUP: "xor + popcount + add, AVX2",
    FMA: "float32 FMA",
    FMA_256: "float32 FMA, AVX2",
}
SLOPES = {L2: "inner cache (L2)", L3: "outer cache (L3)", DRAM: "memory"}
BITS, FLOATS = "tab:blue", "tab:orange"


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the roofs of the ceilings and the layers of "layers"; write an SVG."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    ceilings = found["ceilings"]
    _roofs(axes, ceilings)
    for net, marker in zip(found["layers"], "os", strict=True):
        layers = [layer for layer in found["layers"][net] if layer["macs"]]
        for who, size, colour in ((OURS, 1 / 8, BITS), (ORT, 4, FLOATS)):
            axes.loglog(
                [_intensity(layer, size if i else max(size, 1)) for i, layer in enumerate(layers)],
                [layer["macs"] / layer[who] / 1e9 for layer in layers],
                marker,
                color=colour,
                markersize=5,
                alpha=0.8,
                label=f"{net}, {who}",
            )
    axes.set_xlabel("multiply-accumulates a byte of weights and activations")
    axes.set_ylabel("G multiply-accumulates a second, one core, batch 1")
    axes.set_xlim(0.1, 3e4)
    axes.set_ylim(1, 1e4)
    axes.grid(which="major", alpha=0.2)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def _intensity(layer: dict[str, Any], size: float) -> float:
    """Multiply-accumulates a byte, where weights and values have `size` bytes each."""
    return float(layer["macs"] / (layer["weights"] + layer["values"]) / size)


def _roofs(axes: Axes, ceilings: dict[str, list[float]]) -> None:
    top = max((ceilings[name][0] for name in ROOFS if name in ceilings), default=1e12)
    for name, label in ROOFS.items():
        if name in ceilings:
            height = ceilings[name][0] / 1e9
            axes.axhline(height, color="grey", linewidth=0.8)
            side = "top" if name == AMX else "bottom"
            axes.text(0.11, height, label, fontsize=7, va=side, color="dimgrey")
    for name, label in SLOPES.items():
        if name in ceilings:
            bandwidth = ceilings[name][0]
            axes.plot(
                [0.1, top / bandwidth],
                [0.1 * bandwidth / 1e9, top / 1e9],
                color="grey",
                linewidth=0.8,
                linestyle="--",
            )
            x = 1.5
            axes.text(x, x * bandwidth / 1e9, label, fontsize=7, rotation=37, color="dimgrey")
