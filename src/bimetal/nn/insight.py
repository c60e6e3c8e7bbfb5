"""What to look at while a binary net trains: flips, clipped and silent weights, and what they mean.

A loss tells that something is wrong, the signs tell what: nets of binary weights fail by weights
that no longer flip, flip all the time, outgrow their clip, or stand where the surrogate has no slope.
`Watch` counts that, epoch by epoch, and says in sentences what looks wrong. `watch_activations` of
`bimetal.nn.activity` does the same for the signs between the layers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.binarizers import XNOR
from bimetal.nn.layers import BinaryLayer, binary_layers
from bimetal.nn.surrogates import surrogate

__all__ = ["Histogram", "LayerInsight", "Watch", "dead_share"]

N_BINS = 20
N_QUIET = 3  # epochs without a flip, from which on it is said
RESTLESS = 0.25  # of the weights; signs drawn anew would flip 0.5


@dataclass(frozen=True)
class Histogram:
    """Counts over bins of equal width.

    Attributes
    ----------
    counts : tuple of int
        Values in each bin; what lies outside the edges is counted in the first or the last.
    edges : tuple of float
        One more than there are bins.
    """

    counts: tuple[int, ...]
    edges: tuple[float, ...]


@dataclass(frozen=True)
class LayerInsight:
    """How a binary layer fares at the end of an epoch; shares are of its weights, 0 to 1.

    Attributes
    ----------
    flip_ratio : float
        Share whose sign differs from that at the beginning of the epoch.
    never_flipped : float
        Share whose sign has been the same at the end of every epoch so far: silent weights.
    positive_share : float
        Share of +1.
    saturation : float
        Share of latent weights at their clip or beyond; 0 where there is none.
    dead_share : float
        Share of latent weights where the surrogate has no slope, so that no gradient moves them.
    mean_abs, max_abs : float
        Of the latent weights.
    histogram : Histogram
        Of the latent weights between ±clip or, where there is none, ±`max_abs`.
    """

    flip_ratio: float
    never_flipped: float
    positive_share: float
    saturation: float
    dead_share: float
    mean_abs: float
    max_abs: float
    histogram: Histogram


class Watch:
    """Look at every binary layer of a model, from one moment to another, again and again.

    Signs are those that the model would be deployed with: of the prepared weights, never drawn.

    Parameters
    ----------
    model : torch.nn.Module
        It is looked at and left as it is.

    Raises
    ------
    DataError
        When `end` is called before `begin`, or a layer came, went or changed its shape in between.

    Examples
    --------
    >>> from bimetal.nn import BinaryLinear
    >>> layer = BinaryLinear(4, 1)
    >>> watch = Watch(nn.Sequential(layer))
    >>> watch.begin()
    >>> with torch.no_grad():
    ...     _ = layer.latent_weight.neg_()
    >>> insight = watch.end()["0"]
    >>> insight.flip_ratio, insight.never_flipped, sum(insight.histogram.counts)
    (1.0, 0.0, 4)
    >>> watch.remarks()
    ("layer '0': 100% of the weights flipped in one epoch; 50% would if they were drawn by lot: lower
    the learning rate",)
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._before: dict[str, Tensor] = {}
        self._have_flipped: dict[str, Tensor] = {}
        self._quiet: dict[str, int] = {}
        self._latest: dict[str, LayerInsight] = {}

    def begin(self) -> None:
        """Remember the signs of every binary layer."""
        self._before = {name: m.is_plus() for name, m in binary_layers(self.model).items()}

    def end(self) -> dict[str, LayerInsight]:
        """Compare with what was remembered, and return how every binary layer fares, by its name."""
        layers = binary_layers(self.model)
        now = {name: layer.is_plus() for name, layer in layers.items()}
        self._require_same(now)
        for name, layer in layers.items():
            flips = now[name] != self._before[name]
            ever = flips | self._have_flipped.get(name, torch.zeros_like(flips))
            n_flips = int(flips.sum())
            self._have_flipped[name] = ever
            self._quiet[name] = 0 if n_flips else self._quiet.get(name, 0) + 1
            never = 1 - int(ever.sum()) / ever.numel()
            self._latest[name] = _insight(layer, now[name], n_flips / flips.numel(), never)
        return dict(self._latest)

    def _require_same(self, now: dict[str, Tensor]) -> None:
        before = {name: tuple(signs.shape) for name, signs in self._before.items()}
        found = {name: tuple(signs.shape) for name, signs in now.items()}
        if before != found:
            changed = sorted(n for n in {*before, *found} if before.get(n) != found.get(n))
            raise DataError(
                f"the binary layers {changed[:4]} are not those that were there when the epoch began; "
                "call begin() first, and make a new Watch for a model that was changed"
            )

    def remarks(self) -> tuple[str, ...]:
        """Return what looks wrong as of the last `end`, a sentence each; often nothing does."""
        layers = binary_layers(self.model)
        return tuple(
            f"layer '{name}': {remark}"
            for name, insight in self._latest.items()
            if name in layers
            for remark in _remarks(layers[name], insight, self._quiet[name])
        )


def _remarks(layer: BinaryLayer, insight: LayerInsight, n_quiet: int) -> Iterator[str]:
    clip = layer.binarizer.clip
    if n_quiet >= N_QUIET:
        yield f"no weight has flipped in the last {n_quiet} epochs"
    if insight.flip_ratio >= RESTLESS:
        yield (
            f"{insight.flip_ratio:.0%} of the weights flipped in one epoch; 50% would if they were "
            "drawn by lot: lower the learning rate"
        )
    if insight.positive_share in (0, 1):
        sign = "+1" if insight.positive_share else "-1"
        yield f"all weights are {sign}: were they lost on the way into this model?"
    if clip is not None and insight.max_abs > clip * (1 + 1e-6):
        yield (
            f"latent weights are not clipped: one has grown to {insight.max_abs:.3g}, beyond "
            f"±{clip:g}; call clip_latent(model) after each step"
        )
    elif clip is None and insight.mean_abs > 1:
        yield (
            f"latent weights have no clip and have grown to {insight.mean_abs:.3g} on average; the "
            "larger they are, the more steps a flip takes"
        )
    if insight.dead_share >= 0.01:
        yield (
            f"{insight.dead_share:.0%} of the latent weights are where the surrogate "
            f"'{layer.binarizer.surrogate}' has no slope, so no gradient can flip them"
        )


@torch.no_grad()
def _insight(
    layer: BinaryLayer, is_plus: Tensor, flip_ratio: float, never_flipped: float
) -> LayerInsight:
    w, clip = layer.latent_weight.detach().float(), layer.binarizer.clip
    size = w.abs()
    largest = float(size.max())
    return LayerInsight(
        flip_ratio=flip_ratio,
        never_flipped=never_flipped,
        positive_share=int(is_plus.sum()) / is_plus.numel(),
        saturation=0.0 if clip is None else int((size >= clip).sum()) / w.numel(),
        dead_share=_dead_weights(layer),
        mean_abs=float(size.mean()),
        max_abs=largest,
        histogram=_histogram(w, largest if clip is None else clip),
    )


def _histogram(w: Tensor, bound: float) -> Histogram:
    bound = bound if 0 < bound < math.inf else 1.0
    edges = torch.linspace(-bound, bound, N_BINS + 1, dtype=torch.float64)
    counts = torch.histc(w.clamp(-bound, bound), N_BINS, -bound, bound)
    return Histogram(tuple(int(n) for n in counts), tuple(edges.tolist()))


def _dead_weights(layer: BinaryLayer) -> float:
    given = layer.binarizer
    if given.surrogate == XNOR or given.draw == "progressive":  # their slopes are never 0
        return 0.0
    rows = layer.latent_weight.detach().reshape(layer.shape_by_output)
    prepared = given.prepared(rows, layer.progress)
    centre = given.shift(prepared)
    return dead_share(
        prepared if centre is None else prepared - centre, given.surrogate, layer.progress
    )


def dead_share(x: Tensor, surrogate_name: str, progress: float = 0.0) -> float:
    """Return the share of values where a surrogate has no slope.

    Examples
    --------
    >>> dead_share(torch.tensor([0.5, -3.0]), "clipped")
    0.5
    """
    return int((surrogate(surrogate_name, progress)(x.detach()) == 0).sum()) / max(1, x.numel())
