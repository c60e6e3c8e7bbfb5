"""Each way of being wrong is refused by name, and says what was expected, what came, what to do."""

import re

import pytest
from attacks.evil import EVIL, GOOD, GOOD_MAP, GOOD_ROW
from attacks.evil_maps import EVIL_MAPS

from bimetal.errors import BimetalError, FormatError
from bimetal.format import load, loads

ALL = {**EVIL, **{f"maps: {name}": evil for name, evil in EVIL_MAPS.items()}}


@pytest.mark.parametrize("name", ALL)
def test_an_evil_file_is_refused_by_name(name: str) -> None:
    data, complaint = ALL[name]
    with pytest.raises(FormatError, match=complaint) as caught:
        loads(data)
    assert re.search("copy it again", str(caught.value))
    assert len(str(caught.value)) < 1_500


@pytest.mark.parametrize("name", ALL)
def test_an_evil_file_on_disk_is_refused_with_its_path(name: str, tmp_path) -> None:
    path = tmp_path / "evil.bimetal"
    path.write_bytes(ALL[name][0])
    with pytest.raises(FormatError, match=re.escape(str(path))):
        load(path)


def test_the_good_files_behind_the_evil_ones_are_good() -> None:
    assert loads(GOOD).n_columns == 3
    assert loads(GOOD_MAP).n_columns == 72
    assert loads(GOOD_ROW).n_columns == 3


def test_a_format_error_is_a_bimetal_error_and_a_value_error() -> None:
    assert issubclass(FormatError, BimetalError)
    assert issubclass(FormatError, ValueError)


def test_a_device_without_end_is_not_read_to_the_end() -> None:
    with pytest.raises(FormatError, match="at least 8 bytes"):
        load("/dev/zero")
