"""What is written for each application: points, score, decision, reasons, and what is wrong with it.

A wrong value in one application must not stop a job of ten million: that application is refused, and
says why. What is wrong with the table as a whole (a column missing, text where numbers belong) stops
everything, because no row of it can be trusted.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column, to_rows
from bimetal.errors import NotFiniteError
from bimetal.explain.form import points_program
from bimetal.finance.credit.model import CreditModel, Problem
from bimetal.program import MISSING, Encode, Link
from bimetal.reference.link import link as answers_of
from bimetal.runtime import Engine
from bimetal.scale.dates import dated, inputs_of
from bimetal.scale.scores import Scores, answer_fields, label_column, labels_of, likeliest

__all__ = ["DECISIONS", "REFUSED", "CreditScores"]

DECISIONS = ("decline", "refer", "approve", "refused")
REFUSED = DECISIONS.index("refused")

_NOT_MISSING = "a value expected: training saw none missing"
_NOT_FINITE = "a finite number expected, got an infinity or a number beyond 3.4e38"

Rows = NDArray[np.float32]
Mask = NDArray[np.bool_]


class CreditScores(Scores):
    """Score and decide applications.

    The columns are those of a classifier, then ``points`` (int64: exact), ``score`` (float64),
    ``decision`` ("approve", "refer", "decline" or "refused"), with reasons ``reason_1`` to
    ``reason_4`` (code of the group, or its name) each with ``reason_1_points``, and ``problem``. A refused
    application has no answers, points or reasons; a warning in ``problem`` refuses nothing.

    Parameters
    ----------
    model : CreditModel
    isa : str, optional
        As of `Engine`.
    with_reasons : bool
        Whether to say what cost points, for what is not approved.
    as_of : str, optional
        Of a model with dates: the day they count back from, or its column.

    Raises
    ------
    DataError
        When reasons are wanted and the policy has no references.
    """

    def __init__(
        self,
        model: CreditModel,
        isa: str | None = None,
        with_reasons: bool = False,
        as_of: str | None = None,
    ) -> None:
        import pyarrow as pa

        self.model, self.program, self._as_of = model, model.program, as_of
        self.engine = Engine(points_program(model.program), isa=isa)
        self.n_reasons = model.policy.max_reasons if with_reasons else 0
        if with_reasons:
            _ = model.explainer  # without references it says so now, not in the first batch
        self._codes = [model.policy.codes.get(group, group) for group, _ in model.players]
        self._needs_value = _columns_without_missing_bit(model)
        reasons = [(f"reason_{k + 1}", pa.string()) for k in range(self.n_reasons)]
        reasons += [(f"reason_{k + 1}_points", pa.float64()) for k in range(self.n_reasons)]
        self.fields = [
            *answer_fields(model.program),
            ("points", pa.int64()),
            ("score", pa.float64()),
            ("decision", pa.string()),
            *reasons,
            ("problem", pa.string()),
        ]
        self.metadata = {
            "bimetal.model_id": model.id,
            "bimetal.policy_id": model.policy_id,
            "bimetal.file_hash": model.file_hash,
        }

    def inputs(self, names: Collection[str]) -> tuple[tuple[Column, ...], tuple[str, ...]]:
        """Return what is read: dates where the file has them. Raises what `inputs_of` does."""
        return inputs_of(self.model, names, self._as_of)

    def columns(self, batch: Any) -> list[Any]:
        """Return the arrays of `fields`. Raises what `to_rows` and `dated` do."""
        import pyarrow as pa

        table, wrong = pa.Table.from_batches([batch]), list[Problem]()
        if dates := self.model.policy.dates_among(table.column_names):
            table, wrong = dated(table, dates, self._as_of or "")
        rows = self._rows(table)
        # What is wrong with a date is said once, and not again of the number that it did not give.
        spoiled, made = {problem.row for problem in wrong}, {date.name for date in dates}
        found = [p for p in self._found(rows) if p.row not in spoiled or p.column not in made]
        problems, is_refused = self._problems(len(rows), [*wrong, *found])
        points = self.engine.run(rows)[:, 0].astype(np.int64)
        decisions = self._decisions(points, is_refused)
        absent = is_refused if is_refused.any() else None
        return [
            *self._answers(points, absent),
            pa.array(points, mask=absent),
            pa.array(self.model.policy.scaling.score(points), mask=absent),
            label_column(decisions, DECISIONS),
            *self._reasons(rows, decisions),
            problems,
        ]

    def _rows(self, table: Any) -> Rows:
        """Return raw rows; a number that float32 does not hold becomes an infinity, to be refused."""
        try:
            return to_rows(table, self.program.columns)
        except NotFiniteError:
            return to_rows(_with_infinities(table), self.program.columns)

    def _answers(self, points: NDArray[np.int64], absent: Mask | None) -> list[Any]:
        """Return probabilities and class: what the Program's link makes of its points."""
        import pyarrow as pa

        link = self.program.ops[-1]
        assert isinstance(link, Link)
        answers = answers_of(link, points[:, None].astype(np.int32))
        labels = labels_of(self.program)
        probabilities = [pa.array(np.ascontiguousarray(p), mask=absent) for p in answers.T]
        return [*probabilities, label_column(likeliest(answers), labels, absent)]

    def _decisions(self, points: NDArray[np.int64], is_refused: Mask) -> NDArray[np.int8]:
        """Return the number of each decision, as `Policy.decide` makes it."""
        policy = self.model.policy
        decisions = np.where(points >= policy.cutoff, np.int8(2), np.int8(0))
        if policy.refer is not None:
            low, high = policy.refer
            decisions[(points >= low) & (points < high)] = 1
        decisions[is_refused] = REFUSED
        return decisions

    def _reasons(self, rows: Rows, decisions: NDArray[np.int8]) -> Iterator[Any]:
        """Yield the codes of the groups that cost most, worst first, then their points."""
        import pyarrow as pa

        if not self.n_reasons:
            return
        wanted = np.flatnonzero(decisions < DECISIONS.index("approve"))
        worst = np.zeros((len(rows), self.n_reasons), np.intp)
        cost = np.zeros((len(rows), self.n_reasons))
        if len(wanted):
            told = self.model.contributions(rows[wanted])
            order = np.argsort(told.numerators, axis=1, kind="stable")[:, : self.n_reasons]
            n = order.shape[1]
            worst[wanted, :n] = order
            worth = np.take_along_axis(told.numerators, order, axis=1)
            cost[wanted, :n] = _ratio(worth, told.denominator * self.model.policy.scaling.unit)
        for k in range(self.n_reasons):
            yield label_column(worst[:, k], self._codes, cost[:, k] >= 0)
        for k in range(self.n_reasons):
            yield pa.array(np.ascontiguousarray(cost[:, k]), mask=cost[:, k] >= 0)

    def _problems(self, n_rows: int, found: Sequence[Problem]) -> tuple[Any, Mask]:
        """Return what is wrong with each row as text, null where nothing is, and what is refused."""
        import pyarrow as pa

        is_refused = np.zeros(n_rows, bool)
        said: dict[int, list[str]] = {}
        for problem in found:
            said.setdefault(problem.row, []).append(f"{problem.column}: {problem.message}")
            is_refused[problem.row] |= problem.is_refused
        if not said:
            return pa.nulls(n_rows, pa.string()), is_refused
        texts: list[str | None] = [None] * n_rows
        for row, messages in said.items():
            texts[row] = "; ".join(messages)
        return pa.array(texts, pa.string()), is_refused

    def _found(self, rows: Rows) -> Iterator[Problem]:
        yield from self.model.check(rows)
        is_finite = np.isfinite(rows)
        if is_finite.all():
            return
        for j in np.flatnonzero(~is_finite.all(axis=0)):
            name = self.program.columns[j].name
            for i in np.flatnonzero(np.isinf(rows[:, j])):
                yield Problem(int(i), name, "limit", _NOT_FINITE, True)
            if self._needs_value[j]:
                for i in np.flatnonzero(np.isnan(rows[:, j])):
                    yield Problem(int(i), name, "limit", _NOT_MISSING, True)


def _with_infinities(table: Any) -> Any:
    """Return the table with infinities for the numbers that are too large for float32."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for j, name in enumerate(table.column_names):
        column = table.column(j)
        if pa.types.is_float64(column.type) or pa.types.is_decimal(column.type):
            wide = column.cast(pa.float64())
            too_large = pc.greater(pc.abs(wide), float(np.finfo(np.float32).max))
            table = table.set_column(j, name, pc.if_else(too_large, np.inf, wide))
    return table


def _ratio(numerators: NDArray[np.int64], denominator: int) -> NDArray[np.float64]:
    """Divide, rounded once: beyond 2**53 float64 does not hold every numerator, Python's int does."""
    if max(int(np.abs(numerators).max(initial=0)), denominator) <= 2**53:
        return np.asarray(numerators / denominator)
    return np.array([[n / denominator for n in row] for row in numerators.tolist()])


def _columns_without_missing_bit(model: CreditModel) -> Mask:
    needs = np.ones(model.program.n_columns, bool)
    for op in model.program.ops:
        if isinstance(op, Encode):
            needs[op.column[op.kind == MISSING]] = False
    return needs
