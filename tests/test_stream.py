"""Streaming rows: after every update the answers are those of a full pass, on every instruction set."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import (
    EDGES,
    STRANGE,
    programs,
    random_dense,
    random_encode,
    random_link,
    random_readout,
    random_rows,
    random_rules,
    seeds,
)

from bimetal.columns import Column
from bimetal.errors import ColumnError, DataError, ProgramError
from bimetal.ops import Planes, Quantize
from bimetal.program import EQ, GE, MISSING, Encode, Link, Op, Program, Readout
from bimetal.runtime import Engine, isas

RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
NO_KNOTS, NO_VALUES = np.zeros(0, np.int32), np.zeros(0, np.float32)


def program_of(n_columns: int, *ops: Op) -> Program:
    return Program(tuple(Column(f"x{i}") for i in range(n_columns)), ops)


def tick_program() -> Program:
    """Two columns, three bits each; 7 in the first is a special code."""
    encode = Encode(
        np.array([0, 0, 0, 1, 1, 1], np.uint16), np.array([GE, EQ, MISSING] * 2, np.uint8),
        np.array([0, 7, 0, 0, 2, 0], np.float32),
        np.array([0], np.uint16), np.array([7], np.float32),
    )  # fmt: skip
    readout = Readout((1,), np.array([[1, 10, 100, 1000, 10000, 20000]], np.int16),
                      np.array([5], np.int32))  # fmt: skip
    link = Link(2, "identity", np.ones(1), np.zeros(1), NO_KNOTS, NO_VALUES)
    return Program((Column("bid"), Column("volume")), (encode, readout, link))


def deep_program(n_columns: int = 40, seed: int = 0, layers: int = 3) -> Program:
    """Wide enough that counts and unmet literals are kept, in groups too."""
    rng = np.random.default_rng(seed)
    ops: list[Op] = [random_encode(rng, n_columns, 256)]
    sizes = [256]
    for groups in (1, 4, 1)[:layers]:
        ops.append(random_dense(rng, len(ops), sizes[-1], 640, groups))
        sizes.append(640)
    ops.append(random_rules(rng, 1, 256, 3000, 4))
    sizes.append(3000)
    sources = tuple(range(1, len(ops) + 1))
    ops.append(random_readout(rng, sources, sum(sizes), 3, np.int16))
    ops.append(random_link(rng, len(ops), 3, "softmax"))
    return program_of(n_columns, *ops)


def random_changes(rng: np.random.Generator, row: np.ndarray, n: int) -> tuple:
    """Some columns, some of them twice, with new values, old values and strange ones."""
    indices = rng.integers(0, len(row), n)
    values = random_rows(rng, 1, n)[0]
    is_old = rng.random(n) < 0.2
    values[is_old] = row[indices[is_old]]
    return indices, values


def assert_follows(engine: Engine, rng: np.random.Generator, counts: list[int]) -> None:
    row = random_rows(rng, 1, engine.program.n_columns)[0]
    stream = engine.stream(row)
    out = np.empty(engine.n_outputs, np.float32)
    for step, n in enumerate(counts):
        indices, values = random_changes(rng, row, n)
        for i, value in zip(indices, values, strict=True):
            row[i] = value
        dtype = (np.int32, np.int64, np.uint16)[step % 3]
        stream.update_into(indices.astype(dtype), values, out)
        assert out.tobytes() == engine.run(row[None])[0].tobytes()
        assert stream.row.tobytes() == row.tobytes()
        assert stream.answers.tobytes() == out.tobytes()


# ---- exactness ----


@pytest.mark.parametrize("isa", isas())
@RELAXED
@given(
    program=programs(), seed=seeds(), counts=st.lists(st.integers(0, 60), min_size=1, max_size=6)
)
def test_every_update_of_a_random_program_equals_a_full_pass(isa, program, seed, counts):
    assert_follows(Engine(program, isa=isa), np.random.default_rng(seed), counts)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("seed", range(4))
def test_wide_programs_keep_exact_counts_over_many_updates(isa, seed):
    rng = np.random.default_rng(seed)
    engine = Engine(deep_program(seed=seed, layers=seed), isa=isa)
    assert_follows(engine, rng, [1] * 60 + [2, 8, 40, 0, 100, 1, 3] * 6)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("n", [63, 64, 65, 127, 129, 511, 513, 1025, 2049])
def test_every_width_of_a_dense_is_corrected(isa, n):
    rng = np.random.default_rng(n)
    ops = (
        random_encode(rng, 30, n),
        random_dense(rng, 1, n, 300, 1),
        random_dense(rng, 2, 300, n, 1),
        random_readout(rng, (2, 3), 300 + n, 1 + n % 6, np.int32),
        random_link(rng, 4, 1 + n % 6, "identity"),
    )
    assert_follows(Engine(program_of(30, *ops), isa=isa), rng, [1, 1, 30, 2, 5, 60, 1])


@pytest.mark.parametrize("isa", isas())
def test_every_strange_value_of_a_column_equals_a_full_pass(isa):
    engine = Engine(tick_program(), isa=isa)
    stream = engine.stream(np.zeros(2, np.float32))
    for old in np.r_[STRANGE, EDGES]:
        for new in np.r_[STRANGE, EDGES]:
            for column in (0, 1):
                stream.update({column: old})
                row = stream.row
                row[column] = new
                assert stream.update({column: new}) == engine.run(row[None])[0]


def test_what_cannot_move_the_answers_is_left_out():
    program = deep_program(layers=1)
    rng = np.random.default_rng(1)
    ops = program.ops[:3]  # encode, dense, rules
    dead = (*ops, random_dense(rng, 2, 640, 900, 1), random_readout(rng, (4,), 900, 2, np.int8))
    live = (
        random_readout(rng, (2, 2, 1), 640 * 2 + 256, 2, np.int8),
        random_link(rng, 6, 2, "softmax"),
    )
    assert_follows(Engine(program_of(40, *dead, *live)), rng, [1, 2, 40, 1])


# ---- the public face ----


def test_updates_come_by_name_by_number_and_as_arrays():
    engine = Engine(tick_program())
    stream = engine.stream(np.array([1, -1], np.float32))
    assert stream.answers == [6]
    assert stream.update({"volume": 2}) == [11006]
    assert stream.update({1: -1.0, "bid": np.nan}) == [105]
    assert stream.update({np.int64(0): 7}) == [15]
    assert stream.update(([0, 1], np.array([1, np.nan], np.float32))) == [20006]
    assert stream.update((np.array([1], np.uint64), np.zeros(1, np.float32))) == [1006]
    np.testing.assert_array_equal(stream.row, [1, 0])


def test_an_empty_update_returns_the_kept_answers():
    stream = Engine(tick_program()).stream(np.array([1, -1], np.float32))
    assert stream.update({}) == stream.update(([], [])) == [6]


def test_of_several_values_for_one_column_the_last_counts():
    stream = Engine(tick_program()).stream(np.array([1, -1], np.float32))
    assert stream.update(([0, 0, 0], np.array([-1, np.nan, -1], np.float32))) == [5]


def test_answers_and_rows_are_copies():
    stream = Engine(tick_program()).stream(np.array([1, -1], np.float32))
    first = stream.update({"bid": -1})
    stream.row[:] = 7
    stream.update({"bid": 1})
    assert first == [5]
    assert stream.answers == [6]


def test_a_stream_does_not_watch_the_row_it_began_with():
    row = np.array([1, -1], np.float32)
    stream = Engine(tick_program()).stream(row)
    row[:] = np.nan
    assert stream.update({"volume": 2}) == [11006]


def test_start_takes_a_whole_new_row():
    stream = Engine(tick_program()).stream(np.array([1, -1], np.float32))
    assert stream.start(np.array([np.nan, 2], np.float32)) == [11105]
    assert stream.start(np.array([1, -1, 3, 4], np.float32)[::2]) == [1006]


def test_a_stream_outlives_the_engine_that_made_it():
    update_into = Engine(tick_program()).stream(np.array([1, -1], np.float32)).update_into
    out = np.empty(1, np.float32)
    update_into(np.array([1]), np.array([2], np.float32), out)
    assert out == [11006]


def test_streams_of_one_engine_do_not_know_each_other():
    engine = Engine(tick_program())
    a, b = (engine.stream(np.array([1, -1], np.float32)) for _ in range(2))
    a.update({"bid": -1})
    assert (a.answers, b.answers) == ([5], [6])


def test_an_engine_keeps_one_stream_for_each_thread():
    engine = Engine(tick_program())
    assert engine.start(np.array([1, -1], np.float32)) == [6]
    seen = []

    def other() -> None:
        with pytest.raises(DataError, match="start"):
            engine.update({"bid": -1})
        engine.start(np.array([np.nan, 2], np.float32))
        seen.append(engine.update({"bid": 1}))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [[11006]]
    assert engine.update({"bid": -1}) == [5]


def test_an_engine_is_pickled_without_its_row():
    engine = Engine(tick_program())
    engine.start(np.array([1, -1], np.float32))
    with pytest.raises(DataError, match="start"):
        pickle.loads(pickle.dumps(engine)).update({})


# ---- what is refused, and that the state stays ----

F4 = np.float32
REFUSED = [
    ({"ask": 1}, ColumnError, "no column 'ask'.*bid, volume"),
    ({2: 1}, ColumnError, "numbered 0 to 1, got 2"),
    ({-1: 1}, ColumnError, "got -1"),
    ({1.5: 1}, ColumnError, "name or a whole number"),
    ({"bid": 3, "volume": "2"}, DataError, "'volume': a number expected, got str"),
    ({"bid": None}, DataError, "NoneType"),
    ({"bid": 10**400}, DataError, "'bid': a number expected, got int"),
    ({2**70: 1}, ColumnError, "numbered 0 to 1"),
    (([0, 2], np.ones(2, F4)), ColumnError, "numbered 0 to 1, got 2"),
    (([0, -1], np.ones(2, F4)), ColumnError, "got -1"),
    (([2**40], np.ones(1, F4)), ColumnError, "got 1099511627776"),
    (([0.0], np.ones(1, F4)), DataError, "whole numbers"),
    (([0], np.ones(1)), DataError, "float64"),
    (([0, 1], np.ones(1, F4)), DataError, "one length"),
    (([[0]], np.ones((1, 1), F4)), DataError, "one length"),
    (3, DataError, "mapping.*or two arrays"),
]


@pytest.mark.parametrize(("changed", "error", "message"), REFUSED)
def test_a_refused_update_changes_nothing(changed, error, message):
    stream = Engine(tick_program()).stream(np.array([1, -1], F4))
    with pytest.raises(error, match=message):
        stream.update(changed)
    np.testing.assert_array_equal(stream.row, [1, -1])
    assert stream.answers == [6]
    assert stream.update({"volume": 2}) == [11006]


ONE, OUT = np.ones(1, F4), np.empty(1, F4)
READ_ONLY = np.empty(1, F4)
READ_ONLY.flags.writeable = False
REFUSED_INTO = [
    (([0], ONE, OUT), DataError, "indices must be .* got list"),
    ((np.zeros(1, np.int8), ONE, OUT), DataError, "int32, int64 or uint16.*int8"),
    ((np.zeros(2, np.int32)[::2], np.ones(1), OUT), DataError, "values must be .* float64"),
    ((np.zeros(4, np.int32)[::2], np.ones(2, F4), OUT), DataError, "non-contiguous int32"),
    ((np.zeros(2, np.int32), ONE, OUT), DataError, "one value for each index"),
    ((np.zeros(1, np.int32), ONE, np.empty(2, F4)), DataError, "out must be"),
    ((np.zeros(1, np.int32), ONE, READ_ONLY), DataError, "read-only"),
    ((np.array([0, 2], np.uint16), np.ones(2, F4), OUT), ColumnError, "0 to 1, got 2"),
    ((np.array([0, -1], np.int64), np.ones(2, F4), OUT), ColumnError, "got -1"),
    ((np.zeros(1, np.int32), ONE), TypeError, "got 2 arguments"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED_INTO)
def test_update_into_refuses_and_changes_nothing(arguments, error, message):
    stream = Engine(tick_program()).stream(np.array([-1, -1], F4))
    with pytest.raises(error, match=message):
        stream.update_into(*arguments)
    np.testing.assert_array_equal(stream.row, [-1, -1])
    assert stream.answers == [5]


@pytest.mark.parametrize("row", [np.ones(3, F4), np.ones((1, 2), F4), np.ones(2), [1, 2]])
def test_a_row_of_another_shape_or_type_is_refused(row):
    engine = Engine(tick_program())
    stream = engine.stream(np.array([1, -1], F4))
    for call in (engine.stream, engine.start, stream.start):
        with pytest.raises(DataError, match=r"float32 of shape \(2,\)"):
            call(row)
    assert stream.answers == [6]


def test_programs_of_maps_are_refused_by_the_operation():
    ones, byte = np.ones(4, F4), np.ones(4, np.uint8)
    ops = (
        Quantize(0, ones, 0 * ones),
        Planes(1, 4, np.arange(4, dtype=np.uint16), 255 * byte, 128 * byte),
        Readout((2,), np.ones((1, 4), np.int8), np.zeros(1, np.int32)),
        Link(3, "identity", np.ones(1), np.zeros(1), NO_KNOTS, NO_VALUES),
    )
    engine = Engine(Program((Column("image", "array", size=4),), ops))
    with pytest.raises(ProgramError, match=r"operation 0 is Quantize: use Engine\.predict_into"):
        engine.stream(ones)


def test_numbers_of_an_array_go_by_their_place():
    encode = Encode(np.array([0, 3], np.uint16), np.zeros(2, np.uint8), np.ones(2, F4),
                    np.zeros(0, np.uint16), NO_VALUES)  # fmt: skip
    readout = Readout((1,), np.array([[1, 2]], np.int8), np.zeros(1, np.int32))
    link = Link(2, "identity", np.ones(1), np.zeros(1), NO_KNOTS, NO_VALUES)
    columns = (Column("book", "array", size=3), Column("volume"))
    stream = Engine(Program(columns, (encode, readout, link))).stream(np.zeros(4, F4))
    assert stream.update({"volume": 1}) == [2]
    assert stream.update({0: 1}) == [3]
    with pytest.raises(ColumnError, match="their place"):
        stream.update({"book": 1})
