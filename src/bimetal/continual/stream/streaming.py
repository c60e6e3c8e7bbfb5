"""What stands behind `ContinualClassifier`: rows in the order in which they come, one after another.

The first rows are kept until there are enough to find cut-points on; then they, and all that follow,
are learned in mini-batches of one size, which a chunk of rows does not break and does not complete before
its time. So the state depends on the rows and their order, and not on where a stream was cut.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Lists
from bimetal.continual.stream.incoming import Plain, Source, plain_value
from bimetal.continual.stream.labels import Label, Labels
from bimetal.continual.stream.online import OnlineNet
from bimetal.continual.stream.options import StreamOptions
from bimetal.continual.stream.stream_columns import StreamColumns
from bimetal.continual.stream.waiting import FirstRow, Queue
from bimetal.encoders import Encoder
from bimetal.errors import DataError
from bimetal.program import Program
from bimetal.runtime import Engine

__all__ = ["StreamModel"]

FEWEST_STEPS = 200
"""Of the optimizer in a fit on history: a short history is gone through more often."""
TAIL = 0.1
"""Share of a history that is learned last, each row once: what calibrates must not have been seen."""


class StreamModel:
    """The state of a stream that is being learned.

    Parameters
    ----------
    options : StreamOptions
        What was told.
    encoder : Encoder
        Fitted, or to be fitted on the first rows.

    Attributes
    ----------
    labels : Labels
        The classes.
    columns : StreamColumns
        The columns.
    net : OnlineNet or None
        None until there are bits and a class.
    first : list of FirstRow
        Rows of the warm-up.
    queue : Queue
        Rows of a mini-batch that is not complete.
    n_updates : int
        Mini-batches learned so far.
    """

    def __init__(self, options: StreamOptions, encoder: Encoder) -> None:
        self.options = options
        self.columns = StreamColumns(encoder, options.warm_up, options.are_columns_fixed)
        self.labels = Labels()
        self.net: OnlineNet | None = None
        self.first: list[FirstRow] = []
        self.queue = Queue(options.net.batch_size)
        self.n_updates = 0
        self._program: Program | None = None
        self._engine: Engine | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_engine": None}  # is made again from the Program

    def declare(self, labels: Sequence[Label]) -> None:
        """Know classes before a row of them has come."""
        for label in labels:
            self._count(label, 0.0)

    def learn_table(
        self, source: Source, labels: Sequence[Label], weights: Sequence[float]
    ) -> None:
        """Learn rows in their order; nothing is learned when one of them is refused."""
        self.columns.check(source)
        start = 0
        while start < len(source):
            rest = source.part(start, len(source))
            take = self._warm_up if self.columns.encoding is None else self._take
            start += take(rest, labels[start:], weights[start:])

    def learn_one(self, x: Mapping[Any, Any], label: Label, weight: float = 1.0) -> None:
        """Learn one row: exactly what `learn_table` does with a table of one row."""
        if self.columns.encoding is None:
            if not self.columns.names:
                self.columns.are_named = True
            self.columns.require([str(name) for name in x])
            values = {str(name): plain_value(str(name), value) for name, value in x.items()}
            for name, value in values.items():
                self.columns.pending.check(name, value)
            self._remember(values, label, weight)
            return
        row, further = self.columns.row(x)
        self._enqueue(row[None], [label], [weight])
        if further:
            self._gather({name: [value] for name, value in further.items()})

    def learn_history(
        self,
        source: Source,
        labels: Sequence[Label],
        weights: NDArray[np.float64],
        order: np.random.RandomState | None,
    ) -> None:
        """Go through a table several times; with a generator in random order, without in its own."""
        self.columns.notice(source.names)
        if self.columns.encoding is None:
            self.columns.fit(source, labels, weights.tolist())
        rows = self.columns.rows(source)
        codes = np.array([self._count(y, w) for y, w in zip(labels, weights, strict=True)])
        n, size, n_epochs = len(codes), self.options.net.batch_size, self.options.net.n_epochs
        places = np.arange(n) if order is None else order.permutation(n)
        head, tail = np.split(places, [n - int(TAIL * n)])
        n_batches = -(-len(head) // size)
        for epoch in range(max(n_epochs, -(-FEWEST_STEPS // n_batches))):
            passed = head if order is None else order.permutation(head)
            for some in _batches(passed, size):
                self._learn(rows[some], codes[some], weights[some], 1, is_seen=epoch > 0)
        for some in _batches(tail, size):
            self._learn(rows[some], codes[some], weights[some], n_epochs)

    def flush(self) -> None:
        """Learn what waits: a warm-up that is not full, a mini-batch that is not complete."""
        if self.columns.encoding is None and self.first:
            self._end_warm_up()
        if len(self.queue):
            self._learn_queue()

    @property
    def n_waiting(self) -> int:
        """Rows that have come and are not learned yet."""
        return len(self.first) + len(self.queue)

    @property
    def is_ready(self) -> bool:
        """Whether there is a Program."""
        return self.net is not None

    @property
    def program(self) -> Program:
        """The model of today.

        Raises
        ------
        DataError
            When there is none yet.
        """
        encoding = self.columns.encoding
        if encoding is None or self.net is None:
            raise DataError(
                f"no Program yet: {len(self.first)} of {self.options.warm_up} rows of the warm-up have "
                "come; go on, or call flush() to do with these"
            )
        if self._program is None:
            order = self.labels.order
            self._program = self.net.program(
                encoding.columns,
                encoding.op,
                np.array(order, np.intp),
                [self.labels.known[code] for code in order],
                {"estimator": "ContinualClassifier", "n_updates": self.n_updates},
            )
        return self._program

    @property
    def engine(self) -> Engine:
        """The engine of `program`, made when it is first asked for after an update."""
        if self._engine is None:
            self._engine = Engine(self.program)
        return self._engine

    def prior(self) -> NDArray[np.float32]:
        """Return the share of each class so far, float32 (n_classes,), in sorted order of the labels."""
        share = self.labels.prior(self.options.class_weight)
        return share[self.labels.order].astype(np.float32)

    def answers(self, source: Source) -> NDArray[np.float32]:
        """Return probabilities, float32 (n_rows, n_classes), classes in sorted order."""
        if not self.is_ready:
            return np.tile(self.prior(), (len(source), 1))
        return self.engine.run(self.columns.rows(source))

    def answer_one(self, x: Mapping[Any, Any]) -> NDArray[np.float32]:
        """Return the probabilities of one row, float32 (n_classes,)."""
        if not self.is_ready:
            return self.prior()
        row, _ = self.columns.row(x)
        out = np.empty(len(self.labels), np.float32)
        self.engine.predict_into(row, out)
        return out

    def _warm_up(self, source: Source, labels: Sequence[Label], weights: Sequence[float]) -> int:
        """Keep rows of the warm-up; return how many were taken."""
        part = source.part(0, min(len(source), self.options.warm_up - len(self.first)))
        columns = {name: part.plain(name) for name in part.names}
        for i in range(len(part)):
            values = {name: column[i] for name, column in columns.items()}
            self._remember(values, labels[i], weights[i])
        return len(part)

    def _remember(self, values: Mapping[str, Plain | None], label: Label, weight: float) -> None:
        """Keep one row of the warm-up; one without any value tells of its class alone."""
        code = self._count(label, weight)
        self.columns.notice(values)
        present = {name: value for name, value in values.items() if value is not None}
        for name, value in present.items():
            self.columns.pending.add(name, value)
        if present:
            self.first.append(FirstRow(present, code, weight))
        if len(self.first) == self.options.warm_up:
            self._end_warm_up()

    def _end_warm_up(self) -> None:
        """Find cut-points on the rows that are kept, and learn these rows."""
        rows, codes = self.first, [row.code for row in self.first]
        names = [n for n in self.columns.in_order() if any(n in row.values for row in rows)]
        source = Source.of(Lists({n: [row.values.get(n) for row in rows] for n in names}))
        weights = [row.weight for row in rows]
        self.columns.fit(source, [self.labels.known[code] for code in codes], weights)
        self.first = []
        self._require_net()
        self._enqueue(self.columns.rows(source), codes, weights, are_codes=True)

    def _take(self, source: Source, labels: Sequence[Label], weights: Sequence[float]) -> int:
        """Learn rows up to the one that completes a column; return how many were taken."""
        rows = self.columns.rows(source)
        further, n = self.columns.waiting_values(source)
        self._enqueue(rows[:n], labels[:n], weights[:n])
        self._gather({name: column[:n] for name, column in further.items()})
        return n

    def _gather(self, values: Mapping[str, Sequence[Plain | None]]) -> None:
        for order in self.columns.gather(values):
            self._touch()
            if self.net is not None:
                self.net.add_inputs(order)

    def _count(self, label: Label, weight: float) -> int:
        """Count a row of a class, and make room for the class if it is new; return its number."""
        is_new = label not in self.labels
        code = self.labels.add(label, weight)
        if is_new and self.net is not None:
            self.net.add_class(1 / (sum(self.labels.counts) + 2))
            self._touch()
        self._require_net()  # with the very first row: where a chunk ends must not matter
        return code

    def _enqueue(
        self,
        rows: NDArray[np.float32],
        labels: Sequence[Any],
        weights: Sequence[float],
        *,
        are_codes: bool = False,
    ) -> None:
        """Put rows into mini-batches, and learn those that are complete."""
        start = 0
        while start < len(rows):
            some = slice(start, start + self.queue.room)
            codes = list(labels[some])
            if not are_codes:
                codes = [self._count(y, w) for y, w in zip(codes, weights[some], strict=True)]
            self.queue.add(rows[some], codes, list(weights[some]))
            start = some.stop
            if not self.queue.room:
                self._learn_queue()

    def _require_net(self) -> None:
        if self.net is None and self.columns.encoding is not None:
            n_bits = self.columns.encoding.n_bits
            self.net = OnlineNet(self.options.net, n_bits, len(self.labels))
            self._touch()

    def _learn_queue(self) -> None:
        assert self.columns.encoding is not None
        rows, codes, weights = self.queue.rows(len(self.columns.encoding.columns))
        self._learn(rows, codes, weights, self.options.net.n_epochs)
        self.queue.clear()

    def _learn(
        self,
        rows: NDArray[np.float32],
        codes: NDArray[np.intp],
        weights: NDArray[np.float64],
        n_steps: int,
        *,
        is_seen: bool = False,
    ) -> None:
        assert self.columns.encoding is not None and self.net is not None
        weights = weights * self.labels.weights(self.options.class_weight)[codes]
        bits = self.columns.encoding.bits(rows)
        self.net.learn(bits, codes, weights, n_steps, is_seen=is_seen)
        self.n_updates += 1
        self._touch()

    def _touch(self) -> None:
        """Let the Program be made anew: something has changed."""
        self._program = self._engine = None


def _batches(places: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]
