"""`lower_encoded`: a trained net on the bits of an encoded table → a Program of columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bimetal.columns import Column
from bimetal.lower.state import At, Writer
from bimetal.lower.trace import Answer, write_answer
from bimetal.lower.walk import steps_of, walk
from bimetal.nn.modes import in_eval_mode
from bimetal.program import Encode, Program

__all__ = ["lower_encoded"]


@torch.no_grad()
def lower_encoded(
    model: nn.Module,
    columns: Sequence[Column],
    encode: Encode,
    answer: Answer = "softmax",
    classes: Sequence[str | int | float | bool] = (),
    provenance: Mapping[str, Any] | None = None,
    *,
    lowest: float = 0.0,
) -> Program:
    """Lower a trained net that reads the bits of a table.

    Parameters
    ----------
    model : torch.nn.Module
        Dense layers named in `SUPPORTED`, in a `torch.nn.Sequential`: reads (n_rows, n_bits), ends
        with whole sums, scaled at most. In any mode; it is asked in eval mode and left as it was.
    columns : sequence of Column
        Of the raw row.
    encode : Encode
        Raw row → bits.
    answer : {"logits", "softmax"}, default "softmax"
        What the Program answers.
    classes : sequence, optional
        Labels of the outputs.
    provenance : mapping, optional
        What the Program shall tell of its origin.
    lowest : {0.0, -1.0}, default 0.0
        What a bit that is off is to the model; one that is on is 1.

    Raises
    ------
    ProgramError
        When a layer is not supported or reads what the one before does not make; the layer is named.

    Examples
    --------
    >>> import numpy as np
    >>> from bimetal.nn import BinaryLinear, Logits, RowThreshold
    >>> bits = Encode(np.zeros(3, "u2"), np.zeros(3, "u1"), np.array([1, 2, 3], "f4"),
    ...               np.zeros(0, "u2"), np.zeros(0, "f4"))
    >>> model = nn.Sequential(BinaryLinear(3, 8), RowThreshold(1, "0/1"), BinaryLinear(8, 2), Logits(2))
    >>> program = lower_encoded(model, [Column("age")], bits)
    >>> [type(op).__name__ for op in program.ops]
    ['Encode', 'Conv', 'RowThreshold', 'Conv', 'Link']
    """
    writer = Writer()
    value = writer.write(encode)
    start = At("bits", (1, 1, len(encode.column)), value, is_flat=True, lowest=lowest)
    with in_eval_mode(model):
        write_answer(writer, walk(writer, start, steps_of(model)), answer)
    return Program(tuple(columns), tuple(writer.ops), tuple(classes), dict(provenance or {}))
