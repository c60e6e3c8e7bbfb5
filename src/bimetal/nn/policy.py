"""Which layers of a net become binary, and how: the rules that `binarize_` follows.

A `Policy` names the method for the weights, the surrogate of the activations, and the layers that
stay as they are. `POLICIES` are those of the literature, as far as a rule can follow a paper: it
can change the layers of a net, but it adds no shortcuts where the net has none.
"""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from bimetal.errors import DataError
from bimetal.nn.binarizers import BINARIZERS, Binarizer, binarizer
from bimetal.nn.surrogates import SURROGATES

__all__ = ["KINDS", "POLICIES", "Policy", "is_named", "policy"]

KINDS = ("Linear", "Conv1d", "Conv2d")
"""Layers of torch.nn that have a binary counterpart."""

SPECIALS = ("first", "last")


@dataclass(frozen=True)
class Policy:
    """How a net becomes binary.

    Layers are named by their full names ("features.3", "blocks.0.conv1"), by globs ("blocks.*.fc",
    in which ``*`` runs over dots too), by the name of a module around them, or by "first" and
    "last", the two ends of the net.

    Attributes
    ----------
    binarizer : Binarizer or str
        Of the weights: a `Binarizer`, a name in `BINARIZERS`, or a surrogate's name.
    activations : str or None
        Surrogate of the sign put before each layer; None leaves activations real (BinaryConnect,
        binary weight networks).
    keep : tuple of str
        Layers that stay as they are.
    only : tuple of str
        Layers to look at; the others stay as they are too.
    real_input : tuple of str
        Layers with binary weights that read their input as it is, without a sign (BinaryNet's first).
    norm : {"before", "none"}
        "before" puts a batch norm before each sign (XNOR-Net's order, norm, sign, convolution), so
        that a sign after a ReLU, which is never negative, is not always +1.
    after : {"none", "rprelu"}
        What follows each binary layer.
    pad_value : {-1, 0, 1}
        What a pixel outside the map counts as where the input is binary; where it is real, it is 0,
        as it was.
    kinds : tuple of str
        Of `KINDS`, those that become binary.

    Raises
    ------
    DataError
        When a name is unknown.

    Examples
    --------
    >>> Policy(binarizer="bi_real", activations="approx_sign", keep=("first", "head.*")).norm
    'before'
    """

    binarizer: Binarizer | str = "binarynet"
    activations: str | None = "clipped"
    keep: tuple[str, ...] = SPECIALS
    only: tuple[str, ...] = ("*",)
    real_input: tuple[str, ...] = ()
    norm: Literal["before", "none"] = "before"
    after: Literal["none", "rprelu"] = "none"
    pad_value: Literal[-1, 0, 1] = -1
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        binarizer(self.binarizer)
        for name, known in (
            ("activations", [None, *(f.__name__ for f in SURROGATES)]),
            ("norm", ["before", "none"]),
            ("after", ["none", "rprelu"]),
            ("pad_value", [-1, 0, 1]),
        ):
            if getattr(self, name) not in known:
                raise DataError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        for name in ("keep", "only", "real_input", "kinds"):
            if isinstance(getattr(self, name), str):
                raise DataError(f"{name} must be a tuple of names, got {getattr(self, name)!r}")
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise DataError(f"kinds must be some of {KINDS}, got {self.kinds}")


def is_named(names: tuple[str, ...], patterns: tuple[str, ...], specials: tuple[str, ...]) -> bool:
    """Tell whether a layer is meant by one of the patterns.

    Parameters
    ----------
    names : tuple of str
        Of the layer: several where one layer stands in several places.
    patterns : tuple of str
        As in `Policy.keep`.
    specials : tuple of str
        "first", "last", both or neither: what the layer is.

    Examples
    --------
    >>> is_named(("blocks.0.conv",), ("blocks.0",), ()), is_named(("head",), ("last",), ("last",))
    (True, True)
    """
    return any(
        pattern in specials
        or fnmatchcase(name, pattern)
        or any(fnmatchcase(around, pattern) for around in _around(name))
        for pattern in patterns
        for name in names
    )


def _around(name: str) -> list[str]:
    """Return the names of the modules around a module, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


_XNOR = Policy("xnor", "clipped")

POLICIES: dict[str, Policy] = {
    # every weight of BinaryConnect and BinaryNet is binary; BinaryNet's input is not
    "binaryconnect": Policy("binaryconnect", None, keep=(), norm="none"),
    "binaryconnect_stochastic": Policy("binaryconnect_stochastic", None, keep=(), norm="none"),
    "binarynet": Policy("binarynet", "clipped", keep=(), real_input=("first",)),
    "bwn": replace(_XNOR, activations=None, norm="none"),
    "xnor": _XNOR,
    "xnor_corrected": replace(_XNOR, binarizer="xnor_corrected"),
    "xnor_learned": replace(_XNOR, binarizer="xnor_learned"),
    "bi_real": Policy("bi_real", "approx_sign"),
    "react": Policy("bi_real", "approx_sign", after="rprelu"),
    "ir_net": Policy("ir_net", "ede"),
    "recu": Policy("recu", "approx_sign"),
}
"""Policies by the names of their papers, which stand at the parts they pick.

BWN is XNOR-Net's net of binary weights and real activations. The bias of the norm before the sign
is ReActNet's RSign, a learned threshold, so "react" needs no other.
"""


def policy(given: Policy | str) -> Policy:
    """Return a policy by its name, or as it is; a binarizer's name gives the policy that uses it.

    Raises
    ------
    DataError
        When there is no such name.

    Examples
    --------
    >>> policy("xnor").keep, policy("adabin").binarizer
    (('first', 'last'), 'adabin')
    """
    if isinstance(given, Policy):
        return given
    if given in POLICIES:
        return POLICIES[given]
    if given in BINARIZERS:
        return Policy(given)
    known = sorted({*POLICIES, *BINARIZERS})
    raise DataError(f"policy must be a Policy or one of {known}, got {given!r}")
