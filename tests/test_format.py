"""The container: what goes in comes out, the file is what it says, and saving is all or nothing."""

import errno
import hashlib
import json
import mmap
import os
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from golden.lut import ROWS as LUT_ROWS
from golden.lut import lut_program
from golden.map import ROWS as MAP_ROWS
from golden.map import map_program
from golden.row import ROWS as ROW_ROWS
from golden.row import row_program
from golden.tiny import ROWS as TINY_ROWS
from golden.tiny import tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import programs
from strategies_maps import map_programs

from bimetal import reference
from bimetal.columns import Column
from bimetal.container import MAX_HEADER
from bimetal.errors import FormatError, ProgramError
from bimetal.files import atomic_write
from bimetal.format import dumps, load, loads, save
from bimetal.program import Encode, Link, Program, Readout

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_PROGRAMS = {
    "tiny": (tiny_program, TINY_ROWS),
    "map": (map_program, MAP_ROWS),
    "row": (row_program, ROW_ROWS),
    "lut": (lut_program, LUT_ROWS),
}
MEBIBYTE = 2**20


def score(name: str, categories: tuple[str, ...] = (), **more: object) -> Program:
    """Return the smallest Program over one column of that name."""
    encode = Encode(
        np.array([0], "u2"), np.array([2], "u1"), np.zeros(1, "f4"), np.zeros(0, "u2"),
        np.zeros(0, "f4"),
    )  # fmt: skip
    readout = Readout((1,), np.array([[7]], "i1"), np.array([1], "i4"))
    link = Link(2, "identity", np.ones(1), np.zeros(1), np.zeros(0, "i4"), np.zeros(0, "f4"))
    column = Column(name, "category" if categories else "number", categories)
    return Program((column,), (encode, readout, link), **more)  # type: ignore[arg-type]


def assert_same(a: Program, b: Program) -> None:
    assert (a.spec(), a.id, a.provenance) == (b.spec(), b.id, b.provenance)
    assert a.tensors().keys() == b.tensors().keys()
    for name, array in a.tensors().items():
        assert array.dtype == b.tensors()[name].dtype
        np.testing.assert_array_equal(array, b.tensors()[name])


# -- what goes in comes out


def test_a_saved_program_loads_as_itself(tmp_path: Path) -> None:
    save(tiny_program(), tmp_path / "m.bimetal")
    assert_same(load(tmp_path / "m.bimetal"), tiny_program())


@settings(max_examples=60, deadline=None)
@given(programs() | map_programs(largest=600))
def test_any_program_survives_and_its_cost_is_its_size(program: Program) -> None:
    data = dumps(program)
    assert_same(loads(data), program)
    assert len(data) == 8 + int.from_bytes(data[:8], "little") + program.cost().bytes


def test_a_program_saved_twice_gives_the_same_bytes() -> None:
    data = dumps(tiny_program())
    assert dumps(tiny_program()) == data == dumps(loads(data))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_column_name_survives(name: str) -> None:
    program = score(name, (name + "!", name + "?"))
    assert_same(loads(dumps(program)), program)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    )
)  # fmt: skip
def test_any_flat_provenance_survives(provenance: dict[str, object]) -> None:
    assert loads(dumps(score("age", provenance=provenance))).provenance == provenance


def test_provenance_is_not_part_of_the_id() -> None:
    assert score("age", provenance={"by": "me"}).id == score("age").id


@pytest.mark.parametrize("label", ["good", 1, 0.1, True, -0.0, 1e300, 5e-324])
def test_class_labels_keep_their_type(label: object) -> None:
    tiny = tiny_program()
    program = Program(tiny.columns, tiny.ops, ("other", label))  # type: ignore[arg-type]
    loaded = loads(dumps(program)).classes[1]
    assert repr(loaded) == repr(label)


def test_a_loaded_program_does_not_share_memory_with_its_bytes() -> None:
    program = loads(dumps(tiny_program()))
    for array in program.tensors().values():
        assert array.base is None
        assert not array.flags.writeable


# -- the file is what it says


def test_header_bytes_and_cost_add_to_the_file_size(tmp_path: Path) -> None:
    for program in (tiny_program(), score("age"), loads(dumps(tiny_program()))):
        save(program, tmp_path / "m.bimetal")
        data = (tmp_path / "m.bimetal").read_bytes()
        n_header = int.from_bytes(data[:8], "little")
        assert 8 + n_header + program.cost().bytes == len(data)
        assert n_header % 8 == 0


def test_arrays_lie_on_multiples_of_their_width() -> None:
    data = dumps(tiny_program())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    del header["__metadata__"]
    widths = {"F64": 8, "F32": 4, "I32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1}
    assert all(e["data_offsets"][0] % widths[e["dtype"]] == 0 for e in header.values())


def test_the_safetensors_package_opens_our_file(tmp_path: Path) -> None:
    path = tmp_path / "m.bimetal"
    save(tiny_program(), path)
    with safetensors.safe_open(path, framework="numpy") as file:
        assert file.metadata()["id"] == tiny_program().id
    for name, array in safetensors.numpy.load_file(path).items():
        np.testing.assert_array_equal(array, tiny_program().tensors()[name])


def test_we_open_a_file_that_the_safetensors_package_wrote(tmp_path: Path) -> None:
    data = dumps(tiny_program())
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    safetensors.numpy.save_file(tiny_program().tensors(), tmp_path / "m", metadata)
    assert_same(load(tmp_path / "m"), tiny_program())


# -- the golden files


def known(name: str) -> dict[str, Any]:
    return dict(json.loads((GOLDEN / f"{name}.json").read_text()))


@pytest.mark.parametrize("name", GOLDEN_PROGRAMS)
def test_a_golden_file_is_what_it_was(name: str) -> None:
    data = (GOLDEN / f"{name}.bimetal").read_bytes()
    assert hashlib.sha256(data).hexdigest() == known(name)["file_sha256"]
    assert dumps(GOLDEN_PROGRAMS[name][0]()) == data


@pytest.mark.parametrize("name", GOLDEN_PROGRAMS)
def test_a_golden_id_is_what_it_was(name: str) -> None:
    assert load(GOLDEN / f"{name}.bimetal").id == known(name)["id"]


@pytest.mark.parametrize("name", GOLDEN_PROGRAMS)
def test_golden_answers_are_what_they_were(name: str) -> None:
    answers = reference.run(load(GOLDEN / f"{name}.bimetal"), GOLDEN_PROGRAMS[name][1])
    assert [[float(p).hex() for p in row] for row in answers] == known(name)["answers"]


# -- a file is mapped, not copied


maps_files = pytest.mark.skipif(os.name == "nt", reason="Windows never replaces a mapped file")


def base_of(array: np.ndarray) -> object:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base


def large(n_bytes: int) -> Program:
    """Return a Program of one wide readout of about `n_bytes`."""
    n = 32_768
    encode = Encode(
        np.zeros(n, "u2"), np.full(n, 2, "u1"), np.zeros(n, "f4"), np.zeros(0, "u2"),
        np.zeros(0, "f4"),
    )  # fmt: skip
    weights = np.zeros((n_bytes // n, n), "i1")
    readout = Readout((1,), weights, np.zeros(len(weights), "i4"))
    m = len(weights)
    link = Link(2, "identity", np.ones(m), np.zeros(m), np.zeros(0, "i4"), np.zeros(0, "f4"))
    return Program((Column("age"),), (encode, readout, link))


@maps_files
def test_loaded_arrays_are_read_only_views_of_the_mapped_file() -> None:
    arrays = load(GOLDEN / "map.bimetal").tensors()
    bases = {id(base_of(array)) for array in arrays.values()}
    assert len(bases) == 1  # the file is mapped once
    for array in arrays.values():
        assert isinstance(base_of(array), mmap.mmap)
        assert array.flags.aligned
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


@maps_files
def test_loading_takes_no_memory_for_arrays(tmp_path: Path) -> None:
    save(large(8 * MEBIBYTE), tmp_path / "m.bimetal")
    tracemalloc.start()
    try:
        program = load(tmp_path / "m.bimetal")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert program.cost().bytes > 8 * MEBIBYTE
    assert peak < MEBIBYTE


@pytest.mark.parametrize("replace", [True, False])
def test_a_loaded_program_outlives_its_file(tmp_path: Path, replace: bool) -> None:
    path = tmp_path / "m.bimetal"
    save(map_program(), path)
    program = load(path)
    if replace:
        save(tiny_program(), path)
        assert load(path).id == tiny_program().id
    else:
        path.unlink()
    assert_same(program, map_program())
    assert_same(loads(dumps(program)), program)


def test_what_others_can_write_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    np.ones((1, 1), "i1").tofile(path)
    writable = np.ones((1, 1), "i1")
    view = writable[:]
    view.flags.writeable = False
    for mode in ("r+", "c"):
        mapped = np.memmap(path, "i1", mode, shape=(1, 1))  # type: ignore[call-overload]
        kept = Readout((1,), mapped, np.zeros(1, "i4")).weights
        assert not np.shares_memory(kept, mapped)
    kept = Readout((1,), view, np.zeros(1, "i4")).weights
    writable[:] = 7
    assert kept.tolist() == [[1]]
    read_only = np.memmap(path, "i1", "r", shape=(1, 1))
    assert np.shares_memory(Readout((1,), read_only, np.zeros(1, "i4")).weights, read_only)


def test_arrays_of_a_file_that_is_not_aligned_are_copied(tmp_path: Path) -> None:
    data = dumps(map_program())
    n = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + n].rstrip() + b"   "
    header += b" " * (1 - len(header) % 2)  # an odd length
    path = tmp_path / "m.bimetal"
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + n :])
    assert_same(load(path), map_program())
    assert all(array.flags.aligned for array in load(path).tensors().values())


def test_a_file_that_cannot_be_mapped_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(mmap.mmap):
        def __new__(cls, *_: object, **__: object) -> "Refusing":
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr("bimetal.format.mmap.mmap", Refusing)
    program = load(GOLDEN / "map.bimetal")
    monkeypatch.undo()
    assert_same(program, map_program())
    assert all(array.base is None for array in program.tensors().values())


# -- saving is all or nothing


def raise_no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("existing", [None, b"older model"])
@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bytes | None, call: str
) -> None:
    target = tmp_path / "m.bimetal"
    if existing is not None:
        target.write_bytes(existing)
    monkeypatch.setattr(call, raise_no_space)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        save(tiny_program(), target)
    monkeypatch.undo()
    assert "was not written and no part of it is left" in caught.value.__notes__[0]
    assert [p.name for p in tmp_path.iterdir()] == ([] if existing is None else ["m.bimetal"])
    assert existing is None or target.read_bytes() == existing


LIMITED = """
import resource, sys
from bimetal.format import load, save
program = load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save(program, sys.argv[2])
except OSError as error:
    sys.exit(" ".join([str(error), *error.__notes__]))
"""


def test_a_write_cut_short_by_the_system_leaves_no_part(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    command = [sys.executable, "-c", LIMITED, GOLDEN / "tiny.bimetal", tmp_path / "m.bimetal"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no part of it is left behind" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_block_leaves_no_part(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "x") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_saving_into_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        save(tiny_program(), tmp_path / "nowhere" / "m.bimetal")
    assert "was not written" in caught.value.__notes__[0]


def test_saving_over_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.bimetal").mkdir()
    with pytest.raises(OSError, match="regular file"):
        save(tiny_program(), tmp_path / "m.bimetal")
    assert [p.name for p in tmp_path.iterdir()] == ["m.bimetal"]


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(OSError, match=r"regular file|denied|permitted"):
        save(tiny_program(), "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116


def test_a_link_is_followed_and_permissions_are_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_bytes(b"")
    target.chmod(0o640)
    link.symlink_to(target)
    save(tiny_program(), link)
    assert link.is_symlink()
    assert load(target).id == tiny_program().id
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_loading_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"m\.bimetal"):
        load(tmp_path / "m.bimetal")


# -- what cannot be written


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes", np.float32(1)])
def test_provenance_beyond_json_is_refused(value: object) -> None:
    with pytest.raises(ProgramError, match="provenance must hold finite JSON values"):
        dumps(score("age", provenance={"x": value}))


def test_what_no_reader_would_take_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=f"a header of 2 to {MAX_HEADER} bytes"):
        save(score("age", provenance={"x": "y" * MAX_HEADER}), tmp_path / "m.bimetal")
    assert list(tmp_path.iterdir()) == []
