"""Where does the price go within the next second? A net of look-up tables for an FPGA beside the exchange.

Every event of the order book becomes fifteen whole numbers (queues, spread, order flow, signed volume),
every number a few thermometer bits, and the bits run through three layers of neurons that read six
bits each: one look-up table a neuron. Both binary nets learn from the answers of the boosted trees,
which are less noisy than what happened. The split is in time, with a gap as long as the horizon; prior,
logistic regressions, LightGBM and a dense binary net stand in the same table, and it says who wins.
Sizes and rates of the nets were chosen with a look at the afternoon of this one day, so their lines are
a little too kind to them. Costs, queues and the time to reach the exchange are not in it: this is a
signal, not a strategy.

    python examples/order_flow_signal.py
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import torch
from _story import tell
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import cross_entropy

from bimetal import export
from bimetal.encoders import QuantileEncoder
from bimetal.errors import MissingToolError
from bimetal.lower import lower_encoded
from bimetal.nn import (
    BinaryLinear,
    GroupSum,
    LutLinear,
    Sign,
    TrainConfig,
    lut_areas,
    train,
)
from bimetal.program import Program
from bimetal.runtime import Engine

HORIZON_NS = 1_000_000_000
CLASSES = ("down", "flat", "up")
WINDOWS = (5, 20, 100)  # events
MOST = 32_767  # int16
BITS_PER_COLUMN, HIDDEN = 8, (256, 192, 96)  # 544 neurons
ENOUGH = 29_000  # events to train a binary net on
Fitted = Callable[[slice], NDArray[np.float64]]


def main() -> None:
    """Train on the morning, choose on the noon, test on the afternoon, write, prove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--stock", choices=("goog_l10", "aapl_l1"), default="goog_l10")
    parser.add_argument("--vectors", type=int, default=500, help="to run in the simulator")
    parser.add_argument("--out", type=Path, default=Path("runs/order_flow"))
    given = parser.parse_args()
    torch.set_num_threads(1)

    title, book = events(given.stock)
    data = Ticks.of(book)
    encoder = QuantileEncoder(max_bits_per_column=BITS_PER_COLUMN).fit(data.X.iloc[data.train])
    bits = encoder.transform(data.X)
    seeds, n_bits = range(given.seeds), bits.shape[1]
    trees = [boosted(data, seed) for seed in seeds]
    nets = {
        "dense binary net": [dense_net(n_bits, seed) for seed in seeds],
        "net of tables": [lut_net(n_bits, seed) for seed in seeds],
    }
    rows = {
        "prior of the morning": [prior(data)],
        "logistic regression": [logistic(data, data.X.to_numpy(np.float64))],
        "logistic, same bits": [logistic(data, bits.astype(np.float64))],
        "LightGBM": trees,
    } | {
        name: [trained(net, trees[seed], data, bits, seed) for seed, net in enumerate(each)]
        for name, each in nets.items()
    }
    shares = np.bincount(data.y[data.test], minlength=3) / len(data.y[data.test])
    tell(
        f"{title}: {len(data.y):,} events, of which {len(data.y[data.test]):,} at the end are the test",
        **{f"share_{name}": f"{share:.1%}" for name, share in zip(CLASSES, shares, strict=True)},
    )
    tell(f"The test, mean ± spread over {given.seeds} seeds", **table(data, rows))

    net = nets["net of tables"][0]
    program = lower_encoded(
        net, encoder.columns_, encoder.op_, classes=CLASSES, lowest=-1.0,
        provenance={"task": "mid-price within one second", "data": title},
    )  # fmt: skip
    test = data.X.iloc[data.test].to_numpy(np.float32)
    packed = Engine(program).run(test)
    torch_says = rows["net of tables"][0](data.test)
    if not np.array_equal(packed.argmax(1), torch_says.argmax(1)):
        raise SystemExit("the packed net answers other than torch")
    tell("The net as tables", **size_of(net, program, len(encoder.op_.column)))
    written_and_proved(program, test, given.out, given.vectors)


# -- the data


@dataclass(frozen=True)
class Ticks:
    """What is known at each event, what came within the horizon, and the split in time."""

    X: pd.DataFrame
    y: NDArray[np.int64]
    train: slice
    valid: slice
    test: slice

    @classmethod
    def of(cls, book: pd.DataFrame) -> "Ticks":
        """Return 60 % of the events to learn from, 20 % to choose by, 20 % to test on."""
        time = book["time_ns"].to_numpy()
        middle = (book["bid"] + book["ask"]).to_numpy()  # in half cents
        later = np.searchsorted(time, time + HORIZON_NS, side="right") - 1
        known = np.arange(len(book)) >= max(WINDOWS)
        kept = np.flatnonzero(known & (time + HORIZON_NS <= time[-1]))
        y = (np.sign(middle[later] - middle)[kept] + 1).astype(np.int64)
        ends = [int(len(kept) * share) for share in (0.6, 0.8)]
        # no label of one part looks into the next
        gaps = [
            int(np.searchsorted(time[kept], time[kept[e - 1]] + HORIZON_NS, "right")) for e in ends
        ]
        parts = slice(0, ends[0]), slice(gaps[0], ends[1]), slice(gaps[1], len(kept))
        return cls(features(book).iloc[kept].reset_index(drop=True), y, *parts)


def features(book: pd.DataFrame) -> pd.DataFrame:
    """Return whole numbers of 16 bits: no division, so that an FPGA can make them, too."""
    bid, ask = book["bid"], book["ask"]
    found = {
        "spread": ask - bid,
        "bid_size": book["bid_size"],
        "ask_size": book["ask_size"],
        "imbalance": book["bid_size"] - book["ask_size"],
        "flow": (flow := order_flow(book)),
        "trade": book["trade"],
    }
    for n in WINDOWS:
        found[f"flow_{n}"] = flow.rolling(n, min_periods=1).sum()
        found[f"volume_{n}"] = book["trade"].rolling(n, min_periods=1).sum()
        found[f"move_{n}"] = (bid + ask).diff(n).fillna(0)
    return pd.DataFrame(found).clip(-MOST, MOST).astype(np.int16)


def order_flow(book: pd.DataFrame) -> pd.Series:
    """Return by how much buyers' queue grew and sellers' shrank (Cont, Kukanov & Stoikov 2014)."""
    change: list[pd.Series] = []
    for side, better in (("bid", 1), ("ask", -1)):
        moved = np.sign(book[side].diff().fillna(0)) * better
        size, before = book[f"{side}_size"], book[f"{side}_size"].shift(fill_value=0)
        change.append(size.where(moved >= 0, 0) - before.where(moved <= 0, 0))
    return change[0] - change[1]


def events(stock: str) -> tuple[str, pd.DataFrame]:
    """Return the best quotes and trades of a day at NASDAQ, or of a made-up book."""
    file = (
        Path(os.environ.get("BIMETAL_DATA", "")) / f"lobster_{stock}" / f"lobster_{stock}.parquet"
    )
    if not file.is_file():
        return "A MADE-UP order book (set BIMETAL_DATA for LOBSTER's)", made_up()
    raw = pd.read_parquet(file)
    is_trade = raw["type"].isin([4, 5])
    book = pd.DataFrame({
        "time_ns": raw["time_ns"],
        "bid": raw["bid_price_1"] // 100,
        "ask": raw["ask_price_1"] // 100,
        "bid_size": raw["bid_size_1"],
        "ask_size": raw["ask_size_1"],
        "trade": (-raw["direction"] * raw["size"]).where(is_trade, 0),  # the taker's side
    })  # fmt: skip
    return f"{stock[:4].upper()} at NASDAQ, 2012-06-21", book


def made_up(n: int = 40_000, seed: int = 0) -> pd.DataFrame:
    """Return a book of two queues, whose orders keep to one side for a while.

    An order adds to its own side's queue, or takes from the other; a queue that is used up moves the
    price by a cent, and both queues begin anew.
    """
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.exponential(0.05e9, n)).astype(np.int64)
    turns, takes = rng.random(n) < 0.03, rng.random(n) < 0.5
    sizes, fresh = rng.geometric(0.02, n), rng.integers(50, 250, (n, 2))
    bid, queue, side = 10_000, [150, 150], 1
    rows = np.zeros((n, 5), np.int64)
    for i in range(n):
        side = -side if turns[i] else side
        buys = side if rng.random() < 0.75 else -side  # an order goes against the tide at times
        mine = 0 if buys > 0 else 1
        queue[1 - mine if takes[i] else mine] += -sizes[i] if takes[i] else sizes[i]
        if queue[1 - mine] <= 0:
            bid, queue = bid + buys, fresh[i].tolist()
        rows[i] = bid, bid + 1, *queue, buys * sizes[i] * takes[i]
    names = ["bid", "ask", "bid_size", "ask_size", "trade"]
    return pd.DataFrame(rows, columns=names).assign(time_ns=time)


# -- the nets and their rivals


def lut_net(n_bits: int, seed: int) -> nn.Sequential:
    """Return three layers of look-up tables; each class counts the votes of a third of the last."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (n_bits, *HIDDEN)
    layers = [LutLinear(n, m, fan_in=6, degree=2, generator=generator) for n, m in pairwise(sizes)]
    return nn.Sequential(*layers, GroupSum(HIDDEN[-1], len(CLASSES)))


def dense_net(n_bits: int, seed: int) -> nn.Sequential:
    """Return two dense binary layers, the usual kind of binary net."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for n, m in ((n_bits, 128), (128, 96)):
        layers += [BinaryLinear(n, m, generator=generator), nn.BatchNorm1d(m), Sign()]
    return nn.Sequential(*layers, GroupSum(96, len(CLASSES)))


def trained(
    net: nn.Sequential, teacher: Fitted, data: Ticks, bits: NDArray[np.bool_], seed: int
) -> Fitted:
    """Learn the teacher's answers to some events (neighbours are much alike), best epoch by noon."""
    x, y = torch.from_numpy(bits).float() * 2 - 1, torch.from_numpy(data.y)
    some = slice(data.train.start, data.train.stop, max(1, data.train.stop // ENOUGH))
    wanted = torch.from_numpy(teacher(some)).float()

    def loss(rows: torch.Tensor) -> torch.Tensor:
        return cross_entropy(net(x[some][rows]), wanted[rows])

    @torch.no_grad()
    def at_noon() -> float:
        return float(cross_entropy(net(x[data.valid]), y[data.valid]))

    config = TrainConfig(4, 512, 1e-2, weight_decay=0.1, patience=None, seed=seed)
    train(net, loss, len(wanted), config, at_noon)

    @torch.no_grad()
    def answers(rows: slice) -> NDArray[np.float64]:
        return torch.softmax(net(x[rows]).double(), dim=1).numpy()

    return answers


def prior(data: Ticks) -> Fitted:
    """Answer with the shares of the classes in the morning, whatever comes."""
    shares = np.bincount(data.y[data.train], minlength=3) / len(data.y[data.train])
    return lambda rows: np.tile(shares, (len(data.y[rows]), 1))


def logistic(data: Ticks, X: NDArray[np.float64]) -> Fitted:
    """Fit a logistic regression."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(X[data.train], data.y[data.train])
    return lambda rows: model.predict_proba(X[rows])


def boosted(data: Ticks, seed: int) -> Fitted:
    """Fit boosted trees, as many as do best at noon."""
    options = {
        "objective": "multiclass", "num_class": 3, "learning_rate": 0.05, "min_data_in_leaf": 100,
        "bagging_fraction": 0.8, "bagging_freq": 1, "seed": seed, "num_threads": 1, "verbose": -1,
    }  # fmt: skip
    morning, noon = (
        lightgbm.Dataset(data.X.iloc[rows], data.y[rows]) for rows in (data.train, data.valid)
    )
    stop = lightgbm.early_stopping(20, verbose=False)
    trees = lightgbm.train(options, morning, 400, [noon], callbacks=[stop])
    return lambda rows: np.asarray(trees.predict(data.X.iloc[rows]))


# -- what came of it


def table(data: Ticks, rows: dict[str, list[Fitted]]) -> dict[str, str]:
    """Return log loss, AUC (each class against the rest) and balanced accuracy of every model."""
    y, lines = data.y[data.test], {}
    for name, fitted in rows.items():
        each = []
        for answers in fitted:
            p = answers(data.test)
            auc = roc_auc_score(y, p, multi_class="ovr")
            each.append((log_loss(y, p), auc, balanced_accuracy_score(y, p.argmax(1))))
        mean, spread = np.mean(each, axis=0), np.std(each, axis=0)
        figures = [f"{m:.4f} ± {s:.4f}" for m, s in zip(mean, spread, strict=True)]
        lines[name] = "log loss {}  AUC {}  balanced accuracy {}".format(*figures)
    return lines


def size_of(net: nn.Module, program: Program, n_bits: int) -> dict[str, str]:
    """Return what the tables need, counted without a synthesis tool."""
    areas = lut_areas(net).values()
    return {
        "encoder": f"{n_bits} comparisons of int16 numbers with constants",
        "neurons": " → ".join(str(area.n_neurons) for area in areas),
        "tables_left": f"{sum(area.n_luts() for area in areas)} of 6 inputs, without constants, "
        "wires and repetitions",
        "mean_fan_in": f"{np.mean([n for area in areas for n in area.fan_in]):.2f} inputs that matter",
        "packed": f"{program.cost().bytes:,} bytes; the same classes as torch on the whole test",
    }


def written_and_proved(
    program: Program, test: NDArray[np.float32], out: Path, vectors: int
) -> None:
    """Write the Verilog where this version can, and run it in a simulator where one is here."""
    if "verilog" not in export.TARGETS:
        tell("Written", verilog="not yet: this version has no target 'verilog'")
        return
    out.mkdir(parents=True, exist_ok=True)
    written = export.export(program, out / "order_flow.v", input="int16")
    tell("Written", files=", ".join(str(path) for path in written))
    try:
        found = export.verify(program, "icarus", rows=test[:vectors], input="int16")
    except MissingToolError as error:
        tell("Not run here", icarus=str(error))
        return
    if not found.is_exact:
        raise SystemExit(f"the Verilog differs from the reference: {found}")
    tell(
        "Proved",
        icarus=f"{found.n_rows:,} events of the test equal the reference, bit for bit",
        latency=f"{found.notes['cycles']} clock cycles, encoder included; an event may enter at every one",
        in_nanoseconds="cycles times the period of a chip; a rate that nextpnr names is an estimate, and "
        "no chip was measured",
    )


if __name__ == "__main__":
    main()
