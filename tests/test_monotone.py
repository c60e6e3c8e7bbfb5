"""Monotonicity is proved on the whole grid: a proof is always right, a refutation comes with two rows."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from monotone_models import from_rules, grown, program_of, small_encode, small_rows
from numpy.typing import NDArray

from bimetal import reference
from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.errors import DataError, ProgramError
from bimetal.explain.blocks import Block, Tree, remainder
from bimetal.explain.boxes import Boxes, canonical
from bimetal.explain.case import Case
from bimetal.explain.form import points_of
from bimetal.explain.grid import bins_of
from bimetal.explain.monotone import METHODS, Proof, prove_monotone
from bimetal.program import GE, Dense, Encode, Link, Program, Readout

COLUMNS, ENCODE = small_encode(n_numbers=2, n_cuts=3)
TRENDS = [{"x0": 1}, {"x0": -1}, {"x1": 1}, {"x1": -1}]
COMPLETE = ("exhaustive", "solver")
SEEDS = range(8)


def cells(program: Program) -> NDArray[np.float32]:
    """Every cell of the grid as a raw row."""
    values = [[b.value for b in c.bins] for c in bins_of(program)]
    return np.array(list(product(*values)), np.float32)


def least_steps(program: Program, name: str, direction: int) -> NDArray[np.int64]:
    """The least of each step over the whole grid, the slow way."""
    rows, column = cells(program), next(c for c in bins_of(program) if c.name == name)
    points = []
    for b in column.bins[: column.n_ordered]:
        rows[:, column.index] = b.value
        points.append(points_of(program, rows))
    least: NDArray[np.int64] = direction * np.diff(points, axis=0)
    return least.min(axis=1)


def random_program(seed: int, *, rise: int = 0, n_rules: int = 8) -> Program:
    """Rules that know no trend; `rise` makes the thermometer of x0 steep enough to have one."""
    rng = np.random.default_rng(seed)
    n_bits = len(ENCODE.column)
    rules = {
        tuple(
            sorted((2 * rng.choice(n_bits, k, replace=False) + rng.integers(0, 2, k)).tolist())
        ): int(w)
        for k, w in zip(rng.integers(1, 4, n_rules), rng.integers(-9, 9, n_rules), strict=True)
        if w
    }
    direct = rng.integers(-5, 5, n_bits)
    direct[(ENCODE.column == 0) & (ENCODE.kind == GE)] += rise
    return from_rules(COLUMNS, ENCODE, rules, direct, int(rng.integers(100)))


def one(program: Program, trend: dict[str, int], **options: Any) -> Proof:
    (proof,) = prove_monotone(program, trend, **options)
    return proof


def shows(program: Program, proof: Proof) -> bool:
    """Whether two rows differ in the column only and the score goes the wrong way."""
    assert proof.counterexample is not None
    rows = np.array(proof.counterexample, np.float32)
    low, high = points_of(program, rows).tolist()
    j = [c.name for c in program.columns].index(proof.column)
    others = [k for k in range(rows.shape[1]) if k != j]
    is_same = np.array_equal(rows[0, others], rows[1, others], equal_nan=True)
    wrong: bool = is_same and proof.direction * (high - low) == proof.least_step < 0  # type: ignore[operator]
    return wrong and bool(rows[0, j] < rows[1, j])


@pytest.mark.parametrize("rise", [0, 8, 40])
@pytest.mark.parametrize("method", METHODS)
def test_no_method_ever_claims_what_the_whole_grid_denies(method: str, rise: int) -> None:
    for seed, trend in product(SEEDS, TRENDS):
        program = random_program(seed, rise=rise)
        truth = least_steps(program, *next(iter(trend.items()))).min()
        proof = one(program, trend, methods=[method])
        if proof.verdict == "proved":
            assert 0 <= proof.least_step <= truth  # type: ignore[operator]
        elif proof.verdict == "refuted":
            assert truth < 0 and shows(program, proof)
        else:
            assert method not in COMPLETE and proof.why


@pytest.mark.parametrize("seed", SEEDS)
def test_all_methods_together_settle_every_trend(seed: int) -> None:
    program = random_program(seed, rise=seed * 4)
    for trend in TRENDS:
        (name, direction), proof = next(iter(trend.items())), one(program, trend)
        expected = "proved" if least_steps(program, name, direction).min() >= 0 else "refuted"
        assert proof.verdict == expected
        assert proof.n_steps == 3


def test_steep_bits_outweigh_rules_by_signs_alone() -> None:
    proof = one(random_program(1, rise=40), {"x0": 1}, methods=["signs"])
    assert (proof.verdict, proof.method) == ("proved", "signs")


def forest(seed: int = 0) -> tuple[Program, list[Block]]:
    """Trees that rise with x0 and fall with x1, over bits of a card that does so too."""
    rows = small_rows(400, seed, 2, 3)
    known = np.nan_to_num(rows)
    risk = (
        known[:, 1]
        - known[:, 0] * (known[:, 2] == 2)
        + np.random.default_rng(seed).normal(0, 2, 400)
    )
    blocks = grown(ENCODE, rows, risk > np.median(risk), {0: 1, 1: -1}, n_trees=15)
    is_rise = (ENCODE.kind == GE) * np.where(ENCODE.column == 0, 3, -3)
    return program_of(COLUMNS, ENCODE, blocks, is_rise.astype(np.int64), 500), blocks


def test_trees_as_witness_prove_what_single_rules_do_not_show() -> None:
    program, blocks = forest()
    trends = {"x0": 1, "x1": -1}
    proved = prove_monotone(program, trends, blocks, methods=["signs", "blocks"])
    assert [p.verdict for p in proved] == ["proved"] * 2
    assert any("blocks" in p.method for p in proved)
    assert [
        least_steps(program, *t).min() >= p.least_step
        for t, p in zip(trends.items(), proved, strict=True)
    ] == [True] * 2  # type: ignore[operator]
    assert any(p.verdict != "proved" for p in prove_monotone(program, trends, methods=["signs"]))


def test_trees_and_program_are_one_function_although_leaves_were_merged_and_moved() -> None:
    program, blocks = forest()
    case = Case.of(program, blocks)
    assert case.left is not None and all(
        len(box) <= 1 for box in case.left
    )  # the card and the bias
    assert len(case.form.weights) < sum(len(block.leaves) - 1 for block in blocks)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_witness_proves_nothing_that_is_not_so(seed: int) -> None:
    blocks = forest()[1]
    for trend in TRENDS:
        program = random_program(seed, rise=4 * seed)
        proof = one(program, trend, blocks=blocks, methods=["blocks"])
        if proof.verdict == "proved":
            assert least_steps(program, *next(iter(trend.items()))).min() >= 0


def test_a_witness_with_one_point_changed_is_noticed() -> None:
    program, blocks = forest()
    paths = [list(leaf) for leaf in blocks[0].leaves]
    paths[0][1] += 1  # type: ignore[operator]
    changed = [Block(tuple(map(tuple, paths))), *blocks[1:]]  # type: ignore[arg-type]
    left, before = Case.of(program, changed).left, Case.of(program, blocks).left
    assert left != before


def test_a_tree_that_dips_is_outweighed_by_steps_that_rise() -> None:
    x0 = [i for i in range(len(ENCODE.column)) if ENCODE.column[i] == 0 and ENCODE.kind[i] == GE]
    home = int(np.flatnonzero(ENCODE.column == 2)[0])
    dips = Block(
        (((2 * x0[0], 2 * home), -3), ((2 * x0[0], 2 * home + 1), 0), ((2 * x0[0] + 1,), 0))
    )
    direct = np.zeros(len(ENCODE.column), np.int64)
    for rise, verdict in ((3, "proved"), (2, "undecided")):
        direct[x0] = rise
        program = program_of(COLUMNS, ENCODE, [dips], direct)
        assert one(program, {"x0": 1}, blocks=[dips], methods=["blocks"]).verdict == verdict


def random_boxes(case: Case, rng: np.random.Generator) -> Boxes:
    literals = rng.integers(0, len(case.grid.literals), (6, 3))
    found = [case.grid.box(path) for path in literals.tolist()]
    return {box: int(rng.integers(-5, 5)) for box in found if box is not None}


def values_of(case: Case, boxes: Boxes) -> NDArray[np.int64]:
    """The sum of boxes in every cell."""
    total = np.zeros([len(c.bins) for c in case.grid.columns], np.int64)
    for box, points in boxes.items():
        sides = dict(box)
        inside = [
            [b for b in range(len(c.bins)) if sides.get(c.index, -1) >> b & 1]
            for c in case.grid.columns
        ]
        total[np.ix_(*inside)] += points
    return total


@pytest.mark.parametrize("seed", range(20))
def test_the_canonical_form_is_the_same_function_and_empty_only_for_none(seed: int) -> None:
    case, rng = Case.of(random_program(seed)), np.random.default_rng(seed)
    boxes = random_boxes(case, rng)
    form = canonical(case.grid, boxes)
    assert form is not None
    assert (values_of(case, form) == values_of(case, boxes)).all()
    assert bool(form) == bool(values_of(case, boxes).any())
    assert canonical(case.grid, form) == form


def test_boxes_are_the_program() -> None:
    program = random_program(3)
    case = Case.of(program)
    assert (values_of(case, case.boxes).ravel() == points_of(program, cells(program))).all()


def test_a_category_without_a_bit_is_a_cell_of_its_own_where_other_has_one() -> None:
    no = np.zeros(0, "f4")
    encode = Encode(
        np.zeros(2, "u2"), np.ones(2, "u1"), np.array([0, -1], "f4"), no.astype("u2"), no
    )
    readout = Readout((1,), np.array([[3, 5]], "i4"), np.array([0], "i4"))
    link = Link(2, "identity", np.ones(1), np.zeros(1), no.astype("i4"), no)
    program = Program(
        (Column("home", "category", ("own", "rent", "boat")),), (encode, readout, link)
    )
    (home,) = bins_of(program)
    assert [b.label for b in home.bins] == ["own", "other", "rent, boat", "missing"]
    assert home.bin_of(reference.trace(program, [[1]])[1]).tolist() == [2]


def dense_program(seed: int, width: int = 4) -> Program:
    rng = np.random.default_rng(seed)
    n_bits = len(ENCODE.column)
    dense = Dense(
        1, n_bits, pack(rng.random((width, n_bits)) < 0.5), rng.integers(2, n_bits, width, "i4")
    )
    weights = np.r_[rng.integers(-4, 4, n_bits), rng.integers(-3, 3, width)]
    weights[:n_bits][(ENCODE.column == 0) & (ENCODE.kind == GE)] += 4
    no = np.zeros(0, "f4")
    readout = Readout((1, 2), weights[None].astype("i4"), np.array([7], "i4"))
    link = Link(3, "sigmoid", np.full(1, -0.01), np.zeros(1), no.astype("i4"), no)
    return Program(COLUMNS, (ENCODE, dense, readout, link), ("good", "bad"))


@pytest.mark.parametrize("methods", [["signs"], ["exhaustive"], ["search"], ["solver"]])
def test_dense_layers_are_proved_or_refuted_or_left_open_never_guessed(
    methods: Sequence[str],
) -> None:
    verdicts = set()
    for seed in range(5):
        program = dense_program(seed)
        for trend in TRENDS[:2]:
            truth = least_steps(program, *next(iter(trend.items()))).min()
            proof = one(program, trend, methods=methods)
            verdicts.add(proof.verdict)
            if proof.verdict == "refuted":
                assert truth < 0 and shows(program, proof)
            elif proof.verdict == "proved":
                assert truth >= 0
            else:
                assert methods[0] not in COMPLETE
    assert verdicts > {"refuted"} or methods == ["signs"]


def test_without_a_solver_what_needs_one_is_undecided_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    proof = one(random_program(0), {"x0": 1}, methods=["solver"])
    assert proof.verdict == "undecided" and "pip install 'bimetal[binning]'" in proof.why


def test_a_solver_without_time_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    from bimetal.explain import solver

    monkeypatch.setattr(solver._Cells, "solve", lambda self, seconds: ("UNKNOWN", None))
    proof = one(random_program(0), {"x0": 1}, methods=["solver"])
    assert (proof.verdict, proof.why) == ("undecided", "the solver ran out of time")


def test_no_method_at_all_is_undecided() -> None:
    assert one(random_program(0), {"x0": 1}, methods=[]).verdict == "undecided"


def test_a_column_without_cuts_is_monotone() -> None:
    program = random_program(0)
    columns = (*program.columns, Column("unused"))
    proof = one(replace(program, columns=columns), {"unused": -1})
    assert (proof.verdict, proof.n_steps, proof.least_step) == ("proved", 0, 0)


@pytest.mark.parametrize(
    ("trends", "options", "message"),
    [
        ({"income": 1}, {}, "a trend for a column expected, got 'income'"),
        ({"home": 1}, {}, "column 'home' has categories without an order"),
        ({"x0": 2}, {}, "the trend of 'x0' is"),
        ({"x0": 1}, {"methods": ["guess"]}, "methods are .* got 'guess'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    trends: dict[str, int], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prove_monotone(random_program(0), trends, **options)


@pytest.mark.parametrize(
    ("leaves", "message"),
    [
        ((((0,), 1),), "every row must reach exactly one leaf"),
        ((((0,), 1), ((1,), 1), ((2,), 1)), "every row must reach exactly one leaf"),
        ((((9999,), 1),), "it belongs to another Program"),
        ((((0,), 1),) * 1025, "at most 1024 leaves expected, got 1025"),
        ((((0,), 1), ((1,), 1.5)), None),
    ],
)
def test_a_block_that_is_no_tree_is_refused(leaves: Any, message: str | None) -> None:
    if message is None:
        with pytest.raises(ProgramError, match="in whole numbers"):
            Block.from_spec([[list(path), points] for path, points in leaves])
        return
    with pytest.raises(ProgramError, match=f"block 0: .*{message}"):
        prove_monotone(random_program(0), {"x0": 1}, [Block(leaves)])


def test_leaves_that_overlap_as_much_as_they_leave_out_are_refused() -> None:
    grid = Case.of(random_program(0)).grid  # x0 >= 1 in three bins of six
    with pytest.raises(ProgramError, match="block 5: two leaves can be reached by one row"):
        Tree.of(grid, Block((((0,), 1), ((0,), 2))), 5)


def test_what_blocks_leave_over_is_only_what_they_do_not_give() -> None:
    program, blocks = forest()
    case = Case.of(program, blocks)
    values = values_of(case, case.boxes)
    trees = sum(
        (values_of(case, dict(zip(t.boxes, t.points, strict=True))) for t in case.trees),
        start=np.zeros_like(values),
    )
    assert (values_of(case, remainder(case.boxes, case.trees)) == values - trees).all()
