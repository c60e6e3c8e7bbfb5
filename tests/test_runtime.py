"""The engine's manners: what it refuses, how it says so, and that threads and processes share it."""

import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from strategies import programs, random_dense, random_encode, random_readout, random_rows

from bimetal import reference
from bimetal.columns import Column
from bimetal.errors import (
    ColumnError,
    DataError,
    IsaError,
    MissingValueError,
    NotFiniteError,
    ProgramError,
)
from bimetal.program import GE, MISSING, Encode, Link, Program, Readout
from bimetal.runtime import Engine, isas

NO_KNOTS, NO_VALUES = np.zeros(0, np.int32), np.zeros(0, np.float32)


def credit_program(classes=("good", "bad"), golden: bool = True) -> Program:
    """Age, with no missing bit, and income, with one; more points for the old and the poor."""
    encode = Encode(
        np.array([0, 0, 1, 1], np.uint16), np.array([GE, GE, GE, MISSING], np.uint8),
        np.array([30, 50, 1000, 0], np.float32), np.zeros(0, np.uint16), NO_VALUES,
    )  # fmt: skip
    readout = Readout((1,), np.array([[5, 5, -20, 4]], np.int16), np.array([1], np.int32))
    link = Link(2, "sigmoid", np.array([0.1]), np.array([0.0]), NO_KNOTS, NO_VALUES)
    columns = (Column("age"), Column("income"))
    program = Program(columns, (encode, readout, link), classes)
    if not golden:
        return program
    x = np.array([[20, 500], [60, np.nan], [40, 5000]], np.float32)
    return Program(
        columns, (encode, readout, link), classes, {"made": "by hand"}, x, reference.run(program, x)
    )


def wide_program(n_bits: int = 2000) -> Program:
    rng = np.random.default_rng(0)
    ops = (
        random_encode(rng, 10, n_bits),
        random_dense(rng, 1, n_bits, n_bits, 1),
        random_readout(rng, (2,), n_bits, 1, np.int16),
        Link(3, "sigmoid", np.array([1e-5]), np.array([0.0]), NO_KNOTS, NO_VALUES),
    )
    return Program(tuple(Column(f"x{i}") for i in range(10)), ops)


# ---- predictions ----


def test_predict_proba_takes_frames_by_name_and_arrays_by_position():
    engine = Engine(credit_program())
    x = np.array([[20, 500], [60, np.nan]], np.float32)
    frame = pd.DataFrame({"income": x[:, 1], "age": x[:, 0], "hobby": ["chess", "go"]})
    expected = reference.run(engine.program, x)
    np.testing.assert_array_equal(engine.predict_proba(frame), expected)
    np.testing.assert_array_equal(engine.predict_proba(x), expected)


def test_predict_gives_the_most_probable_class():
    x = np.array([[60, 500], [20, 5000]], np.float32)
    assert Engine(credit_program()).predict(x).tolist() == ["bad", "good"]


@pytest.mark.parametrize("classes", [(0, 1), ("0", 1), (False, True), (0.5, 2.5)])
def test_class_labels_stay_what_they_are(classes):
    x = np.array([[20, 5000], [60, 500]], np.float32)
    labels = Engine(credit_program(classes)).predict(x).tolist()
    assert labels == list(classes)
    assert [type(label) for label in labels] == [type(label) for label in classes]


def test_of_equally_probable_classes_the_first_wins():
    program = credit_program(golden=False)
    encode, _, link = program.ops
    nothing = Readout((1,), np.zeros((1, 4), np.int16), np.zeros(1, np.int32))
    tied = Program(program.columns, (encode, nothing, link), program.classes)
    assert Engine(tied).predict(np.zeros((1, 2), np.float32)).tolist() == ["good"]


@pytest.mark.parametrize(("n_targets", "shape"), [(1, (3,)), (2, (3, 2))])
def test_a_regressor_predicts_its_targets(n_targets, shape):
    rng = np.random.default_rng(0)
    link = Link(2, "identity", np.ones(n_targets), np.zeros(n_targets), NO_KNOTS, NO_VALUES)
    ops = (credit_program().ops[0], random_readout(rng, (1,), 4, n_targets, np.int16), link)
    engine = Engine(Program((Column("age"), Column("income")), ops))
    answers = engine.predict(np.ones((3, 2), np.float32))
    assert (answers.shape, answers.dtype) == (shape, np.float32)
    assert engine.n_outputs == n_targets


def test_an_empty_table_gives_no_answers():
    engine = Engine(credit_program())
    assert engine.predict_proba(np.zeros((0, 2), np.float32)).shape == (0, 2)
    assert engine.predict(np.zeros((0, 2), np.float32)).shape == (0,)


def test_run_does_not_mind_the_order_of_memory():
    engine, rows = Engine(wide_program(64)), random_rows(np.random.default_rng(1), 90, 10)
    expected = engine.run(rows)
    np.testing.assert_array_equal(engine.run(np.asfortranarray(rows)), expected)
    np.testing.assert_array_equal(engine.run(rows[::-1])[::-1], expected)


# ---- strange values and wrong tables ----


def test_a_missing_value_without_a_bit_is_refused_by_name():
    engine = Engine(credit_program())
    with pytest.raises(MissingValueError, match="age"):
        engine.predict_proba(np.array([[20, 1], [np.nan, 1]], np.float32))


def test_a_missing_value_with_a_bit_is_welcome():
    x = np.array([[20, np.nan]], np.float32)
    engine = Engine(credit_program())
    np.testing.assert_array_equal(engine.predict_proba(x), reference.run(engine.program, x))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_refused_by_name(value):
    with pytest.raises(NotFiniteError, match="income"):
        Engine(credit_program()).predict(np.array([[20, value]], np.float32))


def test_run_takes_values_as_they_are():
    x = np.array([[np.nan, np.inf], [-np.inf, np.nan]], np.float32)
    engine = Engine(credit_program())
    np.testing.assert_array_equal(engine.run(x), reference.run(engine.program, x))


def test_a_table_of_other_columns_is_refused():
    with pytest.raises(ColumnError, match="income"):
        Engine(credit_program()).predict(pd.DataFrame({"age": [1.0]}))


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 3), np.float32), np.zeros(2, np.float32), np.zeros((2, 2))]
)
def test_run_refuses_rows_of_another_shape_or_type(rows):
    with pytest.raises(DataError, match=r"float32 of shape \(n_rows, 2\)"):
        Engine(credit_program()).run(rows)


# ---- predict_into ----


@pytest.mark.parametrize("n_rows", [0, 1, 2, 40, 600])
def test_predict_into_fills_the_array_given_to_it(n_rows):
    engine = Engine(wide_program(65))
    x = random_rows(np.random.default_rng(n_rows), n_rows, 10)
    out = np.full((n_rows, 2), -1, np.float32)
    assert engine.predict_into(x, out) is None
    np.testing.assert_array_equal(out, reference.run(engine.program, x))


def test_predict_into_takes_one_row_without_its_axis():
    engine = Engine(credit_program())
    x, out = np.array([20, 500], np.float32), np.zeros(2, np.float32)
    engine.predict_into(x, out)
    np.testing.assert_array_equal(out, reference.run(engine.program, x[None])[0])


ROWS, OUT = np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32)
READ_ONLY = np.zeros((4, 2), np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (ROWS.astype(np.float64), OUT, "x must be .* got float64"),
        (ROWS.astype(">f4"), OUT, "x must be .* got >f4"),
        (ROWS.T.copy(), OUT, r"x must be .*\(n_rows, 2\).* shape \(2, 4\)"),
        (np.asfortranarray(ROWS), OUT, "x must be .* got non-contiguous"),
        (ROWS[:, :1], OUT, "x must be"),
        (np.zeros((1, 4, 2), np.float32), OUT, "x must be"),
        (np.float32(3), OUT, "x must be a NumPy array, got numpy.float32"),
        ([[1.0, 2.0]], OUT, "x must be a NumPy array, got list"),
        (ROWS, OUT[:3], r"out must be .*\(4, 2\).* shape \(3, 2\)"),
        (ROWS, OUT.astype(np.float64), "out must be .* got float64"),
        (ROWS, READ_ONLY, "out must be .* writeable .* got read-only"),
        (ROWS, np.zeros(8, np.float32), "out must be"),
        (ROWS, None, "out must be a NumPy array, got NoneType"),
    ],
)
def test_predict_into_refuses_arrays_that_do_not_fit(x, out, message):
    with pytest.raises(DataError, match=message):
        Engine(credit_program()).predict_into(x, out)


def test_predict_into_refuses_a_wrong_number_of_arguments():
    with pytest.raises(TypeError, match="takes x and out, got 1"):
        Engine(credit_program()).predict_into(ROWS)


def test_predict_into_outlives_its_engine():
    predict_into, out = Engine(credit_program()).predict_into, np.zeros((4, 2), np.float32)
    predict_into(ROWS, out)
    np.testing.assert_array_equal(out, reference.run(credit_program(), ROWS))


# ---- instruction sets ----


def test_serial_is_everywhere_and_the_best_comes_first():
    assert isas()[-1] == "serial"
    assert len(set(isas())) == len(isas())


@pytest.mark.parametrize("isa", isas())
def test_an_engine_uses_the_instruction_set_asked_for(isa):
    assert Engine(credit_program(), isa=isa).isa == isa


@pytest.mark.parametrize("isa", isas())
def test_the_environment_forces_an_instruction_set(isa):
    code = (
        "import numpy as np; from test_runtime import *\n"
        "e = Engine(credit_program()); e.self_test(); assert e.isa == np.str_(os.environ['BIMETAL_ISA'])"
    )
    here = os.path.dirname(__file__)  # noqa: PTH120
    subprocess.run([sys.executable, "-c", code], check=True, cwd=here, timeout=60,
                   env=os.environ | {"BIMETAL_ISA": isa})  # fmt: skip


def test_an_argument_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("BIMETAL_ISA", "no such thing")
    assert Engine(credit_program(), isa="serial").isa == "serial"


def test_an_unknown_instruction_set_is_refused_with_those_there_are(monkeypatch):
    monkeypatch.setenv("BIMETAL_ISA", "avx1024")
    with pytest.raises(IsaError, match=r"there is no .*'avx1024'.*available here: .*serial"):
        Engine(credit_program())


def test_an_instruction_set_of_other_machines_is_refused():
    other = "avx2" if "neon" in isas() else "neon"
    with pytest.raises(IsaError, match="this machine lacks"):
        Engine(credit_program(), isa=other)


# ---- self-test, copies, threads ----


@pytest.mark.parametrize("isa", isas())
def test_self_test_passes_on_a_sound_copy(isa):
    Engine(credit_program(), isa=isa).self_test()
    Engine(credit_program(golden=False), isa=isa).self_test()


def test_self_test_notices_one_wrong_bit():
    program = credit_program()
    wrong = program.golden_y.copy()
    wrong[1, 0] = np.nextafter(wrong[1, 0], 1, dtype=np.float32)
    damaged = Program(program.columns, program.ops, program.classes, {}, program.golden_x, wrong)
    with pytest.raises(ProgramError, match="1 of 3 golden rows"):
        Engine(damaged).self_test()


@settings(max_examples=15, deadline=None)
@given(program=programs(largest=65))
def test_a_pickled_engine_is_the_same_engine(program):
    engine = Engine(program)
    copy = pickle.loads(pickle.dumps(engine))
    rows = random_rows(np.random.default_rng(0), 5, program.n_columns)
    assert copy.program.id == program.id
    assert copy.run(rows).tobytes() == engine.run(rows).tobytes()


@pytest.mark.parametrize("n_rows", [1, 300])
def test_threads_share_one_engine(n_rows):
    engine = Engine(wide_program(257))
    tables = [random_rows(np.random.default_rng(i), n_rows, 10) for i in range(4)]
    expected = [reference.run(engine.program, rows) for rows in tables]
    wrong, start = [], threading.Barrier(4)

    def work(i: int) -> None:
        out = np.empty((n_rows, 2), np.float32)
        start.wait()
        for _ in range(50):
            engine.predict_into(tables[i], out)
            if out.tobytes() != expected[i].tobytes():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_long_work_lets_other_threads_run():
    """One call that takes long: the other thread can count only while the lock is free."""
    engine = Engine(wide_program(), isa="serial")
    rows = random_rows(np.random.default_rng(0), 3000, 10)
    out = np.empty((len(rows), 2), np.float32)
    ticks, is_done = 0, threading.Event()
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # a waiting thread never asks for the lock: it must be given up
    try:

        def tick() -> None:
            nonlocal ticks
            ready.set()
            while not is_done.wait(1e-4):
                ticks += 1

        ready = threading.Event()
        thread = threading.Thread(target=tick)
        thread.start()
        ready.wait()
        before = ticks
        engine.predict_into(rows, out)
        during = ticks - before
        is_done.set()
        thread.join()
    finally:
        sys.setswitchinterval(switch_interval)
    assert during > 3
