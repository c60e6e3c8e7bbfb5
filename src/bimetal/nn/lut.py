"""Layers for hardware: each neuron reads a few bits and is one look-up table of an FPGA once trained.

A neuron is a polynomial of its few ±1 inputs, a norm and a sign. With monomials of degree 1 it is the
sparse linear neuron of LogicNets (Umuroglu et al. 2020, arXiv:2004.03021); higher degrees are those of
PolyLUT (Andronic & Constantinides 2023, arXiv:2309.02334); with all of them it can be any Boolean
function, as the nodes of DWN (Bacellar et al. 2024, arXiv:2410.11112). Here inputs and outputs are
bits, so a polynomial has no squares and whatever it learned is a table of 2^k bits.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.layers import Sign
from bimetal.nn.lut_connections import best_places, drawn_places, given_places
from bimetal.nn.lut_function import addresses, degrees, look_up, walsh
from bimetal.nn.modes import in_eval_mode
from bimetal.nn.surrogates import binarize, surrogate

__all__ = ["MOST_FAN_IN", "GroupSum", "LutLinear"]

MOST_FAN_IN = 8
"""Inputs of one neuron; a table of eight has 256 bits."""
NORMS = ("batch", "threshold")


class LutLinear(nn.Module):
    """±1 → ±1: neurons that each read `fan_in` inputs, and become tables of 2**fan_in bits.

    In evaluation the answers are looked up in those tables, so that a row is answered alike alone and
    in any company, and as by the operation `Lut` of a Program. The gradient is that of the polynomial,
    times the surrogate's. Weight decay acts on the coefficients, which is DWN's spectral regularization.

    Parameters
    ----------
    n_in, n_out : int
        Sizes.
    fan_in : int, default 6
        Inputs of each neuron, 1 to 8; six is what one look-up table of most FPGAs has.
    degree : int, optional
        Factors of a monomial at most, 1 to `fan_in`; by default 2. With `fan_in` a neuron can become
        any Boolean function.
    connections : "learned", "random" or array_like of int, default "learned"
        Which inputs neurons read: found by training, drawn once, or given, of shape (n_out, fan_in).
        See `bimetal.nn.lut_connections`.
    norm : {"batch", "threshold"}, default "batch"
        What stands before the sign: a batch norm, or nothing but the polynomial's own constant.
    surrogate_name : str, default "clipped"
        Of the sign, a name in `bimetal.nn.SURROGATES`.
    generator : torch.Generator, optional
        Source of the initial coefficients and connections.

    Raises
    ------
    DataError
        When a size, the degree, the norm or the connections are out of their range, or the surrogate
        is unknown; in a call, when the input is not (n_rows, n_in) of −1 and +1.

    Examples
    --------
    >>> layer = LutLinear(20, 4, fan_in=3)
    >>> layer(torch.ones(5, 20)).shape, layer.places.shape, layer.tables().shape
    (torch.Size([5, 4]), torch.Size([4, 3]), torch.Size([4, 8]))
    """

    monomials: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        fan_in: int = 6,
        degree: int | None = None,
        connections: Literal["learned", "random"] | Any = "learned",
        norm: Literal["batch", "threshold"] = "batch",
        surrogate_name: str = "clipped",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        degree = min(2, fan_in) if degree is None else degree
        _check(n_in, n_out, fan_in, degree, norm)
        self.n_in, self.n_out, self.fan_in, self.degree = n_in, n_out, fan_in, degree
        self.register_buffer("monomials", walsh(fan_in, degree), persistent=False)
        self.coefficient = nn.Parameter(_start(n_out, fan_in, degree, generator))
        self._connect(connections, generator)
        self.norm: nn.Module = nn.BatchNorm1d(n_out) if norm == "batch" else nn.Identity()
        self.sign = Sign(surrogate_name)

    def _connect(self, connections: Any, generator: torch.Generator | None) -> None:
        """Keep scores of all inputs for each slot, or the places themselves."""
        sizes = (self.n_in, self.n_out, self.fan_in)
        if isinstance(connections, str) and connections == "learned":
            scores = torch.rand((self.n_out, self.fan_in, self.n_in), generator=generator)
            self.score = nn.Parameter(scores)
        elif isinstance(connections, str) and connections == "random":
            self.register_buffer("fixed_places", drawn_places(*sizes, generator))
        else:
            self.register_buffer("fixed_places", given_places(connections, *sizes))

    @property
    def places(self) -> Tensor:
        """The inputs that each neuron reads, int64 of shape (n_out, fan_in)."""
        score = self._parameters.get("score")
        return self.get_buffer("fixed_places") if score is None else best_places(score)

    @torch.no_grad()
    def tables(self) -> Tensor:
        """Return what each neuron says in evaluation, bool of shape (n_out, 2**fan_in).

        Entry *a* is for the pattern in which input ``places[:, j]`` is +1 where bit *j* of *a* is set.
        The layer's own norm is asked about every value that the polynomials can take.
        """
        with in_eval_mode(self.norm):
            asked: Tensor = self.norm(self._values().T.contiguous())
        return (asked >= 0).T.contiguous()

    def _values(self) -> Tensor:
        """Return the values of the polynomials at each address, (n_out, 2**fan_in)."""
        with torch.autocast(self.coefficient.device.type, enabled=False):
            return self.coefficient @ self.monomials.T

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in) of ±1 to (n_rows, n_out) of ±1."""
        self._require_signs(x)
        places = self.places
        answers = None if self.training or self.norm.training else self._answers(x, places)
        if answers is not None and not torch.is_grad_enabled():
            return answers
        sums = self.norm(look_up(x, self._parameters.get("score"), self._values(), places))
        if answers is None:
            return self.sign(sums)  # type: ignore[no-any-return]
        slope = surrogate(self.sign.surrogate_name, self.sign.progress)
        return binarize(sums, slope, value=answers)

    def _answers(self, x: Tensor, places: Tensor) -> Tensor:
        fires = self.tables().view(-1)[addresses(x, places)].T
        return fires.to(self.coefficient.dtype).mul_(2).sub_(1).contiguous()

    def _require_signs(self, x: Tensor) -> None:
        if x.ndim != 2 or x.shape[1] != self.n_in:
            raise DataError(
                f"LutLinear reads {self.n_in} inputs, got an input of shape {tuple(x.shape)}"
            )
        if not bool((x.abs() == 1).all()):
            raise DataError(
                "LutLinear reads −1 and +1, got other numbers; put a Sign before it, write bits as "
                "2 * bits - 1, and leave out a Dropout before it"
            )

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        how = "learned" if "score" in self._parameters else "fixed"
        return f"{self.n_in}, {self.n_out}, fan_in={self.fan_in}, degree={self.degree}, {how}"


def _check(n_in: int, n_out: int, fan_in: int, degree: int, norm: str) -> None:
    if min(n_in, n_out) < 1:
        raise DataError(f"sizes must be at least 1, got {n_in} inputs and {n_out} outputs")
    if not 1 <= fan_in <= MOST_FAN_IN:
        raise DataError(f"fan_in must be from 1 to {MOST_FAN_IN}, got {fan_in!r}")
    if fan_in > n_in:
        raise DataError(
            f"a neuron cannot read {fan_in} different inputs of {n_in}; give a fan_in of at most {n_in}"
        )
    if not 1 <= degree <= fan_in:
        raise DataError(f"degree must be from 1 to the fan_in of {fan_in}, got {degree!r}")
    if norm not in NORMS:
        raise DataError(f"norm must be one of {list(NORMS)}, got {norm!r}")


def _start(n_out: int, fan_in: int, degree: int, generator: torch.Generator | None) -> Tensor:
    """Return coefficients that give a variance of 1, each degree half as large as the one below it.

    All alike they would make random functions, of which a few layers in a row tell nothing of the input.
    """
    order = degrees(fan_in, degree)
    size = torch.where(order > 0, 0.5**order, 0.0)
    drawn = torch.randn((n_out, len(order)), generator=generator)
    return drawn * size / size.square().sum().sqrt()


class GroupSum(nn.Module):
    """±1 → one answer a class: each sums a group of inputs of its own, times one learned scale.

    Popcounts of parts of the last bits cost an FPGA less than any layer of weights, and since all share
    one scale, the largest sum is the answer. As in differentiable logic gate networks (Petersen et al.
    2022, arXiv:2210.08277) and DWN.

    Parameters
    ----------
    n_in, n_out : int
        Inputs and classes; class *c* sums the *c*-th of `n_out` equal parts of the input.

    Raises
    ------
    DataError
        When a size is not positive or the inputs do not divide into the classes; in a call, when the
        input is not (n_rows, n_in).

    Examples
    --------
    >>> GroupSum(8, 2)(torch.tensor([[1.0, 1, 1, 1, 1, 1, -1, -1]])).tolist()
    [[2.0, 0.0]]
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        if min(n_in, n_out) < 1 or n_in % n_out:
            raise DataError(
                f"{n_in} inputs do not divide into {n_out} groups; both must be positive, and the "
                "inputs a multiple of the outputs"
            )
        self.n_in, self.n_out = n_in, n_out
        self.scale = nn.Parameter(torch.tensor([(n_in / n_out) ** -0.5]))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in) to (n_rows, n_out)."""
        if x.ndim != 2 or x.shape[1] != self.n_in:
            raise DataError(
                f"GroupSum reads {self.n_in} inputs, got an input of shape {tuple(x.shape)}"
            )
        sums = x.view(len(x), self.n_out, -1).sum(dim=2)
        return (sums.double() * self.scale.double() + 0.0).to(x.dtype)  # −0.0 + 0.0 is 0.0

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return f"{self.n_in}, {self.n_out}"
