"""The difference of two Programs: what it counts is what unpacking counts, and its patch loses no bit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.tiny import tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import programs, seeds
from strategies_maps import map_programs
from typer.testing import CliRunner

from bimetal.bits import pack, unpack
from bimetal.cli.app import app
from bimetal.columns import Column
from bimetal.diff import Patch, ProgramDiff, diff
from bimetal.errors import DataError, FormatError
from bimetal.format import dumps, save
from bimetal.program import Conv, Dense, Encode, Program, Readout

TINY = tiny_program()
few = settings(max_examples=15, deadline=None)


def with_op(program: Program, number: int, **parts: Any) -> Program:
    ops = list(program.ops)
    ops[number] = replace(ops[number], **parts)  # type: ignore[type-var]
    return replace(program, ops=tuple(ops))


def jolted(program: Program, rng: np.random.Generator) -> Program:
    """Flip some weights, and move some thresholds and points, of what has any."""
    for i, op in enumerate(program.ops):
        if isinstance(op, Dense):
            k = op.n_in // op.groups
            bits = unpack(op.weights, k) ^ (rng.random((len(op.weights), k)) < rng.choice([0, 0.1]))
            moved = (op.thresholds + rng.integers(-1, 2, len(op.thresholds))).clip(-1, k)
            program = with_op(program, i, weights=pack(bits), thresholds=moved.astype(np.int32))
        elif isinstance(op, Readout):
            half = op.weights // 2  # always within its bounds
            program = with_op(
                program, i, weights=np.where(rng.random(half.shape) < 0.3, half, op.weights)
            )
    return program


@few
@given(st.one_of(programs(), map_programs()))
def test_a_program_does_not_differ_from_itself(program: Program) -> None:
    found = diff(program, program)
    assert found.is_empty and found.n_flips == found.n_moves == 0
    assert found.apply(program) is not None and "the same Program" in found.summary()


@few
@given(programs(), seeds())
def test_flips_and_moves_are_what_unpacking_counts(program: Program, seed: int) -> None:
    other = jolted(program, np.random.default_rng(seed))
    found = diff(program, other)
    pairs = [(a, b) for a, b in zip(program.ops, other.ops, strict=True) if isinstance(a, Dense)]
    for flips, (a, b) in zip(found.flips, pairs, strict=True):
        k = a.n_in // a.groups
        old, new = unpack(a.weights, k), unpack(b.weights, k)  # type: ignore[union-attr]
        assert flips.n == (old != new).sum() and flips.n_weights == old.size
        within = flips.inputs - flips.neurons // (len(old) // a.groups) * k
        assert (old[flips.neurons, within] != new[flips.neurons, within]).all()
    arrays = zip(program.tensors().items(), other.tensors().values(), strict=True)
    numbers = sum(int((x != y).sum()) for (name, x), y in arrays if not name.endswith("weights"))
    points = sum(
        int((a.weights != b.weights).sum())  # type: ignore[union-attr]
        for a, b in zip(program.ops, other.ops, strict=True)
        if isinstance(a, Readout)
    )
    assert found.n_moves == numbers + points
    assert found.is_same_structure


@few
@given(programs(), seeds())
def test_empty_means_that_the_ids_are_equal(program: Program, seed: int) -> None:
    other = jolted(program, np.random.default_rng(seed))
    assert diff(program, other).is_empty == (program.id == other.id)


@few
@given(programs(largest=65), seeds())
def test_the_patch_rolls_forward_and_back_to_the_last_byte(program: Program, seed: int) -> None:
    other = replace(jolted(program, np.random.default_rng(seed)), provenance={"seed": seed})
    patch = Patch.from_bytes(diff(program, other).patch.to_bytes())
    assert dumps(patch.apply(program)) == dumps(other)
    assert dumps(patch.revert(other)) == dumps(program)


@few
@given(programs(largest=65), st.one_of(programs(largest=65), map_programs(largest=500)))
def test_programs_that_have_nothing_in_common_are_compared_too(a: Program, b: Program) -> None:
    found = diff(a, b)
    assert found.is_empty == (a.id == b.id)
    assert dumps(found.apply(a)) == dumps(b) and dumps(found.revert(b)) == dumps(a)
    assert json.loads(found.to_json())["is_empty"] == found.is_empty
    assert found.summary()
    n_paired = len(a.ops) - len(found.ops_removed)
    assert n_paired == len(b.ops) - len(found.ops_added) >= 1  # both end in a Link, at least


@few
@given(map_programs(largest=500), seeds())
def test_a_flip_of_a_convolution_is_found_where_it_was_made(program: Program, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for i, op in enumerate(program.ops):
        if isinstance(op, Conv):
            neuron = int(rng.integers(len(op.weights)))
            weights = op.weights.copy()
            weights[neuron, 0] ^= 1  # every window has a first bit
            (flips,) = [f for f in diff(program, with_op(program, i, weights=weights)).flips if f.n]
            assert (flips.op, flips.neurons.tolist(), flips.inputs.tolist()) == (i, [neuron], [0])


def structure(found: ProgramDiff) -> dict[str, Any]:
    return {k: v for k, v in found._structure().items() if v}


def test_columns_bits_and_classes_that_come_and_go_are_named() -> None:
    renamed = replace(TINY, columns=(*TINY.columns[:-1], replace(TINY.columns[-1], name="home")))
    found = structure(diff(TINY, renamed))
    assert found["columns_added"] == ("home",) and found["columns_removed"] == (
        TINY.columns[-1].name,
    )
    assert all("home" in bit for bit in found["bits_added"])
    relabelled = replace(TINY, classes=tuple(str(c) + "!" for c in TINY.classes))
    assert structure(diff(TINY, relabelled)) == {"is_relabelled": True}
    encode = TINY.ops[0]
    assert isinstance(encode, Encode)
    moved = with_op(TINY, 0, value=encode.value + np.float32(1))
    assert diff(TINY, moved).bits_added and diff(TINY, moved).moves[0].largest == 1


def test_columns_in_another_order_are_seen() -> None:
    columns = (Column("a"), Column("b"))
    a = replace(TINY, columns=(*TINY.columns, *columns), golden_x=np.zeros((0, 0), np.float32),
                golden_y=np.zeros((0, 0), np.float32))  # fmt: skip
    b = replace(a, columns=(*TINY.columns, *columns[::-1]))
    assert structure(diff(a, b)) == {"is_reordered": True} and not diff(a, b).is_empty


def test_minus_zero_is_not_zero() -> None:
    link = TINY.ops[-1]
    a = with_op(TINY, -1, offset=np.zeros_like(link.offset))  # type: ignore[union-attr]
    b = with_op(TINY, -1, offset=-np.zeros_like(link.offset))  # type: ignore[union-attr]
    assert a.id != b.id and not diff(a, b).is_empty and diff(a, b).n_moves == len(link.offset)  # type: ignore[union-attr]


def test_json_lists_no_more_than_it_was_told_but_counts_all() -> None:
    dense = next(i for i, op in enumerate(TINY.ops) if isinstance(op, Dense))
    op = TINY.ops[dense]
    k = op.n_in // op.groups  # type: ignore[union-attr]
    flipped = with_op(TINY, dense, weights=pack(~unpack(op.weights, k)))  # type: ignore[union-attr]
    values = diff(TINY, flipped).values(limit=2)["flips"][0]
    assert values["n"] == values["n_weights"] > 2 == len(values["flips"])
    assert diff(TINY, flipped).flip_share == 1.0


def test_a_patch_refuses_a_program_that_it_was_not_made_for() -> None:
    other = replace(TINY, provenance={"made": "elsewhere"})
    patch = Patch.between(TINY, TINY)
    with pytest.raises(DataError, match="in their order"):
        patch.apply(other)
    with pytest.raises(DataError, match="the patch is for the Program"):
        patch.revert(other)


@few
@given(programs(largest=31), seeds(), st.data())
def test_a_damaged_patch_is_refused_and_never_believed(
    program: Program, seed: int, data: st.DataObject
) -> None:
    other = jolted(program, np.random.default_rng(seed))
    raw = bytearray(diff(program, other).patch.to_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        made = Patch.from_bytes(bytes(raw)).apply(program)
    except (FormatError, DataError):
        return
    assert dumps(made) == dumps(other)  # the byte was one that nothing depends on


@pytest.mark.parametrize("raw", [b"", b"hello", b"x" * 1000])
def test_bytes_that_are_no_patch_are_refused(raw: bytes) -> None:
    with pytest.raises(FormatError, match="patch"):
        Patch.from_bytes(raw)


def test_the_command_says_it_to_machines_and_to_people(tmp_path: Path) -> None:
    dense = next(i for i, op in enumerate(TINY.ops) if isinstance(op, Dense))
    thresholds = TINY.ops[dense].thresholds  # type: ignore[union-attr]
    moved = with_op(TINY, dense, thresholds=np.maximum(thresholds - 1, -1))
    before, after = tmp_path / "a.bimetal", tmp_path / "b.bimetal"
    save(TINY, before)
    save(moved, after)
    run = CliRunner().invoke(app, ["diff", str(before), str(after), "--json"])
    values = json.loads(run.stdout)
    assert run.exit_code == 0 and values["n_flips"] == 0 and not values["is_empty"]
    assert values["n_moves"] == (thresholds != np.maximum(thresholds - 1, -1)).sum()
    shown = CliRunner().invoke(app, ["diff", str(before), str(after)]).stdout
    assert "not the same Program" in shown and "thresholds" in shown
    assert "the same Program" in CliRunner().invoke(app, ["diff", str(before), str(before)]).stdout
