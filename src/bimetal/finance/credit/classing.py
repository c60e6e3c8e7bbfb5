"""Fine classing: the bins that a scorecard begins with."""

from typing import Any

from bimetal.encoders import Encoder, OptBinningEncoder, QuantileEncoder, TreeEncoder
from bimetal.errors import DataError

__all__ = ["CLASSINGS", "fine_classing"]

CLASSINGS: dict[str, type[Encoder]] = {
    "quantile": QuantileEncoder,
    "tree": TreeEncoder,
    "optbinning": OptBinningEncoder,
}
_MOST_QUANTILES = 768
"""Over all columns: with twelve times sixty, a table of sixty ratios is fitted in half a minute."""


def fine_classing(kind: str = "quantile", *, bins: int = 25, **options: Any) -> Encoder:
    """Return the encoder that a scorecard begins with.

    Parameters
    ----------
    kind : {"quantile", "tree", "optbinning"}
        Bins of equal weight; cut where small boosted trees split; or optbinning's. Quantiles know nothing
        of the outcome, so that short tables are not cut to fit their noise.
    bins : int
        Of one column, at most. Quantiles share 768 cut-points among all columns.
    **options
        Of the encoder: special_codes, categorical, ordinal, missing.

    Raises
    ------
    DataError
        When there is no such classing, or fewer than two bins.

    Examples
    --------
    >>> encoder = fine_classing(special_codes={"bureau": [-9]})
    >>> encoder.max_bits_per_column, encoder.special_codes
    (24, {'bureau': [-9]})
    """
    if kind not in CLASSINGS:
        raise DataError(f"classing is one of {', '.join(CLASSINGS)}; got {kind!r}")
    if bins < 2:
        raise DataError(f"at least 2 bins expected, got {bins}")
    if kind == "quantile":
        options = {"max_bits": _MOST_QUANTILES, **options}
    return CLASSINGS[kind](max_bits_per_column=bins - 1, **options)
