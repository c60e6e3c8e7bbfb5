"""Boolean functions as polynomials of ±1: the values of one, and its derivatives, are read from a table.

Every function of k inputs of ±1 is one multilinear polynomial, whose monomials are products of some
of the inputs (its Walsh-Hadamard spectrum). So a layer of such polynomials never multiplies inputs: its
2^k values are worked out once a step, and each row of the batch picks one by its address.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["addresses", "degrees", "look_up", "monomials", "walsh"]


def walsh(fan_in: int, degree: int) -> Tensor:
    """Return each monomial of at most `degree` at each address: ±1 of shape (2**fan_in, n_monomials).

    Input *j* is +1 at the addresses whose bit *j* is set. Monomials are in the order of their degree,
    the constant first.

    Examples
    --------
    >>> walsh(2, 1).tolist()
    [[1.0, -1.0, -1.0], [1.0, 1.0, -1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    address = torch.arange(2**fan_in)
    columns = []
    for members in monomials(fan_in, degree):
        clear = torch.zeros_like(address)
        for j in members:
            clear += 1 - (address >> j & 1)
        columns.append(1.0 - 2.0 * (clear % 2))
    return torch.stack(columns, dim=1)


def degrees(fan_in: int, degree: int) -> Tensor:
    """Return the degree of each monomial of `walsh`, int64 of shape (n_monomials,)."""
    return torch.tensor([len(members) for members in monomials(fan_in, degree)])


def monomials(fan_in: int, degree: int) -> list[tuple[int, ...]]:
    """Return the inputs of each monomial, by rising degree.

    Examples
    --------
    >>> monomials(3, 2)
    [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    """
    every = (tuple(j for j in range(fan_in) if mask >> j & 1) for mask in range(2**fan_in))
    return sorted((m for m in every if len(m) <= degree), key=len)


def addresses(x: Tensor, places: Tensor) -> Tensor:
    """Return the place in a flattened table (n_out, 2**fan_in) that each neuron reads: (n_out, n_rows).

    Parameters
    ----------
    x : torch.Tensor
        ±1 of shape (n_rows, n_in); what is at least 0 counts as +1.
    places : torch.Tensor
        int64 of shape (n_out, fan_in): the inputs of each neuron.
    """
    n_out, fan_in = places.shape
    is_plus = (x.T >= 0).contiguous()
    found = torch.zeros((n_out, len(x)), dtype=torch.int16, device=x.device)  # a byte at most
    for j in range(fan_in):
        found += is_plus[places[:, j]].to(torch.int16) << j
    start = torch.arange(n_out, device=x.device)[:, None] << fan_in
    return found + start


def look_up(x: Tensor, score: Tensor | None, table: Tensor, places: Tensor) -> Tensor:
    """Return the value of each neuron's polynomial for each row: (n_rows, n_out), differentiable.

    A polynomial has at most one factor x_j in each monomial, so that its derivative by x_j, at ±1, is
    half the difference of its values with x_j = +1 and with x_j = −1. (DWN, Bacellar et al. 2024,
    arXiv:2410.11112, adds differences at other addresses, the less the farther they are.)

    Parameters
    ----------
    x : torch.Tensor
        ±1 of shape (n_rows, n_in).
    score : torch.Tensor, optional
        (n_out, fan_in, n_in) of learned connections. A slot stands for the mean of all inputs, weighted
        by the softmax of its scores, whose gradient the scores get; its value is the input at `places`.
    table : torch.Tensor
        (n_out, 2**fan_in): values of the polynomials.
    places : torch.Tensor
        int64 of shape (n_out, fan_in).

    Examples
    --------
    >>> x = torch.tensor([[1.0, -1.0]], requires_grad=True)
    >>> product = torch.tensor([[1.0, -1.0, -1.0, 1.0]])
    >>> y = look_up(x, None, product, torch.tensor([[0, 1]]))
    >>> y.item(), torch.autograd.grad(y.sum(), x)[0].tolist()
    (-1.0, [[-1.0, 1.0]])
    """
    return _LookUp.apply(x, score, table, places)  # type: ignore[no-any-return, no-untyped-call]


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, score: Tensor | None, table: Tensor, places: Tensor) -> Tensor:
        address = addresses(x, places)
        ctx.save_for_backward(x, score, table, places, address)
        return table.reshape(-1)[address].T.contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, score, table, places, address = ctx.saved_tensors
        g = grads[0].T.contiguous()  # (n_out, n_rows)
        of_table = torch.zeros_like(table).view(-1).index_add_(0, address.view(-1), g.view(-1))
        slots = [g * d.reshape(-1)[address] for d in _derivatives(table, places.shape[1])]
        of_x = of_score = None
        if ctx.needs_input_grad[0]:
            by_input = torch.zeros((x.shape[1], x.shape[0]), dtype=g.dtype, device=g.device)
            for j, slot in enumerate(slots):
                by_input.index_add_(0, places[:, j], slot)
            of_x = by_input.T.to(x.dtype)
        if score is not None and ctx.needs_input_grad[1]:
            each = torch.stack(slots, dim=1).flatten(0, 1) @ x.to(g.dtype)
            of_score = _through_softmax(each.view_as(score), score)
        return of_x, of_score, of_table.view_as(table), None


def _derivatives(table: Tensor, fan_in: int) -> list[Tensor]:
    """Return the derivative of each polynomial by each input, at each address: (n_out, 2**fan_in)."""
    address = torch.arange(table.shape[1], device=table.device)
    pairs = ((address | 1 << j, address & ~(1 << j)) for j in range(fan_in))
    return [(table[:, high] - table[:, low]) / 2 for high, low in pairs]


def _through_softmax(g: Tensor, score: Tensor) -> Tensor:
    """Return the gradient of scores from that of the weights which their softmax is."""
    p = torch.softmax(score, dim=-1)
    return p * (g - (p * g).sum(dim=-1, keepdim=True))
