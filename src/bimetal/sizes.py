"""What a net takes in training and what it takes as a file, layer by layer, to the last byte.

`bimetal.nn.summary` counts what torch holds; the bytes here are those of the file that `bimetal.save`
writes of the lowered net: they add up to its length, or a test fails. (The oldest complaint about
libraries of binary nets is a file of floats where a file of bits was promised.)
"""

from dataclasses import dataclass

from torch import nn

from bimetal.amounts import amount, size
from bimetal.format import dumps
from bimetal.lower import trace
from bimetal.nn import summary

__all__ = ["PackedLayer", "PackedSummary", "packed_summary"]


@dataclass(frozen=True)
class PackedLayer:
    """One layer, in torch and in the file.

    Attributes
    ----------
    name, kind : str
        Its name in the net, and of its class; the reading of the input has neither. A function in a
        forward of the net's own is called after the module around it, and of the kind "function".
    ops : tuple of str
        The operations that it became; none where it became a part of another layer's.
    n_bit_macs, n_other_macs : int
        Multiply-accumulates for one row in torch: of ±1 by ±1, and the other ones.
    latent_bytes : int
        Of its parameters in training.
    file_bytes : int
        Of its arrays in the file.
    """

    name: str
    kind: str
    ops: tuple[str, ...]
    n_bit_macs: int
    n_other_macs: int
    latent_bytes: int
    file_bytes: int


@dataclass(frozen=True)
class PackedSummary:
    """What a net takes; as a string it is a table.

    Attributes
    ----------
    layers : tuple of PackedLayer
        In the order of their names in the net, functions last; what has neither weights nor
        operations is left out.
    header_bytes : int
        The rest of the file: its description, and padding.
    float_bytes : int
        Of as many float32 parameters: the float twin.
    """

    layers: tuple[PackedLayer, ...]
    header_bytes: int
    float_bytes: int

    @property
    def file_bytes(self) -> int:
        """The length of the file."""
        return self.header_bytes + sum(layer.file_bytes for layer in self.layers)

    @property
    def ratio(self) -> float:
        """How many times smaller the whole file is than the float twin's parameters alone."""
        return self.float_bytes / self.file_bytes

    def __str__(self) -> str:
        head = ["layer", "kind", "became", "1-bit MACs", "other MACs", "in training", "in the file"]
        rows = [head, *map(_cells, self.layers)]
        rows.append(["description", "", "", "", "", "", amount(self.header_bytes)])
        latent = sum(layer.latent_bytes for layer in self.layers)
        rows.append(["total", "", "", "", "", amount(latent), amount(self.file_bytes)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                f"{cell:{'<' if i < 3 else '>'}{width}}"
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        end = f"{size(self.file_bytes)} as a file, {size(self.float_bytes)} as float32"
        return "\n".join([*lines, "", f"{end}: {self.ratio:.1f} × smaller"])


def _cells(layer: PackedLayer) -> list[str]:
    numbers = (layer.n_bit_macs, layer.n_other_macs, layer.latent_bytes, layer.file_bytes)
    return [
        layer.name or "(input)",
        layer.kind,
        " ".join(layer.ops),
        *(amount(n) if n else "" for n in numbers),
    ]


def packed_summary(model: nn.Module, image: tuple[int, ...] | None = None) -> PackedSummary:
    """Return what a net takes in training and as a file.

    Parameters
    ----------
    model : torch.nn.Module
        A net that `bimetal.lower_cnn` can lower.
    image : tuple of int, optional
        Shape of one input; by default ``model.image_shape``.

    Raises
    ------
    ProgramError
        When the net cannot be lowered; `bimetal.nn.summary` has no need of that.

    Examples
    --------
    >>> from bimetal import zoo
    >>> found = packed_summary(zoo.finn_mlp(64, seed=0))
    >>> found.file_bytes == len(dumps(trace(zoo.finn_mlp(64, seed=0)).program))
    True
    """
    lowered = trace(model, image)  # type: ignore[arg-type]
    costs = lowered.costs()
    in_torch = {
        layer.name: layer
        for layer in summary(model, image or model.image_shape).layers  # type: ignore[arg-type]
    }
    layers = []
    modules = dict(model.named_modules())
    functions = dict.fromkeys(name for name in lowered.layers if name not in modules)
    for name in ("", *(name for name in modules if name), *functions):
        rows, ours = costs.get(name, ()), in_torch.get(name)
        if not rows and ours is None:
            continue
        layers.append(
            PackedLayer(
                name,
                (type(modules[name]).__name__ if name in modules else "function") if name else "",
                tuple(row.op for row in rows),
                ours.n_bit_macs if ours else 0,
                ours.n_byte_macs + ours.n_real_macs if ours else 0,
                ours.latent_bytes if ours else 0,
                sum(row.bytes for row in rows),
            )
        )
    n_file = len(dumps(lowered.program))
    n_parameters = sum(p.numel() for p in model.parameters())
    return PackedSummary(
        tuple(layers), n_file - sum(layer.file_bytes for layer in layers), 4 * n_parameters
    )
