"""A trained net beside its packed twin: one call lowers it, one holds the two against each other.

Training happens in torch, answers come from the engine. `verify` says on the user's own data whether
the two agree, row by row; `Packed` is the engine in the shapes that torch uses.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bimetal.errors import DataError
from bimetal.lower import trace
from bimetal.nn import Logits, Scale, fold_norms, predict
from bimetal.program import Program
from bimetal.runtime import Engine

__all__ = ["Agreement", "Packed", "rows_of", "verify"]

Floats = NDArray[np.float32]


def rows_of(x: Any) -> Floats:
    """Return inputs as a Program reads them: one row each, channels innermost.

    Parameters
    ----------
    x : torch.Tensor or numpy.ndarray
        (n_rows, channels, ...) of any type of number.

    Examples
    --------
    >>> rows_of(torch.arange(8).view(1, 2, 2, 2))
    array([[0., 4., 1., 5., 2., 6., 3., 7.]], dtype=float32)
    """
    array = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    last = np.moveaxis(array, 1, -1).reshape(len(array), math.prod(array.shape[1:]))
    return np.ascontiguousarray(last, dtype=np.float32)


class Packed:
    """The packed twin of a torch net.

    Parameters
    ----------
    model : torch.nn.Module
        A net that `bimetal.lower_cnn` can lower.
    image : tuple of int, optional
        Shape of one input; by default ``model.image_shape``.
    **engine
        As of `bimetal.Engine`: `threads`, `isa`, `batch_size` ...

    Attributes
    ----------
    image : tuple of int
        Shape of one input.
    program : Program
        What the engine runs, and what `bimetal.save` writes.
    engine : Engine
        The engine.

    Examples
    --------
    >>> from bimetal import zoo
    >>> packed = Packed(zoo.finn_mlp(16, seed=0))
    >>> packed.answers(torch.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(
        self, model: nn.Module, image: tuple[int, ...] | None = None, **engine: Any
    ) -> None:
        lowered = trace(model, image)  # type: ignore[arg-type]
        self.image: tuple[int, ...] = tuple(image or model.image_shape)  # type: ignore[arg-type]
        self.program: Program = lowered.program
        self.engine = Engine(self.program, **engine)
        self._written = {name for name in lowered.layers if name}
        self._last = lowered.layers[-1]

    def twin(self, model: nn.Module) -> nn.Module:
        """Return a copy of the net whose norms are folded where the Program has them as floats.

        torch rounds a batch norm in another order than the Program does. It does not matter where a
        sign follows (there the threshold is asked of the norm itself), and elsewhere it is a few
        units in the last place.
        units in the last place. A norm at the end scales in float64, as the Program's link does.
        """
        folded = fold_norms(model, self._written)
        last = self._last
        if last and isinstance(scale := folded.get_submodule(last), Scale):
            parent, _, name = last.rpartition(".")
            logits = Logits.of(scale.scale, scale.offset)
            setattr(folded.get_submodule(parent), name, logits)
        return folded

    def answers(self, x: Any, batch_size: int = 1000) -> Floats:
        """Return the answers to inputs of shape (n_rows, channels, ...).

        Rows as the Program has them, (n_rows, numbers), are read as they are.

        Raises
        ------
        DataError
            When the inputs are of another shape (channels last, say).
        """
        shape = tuple(np.shape(x))
        if len(shape) != 2 and shape[1:] != self.image:
            expected = ", ".join(map(str, self.image))
            raise DataError(f"inputs of shape (n_rows, {expected}) expected, got {shape}")
        parts = [
            self.engine.run(rows_of(x[start : start + batch_size]))
            for start in range(0, max(len(x), 1), batch_size)
        ]
        return np.concatenate(parts)

    def accuracy(self, x: Any, y: Any) -> float:
        """Return the share of inputs whose largest answer is that of their class.

        Raises
        ------
        DataError
            When there are no inputs, or not one class for each.
        """
        classes = np.asarray(y)
        if classes.shape != (len(x),) or not len(x):
            raise DataError(f"one class for each of {len(x)} inputs expected, got {classes.shape}")
        return float((self.answers(x).argmax(1) == classes).mean())


@dataclass(frozen=True)
class Agreement:
    """How far a torch net and its packed twin agree.

    Attributes
    ----------
    n_rows : int
        Inputs that both answered.
    n_equal : int
        Those answered alike, bit for bit.
    n_equal_classes : int
        Those whose largest answer is the same one.
    largest_difference : float
        Between two answers, in units of the answer.
    """

    n_rows: int
    n_equal: int
    n_equal_classes: int
    largest_difference: float

    @property
    def is_exact(self) -> bool:
        """Whether all answers are equal, bit for bit."""
        return self.n_equal == self.n_rows


def verify(model: nn.Module, x: Any, packed: Packed | None = None) -> Agreement:
    """Hold a torch net and its packed twin against each other on data.

    The torch net answers with the norms that no sign follows written out, see `Packed.twin`.

    Parameters
    ----------
    model : torch.nn.Module
        A net that `bimetal.lower_cnn` can lower.
    x : torch.Tensor or numpy.ndarray
        Inputs (n_rows, channels, ...).
    packed : Packed, optional
        Its twin, if it is already made; by default one for inputs of this shape.

    Raises
    ------
    DataError
        When there are no rows.
    ProgramError
        When the net cannot be lowered.

    Examples
    --------
    >>> from bimetal import zoo
    >>> verify(zoo.finn_mlp(16, seed=0), torch.randint(0, 256, (9, 1, 28, 28))).is_exact
    True
    """
    if not len(x):
        raise DataError("no rows to verify on were given")
    packed = packed or Packed(model, getattr(model, "image_shape", None) or tuple(x.shape[1:]))
    theirs = packed.answers(x)
    ours = predict(packed.twin(model), torch.as_tensor(x)).numpy()
    same = (ours == theirs).all(1)
    return Agreement(
        len(same),
        int(same.sum()),
        int((ours.argmax(1) == theirs.argmax(1)).sum()),
        float(np.abs(ours - theirs).max()),
    )
