"""The container: what goes in comes out, the file is what it says, and saving is all or nothing."""

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from golden.tiny import ROWS, tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import programs

from bimetal import reference
from bimetal.columns import Column
from bimetal.errors import FormatError, ProgramError
from bimetal.files import atomic_write
from bimetal.format import MAX_HEADER, dumps, load, loads, save
from bimetal.program import Encode, Link, Program, Readout

GOLDEN = Path(__file__).parent / "golden"
KNOWN = json.loads((GOLDEN / "tiny.json").read_text())


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
@given(programs())
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


# -- the golden file


def test_the_golden_file_is_what_it_was() -> None:
    data = (GOLDEN / "tiny.bimetal").read_bytes()
    assert hashlib.sha256(data).hexdigest() == KNOWN["file_sha256"]
    assert dumps(tiny_program()) == data


def test_the_golden_id_is_what_it_was() -> None:
    assert loads((GOLDEN / "tiny.bimetal").read_bytes()).id == KNOWN["id"]


def test_the_golden_answers_are_what_they_were() -> None:
    answers = reference.run(load(GOLDEN / "tiny.bimetal"), ROWS)
    assert [[float(p).hex() for p in row] for row in answers] == KNOWN["answers"]


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
