"""Every target in every place where it can run gives the bits of the reference.

A new member of `TARGETS` is held to it by being listed. A place whose tools are not here is skipped
by the name of the first that is missing; where ``BIMETAL_REQUIRE_TARGETS`` is set, as in CI, the
places named in `MAIN` must all be here.
"""

import os
from functools import cache
from typing import Any

import numpy as np
import pytest
from golden.lut import lut_program
from golden.map import map_program
from golden.row import row_program
from golden.tiny import tiny_program
from hypothesis import HealthCheck, Phase, given, settings
from strategies import (
    programs,
    random_dense,
    random_encode,
    random_link,
    random_lut,
    random_readout,
    random_rules,
)

from bimetal.columns import Column
from bimetal.errors import ExportError
from bimetal.export import TARGETS, Place, Target, job_for
from bimetal.export.verify import hold
from bimetal.program import Op, Program

MAIN = (
    "host:gcc", "host:clang", "host:sanitizers", "qemu:aarch64", "qemu:armhf", "qemu:s390x", "qemu:riscv64",
    "qemu:cortex-m0", "qemu:cortex-m3", "qemu:cortex-m4", "qemu:cortex-m7", "qemu:cortex-m33", "qemu:cortex-m55",
    "qemu:rv32imc", "qemu:rv32imc_zbb", "qemu:rv64gc", "simavr:atmega328p", "ucsim:8051", "ctypes", "mono", "node",
    "chromium", "onnxruntime", "onnxruntime-web", "qonnx", "hls4ml", "icarus", "verilator", "duckdb", "postgresql",
    "sqlite", "java", "pypmml",
)  # fmt: skip
"""Places that CI installs the tools of."""

PLACES = [(target, place) for target in TARGETS.values() for place in target.places]
FEW_ROWS = {"simavr:atmega328p": 12, "ucsim:8051": 12, "pypmml": 40, "jpmml": 40}
each_place = pytest.mark.parametrize(
    ("target", "place"), PLACES, ids=[f"{t.name}-{p.name}" for t, p in PLACES]
)


def program_of(n_columns: int, *ops: Op) -> Program:
    return Program(tuple(Column(f"x{i}") for i in range(n_columns)), ops)


@cache
def chain() -> Program:
    """Return what every target can say: tests, two dense layers of awkward widths, one score."""
    rng = np.random.default_rng(1)
    encode = random_encode(rng, 5, 37)
    dense = random_dense(rng, 1, 37, 41, 1), random_dense(rng, 2, 41, 10, 1)
    readout = random_readout(rng, (3,), 10, 1, np.int8)
    return program_of(5, encode, *dense, readout, random_link(rng, 4, 1, "sigmoid"))


@cache
def three_classes() -> Program:
    rng = np.random.default_rng(2)
    encode, dense = random_encode(rng, 4, 33), random_dense(rng, 1, 33, 65, 1)
    readout = random_readout(rng, (2,), 65, 3, np.int16)
    return program_of(4, encode, dense, readout, random_link(rng, 3, 3, "softmax"))


@cache
def ensemble() -> Program:
    """Return members side by side, rules, a table of answers, an unread value."""
    rng = np.random.default_rng(3)
    ops = (
        random_encode(rng, 6, 60),
        random_dense(rng, 1, 60, 24, 3),
        random_rules(rng, 1, 60, 35),
        random_dense(rng, 3, 35, 7, 1),
        random_readout(rng, (1, 2, 3), 60 + 24 + 35, 1, np.int16),
        random_link(rng, 5, 1, "table"),
    )
    return program_of(6, *ops)


@cache
def tables() -> Program:
    rng = np.random.default_rng(4)
    ops = (
        random_encode(rng, 4, 24),
        random_lut(rng, 1, 24, 30, 6),
        random_lut(rng, 2, 30, 12, 4),
        random_readout(rng, (3,), 12, 3, np.int8),
        random_link(rng, 4, 3, "identity"),
    )
    return program_of(4, *ops)


FORMS = {
    "chain": chain,
    "three_classes": three_classes,
    "ensemble": ensemble,
    "tables": tables,
    "tiny": tiny_program,
    "row": row_program,
    "lut": lut_program,
    "map": map_program,
}


SLOW = {"verilator": ("chain", "tables"), "hls4ml": ("chain",),
        "onnxruntime-web": ("chain", "ensemble", "row", "lut", "map")}  # fmt: skip
"""Places that take seconds to build: the other forms run in a faster place of the same target."""


def skip_unless_here(place: Place) -> None:
    missing = place.missing()
    if missing:
        pytest.skip(f"needs {missing[0].name}: {missing[0].install}")


def assert_exact(target: Target, place: Place, program: Program, **options: Any) -> None:
    job = job_for(program, target, "net", "net", {**place.options, **options})
    found = hold(target, place, job, FEW_ROWS.get(place.name, 300), seed=7)
    assert found.is_exact, found


def can_say(target: Target, place: Place, program: Program) -> bool:
    if place.largest is not None and program.cost().bytes > place.largest:
        return False
    try:
        job = job_for(program, target, "net", "net", place.options)
        if target.name == "c":  # a header alone knows whether it fits its chip
            target.write(job)
    except ExportError:
        return False
    return True


@each_place
def test_the_chain_can_be_said_everywhere(target: Target, place: Place) -> None:
    assert can_say(target, place, chain())


@pytest.mark.parametrize(
    ("target", "place", "form"),
    [
        pytest.param(t, p, form, id=f"{t.name}-{p.name}-{form}")
        for t, p in PLACES
        for form in SLOW.get(p.name, FORMS)
        if can_say(t, p, FORMS[form]())
    ],
)
def test_the_built_form_equals_the_reference(target: Target, place: Place, form: str) -> None:
    skip_unless_here(place)
    assert_exact(target, place, FORMS[form]())


QUICK = ("host:gcc", "node", "ctypes", "onnxruntime", "duckdb", "sqlite", "icarus", "qonnx")


@pytest.mark.parametrize(
    ("target", "place"), [(t, p) for t, p in PLACES if p.name in QUICK],
    ids=[f"{t.name}-{p.name}" for t, p in PLACES if p.name in QUICK],
)  # fmt: skip
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(program=programs(largest=130))
def test_random_programs_equal_the_reference(
    target: Target, place: Place, program: Program
) -> None:
    skip_unless_here(place)
    if can_say(target, place, program):
        assert_exact(target, place, program)


def test_the_main_places_are_here() -> None:
    """Fail where fewer than the named places could run; without the variable, say what is missing."""
    by_name = {place.name: place for _, place in PLACES}
    assert set(MAIN) <= set(by_name)
    absent = {name: by_name[name].missing()[0].install for name in MAIN if by_name[name].missing()}
    if not os.environ.get("BIMETAL_REQUIRE_TARGETS") and absent:
        pytest.skip(f"not here: {absent}")
    assert not absent
