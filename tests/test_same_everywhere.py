"""Every engine of this machine equals the reference, bit for bit, whatever the Program."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import (
    EDGES,
    INT32_MAX,
    programs,
    random_dense,
    random_encode,
    random_link,
    random_readout,
    random_rows,
    random_rules,
    row_counts,
    seeds,
)

from bimetal import reference
from bimetal.columns import Column
from bimetal.program import GE, Encode, Link, Op, Program, Readout, Rules
from bimetal.runtime import Engine, isas

RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def program_of(n_columns: int, *ops: Op) -> Program:
    return Program(tuple(Column(f"x{i}") for i in range(n_columns)), ops)


def assert_equals_reference(program: Program, isa: str, rows: np.ndarray) -> None:
    expected = reference.run(program, rows)
    answers = Engine(program, isa=isa).run(rows)
    assert answers.dtype == expected.dtype
    assert answers.tobytes() == np.ascontiguousarray(expected).tobytes()


def assert_both_forms_equal_reference(program: Program, isa: str, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for n_rows in (1, 3, 600):
        assert_equals_reference(program, isa, random_rows(rng, n_rows, program.n_columns))


@pytest.mark.parametrize("isa", isas())
@RELAXED
@given(program=programs(), n_rows=row_counts(), seed=seeds())
def test_random_programs_give_the_bits_of_the_reference(isa, program, n_rows, seed):
    rows = random_rows(np.random.default_rng(seed), n_rows, program.n_columns)
    assert_equals_reference(program, isa, rows)


@pytest.mark.parametrize("isa", isas())
@settings(parent=RELAXED, max_examples=20)
@given(program=programs(largest=64), seed=seeds(), data=st.data())
def test_a_row_has_the_same_answer_alone_and_in_any_company(isa, program, seed, data):
    rows = random_rows(np.random.default_rng(seed), 300, program.n_columns)
    engine = Engine(program, isa=isa)
    at = data.draw(st.integers(0, 299))
    assert engine.run(rows)[at].tobytes() == engine.run(rows[at : at + 1])[0].tobytes()


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("n_bits", [1, 63, 64, 65, 511, 512, 513, 1025])
def test_every_width_works_in_every_operation(isa, n_bits):
    rng = np.random.default_rng(n_bits)
    program = program_of(
        6,
        random_encode(rng, 6, n_bits),
        random_dense(rng, 1, n_bits, n_bits, 1),
        random_rules(rng, 1, n_bits, n_bits),
        random_rules(rng, 2, n_bits, 70),
        random_readout(rng, (1, 2, 3, 4), 3 * n_bits + 70, 2, np.int16),
        random_link(rng, 5, 2, "identity"),
    )
    assert_both_forms_equal_reference(program, isa)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize(
    ("k_in", "k_out"), [(12, 12), (1, 1), (7, 65), (64, 64), (100, 3), (65, 8)]
)
def test_members_of_any_width_stand_side_by_side(isa, k_in, k_out):
    rng = np.random.default_rng(k_in)
    program = program_of(
        5,
        random_encode(rng, 5, 8 * k_in),
        random_dense(rng, 1, 8 * k_in, 8 * k_out, 8),
        random_dense(rng, 2, 8 * k_out, 8, 8),
        random_readout(rng, (2, 3), 8 * k_out + 8, 1, np.int16),
        random_link(rng, 4, 1, "sigmoid"),
    )
    assert_both_forms_equal_reference(program, isa)


@pytest.mark.parametrize("isa", isas())
def test_neurons_that_always_or_never_fire_do_so(isa):
    rng = np.random.default_rng(1)
    dense = random_dense(rng, 1, 70, 70, 1)
    dense.thresholds.flags.writeable = True
    dense.thresholds[:35], dense.thresholds[35:] = -1, 70
    readout = Readout((2,), np.ones((1, 70), np.int16), np.zeros(1, np.int32))
    program = program_of(3, random_encode(rng, 3, 70), dense, readout, _identity(3))
    for n_rows in (1, 600):
        assert (Engine(program, isa=isa).run(random_rows(rng, n_rows, 3)) == 35).all()


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("n_in", [256, 257, 512, 513, 2000, 32768])
def test_rules_reach_every_bit_of_wide_inputs(isa, n_in):
    rng = np.random.default_rng(n_in)
    program = program_of(
        4,
        random_encode(rng, 4, n_in),
        random_rules(rng, 1, n_in, 130, 3),
        Rules(1, np.array([2 * n_in - 1, 2 * n_in - 2, 0], np.uint16), np.ones(3, np.uint8)),
        random_readout(rng, (2, 3), 133, 1, np.int16),
        random_link(rng, 4, 1, "sigmoid"),
    )
    rows = random_rows(rng, 130, 4)
    assert_equals_reference(program, isa, rows)
    assert_equals_reference(program, isa, rows[:2])


@pytest.mark.parametrize("isa", isas())
def test_repeated_and_contradicting_literals_are_harmless(isa):
    literals = np.array([0, 0, 0, 2, 3, 5, 4, 4, 5, 1], np.uint16)
    rng = np.random.default_rng(0)
    program = program_of(
        3,
        random_encode(rng, 3, 3),
        Rules(1, literals, np.array([3, 2, 1, 3, 1], np.uint8)),
        random_readout(rng, (2,), 5, 1, np.int8),
        random_link(rng, 3, 1, "table"),
    )
    assert_both_forms_equal_reference(program, isa)


@pytest.mark.parametrize("isa", isas())
def test_a_rule_may_have_255_literals(isa):
    rng = np.random.default_rng(5)
    fan_in = np.array([255, 1, 255, 17], np.uint8)
    literals = np.repeat(rng.integers(0, 20, 16, dtype=np.uint16), 33)[: int(fan_in.sum(dtype=int))]
    program = program_of(
        2,
        random_encode(rng, 2, 10),
        Rules(1, literals, fan_in),
        random_readout(rng, (2,), 4, 3, np.int8),
        random_link(rng, 3, 3, "softmax"),
    )
    assert_both_forms_equal_reference(program, isa)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize("sign", [-1, 1])
def test_sums_are_exact_up_to_the_bound_of_int32(isa, dtype, sign):
    n_bits = 700
    always = Encode(  # x >= -1: all bits set for an ordinary number
        np.zeros(n_bits, np.uint16), np.zeros(n_bits, np.uint8), np.full(n_bits, -1, np.float32),
        np.zeros(0, np.uint16), np.zeros(0, np.float32),
    )  # fmt: skip
    largest = min(np.iinfo(dtype).max, (INT32_MAX - 5) // n_bits)
    weights = np.full((1, n_bits), sign * largest).astype(dtype)
    if dtype is np.int32:
        weights[0, -1] += sign * (INT32_MAX - 5 - n_bits * largest)
    program = program_of(
        1, always, Readout((1,), weights, np.array([sign * 5], np.int32)), _identity(2)
    )
    assert_both_forms_equal_reference(program, isa)


@pytest.mark.parametrize("isa", isas())
def test_the_most_negative_weights_count_in_full(isa):
    for dtype in (np.int8, np.int16):
        rng = np.random.default_rng(2)
        weights = np.full((1, 300), np.iinfo(dtype).min, dtype)
        readout = Readout((1,), weights, np.zeros(1, np.int32))
        program = program_of(3, random_encode(rng, 3, 300), readout, _identity(2))
        assert_both_forms_equal_reference(program, isa)


@pytest.mark.parametrize("isa", isas())
def test_answers_beyond_float32_are_infinite_and_probabilities_saturate(isa):
    rng = np.random.default_rng(3)
    for kind, scale in (("identity", 1e270), ("sigmoid", 1e270), ("sigmoid", -0.7)):
        link = Link(2, kind, np.array([scale]), np.array([-1.0]), np.zeros(0, np.int32),
                    np.zeros(0, np.float32))  # fmt: skip
        program = program_of(
            2, random_encode(rng, 2, 40), random_readout(rng, (1,), 40, 1, np.int8), link
        )
        assert_both_forms_equal_reference(program, isa)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_every_one_of_many_columns_is_found(isa, order):
    rng = np.random.default_rng(4)
    column = np.arange(3000, dtype=np.uint16)
    if order == "shuffled":
        rng.shuffle(column)
    encode = Encode(
        column, np.full(3000, GE, np.uint8), rng.choice(EDGES, 3000),
        column[::7], rng.choice(EDGES, len(column[::7])),
    )  # fmt: skip
    readout = random_readout(rng, (1,), 3000, 1, np.int16)
    program = program_of(3000, encode, readout, _identity(2))
    for n_rows in (3, 70):
        assert_equals_reference(program, isa, random_rows(rng, n_rows, 3000))


def _identity(source: int) -> Link:
    return Link(source, "identity", np.ones(1), np.zeros(1), np.zeros(0, np.int32),
                np.zeros(0, np.float32))  # fmt: skip
