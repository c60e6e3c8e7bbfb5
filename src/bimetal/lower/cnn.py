"""`lower_cnn`: a trained net on pictures or sequences → a Program."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from bimetal.lower.trace import Answer, Image, trace
from bimetal.program import Program

__all__ = ["lower_cnn"]


def lower_cnn(
    model: nn.Module,
    image: Image | None = None,
    answer: Answer = "logits",
    classes: Sequence[str | int | float | bool] = (),
    column: str = "image",
    provenance: Mapping[str, Any] | None = None,
) -> Program:
    """Lower a trained net on pictures or sequences.

    A net with a forward of its own, functions and sums among its steps, is first written anew by
    `bimetal.nn.as_sequence`; what it says of such a net holds here.

    The raw row of the Program is the picture, height × width × channels of numbers from 0 to 255
    (rows, then pixels, then colours), while the model reads (n_rows, channels, height, width). Of a
    sequence it is length × channels, and the model reads (n_rows, channels, length). A net whose
    first layer is a `Bytes` reads numbers of any range.

    Exact, to the last bit: everything up to a sign (it is asked of the model's own layers), scales,
    shifts, slopes and shortcuts, 8-bit layers, average pooling over a power of two pixels, and a
    `RowThreshold` behind a binary layer, with activations of ±1 or of 0 and 1. A
    batch norm that no sign follows becomes a float32 scale and offset, which rounds differently
    from torch by a few units in the last place: the Program equals ``fold_norms(model)``. An average
    over another number of pixels that no sign follows may round differently too, as may an
    `AdaptiveAvgPool2d` of floats, which adds in an order of its own (`AvgPool2d` does not). The
    answers of a last layer of `Logits`, or of a `ByteLinear`, are exact; after a `Scale`, a norm, or
    a last binary layer with a scale of its own (XNOR-Net's α, say) they differ by a rounding, since
    a Program scales its answers in float64. A
    `torch.nn.Conv2d` that reads the picture is rounded to 8 bits: the Program equals the model with
    ``ByteConv2d.from_conv(conv, (0, 0, 0), (1 / 255,) * 3)`` in its place.

    Real-valued activations become bytes where the model says so, by `Bytes`; see
    `bimetal.nn.with_byte_activations` for a net that was trained without: one whose last layer is a
    `torch.nn.Linear`, say, for which there is no operation.

    No golden rows are stored: one picture of 224 × 224 would take 600 KB of the file. To add some,
    ``dataclasses.replace(program, golden_x=rows, golden_y=reference.run(program, rows))``.

    Parameters
    ----------
    model : torch.nn.Module
        Layers named in `SUPPORTED`, in any nesting of `torch.nn.Sequential` and `Residual`, or in a
        module of your own of which `bimetal.nn.as_sequence` makes one; on the CPU, in float32. In
        any mode; it is asked in eval mode and left as it was.
    image : tuple of int, optional
        Channels, height and width of the picture, or channels and length of the sequence; by
        default ``model.image_shape``.
    answer : {"logits", "softmax"}, default "logits"
        What the Program answers.
    classes : sequence, optional
        Labels of the outputs.
    column : str, default "image"
        Name of the one column.
    provenance : mapping, optional
        What the Program shall tell of its origin.

    Raises
    ------
    ProgramError
        When a layer is not supported, reads what the one before does not make, or has no single
        threshold a channel; the layer is named. When a forward of the net's own cannot be written as
        a sequence; the step is named.

    Examples
    --------
    >>> from bimetal.nn import BinaryConv2d, BinaryLinear, BitPlanes, Logits, Sign
    >>> model = nn.Sequential(
    ...     BitPlanes(), BinaryConv2d(8, 4, 3), nn.BatchNorm2d(4), Sign(), nn.Flatten(),
    ...     BinaryLinear(4 * 6 * 6, 10), Logits(10))
    >>> program = lower_cnn(model, image=(1, 8, 8))
    >>> [type(op).__name__ for op in program.ops]
    ['Quantize', 'Planes', 'Conv', 'Conv', 'Link']
    """
    return trace(model, image, answer, classes, column, provenance).program
