"""Multiply-accumulates of each module of a net for one row, found by running it once.

torch counts the products and convolutions, and what a module does itself is what was counted in it
less what was counted inside its children. So products outside any layer with weights (attention, the
readout of an ensemble) are found too. Whether a layer reads bits is seen on the values that it reads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bimetal.errors import DataError
from bimetal.nn.modes import in_eval_mode
from bimetal.nn.recurrent import BinaryRNN, Recurrent

__all__ = ["Work", "work"]


@dataclass(frozen=True)
class Work:
    """What a module did.

    Attributes
    ----------
    output_shape : tuple of int or None
        Of its last output, without the rows; None where that is no tensor.
    n_macs : int
        Multiply-accumulates for one row, those of its children left out.
    reads_bits : bool
        Whether all that it read was −1 or +1.
    """

    output_shape: tuple[int, ...] | None
    n_macs: int
    reads_bits: bool


@dataclass
class _Call:
    """A call that has begun: what was counted before it, and since then in the children."""

    name: str
    before: int
    inside: int = 0


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what torch's own formulas say of each operation, as its FlopCounterMode does."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler, which takes seconds

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        made = func(*args, **given)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.n_flops += formula(*args, **given, out_val=made)
        return made

    @property
    def n_macs(self) -> int:
        """Multiply-accumulates so far; torch counts two operations for each."""
        return self.n_flops // 2


class _Tracer:
    def __init__(self, model: nn.Module, n_rows: int) -> None:
        self.names = {module: name for name, module in model.named_modules()}
        self.n_rows = n_rows
        self.counter = _Counter()
        self.calls: list[_Call] = []
        self.done: dict[str, Work] = {}

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.calls.append(_Call(self.names[module], self.counter.n_macs))

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        call = self.calls.pop()
        whole = self.counter.n_macs - call.before
        if self.calls:
            self.calls[-1].inside += whole
        own = whole - call.inside
        shape = _shape(output)
        if isinstance(module, Recurrent):
            reads_bits = bool(inputs) and _are_bits(inputs[0])
            self._add_recurrent(call.name, module, output[0].shape[:2].numel(), reads_bits)
            own = 0
        elif not own and isinstance(module, nn.LSTM | nn.Bilinear):
            own = _missed(module, output)
        self._add(call.name, shape, own, bool(inputs) and _are_bits(inputs[0]))

    def _add_recurrent(self, name: str, module: Recurrent, n_steps: int, reads_bits: bool) -> None:
        """Split the products over the two layers, whose own forward is not what is called."""
        is_state_binary = isinstance(module, BinaryRNN) or getattr(module, "is_state_binary", False)
        for part, are_bits in (
            ("input", module.is_input_binary or reads_bits),
            ("recurrent", is_state_binary),
        ):
            layer = module.get_submodule(part)
            n_macs = n_steps * layer.get_parameter("latent_weight").numel()
            self._add(f"{name}.{part}".removeprefix("."), None, n_macs, are_bits)

    def _add(self, name: str, shape: tuple[int, ...] | None, n_macs: int, reads_bits: bool) -> None:
        before = self.done.get(name, Work(shape, 0, reads_bits))
        n_macs = before.n_macs + n_macs // self.n_rows
        self.done[name] = Work(shape, n_macs, before.reads_bits and reads_bits)


def work(model: nn.Module, x: Tensor) -> dict[str, Work]:
    """Return what each module does with some rows, by its name.

    Parameters
    ----------
    model : torch.nn.Module
        Called once in eval mode, and left as it was.
    x : torch.Tensor
        The rows.

    Raises
    ------
    DataError
        When the net cannot read them; the layer that failed is named.

    Examples
    --------
    >>> done = work(nn.Sequential(nn.Conv2d(1, 2, 3)), torch.zeros(1, 1, 5, 5))
    >>> done["0"].output_shape, done["0"].n_macs
    ((2, 3, 3), 162)
    """
    tracer = _Tracer(model, len(x))
    with _as_for_use(model), _hooks(model, tracer.enter, tracer.leave), tracer.counter:
        try:
            model(x)
        except Exception as error:
            raise _cannot_read(tracer, model, x, error) from error
    return tracer.done


def _cannot_read(tracer: _Tracer, model: nn.Module, x: Tensor, error: Exception) -> DataError:
    name = tracer.calls[-1].name if tracer.calls else ""
    kind = type(model.get_submodule(name)).__name__
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return DataError(
        f"the net cannot read rows of shape {tuple(x.shape[1:])}: layer '{name or 'model'}' ({kind}) failed with: "
        f"{reason}. Give the shape of one row, or rows as a tensor"
    )


@contextmanager
def _as_for_use(model: nn.Module) -> Iterator[None]:
    """Evaluate, without gradients, by steps that can be counted."""
    is_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # else attention is one step that is not counted
    try:
        with in_eval_mode(model), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)


@contextmanager
def _hooks(
    model: nn.Module, enter: Callable[..., None], leave: Callable[..., None]
) -> Iterator[None]:
    handles = [
        handle
        for module in model.modules()
        for handle in (
            module.register_forward_pre_hook(enter),
            module.register_forward_hook(leave),
        )
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _missed(module: nn.LSTM | nn.Bilinear, output: Any) -> int:
    """Return the multiply-accumulates of what torch does in one step that it does not count."""
    if isinstance(module, nn.Bilinear):
        return int(output.numel() * module.weight[0].numel())
    weights = [p for name, p in module.named_parameters() if name.startswith("weight")]
    n_steps = output[0].data.shape[:-1].numel()  # of a tensor, or of a packed sequence
    return int(n_steps * sum(w.numel() for w in weights))


def _are_bits(x: Any) -> bool:
    is_number = isinstance(x, Tensor) and x.dtype != torch.bool
    return is_number and x.numel() > 0 and bool((x.abs() == 1).all())


def _shape(output: Any) -> tuple[int, ...] | None:
    first = output[0] if isinstance(output, tuple) and output else output
    return tuple(first.shape[1:]) if isinstance(first, Tensor) else None
