"""The net of a stream: binary layers normed row by row, an optimizer that remembers, a calibration.

It is given mini-batches of bits and classes, and grows by inputs and by classes. Of tasks it knows
nothing: no norm keeps statistics, the optimizer is one for good, and the answer for a row depends on the
weights and on that row.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bimetal.columns import Column
from bimetal.continual.learners.metaplastic import grouped
from bimetal.continual.learners.nets import row_net
from bimetal.continual.stream.calibration import RunningCalibration
from bimetal.continual.stream.growing import add_inputs, add_output
from bimetal.continual.stream.options import OnlineOptions
from bimetal.errors import TrainingError
from bimetal.lower import lower_encoded
from bimetal.nn import BinaryLinear, Logits, Scale
from bimetal.nn.metaplastic import Metaplastic
from bimetal.program import Encode, Program

__all__ = ["OnlineNet", "one_torch_thread"]

MOMENTS = ("mean", "square")
THRESHOLD = 1.0
"""Of hidden units, in standard deviations: tables have fewer bits than pictures, and want more units to
fire than `nets.default_threshold` lets."""


class OnlineNet:
    """A binary net that learns mini-batch by mini-batch.

    Parameters
    ----------
    options : OnlineOptions
        What was told.
    n_bits, n_classes : int
        Inputs and classes at first; one class is enough.

    Attributes
    ----------
    net : torch.nn.Sequential
        See `bimetal.continual.learners.nets.row_net`.
    optimizer : Metaplastic
        One for good.
    calibration : RunningCalibration
        Scores → probabilities.
    """

    def __init__(self, options: OnlineOptions, n_bits: int, n_classes: int) -> None:
        self.options = options
        self.net = row_net(n_bits, n_classes, options.hidden, THRESHOLD, options.seed).train()
        self.optimizer = Metaplastic(
            grouped(self.net),
            options.learning_rate,
            m=options.strength,
            relative=True,
            half_life=options.half_life_steps,
        )
        self.calibration = RunningCalibration(n_classes)

    @property
    def n_classes(self) -> int:
        """Classes known so far."""
        return len(self.calibration.offsets)

    def learn(
        self,
        bits: NDArray[np.bool_],
        codes: NDArray[np.intp],
        weight: NDArray[np.float64],
        n_steps: int,
        *,
        is_seen: bool = False,
    ) -> None:
        """Learn from a mini-batch.

        The first of the steps scores the rows before anything is learned from them, which is what the
        calibration sees, unless they were seen before. Then the loss is that of the calibrated
        probabilities, slope and offsets held: the net need not learn how frequent a class is.

        Raises
        ------
        TrainingError
            When the loss is not finite.
        """
        if self.n_classes < 2:
            return  # of one class there is nothing to learn
        x, y = torch.from_numpy(bits.astype(np.float32)), torch.from_numpy(codes)
        w = torch.from_numpy(weight.astype(np.float32))
        with one_torch_thread():
            for step in range(n_steps):
                scores = self.net(x)
                if step == 0 and not is_seen:
                    self.calibration.update(scores.detach().numpy(), codes, weight)
                self._step(scores, y, w)

    def _step(self, scores: Tensor, y: Tensor, w: Tensor) -> None:
        offsets = torch.from_numpy(self.calibration.offsets.astype(np.float32))
        losses = cross_entropy(self.calibration.slope * scores + offsets, y, reduction="none")
        loss = (w * losses).mean()
        if not bool(loss.isfinite()):
            raise TrainingError(
                f"the loss is {loss.item()}; lower the learning rate or the weights"
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def add_inputs(self, order: Sequence[int]) -> None:
        """Read more bits, see `growing.add_inputs`."""
        add_inputs(self.net, self.optimizer, order, self.options.seed + 7 * min(order) + 1)

    def add_class(self, share: float) -> None:
        """Know one more class, of which `share` of the rows are at first."""
        add_output(self.net, self.optimizer, self.options.seed + 11 * self.n_classes + 3)
        self.calibration.add_class(share)

    def program(
        self,
        columns: Sequence[Column],
        encode: Encode,
        order: NDArray[np.intp],
        classes: Sequence[Any],
        provenance: dict[str, Any],
    ) -> Program:
        """Return the Program that answers with calibrated probabilities, classes in this order."""
        *layers, last, scale = self.net
        assert isinstance(scale, Scale) and isinstance(last, BinaryLinear)
        places = torch.from_numpy(order)
        if self.n_classes == 1:  # whatever the sums are, the answer is 1
            ends, answer = Logits.of(torch.zeros(1).double(), torch.ones(1).double()), "logits"
        else:
            slope = scale.scale.detach().double()[places] * self.calibration.slope
            ends = Logits.of(slope, torch.from_numpy(self.calibration.offsets)[places])
            answer = "softmax"
        model = nn.Sequential(*layers, _in_order(last, places), ends)
        return lower_encoded(model, columns, encode, answer, classes, provenance)  # type: ignore[arg-type]

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return everything that learns, by name; `load` takes it back."""
        found: dict[str, NDArray[Any]] = {
            "slope": np.array([self.calibration.slope]),
            "offsets": self.calibration.offsets,
            "curvature": self.calibration.curvature,
        }
        for i, w in enumerate(self._latent()):
            found[f"latent.{i}"] = w.detach().numpy()[0]
            state = self.optimizer.state.get(w, {})
            for name in MOMENTS:
                if name in state:
                    found[f"{name}.{i}"] = state[name].numpy()[0]
            found[f"step.{i}"] = np.array([float(state.get("step", 0))])
        return found

    def load(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Go on where `tensors` was taken; shapes must fit."""
        self.calibration.slope = float(tensors["slope"][0])
        self.calibration.offsets = tensors["offsets"].copy()
        self.calibration.curvature = tensors["curvature"].copy()
        for i, w in enumerate(self._latent()):
            w.data.copy_(torch.from_numpy(tensors[f"latent.{i}"].copy()).view_as(w))
            if step := int(tensors[f"step.{i}"][0]):
                state = self.optimizer.state[w]
                state["step"] = step
                for name in MOMENTS:
                    state[name] = torch.from_numpy(tensors[f"{name}.{i}"].copy()).view_as(w)

    def _latent(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def _in_order(layer: BinaryLinear, places: Tensor) -> BinaryLinear:
    """Return a layer with the outputs of another in this order."""
    moved = BinaryLinear(layer.n_in, layer.n_out, binarizer=layer.binarizer)
    moved.latent_weight = nn.Parameter(layer.latent_weight.detach()[:, places])
    return moved


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Hold torch to one thread: steps are small, and their sums shall not depend on the machine."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
