"""The face of the library: few names, sorted, lazy, and nothing heavy behind the door."""

import subprocess
import sys

import pytest

import bimetal
from bimetal.errors import MissingExtraError


def test_the_face_is_what_all_says_sorted() -> None:
    assert list(bimetal.__all__) == sorted(bimetal.__all__) == dir(bimetal)
    assert all(getattr(bimetal, name) is not None for name in bimetal.__all__)


def test_importing_the_library_imports_nothing_heavy() -> None:
    code = "import bimetal, sys; sys.exit(any(m in sys.modules for m in ('torch', 'sklearn', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(AttributeError, match="BinaryClassifier"):
        bimetal.BinaryClassifer  # noqa: B018


@pytest.mark.parametrize("name", ["BinaryClassifier", "lower_cnn", "zoo"])
def test_without_torch_what_needs_it_names_the_extra_to_install(name: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import bimetal\n"
        f"try: bimetal.{name}\n"
        "except bimetal.BimetalError as error: sys.exit(str(error))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'bimetal[train]'" in done.stderr
    assert issubclass(MissingExtraError, bimetal.BimetalError)
