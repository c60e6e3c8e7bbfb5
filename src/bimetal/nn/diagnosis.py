"""Where did the first infinity or NaN come from? Asked once, after a loss has failed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["first_not_finite", "spoiled"]


def first_not_finite(model: nn.Module, again: Callable[[], Any]) -> str:
    """Say where values ceased to be finite.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    again : callable
        Runs the model once more on the same rows.

    Returns
    -------
    str
        Half a sentence that names a parameter, a layer, or the loss itself.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    >>> first_not_finite(net, lambda: net(torch.tensor([[float("inf")]])))
    "the input of layer '0' (Linear) is not finite"
    """
    if name := spoiled(model):
        return f"'{name}' is not finite, so a step before this one went too far"
    found: list[str] = []
    handles = [
        module.register_forward_hook(_reporter(name or "model", found))
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    try:
        with torch.no_grad():
            again()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "every layer's output is finite, so it was the loss itself"


def spoiled(model: nn.Module) -> str:
    """Return the name of the first parameter or buffer that is not finite, or nothing.

    A sign makes ±1 of anything, so a NaN before it need not show in the loss.

    Examples
    --------
    >>> net = nn.Linear(1, 1)
    >>> spoiled(net)
    ''
    >>> net.bias.data.fill_(float("nan"))
    tensor([nan])
    >>> spoiled(net)
    'bias'
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return name
    return ""


def _reporter(name: str, found: list[str]) -> Callable[..., None]:
    def report(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        where = f"layer '{name}' ({type(module).__name__})"
        if found or _is_finite(output):
            return
        if all(map(_is_finite, inputs)):
            found.append(f"the first values that are not finite came out of {where}")
        else:
            found.append(f"the input of {where} is not finite")

    return report


def _is_finite(value: Any) -> bool:
    return not isinstance(value, Tensor) or bool(torch.isfinite(value).all())
