"""The house in order: no torch where models run, no print in the library, a word for every name."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bimetal"
FILES = sorted(SOURCE.rglob("*.py"))
GOLDEN = Path(__file__).parent / "golden" / "tiny.bimetal"

DEPLOYED = ("bits", "columns", "encoders", "errors", "files", "format", "ops", "program",
            "reference", "runtime", "strict_json")  # fmt: skip
HEAVY = ("torch", "sklearn", "lightgbm", "pandas", "polars", "pyarrow", "matplotlib", "typer")

SCORE_WITHOUT_TORCH = f"""
import importlib, sys
sys.modules["torch"] = None  # from here on, importing torch fails
import bimetal
for name in {DEPLOYED!r}:
    importlib.import_module("bimetal." + name)
from bimetal.format import load
from bimetal.runtime import Engine
Engine(load(sys.argv[1])).self_test()
heavy = [name for name in {HEAVY!r} if sys.modules.get(name)]
sys.exit(f"imported on the way: {{heavy}}" if heavy else 0)
"""


def named(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def test_scoring_imports_neither_torch_nor_any_trainer() -> None:
    command = [sys.executable, "-W", "error", "-c", SCORE_WITHOUT_TORCH, GOLDEN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", FILES, ids=named)
def test_the_library_never_prints(path: Path) -> None:
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    assert [c.lineno for c in calls if getattr(c.func, "id", "") == "print"] == []


def public_names(tree: ast.Module) -> list[tuple[str, ast.AST]]:
    """Return the module, its public classes and functions, and their public methods."""
    found: list[tuple[str, ast.AST]] = [("the module", tree)]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            found.append((node.name, node))
            inner = node.body if isinstance(node, ast.ClassDef) else []
            methods = [m for m in inner if isinstance(m, kinds) and not m.name.startswith("_")]
            found += [(f"{node.name}.{method.name}", method) for method in methods]
    return found


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_public_name_has_a_docstring(path: Path) -> None:
    names = public_names(ast.parse(path.read_text()))
    assert [name for name, node in names if not ast.get_docstring(node)] == []  # type: ignore[arg-type]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_file_outgrows_the_house(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=named)
def test_nothing_is_left_for_later(path: Path) -> None:
    assert re.findall(r"\b(?:TODO|FIXME|XXX)\b", path.read_text()) == []


def test_the_version_stands_in_one_place_and_its_copies_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


EXTRAS = ("train", "cli", "report", "data", "credit", "serve", "postgres", "scale", "dev")


def requirements(name: str) -> list[str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


@pytest.mark.parametrize("name", ["dev.txt", "runtime.txt", "serve.txt"])
def test_every_requirement_is_pinned_exactly(name: str) -> None:
    assert [
        line for line in requirements(name) if not re.fullmatch(r"[\w-]+(\[\w+\])?==[\w.]+", line)
    ] == []


def test_every_dependency_of_the_project_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(w for extra in EXTRAS for w in extras[extra])]
    names = {re.split(r"[\[<>=;]", w)[0].lower().replace("_", "-") for w in wanted} - {"bimetal"}
    lines = [line for name in ("dev", "runtime", "serve") for line in requirements(f"{name}.txt")]
    assert (
        names - {re.split(r"[\[=]", line)[0].lower().replace("_", "-") for line in lines} == set()
    )


def test_a_server_is_never_asked_to_install_torch() -> None:
    for name in ("runtime.txt", "serve.txt"):
        assert not any("torch" in line for line in requirements(name))
