"""Binarization: weights and activations of one bit, lowered to a Program and run by our Engine.

Where the user's model is a straight row of layers, its `twin.binary_twin` is trained and lowered; the
Engine's answers are held against torch's. Where it is not, `bimetal.nn.binarize_` makes its inner
layers binary in place: such a net keeps the user's forward, is stored packed, and runs in torch.
"""

import copy
from collections.abc import Iterator
from functools import partial

import numpy as np
from torch import nn

from bimetal.columns import Column
from bimetal.compress.data import CompressData, Reads
from bimetal.compress.deploy import Deploy, as_packed, as_program
from bimetal.compress.lesson import Lesson
from bimetal.compress.result import Candidate
from bimetal.compress.twin import Cuts, binary_twin
from bimetal.errors import DataError, ProgramError
from bimetal.lower import lower_cnn, lower_dense
from bimetal.nn import BinaryLinear, ByteLinear, Sign
from bimetal.nn.convert import binarize_
from bimetal.program import GE, Encode, Link, Op, Program, Readout

__all__ = ["binary_candidate", "binary_nets", "lowered"]

FAMILY = "binarization"
POLICIES = ("binarynet", "bi_real")
NOTES = {
    "binarynet": "BinaryNet's gradient, clipped",
    "bi_real": "Bi-Real's gradients and mean |w| as the scale",
}


def binary_nets(lesson: Lesson) -> Iterator[Candidate]:
    """Train binary twins by labels alone, one by each policy."""
    for how in lesson.levels(POLICIES):
        yield binary_candidate(lesson, f"binary, {how}", FAMILY, NOTES[how], how)


def binary_candidate(
    lesson: Lesson,
    name: str,
    family: str,
    note: str,
    how: str,
    *,
    model: nn.Module | None = None,
    width: int = 1,
    is_distilled: bool = False,
) -> Candidate:
    """Return a trained binary twin, to be run by the Engine, or by torch where it does not lower.

    Parameters
    ----------
    lesson : Lesson
        The task.
    name, family, note : str
        As of a candidate.
    how : str
        Name of a policy.
    model : torch.nn.Module, optional
        In place of the user's model: a pruned copy of it, say.
    width : int, default 1
        Factor of the inner channels.
    is_distilled : bool, default False
        Whether it learns from the user's model as well.
    """
    base = lesson.model if model is None else model
    net, deploy, reads, what = _binary_net(base, lesson, how, width)
    rate = 2 * lesson.config.learning_rate
    seconds = lesson.fit(net, name, learning_rate=rate, is_distilled=is_distilled, reads=reads)
    return Candidate(name, family, f"{note}; {what}", net, deploy, seconds, reads)


def _binary_net(
    base: nn.Module, lesson: Lesson, how: str, width: int
) -> tuple[nn.Module, Deploy, Reads, str]:
    """Return an untrained net, how it is deployed, how it reads rows, and what is binary in it."""
    data = lesson.data
    try:
        net = binary_twin(base, data, how, width, lesson.config.seed)
        lowered(net, data)  # before the training, lest it be in vain
    except (DataError, ProgramError) as error:
        if width != 1:
            raise
        converted = copy.deepcopy(base)
        binarize_(converted, how, data.floats(data.train.x[:2]))
        return converted, as_packed, "floats", f"inner layers ±1, run by torch, as {error}"
    reads: Reads = "floats" if data.picture_shape is None else "bytes"
    deploy = partial(as_program, partial(lowered, data=data))
    return net, deploy, reads, "weights and activations ±1, first and last weights of 8 bits"


def lowered(net: nn.Module, data: CompressData) -> Program:
    """Lower a trained `binary_twin`.

    Raises
    ------
    ProgramError
        When a layer cannot be lowered.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(100, 4))
    >>> data = CompressData.split(rows, np.arange(100) % 3)
    >>> twin = binary_twin(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), data, "binarynet")
    >>> [type(op).__name__ for op in lowered(twin.eval(), data).ops]
    ['Encode', 'Dense', 'Readout', 'Link']
    """
    if data.picture_shape is None:
        return _lowered_row(net, data.sample_shape[0])
    return lower_cnn(net, image=data.picture_shape)


def _lowered_row(net: nn.Module, n_features: int) -> Program:
    """Lower thresholds of features, then dense layers."""
    steps = [m for m in net.modules() if not isinstance(m, nn.Sequential)]
    ops: list[Op] = []
    while steps:
        match steps.pop(0):
            case Cuts() as cuts:
                ops.append(_encode(cuts))
            case BinaryLinear() as layer:
                norm: list[nn.Module] = []
                while steps and not isinstance(steps[0], Sign):
                    norm.append(steps.pop(0))
                ops.append(lower_dense(layer, nn.Sequential(*norm), len(ops)))
            case ByteLinear() as last:
                ops += _readout(last, len(ops))
            case Sign():
                pass
            case other:
                raise ProgramError(f"{type(other).__name__} does not lower on rows of features")
    return Program(tuple(Column(f"x{j}") for j in range(n_features)), tuple(ops))


def _encode(cuts: Cuts) -> Encode:
    n, none = len(cuts.value), np.zeros(0, np.float32)
    columns = cuts.column.numpy().astype(np.uint16)
    return Encode(
        columns, np.full(n, GE, np.uint8), cuts.value.numpy(), none.astype(np.uint16), none
    )


def _readout(layer: ByteLinear, value: int) -> list[Op]:
    whole, scale = layer.rounded()
    points = Readout((value,), whole.numpy().astype(np.int8), np.zeros(layer.n_out, np.int32))
    by, plus = (t.detach().double().numpy() for t in (scale.scale, scale.offset))
    no_knots, no_values = np.zeros(0, np.int32), np.zeros(0, np.float32)
    return [points, Link(value + 1, "identity", by, plus, no_knots, no_values)]
