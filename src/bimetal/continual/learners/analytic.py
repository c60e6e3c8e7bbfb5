"""Frozen binary features and an exact head: what is learned does not depend on the order of rows.

Rows become ±1 by a fixed random ±1 projection, each compared with the mean of its row; on these a
ridge regression is solved from two sums over rows, φφᵀ and φyᵀ (random features: Rahimi & Recht 2007;
continual learning from such sums: SLDA, Hayes & Kanan 2020, arXiv:1909.01520; RanPAC, McDonnell et al.
2023, arXiv:2307.02251). With φ in ±1 the sums are whole numbers, so they are the same in any order and
any cutting of the stream, to the last bit. Nothing is forgotten, and a customer's rows can be taken out
again as if they had never been seen.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bimetal.continual.learners.learner import Learner, Method, Setting, Uses
from bimetal.continual.learners.row_sums import MOST_ROWS, RowSums
from bimetal.errors import DataError
from bimetal.lower import lower_cnn
from bimetal.nn import BinaryLinear, ByteLinear
from bimetal.nn.row_threshold import RowThreshold
from bimetal.program import Program

__all__ = ["ANALYTIC", "AnalyticHead", "AnalyticLearner", "make_analytic"]

N_AT_ONCE = 4096  # rows: sums of as many ±1 are exact in float32
RIDGES = tuple(10.0**e for e in np.arange(-5, 1.01, 0.5))
UNSEEN = -1.0  # answer for a class of which no row was seen; those of seen classes add to 1


class AnalyticHead:
    """A classifier that learns rows in any order, learns new classes, and unlearns rows exactly.

    Parameters
    ----------
    n_in : int
        Bytes of a row.
    n_features : int, default 2048
        D, binary features. State and work grow with D².
    ridge : float or "gcv", default 0.01
        λ over the mean variance of a feature times the number of rows (the mean of the diagonal of the
        centred φφᵀ), so that it means the same however many rows there are. "gcv" takes the one of a
        grid with the smallest generalised cross-validation error (Golub, Heath & Wahba 1979), which the
        two sums are enough for. It takes rows for independent, so show none of them twice, and solving
        takes about twice as long.
    seed : int, default 0
        Of the projection.

    Attributes
    ----------
    projection : torch.Tensor
        int8 (n_features, n_in) of ±1, never changed.

    Raises
    ------
    DataError
        When a size or the ridge is not above 0.

    Examples
    --------
    >>> rows = np.random.default_rng(0).integers(0, 256, (60, 16), dtype=np.uint8)
    >>> classes = (rows[:, 3] > 127).astype(int)
    >>> one = AnalyticHead(16, 64).partial_fit(rows, classes)
    >>> other = AnalyticHead(16, 64).partial_fit(rows[30:], classes[30:]).partial_fit(rows[:30], classes[:30])
    >>> one.program().id == other.program().id
    True
    >>> one.forget(rows[:30], classes[:30]).n_rows
    30
    """

    def __init__(
        self,
        n_in: int,
        n_features: int = 2048,
        *,
        ridge: float | Literal["gcv"] = 0.01,
        seed: int = 0,
    ) -> None:
        if min(n_in, n_features) < 1:
            raise DataError(f"sizes must be 1 or more, got {n_in} inputs, {n_features} features")
        if ridge != "gcv" and not (isinstance(ridge, float | int) and ridge > 0):
            raise DataError(f"ridge must be above 0, or 'gcv', got {ridge!r}")
        self.n_in, self.n_features, self.ridge = n_in, n_features, ridge
        generator = torch.Generator().manual_seed(seed)
        bits = torch.randint(2, (n_features, n_in), generator=generator, dtype=torch.int8)
        self.projection = bits.mul_(2).sub_(1)
        self._sums = RowSums.none(n_features)
        self._solved: tuple[Tensor, Tensor] | None = None

    @property
    def n_rows(self) -> int:
        """Rows that were learned and not forgotten."""
        return self._sums.n

    @property
    def classes(self) -> tuple[int, ...]:
        """Classes of which a row is known, in rising order."""
        return tuple(sorted(self._sums.n_rows))

    def partial_fit(self, x: Any, y: Any) -> "AnalyticHead":
        """Learn rows; classes may be new.

        Parameters
        ----------
        x : array or torch.Tensor
            uint8 (n_rows, n_in).
        y : array or torch.Tensor
            Whole numbers of 0 or more (n_rows,).

        Raises
        ------
        DataError
            When rows and classes are of another shape or type.
        """
        rows, classes = self._read(x, y)
        if self.n_rows + len(rows) > MOST_ROWS:
            raise DataError(f"the sums hold {MOST_ROWS:,} rows; start another head")
        for phi, of_rows in self._pieces(rows, classes):
            self._sums.add(phi, of_rows)
        self._solved = None
        return self

    def forget(self, x: Any, y: Any) -> "AnalyticHead":
        """Unlearn rows: the head is then what it would be had it never seen them, to the last bit.

        Parameters are those of `partial_fit`, the rows and classes that were learned.

        Raises
        ------
        DataError
            When it can be known that these rows were never learned (fewer are known of a class, or what
            would be left are no sums of rows); the head is then as it was. It cannot always be known.
        """
        rows, classes = self._read(x, y)
        taken = RowSums.none(self.n_features)
        for phi, of_rows in self._pieces(rows, classes):
            taken.add(phi, of_rows)
        if not self._sums.could_hold(taken):
            raise DataError(
                f"these {len(rows)} rows of classes {sorted(taken.n_rows)} cannot all be among the "
                f"{self.n_rows} that were learned; forget only rows, with their classes, that were"
            )
        self._sums.merge(taken, -1)
        self._solved = None
        return self

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Return features of rows, float32 (n_rows, n_features) of ±1."""
        kind = torch.float32 if 255 * self.n_in < 2**24 else torch.float64
        sums = x.to(kind) @ self.projection.to(kind).T
        phi: Tensor = RowThreshold(0).eval()(sums)
        return phi.float()

    def net(self, classes: Iterable[int] | None = None) -> nn.Sequential:
        """Return the head as a net of rows: projection → row threshold → points of 8 bits.

        Parameters
        ----------
        classes : iterable of int, optional
            Of the outputs, by default `classes`; one of which no row is known answers −1 to all rows.

        Raises
        ------
        DataError
            When nothing is known and no classes are named.
        """
        named = self.classes if classes is None else tuple(classes)
        if not named:
            raise DataError("no rows were learned, so there is no class to answer; use partial_fit")
        no_chance = torch.Generator()  # layers draw weights; nobody else's chance may feel it
        body = BinaryLinear(self.n_in, self.n_features, 1, "binaryconnect", no_chance)
        body.latent_weight.data = self.projection.float().unsqueeze(0)
        head = ByteLinear(self.n_features, len(named), no_chance)
        weight, bias = self._solution()
        known = {c: i for i, c in enumerate(self.classes)}
        head.weight.data = torch.zeros(len(named), self.n_features)
        head.bias.data = torch.full((len(named),), UNSEEN)
        for i, c in enumerate(named):
            if c in known:
                head.weight.data[i], head.bias.data[i] = weight[known[c]], bias[known[c]]
        return nn.Sequential(nn.Flatten(), body, RowThreshold(0), head).eval()

    @torch.no_grad()
    def scores(self, x: Any, classes: Iterable[int] | None = None) -> Tensor:
        """Return what the net answers to uint8 rows, float (n_rows, n_classes), as its Program does."""
        net = self.net(classes)
        parts = torch.split(self._rows(x), N_AT_ONCE)
        return torch.cat([net(part.float()) for part in parts])

    def predict(self, x: Any) -> NDArray[np.int64]:
        """Return the class of each row, int64 (n_rows,)."""
        named: NDArray[np.int64] = np.array(self.classes, np.int64)
        return named[self.scores(x).numpy().argmax(1)]  # type: ignore[no-any-return]

    def program(self, classes: Sequence[int] | None = None) -> Program:
        """Return what is deployed; it answers as `scores` do, bit for bit."""
        named = self.classes if classes is None else tuple(classes)
        return lower_cnn(self.net(named), (self.n_in, 1, 1), classes=named)

    def state_bytes(self) -> int:
        """Return the bytes of the sums and of the projection; the solution is made of them anew."""
        return self._sums.n_bytes() + self.projection.numel()

    def _read(self, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        rows, classes = self._rows(x), y if isinstance(y, Tensor) else torch.tensor(np.asarray(y))
        is_whole = not classes.is_floating_point() and classes.dtype != torch.bool
        if classes.shape != (len(rows),) or not is_whole or (len(rows) and int(classes.min()) < 0):
            raise DataError(
                f"one class for each of {len(rows)} rows expected, a whole number of 0 or more, got "
                f"{classes.dtype} of shape {tuple(classes.shape)}"
            )
        return rows, classes.long()

    def _rows(self, x: Any) -> Tensor:
        rows = x if isinstance(x, Tensor) else torch.tensor(np.asarray(x))
        if rows.dtype != torch.uint8 or rows.ndim != 2 or rows.shape[1] != self.n_in:
            raise DataError(
                f"rows must be uint8 (n_rows, {self.n_in}), got {rows.dtype} {tuple(rows.shape)}"
            )
        return rows

    def _pieces(self, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        pairs = zip(torch.split(x, N_AT_ONCE), torch.split(y, N_AT_ONCE), strict=True)
        return ((self.features(rows), classes) for rows, classes in pairs if len(rows))

    def _solution(self) -> tuple[Tensor, Tensor]:
        """Return weights (n_classes, n_features) and biases, float64; the same for the same sums."""
        if self._solved is None:
            self._solved = _solve(self._sums, self.ridge)
        return self._solved


def _solve(sums: RowSums, ridge: float | Literal["gcv"]) -> tuple[Tensor, Tensor]:
    """Return the ridge regression of one-hot classes with an intercept, which is not shrunk.

    Centring needs no further sums: those of φ over all rows are the sums over classes, added.
    """
    gram, classes = sums.whole_gram(), sorted(sums.n_rows)
    if not classes:
        return torch.zeros(0, len(gram), dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    by_class = torch.stack(
        [sums.by_class[c] for c in classes], 1
    ).double()  # (n_features, n_classes)
    counts = torch.tensor([sums.n_rows[c] for c in classes], dtype=torch.float64)
    total = by_class.sum(1)
    gram -= torch.outer(total, total / sums.n)
    right = by_class - torch.outer(total, counts / sums.n)
    scale = float(gram.diagonal().mean()) or 1.0
    if ridge == "gcv":
        weight = _by_gcv(gram, right, counts, scale)
    else:
        gram.diagonal().add_(ridge * scale)
        weight = torch.cholesky_solve(right, torch.linalg.cholesky(gram))
    return weight.T, (counts - weight.T @ total) / sums.n


def _by_gcv(gram: Tensor, right: Tensor, counts: Tensor, scale: float) -> Tensor:
    """Return weights at the λ of least Σ residual² / (1 − freedom / n)², summed over classes.

    With gram = U e Uᵀ and b = Uᵀ right, weights are U b / (e + λ), the squared residuals of a class are
    n_c (1 − n_c / n) − Σ b² (e + 2λ) / (e + λ)², and the fit has 1 + Σ e / (e + λ) degrees of freedom.
    """
    n = float(counts.sum())
    e, u = torch.linalg.eigh(gram)
    e, b = e.clamp_min(0).unsqueeze(1), u.T @ right
    spread = float((counts * (1 - counts / n)).sum())

    def error(ridge: float) -> float:
        shrunk = e + ridge * scale
        residual = spread - float((b.square() * (shrunk + ridge * scale) / shrunk.square()).sum())
        freedom = min(1 + float((e / shrunk).sum()), n - 1e-9)
        return residual / (1 - freedom / n) ** 2

    best = min(RIDGES, key=error)
    weight: Tensor = u @ (b / (e + best * scale))
    return weight


class AnalyticLearner(Learner):
    """An `AnalyticHead` as the harness sees a learner.

    Parameters
    ----------
    setting : Setting
        Of the comparison; learning rate and hidden layers do not matter.
    head : AnalyticHead
        The head.
    """

    def __init__(self, setting: Setting, head: AnalyticHead) -> None:
        self.setting, self.head = setting, head

    def observe(self, x: Tensor, y: Tensor) -> None:
        """Add rows to the sums."""
        self.head.partial_fit(x, y)

    def scores(self, x: Tensor, task: int | None = None) -> Tensor:
        """Return the answers of the head to rows, float (n_rows, n_classes)."""
        del task
        return self.head.scores(x, range(self.setting.n_classes))

    def state_bytes(self) -> int:
        """Return the bytes of sums and projection."""
        return self.head.state_bytes()

    def programs(self) -> list[Program]:
        """Return the Program of the head."""
        return [self.head.program(range(self.setting.n_classes))]


def make_analytic(setting: Setting, strength: float, *, n_features: int = 2048) -> AnalyticLearner:
    """Return frozen features with an exact head; it has as many features whatever the hidden layers.

    The ridge is a relative one and not chosen by cross-validation, since the harness shows rows several
    times, which such a choice would take for evidence.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    strength : float
        Ridge, see `AnalyticHead`.
    n_features : int, default 2048
        Binary features.

    Examples
    --------
    >>> make_analytic(Setting(4, 2), 0.01, n_features=16).state_bytes()
    1088
    """
    head = AnalyticHead(setting.n_in, n_features, ridge=strength, seed=setting.seed)
    return AnalyticLearner(setting, head)


ANALYTIC = Method(
    name="analytic",
    title="frozen binary features, exact head",
    source="after RanPAC, McDonnell et al. 2023",
    uses=Uses(),
    strengths=(0.001, 0.003, 0.01, 0.03, 0.1),
    strength_name="relative ridge",
    make=make_analytic,
)
