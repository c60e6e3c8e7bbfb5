"""Shared libraries: loaded and called from other languages, and looked at where they cannot run."""

import functools
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_programs import HOSTILE, layered, link, wide_net
from golden.tiny import tiny_program
from hypothesis import HealthCheck, Phase, given, settings
from strategies import programs
from strategies_maps import map_programs

from bimetal import reference
from bimetal.columns import Column
from bimetal.errors import ExportError, MissingToolError
from bimetal.export import Job, Place, job_for
from bimetal.export.c import header
from bimetal.export.clang import CLANG, llvm
from bimetal.export.library import TARGET
from bimetal.export.library.platforms import PLATFORMS, ZIG, platform_named
from bimetal.export.rows import rows_for
from bimetal.export.tools import Tool, call, command
from bimetal.export.verify import hold
from bimetal.program import Pool, Program, Quantize, Readout, Threshold

FUNCTIONS = {
    f"net_{what}"
    for what in (
        "n_columns", "n_points", "n_answers", "id", "selftest", "class", "points", "answers",
        "points_many", "answers_many",
    )
}  # fmt: skip
FEW = settings(
    max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
PLACES = {place.name: place for place in TARGET.places}
CC = command("cc", "apt-get install gcc")
READOBJ, OBJDUMP = llvm("llvm-readobj", "llvm"), llvm("llvm-objdump", "llvm")


def need(*tools: Tool) -> None:
    for tool in tools:
        if tool.find() is None:
            pytest.skip(f"needs {tool.name}: {tool.install}")


def need_for(platform: str) -> None:
    need(CLANG, llvm(platform_named(platform).linker))  # type: ignore[arg-type]


@functools.cache
def hostile() -> Program:
    columns = *map(Column, HOSTILE), Column("kind", "category", ("*/", '"', "\\"))
    return layered(columns, classes=("good", '*/ "bad"'))


def put(program: Program, folder: Path, **options: Any) -> dict[str, bytes]:
    files = TARGET.write(job_for(program, TARGET, "net", "net", options))
    for end, content in files.items():
        (folder / f"net{end}").write_bytes(content)
    return files


def assert_exact(place: Place, program: Program, n: int = 300, **options: Any) -> None:
    need(*place.tools)
    job = job_for(program, TARGET, "net", "net", {**place.options, **options})
    held = hold(TARGET, place, job, n, seed=5)
    assert held.is_exact, held


# ---- called ----


@pytest.mark.parametrize("place", TARGET.places, ids=list(PLACES))
def test_every_language_gets_the_bits_of_the_reference(place: Place) -> None:
    assert_exact(place, hostile(), 3000)


@FEW
@given(program=programs(largest=260))
def test_random_programs_give_the_same_bits(program: Program) -> None:
    assert_exact(PLACES["ctypes"], program)


@FEW
@given(program=map_programs())
def test_random_maps_give_the_same_bits(program: Program) -> None:
    assert_exact(PLACES["ctypes"], program, 60)


@pytest.mark.parametrize("march", ["x86-64-v2", "x86-64-v3"])
def test_a_library_for_newer_processors_gives_the_same_bits(march: str) -> None:
    if platform_named("host") is not PLATFORMS["linux-x86_64"]:
        pytest.skip("needs Linux on x86-64")
    if march.endswith("v3") and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("needs a processor with AVX2")
    assert_exact(PLACES["ctypes"], wide_net((257, 96, 31), 7), 500, march=march)


@pytest.mark.parametrize("place", ["ctypes", "qemu:aarch64"])
def test_ziglang_builds_the_same_bits(place: str) -> None:
    need(ZIG)
    assert_exact(PLACES[place], hostile(), 500, compiler="ziglang")


def test_an_archive_is_linked_into_a_program(tmp_path: Path) -> None:
    need(CC, CLANG, llvm("llvm-ar", "llvm"))
    files = put(hostile(), tmp_path, kind="static")
    assert list(files) == [".a", ".h"]
    (tmp_path / "main.c").write_text(
        '#include "net.h"\nint main(void)\n{\n    float row[NET_N_COLUMNS] = {0};\n'
        "    return net_selftest() + (net_class(row) < 0 || net_class(row) >= NET_N_ANSWERS);\n}\n"
    )
    call([str(CC.find()), "-Wall", "-Werror", "main.c", "net.a", "-o", "main"], tmp_path)
    call(["./main"], tmp_path)


def test_the_class_is_that_of_the_largest_answer(tmp_path: Path) -> None:
    need_for("host")
    files = put(hostile(), tmp_path)
    rows = rows_for(hostile(), 200, 1)
    (tmp_path / "rows.f32").write_bytes(rows.tobytes())
    (tmp_path / "run.py").write_text(
        f"import ctypes, pathlib\nnet = ctypes.CDLL('./net{next(iter(files))}')\n"
        "data = pathlib.Path('rows.f32').read_bytes()\n"
        f"size = {4 * hostile().n_columns}\n"
        "print([net.net_class(data[i:i + size]) for i in range(0, len(data), size)])\n"
    )
    said = call([sys.executable, "run.py"], tmp_path).decode()
    assert said.strip() == str(reference.run(hostile(), rows).argmax(axis=1).tolist())


def test_a_library_with_one_wrong_bit_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(*PLACES["ctypes"].tools)
    rows = rows_for(hostile(), 8)
    word = int(reference.run(hostile(), rows).view(np.uint32)[5, 1])

    def damaged(job: Job) -> str:
        text = header(job)
        assert text.count(f"0x{word:08X}") == 1
        return text.replace(f"0x{word:08X}", f"0x{word ^ 1:08X}")

    monkeypatch.setattr("bimetal.export.clang.header", damaged)
    job = job_for(hostile(), TARGET, "net", "net", {})
    said = f"with 1 wrong golden rows, expected {hostile().id} with none"
    with pytest.raises(ExportError, match=said):
        PLACES["ctypes"].run(job, TARGET.write(job), tmp_path, rows)


# ---- looked at ----


def exported(platform: str, file: Path) -> set[str]:
    """Return the functions that a library offers, by what LLVM's readers say."""
    if platform.startswith(("macos", "ios")):
        said = call([str(OBJDUMP.find()), "--macho", "--exports-trie", file], file.parent).decode()
        return {name.removeprefix("_") for name in re.findall(r"^0x\w+\s+(\S+)", said, re.M)}
    flag = "--coff-exports" if platform.startswith("windows") else "--dyn-symbols"
    said = call([str(READOBJ.find()), flag, file], file.parent).decode()
    return set(re.findall(r"^\s+Name: (\w+)", said, re.M))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_library_offers_its_functions_and_asks_for_nothing(platform: str, tmp_path: Path) -> None:
    need_for(platform)
    need(READOBJ, OBJDUMP)
    found = platform_named(platform)  # type: ignore[arg-type]
    files = put(wide_net((300, 64), 5), tmp_path, platform=platform)
    beside = [".lib"] if platform.startswith("windows") else []
    assert list(files) == [found.suffix, ".h", *beside]
    library = tmp_path / f"net{found.suffix}"
    assert exported(platform, library) == FUNCTIONS
    headers = call([str(READOBJ.find()), "--file-headers", library], tmp_path).decode()
    assert {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}[
        platform.split("-")[1]
    ] in headers
    if found.suffix == ".dll":
        assert (
            "Import {"
            not in call([str(READOBJ.find()), "--coff-imports", library], tmp_path).decode()
        )
    elif found.suffix == ".dylib":
        said = call(
            [str(OBJDUMP.find()), "--macho", "--private-headers", library], tmp_path
        ).decode()
        assert "@rpath/net.dylib" in said and said.count("LC_LOAD_DYLIB") == 1
        assert ("LC_CODE_SIGNATURE" in said) == (platform == "macos-arm64")
        assert not call([str(OBJDUMP.find()), "--macho", "--lazy-bind", library], tmp_path).count(
            b"_mem"
        )
    else:
        said = call(
            [str(READOBJ.find()), "--dynamic-table", "--program-headers", library], tmp_path
        ).decode()
        assert "NEEDED" not in said and "SONAME" in said and "net.so" in said
        assert ("Alignment: 16384" in said) == (platform == "android-aarch64")


def test_the_header_is_plain_c_and_plain_cplusplus(tmp_path: Path) -> None:
    need_for("host")
    need(CC)
    put(hostile(), tmp_path)
    text = (tmp_path / "net.h").read_text()
    assert text.isascii() and "MODEL" not in text and "model" not in text
    assert f'#define NET_ID "{hostile().id}"' in text
    assert f"#define NET_N_COLUMNS {hostile().n_columns} " in text
    for language, standard in (("c", "c99"), ("c++", "c++11")):
        flags = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
        call([str(CC.find()), "-x", language, f"-std={standard}", *flags, "net.h"], tmp_path)


@pytest.mark.parametrize("platform", ["linux-x86_64", "windows-x86_64", "macos-arm64"])
def test_an_export_is_the_same_bytes_every_time(platform: str) -> None:
    need_for(platform)
    job = job_for(tiny_program(), TARGET, "net", "net", {"platform": platform})
    assert TARGET.write(job) == TARGET.write(job)


# ---- refused ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"platform": "amiga"}, "'platform' of target 'library' must be one of host, linux-x86_64"),
        ({"march": "native; rm -rf /"}, "march must be a processor's name in the compiler's words"),
        ({"march": "-o/etc/x"}, "march must be a processor's name"),
        ({"compiler": "ziglang", "kind": "static"}, "ziglang builds shared libraries here; use compiler='clang'"),
        ({"golden": -1}, "golden must be 0 to 256 vectors in the self-test, got -1"),
        ({"golden": 1000}, "golden must be 0 to 256 vectors in the self-test, got 1000"),
    ],
)  # fmt: skip
def test_options_that_no_compiler_understands_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExportError, match=re.escape(message)):
        job_for(tiny_program(), TARGET, "net", "net", options)


def test_a_processor_that_the_compiler_does_not_know_is_reported_in_its_words() -> None:
    need_for("host")
    job = job_for(tiny_program(), TARGET, "net", "net", {"march": "abacus"})
    with pytest.raises(ExportError, match="abacus"):
        TARGET.write(job)


def test_a_net_that_overflows_the_stack_is_refused() -> None:
    n, one, none = 2**21, np.ones(1, np.float32), np.zeros(1, np.float32)
    ops = (
        Quantize(0, one, none),
        Pool(1, "sum", (n, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
        Threshold(2, np.zeros(1, np.int32), np.zeros(1, np.uint8)),
        Readout((3,), np.ones((1, n), np.int8), np.zeros(1, np.int32)),
        link(4, "identity", [1.0], [0.0]),
    )
    program = Program((Column("image", "array", size=n),), ops)
    with pytest.raises(
        ExportError, match=r"work in [\d,]+ bytes of stack, and threads have few more"
    ):
        job_for(program, TARGET, "net", "net", {})


def test_a_name_that_c_keeps_is_refused() -> None:
    with pytest.raises(ExportError, match="the language keeps that word"):
        job_for(tiny_program(), TARGET, "int", "net", {})


def test_a_machine_that_is_no_platform_is_told_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(
        ExportError, match=r"this machine is \w+-vax; platform must be one of linux-x86_64"
    ):
        platform_named("host")
    assert PLACES["ctypes"].missing()[-1].name == "lld"


@pytest.mark.parametrize(
    ("missing", "options"),
    [
        ("clang", {}),
        ("lld-link", {"platform": "windows-x86_64"}),
        ("ld64.lld", {"platform": "macos-arm64"}),
        ("llvm-ar", {"kind": "static"}),
        ("ziglang", {"compiler": "ziglang"}),
    ],
)
def test_a_missing_tool_is_named_with_its_package(
    missing: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Tool.find

    def find(tool: Tool) -> str | None:
        return None if tool.name == missing else found(tool) or "/bin/true"

    monkeypatch.setattr(Tool, "find", find)
    with pytest.raises(MissingToolError, match=f"{missing}.*install"):
        TARGET.write(job_for(tiny_program(), TARGET, "net", "net", options))
