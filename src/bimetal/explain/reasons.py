"""Principal reasons: which few things cost an applicant most.

Regulation B, 12 CFR 1002.9(b)(2), asks for a statement of reasons that is specific and names the principal ones; its
official commentary adds that more than four are not likely to be helpful, and that they must relate to the factors
that were actually considered or scored. FCRA §615(a), 15 U.S.C. 1681m(a), with §609(f)(1)(C), asks for the key
factors of a score: four, inquiries apart. Whom the applicant is compared with decides what comes out: the mean of everybody
would name what is unusual, not what stood between the applicant and approval (github.com/shap/shap issue 435).
So the references are approved applicants near the cut-off. Which reasons a notice must give is for counsel to say.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError

__all__ = ["principal_reasons"]


def principal_reasons(numerators: NDArray[np.int64], most: int = 4) -> tuple[int, ...]:
    """Return the players that lowered the score most, the worst first.

    Parameters
    ----------
    numerators : numpy.ndarray
        int64 (n_players,): one row of `Contributions.numerators`. One denominator serves all players, so the order of
        the numerators is the order of the points, without rounding.
    most : int, default 4
        At most so many.

    Returns
    -------
    tuple of int
        Their numbers. Only players that lowered the score; fewer than `most` when there are no more, none when nothing
        lowered it. Of equals the earlier comes first.

    Raises
    ------
    DataError
        When `most` is below 1.

    Examples
    --------
    >>> principal_reasons(np.array([-30, 12, -75, 0, -30, -1]), most=3)
    (2, 0, 4)
    """
    if most < 1:
        raise DataError(
            f"at least one reason expected, got most={most}; the commentary to Reg B says up to four"
        )
    values = numerators.tolist()  # a few dozen: Python sorts them before NumPy has begun
    lowered = [player for player, value in enumerate(values) if value < 0]
    return tuple(sorted(lowered, key=values.__getitem__)[:most])
