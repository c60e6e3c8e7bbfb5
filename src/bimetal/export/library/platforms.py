"""The systems that a library can be built for, and the words that build it there.

clang compiles for all of them, and LLVM's linkers make ELF (Linux, Android), Mach-O (macOS, iOS) and
PE (Windows) on any machine: a net needs no C library, so no system's files are needed either.
"""

import platform as here
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bimetal.errors import ExportError
from bimetal.export.c.options import CoreName
from bimetal.export.clang import CLANG, FLAGS, found, llvm
from bimetal.export.tools import Tool, call, package

__all__ = [
    "PLATFORMS",
    "ZIG",
    "Kind",
    "Platform",
    "PlatformName",
    "build",
    "platform_named",
    "tools",
]

PlatformName = Literal[
    "host", "linux-x86_64", "linux-aarch64", "android-aarch64", "macos-arm64", "macos-x86_64",
    "ios-arm64", "windows-x86_64",
]  # fmt: skip
Kind = Literal["shared", "static"]
ZIG = package("ziglang", "pip install ziglang")
ARCHIVER = llvm("llvm-ar", "llvm")
PURPOSE = "exporting a library"
SOURCES = ("library.c", "freestanding.c")


@dataclass(frozen=True)
class Platform:
    """A system and a processor.

    Attributes
    ----------
    triple, zig : str
        What clang, and what ziglang, calls it.
    suffix : str
        Of its shared libraries.
    linker : str
        Of LLVM.
    core : str
        Of the C header's cores.
    flags : tuple of str
        Further words for the linker.
    """

    triple: str
    zig: str
    suffix: str
    linker: str
    core: CoreName
    flags: tuple[str, ...] = ()


def _apple(system: str, arch: str, version: str) -> tuple[str, ...]:
    return "-arch", arch, "-platform_version", system, version, version


PLATFORMS: dict[str, Platform] = {
    "linux-x86_64": Platform("x86_64-linux-gnu", "x86_64-linux-gnu", ".so", "ld.lld", "x86-64"),
    "linux-aarch64": Platform("aarch64-linux-gnu", "aarch64-linux-gnu", ".so", "ld.lld", "aarch64"),
    "android-aarch64": Platform(  # pages of 16 KiB, as phones from 2025 on may have them
        "aarch64-linux-android21", "aarch64-linux-android", ".so", "ld.lld", "aarch64",
        ("-z", "max-page-size=16384"),
    ),
    "macos-arm64": Platform(
        "arm64-apple-macos11", "aarch64-macos", ".dylib", "ld64.lld", "aarch64",
        _apple("macos", "arm64", "11.0"),
    ),
    "macos-x86_64": Platform(
        "x86_64-apple-macos11", "x86_64-macos", ".dylib", "ld64.lld", "x86-64",
        _apple("macos", "x86_64", "11.0"),
    ),
    "ios-arm64": Platform(
        "arm64-apple-ios13", "aarch64-ios", ".dylib", "ld64.lld", "aarch64",
        _apple("ios", "arm64", "13.0"),
    ),
    "windows-x86_64": Platform("x86_64-pc-windows-msvc", "x86_64-windows-gnu", ".dll", "lld-link", "x86-64"),
}  # fmt: skip
"""Every platform by its name."""

_OWN = {"linux": "linux", "darwin": "macos", "win32": "windows"}
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def platform_named(name: PlatformName) -> Platform:
    """Return a platform; "host" is that of this machine.

    Raises
    ------
    ExportError
        When this machine is none of them.

    Examples
    --------
    >>> platform_named("windows-x86_64").suffix
    '.dll'
    """
    if name != "host":
        return PLATFORMS[name]
    machine = _MACHINES.get(here.machine().lower(), here.machine().lower())
    own = f"{_OWN.get(sys.platform, sys.platform)}-{machine}".replace(
        "macos-aarch64", "macos-arm64"
    )
    if own not in PLATFORMS:
        raise ExportError(f"this machine is {own}; platform must be one of {', '.join(PLATFORMS)}")
    return PLATFORMS[own]


def tools(platform: Platform, kind: Kind) -> tuple[Tool, ...]:
    """Return what clang needs to build a library of a kind."""
    return CLANG, ARCHIVER if kind == "static" else llvm(platform.linker)


def build(platform: Platform, folder: Path, name: str, stem: str, march: str) -> bytes:
    """Compile and link the sources in `folder` and return a shared library called `stem`."""
    objects = _objects(platform, folder, name, march)
    output = f"{stem}{platform.suffix}"
    linker = found(llvm(platform.linker), PURPOSE)
    call([linker, *_link_words(platform, output), *objects], folder)
    return (folder / output).read_bytes()


def build_static(platform: Platform, folder: Path, name: str, march: str) -> bytes:
    """Return an archive with one object; the program that takes it brings its own C library."""
    objects = _objects(platform, folder, name, march)[:1]
    call([found(ARCHIVER, PURPOSE), "rcsD", "model.a", *objects], folder)
    return (folder / "model.a").read_bytes()


def build_with_zig(platform: Platform, folder: Path, name: str, stem: str, march: str) -> bytes:
    """Return a shared library that ziglang made, on machines without LLVM."""
    found(ZIG, PURPOSE)
    output = f"{stem}{platform.suffix}"
    cpu = [f"-mcpu={march.replace('-', '_')}"] if march else []
    words = ["-target", platform.zig, *cpu, *FLAGS, "-fPIC", f"-DMODEL_NAME={name}"]
    linked = ["-shared", "-nostdlib", "-s", *_passed_on(platform, output), "-o", output]
    call([sys.executable, "-m", "ziglang", "cc", *words, *SOURCES, *linked], folder, 600)
    return (folder / output).read_bytes()


def _passed_on(platform: Platform, output: str) -> list[str]:
    """Return the words that ziglang passes on to its linkers."""
    if platform.suffix == ".dylib":
        return [f"-Wl,-install_name,@rpath/{output}"]
    return (
        [f"-Wl,{','.join(('-soname', output, *platform.flags))}"]
        if platform.suffix == ".so"
        else []
    )


def _objects(platform: Platform, folder: Path, name: str, march: str) -> list[str]:
    pic = [] if platform.suffix == ".dll" else ["-fPIC"]
    cpu = [f"-march={march}"] if march else []
    words = [f"--target={platform.triple}", *FLAGS, *pic, *cpu, f"-DMODEL_NAME={name}"]
    call([found(CLANG, PURPOSE), *words, "-c", *SOURCES], folder)
    return [source.replace(".c", ".o") for source in SOURCES]


def _link_words(platform: Platform, output: str) -> list[str]:
    if platform.suffix == ".so":
        named = ["-shared", "-soname", output, "-o", output]
        return [*named, "-z", "defs", "-z", "noexecstack", "--gc-sections", "-s", *platform.flags]
    if platform.suffix == ".dylib":
        named = ["-dylib", "-install_name", f"@rpath/{output}", "-o", output]
        return [*named, "-dead_strip", *platform.flags, "-L.", "-lSystem"]
    named = [f"/out:{output}", "/implib:model.lib"]
    return ["/dll", "/noentry", "/nodefaultlib", "/Brepro", "/opt:ref", *named]
