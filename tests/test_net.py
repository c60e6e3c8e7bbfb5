"""A net of maps runs as `reference.run` says, on every instruction set, kernel and thread count."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.testing import assert_array_equal
from strategies_maps import random_map_program, random_map_rows

from bimetal.program import Conv, Program
from bimetal.reference import run
from bimetal.runtime import KERNELS, Engine, isas
from strategies import seeds


def net_and_rows(seed: int, n_rows: int) -> tuple[Program, np.ndarray]:
    rng = np.random.default_rng(seed)
    program = random_map_program(rng)
    return program, random_map_rows(rng, n_rows, program.n_columns)


@pytest.mark.parametrize("isa", isas())
@settings(max_examples=60)
@given(seed=seeds())
def test_every_isa_equals_the_reference(isa: str, seed: int) -> None:
    program, rows = net_and_rows(seed, n_rows=3)
    assert_array_equal(Engine(program, isa=isa).run(rows), run(program, rows))


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=25)
@given(seed=seeds())
def test_every_kernel_equals_the_reference(isa: str, kernel: str, seed: int) -> None:
    program, rows = net_and_rows(seed, n_rows=2)
    kernels = dict.fromkeys(range(len(program.ops)), kernel)
    assert_array_equal(Engine(program, isa=isa, kernels=kernels).run(rows), run(program, rows))


@pytest.mark.parametrize("isa", isas())
@settings(max_examples=25)
@given(seed=seeds())
def test_threads_and_batches_change_nothing(isa: str, seed: int) -> None:
    program, rows = net_and_rows(seed, n_rows=40)
    expected = run(program, rows)
    for threads in (2, 3):
        engine = Engine(program, isa=isa, threads=threads, batch_size=16)
        assert_array_equal(engine.run(rows), expected)
        assert_array_equal(engine.run(rows[:1]), expected[:1])
        assert len(engine.run(rows[:0])) == 0
