"""Fine classing: which encoder a scorecard begins with."""

import pytest

from bimetal import OptBinningEncoder, QuantileEncoder, TreeEncoder
from bimetal.errors import DataError
from bimetal.finance.credit import fine_classing


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("quantile", QuantileEncoder), ("tree", TreeEncoder), ("optbinning", OptBinningEncoder)],
)
def test_each_kind_has_its_encoder_with_one_cut_less_than_bins(kind: str, expected: type) -> None:
    encoder = fine_classing(kind, bins=8, categorical=["sex"], missing="always")
    assert type(encoder) is expected and encoder.max_bits_per_column == 7
    assert encoder.categorical == ["sex"] and encoder.missing == "always"


def test_mistakes_are_named() -> None:
    with pytest.raises(DataError, match="quantile, tree, optbinning; got 'woe'"):
        fine_classing("woe")
    with pytest.raises(DataError, match="at least 2 bins expected, got 1"):
        fine_classing(bins=1)
