"""A net of maps runs as `reference.run` says, on every instruction set, kernel and thread count."""

import os
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from strategies import seeds
from strategies_maps import random_map_program, random_map_rows

from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.errors import DataError
from bimetal.ops import ByteConv, Conv, Link, Pool, Quantize, Readout
from bimetal.program import Program
from bimetal.reference import run
from bimetal.runtime import KERNELS, Engine, isas

RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
ONE, NONE = np.ones(1, np.float32), np.zeros(1, np.float32)


def net_and_rows(seed: int, n_rows: int) -> tuple[Program, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    program = random_map_program(rng)
    return program, random_map_rows(rng, n_rows, program.n_columns)


def everywhere(program: Program, kernel: str) -> dict[int, str]:
    return dict.fromkeys(range(len(program.ops)), kernel)


@pytest.mark.parametrize("isa", isas())
@RELAXED
@given(seed=seeds())
def test_every_isa_equals_the_reference(isa: str, seed: int) -> None:
    program, rows = net_and_rows(seed, n_rows=3)
    assert_array_equal(Engine(program, isa=isa).run(rows), run(program, rows))


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("kernel", KERNELS)
@RELAXED
@given(seed=seeds())
def test_every_kernel_equals_the_reference(isa: str, kernel: str, seed: int) -> None:
    program, rows = net_and_rows(seed, n_rows=2)
    engine = Engine(program, isa=isa, kernels=everywhere(program, kernel))
    assert_array_equal(engine.run(rows), run(program, rows))


@pytest.mark.parametrize("isa", isas())
@RELAXED
@given(seed=seeds())
def test_threads_and_batches_change_nothing(isa: str, seed: int) -> None:
    program, rows = net_and_rows(seed, n_rows=37)
    expected = run(program, rows)
    for threads in (2, 3):
        engine = Engine(program, isa=isa, threads=threads, batch_size=16)
        assert_array_equal(engine.run(rows), expected)
        assert_array_equal(engine.run(rows[:1]), expected[:1])
        assert len(engine.run(rows[:0])) == 0


def image_net(
    *, side: int = 19, width: int = 96, pad: Any = "0", n_layers: int = 3, seed: int = 0
) -> Program:
    """A net large enough for planes, strips, panels and threads to have several tasks each."""
    rng = np.random.default_rng(seed)
    shape = (side, side, 3)
    same = {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 1, 1, 1), "groups": 1}
    ops: list[Any] = [
        Quantize(0, ONE, NONE),
        ByteConv(
            1,
            "bits",
            shape,
            (3, 3),
            **same,
            pad=rng.integers(0, 256, 3).astype(np.uint8),
            weights=rng.integers(-127, 128, (width, 27)).astype(np.int8),
            bias=rng.integers(-9000, 9000, width).astype(np.int32),
        ),
    ]
    for i in range(n_layers):
        weights = pack(rng.random((width, 9 * width)) < 0.5)
        bias = rng.integers(-20, 20, width).astype(np.int32)
        ops.append(
            Conv(
                i + 2,
                "bits",
                (side, side, width),
                (3, 3),
                pad=pad,
                **same,
                weights=weights,
                bias=bias,
            )
        )
    ops.append(Pool(len(ops), "max", (side, side, width), (3, 3), (2, 2), (0, 0, 0, 0)))
    n = ((side - 3) // 2 + 1) ** 2 * width
    points = rng.integers(-5, 6, (3, n)).astype(np.int8)
    ops.append(Readout((len(ops),), points, np.zeros(3, np.int32)))
    none = np.array([], np.int32)
    ops.append(
        Link(len(ops), "softmax", np.full(3, 0.01), np.zeros(3), none, none.astype(np.float32))
    )
    return Program((Column("image", "array", size=side * side * 3),), tuple(ops))


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("pad", ["-1", "0", "+1"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_larger_maps_equal_the_reference(isa: str, pad: str, kernel: str) -> None:
    program = image_net(pad=pad)
    rows = np.random.default_rng(1).integers(0, 256, (5, program.n_columns)).astype(np.float32)
    expected = run(program, rows)
    for threads in (1, 2):
        engine = Engine(program, isa=isa, threads=threads, kernels=everywhere(program, kernel))
        assert_array_equal(engine.run(rows), expected)


def keeps_threads_busy(engine: Engine, n_rows: int) -> bool:
    """Tell whether a call is long enough for more than one thread (csrc/net/net.hpp)."""
    return n_rows * sum(step.microseconds for step in engine.plan()) > 120


def test_a_blocks_worth_of_rows_and_more_gives_each_row_its_own_answer() -> None:
    program = image_net(side=5, width=32, n_layers=1)
    rows = np.random.default_rng(2).integers(0, 256, (600, program.n_columns)).astype(np.float32)
    engine = Engine(program)
    each = np.concatenate([engine.run(row[None]) for row in rows])
    assert_array_equal(engine.run(rows), each)


def test_callers_on_many_threads_share_an_engine() -> None:
    program = image_net(side=9, width=64)
    rows = np.random.default_rng(3).integers(0, 256, (64, program.n_columns)).astype(np.float32)
    engine, expected = Engine(program, threads=2), run(program, rows)
    assert keeps_threads_busy(engine, len(rows))
    wrong = []

    def call() -> None:
        for _ in range(20):
            if not np.array_equal(engine.run(rows), expected):
                wrong.append(1)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_the_plan_names_the_kernel_of_each_operation_and_can_be_overruled() -> None:
    program = image_net()
    chosen = {step.op: step for step in Engine(program, isa="serial").plan()}
    assert {chosen[i].name for i in (2, 3, 4)} == {"conv"}
    assert all(step.microseconds >= 0 for step in chosen.values())
    for kernel in ("words", "planes", "any"):
        steps = Engine(program, isa="serial", kernels={2: kernel}).plan()
        assert kernel in {step.kernel for step in steps if step.op == 2}


def test_a_profile_has_a_time_for_every_step() -> None:
    program = image_net(side=7, width=32)
    engine = Engine(program)
    profile = engine.profile(np.zeros((2, program.n_columns), np.float32))
    assert [step for step, _ in profile] == engine.plan()
    assert all(seconds >= 0 for _, seconds in profile)


def test_a_pickled_engine_keeps_its_options() -> None:
    program = image_net(side=7, width=32)
    copy = pickle.loads(pickle.dumps(Engine(program, threads=2, batch_size=4)))
    rows = np.ones((2, program.n_columns), np.float32)
    assert copy.threads == 2
    assert_array_equal(copy.run(rows), run(program, rows))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_works_without_the_threads_it_lost() -> None:
    program = image_net(side=9, width=64)
    rows = np.random.default_rng(4).integers(0, 256, (64, program.n_columns)).astype(np.float32)
    engine = Engine(program, threads=3)
    assert keeps_threads_busy(engine, len(rows))
    expected = engine.run(rows)
    child = os.fork()
    if child == 0:
        is_right = np.array_equal(engine.run(rows), expected)
        del engine  # its threads are not there to be joined
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_rows_of_another_width_are_refused() -> None:
    program = image_net(side=7, width=32)
    with pytest.raises(DataError, match=f"n_rows, {program.n_columns}"):
        Engine(program).run(np.zeros((1, 5), np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "at least 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"threads": 2, "cpus": [0]}, "2 threads need 2 cpus"),
        ({"kernels": {2: "magic"}}, "one of"),
        ({"kernels": {99: "words"}}, "number of an operation"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Engine(image_net(side=7, width=32), **options)
